"""Zero-shot SAM: a prompt in, a mask out, nothing trained (Kirillov et al. 2023; Ma et al. 2024 for medical weights).

The shortest method: read it before writing another. A method is a class that keeps the `Segmenter` contract, made
from a SAM and the `Config` of its module.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from promisam.core import Grid, Image, PromptKind, Prompts, Scores, Window, check_ndim, check_prompts
from promisam.sam.asking import EncodedPicture, Multimask, answer, embed
from promisam.sam.picture import Precision, Promptable, weights_advice


class Config(BaseModel):
    """Options of zero-shot SAM.

    Attributes:
        window: how raw intensities become 0..255: "auto", a preset, or "level,width" (`promisam.core.Window`).
        multimask: whether the best of SAM's three masks for ambiguous prompts is taken, by predicted quality, or its single
            mask for clear prompts. "auto" follows the official advice: three for one lone click, else the single one.
        precision: of the image encoder. float32 is the reference; bfloat16 is faster and differs slightly.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: str = "auto"
    multimask: Multimask = "auto"
    precision: Precision = "float32"


class PlainSam:
    """SAM as it was released, on pictures."""

    ndim = 2
    automatic = False
    classes: tuple[str, ...] = ()

    def __init__(self, sam: Promptable, config: Config | None = None) -> None:
        """Use a SAM on whatever device it is, or an exported one; it is not changed."""
        self.sam = sam
        self.config = config or Config()
        self.window = Window.parse(self.config.window)

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """The kinds of prompt that the weights learned."""
        return self.sam.traits.prompts

    def prepare(self, image: Image) -> Image:
        """Through the window to 0..255."""
        return self.window.apply(image)

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """Refuse prompts off the image and kinds that the weights never learned, naming weights that did."""
        check_prompts(self.accepts, grid, prompts, weights_advice(self.sam, prompts))

    def encode(self, image: Image) -> EncodedPicture:
        """The image encoder's embedding of one picture."""
        check_ndim(self, image.grid)
        return embed(self.sam, self.prepare(image), self.config.precision)

    def decode(self, encoded: EncodedPicture, prompts: Prompts) -> Scores:
        """The mask that the prompts ask for.

        Raises:
            UnsupportedPrompt: for a kind of prompt that the weights never learned.
        """
        self.check(encoded.grid, prompts)
        return answer(self.sam, encoded, prompts, self.config.multimask)
