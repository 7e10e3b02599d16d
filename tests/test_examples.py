"""The tutorials' code runs, and what the README shows is one of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.processes import Spawner

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "name",
    [
        *("dao_script", "first_unit", "lifecycle", "loops", "pipelines", "pymilk_script", "streams"),
        *("simulator/telescope", "units"),
    ],
)
def test_tutorial_runs(name: str, spawn: Spawner) -> None:
    process = spawn(command=[sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")])
    assert process.wait(timeout_s=280.0) == 0, process.errors
    assert process.lines


def test_readme_shows_the_first_unit() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = readme.split("```python\n")[1].split("```")[0]
    example = (ROOT / "examples" / "first_unit.py").read_text()
    assert example.endswith(shown), "README.md and examples/first_unit.py differ"
