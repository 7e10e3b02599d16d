"""What the tests of streams share."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Describe: TypeAlias = Callable[[Path], tuple[dict[str, Any], Any, Any]]


@pytest.fixture(scope="session")
def describe(interop: Path) -> Describe:
    """Reads a file of either format by its byte offsets, independent of any library.

    Of ImageStreamIO's: fields, pixels, history slots. Of DAO's: fields, pixels of all slots, None.
    """
    spec = importlib.util.spec_from_file_location("describe", interop / "describe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def describe(path: Path) -> tuple[dict[str, Any], Any, Any]:
        with path.open("rb") as file:
            read = module.isio if file.read(4) == b"2.00" else module.dao
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves closing its file to Python
            fields, pixels, ring = read(str(path))
        return fields, pixels, ring

    return describe


@pytest.fixture(scope="session")
def dao_flood(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A compiled C program that writes DAO frames as fast as it can; see its source."""
    source = Path(__file__).resolve().parents[1] / "support" / "dao_flood.c"
    program = tmp_path_factory.mktemp("native") / "dao_flood"
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        pytest.skip(f"no C compiler {compiler!r}: install gcc, or set CC")
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    subprocess.run([compiler, *flags, "-o", str(program), str(source)], check=True)
    return str(program)
