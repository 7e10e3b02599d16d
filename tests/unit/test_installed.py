"""Units that packages bring: listed, found by a short name, and told about when they are broken."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from framebus.errors import NotFoundError, UsageError
from framebus.unit import FunctionUnit, Unit, load_unit
from framebus.unit.load import BUILT_IN, InstalledUnit, installed_units


def install(folder: Path, name: str, entries: dict[str, str]) -> None:
    """A distribution as pip leaves it, with entry points for units."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{unit} = {use}\n" for unit, use in entries.items())
    (info / "entry_points.txt").write_text(f"[framebus.units]\n{lines}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_package.py").write_text(
        "from framebus.unit import In, Out, unit\n\n@unit\ndef invert(image: In, result: Out): ...\n\nnumber = 7\n"
    )
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    monkeypatch.delitem(sys.modules, "my_package", raising=False)
    importlib.invalidate_caches()
    return tmp_path


def plug_ins() -> list[InstalledUnit]:
    return [unit for unit in installed_units() if unit.distribution != "framebus"]


def test_what_comes_with_framebus() -> None:
    own = [unit for unit in installed_units() if unit.distribution == "framebus"]
    assert [unit.use for unit in own] == list(BUILT_IN)
    for unit in own:
        assert unit.name in unit.use
        loaded = load_unit(unit.use)
        assert isinstance(loaded, FunctionUnit) or issubclass(loaded, Unit)
    # The list is written by hand, so that showing it imports nothing.
    for package in ("framebus.ao", "framebus.sim"):
        made = vars(importlib.import_module(package))
        units = {
            name
            for name, value in made.items()
            if isinstance(value, FunctionUnit) or (isinstance(value, type) and issubclass(value, Unit))
        }
        assert units == {unit.name for unit in own if unit.use.startswith(f"{package}:")}


def test_plug_in_is_found_by_its_name(site: Path) -> None:
    install(site, "my-package", {"my_inverter": "my_package:invert"})
    assert plug_ins() == [InstalledUnit("my_inverter", "my_package:invert", "my-package")]
    assert load_unit("my_inverter") is load_unit("my_package:invert")


def test_broken_plug_ins_are_listed(site: Path) -> None:
    broken = {
        "a": "absent:unit",
        "b": "my_package:absent",
        "c": "my_package:number",
        "d": "exits:unit",
        "e": "nowhere",
    }
    install(site, "broken", {**broken, "good": "my_package:invert"})
    errors = {unit.name: unit.error for unit in plug_ins()}
    assert "there is no module 'absent'" in errors["a"]
    assert "my_package has no 'absent'; it has the units invert" in errors["b"]
    assert "is 7, no unit" in errors["c"]
    assert errors["d"] == "'exits:unit': module 'exits' failed on import: SystemExit: 3"
    assert "'nowhere' names no unit: expected 'package.module:function'" in errors["e"]
    assert errors["good"] == ""
    with pytest.raises(NotFoundError, match="there is no module 'absent'"):
        load_unit("a")
    with pytest.raises(UsageError, match="failed on import: SystemExit: 3"):
        load_unit(str(site / "exits.py:unit"))
    with pytest.raises(
        UsageError, match=r"plug-in 'e' is said to be 'nowhere', .* e = \"package\.module:function\""
    ):
        load_unit("e")


def test_name_that_is_not_there_or_not_one(site: Path) -> None:
    with pytest.raises(NotFoundError, match=r"'my_unit' names no unit: .* plug-in \(there is none\)"):
        load_unit("my_unit")
    install(site, "first", {"invert": "my_package:invert"})
    install(site, "second", {"invert": "other:invert"})
    with pytest.raises(NotFoundError, match=r"installed plug-in \(invert\)"):
        load_unit("my_unit")
    with pytest.raises(
        UsageError, match="offered by several plug-ins; name the one meant: my_package:invert, other:invert"
    ):
        load_unit("invert")


def test_listing_is_light() -> None:
    program = """
import sys
from framebus.unit.load import installed_units
installed_units()
print([name for name in ("numba", "scipy", "framebus.ao") if name in sys.modules])
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
