"""What a simulated user and the network tell each other about a batch of objects: a prompt, an answer, a correction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from promisam.core import Grid, Prompts
from promisam.methods.interactive.config import Config
from promisam.methods.interactive.samples import to_frame
from promisam.sam.frame import MASK_STRENGTH
from promisam.sam.prompt_encoder import PromptEncoder
from promisam.spatial.users import corrective_click


class Conversation:
    """The prompts of each object of a batch so far: a first click or a box, then one more click each round."""

    def __init__(self, batch: Mapping[str, Tensor], config: Config, scale: float) -> None:
        """Begin with the first prompts of `samples.drawn`; `scale` is pixels of the frame for each cell of a mask."""
        self._config, self._scale = config, scale
        self._truth = batch["truth"]
        self._extent = [tuple(pair) for pair in batch["extent"].tolist()]
        self._chances = [np.random.default_rng((int(seed), 1)) for seed in batch["seed"]]
        self.boxed: Bool[Tensor, " b"] = batch["boxed"].bool()
        self.boxes_xyxy: Float[Tensor, "b 4"] = batch["boxes_xyxy"]
        self._points_xy: Float[Tensor, "b n 2"] = batch["points_xy"]  # the first of a boxed object is never said
        self._labels: Int64[Tensor, "b n"] = torch.ones_like(self._points_xy[..., 0], dtype=torch.int64)
        self._masks: Float[Tensor, "b 1 m m"] = torch.zeros_like(self._truth)
        self._masked: Bool[Tensor, " b"] = torch.zeros_like(self.boxed)

    def encode(self, prompts: PromptEncoder) -> tuple[Float[Tensor, "b t c"], Float[Tensor, "b c h w"]]:
        """Tokens and dense map, the same as the prompt encoder makes of each object's prompts alone.

        A click with the token that says "no box" is as long as a box, so that objects of both kinds fit one batch.
        """
        first = prompts.points(self._points_xy[:, :1], self._labels[:, :1], pad=True)
        first = torch.where(self.boxed[:, None, None], prompts.boxes(self.boxes_xyxy), first)
        sparse = torch.cat([first, prompts.points(self._points_xy[:, 1:], self._labels[:, 1:], pad=False)], 1)
        none = prompts.no_mask_embed.weight.view(1, -1, 1, 1)
        if not self._masked.any():
            return sparse, none.expand(len(sparse), -1, prompts.shape.grid, prompts.shape.grid)
        return sparse, torch.where(self._masked[:, None, None, None], prompts.mask_downscaling(self._masks), none)

    def correct(self, answers: Bool[Tensor, "b m m"]) -> None:
        """One more click for each object, on a mistake of the answer; where it made none, on the object."""
        truth, given = (self._truth[:, 0] > 0.5).cpu().numpy(), answers.cpu().numpy()
        clicks, labels, shown = [], [], []
        for right, found, (h, w), chance in zip(truth, given, self._extent, self._chances, strict=True):
            place, positive = _mistake(right[:h, :w], found[:h, :w], chance)
            clicks.append(to_frame(place[None], self._scale))
            labels.append([positive])
            shown.append(chance.random() < self._config.feedback)
        device = self._truth.device
        self._points_xy = torch.cat([self._points_xy, torch.stack(clicks).to(device)], 1)
        self._labels = torch.cat([self._labels, torch.tensor(labels, device=device)], 1)
        self._masked = torch.tensor(shown, device=device)
        self._masks = torch.where(answers, MASK_STRENGTH, -MASK_STRENGTH)[:, None]


def _mistake(
    truth: Bool[np.ndarray, "y x"], answer: Bool[np.ndarray, "y x"], chance: np.random.Generator
) -> tuple[Float[np.ndarray, "2"], int]:
    """Where a user clicks and whether that lies on the object.

    Half of the clicks are in the middle of the largest mistake, as a careful user's, half anywhere on a mistake, as SAM
    learned.
    """
    wrong = truth != answer
    if wrong.any() and chance.random() < 0.5:
        found = corrective_click(Prompts(Grid.of_picture((int(truth.shape[0]), int(truth.shape[1])))), truth, answer, chance)
        if found is not None:
            return found.points_zyx[0].astype(np.float64), int(found.labels[0])
    places = np.argwhere(wrong if wrong.any() else truth)
    y, x = places[chance.integers(len(places))]
    return np.array([y, x], np.float64), int(truth[y, x])
