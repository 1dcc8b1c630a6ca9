"""Files to values and back. No torch; the packages that decode files are imported when a file of their kind is."""

from promisam.io.atomic import atomic_path, atomic_text
from promisam.io.contour_file import Outlined, check_contour_name, write_contours
from promisam.io.coordinates import to_xyz, to_zyx
from promisam.io.copying import Fix, FixReport, fix
from promisam.io.dataset import CheckReport, check
from promisam.io.description import Description, describe
from promisam.io.examples import ExampleSet, open_examples
from promisam.io.findings import Finding
from promisam.io.inputs import Input, find_inputs, folders_of
from promisam.io.layouts import Case, Dataset, find_cases
from promisam.io.preview import render, write_preview, write_rendered
from promisam.io.prompt_file import NamedPrompts, aimed, read_prompts, write_prompts
from promisam.io.reading import read, read_segmentation
from promisam.io.split import Split, split_cases
from promisam.io.writing import check_writable, mask_coding, mask_suffix, mask_suffixes, write

__all__ = [
    "Case",
    "CheckReport",
    "Dataset",
    "Description",
    "ExampleSet",
    "Finding",
    "Fix",
    "FixReport",
    "Input",
    "NamedPrompts",
    "Outlined",
    "Split",
    "aimed",
    "atomic_path",
    "atomic_text",
    "check",
    "check_contour_name",
    "check_writable",
    "describe",
    "find_cases",
    "find_inputs",
    "fix",
    "folders_of",
    "mask_coding",
    "mask_suffix",
    "mask_suffixes",
    "open_examples",
    "read",
    "read_prompts",
    "read_segmentation",
    "render",
    "split_cases",
    "to_xyz",
    "to_zyx",
    "write",
    "write_contours",
    "write_preview",
    "write_prompts",
    "write_rendered",
]
