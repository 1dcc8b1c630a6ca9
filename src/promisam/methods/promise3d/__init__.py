"""ProMISe-3D: one click, one object, in a volume (Li et al. 2023, arXiv 2310.19721)."""

from promisam.methods.promise3d.config import Config
from promisam.methods.promise3d.method import Promise3d

__all__ = ["Config", "Promise3d"]
