"""Every measurement behind a figure of the documentation: what makes its file, and how to make it again.

    python recipes/evidence.py                                   # what there is
    python recipes/evidence.py clicks resizing --work FOLDER     # measure these anew
    python recipes/evidence.py all --data ../shared/data --work FOLDER

Files come into FOLDER, beside what the measurements keep; nothing that is published is touched. Interrupted, the same line goes
on. `--publish` copies what was finished there to its place. Hours are of one core of an ordinary computer.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "benchmarks"
REPORT = "results"


@dataclass(frozen=True)
class Measurement:
    """A file of figures.

    Attributes:
        name: of the script in `benchmarks/`, and of the file.
        hours: about.
        lines: arguments of the script, one run each; {data}, {work} and {out} are filled in.
        ending: of the file.
    """

    name: str
    hours: float
    lines: tuple[str, ...]
    ending: str = "csv"

    @property
    def file(self) -> str:
        """Its name."""
        return f"{self.name}.{self.ending}"

    def commands(self, data: Path, work: Path) -> tuple[list[str], ...]:
        """To be run one after the other."""
        places = {
            "data": shlex.quote(str(data)),
            "work": shlex.quote(str(work / self.name)),
            "out": shlex.quote(str(work / self.file)),
        }
        script = str(PLACE / f"{self.name}.py")
        return tuple([sys.executable, script, *shlex.split(line.format(**places))] for line in self.lines)


DATA, TRAINS = "--data {data} --out {out}", "--data {data} --work {work} --out {out}"
PARTS = "--ways all 'without LoRA' 'without FA' 'without the field' 'without sampling' frozen unet"

MEASUREMENTS = (
    Measurement("zero_shot_boxes", 0.3, (DATA,)),
    Measurement("propagation", 0.3, (DATA,)),
    Measurement("resizing", 0.3, (DATA,)),
    Measurement("registration", 1, (DATA,)),
    Measurement("clicks", 1, (DATA,)),
    Measurement(
        "few_labels",
        5,
        (
            f"{TRAINS} --methods ips unet",
            f"{TRAINS} --sets hc18 --methods apm 'apm untrained' 'apm+ips' 'apm+ips untrained' 'apm distance'",
        ),
    ),
    Measurement(
        "few_shot",
        2,
        (
            DATA,
            f"{DATA} --sets msd_hippocampus --k 5",
        ),
    ),
    Measurement(
        "imedsam",
        5,
        (
            f"{TRAINS} --sets busi {PARTS}",
            f"{TRAINS} --sets cvc_clinicdb --ways all frozen",
            f"{TRAINS} --sets 'cvc_clinicdb, 40 % test' --ways all 'without the field' frozen",
            f"{TRAINS} --sets 'cvc_clinicdb, 5 folds' --ways all frozen",
        ),
    ),
    Measurement("imedsam_field", 0.5, ("--repeats 1 --out {out}",)),
    Measurement(
        "promise3d",
        5,
        (
            f"{TRAINS} --ways all unet",
            f"{TRAINS} --sets msd_hippocampus --ways 'no adapter, trilinear, no path, no boundary term' "
            "'one adapter, trilinear, no path, no boundary term' 'two adapters, trilinear, no path, no boundary term' "
            "'two adapters, up-conv, no path, no boundary term' 'R, no boundary term' R 'C, no boundary term' C",
        ),
    ),
    Measurement("promise3d_speed", 0.5, ("--full --out {out}",)),
    Measurement("speed", 0.3, ("--json {out}",), "json"),
    Measurement("onnx_export", 0.2, (DATA,)),
    Measurement("annotator_load", 0.1, ("{data}/cvc_clinicdb/images --out {out}",)),
    Measurement("memory", 0.3, ("--results {out}",)),
    Measurement("robustness", 0.5, ("--calls 1000 --seed 3 --results {out}",)),
)


def main() -> int:
    """List, measure or publish; the status of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [one.name for one in MEASUREMENTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a file without its ending; or `all`")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data", help="the labelled sets")
    parser.add_argument("--work", type=Path, help="where files and trainings go")
    parser.add_argument("--publish", action="store_true", help="copy the files to their places when all are there")
    given = parser.parse_args()
    if not given.names:
        print(listed())
        return 0
    unknown = sorted({*given.names} - {*names, REPORT, "all"})
    if unknown:
        parser.error(f"{unknown[0]} is none of {', '.join([*names, REPORT])}")
    if given.work is None:
        parser.error("--work FOLDER is needed")
    given.work.mkdir(parents=True, exist_ok=True)
    wanted = [*names, REPORT] if "all" in given.names else given.names
    for name in wanted:
        for command in commands(name, given.data.resolve(), given.work.resolve()):
            print(shlex.join(command), flush=True)
            status = subprocess.run(command, cwd=ROOT, check=False).returncode
            if status:
                return status
    if given.publish:
        publish(wanted, given.work)
    return 0


def commands(name: str, data: Path, work: Path) -> tuple[list[str], ...]:
    """What makes a file, or the report of all methods."""
    if name == REPORT:
        made = [sys.executable, "-m", "promisam", "report", str(data), "-o", str(work / REPORT), "--profile", "full"]
        return (made,)
    return next(one for one in MEASUREMENTS if one.name == name).commands(data, work)


def publish(names: Sequence[str], work: Path) -> None:
    """Copies to the folders that the documentation reads."""
    for one in MEASUREMENTS:
        if one.name in names:
            print(shutil.copy(work / one.file, PLACE))
    if REPORT in names:
        subprocess.run([sys.executable, str(ROOT / "recipes" / "results.py"), str(work / REPORT)], check=True)


def listed() -> str:
    """A line for each file."""
    rows = [f"{one.file:22} {one.hours:4g} h" for one in MEASUREMENTS]
    return "\n".join([*rows, f"{REPORT + '/*.csv':22}  many h   promisam report DATA -o OUT --profile full"])


if __name__ == "__main__":
    sys.exit(main())
