"""Against the reference implementation of Nikolov et al. 2021, on random and on real masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from surface_distance import metrics as reference

from promisam.evaluation.surface import surface_distances
from promisam.io import read_segmentation

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the reference uses old names of scipy


def check(prediction: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]) -> None:
    ours = surface_distances(prediction, truth, spacing)
    theirs = reference.compute_surface_distances(truth, prediction, spacing)

    assert np.sort(ours.to_truth) == pytest.approx(theirs["distances_pred_to_gt"], abs=1e-9)
    assert np.sort(ours.to_prediction) == pytest.approx(theirs["distances_gt_to_pred"], abs=1e-9)
    assert ours.prediction_sizes.sum() == pytest.approx(theirs["surfel_areas_pred"].sum())
    for percent in (50.0, 95.0, 100.0):
        assert ours.hausdorff(percent) == pytest.approx(reference.compute_robust_hausdorff(theirs, percent), abs=1e-9)
    for tolerance in (0.0, 0.85, 1.9, 4.2):
        expected = reference.compute_surface_dice_at_tolerance(theirs, tolerance)
        assert ours.surface_dice(tolerance) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("shape", "spacing"), [((31, 22), (0.7, 1.3)), ((14, 19, 11), (2.5, 0.7, 1.1)), ((8, 8, 8), (1.0, 1.0, 1.0))]
)
def test_random_noise_and_blobs(seed: int, shape: tuple[int, ...], spacing: tuple[float, ...]):
    generator = np.random.default_rng(seed)
    noise = [generator.random(shape) < p for p in (0.5, 0.03)]
    blobs = [ndimage.gaussian_filter(generator.random(shape), 1.5) > 0.5 for _ in range(2)]

    check(*noise, spacing)
    check(*blobs, spacing)
    check(noise[1], blobs[0], spacing)


def test_masks_on_the_border_and_single_samples():
    for shape, spacing in (((5, 6), (1.0, 2.0)), ((4, 5, 6), (1.0, 2.0, 0.5))):
        full, dot = np.ones(shape, bool), np.zeros(shape, bool)
        dot[(0,) * len(shape)] = True
        check(full, dot, spacing)
        check(dot, dot, spacing)


def test_real_volume(shared: Path):
    for path in sorted((shared / "data" / "msd_hippocampus").glob("*/label.nii.gz"))[:4]:
        truth = read_segmentation(path)
        check(ndimage.binary_dilation(truth.mask(1)), truth.mask(1), (2.0, 0.8, 1.1))
        check(np.roll(truth.mask(2), 2, axis=1), truth.mask(2), truth.grid.spacing)


def test_real_picture(shared: Path):
    for path in sorted((shared / "data" / "cvc_clinicdb" / "masks").glob("*.png"))[:4]:
        truth = read_segmentation(path)
        check(ndimage.binary_erosion(truth.mask(), iterations=3), truth.mask(), truth.grid.spacing)
