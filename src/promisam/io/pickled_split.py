"""The `split.pkl` of published data sets, read without running it.

A pickle is a program, and `pickle.load` runs it. Here its instructions are listed (`pickletools`), and only those are followed
that build lists, dicts, tuples, text, whole numbers and None, in every protocol. A file with any other is refused.
"""

from __future__ import annotations

import pickletools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from promisam.core.errors import InvalidConfig, UnreadableFile, UnsupportedFile

PICKLED = (".pkl", ".pickle")
_PARTS = ("train", "val", "test")
_FORM = "a list of folds, each {train, val, test} of {case: [image, mask]}"
_MOST_BYTES = 1 << 24  # the published ones have some 50 kB


@dataclass(frozen=True)
class ListedCase:
    """A case as a split names it.

    Attributes:
        name: of the case, unique in its fold.
        image: path of its image below the data's folder.
        mask: path of its mask, likewise.
    """

    name: str
    image: PurePosixPath
    mask: PurePosixPath


@dataclass(frozen=True)
class Fold:
    """One division of the cases, each part in the order of the file.

    Attributes:
        train: to learn from.
        val: to choose by.
        test: to report on.
    """

    train: tuple[ListedCase, ...]
    val: tuple[ListedCase, ...]
    test: tuple[ListedCase, ...]

    @property
    def parts(self) -> dict[str, tuple[ListedCase, ...]]:
        """The parts by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


def read_fold(path: str | Path, number: int = 0) -> Fold:
    """One fold of the file; the first is the one that published results were reached on.

    Raises:
        UnreadableFile, UnsupportedFile: as `read_folds`.
        InvalidConfig: for a fold that the file does not have.
    """
    folds = read_folds(path)
    if not 0 <= number < len(folds):
        raise InvalidConfig(f"fold {number} of {path}", expected=f"0 to {len(folds) - 1}", do="Choose another.")
    return folds[number]


def read_folds(path: str | Path) -> tuple[Fold, ...]:
    """The folds of the file; nothing in it is executed.

    Source: the layout of MedICL-VU/ProMISe's and med-air/3DSAM-adapter's split.pkl, a list of five folds.

    Raises:
        UnreadableFile: when it is missing, too large, cut short, no pickle, or of another form.
        UnsupportedFile: for instructions that could run code, by name.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    if len(data) > _MOST_BYTES:
        raise _refused(path, f"more than {_MOST_BYTES >> 20} MB")
    try:
        return _folds(_value(data))
    except _Unsafe as error:
        raise UnsupportedFile(
            f"{path}, whose instruction {error} could run code",
            expected=f"a pickle of plain values: {_FORM}",
            do="Take the file from its authors' repository, or write the split as JSON.",
        ) from None
    except (IndexError, KeyError, TypeError) as error:  # of a stack, a memo, a dict's key
        raise _refused(path, "a pickle whose instructions do not fit together") from error
    except ValueError as error:
        raise _refused(path, str(error)) from error


class _Unsafe(Exception):
    """An instruction beyond the plain ones."""


@dataclass
class _Machine:
    """What a pickle builds its value on: a stack, stacks below marks, and a memo."""

    stack: list[Any] = field(default_factory=list)
    below: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def take(self, count: int) -> list[Any]:
        """The uppermost values, in order."""
        if len(self.stack) < count:
            raise ValueError("a value that is not there")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def above_mark(self) -> list[Any]:
        """All values since the last mark, which goes."""
        if not self.below:
            raise ValueError("a mark that is not there")
        taken, self.stack = self.stack, self.below.pop()
        return taken

    def close(self, make: Callable[[list[Any]], Any]) -> None:
        """Put what is made of the values since the last mark in their place."""
        made = make(self.above_mark())
        self.stack.append(made)

    def top(self, kind: type) -> Any:  # noqa: ANN401 - of that kind
        """The uppermost value, which stays; it must be of that kind."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise ValueError(f"no {kind.__name__} where one is filled")
        return self.stack[-1]


def _value(data: bytes) -> Any:  # noqa: ANN401 - whatever stands there
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "STOP":
            break
        if opcode.name not in _STEPS:
            raise _Unsafe(opcode.name)
        _STEPS[opcode.name](machine, argument)
    (value,) = machine.take(1)
    return value


def _mark(machine: _Machine, _: Any) -> None:  # noqa: ANN401
    machine.below.append(machine.stack)
    machine.stack = []


def _fill_list(machine: _Machine, values: list[Any]) -> None:
    machine.top(list).extend(values)


def _fill_dict(machine: _Machine, values: list[Any]) -> None:
    machine.top(dict).update(_paired(values))


def _paired(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(values[::2], values[1::2], strict=True))


def _keep(machine: _Machine, place: int) -> None:
    machine.memo[place] = machine.stack[-1]


_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda _machine, _argument: None),
    **dict.fromkeys(
        (
            *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "SHORT_BINSTRING", "BINSTRING"),
            *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "NONE"),
        ),
        lambda machine, argument: machine.stack.append(argument),
    ),
    "MARK": _mark,
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "LIST": lambda machine, _: machine.close(list),
    "DICT": lambda machine, _: machine.close(_paired),
    "TUPLE": lambda machine, _: machine.close(tuple),
    "TUPLE1": lambda machine, _: machine.stack.append(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.stack.append(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.stack.append(tuple(machine.take(3))),
    "APPEND": lambda machine, _: _fill_list(machine, machine.take(1)),
    "APPENDS": lambda machine, _: _fill_list(machine, machine.above_mark()),
    "SETITEM": lambda machine, _: _fill_dict(machine, machine.take(2)),
    "SETITEMS": lambda machine, _: _fill_dict(machine, machine.above_mark()),
    "MEMOIZE": lambda machine, _: _keep(machine, len(machine.memo)),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _keep),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, argument: machine.stack.append(machine.memo[argument])),
}


def _folds(value: Any) -> tuple[Fold, ...]:  # noqa: ANN401 - as it stands in the file
    if not isinstance(value, list) or not value:
        raise ValueError("no list of folds")
    return tuple(_fold(number, one) for number, one in enumerate(value))


def _fold(number: int, value: Any) -> Fold:  # noqa: ANN401 - as it stands in the file
    if not isinstance(value, dict) or set(value) != set(_PARTS):
        raise ValueError(f"fold {number} without exactly the parts {', '.join(_PARTS)}")
    train, val, test = (_part(number, part, value[part]) for part in _PARTS)
    twice = [name for name, count in Counter(one.name for one in (*train, *val, *test)).items() if count > 1]
    if twice:
        raise ValueError(f"fold {number} with the case {twice[0]} in more than one part")
    return Fold(train, val, test)


def _part(number: int, part: str, value: Any) -> tuple[ListedCase, ...]:  # noqa: ANN401 - as it stands in the file
    if not isinstance(value, dict):
        raise ValueError(f"{part} of fold {number}, which is no dict of cases")
    cases = []
    for name, paths in value.items():
        texts = isinstance(paths, list | tuple) and len(paths) == 2 and all(isinstance(one, str) for one in paths)
        if not isinstance(name, str) or not texts:
            raise ValueError(f"{part} of fold {number}, where {name!r:.80} has no paths of an image and a mask")
        cases.append(ListedCase(name, _below(paths[0]), _below(paths[1])))
    return tuple(cases)


def _below(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if not text or "\0" in text or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"the path {text!r:.80}, which does not lie below the data's folder")
    return path


def _refused(path: str | Path, reason: str) -> UnreadableFile:
    return UnreadableFile(f"{path} ({reason}) as a pickled split", expected=_FORM, do="Correct the file, or fetch it again.")
