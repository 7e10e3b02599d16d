"""The dashboard, with keys pressed and its screen read."""

from __future__ import annotations

import pytest

import framebus as fb
from framebus.params import Params, ParamSpec
from support.processes import Spawner

pytest.importorskip("textual")

from support.dashboards import Screen, use


def test_streams_with_their_state_and_one_whose_writer_was_killed(spawn: Spawner) -> None:
    writer = spawn(
        """
        import framebus as fb
        stream = fb.create("killed", shape=(2,), dtype="int16")
        stream.write([1, 2])
        print("made")
        input()
        """
    )
    writer.expect("made")
    with fb.create("camera", shape=(8, 8), dtype="uint16") as camera:

        async def act(screen: Screen) -> None:
            await screen.shows("camera", "killed", "2 streams")
            writer.kill()
            await screen.shows("✖ DEAD", "1 dead or bad")
            await screen.press("slash", *"cam", "enter")
            await screen.shows("camera", "Esc show all")
            assert "✖ DEAD" not in screen.text()
            await screen.press("escape", "space")
            await screen.shows("killed", "FROZEN")
            for _ in range(2):
                camera.write([[7] * 8] * 8)
            frozen = screen.app.snapshot
            await screen.until(lambda: screen.app._newest.streams["camera"].count == 2)
            assert screen.app.snapshot is frozen
            await screen.press("space")
            await screen.shows("● live")

        use(act)
        camera.remove()
    fb.open("killed").remove()


def test_rows_have_all_of_a_small_terminal() -> None:
    streams = [fb.create(f"stream{number}", shape=(2,)) for number in range(6)]

    async def act(screen: Screen) -> None:
        await screen.shows(*(stream.name for stream in streams))
        assert "── stream0" not in screen.text()

    use(act, size=(50, 12))
    for stream in streams:
        stream.remove()


def test_a_stream_whose_writer_has_ended_says_so(spawn: Spawner) -> None:
    writer = spawn(
        """
        import framebus as fb
        for name in ("dark", "never_written"):
            with fb.create(name, shape=(2,), dtype="int16") as stream:
                if name == "dark":
                    stream.write([1, 2])
        """
    )
    assert writer.wait() == 0

    async def act(screen: Screen) -> None:
        await screen.shows("○ left", "── dark", f"writer  {writer.pid} has ended")
        assert "alive" not in screen.text()
        await screen.press("down")
        await screen.shows("── never_written", f"writer  {writer.pid} has ended")
        assert "alive" not in screen.text()

    use(act)
    for name in ("dark", "never_written"):
        fb.open(name).remove()


def test_a_parameter_is_changed_in_place_and_a_wrong_value_is_refused_there() -> None:
    spec = ParamSpec("gain", 0.3, minimum=0.0, maximum=2.0)
    with Params.create("loop", [spec]) as loop:

        async def act(screen: Screen) -> None:
            await screen.shows("loop", "gain", "0 … 2")
            await screen.press("down", "enter", "ctrl+u")
            await screen.type("0.5")
            await screen.press("enter")
            await screen.shows("0.5")
            assert loop["gain"] == 0.5
            await screen.press("enter", "ctrl+u", "7", "enter")
            await screen.shows("✖")
            assert loop["gain"] == 0.5

        use(act, tab="parameters")
        loop.remove()


def test_a_set_that_goes_while_it_is_edited() -> None:
    with Params.create("loop", [ParamSpec("gain", 0.3)]) as loop:

        async def act(screen: Screen) -> None:
            await screen.shows("loop", "gain")
            await screen.press("down", "enter")
            await screen.shows("Enter sets it")
            loop.remove()
            await screen.shows("no parameters", "Enter edit")

        use(act, tab="parameters")


def test_every_tab_opens_and_help_lists_the_keys() -> None:
    async def act(screen: Screen) -> None:
        for key in "123456":
            await screen.press(key)
            await screen.shows("? help")
        await screen.press("question_mark")
        await screen.shows("Everywhere", "freeze the screen")
        await screen.press("escape")
        await screen.shows("? help")

    use(act)
