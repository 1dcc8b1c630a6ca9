"""Which example is seen when, and with which random numbers: a function of the seed and of the position in training alone.

Training is one endless stream of positions: every epoch visits all examples in an order of its own. As nothing else is
random, training continues exactly after an interruption, and n processes see together what one process with an n times
larger batch sees.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from promisam.core import Example
from promisam.core.errors import PromisamError, TrainingStopped
from promisam.training.contract import Arrays, Trainable
from promisam.training.kept import Kept
from promisam.training.seeds import seed_of

Pair = tuple[dict[str, Tensor], str]
Batch = tuple[dict[str, Tensor], list[str]]


def precomputed(method: Trainable, example: Example, variant: int, kept: Kept) -> Arrays:
    """The example's precomputed arrays, from the store where they are there."""
    key = {
        "method": f"{type(method).__module__}:{type(method).__qualname__}",
        "settings": dict(method.precompute_settings),
        "content": example.content,
        "variant": variant,
    }
    return kept.get(key, lambda: method.precompute(example.load(), variant))


@dataclass(frozen=True)
class Stream(Dataset[Pair]):
    """Samples by position."""

    method: Trainable
    examples: Sequence[Example]
    kept: Kept
    seed: int

    def __getitem__(self, position: int) -> Pair:
        """The sample at a position and the name of its example.

        Raises:
            TrainingStopped: when no example has anything to learn from.
        """
        generator = torch.Generator().manual_seed(seed_of(self.seed, 1, position))
        first = self.index(position)
        for step in range(len(self.examples)):  # the next one where an example has nothing to learn from
            example = self.examples[(first + step) % len(self.examples)]
            variant = int(torch.randint(self.method.variants, (1,), generator=generator))
            sample = self.method.sample(precomputed(self.method, example, variant, self.kept), generator)
            if sample is not None:
                return sample, example.name
        raise TrainingStopped(
            f"{len(self.examples)} examples without anything to learn from",
            expected="at least one that holds the object",
            do="Check the labels with `promisam check-data`, and --label.",
        )

    def index(self, position: int) -> int:
        """Which example a position visits."""
        epoch, place = divmod(position, len(self.examples))
        order = np.random.default_rng(seed_of(self.seed, 0, epoch)).permutation(len(self.examples))
        return int(order[place])


@dataclass(frozen=True)
class Share:
    """One process's part of the stream: of every step's samples, those of its rank."""

    batch: int
    rank: int = 0
    world: int = 1

    def positions(self, first: int, stop: int) -> Iterator[list[int]]:
        """The positions of each batch from number `first` on."""
        for number in range(first, stop):
            start = (number * self.world + self.rank) * self.batch
            yield list(range(start, start + self.batch))


def batches(stream: Stream, share: Share, first: int, stop: int, workers: int = 0) -> Iterator[Batch]:
    """Batches number `first` to `stop` (exclusive) of one process: tensors stacked, and the names of their examples.

    Args:
        stream: of all samples.
        share: which of them are this process's.
        first: number of the first batch.
        stop: number behind the last batch.
        workers: processes that prepare samples; 0 for none beside this one.

    Raises:
        PromisamError: what went wrong with a sample, be it in another process.
    """
    places = list(share.positions(first, stop))
    start = "fork" if workers and sys.platform == "linux" else None  # examples in memory cannot be sent
    for batch in DataLoader(
        _Told(stream), batch_sampler=places, num_workers=workers, collate_fn=_stack, multiprocessing_context=start
    ):
        if isinstance(batch, Exception):
            raise batch
        yield batch


@dataclass(frozen=True)
class _Told(Dataset[Pair | Exception]):
    """The stream with its refusals as values: PyTorch would turn those of worker processes into text."""

    stream: Stream

    def __getitem__(self, position: int) -> Pair | Exception:
        try:
            return self.stream[position]
        except (PromisamError, OSError) as error:
            return error


def _stack(pairs: list[Pair | Exception]) -> Batch | Exception:
    sound = [pair for pair in pairs if not isinstance(pair, Exception)]
    if len(sound) < len(pairs):
        return next(pair for pair in pairs if isinstance(pair, Exception))
    return _stacked(sound)


def _stacked(pairs: list[Pair]) -> Batch:
    samples = [sample for sample, _ in pairs]
    return {name: torch.stack([s[name] for s in samples]) for name in samples[0]}, [name for _, name in pairs]
