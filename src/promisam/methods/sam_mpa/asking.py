"""From a coarse mask to prompts, and from SAM's answers to one mask (arXiv 2411.17363, "PA" and the SAM pass)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from promisam.core import Grid, PromptKind, Prompts
from promisam.evaluation.metrics import dice
from promisam.methods.sam_mpa.config import Config
from promisam.methods.sam_mpa.viewing import View
from promisam.sam.model import Sam
from promisam.sam.picture import prompt_tensors

_TENSORS = ("points_xy", "labels", "boxes_xyxy", "masks")
_SHOWN = 0.5  # level of the coarse mask whose prompts are shown
_PADDING = -1


@dataclass(frozen=True, eq=False)
class Answer:
    """What SAM makes of a coarse mask.

    Attributes:
        probability: of the object, in cells of the decoder's masks.
        quality: the IoU that SAM predicts, the mean over its masks; 0 when it was asked nothing.
        stability: mean Dice of the answers to the levels with their mean; 0 when it was asked nothing.
        prompts: for each part of the coarse mask.
    """

    probability: Float[np.ndarray, "v u"]
    quality: float
    stability: float
    prompts: tuple[Prompts, ...]


@torch.inference_mode()
def ask(sam: Sam, seen: View, coarse: Float[np.ndarray, "v u"], config: Config, parts: int, target: str = "") -> Answer:
    """Prompt SAM for every part of the coarse mask at several levels, and combine what it answers.

    Args:
        sam: any.
        seen: the picture.
        coarse: probabilities, in cells of the decoder's masks.
        config: how boxes are drawn.
        parts: that the object has, at most.
        target: name of the class, for the prompts.
    """

    def prompted(mask: Bool[np.ndarray, "v u"]) -> list[Prompts]:
        chosen = parts_of(mask, coarse, parts, config.smallest)
        return [prompts_for(part, seen.grid, sam.traits.prompts, config.margin, target) for part in chosen]

    levels = [coarse > level for level in config.levels]
    each = [prompted(mask) for mask in levels]
    answers, qualities = _answers(sam, seen, each, levels)
    if config.cascade and answers:
        again = np.mean(answers, axis=0) > 0.5
        further, better = _answers(sam, seen, [prompted(again)], [again])
        answers, qualities = answers + further, qualities + better
    shown = prompted(coarse > _SHOWN)
    if not answers:
        return Answer(np.zeros_like(coarse), 0.0, 0.0, tuple(shown))
    mean = np.average(answers, axis=0, weights=[_trust(one, q, coarse) for one, q in zip(answers, qualities, strict=True)])
    stability = float(np.mean([overlap(one > 0.5, mean > 0.5) for one in answers]))
    return Answer(mean.astype(np.float32), float(np.mean(qualities)), stability, tuple(shown))


def parts_of(
    mask: Bool[np.ndarray, "*space"], weight: Float[np.ndarray, "*space"], most: int, smallest: float
) -> list[Bool[np.ndarray, "*space"]]:
    """The parts of a mask, the heaviest first: large, and sure.

    Args:
        mask: of an object.
        weight: probability of it.
        most: parts wanted.
        smallest: share of the heaviest that a part needs.
    """
    labels, count = ndi.label(mask)
    if not count:
        return []
    weights = ndi.sum_labels(weight, labels, range(1, count + 1))
    wanted = [i for i in np.argsort(-weights, kind="stable") if weights[i] >= smallest * weights.max()][:most]
    return [labels == i + 1 for i in wanted]


def prompts_for(
    part: Bool[np.ndarray, "v u"], grid: Grid, kinds: frozenset[PromptKind], margin: float, target: str = ""
) -> Prompts:
    """Prompts for one part of a coarse mask; only of kinds that the weights have learned.

    As drawn in the paper's figure: a point at the centroid (or, where that lies outside, where the part is thickest), points
    off the object at the corners of its tight box, that box with a margin, and the part itself as a mask.

    Args:
        part: in cells of the decoder's masks.
        grid: of the picture.
        kinds: that the weights have learned.
        margin: of the box, as a share of the picture's longer side.
        target: name of the class.
    """
    ratio = np.asarray(grid.shape) / np.asarray(part.shape)
    last = np.asarray(grid.shape) - 1.0

    def place(cell: np.ndarray) -> np.ndarray:
        return np.asarray(np.clip((cell + 0.5) * ratio - 0.5, 0, last))

    rows, columns = np.nonzero(part)
    low, high = np.array([rows.min(), columns.min()]), np.array([rows.max(), columns.max()])
    prompts = Prompts(grid, target=target)
    if "points" in kinds:
        prompts = prompts.click(place(_middle(part)).tolist())
        for corner in ((low[0], low[1]), (low[0], high[1]), (high[0], low[1]), (high[0], high[1])):
            at_border = any(c in (0, n - 1) for c, n in zip(corner, part.shape, strict=True))
            if not at_border and not part[corner]:
                prompts = prompts.click(place(np.array(corner)).tolist(), positive=False)
    if "box" in kinds:
        away = max(margin * max(grid.shape), 0.5)
        box = np.clip([place(low) - away, place(high) + away], -0.5, last + 0.5)  # of one row, too, it has an extent
        prompts = prompts.with_box(box[0].tolist(), box[1].tolist())
    if "mask" in kinds:
        index = [
            np.minimum(((np.arange(n) + 0.5) / r).astype(int), m - 1)
            for n, r, m in zip(grid.shape, ratio, part.shape, strict=True)
        ]
        whole = part[np.ix_(*index)]
        prompts = prompts.with_mask(whole) if whole.any() else prompts
    return prompts


def _middle(part: np.ndarray) -> np.ndarray:
    """The cell at the centroid, or the thickest where that is not of the part."""
    centre: np.ndarray = np.rint(np.argwhere(part).mean(axis=0)).astype(int)
    if part[tuple(centre)]:
        return centre
    thickness = ndi.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    return np.array(np.unravel_index(int(thickness.argmax()), part.shape))


def _answers(sam: Sam, seen: View, each: list[list[Prompts]], levels: list[np.ndarray]) -> tuple[list[np.ndarray], list[float]]:
    """SAM's mask and its quality, for each level with prompts: the union over the parts."""
    flat = [one for prompts in each for one in prompts]
    if not flat:
        return [], []
    logits, quality = sam.decode(seen.embedding, **_batch([prompt_tensors(sam, seen.frame, one) for one in flat]))
    height, width = seen.cells
    masks = logits[..., :height, :width].sigmoid().cpu().numpy()
    answers, qualities, at = [], [], 0
    for prompts, level in zip(each, levels, strict=True):
        if prompts:
            here = range(at, at + len(prompts))
            best = [_best(masks[i], quality[i].cpu().numpy(), level, several=sam.traits.multimask) for i in here]
            answers.append(np.max([masks[i, k] for i, k in zip(here, best, strict=True)], axis=0))
            qualities.append(float(np.mean([float(quality[i, k].clamp(0, 1)) for i, k in zip(here, best, strict=True)])))
            at += len(prompts)
    return answers, qualities


def _batch(given: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Prompts of several objects as one batch; fewer points than others have are made up for by padding."""
    batch: dict[str, Tensor] = {}
    points = max((one["points_xy"].shape[1] for one in given if "points_xy" in one), default=0)
    for name in _TENSORS:
        if all(name in one for one in given):
            missing = [points - one[name].shape[1] if name in ("points_xy", "labels") else 0 for one in given]
            batch[name] = torch.cat([_padded(one[name], name, n) for one, n in zip(given, missing, strict=True)])
    return batch


def _padded(tensor: Tensor, name: str, missing: int) -> Tensor:
    if not missing:
        return tensor
    shape = (1, missing, *tensor.shape[2:])
    return torch.cat([tensor, tensor.new_full(shape, _PADDING if name == "labels" else 0)], 1)


def _best(masks: np.ndarray, quality: np.ndarray, coarse: np.ndarray, *, several: bool) -> int:
    """Of SAM's masks of one object, that which it thinks best and that is most like the coarse one."""
    if not several or len(masks) == 1:
        return 0
    return int(np.argmax([q + overlap(mask > 0.5, coarse) for mask, q in zip(masks, quality, strict=True)]))


def _trust(answer: np.ndarray, quality: float, coarse: np.ndarray) -> float:
    """How much an answer counts: predicted quality, and agreement with the coarse mask."""
    agreement = 2 * (answer * coarse).sum() / max(float(answer.sum() + coarse.sum()), 1e-6)
    return max(0.5 * quality + 0.5 * float(agreement), 1e-3)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Dice of two masks; 1 for two empty ones, which agree."""
    return dice(one, other) if one.any() or other.any() else 1.0
