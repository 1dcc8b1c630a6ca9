"""Points from a convolutional network: the form of ProMISe-2D with released weights (Wang et al. 2024, figure 2, "APM-RN")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from promisam.methods.promise2d.levels import as_maps
from promisam.methods.promise2d.slots import Slots

FUSED = 256  # channels behind the fusion
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # ResNet-34: channels, blocks, stride (He et al. 2016, table 1)


class Fuse(nn.Module):
    """Three 3x3 convolutions, with ReLUs between them and none at the end."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv3 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Map to map."""
        return self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))  # type: ignore[no-any-return]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a skip; `project` puts a 1x1 convolution on the skip."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, project: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if project:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """Map to map."""
        # Of a map one column wide, oneDNN (torch 2.13) leaves parts of the bf16 gradient of a strided kernel unset; the padding
        # that this kernel meets there anyway, made explicit, changes no value.
        padded = F.pad(x, (0, 1)) if x.shape[-1] == 1 and self.conv1.stride[-1] > 1 else x
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(padded)))))
        return F.relu(y + self.shortcut(x))


class Trunk(nn.Module):
    """ResNet-34 whose first convolution is 3x3 without stride; as released, its last block's skip has a convolution too."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        width = STAGES[0][0]
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        for stage, (outputs, depth, stride) in enumerate(STAGES, 1):
            blocks = nn.Sequential()
            for index in range(depth):
                step = stride if index == 0 else 1
                project = step > 1 or width != outputs or (stage == len(STAGES) and index == depth - 1)
                blocks.append(BasicBlock(width, outputs, step, project=project))
                width = outputs
            self.add_module(f"layer{stage}", blocks)

    def stem(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """The first convolution, and half the resolution."""
        return F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """Map to its mean features."""
        x = self.stem(x)
        for stage in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        return x.mean((2, 3))


class ResnetPoints(nn.Module):
    """Features of an encoder, stacked and fused, through one ResNet-34 to all slots of all classes.

    DEVIATION: the release also holds a linear layer 512 -> 1024 whose result nobody uses; it is left out.

    Args:
        widths: channels of the features, from early to late.
        points: slots of a class.
        classes: groups of slots.
        anchored: see `Slots`.
    """

    def __init__(self, widths: Sequence[int], points: int = 16, classes: int = 1, *, anchored: bool = False) -> None:
        super().__init__()
        self.fuse = Fuse(sum(widths), FUSED)
        self.trunk = Trunk(FUSED)
        self.head = nn.Linear(STAGES[-1][0], classes * points * 2)
        self.slots = Slots(classes, points, anchored=anchored)

    def raw(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b classes points 2"]:
        """Numbers without bounds, before `Slots`."""
        stacked = torch.cat(as_maps(features)[::-1], 1)  # the release stacks the latest block first
        numbers = self.head(self.trunk(self.fuse(stacked)))
        return numbers.unflatten(1, (self.slots.classes, self.slots.points, 2))  # type: ignore[no-any-return]

    def forward(self, features: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b classes points 2"]:
        """Tokens (b, h, w, c) from early to late to unit points (x, y)."""
        return self.slots(self.raw(features))  # type: ignore[no-any-return]
