"""TinyViT (Wu et al. 2022) as image encoder: MobileSAM at 1024 pixels, LiteMedSAM at 256.

Stages: convolutions first, then attention in windows, each stage but the last with a down-sampling at its end. Everything
between stages is a (b, h, w, c) token map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from promisam.sam.features import run_blocks
from promisam.sam.norm import Neck
from promisam.sam.windows import join, partition

# Down-sampling to this width keeps the resolution, so that the embedding has 64 x 64 positions (MobileSAM, Zhang et al. 2023).
KEEPS_RESOLUTION = 320


@dataclass(frozen=True)
class TinyVitShape:
    """The sizes of a TinyViT encoder.

    Attributes:
        side: pixels of the square input.
        widths: channels of each stage.
        depths: blocks of each stage.
        heads: attention heads of each stage (the first has none and its entry is not used).
        windows: tokens of a window's side, likewise.
        stem_stride: total stride of the two stem convolutions: 4, or 1 with 1x1 kernels.
        out_channels: channels of the image embedding.
    """

    side: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    windows: tuple[int, ...]
    stem_stride: int
    out_channels: int

    @property
    def step(self) -> int:
        """Pixels from one position of the image embedding to the next."""
        halvings = sum(width != KEEPS_RESOLUTION for width in self.widths[1:])
        return int(self.stem_stride * 2**halvings)

    @property
    def grid(self) -> int:
        """Positions along a side of the image embedding."""
        return self.side // self.step


class ConvNorm(nn.Module):
    """Convolution and batch norm.

    In evaluation mode the norm folds into the kernel at every call: exact, one pass over the map less, and nothing cached
    that loading weights could leave stale.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b i y x"]) -> Float[Tensor, "b o h w"]:
        """Convolve and normalise."""
        mean, variance = self.bn.running_mean, self.bn.running_var
        if self.training or mean is None or variance is None:
            return self.bn(self.c(x))  # type: ignore[no-any-return]
        scale = self.bn.weight * torch.rsqrt(variance + self.bn.eps)
        kernel = self.c.weight * scale[:, None, None, None]
        return F.conv2d(x, kernel, self.bn.bias - mean * scale, self.c.stride, self.c.padding, groups=self.c.groups)


class Stem(nn.Module):
    """The two convolutions in front of the stages."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        kernel, step = (3, 2) if stride == 4 else (1, 1)
        self.seq = nn.Sequential(ConvNorm(3, width // 2, kernel, step), nn.GELU(), ConvNorm(width // 2, width, kernel, step))

    def forward(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b c h w"]:
        """Images to the first map."""
        return self.seq(images)  # type: ignore[no-any-return]


class InvertedBottleneck(nn.Module):
    """MBConv: widen, filter each channel, narrow, with a skip (Sandler et al. 2018)."""

    def __init__(self, width: int, expand: int = 4) -> None:
        super().__init__()
        hidden = width * expand
        self.conv1 = ConvNorm(width, hidden, 1)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, width, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Map to map."""
        wide = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(wide))


class Downsample(nn.Module):
    """To the next stage's width, at half the resolution unless that width is `KEEPS_RESOLUTION`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs, 1)
        self.conv2 = ConvNorm(outputs, outputs, 3, 1 if outputs == KEEPS_RESOLUTION else 2, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """Map to a narrower or equal map of other width."""
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))  # type: ignore[no-any-return]

    def of_tokens(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b y x d"]:
        """The same of channels last."""
        return self(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class BiasedAttention(nn.Module):
    """Attention in one window with a learned bias per absolute offset (|dy|, |dx|); the norm stands inside."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Attend among the tokens of each window."""
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, n, self.heads, 3, c // self.heads).permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self._offsets(x.device)].to(q.dtype)
        if q.requires_grad and q.dtype == torch.bfloat16 and q.device.type == "cpu":  # whose fused backward pass is the slower
            out = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias).softmax(-1) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.expand(b, -1, -1, -1))
        return self.proj(out.transpose(1, 2).reshape(b, n, c))  # type: ignore[no-any-return]

    def _offsets(self, device: torch.device) -> Tensor:
        """Entry of the bias table for each pair of tokens; computed anew, so that no cache outlives a load."""
        place = torch.arange(self.window, device=device)
        apart = (place[:, None] - place[None, :]).abs()
        rows = apart.repeat_interleave(self.window, 0).repeat_interleave(self.window, 1)
        return rows * self.window + apart.repeat(self.window, self.window)


class NormMlp(nn.Module):
    """Layer norm and two linear layers."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        """Apply to the last axis."""
        return self.fc2(F.gelu(self.fc1(self.norm(x))))  # type: ignore[no-any-return]


class TinyBlock(nn.Module):
    """Windowed attention, a depth-wise convolution over the whole map, an MLP."""

    def __init__(self, width: int, heads: int, window: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.window = window
        self.attn = BiasedAttention(width, heads, window)
        self.mlp = NormMlp(width, width * mlp_ratio)
        self.local_conv = ConvNorm(width, width, 3, groups=width)

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """Tokens to tokens."""
        windows = partition(x, self.window)
        seen = self.attn(windows.flatten(1, 2)).view_as(windows)
        x = x + join(seen, (x.shape[1], x.shape[2]))
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.mlp(x)  # type: ignore[no-any-return]


class Stage(nn.Module):
    """Blocks of one resolution and, except in the last stage, the way down to the next."""

    def __init__(self, shape: TinyVitShape, index: int) -> None:
        super().__init__()
        width = shape.widths[index]
        self.convolutional = index == 0
        self.blocks = nn.ModuleList(
            InvertedBottleneck(width) if index == 0 else TinyBlock(width, shape.heads[index], shape.windows[index])
            for _ in range(shape.depths[index])
        )
        self.downsample = Downsample(width, shape.widths[index + 1]) if index + 1 < len(shape.widths) else None

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b y x d"]:
        """Tokens of this stage to tokens of the next."""
        if self.convolutional:
            maps = x.permute(0, 3, 1, 2)
            for block in self.blocks:
                maps = block(maps)
            x = maps.permute(0, 2, 3, 1)
        else:
            for block in self.blocks:
                x = block(x)
        if self.downsample is None:
            return x
        return self.downsample.of_tokens(x)


class TinyVit(nn.Module):
    """The encoder of MobileSAM and LiteMedSAM. Its `blocks`, for `features`, are its stages."""

    def __init__(self, shape: TinyVitShape) -> None:
        super().__init__()
        self.shape = shape
        self.patch_embed = Stem(shape.widths[0], shape.stem_stride)
        self.layers = nn.ModuleList(Stage(shape, i) for i in range(len(shape.widths)))
        self.neck = Neck(shape.widths[-1], shape.out_channels)

    @property
    def blocks(self) -> nn.ModuleList:
        """The stages."""
        return self.layers

    @property
    def side(self) -> int:
        """Pixels of the square input."""
        return self.shape.side

    @property
    def grid(self) -> int:
        """Positions along a side of the image embedding."""
        return self.shape.grid

    @property
    def coarse_stages(self) -> list[Stage]:
        """The stages of attention whose tokens have the resolution of the embedding: all from one of them on."""
        found: list[Stage] = []
        side = self.side // self.shape.stem_stride
        for index in range(len(self.layers)):
            stage = self.layers[index]
            if not isinstance(stage, Stage):
                raise AssertionError("a TinyViT consists of stages")
            if side == self.grid and not stage.convolutional:
                found.append(stage)
            if stage.downsample is not None:
                side //= stage.downsample.conv2.c.stride[0]
        return found

    def embed(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b h w c"]:
        """The stem's map as tokens."""
        return self.patch_embed(images).permute(0, 2, 3, 1)  # type: ignore[no-any-return]

    def forward(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b d h w"]:
        """Scaled, padded images of `side` pixels to image embeddings."""
        tokens, _ = run_blocks(self.embed(images), self.blocks)
        return self.neck(tokens)  # type: ignore[no-any-return]

    def features(
        self, images: Float[Tensor, "b 3 y x"], after: Sequence[int]
    ) -> tuple[Float[Tensor, "b d h w"], list[Float[Tensor, "b ..."]]]:
        """The embedding and the tokens after the named stages, in the order asked for.

        Raises:
            InvalidConfig: when a stage does not exist.
        """
        tokens, kept = run_blocks(self.embed(images), self.blocks, after)
        return self.neck(tokens), kept
