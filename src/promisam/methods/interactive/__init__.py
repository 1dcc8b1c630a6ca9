"""SAM's prompt encoder and mask decoder, taught clicks by a simulated user."""

from promisam.methods.interactive.config import Config
from promisam.methods.interactive.method import Interactive

__all__ = ["Config", "Interactive"]
