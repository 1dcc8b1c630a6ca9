"""The training loop: a generator of what happens, on Lightning Fabric.

The consumer decides what becomes of the events: the command line draws a bar and writes logs, a test asserts, an application
streams them. Closed early, training has lost nothing: the state of the last finished step is on the disk. Killed, it goes on
from its last validation, to the same result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor

from promisam.core.errors import InvalidConfig, TrainingStopped
from promisam.training.checkpoint import MODEL, STATE, read_state, write_checkpoint, write_state
from promisam.training.contract import Measuring, Scheduled
from promisam.training.course import Course
from promisam.training.events import Event, Precomputed, Step, Stopped, Validated
from promisam.training.objective import Given, Objective
from promisam.training.recipe import fabric_precision
from promisam.training.schedule import check_optimizer, learning_rate, make_optimizer
from promisam.training.seeds import seed_of
from promisam.training.stream import Share, Stream, batches, precomputed
from promisam.training.validation import mean_dice, validate

FREE = ("workers", "preview_every")  # options that change nothing of what is learned, so that a run may go on with others
Row = TypeVar("Row")


@dataclass(frozen=True)
class Standing:
    """Where training stands.

    Attributes:
        step: so many moves of the weights were made.
        best_score: of all validations.
        best_step: after which it was reached.
        since_best: validations since then.
        validated: the step after which the latest validation was; -1 before the first.
    """

    step: int = 0
    best_score: float = -math.inf
    best_step: int = -1
    since_best: int = 0
    validated: int = -1


def train(
    course: Course, fabric: Fabric | None = None, *, resume: bool = False, optimizer: torch.optim.Optimizer | None = None
) -> Generator[Event, None, None]:
    """Train; yields `Precomputed`, `Step`, `Validated` and at last `Stopped`.

    A training that had come to its end before yields `Stopped` alone.

    Args:
        course: what is learned, from what and how.
        fabric: launched; by default one process on the device where the network is.
        resume: go on from the state in the course's folder.
        optimizer: in place of the recipe's, whose schedule sets its learning rate.

    Raises:
        TrainingStopped: for a loss, gradients or weights that are not finite (naming step and cases), nothing to learn from, or
            an optimiser that trains nothing or something else.
        InvalidConfig: when the state to go on from belongs to other options, and for fp16 on a CPU.
    """
    if not course.training:
        raise TrainingStopped("no training example", expected="at least one", do="Check --split and the data set.")
    loop = _Loop(course, fabric or _alone(course), optimizer)
    if resume:
        loop.go_on()
    if not loop.is_over:
        yield from loop.precompute()
    try:
        yield from loop.run()
    except GeneratorExit:
        loop.save()  # the consumer stops between two steps: nothing is lost
        raise


class _Loop:
    def __init__(self, course: Course, fabric: Fabric, optimizer: torch.optim.Optimizer | None) -> None:
        self.course, self.fabric, self.recipe = course, fabric, course.recipe
        network = course.method.network
        fabric_precision(self.recipe.mixed_precision, fabric.device.type)
        own = make_optimizer(self.recipe, network) if optimizer is None else optimizer
        check_optimizer(own, network)
        self.objective, self.optimizer = fabric.setup(Objective(course.method), own)
        self.share = Share(self.recipe.batch, fabric.global_rank, fabric.world_size)
        self.stream = Stream(course.method, course.training, course.kept, self.recipe.seed)
        self.per_step = self.recipe.batch * self.recipe.accumulate * fabric.world_size
        self.steps = self._steps_in(self.recipe.epochs)
        self.standing = Standing()

    def precompute(self) -> Iterator[Event]:
        """Everything costly that is the same at every visit, shared between the processes."""
        method, rank, world = self.course.method, self.fabric.global_rank, self.fabric.world_size
        if isinstance(method, Measuring):
            method.measure(self.course.training)
        wanted = [(e, v) for e in self.course.training for v in range(method.variants)]
        wanted += [(e, 0) for e in self.course.validation]
        mine = wanted[rank::world] if self.course.kept.root is not None else wanted  # memory is not shared
        for done, (example, variant) in enumerate(mine, 1):
            precomputed(method, example, variant, self.course.kept)
            yield Precomputed(min(done * world, len(wanted)), len(wanted))
        self.fabric.barrier()

    @property
    def is_over(self) -> bool:
        """Whether the last step was made and validated, or better validations stayed away for too long."""
        return self._is_stuck() or self.standing.validated >= self.steps

    def run(self) -> Iterator[Event]:
        """Steps and validations up to the end."""
        stops = self._validations()
        first, last = self.standing.step * self.recipe.accumulate, self.steps * self.recipe.accumulate
        loader = batches(self.stream, self.share, first, last, self.recipe.workers)
        if self.standing.step in stops and self.standing.validated < self.standing.step:
            yield from self._validation()
        while not self.is_over:
            yield self._step(self.standing.step, loader)
            if self.standing.step in stops:
                yield from self._validation()
        yield self._stopped("finished" if self.standing.step >= self.steps else "early")

    def _validation(self) -> Iterator[Event]:
        yield self.validate()  # written down before the state is, so that none is missing after a crash between the two
        self.save()

    def validate(self) -> Validated:
        """Score the held-out examples, and keep the weights if they are the best, or the last are wanted."""
        begun = time.perf_counter()
        method, rank, world = self.course.method, self.fabric.global_rank, self.fabric.world_size
        method.network.eval()
        mine, shown = validate(
            method,
            self.course.validation,
            self.course.kept,
            self.recipe.seed,
            first=rank,
            stride=world,
            show=self.course.show if rank == 0 else 0,
        )
        method.network.train()
        rows = sorted(self._gathered(mine), key=lambda row: row.name)
        means = mean_dice(rows)
        held = {name for row in rows for name in row.held}
        counted = [value for name, value in means.items() if name in held]
        score = sum(counted) / len(counted) if counted else math.nan
        best = math.isnan(score) or score > self.standing.best_score or self.recipe.choose == "last"
        self.standing = replace(
            self.standing,
            best_score=score if best else self.standing.best_score,
            best_step=self.standing.step if best else self.standing.best_step,
            since_best=0 if best else self.standing.since_best + 1,
            validated=self.standing.step,
        )
        if best:
            self._keep(score)
        seconds = time.perf_counter() - begun
        return Validated(self.standing.step, score, means, tuple(rows), best, seconds, tuple(shown))

    def save(self) -> None:
        """Where training stands, so that it can go on from here."""
        if self.course.folder is not None and self.fabric.is_global_zero:
            state = {
                "network": self.course.method.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
                "standing": vars(self.standing),
                "belongs_to": self._belongs_to(),
            }
            write_state(self.course.folder / STATE, state)

    def go_on(self) -> None:
        """Take up the state in the folder."""
        if self.course.folder is None:
            raise InvalidConfig("a run without a folder to go on from", expected="a run folder", do="Begin anew.")
        state = read_state(self.course.folder / STATE)
        if state["belongs_to"] != self._belongs_to():
            raise InvalidConfig(
                "the state of a run with other options, examples or numbers of samples per step",
                expected="the very options that it began with",
                do="Begin a new run in another folder.",
            )
        self.course.method.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.standing = Standing(**state["standing"])

    def _step(self, number: int, loader: Iterator[Any]) -> Step:
        begun = time.perf_counter()
        rate = learning_rate(self.recipe, number, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        if isinstance(self.course.method, Scheduled):
            self.course.method.reached(int(number * self.per_step / len(self.course.training)))
        totals: dict[str, Tensor] = {}
        names: list[str] = []
        for turn in range(self.recipe.accumulate):
            batch, seen = next(loader)  # of which the first draws a number itself
            place = number * self.recipe.accumulate + turn
            torch.manual_seed(seed_of(self.recipe.seed, 3, place, self.fabric.global_rank))  # dropout, the same after --resume
            names += seen
            more = turn + 1 < self.recipe.accumulate
            waiting = self.fabric.no_backward_sync(self.objective) if more and self.fabric.world_size > 1 else nullcontext()
            with waiting:
                parts = self.objective(Given(self.fabric.to_device(batch)))
                loss = torch.stack(list(parts.values())).sum() / self.recipe.accumulate
                self.fabric.backward(loss)
            for name, value in parts.items():
                totals[name] = totals.get(name, 0) + value.detach().float() / self.recipe.accumulate
        means = self._over_processes(totals)
        self._check_finite("a loss", number, means, names)
        limit = self.recipe.clip or math.inf
        norm = self.fabric.clip_gradients(self.objective, self.optimizer, max_norm=limit, error_if_nonfinite=False)
        if not self._skips_overflows:
            self._check_finite("gradients", number, {"their norm": float(norm or 0)}, names)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._check_finite("weights", number, {"their norm": self._size_of_weights()}, names)
        self.standing = replace(self.standing, step=number + 1)
        epoch = (number + 1) * self.per_step / len(self.course.training)
        return Step(number + 1, self.steps, epoch, sum(means.values()), means, rate, time.perf_counter() - begun)

    def _check_finite(self, what: str, number: int, values: Mapping[str, float], names: Sequence[str]) -> None:
        """Every process has the same values, so all of them stop."""
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            cases = sorted(set(self._gathered(list(names))))
            raise TrainingStopped(
                f"{what} not finite ({', '.join(broken)}) in step {number + 1}, on the cases {', '.join(cases)}",
                expected="finite numbers",
                do="Look at these cases (`promisam check-data`), or lower the learning rate; the last checkpoint is whole.",
            )

    @property
    def _skips_overflows(self) -> bool:
        """In fp16 gradients overflow now and then: the scaler then leaves the step out and scales less."""
        return getattr(self.fabric.strategy.precision, "scaler", None) is not None

    def _size_of_weights(self) -> float:
        own = [p.detach() for group in self.optimizer.param_groups for p in group["params"]]
        return float(torch.nn.utils.get_total_norm(own))

    def _over_processes(self, totals: Mapping[str, Tensor]) -> dict[str, float]:
        stacked = torch.stack([value.reshape(()) for value in totals.values()])
        if self.fabric.world_size > 1:
            stacked = self.fabric.all_reduce(stacked, reduce_op="mean")  # type: ignore[assignment]
        return dict(zip(totals, stacked.tolist(), strict=True))

    def _gathered(self, rows: list[Row]) -> list[Row]:
        if self.fabric.world_size == 1:
            return rows
        everyone: list[list[Row]] = [[] for _ in range(self.fabric.world_size)]
        torch.distributed.all_gather_object(everyone, rows)
        return [row for part in everyone for row in part]

    def _keep(self, score: float) -> None:
        if self.course.folder is not None and self.course.header is not None and self.fabric.is_global_zero:
            known = None if math.isnan(score) else round(score, 6)
            header = replace(self.course.header, facts={**self.course.header.facts, "step": self.standing.step, "dice": known})
            write_checkpoint(self.course.folder / MODEL, self.course.method.network, header)

    def _belongs_to(self) -> dict[str, Any]:
        recipe = self.recipe.model_dump(exclude=set(FREE))
        names = [example.content for example in (*self.course.training, *self.course.validation)]
        options = {} if self.course.header is None else dict(self.course.header.options)
        return {"recipe": recipe, "examples": names, "per_step": self.per_step, "options": options}

    def _steps_in(self, epochs: int) -> int:
        return math.ceil(epochs * len(self.course.training) / self.per_step)

    def _validations(self) -> set[int]:
        """After which steps: before the first, every so many epochs, and at the end."""
        every = range(self.recipe.validate_every, self.recipe.epochs, self.recipe.validate_every)
        return {self._steps_in(epochs) for epochs in every} | {0, self.steps}

    def _is_stuck(self) -> bool:
        return 0 < self.recipe.patience <= self.standing.since_best

    def _stopped(self, reason: str) -> Stopped:
        return Stopped(self.standing.step, reason, self.standing.best_score, self.standing.best_step)


def _alone(course: Course) -> Fabric:
    device = next((p.device.type for p in course.method.network.parameters()), "cpu")
    precision = fabric_precision(course.recipe.mixed_precision, device)
    return Fabric(accelerator=device, devices=1, precision=precision)  # type: ignore[arg-type]
