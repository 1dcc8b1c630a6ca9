"""What a person (or a method) points at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from promisam.core.errors import GridMismatch, InvalidPrompt
from promisam.core.grid import Grid

PromptKind = Literal["points", "box", "mask"]


def _no_points() -> Float64[np.ndarray, "0 0"]:
    return np.zeros((0, 0))


def _no_labels() -> Int64[np.ndarray, " 0"]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Prompts:
    """The prompts for one object: clicks, at most one box, at most one mask.

    A frozen value: `click` and friends return a new one, so an undo history is a list.

    Attributes:
        grid: the image that the prompts were given on.
        points_zyx: array indices (y, x) or (z, y, x), fractions allowed; whole numbers are sample centres.
        labels: 1 for a point on the object, 0 for one off it.
        box_zyx: lowest and highest sample of the object, both included; None without a box.
        mask: a rough mask of the object on the grid; None without one.
        target: which class is meant, by name, of a method that learned several; empty where that is clear.

    Raises:
        InvalidPrompt: for anything off the image, inverted, empty or malformed.
    """

    grid: Grid
    points_zyx: Float64[np.ndarray, "n d"] = field(default_factory=_no_points)
    labels: Int64[np.ndarray, " n"] = field(default_factory=_no_labels)
    box_zyx: Float64[np.ndarray, "2 d"] | None = None
    mask: Bool[np.ndarray, "*grid"] | None = None
    target: str = ""

    def __post_init__(self) -> None:
        """Refuse what lies off the image or means nothing."""
        if not len(self.points_zyx):
            object.__setattr__(self, "points_zyx", np.zeros((0, self.grid.ndim)))
        self._keep_own_arrays()
        self._check_points(self.points_zyx)
        if self.box_zyx is not None:
            self._check_box(self.box_zyx)
        if self.mask is not None:
            self._check_mask(self.mask)

    def click(self, at_zyx: Sequence[float | int], positive: bool = True) -> Prompts:
        """With one more point, on the object or (positive=False) off it."""
        if len(at_zyx) != self.grid.ndim:
            raise _wrong_length("point", at_zyx, self.grid)
        points = np.vstack([self.points_zyx, np.asarray(at_zyx, np.float64)[None]])
        return replace(self, points_zyx=points, labels=np.append(self.labels, np.int64(positive)))

    def with_box(self, low_zyx: Sequence[float | int], high_zyx: Sequence[float | int]) -> Prompts:
        """With this box, both corners included, in place of any other."""
        for corner in (low_zyx, high_zyx):
            if len(corner) != self.grid.ndim:
                raise _wrong_length("box corner", corner, self.grid)
        return replace(self, box_zyx=np.asarray([low_zyx, high_zyx], np.float64))

    def with_mask(self, mask: Bool[np.ndarray, "*grid"] | None, grid: Grid | None = None) -> Prompts:
        """With this rough mask in place of any other; `grid` says where the mask lies, if not certainly here.

        Raises:
            GridMismatch: when the mask's grid is not this one.
        """
        if grid is not None and not grid.matches(self.grid):
            raise GridMismatch(
                f"a mask prompt on a grid of {grid}",
                expected=f"the image's own grid of {self.grid}",
                do="Resample the mask to the image first.",
            )
        return replace(self, mask=mask)

    @property
    def kinds(self) -> frozenset[PromptKind]:
        """Which kinds of prompt are present."""
        found: set[PromptKind] = set()
        if len(self.points_zyx):
            found.add("points")
        if self.box_zyx is not None:
            found.add("box")
        if self.mask is not None:
            found.add("mask")
        return frozenset(found)

    def on(self, grid: Grid) -> Prompts:
        """The same prompts on another grid of as many axes, through the patient's space.

        Raises:
            GridMismatch: for a grid of another number of axes.
            InvalidPrompt: when they lie off the other image.
        """
        from promisam.core.segmentation import Segmentation

        if grid.ndim != self.grid.ndim:
            raise GridMismatch(
                f"prompts on an image of {self.grid.ndim} axes for one of {grid.ndim}",
                expected="equal numbers of axes",
                do="Use prompts.slice(axis, index) to go from a volume to one of its slices.",
            )
        points = grid.to_index(self.grid.to_mm(self.points_zyx))
        box = None
        if self.box_zyx is not None:
            edges = self.box_zyx + np.array([[-0.5], [0.5]])  # a box covers its samples whole
            corners = np.stack(np.meshgrid(*edges.T, indexing="ij"), -1).reshape(-1, self.grid.ndim)
            moved = grid.to_index(self.grid.to_mm(corners))
            box = np.stack([moved.min(axis=0) + 0.5, moved.max(axis=0) - 0.5])
            box = _at_least_a_sample(box)
        mask = None
        if self.mask is not None:
            mask = Segmentation(self.mask.astype(np.uint8), self.grid).resample(grid).mask()
        return Prompts(grid, points, self.labels, box, mask, self.target)

    def slice(self, axis: int, index: int) -> Prompts:
        """What of the prompts stands on one slice of a volume: its clicks, a box that covers it, the mask."""
        grid = self.grid.slice(axis, index)
        kept = [a for a in range(3) if a != axis]
        here = np.rint(self.points_zyx[:, axis]) == index
        box = None
        if self.box_zyx is not None and np.rint(self.box_zyx[0, axis]) <= index <= np.rint(self.box_zyx[1, axis]):
            box = self.box_zyx[:, kept]
            flat = box[0] == box[1]  # in the plane a box needs an extent: that of its one sample
            box = np.clip(box + np.where(flat, [[-0.5], [0.5]], 0.0), -0.5, np.asarray(grid.shape) - 0.5)
        mask = None if self.mask is None else np.take(self.mask, index, axis=axis)
        mask = mask if mask is not None and mask.any() else None
        return Prompts(grid, self.points_zyx[here][:, kept], self.labels[here], box, mask, self.target)

    def _keep_own_arrays(self) -> None:
        """Read-only copies, so that no value of an undo history can change."""
        for name in ("points_zyx", "labels", "box_zyx", "mask"):
            given = getattr(self, name)
            if given is not None and (given.flags.writeable or given.base is not None):
                own = given.copy()
                own.flags.writeable = False
                object.__setattr__(self, name, own)

    def _check_points(self, points: np.ndarray) -> None:
        if points.shape[1] != self.grid.ndim or self.labels.shape != (len(points),):
            raise InvalidPrompt(
                f"{len(points)} points of {points.shape[1]} coordinates with {len(self.labels)} labels",
                expected=f"{self.grid.ndim} coordinates and one label each",
                do="Give x,y on a picture and x,y,z in a volume.",
            )
        if not np.isin(self.labels, (0, 1)).all():
            raise InvalidPrompt(
                f"point labels {sorted(set(self.labels.tolist()))}",
                expected="1 (on the object) or 0 (off it)",
                do="Write + or - on the command line.",
            )
        inside = self.grid.contains(points)
        if not inside.all():
            raise _off_image("point", points[~inside][0], self.grid)

    def _check_box(self, box: np.ndarray) -> None:
        if box.shape != (2, self.grid.ndim):
            raise _wrong_length("box corner", box[0].tolist(), self.grid)
        for corner in box:
            if not self.grid.contains(corner[None])[0]:
                raise _off_image("box corner", corner, self.grid)
        extent = box[1] - box[0]
        if (extent < 0).any() or np.count_nonzero(extent > 0) < 2:
            raise InvalidPrompt(
                f"the {'inverted' if (extent < 0).any() else 'empty'} box from {_xyz(box[0])} to {_xyz(box[1])}",
                expected="a lowest and a highest corner with some width and height between them",
                do="Give x0,y0[,z0],x1,y1[,z1] with the lower corner first.",
            )

    def _check_mask(self, mask: np.ndarray) -> None:
        if mask.shape != self.grid.shape or mask.dtype != np.bool_:
            raise InvalidPrompt(
                f"a mask prompt of shape {mask.shape} and type {mask.dtype}",
                expected=f"true and false on {self.grid.shape}",
                do="Resample the mask to the image and compare it with the label that you mean.",
            )
        if not mask.any():
            raise InvalidPrompt(
                "an empty mask prompt", expected="at least one marked sample", do="Leave the mask out, or mark the object."
            )


def _at_least_a_sample(box: np.ndarray) -> np.ndarray:
    """Along axes where a box is thinner than a sample: its middle, as long as two axes keep an extent."""
    thin = box[1] - box[0] < 1e-6
    box = np.sort(box, axis=0)
    if np.count_nonzero(~thin) >= 2:
        box[:, thin] = box[:, thin].mean(axis=0)
    return box


def _xyz(point_zyx: np.ndarray) -> str:
    return ",".join(f"{v:g}" for v in reversed(point_zyx.tolist()))


def _off_image(what: str, point_zyx: np.ndarray, grid: Grid) -> InvalidPrompt:
    size = ", ".join(f"{axis} 0 to {n - 1}" for axis, n in zip("xyz", reversed(grid.shape), strict=False))
    return InvalidPrompt(
        f"the {what} {_xyz(point_zyx)}, which lies off the image",
        expected=f"a position within it: {size}",
        do="Give voxel indices as viewers show them (or patient millimetres with --world: the position above is their index).",
    )


def _wrong_length(what: str, given: Sequence[float | int], grid: Grid) -> InvalidPrompt:
    return InvalidPrompt(
        f"a {what} of {len(given)} coordinates",
        expected=f"{grid.ndim}, since the image has {grid.ndim} axes",
        do="Give x,y on a picture and x,y,z in a volume.",
    )
