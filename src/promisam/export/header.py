"""What an exported file says of itself: one JSON text among its metadata properties."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

from promisam.core import Task
from promisam.core.errors import WeightsError
from promisam.sam.frame import MASK_STRENGTH
from promisam.sam.model import META_MEAN, META_STD, Sam, Traits

FORMAT = "1"
KEY = "promisam"  # of the metadata property

Role = Literal["encoder", "decoder", "network"]
Numbers = Literal["float32", "int8"]


@dataclass(frozen=True)
class Weights:
    """The weights that were exported.

    Attributes:
        name: as in reports.
        sha256: of the file that they came from; empty where they came from none.
        fingerprint: of all tensors of the SAM, or of the network (`promisam.sam.model.fingerprint`).
    """

    name: str
    sha256: str
    fingerprint: str


@dataclass(frozen=True)
class FrameRule:
    """How a picture in 0..255 comes into the encoder, and points and masks into the decoder.

    Attributes:
        side: pixels of the square frame. The longer side of the picture fills it; the rest, right and bottom, is 0.
        grid: positions along a side of the image embedding; masks have four times as many.
        antialias: whether pictures are smoothed before they shrink.
        scaling: "unit" stretches the resized picture to 0..1, "meta" takes `mean` off and divides by `std`; before padding.
        mean: of each channel, RGB.
        std: of each channel.
        mask_strength: largest size of the logits that a mask prompt is made of.
    """

    side: int
    grid: int
    antialias: bool
    scaling: Literal["meta", "unit"]
    mean: tuple[float, float, float] = META_MEAN
    std: tuple[float, float, float] = META_STD
    mask_strength: float = MASK_STRENGTH

    @classmethod
    def of(cls, sam: Sam) -> FrameRule:
        """That of a SAM."""
        return cls(sam.side, sam.grid, sam.traits.antialias, sam.traits.scaling)


@dataclass(frozen=True)
class Header:
    """All that is needed to use a file, and to know where it came from.

    Attributes:
        role: which part of the model the file holds: a SAM is an encoder and a decoder, a U-Net one network.
        method: a name in `METHODS`.
        options: of the method; the window among them.
        version: of promisam.
        numbers: what the weights are stored in.
        weights: what was exported.
        frame: of a SAM.
        prompts: the kinds of prompt that can be asked; empty for a method that takes none.
        multimask: whether the masks after the first were trained.
        task: what a trained method learned; None for a SAM as it was released.
        threshold: logits above it are inside.
    """

    role: Role
    method: str
    options: Mapping[str, Any]
    version: str
    numbers: Numbers
    weights: Weights
    frame: FrameRule | None = None
    prompts: tuple[str, ...] = ()
    multimask: bool = False
    task: Task | None = None
    threshold: float = field(default=0.0)

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str) -> Header:
        """As it was stored; `where` is the file, for messages.

        Raises:
            WeightsError: for another format, and for what is no header.
        """
        try:
            content = json.loads(text)
            if content.pop("format") != FORMAT:
                raise WeightsError(
                    f"{where} of another format",
                    expected=f"format {FORMAT}",
                    do="Use the version that made it, or export again.",
                )
            return _HEADER.validate_python(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"{where} with a header that cannot be read ({' '.join(str(error).split())[:200]})",
                expected="a file that `promisam export` wrote",
                do="Export again.",
            ) from None

    @property
    def traits(self) -> Traits:
        """Those of the SAM."""
        scaling = "unit" if self.frame is None else self.frame.scaling
        kinds = Traits().prompts & set(self.prompts)
        return Traits(self.weights.name, scaling, kinds, self.weights.sha256, self.multimask)

    def belongs_to(self, other: Header) -> bool:
        """Whether two files are parts of one export."""
        return self.weights == other.weights and (self.method, self.numbers) == (other.method, other.numbers)


_HEADER = TypeAdapter(Header)
