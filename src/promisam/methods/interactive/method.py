"""Interactive training: what `Segmenter` and `Trainable` ask for."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from promisam.core import Grid, Image, Labelled, PromptKind, Prompts, Scores, Task, Window, check_ndim, check_prompts
from promisam.core.errors import NotFitted
from promisam.methods.interactive.config import Config
from promisam.methods.interactive.conversation import Conversation
from promisam.methods.interactive.losses import mask_loss, overlaps, quality_loss, single_or_best
from promisam.methods.interactive.samples import drawn
from promisam.sam.asking import EncodedPicture, Multimask, answer, embed
from promisam.sam.frame import Frame
from promisam.sam.mask_decoder import MaskDecoder
from promisam.sam.model import Answering, Sam, fingerprint
from promisam.sam.picture import device_of, encoder_precision, framed, frozen
from promisam.sam.prompt_encoder import PromptEncoder
from promisam.spatial.users import first_click
from promisam.training.augmentation import Augmentation, mirrored_axes
from promisam.training.contract import Arrays
from promisam.training.recipe import Recipe
from promisam.training.variants import augmented

_AUGMENTATION = Augmentation(rotation=45, scale=0.3, shift=0.1, gamma=0.6)
_APART = 0.2  # of the first mask token's deviation
_EVERY = frozenset[PromptKind](("points", "box", "mask"))


class Network(nn.Module):
    """The two small parts of a SAM, to be trained."""

    def __init__(self, sam: Sam, config: Config) -> None:
        """Begin as they are; masks for ambiguous prompts that were never trained begin as the single one."""
        super().__init__()
        self.prompt_encoder: PromptEncoder = copy.deepcopy(sam.prompt_encoder)
        self.mask_decoder: MaskDecoder = copy.deepcopy(sam.mask_decoder)
        if not sam.traits.multimask and config.trained != "points":
            _as_the_single(self.mask_decoder)
        points = [*self.prompt_encoder.point_embeddings[:2].parameters(), *self.prompt_encoder.not_a_point_embed.parameters()]
        decoder = self.mask_decoder
        heads = [decoder.iou_token, decoder.mask_tokens, decoder.output_hypernetworks_mlps, decoder.iou_prediction_head]
        tokens = [*points, *(p for part in heads for p in part.parameters())]
        chosen = {"points": points, "tokens": tokens, "all": [*self.parameters()]}[config.trained]
        self.requires_grad_(False)
        for parameter in chosen:
            parameter.requires_grad_(True)


class Interactive:
    """A SAM that learned clicks, boxes, masks and corrections on the embeddings of its frozen image encoder.

    It does not tell classes apart: it segments what is asked for, whatever its name.
    """

    ndim = 2
    automatic = False
    accepts = _EVERY
    recipe: ClassVar[Recipe] = Recipe(epochs=40, batch=4, learning_rate=2e-4, validate_every=5)

    def __init__(self, sam: Sam, config: Config | None = None, task: Task | None = None) -> None:
        """Stand on a SAM, which is not changed; without a task there is nothing that could learn or answer."""
        self.sam = frozen(sam)
        self.config = config or Config()
        self.task = task
        self.window = Window.parse(self.config.window)
        self._augmentation = replace(_AUGMENTATION, flips=mirrored_axes(self.config.flips, task or Task()))
        self._network: Network | None = None
        self._adapted: Sam | None = None
        self._fingerprint = ""
        if task is not None:
            self._network = Network(self.sam, self.config).to(device_of(sam))
            self._adapted = self._with(self._network)

    def _with(self, network: Network) -> Sam:
        """A SAM with the frozen image encoder and the trained parts; for boxes with what answered them before, if asked to."""
        several = self.config.trained != "points" and self.sam.mask_decoder.shape.masks > 1
        traits, boxes = replace(self.sam.traits, prompts=_EVERY, multimask=several), None
        if self.config.box_answers == "kept":
            boxes = self.sam.for_boxes or Answering(self.sam.prompt_encoder, self.sam.mask_decoder)
        return Sam(cast("nn.Module", self.sam.image_encoder), network.prompt_encoder, network.mask_decoder, traits, boxes)

    @property
    def network(self) -> Network:
        """The prompt encoder and the mask decoder."""
        if self._network is None:
            raise _unfitted()
        return self._network

    @property
    def classes(self) -> tuple[str, ...]:
        """What it learned."""
        return () if self.task is None else self.task.classes

    @property
    def adapted(self) -> Sam:
        """The trained SAM: the frozen image encoder and the network."""
        if self._adapted is None:
            raise _unfitted()
        return self._adapted

    def prepare(self, image: Image) -> Image:
        """Through the window to 0..255."""
        return self.window.apply(image)

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """Refuse prompts off the image, and none at all."""
        check_prompts(self.accepts, grid, prompts, "Click on the object, or draw a box around it.")

    def encode(self, image: Image) -> EncodedPicture:
        """The frozen image encoder's embedding of one picture."""
        check_ndim(self, image.grid)
        return embed(self.adapted, self.prepare(image), self.config.precision)

    def decode(self, encoded: EncodedPicture, prompts: Prompts) -> Scores:
        """The mask that the prompts ask for, and the IoU that is expected of it."""
        self.check(encoded.grid, prompts)
        multimask: Multimask = self.config.multimask if self.adapted.traits.multimask else "never"
        return answer(self.adapted, encoded, prompts, multimask)

    @property
    def variants(self) -> int:
        """How many versions of an image are encoded."""
        return self.config.variants

    @property
    def precompute_settings(self) -> Mapping[str, object]:
        """The frozen image encoder and how pictures reach it."""
        self._fingerprint = self._fingerprint or fingerprint(cast("nn.Module", self.sam.image_encoder))
        return {
            **self.config.model_dump(include={"window", "precision"}),
            "classes": len(self.classes),
            "encoder": self._fingerprint,
            "side": self.sam.side,
            "scaling": self.sam.traits.scaling,
            "augmentation": repr(self._augmentation),
            "format": 1,
        }

    @torch.no_grad()
    def precompute(self, example: Labelled, variant: int) -> dict[str, np.ndarray]:
        """The embedding in half precision, and the share of each class in the cells of the decoder's masks."""
        check_ndim(self, example.image.grid)
        image, truth = self.prepare(example.image), example.truth
        if variant:
            image, truth = augmented(image, truth, self._augmentation, variant)
        frame, pixels = framed(self.sam, image)
        with encoder_precision(self.sam, self.config.precision):
            embedding = self.sam.image_encoder(pixels)
        masks = np.stack([truth.mask(label) for label in range(1, len(self.classes) + 1)])
        shares = frame.shares(masks, self.sam.image_encoder.grid)[0]
        return {"embedding": embedding[0].cpu().half().numpy(), "shares": (shares * 255).round().byte().numpy()}

    def recall(self, grid: Grid, kept: Arrays) -> EncodedPicture:
        """What `encode` answers, from what `precompute` kept."""
        height, width = grid.shape
        embedding = torch.from_numpy(kept["embedding"]).float()[None].to(device_of(self.sam))
        return EncodedPicture(grid, Frame((height, width), self.sam.side), embedding)

    def sample(self, kept: Arrays, generator: torch.Generator) -> dict[str, Tensor] | None:
        """An object that is there and the first prompt for it; None without any."""
        found = drawn(kept["shares"], self.config, self._cells, self._scale, generator)
        return None if found is None else {**found, "embedding": torch.from_numpy(kept["embedding"]).float()}

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means over all answers that learn: first ones, but for boxes that something else answers, and all to corrections."""
        network, embedding = self.network, batch["embedding"]
        positions = network.prompt_encoder.dense_positions()
        talk = Conversation(batch, self.config, self._scale)
        losses: dict[str, list[Tensor]] = {"bce": [], "dice": [], "quality": []}
        for turn in range(self.config.rounds + 1):
            given = talk.boxed if turn == 0 and self.adapted.for_boxes is not None else torch.zeros_like(talk.boxed)
            sparse, dense = (told[~given] for told in talk.encode(network.prompt_encoder))
            logits, quality = network.mask_decoder.masks(
                *network.mask_decoder.attend(embedding[~given], positions, sparse, dense)
            )
            truth, ambiguous = batch["truth"][~given], (~talk.boxed & (turn == 0) & self.adapted.traits.multimask)[~given]
            entropy, dice = mask_loss(logits, truth)
            losses["bce"].append(single_or_best(entropy, ambiguous))
            losses["dice"].append(single_or_best(dice, ambiguous))
            losses["quality"].append(self.config.quality * quality_loss(quality, overlaps(logits, truth), ambiguous))
            if turn < self.config.rounds:
                answers = torch.zeros_like(batch["truth"][:, 0], dtype=torch.bool)
                answers[~given] = _chosen(logits.detach(), quality.detach(), ambiguous) > 0
                answers[given] = self._to_boxes(embedding[given], talk.boxes_xyxy[given])
                talk.correct(answers)
        return {name: torch.cat(parts).mean() for name, parts in losses.items()}

    @torch.no_grad()
    def _to_boxes(self, embedding: Float[Tensor, "n c h w"], boxes_xyxy: Float[Tensor, "n 4"]) -> Bool[Tensor, "n y x"]:
        """The masks that a person is shown who draws boxes."""
        return self.adapted.decode(embedding, boxes_xyxy=boxes_xyxy)[0][:, 0] > 0

    def validation_prompts(self, labelled: Labelled, generator: np.random.Generator) -> list[Prompts]:
        """One click in the middle of each class that is there."""
        masks = [(name, labelled.truth.mask(label)) for label, name in enumerate(self.classes, 1)]
        return [first_click(m, labelled.image.grid, generator, target=name) for name, m in masks if m.any()]

    @property
    def _cells(self) -> int:
        return 4 * self.sam.image_encoder.grid

    @property
    def _scale(self) -> float:
        return self.sam.side / self._cells


def _chosen(logits: Float[Tensor, "b k y x"], quality: Float[Tensor, "b k"], ambiguous: Tensor) -> Float[Tensor, "b y x"]:
    """The mask that a user would be shown: the single one, or for an ambiguous prompt the best of the others."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    best = torch.where(ambiguous, 1 + quality[:, 1:].argmax(1), 0)
    return logits[torch.arange(len(logits), device=logits.device), best]


@torch.no_grad()
def _as_the_single(decoder: MaskDecoder) -> None:
    """Mask tokens after the first, and what stands behind them, as the first, but for a little by which they come apart."""
    generator = torch.Generator().manual_seed(0)
    tokens, scores = decoder.mask_tokens.weight, decoder.iou_prediction_head.layers[-1]
    if not isinstance(scores, nn.Linear):
        raise TypeError("the quality head ends with a linear layer")
    apart = torch.randn(tokens[1:].shape, generator=generator).to(tokens) * _APART * tokens[0].std()
    tokens[1:] = tokens[0] + apart
    for head in decoder.output_hypernetworks_mlps[1:]:
        head.load_state_dict(decoder.output_hypernetworks_mlps[0].state_dict())
    scores.weight[1:], scores.bias[1:] = scores.weight[0], scores.bias[0]


def _unfitted() -> NotFitted:
    return NotFitted(
        "interactive training without training",
        expected="a trained method",
        do="Train it: promisam fit interactive DATASET -o RUN; or use plain_sam on weights that learned clicks.",
    )
