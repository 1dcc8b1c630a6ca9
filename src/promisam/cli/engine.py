"""`segment --engine`: what computes a method, torch or onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from promisam.core.errors import InvalidConfig

if TYPE_CHECKING:
    from promisam.core import Segmenter
    from promisam.store.backbone import Device, Report

Name = Literal["torch", "onnx"]


@dataclass(frozen=True)
class Engine:
    """What computes a method, as it was asked for.

    Attributes:
        name: of the engine; None where the method tells: files of ONNX are run by onnxruntime, all else by torch.
        method: as of `promisam.store.load`, or the name of an export.
        weights: likewise.
        device: where to compute.
        like: as of `promisam.store.load`.
        offline: likewise.
    """

    name: Name | None
    method: str
    weights: str | None
    device: Device
    like: str | None
    offline: bool

    @property
    def chosen(self) -> Name:
        """The engine.

        Raises:
            InvalidConfig: for torch with files of ONNX.
        """
        exported = self._exported()
        if exported is not None and self.name == "torch":
            raise InvalidConfig(
                f"--engine torch with {exported}",
                expected="the weights or the run that it was made of",
                do="Use --engine onnx.",
            )
        return self.name or ("torch" if exported is None else "onnx")

    def load(self, ndim: int, config: Mapping[str, object], weights: Report | None, slices: Report | None) -> Segmenter:
        """The method, ready to use; arguments as of `promisam.store.load`, `weights` its report of what is fetched."""
        from promisam import store

        how = {"device": self.device, "like": self.like, "offline": self.offline, "report": weights}
        if self.chosen == "torch":
            return store.load(self.weights, method=self.method, ndim=ndim, config=config, slices=slices, **how)  # type: ignore[arg-type]
        from promisam import export, zoo

        if self.device not in {"auto", "cpu"}:
            raise InvalidConfig(f"--device {self.device} with --engine onnx", expected="cpu", do="Use --engine torch there.")
        exported = self._exported()
        if exported is not None:
            return export.load(exported, ndim=ndim, config=config, slices=slices)
        plain = self.method == "plain_sam"
        if not plain and store.checkpoint_of(self.method) is None:
            raise InvalidConfig(
                f"--engine onnx with the method {self.method}",
                expected=f"weights of a SAM, or a run of {' or '.join(export.EXPORTED[1:])}",
                do="Use --engine torch.",
            )
        source = self.weights or zoo.DEFAULT if plain else self.method
        sam = store.Source(None if plain else self.weights, **how)  # type: ignore[arg-type]
        return export.kept(source, sam, ndim=ndim, config=config, slices=slices)

    def _exported(self) -> str | None:
        """The name of an export that was given; None without."""
        from promisam.export import is_exported

        given = next((text for text in (self.method, self.weights or "") if is_exported(text)), None)
        if given is not None and self.weights is not None and self.method != "plain_sam":
            raise InvalidConfig(
                f"--method {self.method} with --weights {self.weights}",
                expected="one of them: an export holds its weights",
                do="Leave the other out.",
            )
        return given
