"""What can happen to a file, as hypothesis strategies: to its bytes, to the fields of its header, to its JSON."""

from __future__ import annotations

import copy
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

EXTREME_BYTES = [
    *(struct.pack(order + code, value) for order in "<>" for code, value in [
        ("h", -1), ("h", 0), ("h", 32767), ("h", -32768), ("i", -1), ("i", 0), ("i", 2**31 - 1),
        ("i", 100_000_000), ("q", 2**63 - 1), ("q", -1), ("q", 10**12), ("f", float("nan")), ("f", float("inf")),
        ("f", -float("inf")), ("f", 0.0), ("f", 3e38), ("f", 1e-45), ("d", float("nan")), ("d", 1e308), ("d", 5e-324),
    ]),
    b"\0" * 16, b"\xff" * 16, b"\0", b"\xff", b"\x7f", b"\x80",
]  # fmt: skip
EXTREME_WORDS = ["nan", "inf", "-inf", "-1", "0", "1e400", "1e-320", "99999999999999999999", "1000000 1000000 1000000",
                 "2147483647 2147483647 2", "-3 4 5", "0 0 0", "", " ", "../../etc/passwd", "LIST", "/dev/zero", "a\0b", "ü",
                 "none",
                 "(nan,nan,nan)", "(0,0,0) (0,0,0) (0,0,0)", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "x" * 5000,
                 "16", "4", "2", "7", "gzip", "raw", "ascii", "bzip2", "True", "MET_FLOAT", "MET_STRING", "MET_ASCII_CHAR",
                 "double", "block", "string", "big", "vector list list list", "100000"]  # fmt: skip
EXTREME_VALUES = [
    None, True, False, 0, -1, 10**30, -(10**400), 1e308, float("nan"), float("inf"), 0.5, "", " ", "NaN", "a\0b",
    "../../../etc/passwd", "/dev/zero", "/dev/null", ".", "\ud800", "ü" * 300, "x" * 5000, "\n", "-o", [], {}, [[]], [None],
    [1, "two", None], {"": {}}, {"at": [1]}, [float("nan")] * 3, [1] * 7, [10**20] * 6, {"a": {"b": []}}, "plain_sam", "1",
]  # fmt: skip

_NIFTI_1 = [(0, "i"), (40, "8h"), (56, "3f"), (68, "h"), (70, "h"), (72, "h"), (76, "8f"), (108, "f"), (112, "f"), (116, "f"),
            (123, "b"), (252, "h"), (254, "h"), (256, "6f"), (280, "12f")]  # fmt: skip
_NIFTI_2 = [(0, "i"), (12, "h"), (14, "h"), (16, "8q"), (104, "8d"), (168, "q"), (176, "d"), (184, "d"), (344, "i"), (348, "i"),
            (352, "6d"), (400, "12d"), (500, "i"), (504, "i")]  # fmt: skip
_NUMBERS: dict[str, list[Any]] = {
    "b": [-1, 0, 127, 3, 1],
    "h": [-1, 0, 1, 2, 3, 4, 7, 8, 16, 32767, -32768, 64, 128, 1007, 2304],
    "i": [-1, 0, 1, 2**31 - 1, -(2**31), 1000, 1007],
    "q": [-1, 0, 1, 2**63 - 1, 10**12, 2**40, 3, 7],
    "f": [float("nan"), float("inf"), -1.0, 0.0, 1e-45, 3e38, -3e38, 0.5, 1e-20, 1e20],
    "d": [float("nan"), float("inf"), -1.0, 0.0, 5e-324, 1e308, -1e308, 0.5, 1e-200, 1e200],
}

Change = Callable[[bytes], bytes]


@st.composite
def _anywhere(draw: st.DrawFn, content: bytes) -> int:
    """A place in a file, mostly in its header."""
    return draw(st.integers(0, max(0, min(len(content), draw(st.sampled_from([64, 400, 1 << 20]))) - 1)))


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """One to three of: a bit turned, bytes cut off, inserted, overwritten, taken out, doubled."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(_anywhere(content))
        what = draw(st.sampled_from(["turn", "cut", "insert", "write", "write", "remove", "double"]))
        if what == "turn" and content:
            content = content[:at] + bytes([content[at] ^ (1 << draw(st.integers(0, 7)))]) + content[at + 1 :]
        elif what == "cut":
            content = content[:at] if draw(st.booleans()) else content[: len(content) - min(at, len(content))]
        elif what == "insert":
            content = content[:at] + draw(st.sampled_from(EXTREME_BYTES)) + content[at:]
        elif what == "write":
            value = draw(st.sampled_from(EXTREME_BYTES))
            content = content[:at] + value + content[at + len(value) :]
        elif what == "remove":
            content = content[:at] + content[at + draw(st.integers(1, 20)) :]
        else:
            content = content[:at] + content
    return content


@st.composite
def damaged_nifti(draw: st.DrawFn, content: bytes) -> bytes:
    """One to three fields of the header with values that they never should have."""
    order = "<" if content[0] in (92, 28) else ">"
    fields = _NIFTI_1 if content[344:347] == b"n+1" else _NIFTI_2
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at, code = draw(st.sampled_from(fields))
        kind, count = code[-1], int(code[:-1] or 1)
        place = at + struct.calcsize(order + kind) * draw(st.integers(0, count - 1))
        struct.pack_into(order + kind, changed, place, draw(st.sampled_from(_NUMBERS[kind])))
    return bytes(changed)


@st.composite
def damaged_lines(draw: st.DrawFn, content: bytes) -> bytes:
    """A header of text (NRRD, MetaImage) with a line changed, lost, doubled or moved."""
    end = content.find(b"\n\n") if content.startswith(b"NRRD") else content.find(b"\n", content.find(b"ElementDataFile"))
    lines, rest = content[:end].split(b"\n"), content[end:]
    for _ in range(draw(st.integers(1, 2))):
        number = draw(st.integers(0, len(lines) - 1))
        what = draw(st.sampled_from(["value", "value", "value", "word", "lose", "double"]))
        name, mark, old = lines[number].partition(b"=" if b"=" in lines[number] else b":")
        new = draw(st.sampled_from(EXTREME_WORDS)).encode()
        if what == "value":
            lines[number] = name + mark + b" " + new
        elif what == "word":
            words = old.split() or [b""]
            words[draw(st.integers(0, len(words) - 1))] = new
            lines[number] = name + mark + b" " + b" ".join(words)
        elif what == "lose" and len(lines) > 1:
            del lines[number]
        else:
            lines.insert(number, lines[number])
    return b"\n".join(lines) + rest


@st.composite
def damaged_png(draw: st.DrawFn, content: bytes) -> bytes:
    """Other sizes and kinds in the header of a PNG, its checksum made right."""
    at = draw(st.integers(0, 12))
    value = draw(st.sampled_from(EXTREME_BYTES))[: 13 - at]
    head = bytearray(content[16:29])
    head[at : at + len(value)] = value
    return content[:16] + bytes(head) + struct.pack(">I", zlib.crc32(b"IHDR" + bytes(head))) + content[33:]


DICOM_VALUES: dict[str, list[object]] = {
    "Rows": [0, 1, 65535, 3, None],
    "Columns": [0, 1, 65535, 3, None],
    "BitsAllocated": [0, 1, 8, 64, 12, 65535, None],
    "BitsStored": [0, 1, 99, None],
    "HighBit": [0, 65535],
    "SamplesPerPixel": [0, 3, 65535, None],
    "PixelRepresentation": [2, 65535, None],
    "PhotometricInterpretation": ["", "RGB", "PALETTE COLOR", "MONOCHROME1", "YBR_FULL", "nonsense", None],
    "PlanarConfiguration": [0, 1, 9],
    "NumberOfFrames": ["0", "-1", "999999999", "nan", ""],
    "PixelSpacing": [["0", "0"], ["-1", "1"], ["nan", "1"], ["1e400", "1"], ["1"], ["1e-320", "1e-320"], None],
    "ImagePositionPatient": [["nan", "0", "0"], ["0", "0"], ["inf", "0", "0"], ["1e300", "0", "0"], ["a", "b", "c"], None],
    "ImageOrientationPatient": [["0"] * 6, ["nan"] * 6, ["1", "0"], ["1", "0", "0", "1", "0", "0"], ["1e300"] * 6, None],
    "RescaleSlope": ["0", "nan", "inf", "1e308", "-1", "abc", "", "0.5", "9" * 15, None],
    "RescaleIntercept": ["nan", "-inf", "1e308", "abc", "9" * 15, None],
    "PixelData": [b"", b"\0", b"\0" * 7, None],
    "SOPClassUID": ["", "nonsense", "1.2.840.10008.5.1.4.1.1.66.4", None],
    "SeriesInstanceUID": ["", "other", None],
    "SpecificCharacterSet": ["", "nonsense", "ISO 2022 IR 87"],
    "PatientName": ["a" * 3000, "ü\\^="],
}


@st.composite
def damaged_json(draw: st.DrawFn, value: object) -> object:
    """One to three values of a tree replaced, keys lost or added, lists doubled."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        value = draw(_one_damage(value))
    return value


@st.composite
def _one_damage(draw: st.DrawFn, value: Any) -> object:
    deeper = isinstance(value, dict | list) and value and draw(st.integers(0, 4))
    if not deeper:
        return draw(st.sampled_from(EXTREME_VALUES))
    if isinstance(value, dict):
        key = draw(st.sampled_from(sorted(value)))
        what = draw(st.sampled_from(["deeper"] * 6 + ["lose", "add"]))
        if what == "lose":
            return {k: v for k, v in value.items() if k != key}
        if what == "add":
            return {**value, draw(st.sampled_from(["", "label", "x", "ndim"])): draw(st.sampled_from(EXTREME_VALUES))}
        return {**value, key: draw(_one_damage(value[key]))}
    at = draw(st.integers(0, len(value) - 1))
    if not draw(st.integers(0, 5)):
        return value + [value[at]] * draw(st.sampled_from([1, 3000]))
    return [*value[:at], draw(_one_damage(value[at])), *value[at + 1 :]]


@st.composite
def damaged_safetensors(draw: st.DrawFn, content: bytes) -> bytes:
    """Another header of JSON, its length made right: shapes and places of tensors, or what the method says of itself."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    if "__metadata__" in header and draw(st.booleans()):
        told = draw(damaged_json(json.loads(header["__metadata__"]["promisam"])))
        header["__metadata__"]["promisam"] = json.dumps(told)
    else:
        header = draw(damaged_json(header))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]
