"""Files of tensors that appear whole or not at all, whatever the library that writes them says when the disk refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors

from promisam.core.errors import UnwritableOutput
from promisam.io.atomic import atomic_path


@contextmanager
def tensor_file(path: Path) -> Iterator[Path]:
    """As `atomic_path`, for the writers of safetensors and PyTorch: theirs are errors of their own for a full disk.

    The file can be read by others as any other file can; safetensors makes files for one's own eyes.

    Raises:
        UnwritableOutput: when the operating system refuses; an older file is then left as it was.
    """
    with atomic_path(path) as partial:
        partial.touch()
        mode = partial.stat().st_mode
        try:
            yield partial
        except (safetensors.SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0][:160]
            raise UnwritableOutput(
                f"the output {path} ({reason})",
                expected="a path that can be written, with space left",
                do="Free some space or choose another folder.",
            ) from error
        partial.chmod(mode)
