"""What an image shows as numbers: the picture's part of the frame, its layout, volumes, and what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data_maker import grey, picture, volume
from promisam.core import Grid, Image
from promisam.core.errors import UnreadableFile
from promisam.io import find_inputs
from promisam.sam.frame import Frame
from promisam.sam.pooling import means_inside
from promisam.selection import Encoder, encode, together
from promisam.selection.features import COMPONENTS, reduced
from promisam.training.kept import Kept
from tiny_sam import tiny


@pytest.fixture(scope="module")
def sam():
    return tiny()


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(60, 80), (80, 60), (13, 80), (80, 80), (1, 200)])
@pytest.mark.parametrize("cells", [1, 4])
def test_means_over_parts_of_the_picture(shape, cells):
    frame = Frame(shape, 80)
    embedding = torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    found = means_inside(embedding, frame, cells)
    fine = 400  # samples of the embedding, each cut into 400: edges of all parts fall between them
    large = embedding[0].repeat_interleave(fine, 1).repeat_interleave(fine, 2)
    extent = [round(n / 80 * 5 * fine) for n in frame.resized]
    inside = large[:, : extent[0], : extent[1]]
    rows, columns = (np.array_split(np.arange(n), cells) for n in extent)
    expected = torch.stack([torch.stack([inside[:, r][:, :, c].mean((1, 2)) for c in columns], -1) for r in rows], -2)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_the_padding_does_not_count():
    embedding = torch.zeros(1, 2, 5, 5)
    embedding[:, :, 3:] = 1e6
    assert means_inside(embedding, Frame((48, 80), 80), 4).abs().max() == 0


def test_the_grid_keeps_the_layout_and_the_pool_does_not():
    embedding = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    frame = Frame((64, 64), 64)
    turned = embedding.flip(-1)
    torch.testing.assert_close(means_inside(embedding, frame, 1), means_inside(turned, frame, 1))
    torch.testing.assert_close(means_inside(embedding, frame, 4), means_inside(turned, frame, 4).flip(-1))
    assert not torch.allclose(means_inside(embedding, frame, 4), means_inside(turned, frame, 4))


def test_pictures_are_framed_as_the_method_frames_them(sam):
    from promisam.methods.plain_sam import PlainSam

    image = Image(pixels(1, 60, 33), Grid.of_picture((60, 33)))
    encoded = PlainSam(sam).encode(image)
    expected = means_inside(encoded.embedding, encoded.frame, 1).flatten().numpy()
    np.testing.assert_allclose(Encoder(sam, "w").of_image(image)["pooled"], expected, rtol=1e-5)


def test_deep_pixels_go_through_the_window(sam):
    deep = pixels(1, 40, 40).astype(np.uint16) * 200
    grid = Grid.of_picture((40, 40))
    raw, windowed = Image(deep, grid), Image(deep, grid)
    assert not np.allclose(
        Encoder(sam, "w", "20000,1000").of_image(raw)["pooled"], Encoder(sam, "w").of_image(windowed)["pooled"], atol=1e-3
    )


def test_a_volume_is_the_mean_of_slices_along_its_coarsest_axis(sam):
    grid = Grid.from_itk((20, 18, 16), (5.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    whole = Image(pixels(1, 16, 18, 20), grid)
    encoder = Encoder(sam, "w")
    slices = [encoder.of_image(whole.slice(2, index)) for index in (1, 3, 6, 8, 11, 13, 16, 18)]
    found = encoder.of_image(whole)
    for name in ("pooled", "grid"):
        np.testing.assert_allclose(found[name], np.mean([one[name] for one in slices], axis=0), rtol=1e-4, atol=1e-5)


def test_few_slices_are_all_taken(sam):
    grid = Grid.from_itk((12, 11, 3), (1.0, 1.0, 4.0), (0.0, 0.0, 0.0), np.eye(3))
    whole = Image(pixels(1, 3, 11, 12), grid)
    encoder = Encoder(sam, "w")
    expected = np.mean([encoder.of_image(whole.slice(0, index))["grid"] for index in range(3)], axis=0)
    np.testing.assert_allclose(encoder.of_image(whole)["grid"], expected, rtol=1e-4, atol=1e-5)


def test_components_keep_distances_and_have_one_sign():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 5)) @ rng.normal(size=(5, 200))
    found = reduced(rows)
    assert found.shape == (30, 5), "directions without any spread are left out"
    np.testing.assert_allclose(np.linalg.norm(found[3] - found[17]), np.linalg.norm(rows[3] - rows[17]), rtol=1e-6)
    order = rng.permutation(30)
    np.testing.assert_allclose(reduced(rows[order]), found[order], atol=1e-6)
    assert reduced(rng.normal(size=(100, 200))).shape == (100, COMPONENTS)
    variance = reduced(rng.normal(size=(100, 200)) * np.linspace(1, 9, 200), 3).var(axis=0)
    assert variance[0] > variance[1] > variance[2]
    assert reduced(np.ones((4, 7))).tolist() == [[0], [0], [0], [0]]


def test_both_parts_weigh_the_same():
    rng = np.random.default_rng(0)
    means = [{"pooled": 5 + rng.normal(size=8), "grid": 900 * rng.normal(size=128)} for _ in range(20)]
    pooled, grid, both = (together(means, how) for how in ("pooled", "grid", "both"))
    np.testing.assert_allclose(both, np.concatenate([pooled, grid], axis=1) / np.sqrt(2))
    for part in (pooled, grid, both):
        assert (part**2).sum(axis=1).mean() == pytest.approx(1)
        np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-9)


def test_identical_images_lie_in_one_point():
    one = {"pooled": np.full(8, 0.3), "grid": np.arange(128.0)}
    assert np.abs(together([one, one, one])).max() == 0


def test_what_was_encoded_once_is_kept(sam, tmp_path, monkeypatch):
    picture(tmp_path / "images" / "a.png", grey(1))
    (one,) = find_inputs([tmp_path / "images"]).values()
    first = Encoder(sam, "w", kept=Kept(tmp_path / "kept")).of_input(one, one.digest())
    asked = []
    monkeypatch.setattr(Encoder, "of_image", lambda _self, image: asked.append(image) or first)
    again = Encoder(sam, "w", kept=Kept(tmp_path / "kept")).of_input(one, one.digest())
    assert not asked
    np.testing.assert_array_equal(again["grid"], first["grid"])
    for other in (Encoder(sam, "v", kept=Kept(tmp_path / "kept")), Encoder(sam, "w", "9,9", kept=Kept(tmp_path / "kept"))):
        other.of_input(one, one.digest())
    picture(tmp_path / "images" / "a.png", grey(2))
    Encoder(sam, "w", kept=Kept(tmp_path / "kept")).of_input(one, one.digest())
    assert len(asked) == 3, "other weights, another window, another content"


def folder_with_a_bad_one(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for at, shape in enumerate([(20, 30), (31, 17)]):
        picture(folder / f"p{at}.png", grey(at, shape))
    volume(folder / "v.nii.gz", np.random.default_rng(0).normal(size=(7, 6, 5)).astype(np.float32))
    (folder / "bad.png").write_bytes((folder / "p0.png").read_bytes()[:60])
    return folder


def test_one_that_cannot_be_read_stops_nothing(sam, tmp_path):
    reports = []
    inputs = find_inputs([folder_with_a_bad_one(tmp_path)])
    found = encode(inputs, Encoder(sam, "w"), ("v",), lambda done, of: reports.append((done, of)))
    assert list(found.means) == ["p0", "p1", "v"]
    assert list(found.failures) == ["bad"]
    assert "bad.png" in found.failures["bad"]
    assert reports == [(done, 4) for done in range(5)]


def test_one_that_is_needed_does(sam, tmp_path):
    with pytest.raises(UnreadableFile, match=r"bad\.png"):
        encode(find_inputs([folder_with_a_bad_one(tmp_path)]), Encoder(sam, "w"), ("bad",))
