"""Progress bars: only on a terminal, only for what takes its time, on standard error, without colours if so wished."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from framebus.cli import progress
from framebus.cli.progress import measuring, progress_line
from support.terminal import Terminal

COUNTED = """
import select, sys, time
from framebus.cli import progress
progress.SHOWN_AFTER_S = {after}
with progress.measuring("frames of [red]wfs[/]") as report:
    for done in range(1, 4):
        report(done, 3)
        print("told", done, flush=True)
        while not select.select([sys.stdin], [], [], 0.05)[0]:
            pass  # a signal that comes just before a call that blocks is not handled until that returns
        sys.stdin.readline()
print("over", flush=True)
"""
STAGES = """
from framebus.cli import progress
progress.SHOWN_AFTER_S = {after}
with progress.progress_line() as report:
    report("[i] asleep", 0.5)
    print("told 1", flush=True)
    input()
print("over", flush=True)
"""


@pytest.mark.parametrize(("source", "title"), [(COUNTED, "frames of [red]wfs[/]"), (STAGES, "[i] asleep")])
@pytest.mark.parametrize("colour", [None, "1"])
def test_a_terminal_shows_a_bar_that_goes_away(source: str, title: str, colour: str | None) -> None:
    with Terminal(
        [sys.executable, "-c", source.format(after=-1)], NO_COLOR=colour, COLORTERM=None
    ) as terminal:
        shown = terminal.wait_text(title)
        terminal.type("\n\n\n")
        code, rest = terminal.wait()
    assert code == 0
    assert "over" in rest
    assert "\x1b[?25h" in shown + rest  # the cursor is back
    assert ("\x1b[38" in shown + rest or "\x1b[3" in shown + rest) == (colour is None)


@pytest.mark.parametrize("source", [COUNTED, STAGES])
def test_what_is_over_soon_shows_none(source: str) -> None:
    with Terminal([sys.executable, "-c", source.format(after=1e9)]) as terminal:
        terminal.wait_text("told 1")
        terminal.type("\n\n\n")
        code, rest = terminal.wait()
    assert code == 0
    assert "\x1b" not in rest


@pytest.mark.parametrize("source", [COUNTED, STAGES])
def test_a_pipe_gets_none(source: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", source.format(after=-1)],
        input="\n\n\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.endswith("over\n")


AS_A_COMMAND = """
import sys
from framebus.cli.failures import Settings, guarded
sys.exit(guarded(lambda: exec({source!r}), Settings()))
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_measurement_with_what_it_has_to_put_in_order(number: int, code: int) -> None:
    source = AS_A_COMMAND.format(source=COUNTED.format(after=-1))
    with Terminal([sys.executable, "-c", source]) as terminal:
        terminal.wait_text("told 1")
        terminal.process.send_signal(number)
        ended, rest = terminal.wait()
    assert ended == code
    assert "over" not in rest


def test_a_bar_is_not_told_of_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bar:
        def __init__(self) -> None:
            self.told: list[tuple[str, float]] = []

        def add_task(self, title: str, total: float) -> int:
            return 0

        def update(self, task: int, *, description: str, completed: float, total: float) -> None:
            self.told.append((description, completed))

        def start(self) -> None: ...

        def stop(self) -> None: ...

    bar, now = Bar(), [100.0]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "_make_bar", lambda *, counted: bar)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with measuring("frames") as report:
        for done in range(1, 1401):  # 1 kHz
            report(done, 1400)
            now[0] += 0.001
    counts = [count for _, count in bar.told]
    assert [title for title, _ in bar.told] == ["frames"] * len(counts)
    assert counts[-1] == 1400
    assert 3 <= len(counts) <= 5, "one about every 0.1 s, from the first second on, and the last"
    bar.told.clear()
    with progress_line() as show:
        for moment, title, share in ((0.5, "early", 0.1), (0.6, "a", 0.2), (0.0, "a", 0.3), (0.0, "b", 0.3)):
            now[0] += moment
            show(title, share)
    assert bar.told == [("a", 0.2), ("b", 0.3)], "what is being done now is shown at once"


def test_both_can_be_told_anything_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with measuring("frames") as count, progress_line() as share:
        count(1, 0)
        share("", 2.0)
    assert capsys.readouterr() == ("", "")


WAITING = """
import sys
from framebus.cli import waiting
waiting.SHOWN_AFTER_S = {after}
with waiting.waiting("[b] goes down", {lasts}):
    input()
    print("told", file=sys.stderr, flush=True)
    if input() == "stop":
        raise KeyboardInterrupt
print("over", flush=True)
"""


@pytest.mark.parametrize("lasts", [None, 30.0])
def test_what_waits_for_others_shows_a_bar_that_goes_away(lasts: float | None) -> None:
    with Terminal([sys.executable, "-c", WAITING.format(after=0, lasts=lasts)], NO_COLOR="1") as terminal:
        shown = terminal.wait_text("[b] goes down")
        terminal.type("\n")
        shown += terminal.wait_text("told")
        terminal.type("\n")
        code, rest = terminal.wait()
    assert code == 0
    assert "over" in rest
    assert "\x1b[?25h" in shown + rest  # the cursor is back


def test_an_interrupted_wait_takes_its_bar_away() -> None:
    with Terminal([sys.executable, "-c", WAITING.format(after=0, lasts=None)]) as terminal:
        terminal.wait_text("[b] goes down")
        terminal.type("\nstop\n")
        code, rest = terminal.wait()
    assert code != 0
    assert "\x1b[?25h" in rest


@pytest.mark.parametrize(("after", "lasts"), [(1e9, None), (0.5, 0.4)])
def test_waiting_for_what_is_over_soon_shows_none(after: float, lasts: float | None) -> None:
    with Terminal([sys.executable, "-c", WAITING.format(after=after, lasts=lasts)]) as terminal:
        terminal.type("\n\n")
        code, rest = terminal.wait()
    assert code == 0
    assert "\x1b" not in rest
