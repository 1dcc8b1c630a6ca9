"""From features and the cube itself to logits (Li et al. 2023, arXiv 2310.19721: decoder with up-convolutions, C and R)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from promisam.methods.promise3d.config import Config

_BRANCHES = 4


class TwoConvolutions(nn.Sequential):
    """Twice a 3 x 3 x 3 convolution, normalised over each channel of each cube, and a ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(*_convolution(inputs, outputs), *_convolution(outputs, outputs))


class ResidualPath(nn.Module):
    """Two convolutions with a residual connection: our reading of the variant R, which was not released."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = TwoConvolutions(inputs, outputs)
        self.skip = nn.Conv3d(inputs, outputs, 1)

    def forward(self, image: Float[Tensor, "b i x y z"]) -> Float[Tensor, "b o x y z"]:
        """Both, through a ReLU."""
        return F.relu(self.body(image) + self.skip(image))


class Branch(nn.Module):
    """From one feature to maps at twice its resolution."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.body = TwoConvolutions(config.neck, config.decoder)
        self.up: nn.ConvTranspose3d | None = None
        if config.upsampling == "transposed":
            self.up = nn.ConvTranspose3d(config.decoder, config.decoder, 2, stride=2)

    def forward(self, feature: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b k s s s"]:
        """The maps."""
        narrow: Tensor = self.body(feature)
        if self.up is None:
            return F.interpolate(narrow, scale_factor=2.0, mode="trilinear", align_corners=True)
        out: Tensor = self.up(narrow)
        return out

    def through(self, feature: Float[Tensor, "b c x y z"], weight: Float[Tensor, "o k 3 3 3"]) -> Float[Tensor, "b o s s s"]:
        """What a convolution with these weights makes of the maps, but for the transposed convolution's bias.

        A convolution behind a transposed one is a transposed one with the product of the weights: 4 x 4 x 4 at a step of 2,
        with a third of the work.
        """
        if self.up is None:
            return F.conv3d(self(feature), weight, padding=1)
        return F.conv_transpose3d(self.body(feature), F.conv3d(self.up.weight, weight, padding=2), stride=2, padding=1)


class CubeDecoder(nn.Module):
    """Branches of the features at twice their resolution, beside the cube and what convolutions see in it, to two classes.

    All of them side by side would be 641 channels as published. But what mixes them first is a convolution, so that each is
    mixed as soon as it is there, and all that no click changes can be mixed beforehand.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, image = config.decoder, 3 if config.click_map else 1
        self.config = config
        branches = [Branch(config) for _ in range(_BRANCHES)]
        self.branches = nn.ModuleList(branches)
        self.path: nn.Module | None = None
        if config.path != "none":
            self.path = (TwoConvolutions if config.path == "C" else ResidualPath)(image, width)
        beside = {"C": width + image, "R": width, "none": image}[config.path]
        self.mix = nn.Conv3d(_BRANCHES * width + beside, width, 3, padding=1, bias=False)
        self.head = nn.Sequential(
            nn.InstanceNorm3d(width), nn.ReLU(inplace=True), nn.Conv3d(width, 2, 3, padding=1, bias=False)
        )
        self._branches = branches

    def forward(
        self,
        features: Sequence[Float[Tensor, "b c x y z"]],
        cubes: Float[Tensor, "b 1 d h w"],
        clicks: Float[Tensor, "b 2 d h w"] | None,
    ) -> Float[Tensor, "b 2 d h w"]:
        """Logits of background and object.

        Args:
            features: four, shallow to deep, with axes (h, w, d); the last one knows the clicks.
            cubes: intensities, standardised.
            clicks: maps of the clicks of either kind, if the options want them.
        """
        return self.answer(self.prepared(features[:-1], cubes), features[-1], cubes, clicks)

    def prepared(
        self, features: Sequence[Float[Tensor, "b c x y z"]], cubes: Float[Tensor, "b 1 d h w"]
    ) -> Float[Tensor, "b k s s s"]:
        """All that no click changes, mixed: what `answer` begins with."""
        total = self._mixed(0, features[0]).float()
        for number in range(1, len(features)):
            total += self._mixed(number, features[number])
        total = self._finer(total)
        if not self.config.click_map:
            self._add_image(total, cubes)
        return total

    def answer(
        self,
        prepared: Float[Tensor, "b k s s s"],
        deepest: Float[Tensor, "b c x y z"],
        cubes: Float[Tensor, "b 1 d h w"],
        clicks: Float[Tensor, "b 2 d h w"] | None,
    ) -> Float[Tensor, "b 2 d h w"]:
        """Logits from what was prepared and the feature that knows the clicks."""
        total = prepared + self._finer(self._mixed(_BRANCHES - 1, deepest))
        if self.config.click_map:
            if clicks is None:
                raise AssertionError("options with click_map want maps of the clicks")
            self._add_image(total, torch.cat([cubes, clicks.to(cubes.dtype)], 1))
        low = self.head(total).float()
        whole = F.interpolate(low, cubes.shape[2:], mode="trilinear", align_corners=True)
        return whole.permute(0, 1, 4, 2, 3)

    def _mixed(self, number: int, feature: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b k s s s"]:
        width = self.config.decoder
        return self._branches[number].through(feature, self.mix.weight[:, number * width : (number + 1) * width])

    def _finer(self, total: Float[Tensor, "b k x y z"]) -> Float[Tensor, "b k s s s"]:
        """What branches add up to, at the resolution in which the cube itself is seen."""
        times = self.config.fineness
        return total if times == 1 else F.interpolate(total, scale_factor=float(times), mode="trilinear")

    def _add_image(self, total: Float[Tensor, "b k s s s"], image: Float[Tensor, "b i d h w"]) -> None:
        """Mix in the image, what convolutions see in it, and the biases of the transposed convolutions."""
        small = shrunk(image, total.shape[-1])
        start = _BRANCHES * self.config.decoder
        if self.path is not None:
            seen = self.path(small)
            total += F.conv3d(seen, self.mix.weight[:, start : start + seen.shape[1]], padding=1)
            start += seen.shape[1]
        constant = [branch.up.bias for branch in self._branches if branch.up is not None and branch.up.bias is not None]
        beside, weight = [small] * (self.config.path != "R"), self.mix.weight[:, start:]
        if constant:  # as the same number everywhere, less only where the convolution reaches over the edge
            summed = torch.einsum("oi...,i->o...", self.mix.weight[:, : len(torch.cat(constant))], torch.cat(constant))
            beside, weight = [*beside, torch.ones_like(small[:, :1])], torch.cat([weight, summed[:, None]], 1)
        if beside:
            total += F.conv3d(torch.cat(beside, 1), weight, padding=1)


def shrunk(volumes: Float[Tensor, "b i d h w"], side: int) -> Float[Tensor, "b i {side} {side} {side}"]:
    """Cubes at the resolution of the branches, with their axes (h, w, d)."""
    return F.interpolate(volumes.permute(0, 1, 3, 4, 2), (side,) * 3, mode="trilinear")


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv3d(inputs, outputs, 3, padding=1, bias=False), nn.InstanceNorm3d(outputs), nn.ReLU(inplace=True)]
