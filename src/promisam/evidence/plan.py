"""What is measured: profiles, and the entries that a profile makes of sets and methods."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from promisam.core.errors import InvalidConfig
from promisam.evidence.answers import About
from promisam.evidence.contestants import CONTESTANTS, Contestant, fitted_to
from promisam.evidence.sets import LabelledSet, folder_name

MOST_SUPPORTS = 10  # of a few-shot method


@dataclass(frozen=True)
class Profile:
    """How much is measured.

    Attributes:
        name: for the command line.
        sets: preferred where they are among the data; else all that are there.
        cases: at most so many of each of train and test, and a third of it of val; None for all.
        steps: of training, by method and axes.
        shots: numbers of labelled images of the curves, beside all of them.
        draws: of random prompts.
        sizes: of masks, in samples along the longer side.
        transfers: pairs of sets: what was learned on the first is tested on the second, too.
        methods: keys of the contestants; empty for all.
        without: contestants that are left out, by key and axes.
    """

    name: str
    sets: tuple[str, ...]
    cases: int | None
    steps: Mapping[tuple[str, int], int]
    shots: tuple[int, ...]
    draws: int
    sizes: tuple[int, ...]
    transfers: tuple[tuple[str, str], ...] = ()
    methods: tuple[str, ...] = ()
    without: tuple[tuple[str, int], ...] = ()


PROFILES = {
    "fast": Profile(
        "fast",
        ("minijsrt_lung", "msd_hippocampus"),
        cases=6,
        steps={
            ("unet", 2): 80,
            ("promise2d", 2): 16,
            ("imedsam", 2): 12,
            ("interactive", 2): 8,
            ("unet", 3): 100,
            ("promise3d", 3): 100,
        },
        shots=(1,),
        draws=5,
        sizes=(128, 512),
        without=(("mpa", 3),),  # minutes for each volume
    ),
    "full": Profile(
        "full",
        ("hc18", "busi", "cvc_clinicdb", "minijsrt_lung", "isic2018_512", "msd_hippocampus", "sts_mr"),
        cases=None,
        steps={
            ("unet", 2): 500,
            ("promise2d", 2): 250,
            ("imedsam", 2): 200,
            ("interactive", 2): 120,
            ("unet", 3): 1500,
            ("promise3d", 3): 1200,
        },
        shots=(1, 5, 10),
        draws=5,
        sizes=(128, 256, 512, 896),
        transfers=(("isic2018_512", "isic2017_full"),),
    ),
}


@dataclass(frozen=True)
class Entry:
    """One method on one set with so many labels: trained once, then asked in several ways.

    Attributes:
        contestant: the method.
        data: what it learns from.
        tested: what it is tested on; the test part of `data`, or another set.
        shots: labelled images; None for the whole training part, 0 for a method that learns nothing.
        options: of method and training.
        asked: prompts.
        draws: of random prompts.
        sizes: at which it answers, beside the images' own.
        profile: that it is part of.
    """

    contestant: Contestant
    data: LabelledSet
    tested: LabelledSet
    shots: int | None
    options: Mapping[str, Any] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    draws: int = 5
    sizes: tuple[int, ...] = ()
    profile: str = ""

    @property
    def labels(self) -> str:
        """How many labelled images it learns from, as tables say it."""
        return "all" if self.shots is None else str(self.shots)

    @property
    def about(self) -> About:
        """What tables say of it."""
        one, seen = self.contestant, self.tested.name in self.contestant.seen
        warnings = "; ".join(dict.fromkeys((*self.data.warnings, *self.tested.warnings)))
        cases = _digest({name: self.tested.content.get(name, "") for name in self.tested.test})
        return About(self.data.name, self.tested.name, one.key, one.title, seen, self.labels, self.profile, warnings, cases)

    @property
    def run(self) -> str:
        """Name of the run folder, which entries that differ in the test set alone share."""
        return folder_name(f"{self.data.name}.{self.contestant.key}.{self.labels}")

    @property
    def name(self) -> str:
        """Its own name."""
        return self.run if self.tested.name == self.data.name else folder_name(f"{self.run}.on.{self.tested.name}")

    @property
    def fingerprint(self) -> str:
        """Of everything that its figures depend on, machine and version apart."""
        told = asdict(self)
        del told["profile"]
        for part in ("data", "tested"):
            for name in ("path", "warnings", "group_by"):  # what these change stands in the parts and groups
                told[part].pop(name)
        return _digest(told)

    @property
    def lesson(self) -> str:
        """Fingerprint of what is learned, and how."""
        one, data = self.contestant, self.data
        learned = {name: data.content.get(name, "") for name in (*data.train, *data.val)}
        told = {"train": data.train, "val": data.val, "learned": learned, "classes": data.classes}
        return _digest([one.method, one.weights, one.learns, told, self.shots, dict(self.options)])


def _digest(told: object) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def plan(sets: Sequence[LabelledSet], profile: Profile) -> tuple[Entry, ...]:
    """All entries, set by set, what is cheap before what is not.

    Raises:
        InvalidConfig: for unknown methods.
    """
    known = {one.key for one in CONTESTANTS}
    unknown = [key for key in profile.methods if key not in known]
    if unknown:
        raise InvalidConfig(f"the method {unknown[0]}", expected=f"some of {', '.join(sorted(known))}", do="Check --methods.")
    by_name = {one.name: one for one in sets}
    found: list[Entry] = []
    for one in sets:
        others = [by_name[b] for a, b in profile.transfers if a == one.name and b in by_name]
        for contestant in _taking_part(one, profile):
            own = list(_entries(one, contestant, profile))
            moved = () if contestant.learns == "nothing" else others
            found += [*own, *(replace(own[-1], tested=other, asked=own[-1].asked[:1], sizes=()) for other in moved)]
    return tuple(found)


def left_out(sets: Sequence[LabelledSet], profile: Profile) -> Iterator[str]:
    """What a reader might look for and not find: methods that cannot take part, and numbers of labels that are too large."""
    asked = [one for one in CONTESTANTS if one.key in profile.methods]
    for one in sets:
        able = [c.key for c in asked or CONTESTANTS if c.ndim == one.ndim and c.learns != "nothing"]
        if able and not one.train:
            yield f"{', '.join(able)} on {one.name}, whose {len(one.test)} cases are too few to learn from as well"
        for key in dict.fromkeys(contestant.key for contestant in asked):
            if not any(contestant.ndim == one.ndim for contestant in asked if contestant.key == key):
                yield f"{key} on {one.name}, which it does not segment ({'volumes' if one.ndim == 3 else 'pictures'})"
        many = [k for k in profile.shots if one.train and k >= len(one.train)]
        if many:
            yield f"{', '.join(map(str, many))} labels of {one.name}, of which {len(one.train)} cases are there to learn from"


def _taking_part(one: LabelledSet, profile: Profile) -> Iterator[Contestant]:
    for contestant in CONTESTANTS:
        able = contestant.ndim == one.ndim and (bool(one.train) or contestant.learns == "nothing")
        wanted = not profile.methods or contestant.key in profile.methods
        if able and wanted and (contestant.key, contestant.ndim) not in profile.without:
            yield contestant


def _entries(one: LabelledSet, contestant: Contestant, profile: Profile) -> Iterator[Entry]:
    """With few labels first, with the most last."""
    if contestant.learns == "nothing":
        yield Entry(contestant, one, one, 0, contestant.options, contestant.asked, profile.draws, profile=profile.name)
        return
    most = len(one.train)
    shots: list[int | None] = [k for k in profile.shots if contestant.few and k < most]
    if contestant.learns == "trained":
        shots.append(None)
    elif min(MOST_SUPPORTS, most) not in shots:
        shots.append(min(MOST_SUPPORTS, most))
    for k in shots:
        options = _options(one, contestant, profile, k)
        asked, sizes = (
            (contestant.asked[:1], ()) if k != shots[-1] else (contestant.asked, profile.sizes if contestant.sizes else ())
        )
        yield Entry(contestant, one, one, k, options, asked, profile.draws, sizes, profile.name)


def _options(one: LabelledSet, contestant: Contestant, profile: Profile, shots: int | None) -> dict[str, Any]:
    """The contestant's, with as many epochs as make the profile's steps; few labels choose no checkpoint."""
    options = dict(fitted_to(contestant, one.shapes))
    if contestant.learns != "trained":
        return options
    count = len(one.train) if shots is None else shots
    batch = min(int(options.get("batch", 1 if one.ndim == 3 else 4)), count)
    epochs = max(1, round(profile.steps[contestant.method, one.ndim] * batch / count))
    choosing = {"validate_every": max(1, epochs // 4)} if shots is None else {"validate_every": epochs, "choose": "last"}
    return {**options, "batch": batch, "epochs": epochs, **choosing}
