"""The errors that promisam raises on purpose.

Every message answers three questions: what was given, what was expected, and what to do. The command line prints it in one
line and exits with status 2.
"""

from __future__ import annotations

_LONGEST = 1000  # characters of what was given


class PromisamError(Exception):
    """Root of all deliberate errors.

    Args:
        given: what the caller handed in, with the offending value or path.
        expected: what would have been accepted.
        do: the next step that solves it.
    """

    def __init__(self, given: str, *, expected: str, do: str) -> None:
        """Compose the one-line message from its three parts."""
        given = _shortened(given)
        super().__init__(f"{given}; expected {expected}. {do}")
        self.given = given
        self.expected = expected
        self.do = do

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling, so that worker processes report the same message."""
        return _rebuild, (type(self), self.given, self.expected, self.do)


class GeometryError(PromisamError):
    """A grid that cannot exist, or an array that disagrees with its grid."""


class GridMismatch(GeometryError):
    """Two values that must share a grid do not."""


class InvalidImage(PromisamError):
    """Pixels that no method can work on: empty, non-finite, or of too many axes."""


class InvalidSegmentation(PromisamError):
    """Labels that are not whole, non-negative numbers."""


class InvalidPrompt(PromisamError):
    """A point, box or mask that is malformed or lies off the image."""


class UnsupportedPrompt(PromisamError):
    """A kind of prompt that the method, or its weights, cannot use."""


class InvalidConfig(PromisamError):
    """An option that does not exist or has an impossible value."""


class NotFitted(PromisamError):
    """A method that must learn first, and has not."""


class TrainingStopped(PromisamError):
    """Training that cannot go on: a loss that is not finite, nothing to learn from, or nothing that learns."""


class ProcessDied(PromisamError):
    """A process of ours that the system ended before it had answered."""


class UnreadableFile(PromisamError):
    """A file that is missing, damaged, or not what its name says."""


class UnsupportedFile(UnreadableFile):
    """A file that is sound but of a kind that cannot be used faithfully (4-D, sheared, tilted gantry, missing slices)."""


class UnwritableOutput(PromisamError):
    """A result that cannot be stored where it was asked for."""


class FolderInUse(UnwritableOutput):
    """A folder that another process is at."""


class WeightsError(PromisamError):
    """A weight file that is damaged, foreign, unsafe or unknown."""


class DownloadFailed(WeightsError):
    """Weights that could not be fetched."""


class MissingExtra(PromisamError):
    """A feature whose optional packages are not installed."""


def _shortened(given: str) -> str:
    """Enough of it to be recognised: what was given may be a file's whole content."""
    return given if len(given) <= _LONGEST else f"{given[: _LONGEST - 200]} ... {given[-150:]}"


def _rebuild(kind: type[PromisamError], given: str, expected: str, do: str) -> PromisamError:
    return kind(given, expected=expected, do=do)
