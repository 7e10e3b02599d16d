"""Messages: what is told when one snapshot follows another."""

from __future__ import annotations

from pathlib import Path

import pytest

from framebus.tui.events import Event, EventLog
from framebus.tui.looks import PipelineLook, Snapshot, StreamLook, UnitLook

S = 1_000_000_000


def snapshot(
    when_s: int,
    streams: list[StreamLook] | None = None,
    units: list[UnitLook] | None = None,
    pipelines: list[PipelineLook] | None = None,
) -> Snapshot:
    each = {stream.name: stream for stream in streams or []}
    running = {unit.key: unit for unit in units or []}
    known = {pipeline.name: pipeline for pipeline in pipelines or []}
    return Snapshot(when_s * S, each, running, known, frozenset(each), frozenset(running))


def wfs(state: str, inode: int = 1, error: str = "") -> StreamLook:
    return StreamLook("wfs", "/x/wfs.im.shm", inode, state, (4, 4), "float32", 9, writer_pid=77, error=error)


def slopes(state: str, **known: object) -> UnitLook:
    return UnitLook("loop/slopes", "slopes", "loop", "slopes", 5, state)._replace(**known)  # type: ignore[arg-type]


def told(log: EventLog, next_one: Snapshot) -> list[tuple[str, str, str]]:
    return [(event.level, event.subject, event.text) for event in log.add(next_one)]


def test_the_first_snapshot_tells_only_what_is_wrong() -> None:
    log = EventLog()
    assert told(log, snapshot(1, [wfs("live")], [slopes("running")])) == []
    log = EventLog()
    assert told(log, snapshot(1, [wfs("dead")], [slopes("error", message="it broke")])) == [
        ("bad", "stream wfs", "DEAD: its writer, process 77, is gone"),
        ("bad", "unit loop/slopes", "is error: it broke"),
    ]
    assert log.bad == 0  # nothing of that happened while it watched


def test_streams_come_change_and_go() -> None:
    log = EventLog()
    log.add(snapshot(1))
    assert told(log, snapshot(2, [wfs("empty")])) == [("info", "stream wfs", "is there, 4x4 float32")]
    assert told(log, snapshot(3, [wfs("live")])) == [("good", "stream wfs", "frames come")]
    assert told(log, snapshot(4, [wfs("live")])) == []
    assert told(log, snapshot(5, [wfs("stale")])) == [
        ("warn", "stream wfs", "no frames come any more; its writer, process 77, lives")
    ]
    assert told(log, snapshot(6, [wfs("dead")]))[0][0] == "bad"
    assert log.bad == 1
    assert told(log, snapshot(7, [wfs("empty", inode=2)])) == [
        ("warn", "stream wfs", "was made anew, 4x4 float32")
    ]
    assert told(log, snapshot(8, [wfs("bad", error="truncated")])) == [
        ("warn", "stream wfs", "was made anew, 4x4 float32"),
        ("bad", "stream wfs", "cannot be opened: truncated"),
    ]
    assert told(log, snapshot(9)) == [("info", "stream wfs", "was removed")]


@pytest.mark.parametrize(
    ("before", "level"), [("live", "warn"), ("stale", "warn"), ("still", "info"), ("empty", "info")]
)
def test_a_writer_that_ends_in_order(before: str, level: str) -> None:
    log = EventLog()
    log.add(snapshot(1, [wfs(before)]))
    assert told(log, snapshot(2, [wfs("left")])) == [
        (level, "stream wfs", "its writer, process 77, has ended")
    ]
    assert told(log, snapshot(3, [wfs("left")])) == []


def test_streams_that_were_left_already_are_not_told_so() -> None:
    log = EventLog()
    assert told(log, snapshot(1, [wfs("left")])) == []
    assert told(log, snapshot(2, [wfs("left", inode=2)])) == [
        ("warn", "stream wfs", "was made anew, 4x4 float32")
    ]
    log.add(snapshot(3))
    assert told(log, snapshot(4, [wfs("left")])) == [("info", "stream wfs", "is there, 4x4 float32")]


def test_units_change_fail_and_are_restarted() -> None:
    log = EventLog()
    log.add(snapshot(1, units=[slopes("running")]))
    assert told(log, snapshot(2, units=[slopes("error", message="it broke")])) == [
        ("bad", "unit loop/slopes", "running → error: it broke")
    ]
    assert told(log, snapshot(3, units=[slopes("running", pid=6, restarts=1)])) == [
        ("warn", "unit loop/slopes", "was started anew as process 6"),
        ("good", "unit loop/slopes", "error → running"),
    ]
    died = slopes("running", pid=7, restarts=2, failures=1)
    assert told(log, snapshot(3, units=[died])) == [
        ("bad", "unit loop/slopes", "its process died"),
        ("warn", "unit loop/slopes", "was started anew as process 7"),
    ]
    said = snapshot(4, units=[slopes("running", pid=7, restarts=2, failures=1, message="hello")])
    assert told(log, said) == [("info", "unit loop/slopes", "hello")]
    alarmed = snapshot(5, units=[slopes("running", pid=7, restarts=2, failures=1, message="hello", alarms=2)])
    assert told(log, alarmed) == [("warn", "unit loop/slopes", "2 alarms: a limit was exceeded")]
    assert told(log, snapshot(6)) == [("info", "unit loop/slopes", "is gone")]


def test_a_new_process_is_told_when_it_is_there() -> None:
    log = EventLog()
    log.add(snapshot(1, units=[slopes("error", message="too bright")]))
    waits = slopes("restarting", pid=0, restarts=1, failures=1, message="too bright")
    assert told(log, snapshot(2, units=[waits])) == [("warn", "unit loop/slopes", "error → restarting")]
    starts = waits._replace(state="starting", pid=8)
    assert told(log, snapshot(3, units=[starts])) == [
        ("warn", "unit loop/slopes", "was started anew as process 8"),
        ("info", "unit loop/slopes", "restarting → starting"),
    ]
    assert told(log, snapshot(4, units=[starts._replace(state="running", message="")])) == [
        ("good", "unit loop/slopes", "starting → running")
    ]


def test_a_death_that_is_seen_is_told_once() -> None:
    log = EventLog()
    for state, counted in (("dead", 0), ("error", 0), ("failed", 1)):
        log = EventLog()
        log.add(snapshot(1, units=[slopes("running")]))
        assert told(log, snapshot(2, units=[slopes(state, failures=counted)])) == [
            ("bad", "unit loop/slopes", f"running → {state}")
        ]
        assert told(log, snapshot(3, units=[slopes("restarting", failures=1)])) == [
            ("warn", "unit loop/slopes", f"{state} → restarting")
        ]
    said = told(log, snapshot(4, units=[slopes("failed", failures=3, message="given up")]))
    assert said == [
        ("bad", "unit loop/slopes", "its process died"),
        ("bad", "unit loop/slopes", "restarting → failed: given up"),
    ]
    said = told(log, snapshot(5, units=[slopes("running", failures=6, pid=9)]))
    assert said[0] == ("bad", "unit loop/slopes", "its process died 3 times")


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("slopes: ended: killed by SIGKILL", "bad"),
        ("slopes: did not start: no device", "bad"),
        ("slopes: given up after 10 restarts within 60 s: no; 'framebus restart slopes' tries again", "bad"),
        ("slopes: unit 'slopes' was not replaced: no", "bad"),
        ("could not start: process 'slopes' did not start: no", "bad"),
        ("the state could not be written: no space", "bad"),
        ("parameters were not saved: no space", "bad"),
        ("error: ready (process 7)", "info"),
        ("killed_pixels: adopted (process 7)", "info"),
        ("all is ready", "info"),
        ("all is ready, but for what has failed: slopes", "bad"),
    ],
)
def test_which_lines_of_supervisors_tell_of_failures(tmp_path: Path, line: str, level: str) -> None:
    path = tmp_path / "supervisor.log"
    path.write_text(f"2026-01-02T03:04:05.000+00:00 {line}\n")
    assert told(EventLog(), snapshot(1, pipelines=[pipeline(str(path))])) == [
        (level, "supervisor loop", line)
    ]


def pipeline(log: str, supervised: bool = True, suspended: int = 0) -> PipelineLook:
    return PipelineLook("loop", "up", supervised, suspended, log, {})


def test_pipelines_and_their_supervisors() -> None:
    log = EventLog()
    log.add(snapshot(1))
    assert told(log, snapshot(2, pipelines=[pipeline("")])) == [("info", "pipeline loop", "is up")]
    assert told(log, snapshot(3, pipelines=[pipeline("", supervised=False)])) == [
        ("bad", "pipeline loop", "has no supervisor; 'framebus up' takes it up")
    ]
    assert told(log, snapshot(4, pipelines=[pipeline("")])) == [
        ("good", "pipeline loop", "its supervisor looks after it again")
    ]
    assert "kill -CONT 8" in told(log, snapshot(5, pipelines=[pipeline("", suspended=8)]))[0][2]
    assert told(log, snapshot(6)) == [("info", "pipeline loop", "is down")]


def test_what_supervisors_log(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.log"
    path.write_text("".join(f"2026-01-02T03:04:{i:02d}.000+00:00 line {i}\n" for i in range(30)))
    log = EventLog()
    first = log.add(snapshot(1, pipelines=[pipeline(str(path))]))
    assert [event.text for event in first] == [f"line {i}" for i in range(10, 30)]
    assert first[0] == Event(1_767_323_050 * S, "info", "supervisor loop", "line 10")
    with path.open("a") as file:
        file.write("2026-01-02T03:05:00.000+00:00 slopes: ended: killed by SIGKILL\nhalf a li")
    assert told(log, snapshot(2, pipelines=[pipeline(str(path))])) == [
        ("bad", "supervisor loop", "slopes: ended: killed by SIGKILL")
    ]
    assert told(log, snapshot(3, pipelines=[pipeline(str(path))])) == []
    with path.open("a") as file:
        file.write("ne without a time\n")
    (last,) = log.add(snapshot(4, pipelines=[pipeline(str(path))]))
    assert (last.time_ns, last.text) == (4 * S, "half a line without a time")
    with path.open("a") as file:
        file.write("".join(f"2026-01-02T03:06:00.000+00:00 line {i:060d}\n" for i in range(2000)))
    much = log.add(snapshot(5, pipelines=[pipeline(str(path))]))
    assert [event.text for event in much] == [f"line {i:060d}" for i in range(2000)]
    path.write_text("rotated\n")
    assert told(log, snapshot(5, pipelines=[pipeline(str(path))]))[0][2] == "rotated"
    path.unlink()
    assert told(log, snapshot(6, pipelines=[pipeline(str(path))])) == []


def test_a_log_of_an_earlier_run_counts_nothing_and_one_that_cannot_be_read_is_left_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "supervisor.log"
    path.write_text("2026-01-02T03:04:05.000+00:00 slopes: ended: killed by SIGKILL\n")
    log = EventLog()
    log.add(snapshot(1_767_323_046))
    log.add(snapshot(1_767_323_047, pipelines=[pipeline(str(path))]))
    assert (log.events[-1].level, log.bad) == ("bad", 0)
    with path.open("a") as file:
        file.write("2026-01-02T03:04:08.000+00:00 slopes: ended: killed by SIGKILL\n")
    log.add(snapshot(1_767_323_048, pipelines=[pipeline(str(path))]))
    assert log.bad == 1
    assert log.add(snapshot(1_767_323_049, pipelines=[pipeline(str(tmp_path))])) == []
