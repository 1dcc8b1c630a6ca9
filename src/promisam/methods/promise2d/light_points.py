"""Points from learned queries, frugally: ours, after the cross-attention form of Wang et al. 2024."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from promisam.methods.promise2d.cross_attention import CrossLayer, sine_positions
from promisam.methods.promise2d.levels import as_maps
from promisam.methods.promise2d.slots import Slots

WIDTH = 256
HEADS = 8


class LightPoints(nn.Module):
    """Three layers of cross-attention at 256 channels on the features as they are: 3 M weights where `CrossPoints` has 44 M.

    Beside width and resolution two things differ: features are normalised first, since an encoder's tokens are sums of many
    blocks and of any size; and positions are part of what a query reads, not only of where it looks, since a position is
    what it has to answer.

    Args:
        widths: channels of the features, from early to late.
        points: slots of a class, a learned query each.
        classes: groups of slots.
        anchored: see `Slots`.
    """

    def __init__(self, widths: Sequence[int], points: int = 16, classes: int = 1, *, anchored: bool = False) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Sequential(nn.LayerNorm(w), nn.Linear(w, WIDTH)) for w in widths)
        self.level_embedding = nn.Embedding(len(widths), WIDTH)
        self.query_feat = nn.Embedding(classes * points, WIDTH)
        self.query_embedding = nn.Embedding(classes * points, WIDTH)
        self.layers = nn.ModuleList(CrossLayer(WIDTH, HEADS) for _ in widths)
        self.head = nn.Linear(WIDTH, 2)
        self.slots = Slots(classes, points, anchored=anchored)

    def raw(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b classes points 2"]:
        """Numbers without bounds, before `Slots`."""
        maps = as_maps(features)
        queries = self.query_feat.weight.expand(len(maps[0]), -1, -1)
        h, w = maps[0].shape[2:]
        positions = sine_positions(h, w, WIDTH, queries.device).to(queries)
        parts = zip(maps[::-1], reversed(self.narrow), self.level_embedding.weight, self.layers, strict=True)
        for level, narrow, embedding, layer in parts:
            placed = narrow(level.flatten(2).transpose(1, 2)) + embedding + positions
            queries = layer(queries, self.query_embedding.weight, placed, placed)
        return self.head(queries).unflatten(1, (self.slots.classes, self.slots.points))  # type: ignore[no-any-return]

    def forward(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b classes points 2"]:
        """Tokens (b, h, w, c) from early to late to unit points (x, y)."""
        return self.slots(self.raw(features))  # type: ignore[no-any-return]
