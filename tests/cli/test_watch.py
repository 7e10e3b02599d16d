"""``framebus watch``: what it shows, and the terminal that it gives back."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus import _core, stream
from framebus.cli.terminal import Size, TerminalKind, find_graphics, understand
from framebus.cli.watch import _COLORMAPS, _changes
from framebus.cli.watch_look import Watched
from framebus.cli.watch_view import Graphic, Wanted, compose, histogram
from framebus.ops.picture import COLORMAPS, Limits
from support.commands import PROGRAM, answer, error, output
from support.processes import Spawner
from support.terminal import Terminal
from support.waiting import until

ROOM = Size(80, 24)
PLAIN = ["watch", "wfs", "--interval", "0.05"]


@pytest.fixture
def wfs() -> stream.Stream:
    made = fb.create("wfs", shape=(8, 8), dtype="uint16")
    made.write(np.arange(64, dtype=np.uint16).reshape(8, 8))
    return made


def texts(name: str, wanted: Wanted | None = None, room: Size = ROOM) -> list[str]:
    """The lines that a look at the stream is shown by."""
    with Watched(name) as watched:
        pieces = compose(watched.look(), wanted or Wanted(), room)
    assert all(isinstance(piece, str) for piece in pieces)
    return [str(piece) for piece in pieces]


# ---- once, and into a pipe -------------------------------------------------------------------------------------------


def test_once_tells_state_count_rate_age_and_figures_and_draws(wfs: stream.Stream) -> None:
    lines = output("watch", "wfs", "--once", "--interval", "0.02").splitlines()
    assert lines[0] == "wfs  8x8 uint16  still"
    assert re.fullmatch(r"count 1  rate 0 Hz  age \S+ \S+  writer \d+", lines[1])
    assert lines[2] == "min 0  mean 31.5  max 63  std 18.4730"[: len(lines[2])]
    assert lines[3] == ""  # the darkest
    assert lines[-2].endswith("@@")
    assert lines[-1].startswith("0.315 ")  # the limits, robust ones
    wfs.close()


def test_views_can_be_chosen_and_combined(wfs: stream.Stream) -> None:
    shown = output("watch", "wfs", "--once", "--values", "--histogram").splitlines()
    assert shown[3].split() == ["0", "0", "1", "2", "3", "4", "5", "6", "7"]
    assert "log scale, highest bar 1" in shown[-1]
    assert "█" in shown[-2]
    wfs.close()


def test_few_values_are_told_as_numbers_and_vectors_as_bars() -> None:
    with fb.create("few", shape=(3,)) as few, fb.create("many", shape=(100,)) as many:
        few.write([1.5, np.nan, -2])
        many.write(np.arange(100))
        assert output("watch", "few", "--once").splitlines()[2:] == [
            "min -2  mean -0.25  max 1.5  std 1.75  1 not finite",
            "0  1.5 nan  -2",
        ]
        lines = output("watch", "many", "--once").splitlines()
    assert set(lines[3]) <= set(" ▁▂▃▄▅▆▇█")
    assert lines[-1].endswith("100 elements")


def test_json_has_the_look_and_the_views_that_were_asked_for(wfs: stream.Stream) -> None:
    told = answer("watch", "wfs", "--once", "--values", "--histogram", "--limits", "10", "19")
    assert told["values"] == np.arange(64).reshape(8, 8).tolist()
    assert told["histogram"]["counts"] == [1] * 10
    assert (told["histogram"]["below"], told["histogram"]["above"]) == (10, 44)
    assert (told["name"], told["state"], told["count"], told["dtype"]) == ("wfs", "still", 1, "uint16")
    assert told["frame"]["mean"] == 31.5
    assert told["rate_hz"] == 0.0
    assert "values" not in answer("watch", "wfs", "--once")
    wfs.close()


def test_complex_values_and_slices() -> None:
    with fb.create("field", shape=(2, 2), dtype="complex64") as field:
        field.write(np.array([[3 + 4j, 0], [0, 0]]))
        told = answer("watch", "field", "--once", "--values")
        assert told["values"][0][0] == [3.0, 4.0]
        assert told["frame"]["max"] == 5.0
        assert answer("watch", "field[0,0]", "--once")["shape"] == [1, 1]
        assert "3+4j" in output("watch", "field", "--once", "--values")


def test_a_stream_without_a_frame_says_so() -> None:
    with fb.create("spare", shape=(4,)):
        assert "no frame was written yet" in output("watch", "spare", "--once")
        assert answer("watch", "spare", "--once", "--values") == {
            **answer("watch", "spare", "--once"),
            "state": "empty",
            "frame": None,
            "age_s": None,
        }


def test_what_is_not_there_or_wrong_is_one_line(wfs: stream.Stream, shm_dir: Path) -> None:
    (shm_dir / "junk.im.shm").write_bytes(b"x" * 500)
    assert "no stream 'nope'" in error(3, "watch", "nope")
    assert "junk" in error(4, "watch", "junk")
    assert "the low one first" in error(2, "watch", "wfs", "--limits", "3", "1")
    assert "0.02" in error(2, "watch", "wfs", "--interval", "0")
    assert "not allowed in framebus watch" in error(2, "watch", "@N:wfs")
    wfs.close()


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_into_a_pipe_go_looks_one_after_another_until_ctrl_c(wfs: stream.Stream, extra: list[str]) -> None:
    with subprocess.Popen(
        [*PROGRAM, *PLAIN, *extra], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        seen = 0
        for line in program.stdout:
            assert "\x1b" not in line
            if extra:
                assert json.loads(line)["count"] == 1
                seen += 1
            else:
                seen += line.startswith("wfs ")
            if seen == 3:
                break
        program.send_signal(signal.SIGINT)
        program.stdout.close()
        assert program.wait(60.0) == 130
        assert program.stderr.read().strip() == ""
    wfs.close()


# ---- states ----------------------------------------------------------------------------------------------------------


def test_a_dead_stream_is_told_by_a_bar_and_is_grey(spawn: Spawner) -> None:
    writer = spawn(
        """
        import numpy as np
        import framebus as fb
        made = fb.create("wfs", shape=(16, 16))
        made.write(np.arange(256.0).reshape(16, 16))
        print("ready", flush=True)
        input()
        """
    )
    writer.expect("ready")
    colours = Wanted(kind=TerminalKind("blocks", "true"))
    living = texts("wfs", colours)
    writer.kill()
    dead = texts("wfs", colours)
    assert "\x1b[36mstill" in living[0]
    bar = next(line for line in dead if "DEAD" in line)
    assert bar.startswith("\x1b[1;97;41m")
    assert f"its writer, process {writer.pid}, is gone" in bar
    assert len(re.sub(r"\x1b\[[\d;]*m", "", bar)) == 80
    for line in dead[4:20]:
        for red, green, blue in re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", line):
            assert red == green == blue
    assert any(
        red != green for red, green, _ in re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", "".join(living[3:]))
    )
    assert any(line.startswith("!!! DEAD: ") for line in texts("wfs"))


def test_a_stream_that_goes_on_no_more_is_stale(wfs: stream.Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    with Watched("wfs") as watched:
        watched.look()
        wfs.write(np.zeros((8, 8), np.uint16))
        now_ns = wfs.handle.written_ns
        monkeypatch.setattr(_core, "realtime_ns", lambda: now_ns)
        assert watched.look().state == "live"
        period_ns = 10**9 / (watched.look().rate_hz or 0.0)
        now_ns += round(6 * period_ns) + 3 * 10**9
        look = watched.look()
    assert (look.state, look.why) == ("stale", f"process {os.getpid()} writes nothing")
    assert look.rate_hz == 0.0
    assert any("STALE" in str(piece) for piece in compose(look, Wanted(), ROOM))
    wfs.close()


def test_one_that_had_stopped_before_is_stale_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with fb.create("fast", shape=(2,)) as fast:
        for _ in range(200):
            fast.write([1, 2])
        written_ns = fast.handle.written_ns
        monkeypatch.setattr(_core, "realtime_ns", lambda: written_ns + 60 * 10**9)
        with Watched("fast") as watched:
            assert watched.look().state == "stale"


def test_one_that_is_written_now_and_then_is_still_and_no_alarm(
    wfs: stream.Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_ns = wfs.handle.written_ns
    monkeypatch.setattr(_core, "realtime_ns", lambda: written_ns + 60 * 10**9)
    with Watched("wfs") as watched:
        watched.look()
        look = watched.look()
    assert (look.state, look.why, look.rate_hz) == ("still", "", 0.0)
    assert not any("!!!" in str(piece) for piece in compose(look, Wanted(), ROOM))
    wfs.close()


def test_the_first_frame_of_all_is_no_flow() -> None:
    with fb.create("spare", shape=(2,)) as spare, Watched("spare") as watched:
        assert watched.look().state == "empty"
        spare.write([1, 2])
        assert watched.look().state == "still"
        spare.write([1, 2])
        assert watched.look().state == "live"


def test_a_stream_that_is_removed_and_made_anew_is_followed(wfs: stream.Stream) -> None:
    with Watched("wfs") as watched:
        assert watched.look().state == "still"
        wfs.remove()
        look = watched.look()
        assert (look.state, look.frame is not None) == ("removed", True)
        assert any("REMOVED" in str(piece) for piece in compose(look, Wanted(), ROOM))
        with fb.create("wfs", shape=(3,)) as anew:
            anew.write([1, 2, 3])
            look = watched.look()
            assert (look.state, look.shape, look.count) == ("still", (3,), 1)
            assert look.frame is not None
            assert look.frame.tolist() == [1, 2, 3]


def test_a_stream_that_turns_bad_is_told_and_the_last_frame_stays(wfs: stream.Stream, shm_dir: Path) -> None:
    with Watched("wfs") as watched:
        watched.look()
        wfs.remove()
        (shm_dir / "wfs.im.shm").write_bytes(b"x" * 500)
        states = {watched.look().state for _ in range(2)}
        assert states <= {"bad", "removed"}
        assert watched.look().state == "bad"
        assert watched.look().frame is not None


def test_the_rate_is_that_between_two_looks(wfs: stream.Stream) -> None:
    with Watched("wfs") as watched:
        assert watched.look().rate_hz is None
        assert watched.look().rate_hz == 0.0
        for _ in range(3):
            wfs.write(np.zeros((8, 8), np.uint16))
        look = watched.look()
    assert look.rate_hz is not None
    assert look.rate_hz > 0
    assert look.count == 4
    wfs.close()


# ---- what is drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [Size(80, 24), Size(40, 12), Size(200, 60), Size(12, 6)])
@pytest.mark.parametrize("shape", [(), (5,), (300,), (7, 900), (120, 120), (4, 30, 30)])
@pytest.mark.parametrize("views", [(), ("image", "histogram", "values"), ("histogram",), ("values",)])
def test_nothing_is_wider_or_higher_than_the_room(
    room: Size, shape: tuple[int, ...], views: tuple[str, ...]
) -> None:
    with fb.create("any", shape=shape or (1,)) as made:
        made.write(np.random.default_rng(1).normal(size=shape or (1,)).astype(np.float32))
        for depth in (None, "true"):
            lines = texts("any", Wanted(views, kind=TerminalKind("blocks", depth)), room)
            bare = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
            assert max(map(len, bare)) <= room.columns
            assert len(bare) <= max(room.rows, 9)


def test_graphics_have_their_room(wfs: stream.Stream) -> None:
    for kind in ("kitty", "sixel"):
        with Watched("wfs") as watched:
            pieces = compose(watched.look(), Wanted(kind=TerminalKind(kind, "true", (20, 10))), ROOM)
        drawn = [piece for piece in pieces if isinstance(piece, Graphic)]
        assert len(drawn) == 1
        assert drawn[0].rows + len(pieces) - 1 <= ROOM.rows
        assert drawn[0].escape.startswith("\x1b_G" if kind == "kitty" else "\x1bP")
    wfs.close()


def test_integers_have_a_bar_each_in_a_histogram() -> None:
    counts, edges, below, above = histogram(np.array([1, 1, 2, 4, 9], np.uint8), Limits(1, 4), 80)
    assert counts.tolist() == [2, 1, 0, 1]
    assert edges.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert (below, above) == (0, 1)
    counts, edges, _, _ = histogram(np.arange(1000), Limits(0, 999), 80)
    assert set(np.diff(edges)) == {13.0}
    assert counts.sum() == 1000
    counts, _, _, _ = histogram(np.full(5, 2.0), Limits(2.0, 2.0), 10)
    assert counts.sum() == 5


def test_only_what_changed_is_written_anew() -> None:
    before: list[str | Graphic] = ["one", Graphic("PIXELS", 3), "two"]
    assert _changes(before, ["one", Graphic("PIXELS", 3), "2"], False) == (
        "\x1b[?2026h\x1b[5;1H\x1b[K2\x1b[?2026l"
    )
    assert "PIXELS" in _changes([], before, True)
    assert "\x1b[2J" in _changes([], before, True)


# ---- the terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "graphics", "cell"),
    [
        ("\x1b_Gi=72;OK\x1b\\\x1b[6;20;10t\x1b[?62;c", "kitty", (20, 10)),
        ("\x1b[?62;4;22c", "sixel", None),
        ("\x1b_Gi=72;ENOSYS\x1b\\\x1b[?1;2c", "blocks", None),
        ("\x1b[?64;1;14c", "blocks", None),
        ("\x1b[?4c", "blocks", None),  # the first number is the kind of terminal
        ("\x1b[6;0;0t", "blocks", None),
        ("", "blocks", None),
        ("typed meanwhile", "blocks", None),
    ],
)
def test_a_terminal_s_answer_tells_its_graphics(
    said: str, graphics: str, cell: tuple[int, int] | None
) -> None:
    assert understand(said) == (graphics, cell)


def test_an_output_that_is_no_terminal_has_no_graphics_unless_they_are_wanted() -> None:
    assert find_graphics("auto", {"TERM": "xterm-kitty"}) == TerminalKind()
    assert find_graphics("sixel", {}).graphics == "sixel"
    assert find_graphics("auto", {"NO_COLOR": "1"}) == TerminalKind()


@pytest.mark.parametrize(
    ("said", "drawn"),
    [
        ("\x1b_Gi=72;OK\x1b\\\x1b[?62;c", "\x1b_Ga=T,f=24"),
        ("\x1b[?62;4;22c", "\x1bP0;1;0q"),
        ("\x1b[?1;2c", "▀"),
    ],
)
def test_the_terminal_is_asked_and_given_back_at_ctrl_c(wfs: stream.Stream, said: str, drawn: str) -> None:
    with Terminal([*PROGRAM, *PLAIN], COLORTERM="truecolor") as terminal:
        terminal.wait_text("\x1b[c")
        terminal.type(said)
        terminal.wait_text("\x1b[?1049h\x1b[?25l")
        terminal.wait_text(drawn)
        terminal.wait_text("q quit")
        terminal.type("\x03")
        code, rest = terminal.wait()
        assert code == 130
        assert rest.rstrip().endswith("\x1b[?25h\x1b[?1049l")
        assert ("\x1b_Ga=d" in rest) == drawn.startswith("\x1b_G")
        assert terminal.modes() == terminal.modes_before
    wfs.close()


def test_a_terminal_that_says_nothing_gets_half_blocks(wfs: stream.Stream) -> None:
    with Terminal([*PROGRAM, *PLAIN], COLORTERM=None) as terminal:
        shown = terminal.wait_text("q quit")
        assert "\x1b[38;5;" in shown
        assert "▀" in shown
        terminal.type("q")
        code, rest = terminal.wait()
        assert code == 0
        assert rest.endswith("\x1b[?25h\x1b[?1049l")
        assert terminal.modes() == terminal.modes_before
    wfs.close()


def test_keys_choose_views_and_freeze(wfs: stream.Stream) -> None:
    with Terminal([*PROGRAM, *PLAIN, "--graphics", "blocks"], COLORTERM="truecolor") as terminal:
        terminal.wait_text("q quit")
        terminal.type("h")
        terminal.wait_text("highest bar")
        terminal.type(" ")
        terminal.wait_text("FROZEN")
        wfs.write(np.zeros((8, 8), np.uint16))
        terminal.type(" ")
        terminal.wait_text("count 2")
        terminal.type("v")
        terminal.wait_text("0  0 0 0")
        terminal.type("q")
        assert terminal.wait()[0] == 0
    wfs.close()


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_gives_the_terminal_back_too(wfs: stream.Stream, number: int, expected: int) -> None:
    with Terminal([*PROGRAM, *PLAIN, "--graphics", "blocks"]) as terminal:
        terminal.wait_text("q quit")
        terminal.process.send_signal(number)
        code, rest = terminal.wait()
        assert code == expected
        assert rest.endswith("\x1b[?25h\x1b[?1049l")
        assert terminal.modes() == terminal.modes_before
    wfs.close()


def test_a_suspended_program_lends_the_terminal_and_draws_all_anew(wfs: stream.Stream) -> None:
    with Terminal([*PROGRAM, *PLAIN, "--graphics", "blocks"]) as terminal:
        terminal.wait_text("q quit")
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.wait_text("\x1b[?25h\x1b[?1049l")
        until(lambda: terminal.modes() == terminal.modes_before)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait_text("\x1b[?1049h\x1b[?25l")
        assert "8x8" in terminal.wait_text("q quit")
        terminal.type("q")
        assert terminal.wait()[0] == 0
    wfs.close()


def test_no_color_leaves_all_colours_out(wfs: stream.Stream) -> None:
    with Terminal([*PROGRAM, *PLAIN], NO_COLOR="1") as terminal:
        shown = terminal.wait_text("q quit")
        assert not re.search(r"\x1b\[[\d;]*m", shown)
        assert "@" in shown
        terminal.type("q")
        assert terminal.wait()[0] == 0
    wfs.close()


def test_once_stays_on_the_screen(wfs: stream.Stream) -> None:
    with Terminal([*PROGRAM, "watch", "wfs", "--once", "--graphics", "kitty"]) as terminal:
        code, shown = terminal.wait()
    assert code == 0
    assert "\x1b[?1049h" not in shown
    assert "\x1b_Ga=T" in shown
    wfs.close()


def test_the_command_knows_all_colormaps() -> None:
    assert _COLORMAPS == COLORMAPS
