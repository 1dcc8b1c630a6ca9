"""SAM's image encoder: a plain Vision Transformer with windowed and global blocks (Li et al. 2022, ViTDet)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from promisam.sam.attention import attend
from promisam.sam.features import run_blocks
from promisam.sam.norm import Neck
from promisam.sam.windows import join, partition


@dataclass(frozen=True)
class VitShape:
    """The sizes of a plain ViT encoder.

    Attributes:
        side: pixels of the square input.
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads.
        global_blocks: indices of the blocks that see the whole image; the others see windows.
        patch: pixels of a patch's side.
        window: tokens of a window's side.
        mlp_width: hidden channels of the MLPs.
        out_channels: channels of the image embedding.
    """

    side: int
    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    patch: int
    window: int
    mlp_width: int
    out_channels: int

    @property
    def step(self) -> int:
        """Pixels from one position of the image embedding to the next."""
        return self.patch

    @property
    def grid(self) -> int:
        """Tokens along a side."""
        return self.side // self.patch


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        """Apply to the last axis."""
        return self.lin2(F.gelu(self.lin1(x)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head attention over an h x w map with decomposed relative positions."""

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, width // heads))

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """Attend among all tokens of each map."""
        b, h, w, c = x.shape
        q, k, v = self.qkv(x).reshape(b, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        out = attend(q, k, v, (self.rel_pos_h, self.rel_pos_w), (h, w))
        return self.proj(out.transpose(1, 2).reshape(b, h, w, c))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and MLP, each behind a norm and a skip; `window` 0 attends globally."""

    def __init__(self, width: int, heads: int, mlp_width: int, window: int, side: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, side)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, mlp_width)

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """Tokens to tokens."""
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]

    def _attend(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        if not self.window:
            return self.attn(x)  # type: ignore[no-any-return]
        return join(self.attn(partition(x, self.window)), (x.shape[1], x.shape[2]))


class PatchEmbed(nn.Module):
    """Non-overlapping patches to tokens."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b h w c"]:
        """Channels last."""
        return self.proj(images).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class VisionTransformer(nn.Module):
    """The encoder of SAM ViT-B, L and H, and of any other size."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.shape = shape
        self.patch_embed = PatchEmbed(shape.width, shape.patch)
        self.pos_embed = nn.Parameter(torch.zeros(1, shape.grid, shape.grid, shape.width))
        self.blocks = nn.ModuleList(self._block(i) for i in range(shape.depth))
        self.neck = Neck(shape.width, shape.out_channels)

    def _block(self, index: int) -> Block:
        shape = self.shape
        window = 0 if index in shape.global_blocks else shape.window
        return Block(shape.width, shape.heads, shape.mlp_width, window, window or shape.grid)

    @property
    def side(self) -> int:
        """Pixels of the square input."""
        return self.shape.side

    @property
    def grid(self) -> int:
        """Tokens along a side of the image embedding."""
        return self.shape.grid

    def embed(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b h w c"]:
        """Patch tokens with their absolute positions: what the first block takes."""
        return self.patch_embed(images) + self.pos_embed  # type: ignore[no-any-return]

    def forward(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d h w"]:
        """Normalised, padded images of `side` pixels to image embeddings."""
        tokens, _ = run_blocks(self.embed(images), self.blocks)
        return self.neck(tokens)  # type: ignore[no-any-return]

    def features(
        self, images: Float[Tensor, "b 3 y x"], after: Sequence[int]
    ) -> tuple[Float[Tensor, "b d h w"], list[Float[Tensor, "b ..."]]]:
        """The embedding and the tokens after the named blocks (0 is the first block), in the order asked for.

        Raises:
            InvalidConfig: when a block does not exist.
        """
        tokens, kept = run_blocks(self.embed(images), self.blocks, after)
        return self.neck(tokens), kept
