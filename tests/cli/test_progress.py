"""Progress bars: only on a terminal, only for what takes its time, on standard error, without colours if so wished."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from framebus.cli.progress import measuring, progress_line
from support.terminal import Terminal

COUNTED = """
import time
from framebus.cli import progress
progress.SHOWN_AFTER_S = {after}
with progress.measuring("frames of [red]wfs[/]") as report:
    for done in range(1, 4):
        report(done, 3)
        print("told", done, flush=True)
        input()
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


def test_both_can_be_told_anything_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with measuring("frames") as count, progress_line() as share:
        count(1, 0)
        share("", 2.0)
    assert capsys.readouterr() == ("", "")
