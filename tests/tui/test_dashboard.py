"""The dashboard, with keys pressed and its screen read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import framebus as fb
from framebus.params import Params, ParamSpec
from support.processes import Spawner

pytest.importorskip("textual")

from framebus.tui.app import Dashboard

Act = Callable[[Any, "Dashboard"], Coroutine[Any, Any, None]]


def text_of(app: Dashboard) -> str:
    """What is on the screen."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def use(act: Act, tab: str = "streams") -> None:
    """Run the dashboard in 80 columns while ``act`` presses keys."""

    async def run() -> None:
        app = Dashboard(tab=tab)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            await act(pilot, app)

    asyncio.run(run())


async def seen(pilot: Any, app: Dashboard, *expected: str) -> str:
    """Wait until all of it is on the screen."""
    for _ in range(300):
        shown = text_of(app)
        if all(part in shown for part in expected):
            return shown
        app.tick()
        await pilot.pause(0.05)
    raise AssertionError(f"{expected} did not appear:\n{text_of(app)}")


def test_streams_with_their_state_and_one_whose_writer_was_killed(spawn: Spawner) -> None:
    writer = spawn(
        'import framebus as fb; fb.create("killed", shape=(2,), dtype="float32").write([1, 2]); print("made"); input()'
    )
    writer.expect("made")
    with fb.create("camera", shape=(8, 8), dtype="uint16") as camera:

        async def act(pilot: Any, app: Dashboard) -> None:
            await seen(pilot, app, "camera", "killed", "2 streams")
            writer.kill()
            await seen(pilot, app, "✖ DEAD", "1 dead or bad")
            await pilot.press("slash", *"cam", "enter")
            shown = await seen(pilot, app, "camera", "Esc show all")
            assert "✖ DEAD" not in shown
            await pilot.press("escape", "space")
            await seen(pilot, app, "killed")
            assert app.frozen
            for _ in range(2):
                camera.write([[7] * 8] * 8)
            app.tick()
            assert app.snapshot is not app._newest
            await pilot.press("space")
            await seen(pilot, app, "● live")

        use(act)
        camera.remove()
    fb.open("killed").remove()


def test_a_parameter_is_changed_in_place_and_a_wrong_value_is_refused_there() -> None:
    spec = ParamSpec("gain", 0.3, minimum=0.0, maximum=2.0)
    with Params.create("loop", [spec]) as loop:

        async def act(pilot: Any, app: Dashboard) -> None:
            await seen(pilot, app, "loop", "gain", "0 … 2")
            await pilot.press("down", "enter", *["backspace"] * 12, *"0.5", "enter")
            await seen(pilot, app, "0.5")
            assert loop["gain"] == 0.5
            await pilot.press("enter", *["backspace"] * 12, *"7", "enter")
            await seen(pilot, app, "✖")
            assert loop["gain"] == 0.5

        use(act, "parameters")
        loop.remove()


def test_every_tab_opens_and_help_lists_the_keys() -> None:
    async def act(pilot: Any, app: Dashboard) -> None:
        for key in "123456":
            await pilot.press(key)
            await seen(pilot, app, "? help")
        await pilot.press("question_mark")
        await seen(pilot, app, "Everywhere", "freeze the screen")
        await pilot.press("escape")
        await seen(pilot, app, "? help")

    use(act)
