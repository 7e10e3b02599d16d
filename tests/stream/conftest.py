"""What the tests of streams share."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Describe: TypeAlias = Callable[[Path], tuple[dict[str, Any], Any, Any]]


@pytest.fixture(scope="session")
def describe(interop: Path) -> Describe:
    """Reads an ImageStreamIO file by its byte offsets, independent of any library: fields, pixels, history slots."""
    spec = importlib.util.spec_from_file_location("describe", interop / "describe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def isio(path: Path) -> tuple[dict[str, Any], Any, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves closing its file to Python
            fields, pixels, ring = module.isio(str(path))
        return fields, pixels, ring

    return isio
