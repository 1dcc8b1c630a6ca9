"""I-MedSAM: implicit segmentation on an adapted SAM (Wei et al. 2024, arXiv 2311.17081)."""

from promisam.methods.imedsam.config import Config
from promisam.methods.imedsam.method import IMedSam

__all__ = ["Config", "IMedSam"]
