"""A loss, gradients or weights that are not finite stop training before they can do harm."""

from __future__ import annotations

import pytest
import torch

from learning import course, gap, trained, weights
from promisam.core.errors import TrainingStopped
from promisam.methods.unet import UNet
from promisam.training.checkpoint import MODEL, STATE

BREAKS_AT = 4  # the second step of the second epoch


class Breaking(UNet):
    """Its loss breaks in a step: by its value, or by its gradients alone."""

    harm = "value"
    calls = 0

    def loss(self, batch):
        self.calls += 1
        parts = super().loss(batch)
        if self.calls != BREAKS_AT:
            return parts
        if self.harm == "value":
            return {**parts, "bce": parts["bce"] * torch.nan}
        first = next(iter(self.network.parameters()))
        return {**parts, "root": (first * 0).sqrt().sum()}  # 0, with the slope of infinity times 0


class BreakingSlope(Breaking):
    harm = "gradients"


@pytest.mark.parametrize("clip", [1.0, 0.0])
@pytest.mark.parametrize(("kind", "said"), [(Breaking, "a loss not finite (bce)"), (BreakingSlope, "gradients not finite")])
def test_it_stops_and_the_last_checkpoint_is_whole(tmp_path, kind, said, clip):
    made = course(tmp_path / "broken", kind=kind, clip=clip)
    with pytest.raises(TrainingStopped) as caught:
        trained(made)
    message = str(caught.value)
    assert said in message
    assert f"in step {BREAKS_AT}" in message
    assert "case " in message
    assert all(torch.isfinite(tensor).all() for tensor in weights(made).values())
    assert (tmp_path / "broken" / MODEL).is_file()
    assert torch.load(tmp_path / "broken" / STATE, weights_only=True)["standing"]["step"] == 2

    whole, rest = course(tmp_path / "whole", clip=clip), course(tmp_path / "broken", clip=clip)
    trained(whole)
    trained(rest, resume=True)
    assert gap(weights(rest), weights(whole)) == 0


def test_weights_that_overflow_are_not_kept(tmp_path):
    with pytest.raises(TrainingStopped, match="weights not finite"):
        trained(course(tmp_path, optimizer="sgd", learning_rate=1e38, clip=0.0))
    state = torch.load(tmp_path / STATE, weights_only=True)
    assert all(torch.isfinite(tensor).all() for tensor in state["network"].values())
