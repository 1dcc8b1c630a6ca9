"""I-MedSAM: what `Segmenter` and `Trainable` ask for, over pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from promisam.adapters import amplitude
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
from promisam.methods.imedsam.answering import PictureField
from promisam.methods.imedsam.codes import OfficialCode, PaperCode
from promisam.methods.imedsam.config import Config
from promisam.methods.imedsam.encoder import AdaptedEncoder
from promisam.methods.imedsam.losses import field_loss, proper_loss
from promisam.methods.imedsam.network import Network
from promisam.methods.imedsam.official import SIDE, official_field, split_official
from promisam.methods.imedsam.places import at_places
from promisam.methods.imedsam.samples import drawn, kept_truth
from promisam.sam.frame import Frame
from promisam.sam.model import Sam, fingerprint
from promisam.sam.picture import device_of, encoder_precision, frozen, prompt_tensors, weights_advice
from promisam.spatial.users import jittered_box
from promisam.training.augmentation import Augmentation, mirrored_axes
from promisam.training.contract import Arrays, Released
from promisam.training.recipe import Recipe
from promisam.training.variants import augmented

# Weaker than MedAugment (Liu et al. 2023), with which the release trains, and kept for each variant in place of each visit.
_AUGMENTATION = Augmentation(rotation=20, scale=0.2, shift=0.06, noise=0.1, blur=0.7)
_TOKEN = 0  # the mask for a clear prompt


@dataclass(frozen=True, eq=False)
class EncodedPicture:
    """A picture's embedding and how the picture sits in the model's frame."""

    grid: Grid
    frame: Frame
    embedding: Float[Tensor, "1 c h w"]


class IMedSam:
    """An adapted SAM whose decoder is an implicit field: prompted masks and contours at any resolution."""

    ndim = 2
    automatic = False
    recipe: ClassVar[Recipe] = Recipe(epochs=12, batch=4, learning_rate=3e-4, weight_decay=1e-2, validate_every=1)

    def __init__(self, sam: Sam, config: Config | None = None, task: Task | None = None) -> None:
        """Stand on a SAM, which is not changed; without a task there is nothing that could learn or answer."""
        self.sam = frozen(sam)
        self.config = config or Config()
        self.task = task
        self.window = Window.parse(self.config.window)
        self.code = OfficialCode() if self.config.official else PaperCode(self.config.frequencies)
        self._augmentation = replace(_AUGMENTATION, flips=mirrored_axes(self.config.flips, task or Task()))
        self._encoder = AdaptedEncoder(frozen(sam).image_encoder, self.config)
        self._network: Network | None = None
        self._fingerprint = ""
        self._epoch = 0
        if task is not None:
            own = Network(self.sam, self._encoder.adapters, self.code, self.config, len(task.classes))
            self._network = own.to(device_of(sam))

    @classmethod
    def released(cls, state: Mapping[str, Tensor]) -> Released:
        """A file of the authors, answered as they do."""
        sam, own, _ = split_official(state)
        return Released(sam, own, {"mode": "official"}, side=SIDE)

    @property
    def network(self) -> Network:
        """All that is trained."""
        if self._network is None:
            raise NotFitted(
                "I-MedSAM without training",
                expected="a trained method",
                do="Train it: promisam fit imedsam DATASET -o RUN.",
            )
        return self._network

    @property
    def classes(self) -> tuple[str, ...]:
        """What it learned."""
        return () if self.task is None else self.task.classes

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """Boxes, and clicks where the SAM's weights learned them; the release learns boxes alone."""
        learned = frozenset[PromptKind](("box", "points")) & self.sam.traits.prompts
        return frozenset[PromptKind](("box",)) if self.config.official else learned

    def prepare(self, image: Image) -> Image:
        """Through the window to 0..255."""
        return self.window.apply(image)

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """Refuse prompts off the image, kinds that nothing learned, and prompts that do not say which of several classes."""
        check_prompts(self.accepts, grid, prompts, weights_advice(self.sam, prompts, "train on weights"))
        class_of(prompts, self.classes)

    @torch.no_grad()
    def encode(self, image: Image) -> EncodedPicture:
        """The embedding of the adapted encoder."""
        check_ndim(self, image.grid)
        _ = self.network
        frame, tokens, stream = self._early(self.prepare(image))
        return EncodedPicture(image.grid, frame, self._late(tokens, stream))

    @torch.no_grad()
    def decode(self, encoded: EncodedPicture, prompts: Prompts) -> Scores:
        """Scores of the class that the prompts mean, on the picture's own grid."""
        self.check(encoded.grid, prompts)
        if self.network.field is not None:
            return self.field(encoded, prompts).on(encoded.grid)
        _, logits = self._mapped(encoded.embedding, prompt_tensors(self.sam, encoded.frame, prompts))
        return Scores(encoded.frame.restore(logits[:, None])[0].float().cpu().numpy(), encoded.grid)

    @torch.no_grad()
    def field(self, encoded: EncodedPicture, prompts: Prompts) -> PictureField:
        """What the prompts ask for as a continuous function over the picture.

        Raises:
            InvalidConfig: with SAM's own mask decoder in place of the field.
        """
        self.check(encoded.grid, prompts)
        if self.network.field is None:
            raise InvalidConfig("a field of decoder = mask", expected="decoder = field", do="Train with decoder=field.")
        canvas, prior = self._mapped(encoded.embedding, prompt_tensors(self.sam, encoded.frame, prompts))
        return PictureField(
            encoded.grid,
            encoded.frame,
            self.network.field,
            class_of(prompts, self.classes),
            canvas[0].float(),
            self._positions()[0].float(),
            self.code,
            prior[0].float() if self.config.adds_prior else None,
            None if self.config.official else self.config.dropout_seed,
        )

    @property
    def variants(self) -> int:
        """How many versions of an image are kept."""
        return self.config.variants

    @property
    def precompute_settings(self) -> Mapping[str, object]:
        """The frozen part of the encoder and how pictures reach it."""
        self._fingerprint = self._fingerprint or fingerprint(self.sam)
        return {
            **self.config.model_dump(include={"window", "precision", "mode", "spectrum"}),
            "classes": len(self.classes),
            "sam": self._fingerprint,
            "side": self.sam.side,
            "antialias": self.sam.traits.antialias,
            "augmentation": repr(self._augmentation),
            "format": 1,
        }

    @torch.no_grad()
    def precompute(self, example: Labelled, variant: int) -> dict[str, np.ndarray]:
        """Tokens of the picture and of its spectrum in half precision, and the share of each class in the truth's samples."""
        image, truth = self.prepare(example.image), example.truth
        if variant:
            image, truth = augmented(image, truth, self._augmentation, variant)
        _, tokens, stream = self._early(image)
        masks = np.stack([truth.mask(label) for label in range(1, len(self.classes) + 1)])
        kept = {"tokens": tokens} if stream is None else {"tokens": tokens, "stream": stream}
        return {
            **{name: value[0].cpu().half().numpy() for name, value in kept.items()},
            "truth": kept_truth(masks.astype(np.float32)),
        }

    def sample(self, kept: Arrays, generator: torch.Generator) -> dict[str, Tensor] | None:
        """One class that is there, asked by a box or clicks, and places with their truth."""
        clicks = "points" in self.accepts
        found = drawn(kept["truth"], self.config, self.sam.side, clicks=clicks, generator=generator)
        if found is None:
            return None
        return {**{name: torch.from_numpy(kept[name]).float() for name in ("tokens", "stream") if name in kept}, **found}

    def reached(self, epoch: int) -> None:
        """The loss moves from the coarse answers to the merged ones, and, as released, the position code is unmasked."""
        self._epoch = epoch

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Dice and cross-entropy at the places that were drawn."""
        embedding = self._encoder.late(batch["tokens"], batch.get("stream"))
        canvas, own = self._asked(embedding, batch)
        places, truth = batch["places"], batch["shares"]
        prior = at_places(own[:, None].float(), places)[..., 0]
        field = self.network.field
        if field is None:
            return proper_loss(prior, truth)
        inputs = self._inputs(canvas, batch)
        if not self.config.official:
            coarse, merged = field(inputs, batch["class"], prior if self.config.adds_prior else None)
            return field_loss(coarse, merged, truth, self._epoch)
        pairs = [official_field(field, one, int(c))[:2] for one, c in zip(inputs, batch["class"], strict=True)]
        coarse, merged = (torch.stack(part) for part in zip(*pairs, strict=True))
        return field_loss(coarse, merged, truth, self._epoch, official=True)

    @torch.no_grad()
    def recall(self, grid: Grid, kept: Arrays) -> EncodedPicture:
        """The encoding from kept arrays."""
        device = device_of(self.sam)
        tokens, stream = (
            torch.from_numpy(kept[n]).float().to(device)[None] if n in kept else None for n in ("tokens", "stream")
        )
        height, width = grid.shape
        frame = Frame((height, width), self.sam.side, stretch=self.config.official)
        if tokens is None:
            raise AssertionError("tokens are always kept")
        return EncodedPicture(grid, frame, self._late(tokens, stream))

    def validation_prompts(self, labelled: Labelled, generator: np.random.Generator) -> list[Prompts]:
        """A box around each class that is there."""
        masks = [(name, labelled.truth.mask(label)) for label, name in enumerate(self.classes, 1)]
        return [jittered_box(m, labelled.image.grid, generator, target=name) for name, m in masks if m.any()]

    def _early(self, prepared: Image) -> tuple[Frame, Tensor, Tensor | None]:
        """How the picture sits in the frame, and the tokens of the first adapted block: of the picture and of its spectrum."""
        height, width = prepared.grid.shape
        frame = Frame((height, width), self.sam.side, stretch=self.config.official)
        smoothed = self.sam.traits.antialias and not self.config.official
        raw = frame.resize(prepared.pixels, antialias=smoothed).to(device_of(self.sam))
        scaled = raw / 255 if self.config.official else self.sam.scale(raw)
        pixels = frame.pad(scaled).contiguous(memory_format=torch.channels_last)
        stream: Tensor | None = None
        with encoder_precision(self.sam, self.config.precision):
            tokens = self._encoder.early(pixels).float()
            if self.config.spectrum != "none":
                spectrum = amplitude(
                    frame.pad(raw), "red" if self.config.official else "luminance", log=self.config.spectrum == "log"
                )
                shown = spectrum.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
                stream = self._encoder.early(shown).float()
        return frame, tokens, stream

    def _late(self, tokens: Tensor, stream: Tensor | None) -> Float[Tensor, "b c h w"]:
        with encoder_precision(self.sam, self.config.precision), self._encoder.merged():
            return self._encoder.late(tokens, stream).float()

    def _asked(self, embedding: Float[Tensor, "b c h w"], batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Features and mask logits of a batch whose samples are asked by boxes or by clicks."""
        if "clicked" not in batch:
            return self._mapped(embedding, {"boxes_xyxy": batch["boxes_xyxy"]})
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for kind, names in enumerate((("boxes_xyxy",), ("points_xy", "labels"))):
            own = torch.nonzero(batch["clicked"] == kind)[:, 0]
            if len(own):
                found.append((own, *self._mapped(embedding[own], {name: batch[name][own] for name in names})))
        order = torch.cat([own for own, _, _ in found]).argsort()
        return torch.cat([f for _, f, _ in found])[order], torch.cat([m for _, _, m in found])[order]

    def _mapped(
        self, embedding: Float[Tensor, "b c h w"], given: Mapping[str, Tensor]
    ) -> tuple[Float[Tensor, "b d y x"], Float[Tensor, "b y x"]]:
        """The decoder's image features at four times the embedding's resolution, and the logits of SAM's mask from them."""
        decoder = self.sam.mask_decoder
        sparse, dense = self.network.prompt_encoder(**given)
        tokens, features = decoder.attend(embedding, self._positions(), sparse, dense)
        canvas = self.network.upscaling(features)
        weights = decoder.output_hypernetworks_mlps[_TOKEN](tokens[:, 1 + _TOKEN])
        return canvas, torch.einsum("bc,bcyx->byx", weights, canvas)

    def _positions(self) -> Float[Tensor, "1 c h w"]:
        return self.network.prompt_encoder.dense_positions()

    def _inputs(self, canvas: Float[Tensor, "b c y x"], batch: Mapping[str, Tensor]) -> Float[Tensor, "b n i"]:
        """Image features, position features and position code of places."""
        places, codes = batch["places"], batch["codes"]
        b, n = places.shape[:2]
        flat = codes.flatten(0, 1)
        code = (self.code.rows(flat[:, 0]) + self.code.columns(flat[:, 1])).view(b, n, -1)
        if isinstance(self.code, OfficialCode):
            kept = self.code.kept(self._epoch)
            code = torch.cat([code[..., :kept], torch.zeros_like(code[..., kept:])], -1)
        positions = self._positions().expand(b, -1, -1, -1)
        return torch.cat([at_places(canvas.float(), places), at_places(positions, places), code], -1)
