"""Points from learned queries that look at enlarged features: Wang et al. 2024, figure 2, "APM-Cross"."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from promisam.methods.promise2d.cross_attention import CrossLayer, sine_positions
from promisam.methods.promise2d.levels import as_maps
from promisam.methods.promise2d.slots import Slots

LEVELS = 3
MOST_HEADS = 12  # of the release, at a width of 768


class Enlarge(nn.Module):
    """Twice the size, less the border of one convolution without padding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.conv = nn.Conv2d(width, width, 3)
        self.batchnorm = nn.BatchNorm2d(width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c y x"]:
        """Side n to 2 n - 2."""
        return F.relu(self.batchnorm(self.conv(self.deconv(x))))


class CrossPoints(nn.Module):
    """Three layers of cross-attention, one for each depth of the encoder: the latest first, the earlier ones enlarged.

    As released; with features of 64 x 64 the last layer looks at 250 x 250 tokens, which takes 2 GB per image in
    training: `LightPoints` is the frugal form. Features narrower than the widest get a linear projection to its width, so
    that a plain ViT has none.

    Args:
        widths: channels of the features, from early to late.
        points: slots of a class, a learned query each.
        classes: groups of slots.
        anchored: see `Slots`.
    """

    def __init__(self, widths: Sequence[int], points: int = 16, classes: int = 1, *, anchored: bool = False) -> None:
        super().__init__()
        width = 4 * -(-max(widths) // 4)  # the position code needs sines and cosines for two axes
        heads = next(n for n in range(MOST_HEADS, 0, -1) if width % n == 0)
        self.project = nn.ModuleList(nn.Conv2d(w, width, 1) if w != width else nn.Identity() for w in widths)
        self.enlarge_middle = Enlarge(width)
        self.enlarge_early = nn.Sequential(Enlarge(width), Enlarge(width))
        self.level_embedding = nn.Embedding(LEVELS, width)
        self.query_feat = nn.Embedding(classes * points, width)
        self.query_embedding = nn.Embedding(classes * points, width)
        self.layers = nn.ModuleList(CrossLayer(width, heads) for _ in range(LEVELS))
        self.head = nn.Linear(width, 2)
        self.slots = Slots(classes, points, anchored=anchored)

    def levels(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> list[Float[Tensor, "b c _ _"]]:
        """The maps that the layers look at, in their order."""
        early, middle, late = (project(x) for project, x in zip(self.project, as_maps(features), strict=True))
        return [late, self.enlarge_middle(middle), self.enlarge_early(early)]

    def queries(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> list[Float[Tensor, "b n c"]]:
        """The queries after each layer."""
        levels = self.levels(features)
        found, after = self.query_feat.weight.expand(len(levels[0]), -1, -1), []
        for level, embedding, layer in zip(levels, self.level_embedding.weight, self.layers, strict=True):
            values = level.flatten(2).transpose(1, 2) + embedding
            _, width, h, w = level.shape
            positions = sine_positions(h, w, width, level.device).to(values)
            found = layer(found, self.query_embedding.weight, values + positions, values)
            after.append(found)
        return after

    def raw(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b classes points 2"]:
        """Numbers without bounds, before `Slots`."""
        numbers = self.head(self.queries(features)[-1])
        return numbers.unflatten(1, (self.slots.classes, self.slots.points))  # type: ignore[no-any-return]

    def forward(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b classes points 2"]:
        """Tokens (b, h, w, c) from early to late to unit points (x, y)."""
        return self.slots(self.raw(features))  # type: ignore[no-any-return]
