"""``framebus units``: what comes with framebus, and what other packages offer."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from framebus.unit.load import BUILT_IN
from support.commands import answer, output


@pytest.fixture
def plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory where packages seem to be installed: one with a good unit and three broken ones."""
    packages = tmp_path / "installed"
    (packages / "blur-1.0.dist-info").mkdir(parents=True)
    (packages / "blur-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: blur\nVersion: 1.0\n"
    )
    (packages / "blur-1.0.dist-info" / "entry_points.txt").write_text(
        "[framebus.units]\nblur = blur_units:blur\nbad = blur_nowhere:bad\n"
        "less = blur_units:nothing\nexits = blur_exits:x\n"
    )
    (packages / "blur_exits.py").write_text("raise SystemExit('no device')\n")
    (packages / "blur_units.py").write_text(
        "from framebus.unit import In, Out, unit\n\n\n"
        "@unit\ndef blur(image: In, result: Out) -> None:\n"
        '    """Result = image,\n    of two lines.\n\n    And more.\n    """\n'
    )
    monkeypatch.syspath_prepend(packages)
    importlib.invalidate_caches()
    return packages


def test_the_units_of_framebus_are_listed_with_what_they_do() -> None:
    found = {unit["use"]: unit for unit in answer("units", "framebus.*")}
    assert set(found) == set(BUILT_IN)
    assert all(unit["help"] and not unit["error"] for unit in found.values())
    assert found["framebus.ao:leaky_integrator"] == {
        "name": "leaky_integrator",
        "use": "framebus.ao:leaky_integrator",
        "package": "framebus",
        "help": "Command = leak * command - gain * error.",
        "error": "",
    }


def test_a_plug_in_is_listed(plug_ins: Path) -> None:
    [unit] = answer("units", "blur")
    assert (unit["use"], unit["package"]) == ("blur_units:blur", "blur")
    assert unit["help"] == "Result = image, of two lines."
    assert "blur_units:blur  blur  blur  Result = image, of two lines." in output("units", "blur")


def test_a_broken_plug_in_is_listed_with_its_error(plug_ins: Path) -> None:
    found = {unit["name"]: unit for unit in answer("units", "bad", "less", "exits")}
    assert "there is no module 'blur_nowhere'" in found["bad"]["error"]
    assert "blur_units has no 'nothing'; it has the units blur" in found["less"]["error"]
    assert "no device" in found["exits"]["error"]
    assert all(unit["help"] == "" for unit in found.values())
    assert "there is no module 'blur_nowhere'" in output("units", "bad")


def test_patterns_are_of_names_and_of_places() -> None:
    assert [unit["name"] for unit in answer("units", "leaky*")] == ["leaky_integrator"]
    assert all(unit["use"].startswith("framebus.sim:") for unit in answer("units", "framebus.sim:*"))


def test_nothing_that_matches_is_no_error() -> None:
    assert output("units", "nope*") == "no installed unit matches nope*; 'framebus units' lists them all\n"
    assert answer("units", "nope*") == []


def test_the_list_tells_how_to_go_on() -> None:
    assert "'framebus run UNIT --help' tells what a unit needs" in output("units")
