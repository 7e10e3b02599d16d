"""``framebus params`` and its commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framebus.errors import UsageError
from framebus.params import Params, ParamSpec
from framebus.params.listing import set_names
from support.commands import answer, call, error, output
from support.processes import Spawner


@pytest.fixture
def loop() -> Params:
    """A set with everything that the table can show."""
    loop = Params.create(
        "loop",
        [
            ParamSpec("gain", 0.3, minimum=0.0, maximum=1.0, unit="1/s", description="of the loop"),
            ParamSpec("modes", 100, live=False, minimum=1),
            ParamSpec("note", "x", saved=False),
            ParamSpec("state", 0, status=True, maximum=5),
            ParamSpec("period_us", 500, restart=True),
        ],
    )
    loop.gain = 0.5
    loop.set_findings({"gain": "the loop may ring"})
    return loop


def test_the_table_tells_all(loop: Params) -> None:
    lines = output("params").splitlines()
    assert lines[0] == "loop: no unit runs with it"
    assert lines[1].split() == ["NAME", "VALUE", "TYPE", "UNIT", "LIMITS", "FLAGS", "CHANGES", "DESCRIPTION"]
    assert lines[2].split(maxsplit=6) == ["loop.gain", "0.5", "float64", "1/s", "0..1", "1", "of the loop"]
    assert [line.split() for line in lines[3:7]] == [
        ["loop.modes", "100", "int64", ">=", "1", "fixed", "0"],
        ["loop.note", "x", "string", "unsaved", "0"],
        ["loop.state", "0", "int64", "<=", "5", "status", "0"],
        ["loop.period_us", "500", "int64", "restart", "0"],
    ]
    assert lines[7:] == ["loop.gain: the loop may ring"]
    loop.claim()
    assert output("params", "loop.note").splitlines() == [
        f"loop: process {os.getpid()} ({Path('/proc/self/comm').read_text().strip()}) runs with it",
        "NAME       VALUE  TYPE    FLAGS    CHANGES",
        "loop.note      x  string  unsaved        0",
    ]
    loop.release()


def test_which_sets_are_shown(loop: Params, shm_dir: Path) -> None:
    Params.create("save", {"x": 1})
    Params.create("empty", {})
    (shm_dir / "junk.params.fb").write_bytes(b"x" * 500)
    lines = output("params").splitlines()
    assert "junk: magic: not a parameter set of framebus" in lines
    assert "empty: no unit runs with it" in lines
    assert [found["name"] for found in answer("params")] == ["empty", "junk", "loop", "save"]
    assert [found["name"] for found in answer("params", "list", "save")] == ["save"]
    (found,) = answer("params", "loop.gain", "loop.n*")
    assert list(found["entries"]) == ["gain", "note"]
    assert found["entries"]["gain"]["finding"] == "the loop may ring"
    assert found["user_pid"] == 0
    assert output("params", "x*") == "no parameter matches x*\n"
    assert "did you mean 'loop'" in error(3, "params", "lop")
    assert "magic: not a parameter set" in error(4, "params", "junk")


def test_nothing_there(shm_dir: Path) -> None:
    assert output("params") == f"no parameter sets in {shm_dir}\n"
    assert answer("params") == []


def test_help_lists_the_commands() -> None:
    for arguments in (["--help"], ["--debug", "-h"]):
        printed = call("params", *arguments).stdout
        assert "[SET...] | COMMAND" in printed
        assert "diff  Show what a file would change." in printed
    assert "Show parameter sets: each entry's value" in call("params", "list", "--help").stdout


def test_save_load_and_diff(loop: Params, tmp_path: Path) -> None:
    cam = Params.create("cam", {"exposure_us": 100})
    file = str(tmp_path / "night.toml")
    assert output("params", "save", file) == f"{file}: 2 parameter sets saved\n"
    assert Path(file).read_text() == "[cam]\n\n[loop]\ngain = 0.5\n"
    assert output("params", "diff", file) == f"{file}: would change nothing\n"
    assert "night.toml exists; choose another name, or add --overwrite" in error(2, "params", "save", file)
    assert output("params", "save", "--all", file, "cam", "--overwrite") == f"{file}: 1 parameter set saved\n"
    assert Path(file).read_text() == "[cam]\nexposure_us = 100\n"
    cam.exposure_us = 7
    assert output("params", "diff", file).splitlines()[1].split() == ["cam.exposure_us", "7", "100"]
    assert answer("params", "diff", file) == [
        {"name": "cam.exposure_us", "now": 7, "in_file": 100, "problem": ""}
    ]
    assert output("params", "load", file) == f"{file}: 1 parameter set loaded\n"
    assert cam.exposure_us == 100


def test_what_a_file_cannot_change(loop: Params, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('[loop]\ngain = 7\nlaek = 0.9\nnote = "y"\nmodes = 100\n[dm]\nstroke = 1\nzero = 2\n')
    lines = output("params", "diff", str(file)).splitlines()
    assert [line.split() for line in lines[1:6]] == [
        ["loop.gain", "0.5", "7"],
        ["loop.laek", "-", "0.9"],
        ["loop.note", "x", "y"],
        ["dm.stroke", "-", "1"],
        ["dm.zero", "-", "2"],
    ]
    assert lines[6].startswith("loop.gain = 7 is outside its limits [0, 1]")
    assert lines[7].startswith("loop: no entry 'laek'")
    assert lines[8].startswith("no parameter set 'dm' ")
    refused = call("params", "load", str(file))
    assert refused.exit_code == 2
    first, *problems = refused.stderr.splitlines()
    assert first == f"framebus: error: 3 problems in {file}, nothing was changed:"
    assert len(problems) == 3
    assert f"  {file}:2: [loop] gain = 7 is outside its limits" in problems[0]
    assert f"  {file}:3: [loop] no entry 'laek'" in problems[1]
    assert "'dm'" in problems[2]
    assert (loop.gain, loop.note) == (0.5, "x")


def test_sets_are_removed_all_or_none(loop: Params, shm_dir: Path) -> None:
    for name in ("crop-a", "crop-b", "cam"):
        Params.create(name, {"x": 1})
    (shm_dir / "junk.params.fb").write_bytes(b"x" * 500)
    said = error(3, "params", "rm", "cam", "lop")
    assert "no parameter set 'lop'; nothing was removed; did you mean 'loop'" in said
    assert output("params", "rm", "crop-*", "cam", "cam") == "removed crop-a\nremoved crop-b\nremoved cam\n"
    assert answer("params", "rm", "junk") == ["junk"]
    assert set_names() == ["loop"]


def test_a_set_that_a_unit_runs_with_is_removed_by_force_only(loop: Params, spawn: Spawner) -> None:
    other = Params.create("other", {"x": 1})
    unit = spawn(
        "from framebus.params import Params\n"
        "loop = Params.open('loop'); loop.claim(); print('runs', flush=True); input(); print(loop.gain, flush=True)"
    )
    unit.expect("runs")
    said = error(2, "params", "rm", "other", "loop")
    assert f"'loop': process {unit.pid} (python" in said
    assert "nothing was removed; end the unit first, or insist with --force" in said
    with pytest.raises(UsageError, match="stop that unit first"):
        loop.remove()
    assert set_names() == ["loop", "other"]
    assert output("params", "rm", "loop", "--force") == "removed loop\n"
    unit.send()
    unit.expect("0.5")
    assert unit.wait() == 0
    other.remove()


def test_files_that_cannot_be_read_or_written(loop: Params, tmp_path: Path) -> None:
    assert "no parameter set 'dm'" in error(3, "params", "save", str(tmp_path / "x.toml"), "dm")
    assert not (tmp_path / "x.toml").exists()
    for words in (["params", "load"], ["params", "diff"], ["load"]):
        said = error(3, *words, str(tmp_path / "x.toml"))
        assert said == f"framebus: error: {tmp_path / 'x.toml'}: there is no such file"
    (tmp_path / "y.toml").write_text("gain = \n")
    for command in ("load", "diff"):
        assert "y.toml:1: not TOML" in error(2, "params", command, str(tmp_path / "y.toml"))
    said = error(2, "params", "save", str(tmp_path / "no" / "x.toml"), "loop")
    assert f"{tmp_path / 'no'} is no directory; make it first" in said
    for words in (["params", "save", "/proc/x.toml", "loop"], ["save", "loop", "/proc/x.toml"]):
        assert error(1, *words).endswith(": '/proc/x.toml'"), "not the name of a draft"
