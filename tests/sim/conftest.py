"""What the tests of the simulator share."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from support.frames import Frames


@pytest.fixture(scope="session")
def hcipy() -> Any:
    """HCIPy, whose sensors are a reference for ours; the test is skipped where it cannot be imported."""
    with warnings.catch_warnings(action="ignore"):
        try:
            # Of the session, for the library starts threads that no test is to be blamed for.
            return importlib.import_module("hcipy")
        except ImportError as error:
            pytest.skip(f"HCIPy cannot be imported: {error}; pip install --group test")


@pytest.fixture
def frames() -> Callable[..., Frames]:
    return Frames
