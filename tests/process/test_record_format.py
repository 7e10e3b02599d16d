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
        record.fail("broken", "line 1", code=-3)
        record.set_message("later", "line 2")
        record.step(5)
        return record.path.read_bytes()


def test_the_layout_is_the_documented_one(valid: bytes) -> None:
    assert len(valid) == SIZE
    assert valid[:8] == b"FBRECORD"
    assert struct.unpack_from("<IIQII", valid, 8) == (1, HEADER, SIZE, RING, ENTRY)
    texts = {32: b"unit", 112: b"package:unit", 432: b"wfs"}
    for offset, text in texts.items():
        assert valid[offset : offset + 80].rstrip(b"\0") == text
    pid, _ticks, thread, cpu, priority = struct.unpack_from("<iIiii", valid, 512)
    assert (pid, thread, cpu, priority) == (os.getpid(), os.getpid(), 2, 10)
    assert struct.unpack_from("<qqII", valid, 544) == (0, 0, 0, 0), "limits: none yet"
    assert struct.unpack_from("<IiQ", valid, 576) == (4, -3, 1)
    assert struct.unpack_from("<I", valid, 640) == (5 << 8 | 2,)
    assert struct.unpack_from("<QQQ", valid, 704) == (3, 6, 3)
    assert struct.unpack_from("<Q", valid, 768) == (2,)
    assert valid[832 : 832 + 256].rstrip(b"\0") == b"later"
    assert valid[832 + 256 : 832 + 2304].rstrip(b"\0") == b"line 2"
    assert valid[832 + 2304 : 832 + 2304 + 256].rstrip(b"\0") == b"broken"
    assert struct.unpack_from("<QQqqqQQQ", valid, HEADER + 2 * ENTRY) == (2, 102, 2, 20, 22, 2, 0, 0)


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
    assert record.unit in repr(record)
    with contextlib.suppress(UsageError):  # told to stop, or its process is dead
        record.step()


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


@pytest.mark.parametrize(
    ("field", "offset", "new"),
    [
        ("magic", 0, b"X"),
        ("version", 8, u32(2)),
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
        ("state", 576, u32(5)),
        ("control", 640, u32(4)),
        ("control", 640, u32(2)),
        ("control", 640, u32(256)),
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
    # Loop 4's entry is begun: its number is 0, half of its fields are new, the loop count is the old one.
    path = _damaged(tmp_path, valid, {HEADER + 4 * ENTRY: bytes(8) + b"\x55" * 24})
    with ProcessRecord.open(path) as record:
        assert record.timings()["loop"].tolist() == [1, 2, 3]
    # An entry that was being overwritten when it was read: it and what is older are left out.
    path = _damaged(tmp_path, valid, {HEADER + 2 * ENTRY: bytes(8)})
    with ProcessRecord.open(path) as record:
        assert record.timings()["loop"].tolist() == [3]


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
