"""Small trained parts that are put into a frozen network and taken out again."""

from promisam.adapters.frequency import FrequencyAdapter, amplitude
from promisam.adapters.low_rank import Adapted, LowRank
from promisam.adapters.volumetric import VolumeAdapter

__all__ = ["Adapted", "FrequencyAdapter", "LowRank", "VolumeAdapter", "amplitude"]
