from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.commands import answer, call, error, output

GOOD = """
[variables]
gain = 2.0
[units.clock]
use = "support.units:Counter"
streams = { frame = "image" }
trigger = "delay"
period_s = 0.01
[units.scale]
use = "support.units:scale"
streams = { image = "image", result = "result" }
parameters = { gain = "${gain}" }
process = "clock"
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace('"image",', '"imge",').replace('"support.units:Counter"', "3"))
    return path


def test_all_is_well(good: Path) -> None:
    assert output("check", str(good)).splitlines() == [
        f"{good}: all is well: 2 units, 1 process, 2 streams",
        "start order: clock scale",
    ]


def test_problems_as_compilers_print_them(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace('"image", result', '"imge", result').replace('"${gain}"', "11"))
    missing = "nobody writes stream 'imge', and it does not exist; did you mean 'image'?"
    result = call("check", str(path), str(good))
    assert result.exit_code == 4
    assert result.stdout.splitlines() == [
        f"{path}:11: units.scale.streams.image: {missing}",
        f"{path}:12: units.scale.parameters.gain: 'gain' = 11 is outside Range(0, 10)",
        f"{path}: 2 problems",
        f"{good}: all is well: 2 units, 1 process, 2 streams",
        "start order: clock scale",
    ]


def test_a_file_that_cannot_be_read(bad: Path, tmp_path: Path) -> None:
    result = call("check", str(bad))
    assert result.exit_code == 4
    assert result.stdout.splitlines() == [
        f"{bad}:5: units.clock.use: it is 3, expected a text",
        f"{bad}: 1 problem",
    ]
    empty = tmp_path / "x.toml"
    empty.write_text("")
    assert "x.toml: units: the pipeline has no units" in call("check", str(empty)).stdout
    assert error(3, "check", str(tmp_path / "none.toml")).endswith(
        "there is no pipeline file " + str(tmp_path / "none.toml")
    )


def test_what_cannot_be_read_does_not_hide_the_rest(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text(
        GOOD.replace('"${gain}"', "11") + '\n[streams.dm]\nshape = [-1]\ndtype = "float33"\n'
        '[supervision]\nlauncher = "screen"\nrestart_limit = -1\n'
    )
    lines = call("check", str(path)).stdout.splitlines()
    keys = [line.split(": ")[1] for line in lines[:-1]]
    assert keys == [
        "units.scale.parameters.gain",
        "streams.dm.dtype",
        "supervision.launcher",
        "supervision.restart_limit",
    ]
    assert lines[-1] == f"{path}: 4 problems"


def test_what_follows_from_a_wrong_key_is_not_told(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text(GOOD.replace('"image", result', "3, result"))
    (told, count) = call("check", str(path)).stdout.splitlines()
    assert "units.scale.streams.image: it is 3, expected a text" in told
    assert count == f"{path}: 1 problem"


def test_a_file_that_is_not_there_does_not_hide_the_others(good: Path, bad: Path, tmp_path: Path) -> None:
    result = call("check", str(bad), str(tmp_path / "none.toml"), str(good))
    assert result.exit_code == 4
    assert "expected a text" in result.stdout
    assert f"there is no pipeline file {tmp_path / 'none.toml'}" in result.stdout
    assert f"{good}: all is well" in result.stdout


def test_a_parameters_file_that_does_not_fit(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "saved.toml"
    path.write_text(GOOD + '\n[supervision]\nparameters_file = "values.toml"\n')
    values = tmp_path / "values.toml"
    values.write_text("[scale]\ngain = 11\npain = 3\n[former]\nx = 1\n")
    first, second, count = call("check", str(path)).stdout.splitlines()
    assert f"supervision.parameters_file: {values}: [scale]: 'gain' = 11 is outside Range(0, 10)" in first
    assert second.endswith("[scale]: the unit has no parameter 'pain'; did you mean 'gain'?; remove it there")
    assert count.endswith("2 problems")
    values.write_text("[scale\n")
    assert "supervision.parameters_file: " in call("check", str(path)).stdout


def test_variables(good: Path) -> None:
    assert output("check", str(good), "--var", "gain=3")
    result = call("check", str(good), "--var", "gain=12")
    assert "'gain' = 12 is outside Range(0, 10)" in result.stdout
    assert "expected NAME=VALUE" in error(2, "check", str(good), "--var", "gain")


def test_json(good: Path, bad: Path) -> None:
    (found,) = answer("check", str(good))
    assert found == {
        "file": str(good),
        "ok": True,
        "problems": [],
        "name": "good",
        "order": ["clock", "scale"],
        "processes": {"clock": [["clock"], ["scale"]]},
        "streams": {
            "image": {"shape": [4], "dtype": "float32"},
            "result": {"shape": [4], "dtype": "float32"},
        },
    }
    result = call("check", str(bad), "--json")
    assert result.exit_code == 4
    (found,) = json.loads(result.stdout)
    assert found == {
        "file": str(bad),
        "ok": False,
        "problems": [
            {"file": str(bad), "line": 5, "key": "units.clock.use", "message": "it is 3, expected a text"}
        ],
    }


def test_schema() -> None:
    schema = json.loads(output("check", "--schema"))
    assert schema["title"] == "framebus pipeline"
    assert "cpu" in schema["definitions"]["UnitPlan"]["properties"]


def test_nothing_to_check() -> None:
    assert "give the pipeline files to check" in error(2, "check")


class TestGraph:
    def test_text(self, good: Path) -> None:
        drawn = output("graph", str(good))
        assert "╭─ process clock ─" in drawn
        assert "│    on     image" in drawn

    def test_picture(self, good: Path, tmp_path: Path) -> None:
        picture = tmp_path / "good.svg"
        assert output("graph", str(good), "--svg", str(picture)) == f"wrote {picture}\n"
        assert picture.read_text().startswith("<svg ")
        assert output("graph", str(good), "--svg", "-") == picture.read_text()
        assert "process clock" in output("graph", str(good), "--svg", str(picture), "--text")

    def test_problems_do_not_keep_it_from_being_drawn(self, good: Path) -> None:
        result = call("graph", str(good), "--var", "gain=12")
        assert result.exit_code == 0
        assert "process clock" in result.stdout
        assert result.stderr == f"note: 1 problem; 'framebus check {good}' tells more\n"

    def test_refused(self, bad: Path, tmp_path: Path) -> None:
        assert "units.clock.use: it is 3, expected a text" in error(4, "graph", str(bad))
        bad.write_text("x = 1\ny = 2\n")
        result = call("graph", str(bad))
        assert result.exit_code == 4
        assert result.stderr.splitlines()[0] == "framebus: error: the pipeline has 2 problems"
        assert result.stderr.splitlines()[1].startswith(f"{bad}:1: x: unknown key; ")
        assert "there is no pipeline file" in error(3, "graph", str(tmp_path / "none"))
