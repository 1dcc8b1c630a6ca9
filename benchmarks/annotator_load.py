"""Eight people click for a minute on one server: seconds of an answer, errors, and how memory grows.

    python benchmarks/annotator_load.py FOLDER [--people 8] [--seconds 60] [--out benchmarks/annotator_load.csv]

Starts `promisam annotate` on a copy of the folder's pictures, on this machine's loopback address, and speaks to it as the page
does: each person opens an image, clicks, corrects, undoes, accepts, saves now and then, and goes on to the next. Memory is that
of the server's process, from when everybody has clicked once. Needs the extra `web` and httpx.
"""

from __future__ import annotations

import argparse
import csv
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np

KEEP = 16  # encodings in the server's memory


@dataclass(frozen=True)
class Row:
    """One run."""

    people: int
    seconds: float
    answers: int
    errors: int
    median_ms: float
    p95_ms: float
    first_mb: float
    last_mb: float
    largest_mb: float
    machine: str


def main() -> None:
    """Start, click, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "study"
        folder.mkdir()
        for file in sorted(p for p in given.folder.iterdir() if p.suffix.lower() in {".png", ".jpg"})[: 4 * given.people]:
            shutil.copy(file, folder)
        words = [sys.executable, "-m", "promisam", "annotate", str(folder), "--no-browser", "--keep", str(KEEP)]
        server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            row = measured(server, given.people, given.seconds)
        finally:
            server.terminate()
            server.wait()
    print(row)
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(row)), lineterminator="\n")
        writer.writeheader()
        writer.writerow(asdict(row))


def measured(server: subprocess.Popen[str], people: int, seconds: float) -> Row:
    """One run on a server that has just begun."""
    home, token = address(server)
    crowd = [Person(home, token, number) for number in range(people)]
    for person in crowd:
        person.click()
    first, largest = memory(server.pid), 0.0
    threads = [threading.Thread(target=person.work, args=(time.monotonic() + seconds,)) for person in crowd]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        largest = max(largest, memory(server.pid))
        time.sleep(0.5)
    times = np.array([one for person in crowd for one in person.times])
    errors = Counter(error for person in crowd for error in person.errors)
    for error, count in errors.items():
        print(count, error, file=sys.stderr)
    middle, late = (round(1000 * float(value), 1) for value in np.percentile(times, (50, 95)))
    sizes = [round(size, 1) for size in (first, memory(server.pid), largest)]
    return Row(people, seconds, len(times), errors.total(), middle, late, *sizes, platform.processor() or platform.machine())


class Person:
    """One page."""

    def __init__(self, home: str, token: str, number: int) -> None:
        self.client = httpx.Client(base_url=home, headers={"X-Promisam-Token": token}, timeout=120)
        self.chance = np.random.default_rng(number)
        self.times: list[float] = []
        self.errors: list[str] = []
        names = [image["name"] for image in self.client.get("/api/project").json()["images"]]
        self.mine = names[4 * number : 4 * number + 4]
        self.session = "/api/sessions/" + self.client.post("/api/sessions").json()["session"]
        self.open(0)

    def open(self, number: int) -> None:
        """The next image."""
        view = self.client.post(f"{self.session}/open", json={"image": self.mine[number % len(self.mine)]})
        view.raise_for_status()
        self.size = view.json()["size"]

    def click(self, *, positive: bool = True) -> None:
        """Somewhere in the middle."""
        at = [float(self.chance.uniform(0.3, 0.7) * n) for n in self.size]
        self.act({"do": "click", "at": at, "positive": positive})

    def act(self, action: dict[str, object]) -> None:
        """An action, timed."""
        begun = time.perf_counter()
        answer = self.client.post(f"{self.session}/actions", json=action)
        self.times.append(time.perf_counter() - begun)
        if answer.status_code != 200:
            self.errors.append(f"{action['do']}: {answer.status_code} {answer.text[:200]}")

    def work(self, until: float) -> None:
        """Until the time is over."""
        round_ = 0
        while time.monotonic() < until:
            self.click()
            self.click()
            self.click(positive=False)
            self.act({"do": "brush", "path": [[10, 10], [40, 12]], "radius": 3})
            self.act({"do": "undo"})
            self.act({"do": "accept"})
            round_ += 1
            if round_ % 5 == 0:
                saved = self.client.post(f"{self.session}/save", json={})
                if saved.status_code != 200:
                    self.errors.append(f"save: {saved.status_code} {saved.text[:200]}")
                self.open(round_ // 5)


def address(server: subprocess.Popen[str]) -> tuple[str, str]:
    """What the server printed."""
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"(http://\S+?)/\?token=(\S+)", line):
            return found.group(1), found.group(2)
    raise SystemExit("the server did not start")


def memory(pid: int) -> float:
    """Resident megabytes of a process (Linux)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
