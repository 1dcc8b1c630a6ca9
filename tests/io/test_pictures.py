"""Every kind of picture, as image and as mask."""

import struct
import zlib

import numpy as np
import pytest
import SimpleITK
from PIL import Image as Pillow

from promisam.core import Grid
from promisam.core.errors import InvalidSegmentation, UnreadableFile, UnsupportedFile
from promisam.io import read, read_segmentation

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 9), dtype=np.uint16)


def first(array):
    return np.moveaxis(array, -1, 0)


def save(path, array, mode=None, **options):
    picture = Pillow.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff"])
def test_grey_and_colour_are_exact(tmp_path, suffix):
    image = read(save(tmp_path / f"g.{suffix}", GREY))
    np.testing.assert_array_equal(image.pixels, GREY[None])
    assert image.grid == Grid.of_picture((6, 9))
    np.testing.assert_array_equal(read(save(tmp_path / f"c.{suffix}", COLOUR)).pixels, first(COLOUR))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_stay_16_bits(tmp_path, suffix):
    image = read(save(tmp_path / f"g.{suffix}", DEEP))
    assert image.pixels.dtype == np.uint16
    np.testing.assert_array_equal(image.pixels, DEEP[None])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_colour_is_not_cut_to_8(tmp_path, suffix):
    deep = RNG.integers(0, 65536, (6, 9, 3), dtype=np.uint16)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(deep, isVector=True), str(tmp_path / f"c.{suffix}"))
    image = read(tmp_path / f"c.{suffix}")
    assert image.pixels.dtype == np.uint16
    np.testing.assert_array_equal(image.pixels, first(deep))


def test_float_tiff_is_exact(tmp_path):
    values = RNG.normal(size=(6, 9)).astype(np.float32)
    np.testing.assert_array_equal(read(save(tmp_path / "f.tif", values)).pixels[0], values)


def test_big_endian_tiff_is_native_inside(tmp_path):
    Pillow.frombytes("I;16B", (9, 6), DEEP.astype(">u2").tobytes()).save(tmp_path / "b.tif")
    image = read(tmp_path / "b.tif")
    assert image.pixels.dtype.isnative
    np.testing.assert_array_equal(image.pixels[0], DEEP)


def test_one_bit_is_black_and_white(tmp_path):
    bits = GREY > 127
    np.testing.assert_array_equal(read(save(tmp_path / "b.png", bits)).pixels[0], bits * 255)


def test_opaque_alpha_is_dropped_and_used_alpha_is_composited_on_black(tmp_path):
    opaque = np.dstack([COLOUR, np.full((6, 9), 255, np.uint8)])
    np.testing.assert_array_equal(read(save(tmp_path / "o.png", opaque)).pixels, first(COLOUR))
    half = opaque.copy()
    half[0, :, 3], half[1, :, 3] = 0, 128
    pixels = read(save(tmp_path / "h.png", half)).pixels
    assert (pixels[:, 0] == 0).all()
    np.testing.assert_array_equal(pixels[:, 1], np.rint(first(COLOUR)[:, 1] * (128 / 255)))
    np.testing.assert_array_equal(pixels[:, 2:], first(COLOUR)[:, 2:])
    grey_alpha = np.dstack([GREY, np.full((6, 9), 255, np.uint8)])
    np.testing.assert_array_equal(read(save(tmp_path / "ga.png", grey_alpha)).pixels, GREY[None])


def palette_picture(indices, colours):
    picture = Pillow.fromarray(indices).convert("L")
    picture = Pillow.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette([int(v) for colour in colours for v in colour])
    return picture


def test_palettes(tmp_path):
    indices = (GREY % 3).astype(np.uint8)
    palette_picture(indices, [(0, 0, 0), (200, 10, 30), (5, 90, 250)]).save(tmp_path / "c.png")
    lookup = np.array([(0, 0, 0), (200, 10, 30), (5, 90, 250)], np.uint8)
    np.testing.assert_array_equal(read(tmp_path / "c.png").pixels, first(lookup[indices]))
    palette_picture(indices, [(0, 0, 0), (90, 90, 90), (250, 250, 250)]).save(tmp_path / "g.png")
    np.testing.assert_array_equal(read(tmp_path / "g.png").pixels, np.array([0, 90, 250], np.uint8)[indices][None])
    np.testing.assert_array_equal(read_segmentation(tmp_path / "g.png").labels, indices)


def test_exif_orientation_is_applied_to_image_and_mask(tmp_path):
    exif = Pillow.Exif()
    exif[0x0112] = 6  # stored rows are columns, seen from the right
    for suffix in ("png", "jpg"):
        path = tmp_path / f"a.{suffix}"
        Pillow.fromarray(np.kron(GREY, np.ones((8, 8), np.uint8))).save(path, exif=exif, quality=100)
        assert read(path).grid.shape == (72, 48)
        np.testing.assert_allclose(read(path).pixels[0].astype(int), np.kron(np.rot90(GREY, -1), np.ones((8, 8))), atol=4)
    Pillow.fromarray(GREY).save(tmp_path / "m.png", exif=exif)
    np.testing.assert_array_equal(read_segmentation(tmp_path / "m.png").labels, np.rot90(GREY, -1))


def test_a_turned_tiff_is_refused(tmp_path):
    Pillow.fromarray(GREY).save(tmp_path / "a.tif", tiffinfo={0x0112: 6})
    with pytest.raises(UnsupportedFile, match="orientation"):
        read(tmp_path / "a.tif")


def test_cmyk_jpeg_is_colour(tmp_path):
    flat = np.zeros((16, 24, 3), np.uint8) + np.array([200, 40, 90], np.uint8)
    Pillow.fromarray(flat).convert("CMYK").save(tmp_path / "c.jpg", quality=100)
    pixels = read(tmp_path / "c.jpg").pixels
    np.testing.assert_allclose(pixels.astype(int), first(flat), atol=6)


def test_a_grey_stack_is_a_volume_and_other_pages_are_refused(tmp_path):
    pages = [Pillow.fromarray(DEEP + i) for i in range(4)]
    pages[0].save(tmp_path / "s.tif", save_all=True, append_images=pages[1:])
    image = read(tmp_path / "s.tif")
    assert image.grid.shape == (4, 6, 9)
    assert image.grid.unit == "px"
    np.testing.assert_array_equal(image.pixels[0, 3], DEEP + 3)
    for odd in (Pillow.fromarray(COLOUR), Pillow.fromarray(DEEP[:3])):
        pages[0].save(tmp_path / "o.tif", save_all=True, append_images=[odd])
        with pytest.raises(UnsupportedFile, match="page 2 of 2"):
            read(tmp_path / "o.tif")


def test_animations_are_refused(tmp_path):
    pages = [Pillow.fromarray(GREY), Pillow.fromarray(255 - GREY)]
    pages[0].save(tmp_path / "a.png", save_all=True, append_images=pages[1:])
    with pytest.raises(UnsupportedFile, match="animation of 2 frames"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_truncated_pictures_are_refused(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", RNG.integers(0, 256, (64, 80), dtype=np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableFile, match=rf"a\.{suffix}"):
        read(path)


def test_a_damaged_png_is_refused(tmp_path):
    path = save(tmp_path / "a.png", RNG.integers(0, 256, (64, 80), dtype=np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(UnreadableFile):
        read(path)


def test_a_picture_of_no_size_is_refused(tmp_path):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 0, 5, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableFile):
        read(tmp_path / "a.png")


def test_text_named_png_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(UnreadableFile, match="nothing known by its first bytes"):
        read(tmp_path / "a.png")


def test_jpeg_named_png_is_read_for_what_it_is(tmp_path):
    save(tmp_path / "a.jpg", GREY).rename(tmp_path / "a.png")
    assert read(tmp_path / "a.png").grid.shape == (6, 9)


class TestMasks:
    def test_0_and_255_are_one_label(self, tmp_path):
        mask = (GREY > 127).astype(np.uint8)
        for name, array in (("g", mask * 255), ("b", mask > 0), ("c", np.dstack([mask * 255] * 3))):
            labels = read_segmentation(save(tmp_path / f"{name}.png", array)).labels
            np.testing.assert_array_equal(labels, mask)

    def test_other_values_stay(self, tmp_path):
        for array in (GREY % 4, (GREY % 2) * 254, DEEP, (DEEP % 2) * np.uint16(255)):
            np.testing.assert_array_equal(read_segmentation(save(tmp_path / "m.png", array)).labels, array)

    def test_colours_are_refused(self, tmp_path):
        with pytest.raises(InvalidSegmentation, match="3 unequal channels"):
            read_segmentation(save(tmp_path / "m.png", COLOUR))

    def test_smeared_edges_are_refused(self, tmp_path):
        mask = np.zeros((64, 64), np.uint8)
        mask[13:41, 17:50] = 255
        smeared = save(tmp_path / "m.jpg", mask, quality=60)
        with pytest.raises(InvalidSegmentation, match="JPEG, which smears edges"):
            read_segmentation(smeared)
        again = save(tmp_path / "m.png", np.asarray(Pillow.open(smeared)))
        with pytest.raises(InvalidSegmentation, match=r"near black and white.*Threshold"):
            read_segmentation(again)

    def test_fractions_are_refused(self, tmp_path):
        with pytest.raises(InvalidSegmentation, match="fractions"):
            read_segmentation(save(tmp_path / "m.tif", np.full((4, 5), 0.5, np.float32)))


def test_real_masks_and_pictures(shared):
    for folder in ("busi", "chase_db1", "dsb2018"):
        for path in sorted((shared / "data" / folder / "masks").iterdir())[:6]:
            labels = read_segmentation(path).labels
            stored = np.asarray(Pillow.open(path))
            np.testing.assert_array_equal(labels > 0, stored > 0)
