"""Hostile and sensible arguments for every command and option of the real parser."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

HOSTILE = [
    "", " ", "-", "--", "---", "-o", "x" * 5000, "/" + "x" * 300, "ü日本語\u202e", "\x1b[31m", "a\nb", "a'b\"c", "nan", "inf",
    "-inf",
    "1e400", "-1", "0", "1e-400", "999999999999999999999", "0x10", "1,2", "../..", "../../../../etc/passwd", "~", "*",
    "$HOME", "%s%n",
    "/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "/proc/1/x.png", "nowhere/none.png", "C:\\x", "{}", "[]",
    "null", "true",
    "\\", "a/b\\c", ".", "/", "con", "-9e9", "1_000", "0,0,0,0,0,0,0", ",,,", "=", "a=b", "\ud800", "None", "..", "..\x7f",
    "(?P<", "[",
]  # fmt: skip
PATHS = [
    "picture.png", "mask.png", "volume.nii.gz", "volume.mha", "labels.nii.gz", "series", "data", "data/images", "data/masks",
    "empty",
    "empty.png", "text.nii.gz", "cut.png", "cut.nii.gz", "deep.json", "bad.pth", "folder.png", "nothing", "pipe.png", "loop",
    "dangling.png", "tiny.safetensors", "prompts.json", "options.yaml", "split.json", "a 'b' \"c\"\nd.png", "run",
]  # fmt: skip
OUTPUTS = [
    "out.png",
    "out.nii.gz",
    "out.tif",
    "out.dcm",
    "new/deep/out.png",
    "out",
    "out.csv",
    "out.geojson",
    "out.json",
    "a b.png",
]
SENSIBLE: dict[str, list[str]] = {
    "source": ["run", "tiny.safetensors"], "option": ["epochs=1", "width=2", "batch=2", "seed=3"],
    "segment method": ["plain_sam", "plain_sam", "run"], "benchmark method": ["plain_sam"], "annotate method": ["run",
    "promisam-click"],
    "import method": ["promise2d", "promise3d", "imedsam"], "reproduce method": ["promise2d", "sam_mpa"],
    "segment label": ["a"], "evaluate images": ["data/images"],
    "jitter": ["0.1"], "seed": ["3"], "series": ["1"], "token": ["abc"], "part": ["all"], "trained_on": ["colon"],
    "picture image": ["picture.png", "data/images/p0.png"],
    "volume image": ["volume.nii.gz", "volume.mha", "series"],
    "files": ["picture.png", "volume.nii.gz", "series", "labels.nii.gz"],
    "path": ["data", "data/images"], "images": ["data/images", "data", "picture.png"], "dataset": ["data"],
    "run": ["run"], "inputs": ["data/images", "data/images/p0.png"], "predictions": ["predicted", "predicted",
    "predicted/p0.png"],
    "truth": ["data/masks", "data/masks", "mask.png"], "picture box": ["2,3,20,25", "5,5,9,9"],
    "volume box": ["2,3,1,15,14,1", "2,3,0,15,14,2"],
    "picture point": ["9,9", "3,3"], "volume point": ["9,9,1"], "prompts": ["prompts.json"], "label": ["1", "a", "2"],
    "weights": ["tiny.safetensors"],
    "like": ["sam_vit_b"], "window": ["abdomen", "40,400"], "method": ["unet", "unet", "promise2d", "plain_sam", "run"],
    "file": ["tiny.safetensors"],
    "config": ["options.yaml"], "split": ["50,25,25", "split.json"],
    "group_by": ["p\\d"], "shard": ["0/2"], "jobs": ["1"], "name": ["litemedsam", "sam_vit_b"], "names": ["litemedsam"],
    "experiment": ["polyps", "isic2018"], "data": ["data"], "tolerance": ["2"], "size": ["80x64"], "scale": ["2"],
    "clicks": ["2"],
    "draws": ["1"], "what": ["run", "tiny.safetensors"], "support": ["data"], "extend": ["out.csv"], "include": ["p0"],
    "prompt": ["box"],
}  # fmt: skip
# Never so many that a call is long; the last is sensible.
FEW = {"jobs": ["0", "-1", "1e400", "nan", "", "x", "1"], "draws": ["0", "-1", "nan", "", "1"], "clicks": ["0", "-1", "x", "2"],
       "side": ["0", "-16", "nan", "17", "80"], "k": ["0", "-1", "x", "2"], "limit": ["0", "-1", "x", "1"]}  # fmt: skip
USUAL = {
    "box": 0.6,
    "point": 0.1,
    "output": 0.5,
    "part": 0.7,
    "prompts": 0.06,
    "preview": 0.3,
    "as_json": 0.3,
    "overwrite": 0.3,
    "split": 0.4,
    "support": 0.04,
    "k": 0.8,
    "like": 0.8,
}  # fmt: skip - how often an option is given, where not rarely
WAITING = {"prompts", "config", "split", "extend"}  # text, which may come through a pipe: that is waited for, as by every tool
SHORT = {"fit": [["--set", "epochs=1"], ["--set", "side=32"], ["--set", "width=2"], ["--set", "levels=2"]]}


@dataclass
class Arguments:
    """Draws the words of a call; a quarter of the calls have none that is hostile, a quarter many.

    Attributes:
        random: what is drawn from.
        inputs: the folder that `hostile_files.make` filled.
        command: the one that words are drawn for.
        volume: whether a volume is meant, where that matters.
        hostility: the share of hostile values.
    """

    random: random.Random
    inputs: Path
    command: str = ""
    volume: bool = False
    hostility: float = 0.0

    def arguments(self, name: str, params: Sequence[Any]) -> list[str]:
        """Words after a command's name."""
        words: list[str] = []
        self.command, self.volume = name, self.random.random() < 0.4
        self.hostility = self.random.choice([0.0, 0.08, 0.2, 0.6])
        has = {param.name for param in params}
        for param in params:
            if param.param_type_name == "argument":
                if self.random.random() < 1 - self.hostility / 5:
                    words += [self._value(param) for _ in range(self.random.choice([1, 1, 2]) if param.nargs == -1 else 1)]
            elif param.name in ("help", "offline", "device", "host", "port", "browser", "version"):
                continue
            elif self.random.random() < (1 - self.hostility / 5 if param.required else USUAL.get(param.name, 0.08)):
                words += self._option(param)
        self.random.shuffle(words) if self.random.random() < 0.02 else None
        needs = name in ("segment", "select", "annotate", "reproduce") or (name == "fit" and "unet" not in words)
        if needs and "--weights" not in words and str(self.inputs / "run") not in words:
            words += ["--weights", str(self.inputs / "tiny.safetensors"), "--like", "sam_vit_b"]
        words += [word for pair in (SHORT.get(name, []) if "unet" in words else []) for word in pair]
        words += ["--render-only"] if name == "report" else []  # all else of it trains for minutes
        words += ["--offline"] if "offline" in has else []
        words += ["--device", self.random.choice(["cpu"] * 19 + ["tpu"])] if "device" in has else []
        return words

    def _option(self, param: Any) -> list[str]:  # noqa: ANN401 - the parser's own
        name = self.random.choice([*param.opts, *param.secondary_opts])
        if param.is_flag:
            return [name]
        times = self.random.choice([1, 1, 1, 2]) if param.multiple else 1
        return [word for _ in range(times) for word in (name, self._value(param))]

    def _value(self, param: Any) -> str:  # noqa: ANN401
        r, name = self.random, param.name
        hostile = r.random() < self.hostility
        if name in FEW:
            return r.choice(FEW[name] if hostile else FEW[name][-1:])
        if name in ("output", "out", "fix", "preview", "contour", "show_prompts", "keep"):
            return r.choice(HOSTILE + [str(self.inputs / p) for p in PATHS]) if hostile else self._output(name)
        kind = "volume" if self.volume else "picture"
        known = _choices(param) or next(
            (SENSIBLE[k] for k in (f"{self.command} {name}", f"{kind} {name}", name) if k in SENSIBLE), []
        )
        if not hostile and known:
            value = r.choice(known)
            return str(self.inputs / value) if (self.inputs / value).exists() else value
        paths = [p for p in PATHS if p != "pipe.png"] if name in WAITING else PATHS
        return r.choice(HOSTILE) if r.random() < 0.5 else str(self.inputs / r.choice(paths))

    def _output(self, name: str) -> str:
        endings = {"preview": (".png",), "contour": (".geojson", ".json"), "show_prompts": (".json",)}.get(
            name, ("", ".gz", ".png")
        )
        return self.random.choice([one for one in OUTPUTS if one.endswith(endings)])


def commands_of(group: Any, before: str = "") -> Iterator[tuple[str, list[Any]]]:  # noqa: ANN401 - the parser's own
    """Every command of the parser with its arguments and options."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", [param for param in command.params if param.name != "help"]


def _choices(param: Any) -> list[str]:  # noqa: ANN401
    """The words that an option takes; how the parser keeps them differs by its version."""
    known = getattr(getattr(param, "type", None), "choices", ())
    annotation = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    return [str(one) for one in (known or get_args(annotation)) if isinstance(one, str)]
