"""One prediction over many images, as values that can be sent to another process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from promisam import store
from promisam.core import Segmenter
from promisam.io import Input, find_inputs
from promisam.runs.making import Making
from promisam.runs.predict import Place, Work
from promisam.runs.predictions import REPORT
from promisam.runs.seen import Marks, marker


@dataclass(frozen=True)
class Job:
    """What `predict` is asked to do.

    Attributes:
        run: folder or checkpoint of the method.
        inputs: where the images are.
        out: where the masks go.
        prompts: a folder of prompt files; None without.
        weights: where the SAM is, if it moved.
        device: where to compute.
        overwrite: do again what is there.
        offline: never touch the network.
    """

    run: Path
    inputs: tuple[Path, ...]
    out: Path
    prompts: Path | None = None
    weights: str | None = None
    device: store.Device = "auto"
    overwrite: bool = False
    offline: bool = False


@dataclass(frozen=True)
class Ready:
    """A job whose images were found and whose folder was looked at.

    Attributes:
        job: what is asked.
        making: where the method comes from.
        images: by name.
        place: where masks go.
    """

    job: Job
    making: Making
    images: Mapping[str, Input]
    place: Place

    @classmethod
    def of(cls, job: Job) -> Ready:
        """Look at everything but the method's weights.

        Raises:
            PromisamError: as of `Making.of`, `find_inputs` and `Place.check`.
        """
        making = Making.of(job.run)
        images = find_inputs(job.inputs, making.channels, making.number)
        place = Place(job.out, making.maker if making.maker.sha256 else None, job.overwrite)
        place.check(images, job.inputs)
        return cls(job, making, images, place)

    def methods(self) -> tuple[Mapping[int, Segmenter], Place]:
        """The method by number of axes, and the place, which then knows what makes the masks.

        Raises:
            PromisamError: as of `promisam.store.load`.
        """
        job = self.job
        method = store.load(job.weights, method=job.run, device=job.device, offline=job.offline)
        return {ndim: store.for_axes(method, ndim) for ndim in (2, 3)}, replace(self.place, maker=self.making.on(method))

    def mark(self) -> Callable[[Input], Marks]:
        """What tells whether the method has seen an image before."""
        return marker(self.images, self.making.data)

    def work(self) -> Work:
        """For a process that segments images and leaves the report to another one."""
        methods, place = self.methods()
        return Work(methods, place, self.job.prompts, self.mark(), place.book(REPORT))
