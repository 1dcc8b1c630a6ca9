"""SAM-MPA: masks of a few supports, propagated to other images, prompt a frozen SAM (Xu et al. 2024, arXiv 2411.17363)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from promisam.core import (
    Explanation,
    Grid,
    Image,
    Labelled,
    PromptKind,
    Prompts,
    Scores,
    Task,
    Window,
    check_ndim,
    check_prompts,
    class_of,
)
from promisam.core.errors import GeometryError, NotFitted
from promisam.methods.sam_mpa.composing import Composed, Stack, coarse_mask, compose, confidence, on_stack, refine, voted
from promisam.methods.sam_mpa.config import Config
from promisam.methods.sam_mpa.learning import remember, rows_of, stacked_location
from promisam.methods.sam_mpa.memory import Memory
from promisam.methods.sam_mpa.sight import Views, brightness
from promisam.sam.model import Sam
from promisam.sam.picture import frozen, prompt_tensors, weights_advice
from promisam.training.contract import Said

_SURE = 1e-4  # probabilities are kept so far from 0 and 1, as logits


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An image that can be asked for the method's own answer, which is worked out once, and for those to prompts."""

    method: SamMPA
    prepared: Image
    views: Views

    @property
    def grid(self) -> Grid:
        """Of the image."""
        return self.prepared.grid

    @cached_property
    def answer(self) -> Composed:
        """Without prompts."""
        return self.method.compose(self.prepared, self.views)


class SamMPA:
    """A frozen SAM, prompted by masks that come from supports."""

    few_shot: ClassVar[bool] = True

    def __init__(self, sam: Sam, config: Config | None = None, task: Task | None = None) -> None:
        """Stand on a SAM, which is not changed; without a task nothing can be remembered or answered."""
        self.sam = frozen(sam)
        self.config = config or Config()
        self.task = task
        self.window = Window.parse(self.config.window)
        self._memory: Memory | None = None

    @property
    def ndim(self) -> int:
        """Of the supports: volumes are registered as volumes."""
        return 2 if self.task is None else self.task.ndim

    @property
    def automatic(self) -> bool:
        """It needs no prompt."""
        return True

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the supports."""
        return () if self.task is None else self.task.classes

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """On pictures, what the SAM's weights learned, so that prompts can be corrected; none on volumes."""
        return self.sam.traits.prompts if self.ndim == 2 else frozenset()

    @property
    def network(self) -> Memory:
        """All that is remembered."""
        if self._memory is None:
            raise NotFitted(
                "SAM-MPA without supports",
                expected="a few labelled images",
                do="Give it some: promisam fit sam_mpa --support DATASET --images FOLDER -o RUN.",
            )
        return self._memory

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """For a checkpoint whose tensors have these shapes."""
        self._memory = Memory.like(shapes)

    @torch.no_grad()
    def learn(self, supports: Sequence[Labelled], others: Iterable[Image], generator: torch.Generator, said: Said) -> None:
        """Remember supports, and what other images look like.

        Raises:
            NotFitted: without a task.
            GeometryError: for no support, or one of another number of axes than the task has.
        """
        if self.task is None:
            raise NotFitted("SAM-MPA without a task", expected="the names of its classes", do="Make it with a task.")
        if not supports or any(one.image.grid.ndim != self.ndim for one in supports):
            raise GeometryError(
                f"{len(supports)} supports, not all of {self.ndim} axes",
                expected="one labelled image at least, and pictures or volumes, not both",
                do="Check the data set: promisam check-data.",
            )
        prepared = [Labelled(self.prepare(one.image), one.truth) for one in supports]
        fitting = (self.prepare(image) for image in others if image.grid.ndim == self.ndim)
        self._memory = remember(self.sam, self.config, prepared, fitting, self.classes, generator, said)

    def prepare(self, image: Image) -> Image:
        """Through the window to 0..255."""
        return self.window.apply(image)

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """Refuse prompts off the image, kinds that the weights never learned, and prompts that do not say which class."""
        check_prompts(self.accepts, grid, prompts, self._advice(prompts), automatic=True)
        class_of(prompts, self.classes)

    def encode(self, image: Image) -> EncodedImage:
        """Nothing yet but the intensity step: pictures are encoded when they are first looked at."""
        check_ndim(self, image.grid)
        prepared = self.prepare(image)
        return EncodedImage(self, prepared, Views(self.sam, prepared, self.config))

    @torch.no_grad()
    def decode(self, encoded: EncodedImage, prompts: Prompts) -> Scores:
        """Without prompts the scores of every class; with them SAM's answer to them."""
        self.check(encoded.grid, prompts)
        if prompts.kinds:
            seen = encoded.views[0]
            logits, quality = self.sam.decode(seen.embedding, **prompt_tensors(self.sam, seen.frame, prompts))
            best = int(quality[0].argmax()) if self.sam.traits.multimask else 0
            restored = seen.frame.restore(logits[:, best : best + 1])[0]
            return Scores(restored.float().cpu().numpy(), encoded.grid, (float(quality[0, best]),))
        stack = torch.from_numpy(encoded.answer.probability).clamp(_SURE, 1 - _SURE).logit()
        return Scores(self._on_grid(stack, encoded), encoded.grid)

    def explain(self, encoded: EncodedImage) -> Explanation:
        """Confidence, flags, measures and prompts of the answer without prompts."""
        made = encoded.answer
        prompts = made.prompts if self.ndim == 2 else ()
        return Explanation(
            confidence(made.measures, self.network.tuned), made.flags, made.measures, tuple(one for _, one in prompts)
        )

    def suggest(self, encoded: EncodedImage) -> list[Prompts]:
        """What SAM was asked, to be shown, edited and given back; of pictures."""
        return [one for _, one in encoded.answer.prompts] if self.ndim == 2 else []

    @torch.no_grad()
    def compose(self, prepared: Image, views: Views) -> Composed:
        """The whole way from an image to its masks."""
        memory, config = self.network, self.config
        tuned = memory.tuned.asked(config)
        rows, pooled = [], []
        for shown in views:
            if config.registration != 1:
                rows.append(memory.location(rows_of(shown, memory.components)).cpu())
            pooled.append(shown.pooled)
        location = stacked_location(torch.cat(rows), views) if rows else None
        votes: Stack | None = None
        measures: dict[str, float] = {}
        if tuned.registration > 0:
            space = tuple(memory.pictures.shape[1:])
            fixed = brightness(prepared, space)
            shares, measures = voted(fixed, torch.stack(pooled).mean(0), memory, config, views.sliced.spacing_at(space))
            votes = on_stack(shares, views.sliced.count, views[0].cells)
        coarse = coarse_mask(votes, location, tuned.registration, tuned.similarity, measures)
        refined = refine(self.sam, views, coarse.probability, config, tuned.parts, self.classes) if tuned.sam > 0 else None
        return compose(coarse, refined, tuned, config)

    def _advice(self, prompts: Prompts) -> str:
        if self.ndim == 3:
            return "Leave prompts out: the supports say what is wanted."
        return weights_advice(self.sam, prompts, "fit again with weights")

    def _on_grid(self, stack: torch.Tensor, encoded: EncodedImage) -> np.ndarray:
        """Logits in cells on the image's own samples."""
        sliced = encoded.views.sliced
        each = F.interpolate(stack.float(), sliced.shape[1:], mode="bilinear", align_corners=False)
        return np.stack([np.ascontiguousarray(sliced.restored(one)) for one in each.numpy()])
