"""Which images to annotate: what is asked for, and what comes out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from promisam.core.errors import InvalidConfig
from promisam.selection.medoids import LARGE, extended, k_medoids, nearest

Why = Literal["medoid", "included", "former"]

_DEVIATIONS = 3 * 1.4826  # of an outlier: median absolute deviations that make three standard deviations of a normal
_ALIKE = 0.01  # of the median distance between two images: nearer ones show the same
_ROUNDING = 1e-6  # of the features, whose distances are about 1
_BLOCK = 512


@dataclass(frozen=True)
class Request:
    """How many images to choose, and the rules.

    Attributes:
        k: how many in all.
        include: names that are chosen in any case.
        exclude: names that are never chosen; the others still stand for them.
        former: names of an earlier choice, in its order, all of which are kept; others are then added one by one.
        seed: of the random starts.
    """

    k: int
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    seed: int = 0

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names that are chosen whatever the images show: the former ones, then the included."""
        return tuple(dict.fromkeys((*self.former, *self.include)))

    def check(self, names: Collection[str]) -> None:
        """Refuse, before any work, what these images cannot give.

        Raises:
            InvalidConfig: for unknown names, for one that is to be chosen and left out, and for an impossible number.
        """
        for what, asked in (("former choice", self.former), ("include", self.include), ("exclude", self.exclude)):
            for name in asked:
                if name not in names:
                    raise _unknown(what, name, names)
        both = [name for name in self.wanted if name in self.exclude]
        if both:
            how = "included" if both[0] in self.include else "a former choice"
            raise InvalidConfig(f"{both[0]}, excluded and {how}", expected="one of the two", do="Leave one of them out.")
        if self.k < max(1, len(self.wanted)):
            raise InvalidConfig(
                f"{self.k} image{'s' if self.k != 1 else ''} to choose, with {len(self.wanted)} included or chosen formerly",
                expected=f"a number from {max(1, len(self.wanted))}",
                do="Choose more with -k.",
            )
        able = len(names) - len(set(self.exclude))
        if self.k > able:
            raise InvalidConfig(
                f"{self.k} images to choose out of {able}{' that are not excluded' if self.exclude else ''}",
                expected=f"at most {able}",
                do="Choose fewer with -k, or give more images.",
            )


@dataclass(frozen=True)
class Chosen:
    """An image to annotate.

    Attributes:
        name: of the image.
        rank: from 1; each image lowers the distance of all to the chosen ones most, after those before it.
        represents: how many images are nearest to it, itself counted.
        spread: their mean distance from it, its own of 0 counted.
        why: "medoid" for its features, "included" by the user, "former" for a choice that was extended.
    """

    name: str
    rank: int
    represents: int
    spread: float
    why: Why


@dataclass(frozen=True)
class Standing:
    """Where one of all images stands.

    Attributes:
        name: of the image.
        nearest: name of the chosen image that stands for it; its own if it is chosen.
        distance: from that one.
        outlier: whether it is so far from it that it is hardly stood for.
        near_duplicate_of: name of the image before it in alphabetical order that shows nearly the same; empty for none.
        same_file: whether the files of the two are equal to the byte.
    """

    name: str
    nearest: str
    distance: float
    outlier: bool = False
    near_duplicate_of: str = ""
    same_file: bool = False


@dataclass(frozen=True)
class Selection:
    """Which images to annotate, and what each of all images is to them.

    Distances are relative to these images: 1 is about how far an image lies from the mean of all.

    Attributes:
        chosen: by rank.
        images: every image, by name.
        outlier_beyond: the distance from which on an image counts as an outlier.
        duplicate_below: the distance up to which two images count as nearly the same.
    """

    chosen: tuple[Chosen, ...]
    images: tuple[Standing, ...]
    outlier_beyond: float
    duplicate_below: float

    @property
    def outliers(self) -> tuple[Standing, ...]:
        """From the farthest on."""
        return tuple(sorted((one for one in self.images if one.outlier), key=lambda one: (-one.distance, one.name)))

    @property
    def near_duplicates(self) -> tuple[Standing, ...]:
        """Those that show nearly what an image before them shows."""
        return tuple(one for one in self.images if one.near_duplicate_of)

    def members(self, name: str) -> tuple[Standing, ...]:
        """The images that a chosen one stands for, without itself, from near to far."""
        found = (one for one in self.images if one.nearest == name and one.name != name)
        return tuple(sorted(found, key=lambda one: (one.distance, one.name)))


def choose(
    names: Sequence[str], features: Float[np.ndarray, "n d"], request: Request, digests: Mapping[str, str] | None = None
) -> Selection:
    """Choose images by their features.

    Args:
        names: of all images, in any order.
        features: a row for each name; distances between rows say how unlike images are.
        request: what is asked for.
        digests: of the images' files, to tell copies; without them copies are told by their features.

    Raises:
        InvalidConfig: as of `Request.check`.
    """
    request.check(names)
    order = sorted(range(len(names)), key=lambda i: names[i])
    names, features = [names[i] for i in order], np.asarray(features, np.float64)[order]
    rows = {name: row for row, name in enumerate(names)}
    barred = [rows[name] for name in sorted(set(request.exclude))]
    wanted = [rows[name] for name in request.wanted]
    if request.former:
        picked = extended(features, wanted, request.k, barred=barred)
    else:
        picked = k_medoids(features, request.k, fixed=wanted, barred=barred, seed=request.seed)
    owner, away = nearest(features, picked)
    beyond = _outlier_beyond(np.delete(away, list(picked)))
    below = _duplicate_below(features)
    alike = _near_duplicates(features, below, [(digests or {}).get(name, "") for name in names])
    chosen = tuple(
        Chosen(
            names[row], rank, int((owner == rank - 1).sum()), float(away[owner == rank - 1].mean()), _why(names[row], request)
        )
        for rank, row in enumerate(picked, 1)
    )
    images = tuple(
        Standing(
            name,
            names[picked[int(owner[row])]],
            float(away[row]),
            bool(away[row] > beyond) and row not in picked,
            "" if row not in alike else names[alike[row][0]],
            row in alike and alike[row][1],
        )
        for row, name in enumerate(names)
    )
    return Selection(chosen, images, beyond, below)


def _why(name: str, request: Request) -> Why:
    if name in request.former:
        return "former"
    return "included" if name in request.include else "medoid"


def _outlier_beyond(away: Float[np.ndarray, " m"]) -> float:
    """Median and three deviations of the distances of those that are not chosen."""
    if not len(away):
        return 0.0
    median = float(np.median(away))
    return median + _DEVIATIONS * float(np.median(np.abs(away - median))) + _ROUNDING


def _duplicate_below(features: Float[np.ndarray, "n d"]) -> float:
    """A part of the median distance between two images; of many images, every n-th is asked."""
    asked = features[:: -(-len(features) // LARGE)]
    apart = cdist(asked, asked)[np.triu_indices(len(asked), 1)]
    return max(_ALIKE * float(np.median(apart)) if len(apart) else 0.0, _ROUNDING)


def _near_duplicates(features: Float[np.ndarray, "n d"], below: float, digests: Sequence[str]) -> dict[int, tuple[int, bool]]:
    """For each row that shows nearly what one before it shows: the nearest such row, and whether their files are equal."""
    found: dict[int, tuple[int, bool]] = {}
    for start in range(0, len(features), _BLOCK):
        away = cdist(features[start : start + _BLOCK], features)
        for row, distances in enumerate(away, start):
            best = int(distances[:row].argmin()) if row else -1
            if best >= 0 and distances[best] <= below:
                found[row] = (best, False)
    firsts: dict[str, int] = {}
    for row, digest in enumerate(digests):
        if digest and firsts.setdefault(digest, row) != row:
            found[row] = (firsts[digest], True)
    return found


def _unknown(what: str, name: str, names: Collection[str]) -> InvalidConfig:
    near = get_close_matches(name, sorted(names), n=1, cutoff=0.0)
    return InvalidConfig(
        f"the {what} {name!r}", expected="the name of one of the images", do=f"Did you mean {near[0]}?" if near else "Check it."
    )
