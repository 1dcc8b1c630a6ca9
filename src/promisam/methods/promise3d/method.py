"""ProMISe-3D: what `Segmenter` and `Trainable` ask for, over volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, Int64
from torch import Tensor

from promisam.core import Example, Grid, Image, Labelled, PromptKind, Prompts, Scores, Task, check_ndim, check_prompts
from promisam.core.errors import InvalidConfig, NotFitted, UnsupportedPrompt
from promisam.methods.promise3d.answering import Explorer, Origin, logits_of
from promisam.methods.promise3d.config import Config
from promisam.methods.promise3d.encoder import CubeEncoder
from promisam.methods.promise3d.losses import click_loss
from promisam.methods.promise3d.network import Network, Seen
from promisam.methods.promise3d.official import INTENSITIES, Data, options_of, split_official
from promisam.methods.promise3d.samples import Sampler, click_maps
from promisam.methods.promise3d.tinyvit import VolumeTinyVit
from promisam.methods.promise3d.vit import VolumeVit
from promisam.methods.promise3d.volume import Intensity, Working
from promisam.sam.model import Sam
from promisam.sam.picture import device_of, encoder_precision, frozen
from promisam.sam.tinyvit import TinyVit
from promisam.sam.vit import VisionTransformer
from promisam.spatial.patches import centres, cut
from promisam.spatial.users import random_points
from promisam.training.contract import Arrays, Released
from promisam.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class EncodedVolume:
    """A volume as the network sees it, and what it saw in the cubes that were looked at last.

    Attributes:
        grid: of the volume.
        working: at which samples it is seen.
        volume: standardised intensities there.
        seen: of cubes, by their first sample.
    """

    grid: Grid
    working: Working
    volume: Float16[np.ndarray, "z y x"]
    seen: dict[Origin, Seen] = field(default_factory=dict)

    def cube(self, origin: Origin, side: int) -> Float[Tensor, "1 1 d h w"]:
        """Part of the volume, 0 outside of it."""
        return torch.from_numpy(cut(self.volume[None], origin, (side,) * 3).astype(np.float32))[None]


class Promise3d:
    """One click, one object: cubes of a volume through an adapted SAM encoder and a convolutional path.

    It does not tell classes apart: it segments what is clicked, whatever its name.
    """

    ndim = 3
    automatic = False
    releases: ClassVar[tuple[str, ...]] = tuple(INTENSITIES)
    variants = 1
    accepts: frozenset[PromptKind] = frozenset(("points",))
    recipe: ClassVar[Recipe] = Recipe(epochs=200, batch=1, learning_rate=4e-4, weight_decay=0.0, clip=1.0)

    def __init__(self, sam: Sam, config: Config | None = None, task: Task | None = None) -> None:
        """Stand on a SAM, which is not changed; without a task there is nothing that could learn or answer."""
        self.sam = frozen(sam)
        self.config = config or Config()
        self.task = task
        self._encoder: CubeEncoder | None = None
        self._network: Network | None = None
        if task is not None:
            self._encoder = _encoder(self.sam, self.config)
            self._network = Network(self._encoder, self.config).to(device_of(self.sam))
            self._sampler = Sampler(self.config, task)

    @classmethod
    def released(cls, state: Mapping[str, Tensor], trained_on: Data) -> Released:
        """A file of the authors, answered as they do. No file tells the scale of its intensities: the data set does."""
        sam, own = split_official(state, trained_on)
        return Released(sam, own, options_of(own))

    @property
    def network(self) -> Network:
        """All that is trained, and how intensities are scaled."""
        if self._network is None:
            raise _unfitted()
        return self._network

    @property
    def classes(self) -> tuple[str, ...]:
        """What it learned."""
        return () if self.task is None else self.task.classes

    def measure(self, examples: Sequence[Example]) -> None:
        """The scale of intensities, from the objects of the training set."""
        found = Intensity.measured((example.load() for example in examples), self.config.percentiles)
        self.network.intensity.copy_(found.tensor())

    def prepare(self, image: Image) -> Image:
        """Nothing: intensities are scaled with the statistics of training when the volume is encoded."""
        return image

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """Refuse prompts off the volume, other kinds than points, and negative ones where nothing tells them apart."""
        check_prompts(self.accepts, grid, prompts, "Click on the object.")
        if not self._tells_negatives and not prompts.labels.all():
            raise UnsupportedPrompt(
                "a point off the object, for a network that cannot tell it from one on it",
                expected="points on the object",
                do="Train with labels=true for corrections of both kinds.",
            )

    def encode(self, image: Image) -> EncodedVolume:
        """The volume at the network's spacing and scale; its cubes are encoded when clicks ask for them.

        Raises:
            NotFitted: without a task.
            GeometryError: for a picture.
            InvalidImage: for more than one channel.
        """
        check_ndim(self, image.grid)
        working = self._working(image.grid)
        return EncodedVolume(image.grid, working, working.pixels(image.pixels, Intensity.of(self.network.intensity)))

    @torch.no_grad()
    def decode(self, encoded: EncodedVolume, prompts: Prompts) -> Scores:
        """Scores of the clicked object on the volume's own grid."""
        self.check(encoded.grid, prompts)
        explorer = Explorer(encoded.working.shape, self.config.patch, self.config.cubes, partial(self._answer, encoded))
        clicks, labels = encoded.working.there(prompts.points_zyx), prompts.labels.astype(np.int64)
        look = explorer.everywhere if self.config.view == "volume" else explorer.around
        probability = (explorer.at_middle if self.config.official else look)(clicks, labels)
        return Scores(logits_of(encoded.working.back(probability))[None], encoded.grid)

    @property
    def precompute_settings(self) -> Mapping[str, object]:
        """What the kept arrays depend on: spacing and scale."""
        return {
            "spacing": self.config.spacing,
            "intensity": self.network.intensity.tolist(),
            "released": self.config.official,
            "classes": len(self.classes),
            "format": 1,
        }

    def precompute(self, example: Labelled, variant: int) -> dict[str, np.ndarray]:  # noqa: ARG002 - there is one
        """The volume as it is seen, the labels there, and where they lie."""
        encoded = self.encode(example.image)
        labels = encoded.working.labels(example.truth.labels, len(self.classes))
        return {"volume": encoded.volume, "labels": labels, "centres": centres(labels, len(self.classes))}

    def recall(self, grid: Grid, kept: Arrays) -> EncodedVolume:
        """What `encode` answers, from what `precompute` kept."""
        return EncodedVolume(grid, self._working(grid), kept["volume"])

    def sample(self, kept: Arrays, generator: torch.Generator) -> dict[str, Tensor]:
        """A cube, clicks in it and the clicked object."""
        return self._sampler(kept, generator)

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Dice, cross-entropy and the boundary term."""
        cubes, given = batch["cubes"], (batch["points"], batch["labels"])
        logits = self.network.answer(self._encoding.features(cubes), cubes, *given, self._maps(*given))
        return click_loss(logits, batch["truth"], self.config)

    def validation_prompts(self, labelled: Labelled, generator: np.random.Generator) -> list[Prompts]:
        """One click anywhere on each object that is there."""
        masks = [(name, labelled.truth.mask(label)) for label, name in enumerate(self.classes, 1)]
        return [random_points(m, labelled.image.grid, 1, generator, target=name) for name, m in masks if m.any()]

    def _answer(
        self, encoded: EncodedVolume, origin: Origin, points: Float[np.ndarray, "n 3"], labels: Int64[np.ndarray, " n"]
    ) -> Float32[np.ndarray, "d h w"]:
        """Probabilities in one cube."""
        device = device_of(self.sam)
        cube = encoded.cube(origin, self.config.patch).to(device)
        with encoder_precision(self.sam, self.config.precision):
            seen = encoded.seen.pop(origin, None) or self.network.look(self._encoding.features(cube), cube)
            encoded.seen[origin] = seen
            for oldest in list(encoded.seen)[: -self.config.cubes]:
                del encoded.seen[oldest]
            given = torch.from_numpy(points).float().to(device)[None], torch.from_numpy(labels).to(device)[None]
            logits = self.network.reply(seen, *given, self._maps(*given))
        return logits.float().softmax(1)[0, 1].cpu().numpy()

    def _working(self, grid: Grid) -> Working:
        return Working.of(grid, self.config.spacing, released=self.config.official)

    def _maps(self, points: Float[Tensor, "b n 3"], labels: Int64[Tensor, "b n"]) -> Float[Tensor, "b 2 d h w"] | None:
        return click_maps(points, labels, self.config.patch) if self.config.click_map else None

    @property
    def _encoding(self) -> CubeEncoder:
        if self._encoder is None:
            raise _unfitted()
        return self._encoder

    @property
    def _tells_negatives(self) -> bool:
        config = self.config
        return not config.official and (config.labels or config.click_map) and config.negatives > 0


def _encoder(sam: Sam, config: Config) -> CubeEncoder:
    if isinstance(sam.image_encoder, VisionTransformer):
        return VolumeVit(sam.image_encoder, config)
    if isinstance(sam.image_encoder, TinyVit):
        return VolumeTinyVit(sam.image_encoder, config)
    raise InvalidConfig(
        f"an image encoder of the kind {type(sam.image_encoder).__name__}",
        expected="a plain ViT or a TinyViT",
        do="Use another SAM.",
    )


def _unfitted() -> NotFitted:
    return NotFitted(
        "ProMISe-3D without training", expected="a trained method", do="Train it: promisam fit promise3d DATASET -o RUN."
    )
