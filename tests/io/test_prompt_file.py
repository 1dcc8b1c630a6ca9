import json

import numpy as np
import pytest

from promisam.core import Grid, Prompts, Segmentation
from promisam.core.errors import GridMismatch, InvalidPrompt, UnreadableFile
from promisam.io import NamedPrompts, read_prompts, write, write_prompts

AFFINE = np.array([[0.0, 0.48, 0.8, 7.0], [0.0, 0.64, -0.6, -3.0], [-2.5, 0.0, 0.0, 11.0], [0, 0, 0, 1]])
VOLUME = Grid((4, 5, 6), AFFINE)


def store(folder, content):
    path = folder / "prompts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_documented_example(tmp_path):
    mask = np.zeros(VOLUME.shape, np.uint8)
    mask[1, 2, 3] = 5
    write(tmp_path / "rough" / "liver.nii.gz", Segmentation(mask, VOLUME))
    path = store(
        tmp_path,
        {
            "coordinates": "voxel",
            "objects": [
                {
                    "label": "liver",
                    "points": [{"at": [5, 4, 3]}, {"at": [1, 2.5, 0], "positive": False}],
                    "box": [1, 0, 2, 4, 3, 3],
                    "mask": "rough/liver.nii.gz",
                },
                {"box": [0, 0, 0, 5, 4, 3]},
            ],
        },
    )
    liver, other = read_prompts(path, VOLUME)
    assert (liver.name, other.name) == ("liver", "object 2")
    np.testing.assert_array_equal(liver.prompts.points_zyx, [(3, 4, 5), (0, 2.5, 1)])
    np.testing.assert_array_equal(liver.prompts.labels, [1, 0])
    np.testing.assert_array_equal(liver.prompts.box_zyx, [(2, 0, 1), (3, 3, 4)])
    np.testing.assert_array_equal(liver.prompts.mask, mask > 0)
    assert other.prompts.kinds == {"box"}


def full_prompts(grid):
    mask = np.zeros(grid.shape, bool)
    mask[..., 1:3, 2] = True
    low, high = [0.0] * grid.ndim, [n - 1.0 for n in grid.shape]
    low[-1] = 1.0
    return Prompts(grid).click(high).click(low, positive=False).with_box(low, high).with_mask(mask)


@pytest.mark.parametrize(
    ("grid", "world"),
    [
        (VOLUME, False),
        (VOLUME, True),
        (VOLUME.slice(0, 2), False),
        (VOLUME.slice(0, 2), True),
        (Grid.of_picture((5, 6)), False),
    ],
    ids=["volume", "volume in world", "plane", "plane in world", "picture"],
)
def test_what_is_written_comes_back(tmp_path, grid, world):
    given = [NamedPrompts("Leber ü", full_prompts(grid)), NamedPrompts("b", Prompts(grid).click([1.0] * grid.ndim))]
    back = read_prompts(write_prompts(tmp_path / "p.json", given, world=world), grid)
    assert [one.name for one in back] == ["Leber ü", "b"]
    for one, other in zip(given, back, strict=True):
        np.testing.assert_allclose(other.prompts.points_zyx, one.prompts.points_zyx, atol=1e-9)
        np.testing.assert_array_equal(other.prompts.labels, one.prompts.labels)
    np.testing.assert_allclose(back[0].prompts.box_zyx, given[0].prompts.box_zyx, atol=1e-9)
    np.testing.assert_array_equal(back[0].prompts.mask, given[0].prompts.mask)


def test_a_world_box_is_given_low_to_high_in_the_world(tmp_path):
    """The slices of this grid run down, so the lower corner of the world is not that of the array."""
    grid = Grid.from_itk((6, 5, 4), (1.0, 1.0, 2.0), (0.0, 0.0, 10.0), np.diag([1.0, 1.0, -1.0]))
    (one,) = read_prompts(store(tmp_path, {"coordinates": "world", "objects": [{"box": [1, 2, 4, 3, 4, 8]}]}), grid)
    np.testing.assert_allclose(one.prompts.box_zyx, [(1, 2, 1), (3, 4, 3)])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "the prompt file"),
        ({}, "no list of objects"),
        ({"objects": []}, "no list of objects"),
        ({"objects": [{}]}, "object 1: no prompt"),
        ({"objects": [[1, 2]]}, "object 1: an object"),
        ({"object": []}, "unknown key 'object'.*Did you mean 'objects'"),
        ({"objects": [{"point": []}]}, "object 1: the unknown key 'point'.*Did you mean 'points'"),
        ({"objects": [{"points": [{"at": [1, 1, 1], "zzz": 1}]}]}, "unknown key 'zzz' in a point.*Remove it"),
        ({"coordinates": "ras", "objects": [{}]}, "coordinates 'ras'"),
        ({"objects": [{"points": [[1, 1, 1]]}]}, "a point .*braces"),
        ({"objects": [{"points": 3}]}, "points 3"),
        ({"objects": [{"points": [{"positive": True}]}]}, "at: None"),
        ({"objects": [{"points": [{"at": ["1", 1, 1]}]}]}, "list of numbers"),
        ({"objects": [{"points": [{"at": [True, 1, 1]}]}]}, "list of numbers"),
        ({"objects": [{"points": [{"at": [1, 1]}]}]}, "with 2 coordinates"),
        ({"objects": [{"points": [{"at": [1, 1, 1], "positive": 1}]}]}, "true or false"),
        ({"objects": [{"points": [{"at": [6, 1, 1]}]}]}, "object 1: the point 6,1,1, which lies off the image"),
        ({"objects": [{"box": [1, 1, 1, 2]}]}, "with 2 coordinates"),
        ({"objects": [{"box": [1, 1, 1, 2, 2]}]}, "a box of 5 numbers"),
        ({"objects": [{"box": [4, 1, 1, 2, 2, 2]}]}, "inverted box"),
        ({"objects": [{"label": 3, "box": [1, 1, 1, 2, 2, 2]}]}, "label 3"),
        ({"objects": [{"mask": 3}]}, "mask 3"),
        ({"objects": [{"points": [{"at": [1, 1, 1]}]}, {"box": "x"}]}, "object 2"),
    ],
)
def test_mistakes_are_named(tmp_path, content, says):
    with pytest.raises(InvalidPrompt, match=says):
        read_prompts(store(tmp_path, content), VOLUME)


def test_files_that_are_none(tmp_path):
    with pytest.raises(UnreadableFile, match="no JSON"):
        read_prompts(store(tmp_path, "{'a': 1}"), VOLUME)
    with pytest.raises(UnreadableFile, match="No such file"):
        read_prompts(tmp_path / "none.json", VOLUME)
    (tmp_path / "latin.json").write_bytes(b'{"objects": "\xfc"}')
    with pytest.raises(UnreadableFile, match="no JSON"):
        read_prompts(tmp_path / "latin.json", VOLUME)


def test_masks_on_other_grids_and_missing_ones(tmp_path):
    write(tmp_path / "m.nii.gz", Segmentation(np.ones((4, 5, 7), np.uint8), Grid((4, 5, 7), AFFINE)))
    with pytest.raises(GridMismatch, match="object 1"):
        read_prompts(store(tmp_path, {"objects": [{"mask": "m.nii.gz"}]}), VOLUME)
    with pytest.raises(UnreadableFile, match=r"object 1.*none\.nii"):
        read_prompts(store(tmp_path, {"objects": [{"mask": "none.nii"}]}), VOLUME)
