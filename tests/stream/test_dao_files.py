"""Files that DAO's library wrote, of every age, and damaged ones: they work, or are refused by a field's name."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import framebus as fb
from framebus import stream
from framebus.errors import StreamFormatError, UsageError, WaitTimeout
from framebus.stream import Stream
from support import dao_writer
from support.dao_writer import (
    ATYPE,
    FIFO_LAST,
    FIFO_SIZE,
    HEADER,
    KEYWORD,
    NAXIS,
    NBKW,
    NELEMENT,
    OLD_HEADER,
    SEM,
    SIZE,
    DaoStream,
)

NAMES = "d_f32_fifo4 d_f64_3d d_u16_2d".split()
Describe = Callable[[Path], tuple[dict[str, Any], Any, Any]]
Copied = tuple[Stream, dict[str, Any], Path]


@pytest.fixture(params=NAMES)
def copied(request: pytest.FixtureRequest, interop: Path, shm_dir: Path, dao_name: str) -> Copied:
    """A stream opened from a copy, what was in its headers, and the place of the original's arrays."""
    original = interop / "dao" / request.param
    shutil.copyfile(f"{original}.im.shm", shm_dir / f"{dao_name}.im.shm")
    return fb.open(dao_name), json.loads(original.with_suffix(".json").read_text()), original


def newest(fields: dict[str, Any]) -> dict[str, Any]:
    slots: list[dict[str, Any]] = fields["metadata"]
    last: int = slots[0]["fifo_last_written"]
    return slots[last]


# ---- files of DAO's library --------------------------------------------------------------------------------


def test_every_header_field(copied: Copied) -> None:
    s, fields, _ = copied
    header = s.header()
    assert len(header["slots"]) == len(fields["metadata"])
    for told, written in zip(header["slots"], fields["metadata"], strict=True):
        assert {key: told[key] for key in written} == written
    assert (header["file_size"], header["framebus"]) == (fields["file_size"], 0)
    assert (header["cnt0"], header["atime_ns"]) == (newest(fields)["cnt0"], newest(fields)["atime_ns"])
    assert header["sem_values"] == [None] * 10, "opening a stream makes no semaphores"
    assert (s.count, s.dialect.name) == (newest(fields)["cnt0"], "dao")
    depth = fields["metadata"][0]["fifo_size"]
    assert s.history_length == (depth if depth > 1 else 0)


def test_every_pixel_of_every_slot(copied: Copied) -> None:
    s, fields, original = copied
    slots = np.load(original.with_suffix(".npy"))
    last = fields["metadata"][0]["fifo_last_written"]
    assert (s.shape, s.dtype) == (slots.shape[1:], slots.dtype)
    for data in (s.read(), s.latest().data):
        assert data.tobytes() == slots[last].tobytes()
    assert s.latest().still_valid()
    written = {slot["cnt0"]: (i, slot["atime_ns"]) for i, slot in enumerate(fields["metadata"])}
    held = s.history()
    assert [f.count for f in held] == sorted(written)
    for f in held:
        slot, atime_ns = written[f.count]
        assert f.data.tobytes() == slots[slot].tobytes()
        assert (f.acquisition_ns, f.write_ns) == (atime_ns, atime_ns)
    assert s.times().tolist() == [[c, written[c][1], written[c][1]] for c in sorted(written)]


def test_every_keyword(copied: Copied) -> None:
    s, fields, _ = copied
    assert {name: (type(value), value, s.keywords.comment(name)) for name, value in s.keywords.items()} == {
        k["name"]: ({"L": int, "D": float, "S": str}[k["type"]], k["value"], k["comment"])
        for k in fields["keywords"]
    }
    assert s.keywords.slots == fields["metadata"][0]["nkw"]


def test_we_may_write_where_dao_wrote(copied: Copied, describe: Describe) -> None:
    s, before, _ = copied
    count, depth = newest(before)["cnt0"], len(before["metadata"])
    past = [(np.arange(s.read().size).reshape(s.shape) + n).astype(s.dtype) for n in range(depth + 2)]
    for n, frame in enumerate(past, 1):
        assert s.write(frame) == count + n
    after, pixels, _ = describe(s.path)
    last = after["metadata"][0]["fifo_last_written"]
    assert last == (before["metadata"][0]["fifo_last_written"] + len(past)) % depth
    for back in range(depth):
        slot = (last - back) % depth
        assert pixels[slot].tobytes() == past[-1 - back].tobytes()
        assert after["metadata"][slot]["cnt0"] == count + len(past) - back
    same = {
        "name",
        "naxis",
        "size",
        "nelement",
        "atype",
        "shared",
        "sem",
        "cnt1",
        "write",
        "nkw",
        "fifo_size",
    }
    for one, other in zip(before["metadata"], after["metadata"], strict=True):
        assert {key: one[key] for key in same} == {key: other[key] for key in same}
    assert after["keywords"] == before["keywords"]
    assert [f.count for f in fb.open(s.path).history()] == list(range(count + 3, count + depth + 3))


def test_dao_goes_on_where_we_wrote(copied: Copied) -> None:
    s, before, _ = copied
    count = newest(before)["cnt0"]
    reader = fb.open(s.path)
    with DaoStream(s.path) as d:
        for n in range(1, 12):
            frame = np.full(s.shape, n, s.dtype)
            assert (s.write if n % 3 else d.write)(frame) == count + n
            got = reader.read_next()
            assert (got.count, got.missed) == (count + n, 0)
            assert (got.data == n).all()
            d.reset_tail()
            assert (d.tail_count, d.pixels().tobytes()) == (count + n, frame.tobytes())


# ---- files from before the FIFO ----------------------------------------------------------------------------


@pytest.fixture(params=[HEADER, OLD_HEADER], ids=["no fields", "no room"])
def old(request: pytest.FixtureRequest, shm_dir: Path, dao_name: str) -> Path:
    """A file without the FIFO's fields, or with a header too short for them; frame 41 of 3 x 4 numbers from 0."""
    path = shm_dir / f"{dao_name}.im.shm"
    dao_writer.write_old_file(
        path,
        np.arange(12.0).reshape(3, 4),
        header=request.param,
        keywords=[("GAIN", "D", 0.5, "of the loop")],
        count=41,
    )
    return path


def test_old_files_are_read_and_written_to(old: Path) -> None:
    size = old.stat().st_size
    s, reader = fb.open(old), fb.open(old)
    assert (s.shape, s.dtype.name, s.count, s.history_length) == ((3, 4), "float64", 41, 0)
    assert s.read().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert (dict(s.keywords), s.keywords.comment("GAIN")) == ({"GAIN": 0.5}, "of the loop")
    header = s.header()
    assert (header["fifo_size"], header["fifo_last_written"], len(header["slots"])) == (0, 0, 1)
    with DaoStream(old) as d:
        before = bytes(d.view[d.header - 8 : d.header]) if d.header == HEADER else b""
        for n in range(42, 50):
            assert (s.write if n % 2 else d.write)(np.full((3, 4), n)) == n
            frame = reader.read_next()
            assert (frame.count, frame.missed, set(frame.data.flat)) == (n, 0, {n})
            assert d.pixels().tobytes() == frame.data.tobytes()
        s.keywords["GAIN"] = 2.5
        assert d.keywords() == [("GAIN", "D", 2.5, "of the loop")]
        assert before == (bytes(d.view[d.header - 8 : d.header]) if d.header == HEADER else b"")
    assert old.stat().st_size == size
    info = stream.describe(old)
    assert info is not None
    assert (info.state, info.dialect, info.count, info.history) == ("live", "dao", 49, 0)


@pytest.mark.parametrize("pixels", [0, 1, 2, 7, 2**31, 2**32 - 1])
def test_pixels_behind_a_short_header_are_no_fifo_fields(pixels: int, shm_dir: Path, dao_name: str) -> None:
    path = shm_dir / f"{dao_name}.im.shm"
    dao_writer.write_old_file(path, np.full(6, pixels, np.uint32), header=OLD_HEADER, count=3)
    s = fb.open(path)
    assert (s.shape, s.history_length, s.read().tolist()) == ((6,), 0, [pixels] * 6)
    for n in range(3):
        s.write(np.full(6, n, np.uint32))
    assert s.read().tolist() == [2] * 6
    assert [f.count for f in s.history()] == [6]


# ---- damage ------------------------------------------------------------------------------------------------


@pytest.fixture
def fifo(shm_dir: Path, dao_name: str) -> Path:
    """A stream of DAO's with a depth of 3, 4 frames, 2 x 5 pixels, 2 keywords."""
    path = shm_dir / f"{dao_name}.im.shm"
    with DaoStream.create(path, (2, 5), "int16", depth=3, keyword_slots=2) as d:
        for n in range(4):
            d.write(np.full((2, 5), n, np.int16))
    return path


def refused(path: Path) -> StreamFormatError:
    with pytest.raises(StreamFormatError) as caught:
        fb.open(path)
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    info = stream.describe(path)
    assert info is not None
    assert (info.state, info.error) == ("bad", str(caught.value))
    return caught.value


@pytest.mark.parametrize(
    ("at", "kind", "value", "field"),
    [
        (NAXIS, "B", 0, "naxis"),
        (NAXIS, "B", 4, "naxis"),
        (NAXIS, "B", 255, "naxis"),
        (NAXIS, "B", 1, "nelement"),
        (NAXIS, "B", 3, "size"),  # the third axis has no length
        (SIZE, "I", 0, "size"),
        (SIZE + 4, "I", 0, "size"),
        (SIZE, "I", 3, "nelement"),
        (SIZE + 4, "I", 2**32 - 1, "nelement"),
        (NELEMENT, "Q", 0, "nelement"),
        (NELEMENT, "Q", 11, "nelement"),
        (NELEMENT, "Q", 2**64 - 1, "nelement"),
        (ATYPE, "B", 0, "atype"),
        (ATYPE, "B", 13, "atype"),
        (ATYPE, "B", 255, "atype"),
        (ATYPE, "B", 9, "file size"),
        (SEM, "H", 101, "sem"),
        (SEM, "H", 65535, "sem"),
        (NBKW, "H", 1, "file size"),
        (NBKW, "H", 65535, "file size"),
        (FIFO_SIZE, "I", 0, "file size"),
        (FIFO_SIZE, "I", 2, "file size"),
        (FIFO_SIZE, "I", 2**31, "file size"),
        (FIFO_SIZE, "I", 2**32 - 1, "file size"),
        (FIFO_LAST, "I", 3, "fifo_last_written"),
        (FIFO_LAST, "I", 2**32 - 1, "fifo_last_written"),
    ],
)
def test_a_field_that_cannot_be_is_named(fifo: Path, at: int, kind: str, value: int, field: str) -> None:
    data = bytearray(fifo.read_bytes())
    struct.pack_into(f"<{kind}", data, at, value)
    fifo.write_bytes(data)
    error = refused(fifo)
    assert error.field == field
    assert field in str(error) or field == "file size"


def test_axes_whose_product_overflows(fifo: Path) -> None:
    data = bytearray(fifo.read_bytes())
    struct.pack_into("<B3I", data, NAXIS, 3, 0, 0, 0)  # over the padding too: it is not looked at
    struct.pack_into("<3I", data, SIZE, *[2**32 - 1] * 3)
    data[NAXIS] = 3
    fifo.write_bytes(data)
    assert refused(fifo).field == "size"


def test_slots_whose_bytes_overflow(fifo: Path) -> None:
    data = bytearray(fifo.read_bytes())
    struct.pack_into("<3I", data, SIZE, 2**31, 2**30, 0)
    struct.pack_into("<Q", data, NELEMENT, 2**61)
    data[ATYPE] = 1
    struct.pack_into("<I", data, FIFO_SIZE, 2**32 - 1)
    fifo.write_bytes(data)
    error = refused(fifo)
    assert error.field == "fifo_size"
    assert "overflow" in str(error)


@pytest.mark.parametrize("change", [-1, 1, -KEYWORD, KEYWORD, -20, 20, -HEADER, HEADER, -8, 8])
def test_a_file_of_another_size(fifo: Path, change: int) -> None:
    data = fifo.read_bytes()
    fifo.write_bytes(data[:change] if change < 0 else data + bytes(change))
    assert refused(fifo).field == "file size"


@pytest.mark.parametrize("size", [1, 79, 80, 112, 383, 384, 4295, 4296, 4303, 4304, 4305])
def test_a_file_that_ends_in_its_headers(fifo: Path, size: int) -> None:
    fifo.write_bytes(fifo.read_bytes()[:size])
    error = refused(fifo)
    assert error.field == "file size"
    assert f"holds {size} bytes" in str(error)


def test_a_stream_of_framebus_is_known_for_daos_too(shm_dir: Path, dao_name: str) -> None:
    """However long its path is, of which the header holds 79 bytes."""
    folder = shm_dir / ("long" * 20)
    folder.mkdir()
    for path in (shm_dir / f"{dao_name}.im.shm", folder / f"{dao_name}.im.shm"):
        with fb.create(path, shape=3, dialect="dao", history=2) as s:
            s.write([1, 2, 3])
        path.write_bytes(path.read_bytes()[:-1])
        error = refused(path)
        assert error.field == "file size"


def use(s: Stream) -> None:
    """All that can be done with a stream that opened, whatever its counters say."""
    assert s.header()["file_size"] == s.path.stat().st_size
    assert dict(s.keywords) is not None
    assert repr(s)
    for read in (s.read, s.read_next, s.latest, s.wait_newer):
        with contextlib.suppress(WaitTimeout):
            read(timeout_s=0)
    assert len(s.packets().frame_ids) <= 512
    assert [f.count for f in s.history()] == sorted(f.count for f in s.history())
    assert len(s.times()) <= max(1, s.history_length)
    frame = np.full(s.shape, 1).astype(s.dtype)
    s.write(frame)
    s.keywords["NEW"] = 1


@given(
    damage=st.lists(
        st.tuples(st.integers(0, HEADER * 2 - 1), st.integers(0, 255)), min_size=1, max_size=8
    ).map(dict)
)
@example(damage=dict.fromkeys(range(dao_writer.CNT0, dao_writer.CNT0 + 8), 255))
@example(damage=dict.fromkeys(range(HEADER + dao_writer.CNT0, HEADER + dao_writer.CNT0 + 8), 255))
@example(damage=dict.fromkeys(range(dao_writer.PACKET_TOTAL, dao_writer.PACKET_TOTAL + 4), 255))
@example(damage=dict.fromkeys(range(dao_writer.CREATION, dao_writer.CREATION + 8), 255))
def test_any_damage_is_refused_or_borne(
    damage: dict[int, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes of the headers take any values: the file is refused by a field's name, or everything works on it."""
    path = tmp_path_factory.mktemp("damaged") / "fb-test-no-semaphores.im.shm"
    data = bytearray(HEADER * 2 + 2 * 6 + KEYWORD)
    dao_writer.write_old_file(path, np.arange(6, dtype=np.uint8), count=5)
    data[:HEADER] = data[HEADER : 2 * HEADER] = path.read_bytes()[:HEADER]
    struct.pack_into("<II", data, FIFO_SIZE, 2, 1)
    for at in (0, HEADER):
        struct.pack_into("<H", data, at + NBKW, 1)
    struct.pack_into("<Q", data, HEADER + dao_writer.CNT0, 6)
    for at, value in damage.items():
        data[at] = value
    path.write_bytes(data)
    info = stream.describe(path)
    assert info is not None
    if info.state == "bad":
        assert refused(path).field
    else:
        with fb.open(path) as s:
            use(s)
    path.unlink()


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda s: s.trace(), "no process trace"),
        (lambda s: s.keywords.updates("N"), "no counters of keywords"),
        (lambda s: s.write(np.zeros(3), at_count=5), "at_count"),
    ],
)
def test_what_the_format_has_no_room_for_is_an_error(
    ask: Callable[[Stream], object], says: str, dao_name: str
) -> None:
    s = fb.create(dao_name, shape=3, dialect="dao", keywords={"N": 1})
    with pytest.raises(UsageError, match=says):
        ask(s)
    assert s.count == 0


def test_float16_is_not_daos(dao_name: str) -> None:
    with pytest.raises(UsageError, match="streams of the dialect 'dao' have no float16"):
        fb.create(dao_name, shape=3, dtype="float16", dialect="dao")
    assert fb.streams() == []
