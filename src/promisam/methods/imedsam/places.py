"""Where a place of a picture lies in the frame, and what the decoder's maps hold there.

Places are unit coordinates of the frame, (y, x) from -1 at its low border to 1 at its high one. Maps hold means of equal
cells; between the centres of cells they are interpolated, and beyond the outer centres constant, as when a map is resized.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from promisam.sam.frame import Frame


def unit_of(frame: Frame, points_zyx: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b 2"]:
    """Array indices (y, x) of the picture to unit coordinates of the frame."""
    shape = torch.tensor(frame.shape, dtype=torch.float64, device=points_zyx.device)
    resized = torch.tensor(frame.resized, dtype=torch.float64, device=points_zyx.device)
    return (2 * (points_zyx.double() + 0.5) / shape * resized / frame.side - 1).float()


def released_unit_of(shape: tuple[int, ...], points_zyx: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b 2"]:
    """The same as the release lays it under its position code: from the middle of the first pixel to that of the last."""
    steps = torch.tensor([max(n - 1, 1) for n in shape], dtype=torch.float64)
    return (2 * points_zyx / steps - 1).float()


def at_places(maps: Float[Tensor, "b c h w"], places: Float[Tensor, "b n 2"]) -> Float[Tensor, "b n c"]:
    """Values of maps at places."""
    xy = places.flip(-1)[:, :, None].to(maps.dtype)
    found = F.grid_sample(maps, xy, mode="bilinear", padding_mode="border", align_corners=False)
    return found[..., 0].transpose(1, 2)


@dataclass(frozen=True)
class Taps:
    """The two cells on either side of each place along one axis, and how much of the upper one it gets."""

    low: Tensor
    high: Tensor
    upper: Tensor

    @classmethod
    def of(cls, places: Float[Tensor, " n"], cells: int) -> Taps:
        """Of unit coordinates along an axis of so many cells."""
        index = (((places.double() + 1) * cells - 1) / 2).clamp(0, cells - 1)
        low = index.floor().long()
        return cls(low, (low + 1).clamp(max=cells - 1), (index - low).float())

    def rows(self, maps: Float[Tensor, "h ..."]) -> Float[Tensor, "n ..."]:
        """Values between the rows of a map."""
        upper = self.upper.to(maps.dtype).view(-1, *[1] * (maps.ndim - 1))
        return torch.lerp(maps[self.low], maps[self.high], upper)

    def columns(self, maps: Float[Tensor, "h w c"]) -> Float[Tensor, "h n c"]:
        """Values between the columns of a map, channels last."""
        return torch.lerp(maps[:, self.low], maps[:, self.high], self.upper.to(maps.dtype)[None, :, None])
