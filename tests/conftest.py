"""What all tests share: the real data beside the project and the released weights."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

IN_CI = os.environ.get("CI") == "true"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell that runs the tests in its background ignores Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def absent(reason: str) -> None:
    """Skip with the reason; in CI, where nothing may be missing, fail."""
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real images and recorded values that stands beside the project."""
    folder = Path(os.environ.get("PROMISAM_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        absent("the folder shared/ with real data does not stand beside the project")
    return folder


@pytest.fixture(scope="session")
def litemedsam() -> Path:
    """The released LiteMedSAM weights, fetched once."""
    from promisam.core.errors import DownloadFailed
    from promisam.zoo.cache import Cache
    from promisam.zoo.fetch import get

    try:
        return get("litemedsam", Cache.default())
    except DownloadFailed as error:
        absent(str(error))
        raise
