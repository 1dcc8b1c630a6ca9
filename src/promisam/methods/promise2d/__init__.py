"""ProMISe-2D: auto-prompting and pattern shifting on a frozen SAM (Wang et al. 2024, arXiv 2403.04164)."""

from promisam.methods.promise2d.config import Config
from promisam.methods.promise2d.method import ProMISe2D

__all__ = ["Config", "ProMISe2D"]
