"""Which of how many processes this is: alone, under torchrun, or as a task of SLURM."""

from __future__ import annotations

import atexit
import gc
import os
from dataclasses import dataclass
from typing import Literal

import torch
from lightning_fabric import Fabric

from promisam.core.errors import InvalidConfig
from promisam.store import choose_device
from promisam.training.recipe import Precision, fabric_precision


@dataclass(frozen=True)
class Processes:
    """A group of processes that work together.

    Attributes:
        rank: of this process, from 0.
        world: how many there are.
        nodes: machines that they run on, each with as many.
    """

    rank: int = 0
    world: int = 1
    nodes: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not (0 <= self.rank < self.world and self.nodes >= 1 and self.world % self.nodes == 0):
            raise InvalidConfig(
                f"process {self.rank} of {self.world} on {self.nodes} machines",
                expected="a number from 0 below the number of processes, equally many on each machine",
                do="Start the same number of tasks on each machine.",
            )

    @classmethod
    def here(cls) -> Processes:
        """What torchrun's or SLURM's variables say; alone without them."""
        env = os.environ
        if "TORCHELASTIC_RUN_ID" in env or {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= set(env):
            world = int(env["WORLD_SIZE"])
            local = int(env.get("LOCAL_WORLD_SIZE", world))
            return cls(int(env["RANK"]), world, world // local)
        if (
            "SLURM_PROCID" in env
            and int(env.get("SLURM_NTASKS", 1)) > 1
            and env.get("SLURM_JOB_NAME") not in ("bash", "interactive")
        ):
            nodes = int(env.get("SLURM_NNODES", env.get("SLURM_JOB_NUM_NODES", 1)))
            return cls(int(env["SLURM_PROCID"]), int(env["SLURM_NTASKS"]), nodes)
        return cls()

    def fabric(self, device: Literal["auto", "cpu", "cuda", "mps"], precision: Precision) -> Fabric:
        """Fabric on these processes, launched: gloo on CPUs, NCCL on GPUs."""
        accelerator = choose_device(device).type
        fabric = Fabric(
            accelerator=accelerator,
            devices=self.world // self.nodes,
            num_nodes=self.nodes,
            # not every step asks every part of a network: one head for each class, one kind of prompt
            strategy="ddp_find_unused_parameters_true" if self.world > 1 else "auto",
            precision=fabric_precision(precision, accelerator),  # type: ignore[arg-type]
        )
        fabric.launch()
        atexit.register(_leave)
        if accelerator == "cuda":
            torch.cuda.set_device(fabric.device)  # "cuda" then means this process's own GPU
        return fabric


def _leave() -> None:
    """Leave the group while Python is whole: a thread of gloo that drops a tensor later than that aborts the process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()  # what still holds the group
        torch.distributed.destroy_process_group()


def anywhere(flag: bool) -> bool:
    """Whether it is true in any of the processes; all of them have to ask."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return flag
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    found = torch.tensor([int(flag)], device=device)
    torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
    return bool(found.item())
