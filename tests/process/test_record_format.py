"""The file format of process records, what damage to it does, and reading while another process writes."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import StreamFormatError, UsageError
from framebus.process import ProcessRecord, State
from support.processes import Spawner

HEADER, ENTRY, RING = 8192, 64, 1024
SIZE = HEADER + RING * ENTRY


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with ProcessRecord.create(
        "unit",
        use="package:unit",
        trigger="wfs",
        cpu=2,
        priority=10,
        directory=tmp_path_factory.mktemp("valid"),
    ) as record:
        for loop in range(1, 4):
            record.core.stamp(loop + 100, loop, 10 * loop, 11 * loop, loop)
        record.step(5)
        record.fail("broken", "line 1", code=-3)
        record.set_message("later", "line 2")
        record.core.note_skipped()
        record.core.set_refusals("CPU 99")
        record.set_limits(period_us=2, compute_us=0.001)
        record.core.stamp(104, 4, 100_000, 100_005, 0, 77, 88)
        record.serve_events()
        record.core.post_event(2)
        record.core.take_event()
        record.core.post_event(5)
        return record.path.read_bytes()


def test_the_layout_is_the_documented_one(valid: bytes) -> None:
    assert len(valid) == SIZE
    assert valid[:8] == b"FBRECORD"
    assert struct.unpack_from("<IIQII", valid, 8) == (2, HEADER, SIZE, RING, ENTRY)
    texts = {32: b"unit", 112: b"package:unit", 432: b"wfs"}
    for offset, text in texts.items():
        assert valid[offset : offset + 80].rstrip(b"\0") == text
    pid, _ticks, thread, cpu, priority = struct.unpack_from("<iIiii", valid, 512)
    assert (pid, thread, cpu, priority) == (os.getpid(), os.getpid(), 2, 10)
    assert struct.unpack_from("<qqII", valid, 544) == (2000, 1, 0, 0)
    assert struct.unpack_from("<IiQ", valid, 576) == (4, -3, 1)
    assert struct.unpack_from("<IIII", valid, 640) == (5 << 8 | 2, 1 << 8 | 5, 1, 4)
    assert struct.unpack_from("<QQQQQ", valid, 704) == (4, 6, 0, 1, 2)
    assert struct.unpack_from("<QQQ", valid, 768) == (2, 2, 1)
    assert valid[832 : 832 + 256].rstrip(b"\0") == b"later"
    assert valid[832 + 256 : 832 + 2304].rstrip(b"\0") == b"line 2"
    assert valid[832 + 2304 : 832 + 2304 + 256].rstrip(b"\0") == b"broken"
    (alarm_ns,) = struct.unpack_from("<q", valid, 5440)
    assert alarm_ns > 0
    alarms = [valid[at : at + 248].rstrip(b"\0").decode() for at in (5440 + 8, 5440 + 256 + 8)]
    assert alarms == [
        "period 99.9 µs is above its limit of 2.0 µs (loop 4)",
        "compute time 5 ns is above its limit of 1 ns (loop 4)",
    ]
    assert valid[5952 + 1024 : 5952 + 2048].rstrip(b"\0") == b"CPU 99"
    assert not any(valid[8000:HEADER])
    assert struct.unpack_from("<QQqqqQQq", valid, HEADER + 2 * ENTRY) == (2, 102, 2, 20, 22, 2, 0, 0)
    assert struct.unpack_from("<QQqqqQQq", valid, HEADER + 4 * ENTRY) == (
        4,
        104,
        4,
        100_000,
        100_005,
        0,
        77,
        88,
    )


def _damaged(directory: Path, content: bytes, changes: dict[int, bytes]) -> Path:
    data = bytearray(content)
    for offset, new in changes.items():
        data[offset : offset + len(new)] = new
    path = directory / "damaged.1.proc.fb"
    path.write_bytes(data)
    return path


def _use(record: ProcessRecord) -> None:
    """Everything that one does with a record; damage that got this far must do no harm."""
    assert record.state in State
    assert record.control in ("run", "pause", "step", "stop")
    assert len(record.timings()) <= RING
    record.statistics()
    assert isinstance(record.rate_hz, float)
    record.message.encode()
    record.traceback.encode()
    record.last_alarm.encode()
    assert record.last_alarm_ns is not None
    assert record.limits.action in ("alarm", "pause")
    "".join(record.refusals).encode()
    assert record.unit in repr(record)
    with contextlib.suppress(UsageError):  # told to stop, in error, or its process is dead
        record.step()


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


@pytest.mark.parametrize(
    ("field", "offset", "new"),
    [
        ("magic", 0, b"X"),
        ("version", 8, u32(1)),
        ("header_size", 12, u32(4096)),
        ("file_size", 16, u32(4096)),
        ("ring_length", 24, u32(2048)),
        ("entry_size", 28, u32(40)),
        ("unit", 32, b"\0"),
        ("unit", 32, b"x" * 80),
        ("use", 112, b"x" * 256),
        ("host", 368, b"x" * 64),
        ("trigger", 432, b"x" * 80),
        ("pid", 512, u32(0)),
        ("thread_id", 520, u32(0)),
        ("cpu", 524, struct.pack("<i", -2)),
        ("priority", 528, u32(100)),
        ("creation_ns", 536, b"\xff" * 8),
        ("period_limit_ns", 544, b"\xff" * 8),
        ("compute_limit_ns", 552, b"\xff" * 8),
        ("limit_action", 560, u32(2)),
        ("state", 576, u32(5)),
        ("control", 640, u32(4)),
        ("control", 640, u32(2)),
        ("control", 640, u32(256)),
        ("event_word", 644, u32(9)),
    ],
)
def test_damage_is_reported_with_its_field(
    valid: bytes, tmp_path: Path, field: str, offset: int, new: bytes
) -> None:
    path = _damaged(tmp_path, valid, {offset: new})
    with pytest.raises(StreamFormatError) as caught:
        ProcessRecord.open(path)
    assert (caught.value.field, caught.value.path) == (field, str(path))


@pytest.mark.parametrize("content", [b"", b"FBRECORD", bytes(SIZE - 1), bytes(SIZE + 1)])
def test_a_file_of_another_size_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.1.proc.fb"
    path.write_bytes(content)
    with pytest.raises(StreamFormatError) as caught:
        ProcessRecord.open(path)
    assert caught.value.field == "file size"


@given(
    changes=st.dictionaries(
        st.one_of(st.integers(0, HEADER + 8 * ENTRY), st.integers(0, SIZE - 8)),
        st.binary(min_size=1, max_size=8),
        min_size=1,
        max_size=5,
    )
)
def test_random_damage_gives_a_format_error_or_a_usable_record(
    changes: dict[int, bytes], valid: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = _damaged(tmp_path_factory.getbasetemp(), valid, changes)
    try:
        record = ProcessRecord.open(path)
    except StreamFormatError as error:
        named = error.field
    else:
        named = "opened"
        with record:
            _use(record)
    assert named


def test_state_and_control_that_are_damaged_later_are_still_read(tmp_path: Path, valid: bytes) -> None:
    path = _damaged(tmp_path, valid, {})
    with ProcessRecord.open(path) as record, path.open("r+b") as file:
        for offset in (576, 640):
            file.seek(offset)
            file.write(b"\xff" * 4)
        file.flush()
        assert (record.state, record.control) == (State.ERROR, "stop")


def test_a_loop_that_died_while_stamping_leaves_whole_timings(tmp_path: Path, valid: bytes) -> None:
    # Loop 5's entry is begun: its number is 0, half of its fields are new, the loop count is the old one.
    path = _damaged(tmp_path, valid, {HEADER + 5 * ENTRY: bytes(8) + b"\x55" * 24})
    with ProcessRecord.open(path) as record:
        assert record.timings()["loop"].tolist() == [1, 2, 3, 4]
    # An entry that was being overwritten when it was read: it and what is older are left out.
    path = _damaged(tmp_path, valid, {HEADER + 2 * ENTRY: bytes(8)})
    with ProcessRecord.open(path) as record:
        assert record.timings()["loop"].tolist() == [3, 4]


def test_a_reader_gets_whole_entries_and_messages_while_they_are_written(spawn: Spawner) -> None:
    unit = spawn("""
        from framebus.process import ProcessRecord
        r = ProcessRecord.create("unit")
        stamp, say = r.core.stamp, r.set_message
        print("ready")
        input()
        for n in range(1, 100_001):
            stamp(n, 2 * n, 3 * n, 4 * n, 1)
            if n % 10 == 0:
                say(f"{n:.<250}", f"{n:.<2000}")
        print("done")
    """)
    unit.expect("ready")
    with ProcessRecord.open("unit") as record:
        unit.send()
        looks = 0
        while record.loop_count < 100_000:
            before = record.loop_count
            timings = record.timings()
            loops = timings["loop"]
            assert np.array_equal(np.diff(loops), np.ones(max(len(loops) - 1, 0)))
            assert np.array_equal(timings["trigger_count"], loops)
            assert np.array_equal(timings["trigger_ns"], 2 * loops)
            assert np.array_equal(timings["end_ns"], 4 * loops)
            assert before == 0 or loops[-1] >= before
            message, traceback = record.core.texts()
            assert message == "" or (f"{int(message.rstrip('.')):.<250}", len(traceback)) == (message, 2000)
            assert message.rstrip(".") == traceback.rstrip(".")
            looks += 1
        assert looks > 10, "the reader must have met the writer at work"
        assert record.missed == 100_000
    assert unit.wait() == 0
