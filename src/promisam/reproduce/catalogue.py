"""The published experiments that can be run again."""

from __future__ import annotations

from difflib import get_close_matches

from promisam.core.errors import InvalidConfig
from promisam.reproduce.imedsam import AMOS, BCV, CVC_CLINICDB, KVASIR_SESSILE
from promisam.reproduce.promise2d import ISIC2018, POLYPS
from promisam.reproduce.promise3d import MSD_COLON, MSD_PANCREAS
from promisam.reproduce.sam_mpa import BUSI, CHEST_XRAY
from promisam.reproduce.values import AnyStudy

STUDIES: tuple[AnyStudy, ...] = (
    POLYPS,
    ISIC2018,
    BUSI,
    CHEST_XRAY,
    KVASIR_SESSILE,
    CVC_CLINICDB,
    BCV,
    AMOS,
    MSD_COLON,
    MSD_PANCREAS,
)


def study(method: str, name: str) -> AnyStudy:
    """The experiment of that method and name.

    Raises:
        InvalidConfig: when there is none.
    """
    known = {f"{one.method} {one.name}": one for one in STUDIES}
    wanted = f"{method} {name}"
    if wanted not in known:
        near = get_close_matches(wanted, known, n=1, cutoff=0)
        raise InvalidConfig(f"the experiment {wanted}", expected=f"one of {', '.join(known)}", do=f"Did you mean {near[0]}?")
    return known[wanted]
