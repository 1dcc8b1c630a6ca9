"""Exported networks at work: files opened with onnxruntime, which alone computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from promisam.core.errors import UnreadableFile, WeightsError
from promisam.export.header import KEY, FrameRule, Header
from promisam.export.packages import optional
from promisam.sam.model import Traits

PADDING, LOW_CORNER, HIGH_CORNER = -1, 2, 3  # labels of a point that says nothing, and of a box's corners


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An exported file, open.

    Attributes:
        path: of the file.
        header: what it says of itself.
        session: of onnxruntime.
    """

    path: Path
    header: Header
    session: Any

    @classmethod
    def open(cls, path: Path) -> OnnxFile:
        """A file on the CPU, with as many threads as torch has.

        Raises:
            UnreadableFile: when it is not there.
            WeightsError: for what is no ONNX file, is damaged, or was not exported by promisam.
            MissingExtra: without onnxruntime.
        """
        runtime = optional("onnxruntime")
        if not path.is_file():
            raise UnreadableFile(f"{path}, which does not exist", expected="a file of `promisam export`", do="Check the path.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what it has to say is raised
        try:
            session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # whose own kinds have no common root
            if isinstance(error, MemoryError):
                raise
            raise WeightsError(
                f"{path} ({' '.join(str(error).split())[:160]})",
                expected="an undamaged ONNX file that `promisam export` wrote",
                do="Export or copy it again.",
            ) from None
        text = session.get_modelmeta().custom_metadata_map.get(KEY)
        if text is None:
            raise WeightsError(
                f"{path}, an ONNX file that does not say how to use it",
                expected="one that `promisam export` wrote, with its metadata",
                do="Export the weights or the run again: promisam export RUN|WEIGHTS -o FILE.onnx.",
            )
        header = Header.from_json(text, str(path))
        _check_graph(path, header, session)
        return cls(path, header, session)

    def __call__(self, **given: Tensor) -> list[Tensor]:
        """What the network answers to named inputs.

        Raises:
            WeightsError: for a graph that cannot be computed with them.
        """
        arrays = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in given.items()}
        try:
            found = self.session.run(None, arrays)
        except Exception as error:  # whose own kinds have no common root
            if isinstance(error, MemoryError):
                raise
            raise _foreign(self.path, " ".join(str(error).split())[:160]) from None
        return [torch.from_numpy(array) for array in found]


class OnnxSam:
    """A SAM in two files, as `promisam.sam.picture.Promptable`."""

    def __init__(self, encoder: OnnxFile, decoder: OnnxFile) -> None:
        """Join the parts of one export.

        Raises:
            WeightsError: for parts of different exports.
        """
        if not encoder.header.belongs_to(decoder.header):
            raise WeightsError(
                f"{encoder.path} and {decoder.path}, which come from different exports",
                expected="the encoder and the decoder of one",
                do="Export again, with --overwrite.",
            )
        self._encoder, self._decoder = encoder, decoder
        self.header = encoder.header
        self.traits: Traits = encoder.header.traits
        self.frame: FrameRule = frame_of(encoder)

    @property
    def side(self) -> int:
        """Pixels of the model's square frame."""
        return self.frame.side

    @property
    def grid(self) -> int:
        """Positions along a side of the image embedding."""
        return self.frame.grid

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def encode(self, images: Float[Tensor, "b 3 side side"]) -> Float[Tensor, "b c h w"]:
        """Scaled, padded images to image embeddings; one after another."""
        return torch.cat([self._encoder(image=image[None])[0] for image in images])

    def decode(
        self,
        embedding: Float[Tensor, "1 c h w"],
        points_xy: Float[Tensor, "b n 2"] | None = None,
        labels: Int64[Tensor, "b n"] | None = None,
        boxes_xyxy: Float[Tensor, "b 4"] | None = None,
        masks: Float[Tensor, "b 1 y x"] | None = None,
    ) -> tuple[Float[Tensor, "b k v u"], Float[Tensor, "b k"]]:
        """As of `Sam.decode`, but that a box alone has as many masks as any other prompt, all alike where one is meant."""
        objects = next((len(x) for x in (points_xy, boxes_xyxy, masks) if x is not None), 1)
        coords, meanings = _points(objects, points_xy, labels, boxes_xyxy)
        cells = 4 * self.grid
        logits, quality = self._decoder(
            image_embeddings=embedding,
            point_coords=coords,
            point_labels=meanings,
            mask_input=torch.zeros(objects, 1, cells, cells) if masks is None else masks,
            has_mask_input=torch.full((objects,), float(masks is not None)),
        )
        return logits, quality


class OnnxNetwork(nn.Module):
    """A network of one input and one answer in one file, where a module is wanted."""

    def __init__(self, file: OnnxFile) -> None:
        super().__init__()
        self.file = file

    def forward(self, pixels: Float[Tensor, "b c *size"]) -> Float[Tensor, "b k *size"]:
        """Scaled, padded pixels to logits."""
        return self.file(image=pixels)[0]


def _check_graph(path: Path, header: Header, session: Any) -> None:  # noqa: ANN401 - onnxruntime is untyped
    """Refuse a graph that is not what its header says: names of inputs, sizes, channels."""
    shapes = {one.name: list(one.shape) for one in session.get_inputs()}
    frame, task = header.frame, header.task
    wanted: dict[str, list[int]] = {}  # the last axes, whose lengths are fixed
    if header.role == "network" and task is not None:
        wanted = {"image": [task.channels]}
        shapes = {name: shape[1:2] for name, shape in shapes.items()}
    elif header.role == "encoder" and frame is not None:
        wanted = {"image": [3, frame.side, frame.side]}
    elif header.role == "decoder" and frame is not None:
        cells = 4 * frame.grid
        wanted = {"image_embeddings": [frame.grid] * 2, "mask_input": [cells] * 2}
        wanted |= {"point_coords": [2], "point_labels": [], "has_mask_input": []}
    fits = shapes.keys() == wanted.keys() and all(shapes[name][len(shapes[name]) - len(n) :] == n for name, n in wanted.items())
    if not fits:
        raise _foreign(path, f"its header says {header.role} and {wanted}, its graph {shapes}")


def _foreign(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{path} ({why})", expected="a file as `promisam export` wrote it", do="Export again, or take it from where it came."
    )


def frame_of(file: OnnxFile) -> FrameRule:
    """The frame of a SAM's encoder or decoder.

    Raises:
        WeightsError: for a file without.
    """
    if file.header.frame is None:
        raise WeightsError(
            f"{file.path}, the {file.header.role} of {file.header.method}", expected="a part of a SAM", do="Export again."
        )
    return file.header.frame


def _points(
    objects: int, points_xy: Tensor | None, labels: Tensor | None, boxes_xyxy: Tensor | None
) -> tuple[Float[Tensor, "b m 2"], Int64[Tensor, "b m"]]:
    """Points, then a box's corners; points without a box are followed by one that says so."""
    coords, meanings = torch.zeros(objects, 0, 2), torch.zeros(objects, 0, dtype=torch.int64)
    if points_xy is not None and labels is not None:
        coords, meanings = torch.cat([coords, points_xy], 1), torch.cat([meanings, labels], 1)
    if boxes_xyxy is not None:
        corners = torch.tensor([[LOW_CORNER, HIGH_CORNER]]).expand(objects, -1)
        return torch.cat([coords, boxes_xyxy.reshape(objects, 2, 2)], 1), torch.cat([meanings, corners], 1)
    if points_xy is not None:
        pad = torch.full((objects, 1), PADDING)
        return torch.cat([coords, torch.zeros(objects, 1, 2)], 1), torch.cat([meanings, pad], 1)
    return coords, meanings
