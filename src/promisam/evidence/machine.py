"""The machine that figures come from."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from promisam.store import Device


@dataclass(frozen=True)
class Machine:
    """Where it is measured.

    Attributes:
        device: for networks.
        threads: of PyTorch.
        offline: never touch the network.
    """

    device: Device = "auto"
    threads: int = 1
    offline: bool = False

    def __str__(self) -> str:
        """Processor or graphics card, and threads."""
        from promisam.store import choose_device

        device = choose_device(self.device)
        if device.type == "cuda":
            import torch

            return torch.cuda.get_device_name(device)
        return f"{_processor()}, {self.threads} thread{'s' if self.threads != 1 else ''}"


def load() -> float:
    """Average number of processes that computed or waited in the last five minutes; NaN where the system does not say."""
    try:
        return round(os.getloadavg()[1], 1)
    except (AttributeError, OSError):
        return float("nan")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named and named[0] != "unknown" else platform.machine()
