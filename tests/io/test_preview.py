import numpy as np
import pytest
from PIL import Image as Pillow

from promisam.core import Grid, Image, Prompts, Segmentation
from promisam.core.errors import GridMismatch, UnwritableOutput
from promisam.io import read, read_segmentation, render, write_preview
from promisam.io.preview import COLOURS

RIGHT_TO_LEFT = Grid.from_itk((30, 20, 6), (1.0, 2.0, 5.0), (0.0, 0.0, 0.0), np.eye(3))


def scene(grid, value=1):
    pixels = np.full((1, *grid.shape), 90, np.uint8)
    labels = np.zeros(grid.shape, np.uint8)
    labels[..., 4:9, 6:15] = value
    return Image(pixels, grid), Segmentation(labels, grid, {value: "x"})


def where(picture, colour):
    rows, columns = np.nonzero((picture == np.array(colour)).all(axis=-1))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_small_pictures_are_enlarged_and_outlined_where_the_mask_is():
    image, mask = scene(Grid.of_picture((20, 30)))
    picture = render(image, Segmentation(mask.labels, mask.grid))
    assert picture.shape == (341, 512, 3)
    scale = 512 / 30
    np.testing.assert_allclose(where(picture, COLOURS[0]), [4 * scale, 9 * scale, 6 * scale, 15 * scale], atol=2)
    assert (picture[100, 200] == 90).all(), "inside, the image itself is seen"


def test_proportions_are_physical():
    image, mask = scene(Grid.from_itk((30, 20), (1.0, 4.0), (0.0, 0.0), np.eye(2)))
    height, width, _ = render(image, mask).shape
    assert height / width == pytest.approx(80 / 30, rel=0.01)


def test_large_pictures_are_bounded():
    image, mask = scene(Grid.of_picture((3000, 100)))
    assert max(render(image, mask).shape) == 2048


def test_boxes_and_clicks_are_drawn_at_their_place():
    image, mask = scene(Grid.of_picture((20, 30)))
    prompts = Prompts(image.grid).click((6.0, 10.0)).click((15.0, 25.0), positive=False).with_box((2.0, 3.0), (12.0, 18.0))
    picture = render(image, Segmentation(mask.labels * 0, mask.grid), [prompts])
    scale = 512 / 30
    middle = np.array([np.mean(where(picture, (0, 220, 60))[:2]), np.mean(where(picture, (0, 220, 60))[2:])])
    np.testing.assert_allclose(middle, [6.5 * scale - 0.5, 10.5 * scale - 0.5], atol=1)
    middle = np.array([np.mean(where(picture, (255, 40, 40))[:2]), np.mean(where(picture, (255, 40, 40))[2:])])
    np.testing.assert_allclose(middle, [15.5 * scale - 0.5, 25.5 * scale - 0.5], atol=1)
    np.testing.assert_allclose(where(picture, (255, 255, 255)), [2 * scale, 13 * scale, 3 * scale, 19 * scale], atol=2)


def test_volumes_show_three_slices_with_the_largest_area_in_the_middle():
    pixels = np.arange(6, dtype=np.uint8)[None, :, None, None] * np.full((1, 6, 20, 30), 40, np.uint8)
    labels = np.zeros((6, 20, 30), np.uint8)
    for z, half in ((1, 1), (2, 2), (3, 5), (4, 2), (5, 1)):
        labels[z, 10 - half : 10 + half, 15 - half : 15 + half] = 1
    picture = render(Image(pixels, RIGHT_TO_LEFT), Segmentation(labels, RIGHT_TO_LEFT))
    third = picture.shape[1] // 3
    assert [int(picture[-20, third // 2 + i * third, 0]) for i in range(3)] == [2 * 40, 3 * 40, 4 * 40]


def test_the_coarsest_axis_is_sliced():
    grid = Grid.from_itk((6, 30, 20), (5.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    labels = np.zeros((20, 30, 6), np.uint8)
    labels[5:9, 6:15, 3] = 1
    picture = render(Image(np.zeros((1, 20, 30, 6), np.int16), grid), Segmentation(labels, grid))
    assert picture.shape[1] / picture.shape[0] == pytest.approx(30 / 20, rel=0.01), "one sagittal slice"


@pytest.mark.parametrize("flips", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_patients_are_turned_front_up_and_left_to_the_right(flips):
    """The same object, stored in four ways, looks the same."""
    direction = np.diag([*flips, 1.0])
    grid = Grid.from_itk((30, 20), (1.0, 1.0), (0.0, 0.0), direction[:2, :2])
    image, mask = scene(grid)
    turned = mask.labels[:: flips[1], :: flips[0]]
    at = (5.0 if flips[1] > 0 else 14.0, 20.0 if flips[0] > 0 else 9.0)
    clicked = render(image, mask, [Prompts(grid).click(at).with_box(at, (at[0] + 2, at[1] + 3))])
    rows, rows_end, columns, columns_end = where(clicked, (0, 220, 60))
    np.testing.assert_allclose([rows + rows_end, columns + columns_end], np.array([11, 41]) * 512 / 30 - 1, atol=2)
    picture = render(image, Segmentation(np.ascontiguousarray(turned), grid))
    np.testing.assert_array_equal(
        picture, render(*[scene(Grid.of_picture((20, 30)))[0], Segmentation(mask.labels, Grid.of_picture((20, 30)))])
    )


def test_sagittal_slices_have_the_head_up():
    affine = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # z index: left; y index: back; x index: head
    grid = Grid((1, 20, 30), affine @ np.diag([9.0, 1, 1, 1]))
    labels = np.zeros((1, 20, 30), np.uint8)
    labels[0, 2:5, 24:28] = 1  # front and high
    _rows, rows_end, _columns, columns_end = where(
        render(Image(np.zeros((1, 1, 20, 30), np.uint8), grid), Segmentation(labels, grid)), COLOURS[0]
    )
    assert rows_end < 150
    assert columns_end < 100


def test_an_empty_result_shows_the_prompts_slice():
    image, mask = scene(RIGHT_TO_LEFT)
    empty = Segmentation(mask.labels * 0, mask.grid)
    picture = render(image, empty, [Prompts(image.grid).click((4.0, 10.0, 10.0))])
    assert (picture == np.array((0, 220, 60))).all(axis=-1).any()
    assert render(image, empty).ndim == 3


def test_the_slice_that_was_clicked_is_shown():
    """However far it is from where the object is largest."""
    grid = Grid((40, 20, 30), np.diag([5.0, 1.0, 1.0, 1.0]))
    labels = np.zeros(grid.shape, np.uint8)
    for z in range(5, 36):
        labels[z, 5 : 6 + z // 4, 5:20] = 1
    seen = render(
        Image(np.zeros((1, *grid.shape), np.uint8), grid), Segmentation(labels, grid), [Prompts(grid).click((10.0, 8.0, 7.0))]
    )
    assert (seen == np.array((0, 220, 60))).all(axis=-1).any()


def test_raw_values_are_windowed_and_colour_stays_colour():
    grid = Grid.of_picture((20, 30))
    ramp = np.linspace(-1000, 2000, 600).reshape(1, 20, 30).astype(np.float32)
    none = Segmentation(np.zeros((20, 30), np.uint8), grid)
    shown = render(Image(ramp, grid), none)
    assert (shown.min(), shown.max()) == (0, 255)
    colour = np.zeros((3, 20, 30), np.uint8)
    colour[1] = 200
    assert (render(Image(colour, grid), none) == (0, 200, 0)).all()


def test_other_grids_and_names_are_refused(tmp_path):
    image, mask = scene(Grid.of_picture((20, 30)))
    with pytest.raises(GridMismatch):
        render(image, Segmentation(np.zeros((20, 31), np.uint8), Grid.of_picture((20, 31))))
    with pytest.raises(UnwritableOutput, match=r"\.png"):
        write_preview(tmp_path / "p.nii", image, mask)
    with pytest.raises(UnwritableOutput):
        write_preview("/proc/p.png", image, mask)


def test_written_previews_are_the_rendered_ones(tmp_path, shared):
    folder = shared / "data" / "pyradiomics_brain" / "brain1"
    image, mask = read(folder / "image.nii.gz"), read_segmentation(folder / "label.nii.gz")
    path = write_preview(tmp_path / "new" / "p.png", image, mask)
    np.testing.assert_array_equal(np.asarray(Pillow.open(path)), render(image, mask))
