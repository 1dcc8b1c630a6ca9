"""ProMISe-2D: a frozen SAM that finds its own points and whose mask tokens are shifted (Wang et al. 2024, arXiv 2403.04164)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor

from promisam.core import (
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
from promisam.core.errors import InvalidConfig, NotFitted
from promisam.methods.promise2d.cleaning import opened, smoothed
from promisam.methods.promise2d.config import Config
from promisam.methods.promise2d.decoding import decode_shifted
from promisam.methods.promise2d.distance_loss import distance_loss, signed_distance
from promisam.methods.promise2d.mirroring import VIEWS, mirrored_back, mirrored_image, mirrored_prompts
from promisam.methods.promise2d.network import Network
from promisam.methods.promise2d.official import official_loss, split_official
from promisam.methods.promise2d.samples import drawn_points
from promisam.methods.promise2d.slots import slot_labels
from promisam.sam.frame import Frame
from promisam.sam.model import Sam, fingerprint
from promisam.sam.picture import device_of, encoder_precision, framed, frozen, prompt_tensors
from promisam.sam.taps import TAPS, default_taps
from promisam.spatial.users import random_points
from promisam.training.augmentation import Augmentation, mirrored_axes
from promisam.training.contract import Arrays, Released
from promisam.training.losses import bce_dice
from promisam.training.recipe import Recipe
from promisam.training.variants import augmented

# Milder than the baseline's: the frozen encoder saw none of it. Turning by up to 45 degrees is the release's.
_AUGMENTATION = Augmentation(rotation=45, scale=0.1, shift=0.06, noise=0.1, blur=0.7)


@dataclass(frozen=True, eq=False)
class EncodedPicture:
    """A picture's embedding, how it sits in the model's frame, and the points that were found on it.

    Attributes:
        grid: of the picture.
        frame: how it sits in the frame.
        embedding: of the image encoder.
        points_xy: found for each class, in pixels of the frame; None where points are given.
        mirrored: the same of the picture's mirror images, in the order of `VIEWS`, as many as are asked as well.
    """

    grid: Grid
    frame: Frame
    embedding: Float[Tensor, "1 c h w"]
    points_xy: Float[Tensor, "classes n 2"] | None
    mirrored: tuple[EncodedPicture, ...] = ()


class ProMISe2D:
    """SAM, unchanged, with learned points, learned token shifts, or both."""

    ndim = 2
    recipe: ClassVar[Recipe] = Recipe(epochs=40, batch=8, learning_rate=1e-3, validate_every=5)

    def __init__(self, sam: Sam, config: Config | None = None, task: Task | None = None) -> None:
        """Stand on a SAM, which is not changed; without a task there is nothing that could learn or answer."""
        self.sam = frozen(sam)
        self.config = config or Config()
        self.task = task
        self.window = Window.parse(self.config.window)
        self.token = self._token(sam)
        self._augmentation = replace(_AUGMENTATION, flips=mirrored_axes(self.config.flips, task or Task()))
        self._network = None if task is None else Network(self.sam, self.config, len(task.classes)).to(device_of(sam))
        self._fingerprint = ""

    def _token(self, sam: Sam) -> int:
        wanted, known = self.config.mask, sam.mask_decoder.shape.masks
        token = int(sam.traits.multimask) if wanted == "auto" else wanted
        if token >= known:
            raise InvalidConfig(f"the mask token {token}", expected=f"0 to {known - 1}", do="Leave it to auto.")
        return token

    @classmethod
    def released(cls, state: Mapping[str, Tensor]) -> Released:
        """A file of the authors; answered as they do, but that tokens and points are those of the file."""
        sam, own, facts = split_official(state)
        form = {} if facts.form is None else {"form": facts.form, "points": facts.points}
        return Released(sam, own, {"mode": facts.mode, "mask": 1, "area": "frame", "smooth": False, "opening": 5, **form})

    @property
    def network(self) -> Network:
        """All that is trained."""
        if self._network is None:
            raise NotFitted(
                "ProMISe-2D without training",
                expected="a trained method",
                do="Train it: promisam fit promise2d DATASET -o RUN.",
            )
        return self._network

    @property
    def automatic(self) -> bool:
        """Whether it finds its own points."""
        return self.config.finds_points

    @property
    def classes(self) -> tuple[str, ...]:
        """What it learned."""
        return () if self.task is None else self.task.classes

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """Points; and what the SAM's own weights learned, as long as its tokens are not shifted.

        Shifted tokens learned points alone: boxes then lose a fifth of their Dice (docs/methods/promise2d.md).
        """
        points = frozenset[PromptKind](("points",))
        return points if self.config.shifts_tokens else points | self.sam.traits.prompts

    def prepare(self, image: Image) -> Image:
        """Through the window to 0..255."""
        return self.window.apply(image)

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """Refuse prompts off the image, kinds that nothing learned, and prompts that do not say which of several classes."""
        advice = "It was trained with points: give those, or use the method plain_sam on the same weights."
        check_prompts(self.accepts, grid, prompts, advice, automatic=self.automatic)
        class_of(prompts, self.classes)

    @torch.no_grad()
    def encode(self, image: Image) -> EncodedPicture:
        """The image embedding, and the points, where the method finds them; of mirror images as well, if they are asked."""
        check_ndim(self, image.grid)
        prepared = self.prepare(image)
        others = tuple(self._encoded(mirrored_image(prepared, axes)) for axes in VIEWS[1 : self.config.views])
        return replace(self._encoded(prepared), mirrored=others)

    @torch.no_grad()
    def decode(self, encoded: EncodedPicture, prompts: Prompts) -> Scores:
        """Without prompts the scores of every class; with them those of the class that is meant."""
        self.check(encoded.grid, prompts)
        found = [self._answer(encoded, prompts)]
        for axes, other in zip(VIEWS[1:], encoded.mirrored, strict=False):
            found.append(mirrored_back(self._answer(other, mirrored_prompts(prompts, axes)), axes))
        return Scores(np.mean(found, axis=0) if len(found) > 1 else found[0], encoded.grid)

    def _encoded(self, prepared: Image) -> EncodedPicture:
        network = self.network
        frame, pixels = framed(self.sam, prepared)
        embedding, features = self._embed(pixels)
        points = None if network.points is None else self._found(features, self._area(frame.resized)[None])[0]
        return EncodedPicture(prepared.grid, frame, embedding, points)

    def _answer(self, encoded: EncodedPicture, prompts: Prompts) -> Float32[np.ndarray, "k y x"]:
        """Logits on the picture, as one view of it gives them."""
        shift = self._shift(encoded.embedding)
        if prompts.kinds or encoded.points_xy is None:
            given = prompt_tensors(self.sam, encoded.frame, prompts)
            chosen = class_of(prompts, self.classes)
            logits = decode_shifted(
                self.sam,
                encoded.embedding,
                given.get("points_xy"),
                given.get("labels"),
                None if shift is None else shift[:, chosen],
                self.token,
                boxes_xyxy=given.get("boxes_xyxy"),
                masks=given.get("masks"),
            )
        else:
            labels = slot_labels(self.config.points).to(encoded.points_xy.device).expand(len(encoded.points_xy), -1)
            shifts = None if shift is None else shift[0]
            logits = decode_shifted(self.sam, encoded.embedding, encoded.points_xy, labels, shifts, self.token)
        restored = encoded.frame.restore(self._cleaned(logits)[None])[0]
        return restored.float().cpu().numpy()

    def suggest(self, encoded: EncodedPicture) -> list[Prompts]:
        """The points that the method found, one value for each class, to be shown, edited and given back; empty without any."""
        if encoded.points_xy is None:
            return []
        labels = slot_labels(self.config.points).numpy()
        found = zip(encoded.points_xy, self.classes, strict=True)
        return [Prompts(encoded.grid, encoded.frame.points_zyx(xy), labels, target=name) for xy, name in found]

    @property
    def variants(self) -> int:
        """How many versions of an image are encoded."""
        return self.config.variants

    @property
    def precompute_settings(self) -> Mapping[str, object]:
        """The frozen SAM and how pictures reach it."""
        self._fingerprint = self._fingerprint or fingerprint(self.sam)
        chosen = {"window", "precision"}
        return {
            **self.config.model_dump(include=chosen),
            "classes": len(self.classes),
            "sam": self._fingerprint,
            "side": self.sam.side,
            "antialias": self.sam.traits.antialias,
            "taps": self.config.finds_points,
            "augmentation": repr(self._augmentation),
            "format": 3,
        }

    @torch.no_grad()
    def precompute(self, example: Labelled, variant: int) -> dict[str, np.ndarray]:
        """Embedding and features in half precision, and the share of each class in the cells of the decoder's masks."""
        image, truth = self.prepare(example.image), example.truth
        if variant:
            image, truth = augmented(image, truth, self._augmentation, variant)
        frame, pixels = framed(self.sam, image)
        embedding, features = self._embed(pixels)
        masks = np.stack([truth.mask(label) for label in range(1, len(self.classes) + 1)])
        shares = frame.shares(masks, self.sam.image_encoder.grid)[0]
        kept = {"embedding": embedding[0], **{f"features{i}": f[0] for i, f in enumerate(features)}}
        return {
            **{name: value.cpu().half().numpy() for name, value in kept.items()},
            "shares": (shares * 255).round().byte().numpy(),
            "resized": np.array(frame.resized),
        }

    def sample(self, kept: Arrays, generator: torch.Generator) -> dict[str, Tensor] | None:
        """What one visit teaches: all classes by found points, or one class by points drawn from its mask."""
        shares = torch.from_numpy(kept["shares"]).float() / 255
        cells = 4 * self.sam.image_encoder.grid
        truth = F.pad(shares, (0, cells - shares.shape[-1], 0, cells - shares.shape[-2]))
        sample = {name: torch.from_numpy(value).float() for name, value in kept.items() if name not in ("shares", "resized")}
        if self.automatic:
            sample |= {"truth": truth, "area": self._area(kept["resized"].tolist())}
            if self.config.distance_weight:
                maps = [signed_distance(one > 0.5) for one in truth.numpy()]
                sample["distance"] = torch.from_numpy(np.stack(maps))
            return sample
        drawn = drawn_points(shares, self.config.points, self.sam.side / cells, generator)
        return None if drawn is None else {**sample, **drawn, "truth": truth[drawn["class"]][None]}

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy and Dice of the masks, and the distance of found points where that is asked for."""
        embedding, truth = batch["embedding"], batch["truth"]
        shift = self._shift(embedding)
        extra: dict[str, Tensor] = {}
        if self.automatic:
            b, classes = truth.shape[:2]
            found = self._found([batch[f"features{i}"] for i in range(TAPS)], batch["area"])
            labels = slot_labels(self.config.points).to(found.device)
            shifts = None if shift is None else shift.flatten(0, 1)
            each = embedding.repeat_interleave(classes, 0)
            logits = decode_shifted(self.sam, each, found.flatten(0, 1), labels.expand(b * classes, -1), shifts, self.token)
            logits = logits.view(b, classes, *logits.shape[-2:])
            if self.config.distance_weight:
                away = distance_loss(found, labels, batch["distance"], self.sam.side)
                extra["distance"] = self.config.distance_weight * away
        else:
            if shift is not None:
                shift = shift[torch.arange(len(shift), device=shift.device), batch["class"]]
            logits = decode_shifted(self.sam, embedding, batch["points_xy"], batch["labels"], shift, self.token)[:, None]
        parts = bce_dice(logits, truth) if self.config.loss == "logits" else official_loss(logits, truth)
        return {**parts, **extra}

    @torch.no_grad()
    def recall(self, grid: Grid, kept: Arrays) -> EncodedPicture:
        """The encoding from kept arrays."""
        wanted = {name: value for name, value in kept.items() if name not in ("shares", "resized")}
        tensors = {name: torch.from_numpy(value).to(device_of(self.sam))[None] for name, value in wanted.items()}
        height, width = grid.shape
        frame, points = Frame((height, width), self.sam.side), None
        if self.network.points is not None:
            points = self._found([tensors[f"features{i}"].float() for i in range(TAPS)], self._area(frame.resized)[None])[0]
        return EncodedPicture(grid, frame, tensors["embedding"].float(), points)

    def validation_prompts(self, labelled: Labelled, generator: np.random.Generator) -> list[Prompts]:
        """None where points are found; else points drawn from each class that is there, as in training."""
        grid, truth = labelled.image.grid, labelled.truth
        if self.automatic:
            return [Prompts(grid)]
        masks = [(name, truth.mask(label)) for label, name in enumerate(self.classes, 1)]
        return [random_points(m, grid, self.config.points, generator, target=name) for name, m in masks if m.any()]

    def _embed(self, pixels: Float[Tensor, "b 3 side side"]) -> tuple[Float[Tensor, "b c h w"], list[Tensor]]:
        with encoder_precision(self.sam, self.config.precision):
            if not self.automatic:
                return self.sam.image_encoder(pixels).float(), []
            embedding, features = self.sam.image_encoder.features(pixels, default_taps(self.sam.image_encoder))
        return embedding.float(), [f.float() for f in features]

    def _found(self, features: list[Tensor], area: Float[Tensor, "b 2"]) -> Float[Tensor, "b classes n 2"]:
        """Points in pixels of the frame."""
        if self.network.points is None:
            raise NotFitted("no network that finds points", expected="a mode with apm", do="Give points.")
        return self.network.points(features) * area.to(features[0].device).view(-1, 1, 1, 2)  # type: ignore[no-any-return]

    def _area(self, resized: Sequence[int]) -> Float[Tensor, " 2"]:
        """(x, y) beyond which no found point lies, in pixels of the frame, for a picture that has these (y, x) in it."""
        height, width = (self.sam.side, self.sam.side) if self.config.area == "frame" else resized
        return torch.tensor([float(width), float(height)])

    def _shift(self, embedding: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes tokens c"] | None:
        return None if self.network.shift is None else self.network.shift(embedding)

    def _cleaned(self, logits: Float[Tensor, "c y x"]) -> Float[Tensor, "c y x"]:
        if self.config.smooth and self.config.shifts_tokens:
            logits = smoothed(logits)
        return logits if self.config.opening < 2 else opened(logits, self.config.opening)
