"""Methods, ready to use or to be trained, from names, files and run folders."""

from promisam.store.backbone import Device, Source, choose_device, load_sam
from promisam.store.kinds import check_names, check_options, find_method, is_few_shot, is_trainable, uses_sam
from promisam.store.loading import for_axes, load
from promisam.store.released import import_released
from promisam.store.trained import checkpoint_of, create, open_trained

__all__ = [
    "Device",
    "Source",
    "check_names",
    "check_options",
    "checkpoint_of",
    "choose_device",
    "create",
    "find_method",
    "for_axes",
    "import_released",
    "is_few_shot",
    "is_trainable",
    "load",
    "load_sam",
    "open_trained",
    "uses_sam",
]
