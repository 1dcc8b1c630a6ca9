"""Networks as ONNX graphs: a SAM's image encoder, its decoder with dynamic prompts, and any network of arrays."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jaxtyping
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from promisam.core.errors import InvalidConfig
from promisam.export.joining import boxes_alone
from promisam.export.packages import optional
from promisam.sam.model import Answering, Sam
from promisam.sam.prompt_encoder import PADDING
from promisam.sam.tinyvit import ConvNorm

OPSET = 20  # the first with GELU as one operator
IMAGE, EMBEDDING = "image", "image_embeddings"
PROMPTS = ("point_coords", "point_labels", "mask_input", "has_mask_input")
ANSWERS = ("low_res_masks", "iou_predictions")
LOW_CORNER, HIGH_CORNER = 2, 3  # labels of a box's corners among the points, as in Meta's ONNX decoder
LARGEST = 2_000_000_000  # bytes: a file of ONNX cannot hold more than 2 GiB


class DecoderGraph(nn.Module):
    """A prompt encoder and mask decoder with every prompt as a tensor: what is not given is padding, or switched off."""

    def __init__(self, answering: Answering) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = answering.prompt_encoder, answering.mask_decoder

    def forward(
        self,
        image_embeddings: Float[Tensor, "1 c h w"],
        point_coords: Float[Tensor, "b n 2"],
        point_labels: Int64[Tensor, "b n"],
        mask_input: Float[Tensor, "b 1 m m"],
        has_mask_input: Float[Tensor, " b"],
    ) -> tuple[Float[Tensor, "b k m m"], Float[Tensor, "b k"]]:
        """Logits and predicted IoU of all masks.

        Args:
            image_embeddings: of one picture.
            point_coords: (x, y) in pixels of the frame; whole numbers are pixel centres.
            point_labels: 1 on the object, 0 off it, 2 and 3 the lower and the upper corner of a box, -1 nothing.
            mask_input: logits of a rough mask, of four times the embedding's grid.
            has_mask_input: 1 where that mask counts, 0 where it does not.
        """
        prompts = self.prompt_encoder
        place = prompts.pe_layer((point_coords + 0.5) / prompts.shape.side)
        meanings = torch.cat([prompts.not_a_point_embed.weight, *prompts.point_embeddings.parameters()])
        said = (point_labels != PADDING)[..., None]
        sparse = torch.where(said, place, torch.zeros_like(place)) + meanings[point_labels + 1]
        none = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        dense = torch.where(has_mask_input[:, None, None, None] > 0, prompts.mask_downscaling(mask_input), none)
        tokens, features = self.mask_decoder.attend(image_embeddings, prompts.dense_positions(), sparse, dense)
        return self.mask_decoder.masks(tokens, features)


def encoder_graph(sam: Sam) -> Any:  # noqa: ANN401 - onnx is untyped
    """`image` (1, 3, side, side), scaled and padded, to `image_embeddings` (1, c, grid, grid)."""
    encoder = folded(cast("nn.Module", sam.image_encoder))
    return traced(encoder, {IMAGE: torch.rand(1, 3, sam.side, sam.side)}, (EMBEDDING,))


def decoder_graph(sam: Sam, made: Callable[[Any], Any] = lambda graph: graph) -> Any:  # noqa: ANN401 - onnx is untyped
    """An embedding and prompts to masks; boxes alone are answered by what answers them in the SAM. See `DecoderGraph`.

    Args:
        sam: whose decoder it is.
        made: what to do to a decoder's graph before two of them are joined, such as `quantising.in_eight_bits`.
    """
    own = made(_answering_graph(Answering(sam.prompt_encoder, sam.mask_decoder)))
    return own if sam.for_boxes is None else boxes_alone(own, made(_answering_graph(sam.for_boxes)), PROMPTS, ANSWERS)


def traced(network: nn.Module, given: Mapping[str, Tensor], answers: Sequence[str], dynamic: Any = None) -> Any:  # noqa: ANN401
    """A network's graph, checked for consistency.

    Args:
        network: in evaluation mode, on the CPU.
        given: an example of each input, by name and in order.
        answers: names of what it returns.
        dynamic: by input or answer, the names of axes of any length.

    Raises:
        InvalidConfig: for a network whose weights one file cannot hold.
    """
    onnx = optional("onnx")
    size = sum(p.numel() * p.element_size() for p in [*network.parameters(), *network.buffers()])
    if size > LARGEST:
        raise InvalidConfig(
            f"a network of {size / 1e9:.1f} GB",
            expected="at most 2 GB, which is what an ONNX file holds",
            do="Use smaller weights.",
        )
    silent, unchecked = logging.root.manager.disable, jaxtyping.config.jaxtyping_disable
    with torch.no_grad(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.onnx"
        warnings.simplefilter("ignore")  # of shapes that become constants, as they should, and of newer exporters
        logging.disable(logging.WARNING)
        jaxtyping.config.update("jaxtyping_disable", True)  # while a graph is traced its sizes are tensors
        try:
            torch.onnx.export(
                network,
                tuple(given.values()),
                file,
                dynamo=False,  # whose graphs are no worse here and take a tenth of the time
                opset_version=OPSET,
                input_names=list(given),
                output_names=list(answers),
                dynamic_axes=dynamic,
            )
        finally:
            logging.disable(silent)
            jaxtyping.config.update("jaxtyping_disable", unchecked)
        model = onnx.load(file)
    onnx.checker.check_model(model)
    return model


def folded(encoder: nn.Module) -> nn.Module:
    """A copy whose convolutions hold the norms behind them, frozen."""
    copied = copy.deepcopy(encoder).cpu().eval().requires_grad_(False)
    for parent in list(copied.modules()):
        for name, part in parent.named_children():
            if isinstance(part, ConvNorm):
                setattr(parent, name, _as_convolution(part))
    return copied


def _as_convolution(part: ConvNorm) -> nn.Conv2d:
    old, norm = part.c, part.bn
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise TypeError("a norm without statistics cannot be folded")
    groups, stride, padding = old.groups, old.stride, old.padding
    new = nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, stride, padding, groups=groups)  # type: ignore[arg-type]
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    new.weight.data = old.weight * scale[:, None, None, None]
    if new.bias is not None:
        new.bias.data = norm.bias - mean * scale
    return new.requires_grad_(False).eval()


def _answering_graph(answering: Answering) -> Any:  # noqa: ANN401 - onnx is untyped
    shape = answering.prompt_encoder.shape
    graph = DecoderGraph(copy.deepcopy(answering).cpu().eval().requires_grad_(False))
    labels = torch.tensor([[1, 0, PADDING, LOW_CORNER, HIGH_CORNER]] * 2)
    cells = 4 * shape.grid
    example = (
        torch.rand(1, shape.width, shape.grid, shape.grid),
        torch.rand(2, 5, 2) * shape.side,
        labels,
        torch.rand(2, 1, cells, cells),
        torch.ones(2),
    )
    objects, both = {0: "objects"}, {0: "objects", 1: "points"}
    axes = dict(zip((*PROMPTS, *ANSWERS), (both, both, objects, objects, objects, objects), strict=True))
    return traced(graph, dict(zip((EMBEDDING, *PROMPTS), example, strict=True)), ANSWERS, axes)
