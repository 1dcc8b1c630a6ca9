from __future__ import annotations

import math

import numpy as np
import pytest

from promisam.evaluation.metrics import dice, iou, volume_difference_percent
from promisam.evaluation.surface import bounding_box, element_sizes, surface_distances


def filled(shape: tuple[int, ...], *part: slice) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[part] = True
    return mask


def test_overlap_of_two_squares_shifted_by_two():
    truth = filled((20, 30), slice(5, 15), slice(5, 15))
    prediction = filled((20, 30), slice(5, 15), slice(7, 17))

    assert dice(prediction, truth) == pytest.approx(2 * 80 / 200)
    assert iou(prediction, truth) == pytest.approx(80 / 120)


def test_overlap_of_nothing_with_nothing_is_undefined():
    nothing = np.zeros((3, 4), bool)

    assert math.isnan(dice(nothing, nothing))
    assert math.isnan(iou(nothing, nothing))


def test_relative_volume_difference_keeps_its_sign():
    assert volume_difference_percent(80.0, 100.0) == pytest.approx(-20)
    assert volume_difference_percent(1.0, 0.0) is None


def test_shifted_lines_of_pixels_by_hand():
    """Two 1 x 10 bars, three rows of 0.5 apart: every element is exactly 1.5 from the other contour."""
    truth = filled((12, 14), slice(4, 5), slice(2, 12))
    prediction = filled((12, 14), slice(7, 8), slice(2, 12))
    measured = surface_distances(prediction, truth, (0.5, 2.0))

    # The contour of a 1 x 10 bar runs along rows 3.5 and 4.5: one row (0.5) lies between, so the facing sides are 1.0 apart.
    assert sorted(set(measured.to_truth.round(9))) == [1.0, 1.5]
    assert measured.hausdorff(100.0) == pytest.approx(1.5)
    assert measured.hausdorff(95.0) == pytest.approx(1.5)
    half = measured.prediction_sizes.sum() / 2
    assert half == pytest.approx(9 * 2.0 + 2 * math.hypot(0.5, 2.0) / 2)
    assert measured.surface_dice(1.0) == pytest.approx(0.5)
    assert measured.surface_dice(1.5) == 1.0
    assert measured.surface_dice(0.9) == 0.0


def test_anisotropic_cuboids_by_hand():
    """A cuboid and the same shifted by two slices of 3 mm: the ends differ by 6 mm, the walls by 0."""
    truth = filled((20, 16, 18), slice(4, 10), slice(3, 11), slice(4, 14))
    prediction = filled((20, 16, 18), slice(6, 12), slice(3, 11), slice(4, 14))
    measured = surface_distances(prediction, truth, (3.0, 0.7, 0.9))

    assert measured.hausdorff(100.0) == pytest.approx(6.0)
    flipped = surface_distances(truth, prediction, (3.0, 0.7, 0.9))
    assert flipped.hausdorff(95.0) == measured.hausdorff(95.0)
    assert surface_distances(prediction, truth, (1.0, 1.0, 1.0)).hausdorff(100.0) == pytest.approx(2.0)


def test_a_distance_equal_to_the_tolerance_lies_within_it():
    """0.1 * 3 > 0.3 in floating point; a tolerance of three pixels must hold three pixels."""
    truth = filled((9, 30), slice(2, 7), slice(2, 12))
    prediction = filled((9, 30), slice(2, 7), slice(2, 15))

    assert surface_distances(prediction, truth, (0.1, 0.1)).surface_dice(0.3) == 1.0


def test_sizes_of_flat_and_diagonal_elements():
    sizes = element_sizes((2.0, 0.7))
    top_row, left_column, corner, diagonal = 0b0011, 0b0101, 0b0001, 0b1001

    assert sizes[top_row] == 0.7  # the contour runs along x
    assert sizes[left_column] == 2.0
    assert sizes[corner] == sizes[15 - corner] == pytest.approx(math.hypot(2.0, 0.7) / 2)
    assert sizes[diagonal] == pytest.approx(math.hypot(2.0, 0.7))
    assert sizes[0] == sizes[15] == 0

    solid = element_sizes((3.0, 0.5, 2.0))
    assert solid[0b00001111] == pytest.approx(0.5 * 2.0)  # the lower half in z: a face across z
    assert solid[0b01010101] == pytest.approx(3.0 * 0.5)


@pytest.mark.parametrize("seed", range(8))
def test_crop_equals_uncropped(seed: int):
    """Far away background, even with another object's neighbourhood cut away, changes no number."""
    generator = np.random.default_rng(seed)
    shape = (9, 8) if seed % 2 else (6, 7, 5)
    small = [generator.random(shape) < p for p in (0.4, 0.2)]
    spacing = (2.5, 0.6, 1.1)[: len(shape)]
    place = tuple(slice(11, 11 + n) for n in shape)
    large = [filled(tuple(n + 40 for n in shape)) & False for _ in small]
    for whole, part in zip(large, small, strict=True):
        whole[place] = part

    few, many = surface_distances(*small, spacing), surface_distances(*large, spacing)
    uncropped = brute_force(*large, spacing)

    for one, other in ((few, many), (many, uncropped)):
        assert one.hausdorff() == pytest.approx(other.hausdorff(), abs=1e-12)
        assert one.surface_dice(1.0) == pytest.approx(other.surface_dice(1.0), abs=1e-12)


def brute_force(prediction: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]):
    """The definition itself, on the whole array, element against element."""
    from promisam.evaluation import surface

    sizes = element_sizes(spacing)
    codes = [surface._codes(mask) for mask in (prediction, truth)]
    inside = 2 ** (2**prediction.ndim) - 1
    edges = [(c != 0) & (c != inside) for c in codes]
    p, t = (np.argwhere(edge) * spacing for edge in edges)
    apart = np.linalg.norm(p[:, None] - t[None], axis=-1)
    weights = [sizes[c[e]] for c, e in zip(codes, edges, strict=True)]
    return surface.SurfaceDistances(apart.min(1), apart.min(0), *weights)


def test_bounding_box():
    assert bounding_box(filled((9, 8, 7), slice(2, 4), slice(0, 8), slice(6, 7))) == (slice(2, 4), slice(0, 8), slice(6, 7))
