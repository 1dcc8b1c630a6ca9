"""What can be exported, and how the files are called."""

from __future__ import annotations

from pathlib import Path

from promisam import store
from promisam.core.errors import UnwritableOutput, WeightsError
from promisam.training.checkpoint import read_header

EXPORTED = ("plain_sam", "interactive", "unet")
SUFFIX = ".onnx"
PARTS = ("encoder", "decoder")


def is_exported(name: str | Path) -> bool:
    """Whether a name is that of an export, by its suffix."""
    return Path(name).suffix.lower() == SUFFIX


def stem_of(name: str | Path) -> Path:
    """What the files of an export have in common: NAME of NAME.onnx, NAME.encoder.onnx and NAME.decoder.onnx."""
    path = Path(name)
    short = path.with_suffix("")
    return short.with_suffix("") if short.suffix[1:] in PARTS else short


def parts_of(name: str | Path) -> dict[str, Path]:
    """The two files of a SAM, by their part."""
    stem = stem_of(name)
    return {part: stem.with_name(f"{stem.name}.{part}{SUFFIX}") for part in PARTS}


def network_of(name: str | Path) -> Path:
    """The one file of a method without a SAM."""
    stem = stem_of(name)
    return stem.with_name(f"{stem.name}{SUFFIX}")


def check_name(path: Path) -> None:
    """Refuse an output that is not called as an ONNX file.

    Raises:
        UnwritableOutput: then.
    """
    if not is_exported(path) or not stem_of(path).name:
        raise UnwritableOutput(
            f"the output {path}", expected=f"a name that ends in {SUFFIX}", do=f"Write, for example, -o {path}{SUFFIX}."
        )


def checkpoint(source: str | Path) -> Path | None:
    """The checkpoint of a run; None for weights of a SAM.

    Raises:
        WeightsError: for a folder that is no run.
    """
    found = store.checkpoint_of(source)
    if found is None or Path(source).is_dir():
        return found
    try:
        read_header(found)
    except WeightsError:
        return None
    return found
