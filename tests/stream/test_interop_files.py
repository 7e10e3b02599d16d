"""Files that the C library wrote: every field, keyword, trace entry, pixel and history slot reads as it was written."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus.stream import Stream, TraceEntry
from support.c_writer import CStream
from support.processes import Spawner

NAMES = "c64_2d f32_2d f32_tcube f64_1d i32_ring5 i64_trace u16_3d u8_sems".split()
# What the file's own place decides.
ELSEWHERE = {"dialect", "computed_size", "offsets", "keywords", "proctrace", "sem_ctrl", "sem_status"}


@pytest.fixture(params=NAMES)
def copied(
    request: pytest.FixtureRequest, interop: Path, shm_dir: Path
) -> tuple[Stream, dict[str, Any], Path]:
    """A stream opened from a copy, what was in its header, and the place of the original's arrays."""
    original = interop / "isio" / f"g_{request.param}"
    shutil.copyfile(f"{original}.im.shm", shm_dir / f"g_{request.param}.im.shm")
    return fb.open(f"g_{request.param}"), json.loads(original.with_suffix(".json").read_text()), original


def test_every_header_field(copied: tuple[Stream, dict[str, Any], Path]) -> None:
    stream, fields, _ = copied
    header = stream.header()
    assert fields.keys() - ELSEWHERE <= header.keys()
    assert {key: header[key] for key in fields.keys() - ELSEWHERE} == {
        key: fields[key] for key in fields.keys() - ELSEWHERE
    }
    assert header["framebus"] == 0
    assert (stream.count, stream.name) == (fields["cnt0"], fields["name"])


def test_every_pixel(copied: tuple[Stream, dict[str, Any], Path]) -> None:
    stream, _, original = copied
    pixels = np.load(original.with_suffix(".npy"))
    assert (stream.shape, stream.dtype) == (pixels.shape, pixels.dtype)
    for data in (stream.read(), stream.latest().data, stream.history()[-1].data):
        assert data.tobytes() == pixels.tobytes()
    assert stream.latest().still_valid()


def test_every_keyword(copied: tuple[Stream, dict[str, Any], Path]) -> None:
    stream, fields, _ = copied
    written = fields["keywords"]
    assert dict(stream.keywords) == {k["name"]: k["value"] for k in written}
    for k in written:
        assert type(stream.keywords[k["name"]]) is {"L": int, "D": float, "S": str}[k["type"]]
        assert stream.keywords.comment(k["name"]) == k["comment"]
        assert stream.keywords.updates(k["name"]) == k["count"]
    assert stream.keywords.slots == fields["nkw"]


def test_every_trace_entry(copied: tuple[Stream, dict[str, Any], Path]) -> None:
    stream, fields, _ = copied
    assert stream.trace() == [
        TraceEntry(
            trigger_mode=e["triggermode"],
            pid=e["pid"],
            trigger_inode=e["trigger_inode"],
            processing_start_ns=e["procstart_ns"],
            stream_update_ns=e["streamupdate_ns"],
            trigger_semaphore=e["trigsemindex"],
            trigger_status=e["triggerstatus"],
            trigger_count=e["cnt0"],
        )
        for e in fields["proctrace"]
        if e["pid"]
    ]


def test_times_of_the_newest_frame(copied: tuple[Stream, dict[str, Any], Path]) -> None:
    stream, fields, _ = copied
    frame = stream.history()[-1]
    assert (frame.acquisition_ns, frame.write_ns) == (fields["atime_ns"], fields["writetime_ns"])


@pytest.fixture
def dead_pid(spawn: Spawner) -> int:
    process = spawn("pass")
    process.wait()
    return process.pid


@pytest.fixture
def ring(interop: Path, shm_dir: Path, dead_pid: int) -> Path:
    """A copy of the file with a history, whose writer certainly is not alive on this machine."""
    path = shm_dir / "ring.im.shm"
    shutil.copyfile(interop / "isio" / "g_i32_ring5.im.shm", path)
    with CStream(path) as c:
        struct.pack_into("<10i", c.view, c.blocks.writer_pids, *[dead_pid] * 10)
    return path


def test_every_slot_of_the_history(ring: Path, interop: Path) -> None:
    slots = np.load(interop / "isio" / "g_i32_ring5.ring.npy")
    stream = fb.open(ring)
    assert stream.history_length == 5
    held = stream.history()
    assert [f.count for f in held] == [9, 10, 11, 12, 13]
    for f in held:
        assert f.data.tobytes() == slots[f.count % 5].tobytes()
    assert [f.count for f in stream.history(2)] == [12, 13]


def _in_the_middle_of_a_flagged_frame(c: CStream) -> None:
    c.begin()


def _in_the_middle_of_the_pixels(c: CStream) -> None:
    c.store(b"\xff" * c.frame_bytes, part=0.5)


def _in_the_middle_of_the_slot(c: CStream) -> None:
    c.store(b"\xff" * c.frame_bytes)
    c.fill_slot(part=0.5)


@pytest.mark.parametrize(
    "die", [_in_the_middle_of_a_flagged_frame, _in_the_middle_of_the_pixels, _in_the_middle_of_the_slot]
)
def test_slot_that_a_dead_writer_left_half_filled_is_not_given(
    die: Callable[[CStream], None], ring: Path, interop: Path
) -> None:
    slots = np.load(interop / "isio" / "g_i32_ring5.ring.npy")
    with CStream(ring) as c:
        die(c)
    stream = fb.open(ring)
    for _ in range(2):
        assert [f.count for f in stream.history()] == [10, 11, 12, 13]
        for f in stream.history():
            assert f.data.tobytes() == slots[f.count % 5].tobytes()
    assert stream.read().tobytes() == slots[13 % 5].tobytes()


def test_we_may_write_where_c_wrote(copied: tuple[Stream, dict[str, Any], Path], describe: Any) -> None:
    stream, before, _ = copied
    frame = (np.arange(stream.read().size) % 100).reshape(stream.shape).astype(stream.dtype)
    stream.write(frame)
    after, pixels, _ = describe(stream.path)
    assert pixels.tobytes() == frame.tobytes() == fb.open(stream.path).read().tobytes()
    changed = {key for key in before if before[key] != after[key]}
    assert changed <= {
        *("cnt0", "atime_ns", "writetime_ns", "access_ns", "cbindex", "cbcycle"),
        *("proctrace", "sem_values", "semlog_value", "sem_write_pid"),
    }
    assert after["cnt0"] == before["cnt0"] + 1
    assert after["keywords"] == before["keywords"]
    assert after["sem_read_pid"] == before["sem_read_pid"]
