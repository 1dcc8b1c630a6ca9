"""SAM's mask decoder in two halves: `attend` mixes prompts and image, `masks` draws (Kirillov et al. 2023, appendix A)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from promisam.sam.norm import LayerNorm2d
from promisam.sam.two_way import TwoWayTransformer


@dataclass(frozen=True)
class DecoderShape:
    """The sizes of a mask decoder.

    Attributes:
        width: channels of tokens and image embedding.
        heads: attention heads of the transformer.
        mlp_width: hidden channels of the transformer's MLPs.
        depth: layers of the transformer.
        masks: mask tokens: one for a clear prompt, the rest for an ambiguous one.
        quality_width: hidden channels of the quality head.
    """

    width: int
    heads: int
    mlp_width: int
    depth: int
    masks: int
    quality_width: int


class Mlp(nn.Module):
    """Linear layers with ReLUs between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int, depth: int = 3) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * (depth - 1), outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """Apply to the last axis."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)  # type: ignore[no-any-return]


class MaskDecoder(nn.Module):
    """Image embedding and prompt tokens to masks and the quality that the model expects of each."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.transformer = TwoWayTransformer(width, shape.heads, shape.mlp_width, shape.depth)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(shape.masks, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, 2, stride=2),
            LayerNorm2d(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(Mlp(width, width, width // 8) for _ in range(shape.masks))
        self.iou_prediction_head = Mlp(width, shape.quality_width, shape.masks)

    def attend(
        self,
        embedding: Float[Tensor, "#b c h w"],
        positions: Float[Tensor, "1 c h w"],
        sparse: Float[Tensor, "b t c"],
        dense: Float[Tensor, "b c h w"],
        token_shift: Float[Tensor, "#b k c"] | None = None,
    ) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b c h w"]]:
        """First half: the quality token, the mask tokens and the prompts' tokens after the exchange, and the image's features.

        Args:
            embedding: of one image for all prompts, or of one image each.
            positions: `PromptEncoder.dense_positions`.
            sparse: prompt tokens.
            dense: the prompts' map.
            token_shift: added to the mask tokens.
        """
        b, (h, w) = sparse.shape[0], embedding.shape[-2:]
        masks = self.mask_tokens.weight[None] if token_shift is None else self.mask_tokens.weight + token_shift
        own = torch.cat([self.iou_token.weight.expand(len(masks), 1, -1), masks], 1)
        tokens = torch.cat([own.expand(b, -1, -1), sparse], 1)
        image = (embedding + dense).flatten(2).transpose(1, 2).contiguous()  # five products follow
        tokens, image = self.transformer(tokens, image, positions.flatten(2).transpose(1, 2).expand(b, -1, -1))
        return tokens, image.transpose(1, 2).unflatten(2, (h, w))

    def upscale(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """The image's features at four times the resolution."""
        return self.output_upscaling(features.contiguous())  # type: ignore[no-any-return]

    def masks(
        self, tokens: Float[Tensor, "b n c"], features: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b k y x"], Float[Tensor, "b k"]]:
        """Second half: logits of every mask token's mask and the predicted IoU of each."""
        own = tokens[:, 1 : 1 + self.shape.masks]
        weights = torch.stack([mlp(own[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], 1)
        canvas = self.upscale(features)
        scores = torch.einsum("bkc,bcyx->bkyx", weights, canvas)
        return scores, self.iou_prediction_head(tokens[:, 0])
