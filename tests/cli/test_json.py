"""``--json`` of commands that steer, run and draw: what it has, and where it is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from support.commands import PROGRAM, answer, error, output
from support.pipelines import COUNT, NEGATIVE, Pipelines
from support.processes import TESTS
from support.terminal import Terminal
from support.waiting import until

SCALE = "support.units:scale"


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_a_pipeline_through_its_life(pipelines: Pipelines) -> None:
    file = str(pipelines.write(COUNT + NEGATIVE))
    told = answer("up", file, "--detach")
    try:
        assert told["pipeline"] == "chain"
        assert [unit["unit"] for unit in told["units"]] == ["count", "negative"]
        assert answer("send", "negative", "idle") == {
            "unit": "negative",
            "before": "running",
            "after": "idle",
        }
        said = answer("logs", "chain/supervisor", "-n", "2")
        assert said["log"].endswith("chain/supervisor.log")
        assert len(said["lines"]) == 2
    finally:
        output("down")
    assert "--json and --follow exclude each other" in error(2, "logs", "count", "--follow", "--json")
    assert "--json goes with --detach" in error(2, "up", file, "--json")


def test_a_graph(pipelines: Pipelines, tmp_path: Path) -> None:
    file = str(pipelines.write(COUNT + NEGATIVE))
    told = answer("graph", file)
    assert told["name"] == "chain"
    assert told["problems"] == []
    count, negative = told["units"]
    assert count["outputs"] == {"value": "count"}
    assert negative["inputs"] == {"image": {"stream": "count", "triggers": True}}
    assert set(told["streams"]) == {"count", *negative["outputs"].values()}
    picture = tmp_path / "chain.svg"
    assert answer("graph", file, "--svg", str(picture)) == told
    assert picture.read_text().startswith("<svg")
    assert "exclude each other" in error(2, "graph", file, "--json", "--text")


def test_a_unit_that_ran_once() -> None:
    with fb.create("image", shape=(4,), dtype="float32") as image:
        image.write(np.arange(4, dtype=np.float32))
        told = answer("run", SCALE, "--in", "image", "--out", "r", "--once")
    assert (told["unit"], told["loops"], told["missed"]) == ("scale", 1, 0)
    assert [(o["stream"], o["count"], o["values"]) for o in told["outputs"]] == [
        ("r", 1, [0.0, 2.0, 4.0, 6.0])
    ]


def test_a_copied_frame_too_large_to_be_told_whole() -> None:
    with fb.create("wfs", shape=(9, 9)) as wfs:
        wfs.write(np.ones((9, 9)))
        told = answer("copy", "wfs", "twin", "--dialect", "isio", "--once")
    assert told["outputs"][0]["mean"] == 1.0
    assert "values" not in told["outputs"][0]


def test_a_unit_that_runs_tells_all_at_its_end() -> None:
    command = [*PROGRAM, "run", SCALE, "--in", "image", "--out", "r", "--json"]
    with (
        fb.create("image", shape=(4,), dtype="float32") as image,
        Terminal(command, plain=True, PYTHONPATH=TESTS) as running,
    ):
        running.wait_text(" loops ")
        image.write(np.ones(4))
        with fb.open("r") as result:
            until(lambda: result.count > 0)
        running.type("\x03")
        code, rest = running.wait()
    assert code == 0
    told = json.loads(rest[rest.index("{") :])
    assert told["unit"] == "scale"
    assert told["loops"] >= 1
    assert "outputs" not in told


def test_a_unit_in_the_background() -> None:
    with fb.create("image", shape=(4,), dtype="float32"):
        told = answer("run", SCALE, "--in", "image", "--out", "r", "--detach")
        output("down", "scale")
    assert told["unit"] == told["pipeline"] == "scale"
    assert told["pid"] > 0
    assert told["log"].endswith("scale.log")
    assert told["tmux_session"] is None


@pytest.mark.parametrize(
    "arguments",
    [["ls", "--json"], ["ps", "--json"], ["info", "wfs", "--json"], ["watch", "wfs", "--once", "--json"]],
)
def test_json_has_no_colours_in_a_terminal_either(arguments: list[str]) -> None:
    with fb.create("wfs", shape=(4,)) as wfs:
        wfs.write(np.ones(4))
        with Terminal([*PROGRAM, *arguments], FORCE_COLOR="1") as terminal:
            code, shown = terminal.wait()
    assert code == 0
    assert "\x1b" not in shown
    json.loads(shown)


@pytest.mark.parametrize("arguments", [["ls"], ["info", "wfs"], ["doctor"], ["--help"], ["units", "*:guard"]])
def test_no_color_leaves_all_escapes_out_of_a_terminal(arguments: list[str]) -> None:
    with fb.create("wfs", shape=(4,)) as wfs:
        wfs.write(np.ones(4))
        with Terminal([*PROGRAM, *arguments], NO_COLOR="1") as terminal:
            code, shown = terminal.wait()
    assert code == 0
    assert not re.search(r"\x1b\[[\d;]*m", shown)
