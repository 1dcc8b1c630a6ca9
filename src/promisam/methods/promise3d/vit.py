"""SAM's plain ViT as an encoder of cubes (Li et al. 2023, arXiv 2310.19721; after Gong et al. 2023, 3DSAM-adapter).

Tokens are cubes of the volume, attention looks at cubic windows of them, and small adapters before and behind each block filter
neighbouring tokens. SAM's own weights stay frozen; its two norms in each block are trained as copies.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from promisam.adapters import VolumeAdapter
from promisam.core.errors import InvalidConfig
from promisam.methods.promise3d.attention import Windows, attend, windows
from promisam.methods.promise3d.config import Config
from promisam.methods.promise3d.encoder import LEVELS, VolumeNeck, quarters
from promisam.methods.promise3d.patches import embed_cubes
from promisam.sam.vit import Block, VisionTransformer

_ROWS, _ROWS_CUDA = 1024, 65536  # tokens that attention or an MLP takes at a time at rest: enough for full speed


class LearnedBlock(nn.Module):
    """What is trained for one block."""

    def __init__(self, block: Block, config: Config) -> None:
        super().__init__()
        width = block.attn.qkv.in_features
        self.front = VolumeAdapter(width) if config.adapters >= 1 else None
        self.norm1 = copy.deepcopy(block.norm1).requires_grad_(True)
        self.rel_pos_d = nn.Parameter(0.5 * (block.attn.rel_pos_h + block.attn.rel_pos_w).detach())
        self.norm2 = copy.deepcopy(block.norm2).requires_grad_(True)
        self.back = VolumeAdapter(width) if config.adapters >= 2 else None


class LearnedParts(nn.Module):
    """All that is trained in the encoder."""

    def __init__(self, encoder: VisionTransformer, config: Config, grid: int) -> None:
        super().__init__()
        width, patch = encoder.shape.width, encoder.shape.patch
        self.slice_embed = nn.Conv1d(width, width, patch, stride=patch, groups=width)
        self.depth_embed = nn.Parameter(torch.ones(grid, width))
        self.blocks = nn.ModuleList(LearnedBlock(block, config) for block in encoder.blocks if isinstance(block, Block))
        self.necks = nn.ModuleList(VolumeNeck(width, config.neck) for _ in range(LEVELS))


class VolumeVit:
    """The encoder; it holds the frozen SAM's but owns, and learns, nothing but `learned`."""

    def __init__(self, encoder: VisionTransformer, config: Config) -> None:
        """Stand on a frozen encoder.

        Raises:
            InvalidConfig: for cubes that are no whole number of tokens wide.
        """
        pixels, patch = config.patch * config.enlargement, encoder.shape.patch
        if pixels % patch:
            raise InvalidConfig(
                f"patch {config.patch} enlarged {config.enlargement} times, {pixels} pixels",
                expected=f"a multiple of {patch}, the pixels of a token",
                do="Choose another patch or enlargement.",
            )
        self.config = config
        self.channels = config.neck
        self.grid = pixels // patch
        self.learned = LearnedParts(encoder, config, self.grid)
        self._encoder = encoder
        self._necks = [neck for neck in self.learned.necks if isinstance(neck, VolumeNeck)]
        self._pairs = [
            (own, frozen)
            for own, frozen in zip(self.learned.blocks, encoder.blocks, strict=True)
            if isinstance(own, LearnedBlock) and isinstance(frozen, Block)
        ]

    def features(self, cubes: Float[Tensor, "b 1 d h w"]) -> list[Float[Tensor, "b c x y z"]]:
        """Four features with axes (h, w, d), after a quarter, a half, three quarters and all of the blocks."""
        tokens, found = self.embed(cubes), []
        due = quarters(len(self._pairs))
        for number in range(len(self._pairs)):
            if self.config.checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(self.block, number, tokens, use_reentrant=False, preserve_rng_state=False)
            else:
                tokens = self.block(number, tokens)
            found += [neck(tokens).float() for neck, last in zip(self._necks, due, strict=True) if last == number]
        return found

    def embed(self, cubes: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b x y z c"]:
        """Tokens with their places, in the plane and in depth."""
        tokens = embed_cubes(cubes, self._encoder.patch_embed.proj, self.learned.slice_embed, self.config.enlargement)
        tokens += self._positions()[:, :, :, None]
        tokens += self.learned.depth_embed
        return tokens

    def block(self, number: int, tokens: Float[Tensor, "b x y z c"]) -> Float[Tensor, "b x y z c"]:
        """Tokens to tokens; without gradients those that are given may be overwritten."""
        own, frozen = self._pairs[number]
        if own.front is not None:
            tokens = own.front(tokens)
        cut = windows(self.grid, self.config.window, shifted=number % 2 == 0, device=tokens.device)
        flat = _attended(tokens.flatten(1, 3), own, frozen, cut)
        tokens = _through_mlp(flat, own, frozen).view_as(tokens)
        if own.back is None:
            return tokens
        behind: Tensor = own.back(tokens)
        return tokens + behind if self.config.official else behind  # as released the stream, which is in it, is added again

    def _positions(self) -> Float[Tensor, "1 {self.grid} {self.grid} c"]:
        """SAM's, averaged over what a token covers of them."""
        table = self._encoder.pos_embed.permute(0, 3, 1, 2)
        step, rest = divmod(table.shape[-1], self.grid)
        size = (self.grid, self.grid)
        found: Tensor = F.interpolate(table, size, mode="bilinear") if rest else F.avg_pool2d(table, step)
        return found.permute(0, 2, 3, 1)


def _attended(flat: Float[Tensor, "b t c"], own: LearnedBlock, frozen: Block, cut: Windows) -> Float[Tensor, "b t c"]:
    """Tokens and what attention adds to them.

    Every token lies in one window, so that without gradients a few windows at a time can be dealt with and written back.
    """
    if torch.is_grad_enabled():
        inside = _in_windows(flat, cut.tokens, own.norm1)
        regions = None if cut.regions is None else cut.regions.repeat(len(flat), 1, 1)
        out = attend(inside.flatten(0, 1), frozen.attn, own.rel_pos_d, cut.side, regions)
        return flat + out.reshape(len(flat), -1, flat.shape[-1])[:, cut.places]
    together = max(1, _together(flat) // cut.tokens.shape[1])
    for cube in flat:
        for some in (slice(i, i + together) for i in range(0, len(cut.tokens), together)):
            regions = None if cut.regions is None else cut.regions[some]
            inside = _in_windows(cube[None], cut.tokens[some], own.norm1)[0]
            out = attend(inside, frozen.attn, own.rel_pos_d, cut.side, regions)
            real = cut.tokens[some] < len(cube)
            cube.index_add_(0, cut.tokens[some][real], out[real].to(cube.dtype))
    return flat


def _in_windows(flat: Float[Tensor, "b t c"], numbers: Int64[Tensor, "n w"], norm: nn.LayerNorm) -> Float[Tensor, "b n w c"]:
    """Normalised tokens window by window, zeros for padding."""
    padding = numbers >= flat.shape[1]
    found: Tensor = norm(flat.index_select(1, numbers.masked_fill(padding, 0).flatten()))
    return found.view(len(flat), *numbers.shape, -1).masked_fill(padding[..., None], 0)


def _through_mlp(flat: Float[Tensor, "b t c"], own: LearnedBlock, frozen: Block) -> Float[Tensor, "b t c"]:
    if torch.is_grad_enabled():
        return flat + frozen.mlp(own.norm2(flat))  # type: ignore[no-any-return]
    rows, together = flat.flatten(0, 1), _together(flat)
    for some in (slice(i, i + together) for i in range(0, len(rows), together)):
        rows[some] += frozen.mlp(own.norm2(rows[some]))
    return flat


def _together(tokens: Tensor) -> int:
    return _ROWS_CUDA if tokens.device.type == "cuda" else _ROWS
