"""All that learns in ProMISe-3D, and what it says of clicks in a cube."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor, nn

from promisam.methods.promise3d.config import Config
from promisam.methods.promise3d.decoder import CubeDecoder
from promisam.methods.promise3d.encoder import CubeEncoder
from promisam.methods.promise3d.prompts import VisualPrompts
from promisam.methods.promise3d.volume import Intensity


@dataclass(frozen=True, eq=False)
class Seen:
    """All of cubes that no click changes, so that further clicks need a tenth of the decoder's work.

    Attributes:
        cubes: intensities, standardised.
        deepest: the deepest feature.
        canvas: what the decoder made of everything else.
    """

    cubes: Float[Tensor, "b 1 d h w"]
    deepest: Float[Tensor, "b c x y z"]
    canvas: Float[Tensor, "b k s s s"]


class Network(nn.Module):
    """What is trained of an encoder, the prompt encoder and the decoder.

    Attributes:
        intensity: how raw intensities are scaled, as `Intensity.tensor` gives it.
    """

    intensity: Float[Tensor, "5"]

    def __init__(self, encoder: CubeEncoder, config: Config) -> None:
        super().__init__()
        self.encoder = encoder.learned
        self.prompts = VisualPrompts(config)
        self.decoder = CubeDecoder(config)
        self.register_buffer("intensity", Intensity().tensor())

    def forward(
        self,
        encoder: CubeEncoder,
        cubes: Float[Tensor, "b 1 d h w"],
        points: Float[Tensor, "b n 3"],
        labels: Int64[Tensor, "b n"],
        clicks: Float[Tensor, "b 2 d h w"] | None = None,
    ) -> Float[Tensor, "b 2 d h w"]:
        """Logits of background and object from cubes and clicks in them; arguments as of `reply`."""
        return self.answer(encoder.features(cubes), cubes, points, labels, clicks)

    def answer(
        self,
        features: Sequence[Float[Tensor, "b c x y z"]],
        cubes: Float[Tensor, "b 1 d h w"],
        points: Float[Tensor, "b n 3"],
        labels: Int64[Tensor, "b n"],
        clicks: Float[Tensor, "b 2 d h w"] | None = None,
    ) -> Float[Tensor, "b 2 d h w"]:
        """The same from features of the cubes."""
        return self.reply(self.look(features, cubes), points, labels, clicks)

    def look(self, features: Sequence[Float[Tensor, "b c x y z"]], cubes: Float[Tensor, "b 1 d h w"]) -> Seen:
        """All that can be done before there are clicks."""
        return Seen(cubes, features[-1], self.decoder.prepared(features[:-1], cubes))

    def reply(
        self,
        seen: Seen,
        points: Float[Tensor, "b n 3"],
        labels: Int64[Tensor, "b n"],
        clicks: Float[Tensor, "b 2 d h w"] | None = None,
    ) -> Float[Tensor, "b 2 d h w"]:
        """Logits of background and object.

        Args:
            seen: of the cubes.
            points: (d, h, w) in samples of the cube; 0 is the middle of the first.
            labels: 1 on the object, 0 beside it, -1 for what pads the list.
            clicks: maps of them, if the options want them.
        """
        deepest = self.prompts(seen.deepest, points, labels, seen.cubes.shape[-1])
        return self.decoder.answer(seen.canvas, deepest, seen.cubes, clicks)
