"""SAM-MPA: a few labels to masks for a whole data set, without training."""

from promisam.methods.sam_mpa.config import Config
from promisam.methods.sam_mpa.method import SamMPA

__all__ = ["Config", "SamMPA"]
