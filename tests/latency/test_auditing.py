"""Units of real pipelines, watched by the library and by the command."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framebus.errors import NotFoundError, UsageError
from framebus.latency import ThreadCounts, audit, collect, targets
from framebus.pipeline.control import Controller
from framebus.process import TIMING_DTYPE, ProcessRecord
from support.commands import PROGRAM, answer, error, output
from support.pipelines import CHAIN, Pipelines
from support.waiting import until

SLOW = """
[units.slow]
use = "support.slow_units:slow"
streams = { image = "negative", result = "slowed" }
parameters = { busy_ms = 10.0 }
"""


def begun(unit: str, loops: int = 20) -> None:
    """Wait until a unit runs."""

    def ready() -> bool:
        with ProcessRecord.open(unit) as record:
            return record.loop_count >= loops

    until(ready)


@pytest.fixture
def chain(pipelines: Pipelines) -> Pipelines:
    pipelines.up(CHAIN + SLOW)
    begun("times")
    begun("slow")
    return pipelines


def test_a_slow_unit_is_found_among_others(chain: Pipelines) -> None:
    units = targets(["chain"])
    assert [unit.unit for unit in units] == ["count", "negative", "times", "slow"]
    twice = targets(["slow", "chain", "chain/negative"])
    assert [unit.unit for unit in twice] == ["slow", "count", "negative", "times"], "each once"
    shares: list[float] = []
    found = audit(units, 0.6, shares.append)
    by_name = {unit.unit: unit for unit in found.units}
    slow = by_name["slow"]
    assert slow.verdict.kind == "late"
    assert slow.verdict.causes[0].startswith("computing takes")
    assert slow.missed > 0
    assert slow.late == slow.loops, "each frame takes longer than the time to the next"
    assert slow.compute.p50 >= 10_000.0
    assert found.late[0] is slow
    count = by_name["count"]
    assert count.loops + count.unseen + count.missed > 0
    assert count.wakeup.n == count.loops, "a clock's ticks tell when a loop was due, too"
    assert count.wakeup.p50 >= 0
    assert count.counts.voluntary is None or count.counts.voluntary > 0
    assert count.counts.policy == "other"
    assert shares == sorted(shares)

    plain = answer("latency-audit", "slow", "chain/count", "--seconds", "0.3")
    assert [unit["unit"] for unit in plain["units"]] == ["slow", "count"]
    assert plain["units"][0]["verdict"]["kind"] == "late"
    assert set(plain["units"][0]["counts"]) >= {"major_faults", "involuntary", "migrations"}

    with ProcessRecord.open("slow") as record:
        record.pause()
        until(lambda: record.state.name == "IDLE")
    printed = output("latency-audit", "slow", "--seconds", "0.2")
    assert "slow is silent: it is paused" in printed
    Controller("chain").down()


def test_it_fits_a_terminal_of_80_columns(chain: Pipelines) -> None:
    leader, follower = pty.openpty()
    done = subprocess.Popen(
        [*PROGRAM, "latency-audit", str(chain.folder / "chain.toml"), "--seconds", "0.3"],
        stdout=follower,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "xterm"},
    )
    os.close(follower)
    said = b""
    try:
        while chunk := os.read(leader, 65536):
            said += chunk
    except OSError:
        pass  # how a terminal says that nobody writes there any more
    finally:
        os.close(leader)
    assert done.wait() == 0
    lines = said.decode().splitlines()
    assert [line for line in lines if len(line.rstrip()) > 80 and "→" not in line] == []
    assert any(line.startswith("slow: ") for line in lines)
    assert any("wake-up" in line and "compute" in line for line in lines)
    assert any("█" in line for line in lines)
    assert any(line.startswith("slow is late") for line in lines)
    Controller("chain").down()


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no unit runs"):
        targets()
    with pytest.raises(NotFoundError, match="no unit 'none'"):
        targets(["none"])
    assert "no unit runs" in error(3, "latency-audit")
    assert "no unit 'none'" in error(3, "latency-audit", "none")
    assert "--seconds" in error(2, "latency-audit", "--seconds", "0")
    assert "none.toml" in error(3, "latency-audit", str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match="cannot watch 0 units"):
        audit([], 1.0)


def test_a_unit_that_ended_since_it_was_listed_is_an_error(pipelines: Pipelines) -> None:
    pipelines.up(CHAIN)
    units = targets(["chain"])
    Controller("chain").down()
    with pytest.raises(NotFoundError):
        audit(units, 0.1)


def test_without_the_kernels_count_moves_are_those_that_were_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    cpus = iter([0, 1, 1, 0])
    monkeypatch.setattr(collect, "thread_counts", lambda pid, tid: ThreadCounts(cpu=next(cpus), voluntary=3))
    with ProcessRecord.create("rtc") as record:
        collector = collect.Collector(record)
        for _ in range(3):
            collector.look()
        assert (collector.counts.migrations, collector.counts.voluntary) == (2, 0)
        assert len(collector.timings) == 0
        assert 0 < collector.patience_s <= 0.05
        monkeypatch.setattr(collect, "thread_counts", lambda pid, tid: None)
        collector.look()
        assert collector.counts.migrations == 2, "as it was when the thread was seen last"
        assert collect.Collector(record).counts == ThreadCounts()
        record.remove()


def test_a_look_reads_the_record_once_and_a_fast_unit_is_looked_at_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loops = np.zeros(1024, TIMING_DTYPE)
    loops["loop"] = np.arange(1, 1025)
    loops["start_ns"] = np.arange(1024) * 10_000  # 100 kHz
    read: list[int] = []

    def timings(_record: ProcessRecord) -> Any:
        read.append(1)
        return loops

    with ProcessRecord.create("rtc") as record:
        collector = collect.Collector(record)
        monkeypatch.setattr(ProcessRecord, "timings", timings)
        collector.look()
        assert collector.patience_s == pytest.approx(1024 / 3 / 100e3)
        assert len(read) == 1
        assert len(collector.timings) == 1024
        record.remove()
