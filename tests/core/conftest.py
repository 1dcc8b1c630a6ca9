"""Values as a user meets them: without the type checks that stand in front of our own refusals in tests."""

from __future__ import annotations

import jaxtyping
import pytest


@pytest.fixture
def unchecked(monkeypatch):
    """Shapes and types in annotations are not looked at, as in a user's program."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
