"""A Segment Anything model: image encoder, prompt encoder, mask decoder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from promisam.core import PromptKind
from promisam.sam.features import ImageEncoder
from promisam.sam.mask_decoder import MaskDecoder
from promisam.sam.prompt_encoder import PromptEncoder

# Mean and standard deviation of SAM's training images on 0..255, RGB (Meta's release).
META_MEAN = (123.675, 116.28, 103.53)
META_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Traits:
    """What no tensor tells about weights: how they were trained.

    Attributes:
        name: what to call them in reports.
        scaling: "meta" takes Meta's mean and deviation off 0..255; "unit" stretches each image to 0..1.
        prompts: the kinds of prompt that the weights learned.
        sha256: of the file that they came from; empty for weights that came from no file.
        multimask: whether the mask tokens after the first were trained, which answer ambiguous prompts.
    """

    name: str = "untrained"
    scaling: Literal["meta", "unit"] = "meta"
    prompts: frozenset[PromptKind] = field(default_factory=lambda: frozenset[PromptKind](("points", "box", "mask")))
    sha256: str = ""
    multimask: bool = True

    @property
    def antialias(self) -> bool:
        """Whether pictures are smoothed before they shrink.

        Meta's resize does. The weights that take 0..1 follow a box better without (docs/methods/plain_sam.md).
        """
        return self.scaling == "meta"

    def scale(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b 3 y x"]:
        """Intensities 0..255 to the range that the weights were trained on; before any padding."""
        if self.scaling == "unit":
            low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
            return (images - low) / (high - low).clamp(min=1e-8)
        mean, std = (images.new_tensor(x).view(1, 3, 1, 1) for x in (META_MEAN, META_STD))
        return (images - mean) / std


class Answering(nn.Module):
    """A prompt encoder and the mask decoder that was trained with it: the half of a SAM that answers prompts."""

    def __init__(self, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    def decode(self, embedding: Float[Tensor, "#b c h w"], **given: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and predicted IoU of all masks; arguments as of `Sam.decode`."""
        sparse, dense = self.prompt_encoder(**given)
        tokens, features = self.mask_decoder.attend(embedding, self.prompt_encoder.dense_positions(), sparse, dense)
        return self.mask_decoder.masks(tokens, features)


class Sam(nn.Module):
    """The network under Meta's state-dict names; no `no_grad`, numpy or file inside.

    Weights that learned clicks on top of others may keep these for the prompts that they know best: `for_boxes` answers a box
    without clicks or mask, as one mask, exactly as the SAM did that it comes from.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        traits: Traits | None = None,
        for_boxes: Answering | None = None,
    ) -> None:
        super().__init__()
        self.image_encoder: ImageEncoder
        self.add_module("image_encoder", image_encoder)
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.for_boxes = for_boxes
        self.traits = traits or Traits()

    @property
    def side(self) -> int:
        """Pixels of the model's square frame."""
        return self.image_encoder.side

    @property
    def grid(self) -> int:
        """Positions along a side of the image embedding."""
        return self.prompt_encoder.shape.grid

    @property
    def device(self) -> torch.device:
        """Where the SAM is."""
        return self.prompt_encoder.no_mask_embed.weight.device

    def scale(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b 3 y x"]:
        """As of `Traits.scale`."""
        return self.traits.scale(images)

    def encode(self, images: Float[Tensor, "b 3 side side"]) -> Float[Tensor, "b c h w"]:
        """Scaled, padded images to image embeddings."""
        return self.image_encoder(images)  # type: ignore[no-any-return]

    def decode(
        self,
        embedding: Float[Tensor, "#b c h w"],
        points_xy: Float[Tensor, "b n 2"] | None = None,
        labels: Int64[Tensor, "b n"] | None = None,
        boxes_xyxy: Float[Tensor, "b 4"] | None = None,
        masks: Float[Tensor, "b 1 y x"] | None = None,
    ) -> tuple[Float[Tensor, "b k v u"], Float[Tensor, "b k"]]:
        """Logits and predicted IoU of all masks: index 0 for a clear prompt, the rest for an ambiguous one.

        Arguments as in `PromptEncoder.forward`; the logits have four times the embedding's grid. A box alone has one mask where
        something else answers boxes.
        """
        if self.for_boxes is not None and boxes_xyxy is not None and points_xy is None and masks is None:
            logits, quality = self.for_boxes.decode(embedding, boxes_xyxy=boxes_xyxy)
            return logits[:, :1], quality[:, :1]
        sparse, dense = self.prompt_encoder(points_xy, labels, boxes_xyxy, masks)
        tokens, features = self.mask_decoder.attend(embedding, self.prompt_encoder.dense_positions(), sparse, dense)
        return self.mask_decoder.masks(tokens, features)


def fingerprint(module: nn.Module) -> str:
    """SHA-256 over names and values of a module's parameters and buffers: equal exactly when the weights are."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
