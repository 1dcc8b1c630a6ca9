"""Exported files as methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from promisam import store
from promisam.core import Grid, Image, PromptKind, Prompts, Scores, Segmenter
from promisam.core.errors import InvalidConfig, WeightsError
from promisam.export.header import Header
from promisam.export.places import network_of, parts_of
from promisam.export.running import OnnxFile, OnnxNetwork, OnnxSam
from promisam.methods.plain_sam import Config, PlainSam
from promisam.sam.asking import EncodedPicture
from promisam.store.backbone import Report


class ExportedSam:
    """An exported SAM: asked as `plain_sam` asks, computed by onnxruntime."""

    ndim = 2
    automatic = False

    def __init__(self, sam: OnnxSam, config: Config) -> None:
        self.sam, self.config = sam, config
        self._plain = PlainSam(sam, config)

    @property
    def header(self) -> Header:
        """What the files say of themselves."""
        return self.sam.header

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """The kinds of prompt that the weights learned."""
        return self._plain.accepts

    @property
    def classes(self) -> tuple[str, ...]:
        """What a trained method learned."""
        return () if self.header.task is None else self.header.task.classes

    def prepare(self, image: Image) -> Image:
        """Through the window to 0..255."""
        return self._plain.prepare(image)

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """As of `plain_sam`."""
        self._plain.check(grid, prompts)

    def encode(self, image: Image) -> EncodedPicture:
        """The image encoder's embedding of one picture."""
        return self._plain.encode(image)

    def decode(self, encoded: EncodedPicture, prompts: Prompts) -> Scores:
        """The mask that the prompts ask for."""
        return self._plain.decode(encoded, prompts)


def load(
    name: str | Path, *, ndim: int = 2, config: Mapping[str, object] | None = None, slices: Report | None = None
) -> Segmenter:
    """An exported method, ready to use; no weights but those in its files are needed.

    Args:
        name: NAME.onnx, as of `export`; the name of either part of a SAM does as well.
        ndim: of the images; 3 wraps a method of pictures as `SliceWise`.
        config: options in place of those in the files: `window`, and `multimask` of a SAM.
        slices: as of `promisam.store.load`.

    Raises:
        UnreadableFile: for files that are not there.
        WeightsError: for files that are damaged, foreign, or do not belong together.
        InvalidConfig: for an option that there is not, and for a name that stands for two exports.
        MissingExtra: without onnxruntime.
    """
    parts = parts_of(name)
    found: Segmenter
    if network_of(name).is_file():
        beside = next((path for path in parts.values() if path.is_file()), None)
        if beside is not None:
            raise InvalidConfig(
                f"{network_of(name)} beside {beside}, two exports of one name",
                expected="one",
                do="Rename or remove one of them.",
            )
        found = _network(OnnxFile.open(network_of(name)), config or {})
    else:
        sam = OnnxSam(OnnxFile.open(parts["encoder"]), OnnxFile.open(parts["decoder"]))
        options = store.check_options(Config, {**sam.header.options, **(config or {})})
        if options.precision != "float32":
            raise InvalidConfig(
                f"precision = {options.precision} with an exported model",
                expected="float32",
                do="Export with --int8 for speed.",
            )
        found = ExportedSam(sam, options)
    return store.for_axes(found, ndim, slices)


def _network(file: OnnxFile, config: Mapping[str, object]) -> Segmenter:
    from promisam.methods import unet

    header = file.header
    if header.method != "unet" or header.task is None:
        raise WeightsError(
            f"{file.path}, the {header.role} of {header.method}", expected="the file of a U-Net", do="Give the export's name."
        )
    options = store.check_options(unet.Config, {**header.options, **config})
    return unet.UNet(None, options, header.task).answered_by(OnnxNetwork(file))
