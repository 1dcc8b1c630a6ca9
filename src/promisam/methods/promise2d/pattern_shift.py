"""What an image adds to SAM's mask tokens: the pattern shift of ProMISe-2D (Wang et al. 2024, "IPS", figure 2)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class PatternShift(nn.Module):
    """The mean of an image embedding, through two linear layers, to one shift of all mask tokens for each class.

    Args:
        width: channels of the image embedding and of a mask token.
        tokens: mask tokens of the decoder.
        hidden: channels between the layers.
        classes: shifts to make.
        zero: begin with a shift of zero, so that an untrained shift leaves SAM as it is. The release begins at random.
    """

    def __init__(self, width: int = 256, tokens: int = 4, hidden: int = 1024, classes: int = 1, *, zero: bool = True) -> None:
        super().__init__()
        self.classes, self.tokens = classes, tokens
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, classes * tokens * width)
        if zero:
            nn.init.zeros_(self.lin2.weight)
            nn.init.zeros_(self.lin2.bias)

    def forward(self, embedding: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes tokens c"]:
        """What to add to the mask tokens, for each image and class."""
        shift = self.lin2(F.gelu(self.lin1(embedding.mean((2, 3)))))
        return shift.unflatten(1, (self.classes, self.tokens, -1))  # type: ignore[no-any-return]
