"""What the kernel says of processes and clocks."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from framebus import _core
from support.processes import Spawner


def start_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_a_process_is_known_by_pid_and_start_time() -> None:
    pid = os.getpid()
    assert _core.process_start_ticks(pid) == start_ticks(pid) % 2**32
    assert _core.process_alive(pid)
    assert _core.process_alive(pid, _core.process_start_ticks(pid))
    assert not _core.process_alive(pid, _core.process_start_ticks(pid) + 1), (
        "another process had this pid before"
    )


@pytest.mark.parametrize("pid", [0, -1, -(2**31), 2**31 - 1])
def test_no_such_process(pid: int) -> None:
    assert not _core.process_alive(pid)
    assert _core.process_start_ticks(pid) == 0


def test_a_process_that_ended_is_dead_even_before_its_parent_took_note(spawn: Spawner) -> None:
    process = spawn("print('ready'); input()")
    process.expect("ready")
    assert _core.process_alive(process.pid)
    process.signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not _core.process_alive(process.pid), "it is a zombie now"


def test_names_of_commands_may_hold_anything(spawn: Spawner) -> None:
    process = spawn("""
        open("/proc/self/comm", "w").write("a) R 1 (b")
        print("ready")
        input()
    """)
    process.expect("ready")
    assert _core.process_start_ticks(process.pid) == start_ticks(process.pid) % 2**32
    process.signal(signal.SIGSTOP)
    assert _core.process_alive(process.pid), "stopped is not dead"


def test_clocks() -> None:
    before = (time.time_ns(), time.monotonic_ns())
    now = (_core.realtime_ns(), _core.monotonic_ns())
    after = (time.time_ns(), time.monotonic_ns())
    assert before[1] <= now[1] <= after[1]
    assert before[0] <= now[0] <= after[0] or after[0] < before[0]
