"""Exports that several tests look at, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from promisam import store
from promisam.core import Segmenter
from promisam.export import export
from promisam.export.graphs import decoder_graph, encoder_graph
from promisam.export.header import Header, Weights
from promisam.export.running import OnnxFile
from promisam.sam.mask_decoder import MaskDecoder
from promisam.sam.model import Answering, Sam
from promisam.sam.prompt_encoder import PromptEncoder
from tiny_sam import randomise, tiny


@dataclass(frozen=True)
class Pair:
    """A tiny SAM and its graphs in onnxruntime."""

    sam: Sam
    encoder: OnnxFile
    decoder: OnnxFile


@pytest.fixture(scope="session", params=["vit", "tinyvit with an answer to boxes"])
def pair(request: pytest.FixtureRequest) -> Pair:
    """A plain ViT, and a TinyViT whose boxes are answered by something else."""
    import onnxruntime

    sam = tiny(request.param.partition(" ")[0])
    if "boxes" in request.param:
        boxes = Answering(PromptEncoder(sam.prompt_encoder.shape), MaskDecoder(sam.mask_decoder.shape)).eval()
        randomise(boxes, 5)
        sam.for_boxes = boxes
    header = Header("encoder", "plain_sam", {}, "0", "float32", Weights("tiny", "", ""))
    sessions = [
        OnnxFile(Path("memory"), header, onnxruntime.InferenceSession(graph.SerializeToString()))
        for graph in (encoder_graph(sam), decoder_graph(sam))
    ]
    return Pair(sam, *sessions)


@pytest.fixture(scope="session")
def click(tmp_path_factory: pytest.TempPathFactory, litemedsam: Path) -> Path:
    """The default weights, exported."""
    name = tmp_path_factory.mktemp("click") / "click.onnx"
    export("promisam-click", name)
    return name


@pytest.fixture(scope="session")
def own(litemedsam: Path) -> Segmenter:
    """The same, with torch."""
    return store.load("promisam-click", device="cpu", offline=True)
