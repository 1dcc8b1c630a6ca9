"""What every image encoder offers, whatever its architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor, nn

from promisam.core.errors import InvalidConfig


class ImageEncoder(Protocol):
    """Images to an image embedding, in parts that methods can take apart: `embed`, `blocks`, `neck`.

    `forward` is `neck(blocks(embed(images)))`.
    """

    @property
    def blocks(self) -> nn.ModuleList:
        """What turns tokens into tokens, in order."""
        ...

    @property
    def neck(self) -> Callable[..., Tensor]:
        """Tokens to the image embedding."""
        ...

    @property
    def side(self) -> int:
        """Pixels of the square input."""
        ...

    @property
    def grid(self) -> int:
        """Tokens along a side of the image embedding."""
        ...

    def embed(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b h w c"]:
        """Images to the tokens that the first block takes."""
        ...

    @property
    def __call__(self) -> Callable[..., Any]:
        """Images to image embeddings."""
        ...

    def features(self, images: Tensor, after: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """The embedding, and the tokens after the named blocks."""
        ...


def run_blocks(
    tokens: Float[Tensor, "b ..."], blocks: nn.ModuleList, after: Sequence[int] = ()
) -> tuple[Float[Tensor, "b ..."], list[Float[Tensor, "b ..."]]]:
    """The tokens after all blocks, and those after some of them, in the order asked for.

    Raises:
        InvalidConfig: when a block does not exist.
    """
    absent = [i for i in after if not 0 <= i < len(blocks)]
    if absent:
        raise InvalidConfig(
            f"features after block {absent[0]}",
            expected=f"blocks 0 to {len(blocks) - 1}",
            do="Choose blocks that this encoder has.",
        )
    kept = {}
    for index, block in enumerate(blocks):
        tokens = block(tokens)
        if index in after:
            kept[index] = tokens
    return tokens, [kept[index] for index in after]
