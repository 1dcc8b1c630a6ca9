"""Files to values and back. No torch; the packages that decode files are imported when a file of their kind is."""

from promisam.io.atomic import atomic_path, atomic_text
from promisam.io.coordinates import to_xyz, to_zyx
from promisam.io.dataset import CheckReport, Finding, check
from promisam.io.description import Description, describe
from promisam.io.preview import render, write_preview, write_rendered
from promisam.io.prompt_file import NamedPrompts, read_prompts, write_prompts
from promisam.io.reading import read, read_segmentation
from promisam.io.writing import check_writable, mask_coding, write

__all__ = [
    "CheckReport",
    "Description",
    "Finding",
    "NamedPrompts",
    "atomic_path",
    "atomic_text",
    "check",
    "check_writable",
    "describe",
    "mask_coding",
    "read",
    "read_prompts",
    "read_segmentation",
    "render",
    "to_xyz",
    "to_zyx",
    "write",
    "write_preview",
    "write_prompts",
    "write_rendered",
]
