"""The experiments of SAM-MPA (Xu et al. 2024, arXiv 2411.17363), as far as its abstract tells of them."""

from __future__ import annotations

from promisam.reproduce.drawn import busi, montgomery, plain_folders, shenzhen
from promisam.reproduce.values import Difference, Facts, FewShotStudy, Published

_ABSTRACT = (
    "the abstract, which gives one figure, reached with at most 10 labelled images; figures for each K are not known, so it "
    "stands beside the largest K"
)


def _sam(facts: Facts) -> str:
    return f"Published: a frozen SAM whose size the abstract does not say, probably a ViT. Ours: {facts.weights or 'none'}."


_SHARED: tuple[Difference, ...] = (
    _sam,
    "No code was released: registration, prompts and refinement are ours, after the paper's description.",
    "Published: k-centroid clustering chooses what is labelled, in a way that is not known in detail. Ours: k-medoids on "
    "pooled embeddings of the frozen SAM, for each K anew.",
    "Ours: all images that are not labelled are queries, so that their number depends on K, and they are looked at without "
    "their labels before they are segmented (transductive). How many queries were published, and which, is not known.",
    "Ours: scores at each image's own size, the mean over images with something to find. How the published mean was formed is "
    "not known.",
)

BUSI = FewShotStudy(
    method="sam_mpa",
    name="busi",
    title="lesions in breast ultrasound, BUSI (Al-Dhabyani et al. 2020)",
    target="lesion",
    cases=647,
    layouts=(busi,),
    empty=("normal",),
    published=(Published("K = 10", 0.7453, None, _ABSTRACT),),
    differences=(
        'Published: a set that is called "Breast US". Ours: BUSI, which it may or may not be.',
        "Several masks of one image are united.",
        *_SHARED,
    ),
    data="Dataset_BUSI_with_GT/ with benign/, malignant/ and normal/, masks beside the images",
)

CHEST_XRAY = FewShotStudy(
    method="sam_mpa",
    name="chest-xray",
    title="lungs in chest X-rays",
    target="lung",
    cases=None,
    layouts=(montgomery, shenzhen, plain_folders),
    published=(Published("K = 10", 0.9436, None, _ABSTRACT),),
    differences=(
        'Published: a set that is called "Chest X-ray". Ours: the one that was given, which it may or may not be.',
        "Masks of the left and the right lung are united.",
        *_SHARED,
    ),
    data="Montgomery's CXR_png/ and ManualMask/{leftMask,rightMask}/, Shenzhen's CXR_png/ and mask/, or images/ and masks/",
)
