"""A method's loss as a module that Fabric can wrap."""

from __future__ import annotations

from torch import Tensor, nn

from promisam.training.contract import Sample, Trainable


class Objective(nn.Module):
    """The network with the loss as its forward, so that Fabric can wrap both."""

    def __init__(self, method: Trainable) -> None:
        super().__init__()
        self.network = method.network
        self._loss = method.loss

    def forward(self, given: Given) -> dict[str, Tensor]:
        """The parts of the loss."""
        return self._loss(given.batch)


class Given:
    """A batch that Fabric does not look into: it would halve the precision of coordinates and truth."""

    def __init__(self, batch: Sample) -> None:
        self.batch = batch
