"""The dashboard's keys: sorting, filters, units, tabs, and what happens to errors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.params import Params, ParamSpec
from framebus.process import Event, ProcessRecord
from framebus.sequence.inbox import post
from framebus.tui.looks import Snapshot, UnitLook
from support.pipelines import CHAIN, Pipelines, kill, pids
from support.processes import Spawner
from support.waiting import until

pytest.importorskip("textual")

from framebus.tui.screens import HelpScreen
from support.dashboards import Screen, use


def test_sorting_by_key_and_by_title() -> None:
    with fb.create("a", shape=(2,), dtype="int16") as a, fb.create("zz", shape=(2,), dtype="int16") as z:
        a.write(np.zeros(2, np.int16))
        for _ in range(5):
            z.write(np.zeros(2, np.int16))

        async def act(screen: Screen) -> None:
            await screen.shows("STREAM", "\na  ", "\nzz  ")
            assert screen.app.pane.sheet.keys == ["a", "zz"]
            for _ in range(5):  # name, state, rate, age, count
                await screen.press("s")
            await screen.until(lambda: "COUNT▼" in screen.text())
            assert screen.app.pane.sheet.keys == ["zz", "a"]
            await screen.press("S")
            await screen.until(lambda: "COUNT▲" in screen.text())
            assert screen.app.pane.sheet.keys == ["a", "zz"]
            await screen.pilot.click(screen.app.pane.sheet, offset=(2, 0))
            await screen.shows("STREAM▲")
            await screen.pilot.click(screen.app.pane.sheet, offset=(2, 0))
            await screen.shows("STREAM▼")
            assert screen.app.pane.sheet.keys == ["zz", "a"]

        use(act)


def test_filter_by_pattern_and_by_trouble(spawn: Spawner, shm_dir: Path) -> None:
    (shm_dir / "junk.im.shm").write_bytes(b"no stream")
    with fb.create("wfs_1", shape=(2,), dtype="int16"), fb.create("dm", shape=(2,), dtype="int16"):

        async def act(screen: Screen) -> None:
            await screen.shows("wfs_1", "dm", "junk", "✖ BAD")
            await screen.press("slash")
            await screen.type("wfs*")
            await screen.until(lambda: screen.app.pane.sheet.keys == ["wfs_1"])
            await screen.press("enter")
            await screen.shows("Esc show all")
            await screen.press("slash", "x", "x", "enter")
            await screen.shows("nothing matches 'wfs*xx'; Esc shows all")
            await screen.press("escape", "f")
            await screen.until(lambda: screen.app.pane.sheet.keys == ["junk"])
            await screen.press("f")
            await screen.until(lambda: len(screen.app.pane.sheet.keys) == 3)

        use(act)


def test_a_frozen_screen_stays_and_a_new_stream_is_seen_afterwards() -> None:
    async def act(screen: Screen) -> None:
        await screen.shows("no streams")
        await screen.press("space")
        await screen.shows("FROZEN")
        with fb.create("late", shape=(2,), dtype="int16") as late:
            await screen.until(lambda: "late" in screen.app._newest.streams)
            assert "late" not in screen.text()
            await screen.press("space")
            await screen.shows("late")
            assert "FROZEN" not in screen.text()
            late.remove()
        await screen.press("6")
        await screen.shows("stream late", "is there", "was removed")

    use(act)


def test_values_and_picture_of_the_chosen_stream() -> None:
    with (
        fb.create("image", shape=(8, 8), dtype="float32") as image,
        fb.create("line", shape=(5,), dtype="int32") as line,
    ):
        image.write(np.arange(64, dtype=np.float32).reshape(8, 8))
        line.write(np.array([1, 5, 2, 4, 3], np.int32))

        async def act(screen: Screen) -> None:
            await screen.shows("── image", "min max 0  63", "▀▀▀▀", "32 33 34")
            await screen.press("c")
            await screen.shows("colours: viridis")
            await screen.press("down")
            await screen.shows("── line", "min max 1  5", "1 5 2 4 3", "█")
            await screen.press("t")
            await screen.shows("trace, newest step first", str(os.getpid()))

        use(act)


def test_units_are_paused_stepped_and_run_by_keys() -> None:
    record = ProcessRecord.create("slopes", trigger="wfs")
    for event in (Event.INIT, Event.ENABLE, Event.RUN):
        record.advance(event)

    async def act(screen: Screen) -> None:
        await screen.shows("slopes", "▶ running")
        await screen.press("p")
        await screen.noticed("slopes: pauses")
        assert record.control == "pause"
        record.advance(Event.IDLE)
        await screen.shows("‖ PAUSED")
        await screen.press("n")
        await screen.until(lambda: record.control == "step")
        await screen.press("r")
        await screen.until(lambda: record.control == "run")
        await screen.press("x")
        await screen.shows(f"stop unit slopes.{os.getpid()}?")
        await screen.press("n")
        assert record.control == "run"
        await screen.press("x", "y")
        await screen.until(lambda: record.control == "stop")
        record.fail("it broke", "Traceback (most recent call last):\n  ValueError: five")
        await screen.shows("✖ ERROR", "it broke", "ValueError: five", "✖ 1 failed")
        await screen.press("p")
        await screen.noticed("cannot pause unit")
        for key, said in (("l", "has no log"), ("a", "to no session of tmux")):
            await screen.press(key)
            await screen.noticed(said)
        await screen.press("R")
        await screen.shows("restart unit slopes")
        await screen.press("y")
        await screen.noticed("belongs to no pipeline; end it")

    use(act, tab="units", size=(100, 40))
    record.remove()


def test_no_notice_covers_a_question_or_the_one_before_it() -> None:
    record = ProcessRecord.create("slopes", trigger="wfs")

    async def act(screen: Screen) -> None:
        await screen.shows("slopes")
        for _ in range(3):
            await screen.press("a")
        await screen.shows("to no session of tmux")
        assert screen.text().count("belongs to no pipeline") == 1
        await screen.press("R")
        await screen.until(lambda: "belongs to no pipeline" not in screen.text())
        question = f" restart unit slopes.{os.getpid()}?  y yes  n no"
        await screen.until(lambda: screen.text().splitlines()[-2] == question)
        screen.app.tell("told meanwhile " * 12, "error")
        await screen.shows("told meanwhile")
        assert screen.text().splitlines()[-2] == question
        await screen.press("n")
        screen.app.prompt.confirm(f"restart unit slopes (and {'another, ' * 12})?", lambda: None)
        await screen.until(lambda: screen.text().splitlines()[-2].endswith("… y yes  n no"))
        await screen.press("n")

    use(act, tab="units")
    record.remove()


def test_the_names_of_units_of_the_demonstration_are_whole() -> None:
    """At 80 columns: no other pipeline has a unit of these names."""
    names = ("demo_simulator", "demo_reconstructor")
    units = {f"demo/{name}": UnitLook(f"demo/{name}", name, "demo", name, state="running") for name in names}
    alone = Snapshot(0, {}, units, {})
    other = UnitLook("b/demo_simulator", "demo_simulator", "b", "demo_simulator", state="failed")
    both = alone._replace(units={**units, other.key: other})

    async def act(screen: Screen) -> None:
        await screen.shows("no unit runs")
        screen.app.watcher.look = lambda **_known: alone  # type: ignore[method-assign]
        await screen.shows("\ndemo_simulator  ", "\ndemo_reconstructor  ")
        screen.app.watcher.look = lambda **_known: both  # type: ignore[method-assign]
        await screen.shows("\ndemo/demo_simulator  ", "\nb/demo_simulator  ", "\ndemo_reconstructor  ")
        await screen.press("4")
        await screen.shows("[demo/demo_simulator]", "[b/demo_simulator]", "[demo_reconstructor]")

    use(act, tab="units")


def test_a_pipeline_its_logs_restart_replacement_and_graph(pipelines: Pipelines) -> None:
    up = pipelines.up(CHAIN)
    before = pids()["times"]

    async def act(screen: Screen) -> None:
        await screen.shows("\ncount  ", "\nnegative  ", "\ntimes  ", "── chain/count", "chain up")
        await screen.press("end", "R")
        await screen.shows("restart unit chain/times?")
        await screen.press("y")
        await screen.noticed("times: runs again")
        assert pids()["times"] != before
        await screen.press("u")
        await screen.shows("put in place of times", "support.pipeline_units:times")
        await screen.press("ctrl+u")
        await screen.type("no.such:unit")
        await screen.press("enter")
        await screen.noticed("there is no module 'no'")
        await screen.press("l")
        await screen.shows("log of chain/times", "times.log")
        await screen.press("escape", "4")
        await screen.shows(
            *("\n[count]", "\n▼  count", "\n▼  [negative]", "\n▼  negative", "\n▼  [times]", "\n▼  times")
        )
        await screen.press("end", "enter")
        await screen.shows("── times")
        assert screen.app.pane.NAME == "streams"
        kill(pids()["negative"])
        await screen.press("6")
        await screen.shows("unit chain/negative", "was started anew", "killed by SIGKILL")
        told = [event[1:3] for event in screen.app.log_of_events.events]
        assert ("bad", "unit chain/negative") in told

    use(act, tab="units", size=(120, 40))
    from framebus.pipeline.control import Controller

    Controller("chain").down()
    up.wait()


def test_a_parameter_that_is_edited() -> None:
    specs = [
        ParamSpec(
            "loop.gain", 0.3, minimum=0.0, maximum=2.0, unit="1", description="share that is taken out"
        ),
        ParamSpec("loop.closed", True),
        ParamSpec("rate", 5.0, status=True),
    ]
    with Params.create("ao", specs) as ao:

        async def act(screen: Screen) -> None:
            await screen.shows("▾ ao", "▾ loop", "gain", "0 … 2", "share that is taken out")
            await screen.press("down", "down", "enter")
            await screen.shows("Enter sets it", "Esc leaves it")
            await screen.press("ctrl+u")
            await screen.type("three")
            await screen.press("enter")
            await screen.shows("✖ 'three': expected a number")
            assert screen.app.pane.sheet.editing == "ao:loop.gain"
            await screen.press("escape")
            await screen.shows("Enter edit")
            assert ao["loop.gain"] == 0.3
            await screen.press("enter", "ctrl+u")
            await screen.type("1.5")
            await screen.press("enter")
            await screen.until(lambda: ao["loop.gain"] == 1.5)
            await screen.press("d")
            await screen.shows("0.3", "Enter sets it")
            assert ao["loop.gain"] == 1.5
            await screen.press("enter")
            await screen.until(lambda: ao["loop.gain"] == 0.3)
            await screen.press("down", "enter")  # the other value is there already
            assert ao["loop.closed"] is True
            await screen.press("enter")
            await screen.until(lambda: ao["loop.closed"] is False)
            await screen.press("down", "enter")
            await screen.shows("only the unit itself writes it")
            ao["loop.gain"] = 0.7  # another writes
            await screen.shows("0.7")
            await screen.press("home", "left")
            await screen.shows("▸ ao")
            assert "gain" not in screen.text()
            await screen.press("right")
            await screen.shows("▾ ao", "gain")

        use(act, tab="parameters", size=(100, 30))


def test_a_filter_puts_the_cursor_on_the_first_entry_that_it_names() -> None:
    specs = [
        ParamSpec("leak", 0.1, description="what the gain forgets"),
        ParamSpec("loop.gain", 0.3),
        ParamSpec("loop.gains", 1.0),
    ]
    with Params.create("ao", specs) as ao:

        async def act(screen: Screen) -> None:
            await screen.shows("▾ ao", "leak")
            await screen.press("slash", *"gain", "enter")
            await screen.shows("leak", "Esc show all", "── ao loop.gain")
            await screen.press("enter", "ctrl+u", "1", "enter")
            await screen.until(lambda: ao["loop.gain"] == 1.0)
            await screen.press("slash", "ctrl+u", *"forget", "enter")
            await screen.shows("── ao leak")
            await screen.press("escape")
            await screen.shows("gains", "── ao leak")

        use(act, tab="parameters")
        ao.remove()


def test_the_help_is_wrapped_and_details_that_are_cut_say_so() -> None:
    record = ProcessRecord.create("slopes", use="my.package.of.a.long.name:" + "unit" * 20, trigger="wfs")

    async def act(screen: Screen) -> None:
        await screen.shows("── slopes", "…──")
        await screen.press("question_mark")
        await screen.shows("Everywhere")
        help_screen = screen.app.screen
        assert isinstance(help_screen, HelpScreen)
        sheet = help_screen.sheet
        seen = "".join(text for key in sheet.keys for text, _ in sheet.cells(key))
        assert "Messages are still gathered" in " ".join(seen.split())
        assert "…" not in screen.text().replace("1 … 6", "")

    use(act, tab="units", size=(60, 24))
    record.remove()


def test_enter_and_enter_again_changes_nothing() -> None:
    specs = [ParamSpec("fine", 16777.217, "float32"), ParamSpec("label", "one\x1b\ntwo")]
    with Params.create("ao", specs) as ao:
        before = ao.changes

        async def act(screen: Screen) -> None:
            await screen.shows("16777.217", "one\\x1b\\ntwo")
            await screen.press("down", "enter", "enter", "down", "enter")
            await screen.shows("one␛␊two", "Enter sets it")
            await screen.press("enter")
            await screen.shows("Enter edit")
            assert ao.changes == before
            await screen.press("enter", "x", "enter")
            await screen.until(lambda: ao["label"] == "one\x1b\ntwox")
            await screen.press("up", "enter", "ctrl+u", "1", "enter")
            await screen.until(lambda: ao["fine"] == 1.0)

        use(act, tab="parameters", size=(100, 30))
        ao.remove()


def test_keys_of_one_burst_mean_what_the_ones_before_make_of_them() -> None:
    specs = [ParamSpec("gain", 0.3, minimum=0.0, maximum=2.0), ParamSpec("leak", 0.1)]
    record = ProcessRecord.create("slopes", trigger="wfs")
    with Params.create("ao", specs) as ao:

        async def act(screen: Screen) -> None:
            await screen.shows("▾ ao", "gain", "leak")
            screen.burst("down", "enter", "ctrl+u", "0", ".", "5", "enter", "2")
            await screen.shows("1 unit", "── slopes")
            assert ao["gain"] == 0.5
            assert screen.app.pane.NAME == "units"
            screen.burst("3", "/", *"leq", "backspace", "enter", "4")  # "q" quits elsewhere
            await screen.until(lambda: screen.app.pane.NAME == "graph")
            assert screen.app.parameters.filter == "le"
            screen.burst("3", "escape", "end", "d", "ctrl+u", *"0.25", "enter", "?", "escape", "2")
            await screen.until(lambda: screen.app.pane.NAME == "units")
            assert len(screen.app.screen_stack) == 1
            assert ao["leak"] == 0.25
            asked = []
            screen.app.prompt.confirm("really?", lambda: asked.append("yes"))
            screen.burst("y", "y", "y", "1")
            await screen.until(lambda: screen.app.pane.NAME == "streams")
            assert asked == ["yes"]

        use(act, tab="parameters", size=(100, 30))
        ao.remove()
    record.remove()


def test_enter_on_the_graph_picks_the_row_that_the_next_key_is_about() -> None:
    records = [ProcessRecord.create(name, trigger="wfs") for name in ("first", "second")]

    async def act(screen: Screen) -> None:
        await screen.shows("[first]", "[second]")
        key = next(key for key, row in screen.app.graph._rows.items() if row.name.startswith("second"))
        screen.app.graph.sheet.pick(key)
        screen.burst("enter", "x")
        await screen.shows(f"stop unit second.{os.getpid()}?")
        screen.burst("n", "q")

    use(act, tab="graph", size=(100, 30))

    async def act_filtered(screen: Screen) -> None:
        await screen.shows("first", "second")
        await screen.press("slash", *"first", "enter", "4")
        await screen.shows("[first]", "[second]")
        key = next(key for key, row in screen.app.graph._rows.items() if row.name.startswith("second"))
        screen.app.graph.sheet.pick(key)
        screen.burst("enter", "x")  # the filter that hides it goes
        await screen.shows(f"stop unit second.{os.getpid()}?", "first")
        screen.burst("n", "q")

    use(act_filtered, tab="units", size=(100, 30))
    for record in records:
        record.remove()


def test_a_set_that_is_damaged_is_told(shm_dir: Path) -> None:
    (shm_dir / "hurt.params.fb").write_bytes(b"nothing of the kind")

    async def act(screen: Screen) -> None:
        await screen.shows("✖ hurt", "BAD")

    use(act, tab="parameters")


SEQUENCE = """
from framebus.sequence import *

@sequence
async def main():
    step("poke", 0.5)
    log("half of it")
    await receive()
    step("and now")
    await receive()
    raise ValueError("it is dark")
"""


def test_a_sequence_is_seen_while_it_runs_and_fails(
    spawn: Spawner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "calibrate.py").write_text(SEQUENCE)
    process = spawn(None, "seq", "run", str(tmp_path / "calibrate.py"), module="framebus")

    async def act(screen: Screen) -> None:
        await screen.shows("calibrate", "▶ running", "███████░░░░░░░  50%", "poke", "half of it")
        assert f" {process.pid} " in screen.line("running")
        post("calibrate", None)
        await screen.until(lambda: "and now" in screen.line("running"))
        assert "50%" not in screen.text()
        post("calibrate", None)
        await screen.shows("✖ FAILED", "Sequences ✖1", "calibrate.py:11: ValueError: it is dark")
        await screen.press("s")
        await screen.shows("✖ FAILED")
        await screen.press("6", "slash", *"sequence", "enter")
        await screen.shows("sequence calibrate", "is failed: ValueError: it is dark", "✖")

    use(act, tab="sequences")
    assert process.wait() == 1


def test_an_error_becomes_a_notice_and_all_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with fb.create("image", shape=(8, 8), dtype="float32") as image:

        async def act(screen: Screen) -> None:
            await screen.shows("image")
            with monkeypatch.context() as patch:
                patch.setattr(screen.app.streams, "details", lambda key: 1 / 0)
                await screen.noticed("ZeroDivisionError")
                patch.setattr(screen.app.streams, "row", lambda key: dict[str, str]()["no row"])
                await screen.press("down", "up")
                await screen.noticed("KeyError")
                patch.setattr(screen.app, "action_sort", lambda: int("five"))
                await screen.press("s")
                await screen.noticed("invalid literal")
            for _ in range(2):
                image.write(np.ones((8, 8), np.float32))
            await screen.until(lambda: "● live" in screen.text())

        use(act, size=(120, 40))


def test_characters_that_a_terminal_would_obey_are_escaped() -> None:
    record = ProcessRecord.create("slopes")
    record.fail("\x1b[31mred")

    async def act(screen: Screen) -> None:
        await screen.shows("\\x1b[31mred")

    use(act, tab="units")
    record.remove()


def test_no_dashboard_without_a_terminal() -> None:
    from support.commands import error

    assert "needs a terminal" in error(2, "top")
    assert json.dumps("framebus ls")[1:-1] in error(2, "top", "--tab", "units")


@pytest.mark.parametrize("size", [(80, 24), (140, 40), (40, 12), (200, 60)])
def test_every_size_of_terminal(size: tuple[int, int]) -> None:
    with fb.create("image", shape=(8, 8), dtype="float32") as image:
        image.write(np.ones((8, 8), np.float32))

        async def act(screen: Screen) -> None:
            await screen.shows("image")
            for key in "123456":
                await screen.press(key)
                lines = screen.text().splitlines()
                assert len(lines) == size[1]
                assert max(map(len, lines)) <= size[0]
            await screen.pilot.resize_terminal(size[0] + 7, size[1] + 3)
            await screen.press("1")
            await screen.shows("image")

        use(act, size=size)


def test_killed_writers_are_unmistakable(spawn: Spawner) -> None:
    writer = spawn(
        'import framebus as fb\ns = fb.create("cam", shape=(2,), dtype="int16")\ns.write([1, 2])\nprint("ok")\ninput()'
    )
    writer.expect("ok")

    async def act(screen: Screen) -> None:
        await screen.shows("cam", "○ still")
        writer.kill()
        await screen.shows("✖ DEAD", "✖ 1 dead or bad", f"its writer {writer.pid} is gone", "1 Streams ✖1")
        sheet = screen.app.pane.sheet
        assert sheet.cells("cam")[1] == ("✖ DEAD", "alarm")

    use(act)
    until(lambda: not writer.running)
