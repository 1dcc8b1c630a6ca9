"""SAM's image encoder with low-rank terms and a frequency stream; the SAM's own tensors stay as they are.

The encoder is cut in two. `early` is frozen and has nothing of ours in it, so that what it gives can be kept; `late` holds
the adapted blocks. Of a plain ViT `early` is the patch embedding, and every block is adapted, as published. Of a TinyViT it is
everything before the stages that have the resolution of the embedding: those are adapted (ours: the paper knows plain ViTs).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from promisam.adapters import Adapted, FrequencyAdapter, LowRank
from promisam.core.errors import InvalidConfig
from promisam.methods.imedsam.config import Config
from promisam.sam.tinyvit import BiasedAttention, Downsample, TinyVit
from promisam.sam.vit import Attention, VisionTransformer


class BlockAdapter(nn.Module):
    """What is trained for one block: its low-rank term, its step of the frequency stream, and how far that is heard."""

    def __init__(self, attention: Attention | BiasedAttention, config: Config) -> None:
        super().__init__()
        width = attention.qkv.in_features
        self.term: LowRank | None = None
        self.frequency: FrequencyAdapter | None = None
        self.factor: nn.Parameter | None = None
        if config.rank:
            rows = query_and_value_rows(attention)
            self.term = LowRank(width, 3 * width, rows, config.rank, gated=config.official)
        if config.spectrum != "none":
            self.frequency = FrequencyAdapter(width)
            if config.injection == "learned" and not config.official:
                self.factor = nn.Parameter(torch.zeros(()))

    def heard(self, stream: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """What the stream adds to the tokens."""
        return stream * (0.5 if self.factor is None else self.factor)


class AdaptedEncoder:
    """An encoder of one's own, whose attention this class wraps, and the adapters of its blocks."""

    def __init__(self, encoder: object, config: Config) -> None:
        """Wrap the linear layers of a copy.

        Raises:
            InvalidConfig: for an encoder of unknown make.
        """
        if not isinstance(encoder, VisionTransformer | TinyVit):
            raise InvalidConfig(
                f"an image encoder of the kind {type(encoder).__name__}",
                expected="a plain ViT or a TinyViT",
                do="Use another SAM.",
            )
        self.encoder = encoder
        self.stages = [] if isinstance(encoder, VisionTransformer) else encoder.coarse_stages
        self._all = [BlockAdapter(block.attn, config) for block in self._blocks()]
        self.adapters = nn.ModuleList(self._all)
        for block, adapter in zip(self._blocks(), self._all, strict=True):
            if adapter.term is not None:
                block.attn.qkv = Adapted(block.attn.qkv, adapter.term)

    def early(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b h w c"]:
        """Images, or spectra of three equal channels, to the tokens of the first adapted block."""
        tokens = self.encoder.embed(images)
        if isinstance(self.encoder, TinyVit):
            for stage in self.encoder.layers[: len(self.encoder.layers) - len(self.stages)]:
                tokens = stage(tokens)
        return tokens

    def late(self, tokens: Float[Tensor, "b h w c"], stream: Float[Tensor, "b h w c"] | None) -> Float[Tensor, "b d h w"]:
        """Tokens, and those of the frequency stream, to the image embedding."""
        *_, (last, _) = self.steps(tokens, stream)
        embedding: Tensor = self.encoder.neck(last)
        return embedding

    def steps(
        self, tokens: Float[Tensor, "b h w c"], stream: Float[Tensor, "b h w c"] | None
    ) -> Iterator[tuple[Float[Tensor, "b ..."], Float[Tensor, "b ..."] | None]]:
        """Both after each block, and after each way down from a stage to the next."""
        adapters = iter(self._all)
        for blocks, down in self._parts():
            for block in blocks:
                tokens = block(tokens)
                adapter = next(adapters)
                if stream is not None and adapter.frequency is not None:
                    stream = adapter.frequency(stream)
                    tokens = tokens + adapter.heard(stream)
                yield tokens, stream
            if down is not None:
                tokens = down.of_tokens(tokens)
                stream = None if stream is None else down.of_tokens(stream)
                yield tokens, stream

    @contextmanager
    def merged(self) -> Iterator[None]:
        """Low-rank terms inside the weights for as long as this is open; gated ones stay beside them."""
        wrapped = [block.attn.qkv for block in self._blocks() if isinstance(block.attn.qkv, Adapted)]
        able = [layer for layer in wrapped if layer.term.gate is None]
        for layer in able:
            layer.merge()
        try:
            yield
        finally:
            for layer in able:
                layer.unmerge()

    def _parts(self) -> Sequence[tuple[Sequence[Any], Downsample | None]]:
        if isinstance(self.encoder, VisionTransformer):
            return [(list(self.encoder.blocks), None)]
        return [(list(stage.blocks), stage.downsample) for stage in self.stages]

    def _blocks(self) -> Iterator[Any]:
        for blocks, _ in self._parts():
            yield from blocks


def query_and_value_rows(attention: Attention | BiasedAttention) -> tuple[Tensor, Tensor]:
    """Which outputs of the layer that makes queries, keys and values are queries, and which are values.

    A plain ViT has all queries, then all keys, then all values; a TinyViT has the three of one head after another.
    """
    width = attention.qkv.in_features
    numbers = torch.arange(3 * width)
    if isinstance(attention, BiasedAttention):
        by_part = numbers.view(attention.heads, 3, -1).transpose(0, 1).flatten(1)
    else:
        by_part = numbers.view(3, width)
    return by_part[0].clone(), by_part[2].clone()
