"""``dao.shm`` as scripts use it: making, opening, writing, reading, waiting, and what it says when it cannot."""

from __future__ import annotations

import json
import shutil
import struct
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import framebus as fb
from framebus.compat import dao
from framebus.compat.dao import segment
from framebus.errors import (
    DataError,
    FramebusError,
    StreamFormatError,
    StreamNotFound,
    StreamRecreated,
    UsageError,
    WaitTimeout,
)
from support.dao_writer import CNT2, HEADER, OLD_HEADER, TYPES, DaoStream, write_old_file
from support.processes import Spawner
from support.waiting import until

_FB_WAITING = 108  # the header's word in which sleepers on the counter leave the count they sleep at


@pytest.fixture
def path(shm_dir: Path, dao_name: str) -> Path:
    return shm_dir / f"{dao_name}.im.shm"


def numbered(*shape: int, dtype: str = "float32") -> npt.NDArray[Any]:
    return np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(dtype)


def made(path: Path, *frames: float, depth: int = 1) -> dao.shm:
    """A stream of shape (2, 3) that holds these frames, every pixel of one alike."""
    shm = dao.shm(str(path), np.full((2, 3), frames[0], np.float32), depth=depth)
    for value in frames[1:]:
        shm.set_data(np.full((2, 3), value, np.float32))
    return shm


def values(frames: npt.NDArray[Any] | None) -> list[float]:
    """What every pixel of each frame of shape (2, 3) is."""
    assert frames is not None
    flat = frames.reshape(-1, 6)
    assert (flat == flat[:, :1]).all(), "a frame is of two"
    return list(flat[:, 0])


# ---- making and opening --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "depth"), [((5,), 1), ((4, 1), 3), ((2, 3, 4), 2)])
def test_an_array_makes_a_file_that_dao_reads(
    path: Path, shape: tuple[int, ...], depth: int, dtype: str
) -> None:
    dao.shm(str(path), numbered(*shape, dtype=dtype), depth=depth)  # nobody keeps the handle
    with DaoStream(path) as theirs:
        assert (theirs.shape, theirs.dtype, theirs.depth, theirs.count) == (shape, np.dtype(dtype), depth, 1)
        np.testing.assert_array_equal(theirs.pixels(), numbered(*shape, dtype=dtype))
        assert all(semaphore is not None for semaphore in theirs.semaphores)


def test_a_file_of_dao_opens(path: Path) -> None:
    with DaoStream.create(path, (2, 3), "int16", depth=4) as theirs:
        theirs.write(numbered(2, 3, dtype="int16"))
        shm = dao.shm(path)
        assert (shm.depth, shm.get_counter()) == (4, 1)
        np.testing.assert_array_equal(shm.get_data(), numbered(2, 3, dtype="int16"))


@pytest.mark.parametrize("name", ["d_u16_2d", "d_f64_3d", "d_f32_fifo4"])
def test_files_that_dao_wrote_open(name: str, path: Path, interop: Path) -> None:
    shutil.copy(interop / "dao" / f"{name}.im.shm", path)
    slots = json.loads((interop / "dao" / f"{name}.json").read_text())["metadata"]
    pixels = np.load(interop / "dao" / f"{name}.npy")
    last = slots[0]["fifo_last_written"]
    shm = dao.shm(path)
    assert (shm.depth, shm.get_counter()) == (len(slots), slots[last]["cnt0"])
    np.testing.assert_array_equal(shm.get_data(), pixels[last])
    for i, fields in enumerate(slots):
        np.testing.assert_array_equal(shm.get_data_arbitrary(i), pixels[i])
        metadata = shm.get_meta_data(i)
        expected = {"name": fields["name"].encode(), "NBkw": fields["nkw"], "fifo_size": len(slots)}
        for field in ("naxis", "size", "nelement", "atype", "shared", "sem", "cnt0", "cnt1", "cnt2", "write"):
            expected[field] = fields[field]
        assert {field: metadata[field] for field in expected} == expected
        assert metadata["atime"]["ts"]["tv_nsec"] == fields["atime_ns"]


@pytest.mark.parametrize("header", [HEADER, OLD_HEADER])
def test_files_from_before_the_fifo_have_a_depth_of_one(path: Path, header: int) -> None:
    write_old_file(path, numbered(2, 3), header=header, count=7)
    shm = dao.shm(path)
    assert (shm.depth, shm.get_counter(), shm.get_meta_data()["fifo_size"]) == (1, 7, 1)
    np.testing.assert_array_equal(shm.get_data_arbitrary(5), numbered(2, 3))
    shm.set_data(numbered(2, 3) * 2)
    np.testing.assert_array_equal(shm.get_history(1), [numbered(2, 3) * 2])


def test_making_a_stream_that_is_there_keeps_its_file_and_its_readers(path: Path) -> None:
    first = made(path, 1, depth=3)
    reader = dao.shm(path)
    with DaoStream(path) as theirs:
        again = made(path, 2, depth=2)  # what is deeper does
        assert (again.get_counter(), again.depth, first.get_counter()) == (2, 3, 2)
        assert values(reader.get_data(check=True, timeout=5)) == [2]
        assert values(theirs.pixels()) == [2]


@pytest.mark.parametrize(("other", "depth"), [(numbered(2, 4), 1), (numbered(2, 3, dtype="int16"), 1)])
def test_another_shape_or_dtype_makes_a_new_file_and_tells_readers(
    path: Path, other: npt.NDArray[Any], depth: int
) -> None:
    reader = made(path, 1)
    new = dao.shm(path, other, depth=depth)
    np.testing.assert_array_equal(new.get_data(), other)
    for read in (reader.get_data, reader.get_counter, reader.get_history, reader.reset_tail):
        with pytest.raises(StreamRecreated, match="another shape or dtype"):
            read()


def test_more_depth_makes_a_new_file_that_readers_follow(path: Path) -> None:
    reader = made(path, 1)
    made(path, 2, depth=3)
    assert (reader.get_counter(), reader.depth) == (1, 3)
    assert values(reader.get_data()) == [2]
    # The tail had not come to the old file's frame yet.
    assert [values(reader.get_data_next()[1]) for _ in range(2)] == [[1], [2]]


def test_a_relative_path_stays_the_same_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path.cwd()
    monkeypatch.chdir(path.parent)
    shm = dao.shm(path.name, numbered(2, 3))
    monkeypatch.chdir(here)
    assert shm.stream.path == path
    assert dao.shm(path).get_counter() == 1


def test_a_file_that_is_not_there(path: Path) -> None:
    for expected in (FileNotFoundError, StreamNotFound, FramebusError):
        with pytest.raises(expected, match=r"give dao\.shm an array to make it"):
            dao.shm(path)


def test_a_file_that_is_not_daos(path: Path) -> None:
    fb.create(path, shape=(2, 3))
    with pytest.raises(UsageError, match="ImageStreamIO's format"):
        dao.shm(path)
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(StreamFormatError):
        dao.shm(path)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"fname": None}, "fname is missing"),
        ({"fname": ""}, "fname is missing"),
        ({"depth": 0}, "depth is 0, expected 1 or more"),
        ({"nbkw": 51}, "nbkw is 51, there is room for 50"),
        ({"gpu": 0}, "for streams on a GPU use DAO's own library"),
        ({"data": np.zeros((2, 3), bool)}, "cannot carry dtype bool"),
        ({"data": np.zeros((2, 3), np.float16)}, "no float16"),
        ({"data": np.float32(1)}, "expected 1 to 3 axes"),
        ({"data": np.zeros((1, 1, 1, 1))}, "expected 1 to 3 axes"),
    ],
)
def test_wrong_arguments(path: Path, arguments: dict[str, Any], expected: str) -> None:
    given: dict[str, Any] = {"fname": path, "data": numbered(2, 3)} | arguments
    with pytest.raises(UsageError, match=expected):
        dao.shm(**given)
    assert not path.exists()


def test_arguments_of_daos_network_and_log_are_taken(path: Path) -> None:
    shm = dao.shm(path, numbered(2, 3), 10, 5560, 5561, "elsewhere", 0, 2)
    assert (shm.depth, shm.is_gpu(), shm.device_ptr()) == (2, False, None)  # type: ignore[func-returns-value]


# ---- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        numbered(6),
        numbered(3, 2),
        numbered(2, 6)[:, ::2] * 0 + numbered(2, 3),
        numbered(3, 2).T,
        numbered(2, 3, dtype=">f4"),
    ],
    ids=["flat", "another shape", "strided", "transposed", "big-endian"],
)
def test_set_data_takes_as_many_elements_of_the_dtype(path: Path, frame: npt.NDArray[Any]) -> None:
    shm = made(path, 0)
    shm.set_data(frame)
    np.testing.assert_array_equal(dao.shm(path).get_data(), np.ascontiguousarray(frame).reshape(2, 3))


@pytest.mark.parametrize("frame", [np.zeros((2, 3)), np.zeros((2, 3), np.int32), [[1, 2, 3], [4, 5, 6]]])
def test_another_dtype_is_refused(path: Path, frame: npt.ArrayLike) -> None:
    shm = made(path, 1)
    for expected in (TypeError, UsageError):
        with pytest.raises(expected, match=r"frames have float32; convert it first: .*astype\('float32'\)"):
            shm.set_data(frame)
    assert (shm.get_counter(), values(shm.get_data())) == (1, [1])


def test_another_number_of_elements_is_refused(path: Path) -> None:
    shm = made(path, 1)
    with pytest.raises(ValueError, match=r"shape \(2, 4\), frames have \(2, 3\): 6 elements"):
        shm.set_data(numbered(2, 4))
    assert shm.get_counter() == 1


def test_writing_to_a_removed_stream_is_an_error(path: Path) -> None:
    shm = made(path, 1)
    dao.shm(path).stream.remove()
    with pytest.raises(StreamRecreated, match="removed"):
        shm.set_data(numbered(2, 3))


# ---- reading -------------------------------------------------------------------------------------------------------


def test_arrays_are_copies(path: Path) -> None:
    shm = made(path, 1, depth=2)
    arrays: list[Any] = [
        shm.get_data(),
        shm.get_data(x=slice(0, 1)),
        shm.get_data_next()[1],
        shm.get_data_arbitrary(0),
        shm.get_history(1),
    ]
    for array in arrays:
        assert array.flags.writeable
        assert array.flags.owndata or array.base.flags.owndata
    for value in (2, 3):
        shm.set_data(np.full((2, 3), value, np.float32))
    assert [set(array.flat) for array in arrays] == [{1.0}] * 5
    arrays[0][:] = 9
    assert values(shm.get_data()) == [3]


@pytest.mark.parametrize(
    ("x", "y"),
    [(slice(1, 3), None), (None, slice(1, 2)), (slice(0, 2), slice(0, 1)), (1, 0), (slice(9, 9), None)],
)
def test_parts_of_frames(path: Path, x: Any, y: Any) -> None:
    shm = dao.shm(path, numbered(2, 3), depth=2)
    rows, columns = slice(None) if y is None else y, slice(None) if x is None else x
    expected = numbered(2, 3)[rows, columns]
    for found in (
        shm.get_data(x=x, y=y),
        shm.get_data_next(x=x, y=y)[1],
        shm.get_data_arbitrary(0, x=x, y=y),
        shm.get_history(1, x=x, y=y)[0],
    ):
        np.testing.assert_array_equal(found, expected)


def test_parts_of_frames_of_other_numbers_of_axes(path: Path) -> None:
    shm = dao.shm(path, numbered(5))
    np.testing.assert_array_equal(shm.get_data(x=slice(1, 3)), [2, 3])
    with pytest.raises(UsageError, match="frames have one axis"):
        shm.get_data(y=slice(0, 1))
    cube = dao.shm(path, numbered(2, 3, 4))
    np.testing.assert_array_equal(
        cube.get_data(x=slice(0, 2), y=slice(1, 2)),
        numbered(2, 3, 4)[1:2, 0:2],
    )


def test_check_gives_what_the_handle_has_not_had(path: Path) -> None:
    writer = made(path, 1)
    assert values(writer.get_data(check=True, timeout=5)) == [1]  # its own
    reader = dao.shm(path)
    with pytest.raises(WaitTimeout, match=r"no new frame within 0\.001 s"):
        reader.get_data(check=True, timeout=0.001)
    writer.set_data(np.full((2, 3), 2, np.float32))
    writer.set_data(np.full((2, 3), 3, np.float32))
    assert values(reader.get_data(check=True, semNb=3, timeout=5)) == [3]
    writer.set_data(np.full((2, 3), 4, np.float32))
    assert values(reader.get_data()) == [4]
    with pytest.raises(TimeoutError):
        reader.get_data(check=True, timeout=0.001, spin=True)
    with pytest.raises(UsageError, match="expected seconds >= 0"):
        reader.get_data(check=True, timeout=-1)


READER = """
    import sys
    from framebus.compat import dao
    shm = dao.shm(sys.argv[1])
    print("open")
    print("newest", int(shm.get_data(check=True)[0, 0]))
    status, frame = shm.get_data_next(wait=True)
    print("next", status, int(frame[0, 0]))
    status, frame = shm.get_data_next(wait=True)
    print("next", status, int(frame[0, 0]))
    print("spun", int(shm.get_data(check=True, spin=True)[0, 0]))
    print("history", shm.get_history(2, buffer=True)[:, 0, 0].astype(int).tolist())
"""


@pytest.mark.parametrize("dao_writes", [False, True], ids=["framebus writes", "DAO writes"])
def test_another_process_waits(path: Path, spawn: Spawner, dao_writes: bool) -> None:
    shm = made(path, 1, depth=4)
    theirs = DaoStream(path)
    reader = spawn(READER, str(path))

    def write(value: int) -> None:
        frame = np.full((2, 3), value, np.float32)
        if dao_writes:
            theirs.write(frame)
        else:
            shm.set_data(frame)

    def asleep() -> bool:
        return int(np.fromfile(path, np.uint32, 1, offset=_FB_WAITING)[0]) == shm.get_counter() % 2**32

    reader.expect("open")
    if not dao_writes:
        until(asleep)
    write(2)
    assert reader.expect("newest") == "newest 2"
    assert reader.expect("next") == "next 0 2"
    if not dao_writes:
        until(asleep)
    write(3)
    assert reader.expect("next") == "next 0 3"
    assert reader.expect("spun") == "spun 3"  # of another tail: it has not had that
    write(4)
    write(5)
    assert reader.expect("history") == "history [4, 5]"
    assert reader.wait() == 0
    theirs.close()


def test_a_handle_for_another_thread(path: Path) -> None:
    shm = made(path, 1)
    twin, found = shm.twin(), []
    thread = threading.Thread(target=lambda: found.append(values(twin.get_data(check=True))))
    thread.start()
    shm.set_data(np.full((2, 3), 2, np.float32))
    thread.join()
    assert found == [[2]]


# ---- when nothing comes --------------------------------------------------------------------------------------------


def test_none_instead_of_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = made(path, 1, depth=2)
    reader, other = writer.twin(), writer.twin()
    reader.on_timeout = "none"
    assert reader.get_data(check=True, timeout=0.001) is None
    assert reader.get_history(check=True, timeout=0.001) is None
    with pytest.raises(WaitTimeout):
        other.get_data(check=True, timeout=0.001)
    monkeypatch.setattr(dao.shm, "on_timeout", "none")
    assert other.get_data(check=True, timeout=0.001) is None
    monkeypatch.setattr(dao.shm, "on_timeout", "None")
    with pytest.raises(UsageError, match="on_timeout is 'None', expected 'raise' or 'none'"):
        other.get_data(check=True, timeout=0.001)


def test_get_data_next_tells_by_its_status(path: Path) -> None:
    reader = made(path, 1).twin()
    assert reader.get_data_next(wait=True, timeout=0.001) == (dao.DAO_TIMEOUT, None)
    assert reader.get_data_next() == (dao.DAO_NOTREADY, None)


def test_statuses_have_daos_values() -> None:
    names = ["DAO_SUCCESS", "DAO_ERROR", "DAO_TIMEOUT", "DAO_OVERWRITE", "DAO_NOTREADY"]
    assert [getattr(dao, name) for name in names] == [0, 1, -1, -2, -3]
    assert [getattr(dao.shm, name) for name in names] == [0, 1, -1, -2, -3]


def test_half_a_frame_is_never_given(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = made(path, 1)
    monkeypatch.setattr(segment, "DEFAULT_TIMEOUT_S", 0.01)
    with DaoStream(path) as theirs:
        theirs.begin()
        theirs.store(np.full((2, 3), 2, np.float32), part=0.5)
        reads: list[Callable[[], object]] = [lambda: reader.get_data_arbitrary(0), reader.get_history]
        for read in reads:
            with pytest.raises(WaitTimeout, match="a frame was begun and not finished"):
                read()
        reader.on_timeout = "none"
        assert reader.get_history() is None
        theirs.store(np.full((2, 3), 2, np.float32))
        for step in ("clear_write", "advance", "stamp", "count_frame", "post"):
            getattr(theirs, step)()
    assert values(reader.get_data()) == [2]


# ---- history -------------------------------------------------------------------------------------------------------


def test_history_has_zeros_for_what_was_never_written(path: Path) -> None:
    shm = made(path, 1, 2, depth=4)
    assert values(shm.get_history(4)) == [0, 0, 1, 2]
    for value in (3, 4, 5):
        shm.set_data(np.full((2, 3), value, np.float32))
    assert values(shm.get_history(4)) == [2, 3, 4, 5]
    assert values(shm.get_history()) == [5]


def test_history_that_waits_goes_on_behind_what_was_had(path: Path) -> None:
    writer = made(path, 1, depth=4)
    reader = writer.twin()
    writer.set_data(np.full((2, 3), 2, np.float32))
    assert values(reader.get_history(2, check=True, timeout=5)) == [1, 2]
    with pytest.raises(WaitTimeout):
        reader.get_history(2, check=True, timeout=0.001)
    for value in (3, 4, 5):
        writer.set_data(np.full((2, 3), value, np.float32))
        if value < 5:
            with pytest.raises(WaitTimeout):
                reader.get_history(3, buffer=True, timeout=0.001)
    assert values(reader.get_history(3, buffer=True, timeout=5)) == [3, 4, 5]
    with pytest.raises(WaitTimeout):
        reader.get_history(1, buffer=True, timeout=0.001)


@pytest.mark.parametrize("n", [0, -1, 3])
def test_history_of_more_than_the_depth(path: Path, n: int) -> None:
    with pytest.raises(UsageError, match=f"num_items is {n}, expected 1 to 2, the FIFO's depth"):
        made(path, 1, depth=2).get_history(n)


def test_history_waits_for_a_writer_that_is_in_its_oldest_frame(path: Path) -> None:
    writer = made(path, 1, 2, 3, depth=3)
    reader = writer.twin()
    found: list[list[float]] = []
    with writer.stream.writing() as view:
        view[:] = 4
        thread = threading.Thread(target=lambda: found.append(values(reader.get_history(3))))
        thread.start()
        until(lambda: np.fromfile(path, np.uint32, 1, offset=_FB_WAITING)[0])
    thread.join()
    assert found == [[2, 3, 4]]


def test_history_of_frames_under_counts_with_gaps(path: Path) -> None:
    shm = made(path, 1, 2, depth=3)
    shm.stream.write(np.full((2, 3), 3, np.float32), count=10)
    assert values(shm.get_history(1)) == [3]
    with pytest.raises(DataError, match=r"no counts in a row \(\[1, 2, 10\]\); ask for fewer"):
        shm.get_history(3)


# ---- about the stream ----------------------------------------------------------------------------------------------


def test_metadata_is_what_the_bytes_say(path: Path) -> None:
    with DaoStream.create(path, (2, 3), "uint16", depth=3, keyword_slots=4) as theirs:
        theirs.write(numbered(2, 3, dtype="uint16"))
        theirs.put_packet(np.array([9, 9, 9], np.uint16), 3, 1, 2, frame_number=77)
        theirs.put_packet(np.array([8, 8, 8], np.uint16), 0, 0, 2, frame_number=78)
        theirs.finish()
        struct.pack_into("<Q", theirs.view, HEADER + CNT2, 1234)
        shm = dao.shm(path)
        found = shm.get_meta_data()
        acquired = theirs.acquired_ns(1)
        created = struct.unpack_from("<d", theirs.view, 112)[0]
    assert found is shm.mtdata
    ids = found.pop("lastNbArray")
    assert (len(ids), ids[:3]) == (512, [78, 77, 0])
    assert found == {
        "name": str(path).encode()[:79],
        "naxis": 2,
        "size": [2, 3, 0],
        "nelement": 6,
        "atype": 3,
        "creation_time": created,
        "last_access": created,
        "atime": {
            "ts": {"tv_sec": 0, "tv_nsec": acquired},
            "tsfixed": {"firstlong": 0, "secondlong": acquired},
        },
        "shared": 1,
        "status": 0,
        "logflag": 0,
        "sem": 0,  # of slot 1; that of slot 0 counts
        "cnt0": 2,
        "cnt1": 0,
        "cnt2": 1234,
        "write": 0,
        "NBkw": 4,
        "lastPos": 0,
        "lastNb": 3,
        "packetNb": 0,
        "packetTotal": 2,
        "fifo_size": 3,
        "fifo_last_written": 1,
    }
    assert shm.get_frame_id() == 1234
    assert [shm.get_meta_data(slot)["cnt0"] for slot in (0, 1, 2, 3, -1)] == [1, 2, 0, 1, 0]
    assert shm.get_meta_data(0)["sem"] == 10


def test_timestamp_is_local_time(path: Path, spawn: Spawner) -> None:
    before = datetime.now()  # noqa: DTZ005 - as DAO's is
    shm = made(path, 1)
    after = datetime.now()  # noqa: DTZ005
    assert before - timedelta(microseconds=1) <= shm.get_timestamp() <= after
    shm.stream.write(numbered(2, 3), acquisition_ns=1_600_000_000_123_456_789)
    script = """
        import sys
        from framebus.compat import dao
        print("at", dao.shm(sys.argv[1]).get_timestamp())
    """
    elsewhere = spawn(script, str(path), env={"TZ": "EAST-1"})
    assert elsewhere.expect("at") == "at 2020-09-13 13:26:40.123456"


def test_the_counter_follows_a_stream_that_was_made_anew(path: Path) -> None:
    reader = made(path, 1, 2, depth=2)
    fb.create(path, shape=(2, 3), dialect="dao", history=2).write(np.full((2, 3), 9))
    assert (reader.get_counter(), reader.get_meta_data()["cnt0"]) == (1, 1)
    assert values(reader.get_history(2)) == [0, 9]


def test_close(path: Path) -> None:
    with made(path, 1) as shm:
        assert repr(shm).startswith("<dao.shm of <Stream")
    shm.close()
    for use in (shm.get_data, shm.get_counter, shm.get_data_next, lambda: shm.set_data(numbered(2, 3))):
        with pytest.raises(UsageError, match="closed"):
            use()
    assert dao.shm(path).get_counter() == 1


# ---- what is not there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("image", "get_meta_data"),
        ("daoShmSetData", "methods of this class"),
        ("daoShmSetDataPartFinalize", "shm.stream.assemble"),
        ("pubThread", "network"),
        ("subscribe", "network"),
        ("commit", "GPU"),
    ],
)
def test_what_dao_has_and_framebus_has_not(path: Path, name: str, advice: str) -> None:
    shm = made(path, 1)
    for expected in (dao.Unavailable, AttributeError, UsageError):
        with pytest.raises(expected, match=rf"dao\.shm\.{name} is not in framebus: .*{advice}"):
            getattr(shm, name)
    assert not hasattr(shm, name)


def test_what_daos_module_has_and_framebus_has_not() -> None:
    with pytest.raises(dao.Unavailable, match=r"dao\.daoLib is not in framebus: DAO's C library is not used"):
        dao.daoLib  # noqa: B018
    with pytest.raises(dao.Unavailable, match="leave the line out"):
        dao.setLogLevel(0)


def test_misspelt_names_are_plain_attribute_errors(path: Path) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'get_dat'") as raised:
        made(path, 1).get_dat  # noqa: B018
    assert not isinstance(raised.value, FramebusError)
    with pytest.raises(AttributeError, match="'dao' has no attribute 'smh'"):
        dao.smh  # noqa: B018


def test_the_import_is_light(spawn: Spawner) -> None:
    process = spawn("""
        import sys
        import framebus.compat.dao as dao
        print("loaded", sorted({"zmq", "astropy", "numba", "scipy", "click", "rich", "msgspec"} & sys.modules.keys()))
    """)
    assert process.expect("loaded") == "loaded []"
