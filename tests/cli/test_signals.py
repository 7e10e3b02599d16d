"""Commands that wait, ended by a signal: the exit code says which one it was."""

from __future__ import annotations

import signal
import sys

import pytest

import framebus as fb
from support.commands import PROGRAM
from support.processes import Spawner
from support.terminal import Terminal

ENDED = """
import select, sys
from framebus.cli.signals import signals_end_it
def be_told():
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        pass  # a signal that comes just before a sleep begins is served after it
    input()
with signals_end_it():
    try:
        print("ready", flush=True)
        be_told()
    finally:
        print("in order", flush=True)
        if {again}:
            be_told()
"""


def test_a_signal_that_was_ignored_stays_so(spawn: Spawner) -> None:
    source = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + ENDED.format(again=False)
    program = spawn(source)
    program.expect("ready")
    program.signal(signal.SIGHUP)
    program.send()
    program.expect("in order")
    assert program.wait() == 0


def test_a_second_one_ends_at_once_but_for_the_closed_terminal(spawn: Spawner) -> None:
    source = ENDED.format(again=True)
    program = spawn(source)
    program.expect("ready")
    program.signal(signal.SIGTERM)
    program.expect("in order")
    program.signal(signal.SIGTERM)
    assert program.wait() == -signal.SIGTERM
    program = spawn(source)
    program.expect("ready")
    program.signal(signal.SIGHUP)
    program.expect("in order")
    program.signal(signal.SIGHUP)
    program.send()
    assert program.wait() == 129


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["watch", "wfs", "--graphics", "blocks"], "q quit", 129),
        (["on", "stream:wfs>=1", "--", sys.executable, "-c", "print('it runs'); input()"], "it runs", 0),
    ],
)
def test_a_terminal_that_closes(arguments: list[str], said: str, code: int) -> None:
    with fb.create("wfs", shape=(4, 4)) as wfs:
        wfs.write([[1.0] * 4] * 4)
        with Terminal([*PROGRAM, *arguments]) as terminal:
            terminal.wait_text(said)
            terminal.hang_up()
            assert terminal.process.wait(60) == code
        wfs.remove()
