"""An object as a continuous function over a picture, and the same on a lattice of any resolution.

On a lattice the first linear layer is not applied place by place: a map can be interpolated after the layer as well as before
it, the position features are the same for all images, and the position code is a sum over rows and columns. What remains for
each place is the 32 image features. The coarse network runs once, whatever the number of stochastic passes (they differ
behind its last hidden layer), and the fine one where it is needed. Lattices go through in chunks of rows, so that memory does
not grow with them; a chunk's answers depend on nothing outside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64
from torch import Tensor, nn

from promisam.core import Grid, Scores
from promisam.core.errors import GridMismatch
from promisam.methods.imedsam.codes import PositionCode
from promisam.methods.imedsam.field import DROPOUT, ImplicitField, variance
from promisam.methods.imedsam.places import Taps, at_places, released_unit_of, unit_of
from promisam.sam.frame import Frame

CHUNK = 16_384  # places at a time: 64 MB for the widest layer


@dataclass(frozen=True, eq=False)
class PictureField:
    """One object of one picture. Keeps the `Field` contract of `promisam.core`.

    Attributes:
        grid: of the picture.
        frame: how it sits in the frame.
        field: the networks, in evaluation mode.
        number: of the class.
        canvas: the decoder's image features (c, y, x).
        positions: of the prompt encoder, (d, h, w).
        code: of places.
        prior: logits that the field's are added to (y, x); None without.
        seed: of the stochastic passes; None for the release's, which agree with each other.
        chunk: places at a time.
    """

    grid: Grid
    frame: Frame
    field: ImplicitField
    number: int
    canvas: Float[Tensor, "c y x"]
    positions: Float[Tensor, "d h w"]
    code: PositionCode
    prior: Float[Tensor, "y x"] | None = None
    seed: int | None = 0
    chunk: int = CHUNK

    @torch.inference_mode()
    def on(self, grid: Grid) -> Scores:
        """Logits on a grid that covers the same picture at any resolution.

        Raises:
            GridMismatch: for a grid of something else.
        """
        if not self.grid.resample(grid.shape).matches(grid):
            raise GridMismatch(f"a grid of {grid}", expected=f"one that covers {self.grid}", do="Use grid.resample(shape).")
        lattice = _Lattice.of(self, grid)
        logits, uncertain = self._coarse(lattice)
        for chosen in torch.split(self._chosen(uncertain), self.chunk):
            places, codes = lattice.places(chosen)
            inputs = self._inputs(places, codes)
            logits[chosen] = self._fine(inputs, self._net.coarse(inputs), self._prior_at(places))
        return Scores(logits.view(1, *grid.shape).cpu().numpy(), grid)

    @torch.inference_mode()
    def at(self, points_zyx: Float64[np.ndarray, "n 2"]) -> Float32[np.ndarray, " n"]:
        """Logits at any places, array indices (y, x) of the picture, whole ones at the middle of its pixels.

        The fine network answers where the coarse one is at least as uncertain as where it answers on the picture's own grid; in
        the release, whose choice of points is arbitrary, nowhere.
        """
        parts = torch.split(torch.from_numpy(points_zyx), self.chunk) if len(points_zyx) else ()
        return np.concatenate([np.zeros(0, np.float32), *(self._at(part) for part in parts)])

    def _at(self, points: Float64[Tensor, "n 2"]) -> Float32[np.ndarray, " n"]:
        places, codes = self.unit(points), self.code_places(points)
        inputs, prior = self._inputs(places, codes), self._prior_at(places)
        hidden = self._net.coarse(inputs)
        logits = self._logits(hidden, prior)
        if self._draws is not None:
            wanted = torch.nonzero(self._uncertainty(hidden, prior) >= self._threshold)[:, 0]
            logits[wanted] = self._fine(inputs[wanted], hidden[wanted], prior[wanted])
        return logits.float().cpu().numpy()

    def unit(self, points_zyx: Float64[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Where the maps are asked."""
        return unit_of(self.frame, points_zyx).to(self.canvas.device)

    def code_places(self, points_zyx: Float64[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Where the position code is asked: the same, but in the release, which lays it from the first pixel to the last."""
        if self.seed is not None:
            return self.unit(points_zyx)
        return released_unit_of(self.grid.shape, points_zyx).to(self.canvas.device)

    @cached_property
    def _net(self) -> _Folded:
        return _Folded(self.field, self.number)

    @cached_property
    def _threshold(self) -> float:
        """The uncertainty above which the fine network answers on the picture's own grid."""
        _, uncertain = self._coarse(_Lattice.of(self, self.grid))
        k = self.field.count(len(uncertain))
        return float(uncertain.topk(k).values[-1]) if k else float("inf")

    @cached_property
    def _draws(self) -> Float[Tensor, "t h"] | None:
        """The coarse head's logit row under each pass's mask."""
        if self.seed is None or not self.field.share:
            return None
        generator = torch.Generator().manual_seed(self.seed)
        row = self._net.head[0][0]
        kept = torch.rand(self.field.passes, len(row), generator=generator) >= DROPOUT
        return row * kept.to(row) / (1 - DROPOUT)

    def _uncertainty(self, hidden: Float[Tensor, "n h"], prior: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        if self._draws is None:
            return hidden.new_zeros(len(hidden))
        return variance((hidden @ self._draws.T).T + self._net.head[1][0] + prior)

    def _chosen(self, uncertain: Float[Tensor, " n"]) -> Tensor:
        return uncertain.topk(self.field.count(len(uncertain))).indices.sort().values

    def _coarse(self, lattice: _Lattice) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """Coarse logits and uncertainties of a whole lattice, row-major."""
        logits, uncertain = [], []
        for hidden, prior in lattice.hidden(self._net, self.canvas, self.positions, self.prior, self.chunk):
            logits.append(self._logits(hidden, prior))
            uncertain.append(self._uncertainty(hidden, prior))
        return torch.cat(logits), torch.cat(uncertain)

    def _logits(self, hidden: Float[Tensor, "n h"], prior: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Of the coarse network."""
        return hidden @ self._net.head[0][0] + self._net.head[1][0] + prior

    def _fine(
        self, inputs: Float[Tensor, "n i"], hidden: Float[Tensor, "n h"], prior: Float[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        features = F.linear(hidden, self._net.head[0][1:], self._net.head[1][1:])
        return self._net.fine(torch.cat([inputs, features], -1))[:, 0] + prior

    def _inputs(self, places: Float[Tensor, "n 2"], codes: Float[Tensor, "n 2"]) -> Float[Tensor, "n i"]:
        code = self.code.rows(codes[:, 0]) + self.code.columns(codes[:, 1])
        return torch.cat(
            [at_places(self.canvas[None], places[None])[0], at_places(self.positions[None], places[None])[0], code], -1
        )

    def _prior_at(self, places: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        if self.prior is None:
            return places.new_zeros(len(places))
        return at_places(self.prior[None, None], places[None])[0, :, 0]


@dataclass(frozen=True, eq=False)
class _Lattice:
    """Rows and columns of a grid over a picture: where the maps are asked, and where the position code is."""

    y: Float[Tensor, " h"]
    x: Float[Tensor, " w"]
    code_y: Float[Tensor, " h"]
    code_x: Float[Tensor, " w"]
    code: PositionCode

    @classmethod
    def of(cls, field: PictureField, grid: Grid) -> _Lattice:
        axes = []
        for axis in range(2):
            n, size = grid.shape[axis], field.grid.shape[axis]
            index = (torch.arange(n, dtype=torch.float64) + 0.5) * size / n - 0.5
            points = torch.zeros(n, 2, dtype=torch.float64)
            points[:, axis] = index
            here = field.unit(points)[:, axis]
            released = torch.linspace(-1, 1, n) if n > 1 else torch.full((1,), -1.0)
            axes.append((here, here if field.seed is not None else released.to(here)))
        return cls(axes[0][0], axes[1][0], axes[0][1], axes[1][1], field.code)

    def places(self, numbers: Tensor) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2"]]:
        """Of points by their number, row-major: for the maps and for the code."""
        row, column = numbers // len(self.x), numbers % len(self.x)
        return torch.stack([self.y[row], self.x[column]], -1), torch.stack([self.code_y[row], self.code_x[column]], -1)

    def hidden(
        self, net: _Folded, canvas: Tensor, positions: Tensor, prior: Tensor | None, chunk: int
    ) -> Iterator[tuple[Float[Tensor, "n h"], Float[Tensor, " n"]]]:
        """Hidden features of the coarse network, and priors, rows after rows."""
        weight, bias = net.first
        image, place, code = torch.split(weight, [len(canvas), len(positions), self.code.dims], 1)
        from_places = F.linear(positions.permute(1, 2, 0), place, bias)
        from_rows = F.linear(self.code.rows(self.code_y), code)
        from_columns = F.linear(self.code.columns(self.code_x), code)
        pixels = canvas.permute(1, 2, 0).contiguous()
        across, wide = Taps.of(self.x, positions.shape[2]), Taps.of(self.x, canvas.shape[2])
        for rows in torch.split(torch.arange(len(self.y), device=self.y.device), max(1, chunk // len(self.x))):
            low = Taps.of(self.y[rows], positions.shape[1]).rows(from_places) + from_rows[rows, None]
            first = across.columns(low).add_(from_columns).flatten(0, 1)
            fine_rows = Taps.of(self.y[rows], canvas.shape[1])
            first.addmm_(wide.columns(fine_rows.rows(pixels)).flatten(0, 1), image.T)
            known = first.new_zeros(len(first))
            if prior is not None:
                known = wide.columns(fine_rows.rows(prior[..., None])).flatten()
            yield net.rest(first.relu_()), known


class _Folded:
    """The networks of one class in evaluation mode, each norm folded into the linear layer before it."""

    def __init__(self, field: ImplicitField, number: int) -> None:
        self.first, second = _fold(field.coarse)
        self._second = second
        self.head = _fold([field.coarse_heads[number]])[0]
        fine_head = field.fine_heads[number]
        self._fine = [*_fold(field.fine), *_fold(fine_head.children())]

    def coarse(self, inputs: Float[Tensor, "n i"]) -> Float[Tensor, "n h"]:
        """Inputs to the hidden features."""
        return self.rest(F.linear(inputs, *self.first).relu_())

    def rest(self, first: Float[Tensor, "n w"]) -> Float[Tensor, "n h"]:
        """The first layer's answer to the hidden features."""
        return F.linear(first, *self._second).relu_()

    def fine(self, inputs: Float[Tensor, "n i"]) -> Float[Tensor, "n 1"]:
        """Inputs and coarse features to logits."""
        for weight, bias in self._fine[:-1]:
            inputs = F.linear(inputs, weight, bias).relu_()
        return F.linear(inputs, *self._fine[-1])


def _fold(layers: Iterable[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    found: list[tuple[Tensor, Tensor]] = []
    for layer in layers:
        if isinstance(layer, nn.Linear):
            found.append((layer.weight, layer.bias))
        elif isinstance(layer, nn.BatchNorm1d) and layer.running_mean is not None and layer.running_var is not None:
            weight, bias = found.pop()
            scale = layer.weight * torch.rsqrt(layer.running_var + layer.eps)
            found.append((weight * scale[:, None], (bias - layer.running_mean) * scale + layer.bias))
    return found
