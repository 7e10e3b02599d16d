"""The dashboard's tabs in a terminal of 80 × 24, as a person sees them while a pipeline has lost a unit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import framebus as fb
from framebus import _core
from framebus.pipeline.control import Controller
from support.pipelines import COUNT, NEGATIVE, TIMES, Pipelines, kill, pids, state
from support.processes import Spawner
from support.waiting import until

pytest.importorskip("textual")

from support.displays import Display
from support.screenshots import differences, kept

SCREENS = Path(__file__).parent / "screens"
CAMERA = """
import framebus as fb, numpy as np
camera = fb.create("camera", shape=(16, 16), dtype="float32", history=4)
camera.write(np.arange(256, dtype=np.float32).reshape(16, 16))
print("wrote")
input()
"""
TABS = {
    "streams": "1",
    "units": "2",
    "unit_that_failed": "j",
    "parameters": "3",
    "graph": "4",
    "sequences": "5",
    "messages": "6",
}
"""The screens that are kept, and the key that leads from one to the next."""


def is_as_kept(display: Display, name: str) -> None:
    """Wait until the screen is the one that is kept under a name."""
    expected = kept(SCREENS / f"{name}.txt")
    try:
        display.until(lambda screen: not differences(expected, screen), timeout_s=30.0)
    except AssertionError:
        wrong = "\n".join(differences(expected, display.screen))
        raise AssertionError(f"{name}: expected and seen differ in\n{wrong}\nof\n{display.screen}") from None


def test_every_tab_of_a_pipeline_that_lost_a_unit(pipelines: Pipelines, spawn: Spawner) -> None:
    writer = spawn(CAMERA)
    writer.expect("wrote")
    writer.kill()
    up = pipelines.up(COUNT + NEGATIVE + 'restart = "never"\n' + TIMES, name="loop")
    with fb.open("times") as times:
        until(lambda: times.count > 150)
        kill(pids("loop")["negative"])
        until(lambda: state("loop")["processes"]["negative"]["state"] == "failed")
        until(lambda: _core.realtime_ns() - times.handle.written_ns > 1_500_000_000)  # no more come
    with Display([sys.executable, "-m", "framebus", "top"]) as display:
        for name, key in TABS.items():
            display.type(key)
            is_as_kept(display, name)
        display.type("q")
        assert display.wait()[0] == 0
    Controller("loop").down()
    assert up.wait() == 0
    fb.open("camera").remove()


def test_no_colour_and_no_emphasis_where_none_is_wanted(spawn: Spawner) -> None:
    writer = spawn(CAMERA)
    writer.expect("wrote")
    command = [sys.executable, "-m", "framebus", "top"]
    with Display(command) as display:
        display.shows("camera", "▀▀▀▀", "min max 0  255")
        assert {"1", "38", "48"} <= display.styles
        display.type("q")
        display.wait()
    with Display(command, no_colour=True) as display:
        display.shows(
            "camera", "..::::", "====", "****####", "%%%%@@@@", "min max 0  255"
        )  # the picture of ``framebus watch``
        assert display.styles <= {"0", "7", "39", "49"}  # reversed: the row with the cursor, and the open tab
        assert "▀" not in display.screen
        display.type("q")
        display.wait()
    fb.open("camera").remove()


def test_a_layout_that_is_another_is_told() -> None:
    line = "count   ● live   ########"
    assert differences(line, "count   ● live     49.8 Hz") != []
    assert differences(line, "count   ● live    500 Hz") == []
    assert differences(line, "count   ● live   500 Hz") == []
    assert differences(line, "count  ● live     500 Hz") != []
    assert differences(line, "count   ● live   ValueErr") != []
    assert differences("pid {}, here  ───", "pid 12345, gone  ─") != []
    assert differences("pid {}, here  ───", "pid 12345, here  ─") == []
    assert differences("one\ntwo", "one") == [" 2: two\n  : "]
