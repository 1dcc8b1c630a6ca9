"""SAM's prompt encoder: points, boxes and masks to tokens and a dense map (Kirillov et al. 2023, appendix A)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from promisam.sam.norm import LayerNorm2d

PADDING = -1  # label of a point that stands for "no box given"


@dataclass(frozen=True)
class PromptShape:
    """The sizes of a prompt encoder.

    Attributes:
        width: channels of a token.
        side: pixels of the frame that points and boxes are given in.
        grid: positions along a side of the image embedding; mask prompts have four times as many.
        mask_width: hidden channels of the mask branch.
    """

    width: int
    side: int
    grid: int
    mask_width: int


class FourierPositions(nn.Module):
    """Random Fourier features of positions in the unit square (Tancik et al. 2020)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, features))
        self.positional_encoding_gaussian_matrix: Tensor

    def forward(self, unit_xy: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b c"]:
        """Sines, then cosines; positions from 0 to 1."""
        angles = 2 * math.pi * ((2 * unit_xy - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos()], -1)


class PromptEncoder(nn.Module):
    """Prompts in the model's frame to what the mask decoder takes."""

    def __init__(self, shape: PromptShape) -> None:
        super().__init__()
        self.shape = shape
        width, hidden = shape.width, shape.mask_width
        self.pe_layer = FourierPositions(width // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(4))  # off, on, low corner, high corner
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, hidden // 4, 2, stride=2),
            LayerNorm2d(hidden // 4),
            nn.GELU(),
            nn.Conv2d(hidden // 4, hidden, 2, stride=2),
            LayerNorm2d(hidden),
            nn.GELU(),
            nn.Conv2d(hidden, width, 1),
        )
        self.no_mask_embed = nn.Embedding(1, width)

    def forward(
        self,
        points_xy: Float[Tensor, "b n 2"] | None = None,
        labels: Int64[Tensor, "b n"] | None = None,
        boxes_xyxy: Float[Tensor, "b 4"] | None = None,
        masks: Float[Tensor, "b 1 y x"] | None = None,
    ) -> tuple[Float[Tensor, "b t c"], Float[Tensor, "b c h w"]]:
        """Sparse tokens (points, then box corners) and the dense map.

        Args:
            points_xy: pixels of the frame; whole numbers are pixel centres.
            labels: 1 on the object, 0 off it, -1 padding.
            boxes_xyxy: lowest and highest pixel.
            masks: logits of four times the embedding's grid.
        """
        given = next((len(x) for x in (points_xy, boxes_xyxy, masks) if x is not None), 1)
        sparse = self.no_mask_embed.weight.new_zeros(given, 0, self.shape.width)
        if points_xy is not None and labels is not None:
            sparse = torch.cat([sparse, self.points(points_xy, labels, pad=boxes_xyxy is None)], 1)
        if boxes_xyxy is not None:
            sparse = torch.cat([sparse, self.boxes(boxes_xyxy)], 1)
        if masks is not None:
            return sparse, self.mask_downscaling(masks)
        grid = self.shape.grid
        return sparse, self.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(given, -1, grid, grid)

    def points(self, points_xy: Float[Tensor, "b n 2"], labels: Int64[Tensor, "b n"], *, pad: bool) -> Float[Tensor, "b m c"]:
        """Tokens of points; `pad` adds the one that says "no box"."""
        if pad:
            points_xy = torch.cat([points_xy, points_xy.new_zeros(len(points_xy), 1, 2)], 1)
            labels = torch.cat([labels, labels.new_full((len(labels), 1), PADDING)], 1)
        place = self.pe_layer((points_xy + 0.5) / self.shape.side)
        meaning = self._meanings()[:2][labels.clamp(min=0)]
        is_padding = (labels == PADDING)[..., None]
        return torch.where(is_padding, self.not_a_point_embed.weight[0], place + meaning)

    def boxes(self, boxes_xyxy: Float[Tensor, "b 4"]) -> Float[Tensor, "b 2 c"]:
        """Tokens of the lower and the upper corner."""
        place = self.pe_layer((boxes_xyxy.view(-1, 2, 2) + 0.5) / self.shape.side)
        return place + self._meanings()[2:]  # type: ignore[no-any-return]

    def dense_positions(self) -> Float[Tensor, "1 c h w"]:
        """Position code of every place of the image embedding."""
        grid = self.shape.grid
        centre = (torch.arange(grid).to(self.no_mask_embed.weight) + 0.5) / grid
        xy = torch.stack([centre.expand(grid, grid), centre[:, None].expand(grid, grid)], -1)
        return self.pe_layer(xy).permute(2, 0, 1)[None]  # type: ignore[no-any-return]

    def _meanings(self) -> Float[Tensor, "4 c"]:
        """What a point off the object, one on it, a box's low and its high corner mean."""
        return torch.cat(list(self.point_embeddings.parameters()))
