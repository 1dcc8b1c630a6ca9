"""A plain U-Net that learns from labels alone and answers images without prompts: the baseline beside every number.

Ronneberger et al. 2015 (U-Net), with residual units (Zhang et al. 2018) as in MONAI, and the working habits of nnU-Net (Isensee
et al. 2021) where they matter on small data: z-scored images, one spacing, patches around the foreground, a sliding window.
"""

from promisam.methods.unet.config import Config
from promisam.methods.unet.method import UNet
from promisam.methods.unet.prepared import Prepared

__all__ = ["Config", "Prepared", "UNet"]
