"""The values that everything else shares. Numpy only."""

from promisam.core.example import Example, Labelled, Task
from promisam.core.field import Continuous, Field
from promisam.core.grid import Grid, Unit
from promisam.core.image import Image
from promisam.core.polygon import Polygon
from promisam.core.prompts import PromptKind, Prompts
from promisam.core.scores import Scores, to_segmentation
from promisam.core.segmentation import Segmentation
from promisam.core.segmenter import (
    Encoded,
    Explains,
    Explanation,
    Segmenter,
    answer,
    check_ndim,
    check_prompts,
    class_of,
    encode,
    predict,
)
from promisam.core.window import PRESETS, Levels, Window

__all__ = [
    "PRESETS",
    "Continuous",
    "Encoded",
    "Example",
    "Explains",
    "Explanation",
    "Field",
    "Grid",
    "Image",
    "Labelled",
    "Levels",
    "Polygon",
    "PromptKind",
    "Prompts",
    "Scores",
    "Segmentation",
    "Segmenter",
    "Task",
    "Unit",
    "Window",
    "answer",
    "check_ndim",
    "check_prompts",
    "class_of",
    "encode",
    "predict",
    "to_segmentation",
]
