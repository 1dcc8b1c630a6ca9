"""What is known of a method that is to segment images, before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from promisam import store
from promisam.core import Segmenter
from promisam.io.digest import file_digest
from promisam.runs.predictions import Maker
from promisam.runs.record import DataRecord, record_beside
from promisam.training.checkpoint import read_header


@dataclass(frozen=True)
class Making:
    """A method's origin.

    Attributes:
        maker: for the head of the report.
        data: what its run learned from; None where no run.json stands beside the checkpoint.
        number: of channels that it learned from.
    """

    maker: Maker
    data: DataRecord | None = None
    number: int = 1

    @classmethod
    def of(cls, method: str | Path) -> Making:
        """Of a run folder, a checkpoint, or the name of a method.

        Raises:
            WeightsError: for a folder without a checkpoint, and for a file that is none.
            UnreadableFile: for a damaged record.
        """
        file = store.checkpoint_of(method)
        if file is None:
            return cls(Maker(str(method)))
        header = read_header(file)
        record = record_beside(file)
        maker = Maker(header.method, str(file), file_digest(file))
        if header.backbone is not None:
            maker = replace(maker, weights=header.backbone.name, fingerprint=header.backbone.fingerprint)
        return cls(maker, None if record is None else record.data, header.task.channels)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that it learned from, where they are known."""
        return () if self.data is None else self.data.channels

    def on(self, method: Segmenter) -> Maker:
        """With the weights of a loaded method that has no checkpoint of its own."""
        traits = getattr(getattr(getattr(method, "method", method), "sam", None), "traits", None)
        if self.maker.file or traits is None:
            return self.maker
        return replace(self.maker, weights=traits.name, fingerprint=traits.sha256)
