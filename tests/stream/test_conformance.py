"""Every writer with every reader: what is written comes back, bit for bit, with its count and its history."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import framebus as fb
from framebus.stream import Stream
from framebus.stream.keywords import KeywordInput
from support import dao_writer
from support.c_writer import TYPES, CStream
from support.dao_writer import DaoStream
from support.processes import Spawner

Describe = Callable[[Path], tuple[dict[str, Any], Any, Any]]
Array = npt.NDArray[Any]
Write = Callable[[Array], object]
Writer = Callable[["Rig"], Iterator[Write]]
Read = Callable[["Rig"], tuple[Array, int]]

CASES = [((5,), "float32", 0), ((3, 4), "uint16", 1), ((7, 5), "float64", 2), ((2, 3, 5), "int8", 6)]
FRAMES = 8

OTHER_PROCESS = """
    import base64, sys
    import numpy as np
    import framebus as fb
    s = fb.open(sys.argv[1])
    print("ready")
    for line in sys.stdin:
        print("wrote", s.write(np.frombuffer(base64.b64decode(line), s.dtype).reshape(s.shape)))
"""


class Rig:
    """One stream and what tests do with it."""

    def __init__(
        self, directory: Path, spawn: Spawner, describe: Describe | None, name: str = "image"
    ) -> None:
        self.name = name
        self.path = directory / f"{name}.im.shm"
        self.spawn = spawn
        self.described = describe
        self.handle: Stream | None = None

    @property
    def stream(self) -> Stream:
        if self.handle is None:
            self.handle = fb.open(self.name)
        return self.handle


def made_by_framebus(rig: Rig, shape: tuple[int, ...], dtype: str, history: int) -> None:
    fb.create("image", shape=shape, dtype=dtype, history=history).close()


def made_by_c(rig: Rig, shape: tuple[int, ...], dtype: str, history: int) -> None:
    CStream.create(rig.path, shape, dtype, history=history).close()


def made_by_framebus_for_dao(rig: Rig, shape: tuple[int, ...], dtype: str, history: int) -> None:
    fb.create(rig.name, shape=shape, dtype=dtype, history=history, dialect="dao").close()


def made_by_dao(rig: Rig, shape: tuple[int, ...], dtype: str, history: int) -> None:
    rig.path.unlink(missing_ok=True)
    DaoStream.create(rig.path, shape, dtype, depth=max(1, history)).close()


def by_write(rig: Rig) -> Iterator[Write]:
    with fb.open(rig.name) as s:
        yield s.write


def by_writing(rig: Rig) -> Iterator[Write]:
    with fb.open(rig.name) as s:

        def write(frame: Array) -> None:
            with s.writing() as view:
                view[...] = frame

        yield write


def by_c_flagged(rig: Rig) -> Iterator[Write]:
    with CStream(rig.path) as c:
        yield c.write


def by_c_unflagged(rig: Rig) -> Iterator[Write]:
    with CStream(rig.path) as c:
        yield lambda frame: c.write(frame, flagged=False)


def by_assembling(rig: Rig) -> Iterator[Write]:
    """In two packets, the second one first."""
    with fb.open(rig.name) as s:

        def write(frame: Array) -> None:
            flat, half = frame.reshape(-1), frame.size // 2
            with s.assemble(2) as parts:
                parts.put(1, flat[half:], position=half)
                parts.put(0, flat[:half], position=0)

        yield write


def by_dao(rig: Rig) -> Iterator[Write]:
    with DaoStream(rig.path) as d:
        yield d.write


def by_dao_in_packets(rig: Rig) -> Iterator[Write]:
    with DaoStream(rig.path) as d:

        def write(frame: Array) -> None:
            flat, half = frame.reshape(-1), frame.size // 2
            d.put_packet(flat[half:], half, 1, 2, d.count)
            d.put_packet(flat[:half], 0, 0, 2, d.count)
            d.finish()

        yield write


def by_another_process(rig: Rig) -> Iterator[Write]:
    process = rig.spawn(OTHER_PROCESS, rig.name)
    process.expect("ready")

    def write(frame: Array) -> None:
        process.send(base64.b64encode(frame.tobytes()).decode())
        process.expect("wrote")

    yield write
    process.close()


def with_read(rig: Rig) -> tuple[Array, int]:
    data = rig.stream.read()
    return data, rig.stream.count


def with_read_next(rig: Rig) -> tuple[Array, int]:
    frame = rig.stream.read_next()
    assert frame.missed == 0
    return frame.data, frame.count


def with_latest(rig: Rig) -> tuple[Array, int]:
    frame = rig.stream.latest()
    data = frame.data.copy()
    assert frame.still_valid()
    assert not frame.data.flags.writeable
    return data, frame.count


def with_history(rig: Rig) -> tuple[Array, int]:
    frame = rig.stream.history()[-1]
    return frame.data, frame.count


def with_describe(rig: Rig) -> tuple[Array, int]:
    if rig.described is None:
        pytest.skip("describe.py is not there")
    fields, pixels, _ = rig.described(rig.path)
    if fields["dialect"] == "dao":
        slots = fields["metadata"]
        last = slots[0]["fifo_last_written"]
        assert [slot["write"] for slot in slots] == [0] * len(slots)
        return pixels[last], slots[last]["cnt0"]
    assert fields["computed_size"] == fields["file_size"]
    assert fields["write"] == 0
    return pixels, fields["cnt0"]


def with_a_dao_tail(rig: Rig) -> tuple[Array, int]:
    """As a DAO program that takes one segment after the other; it opens the stream at the frame before."""
    with DaoStream(rig.path) as d:
        d.tail = (d.last_slot - 1) % d.depth
        d.tail_count = d.count - 1
        status, pixels = d.next_segment()
        assert (status, d.overwritten(), d.next_segment()[0]) == ("ok", False, "not ready")
        return pixels, d.tail_count


@pytest.fixture
def rig(shm_dir: Path, spawn: Spawner, request: pytest.FixtureRequest) -> Rig:
    wanted = request.node.callspec.params.get("read") is with_describe
    return Rig(shm_dir, spawn, request.getfixturevalue("describe") if wanted else None)


@pytest.fixture
def dao_rig(rig: Rig, dao_name: str, shm_dir: Path) -> Rig:
    """The same under a name of which no other program has semaphores."""
    return Rig(shm_dir, rig.spawn, rig.described, dao_name)


def frames(shape: tuple[int, ...], dtype: str, n: int) -> list[Array]:
    random = np.random.default_rng([*shape, TYPES.index(dtype)])
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    # Any bits at all, NaNs too: what is compared is bytes.
    return [np.frombuffer(random.bytes(size), dtype).reshape(shape) for _ in range(n)]


def check_every_frame(writer: Writer, make: Callable[..., None], read: Read, rig: Rig) -> None:
    """Write frames of every case, and read each of them back."""
    for shape, dtype, history in CASES:
        make(rig, shape, dtype, history)
        rig.handle = None
        rig.stream.skip_to_newest()
        past = frames(shape, dtype, FRAMES)
        running = writer(rig)
        write = next(running)
        for count, frame in enumerate(past, 1):
            write(frame)
            data, seen = read(rig)
            assert (data.tobytes(), data.dtype.name, data.shape, seen) == (
                frame.tobytes(),
                dtype,
                shape,
                count,
            )
        held = rig.stream.history()
        # A C writer that leaves no marks costs its readers one slot; it may be filling that one just now.
        depth = max(1, history - (writer in (by_c_flagged, by_c_unflagged)))
        assert [f.count for f in held] == list(range(FRAMES - depth + 1, FRAMES + 1))
        for f in held:
            assert f.data.tobytes() == past[f.count - 1].tobytes()
        next(running, None)
        rig.stream.close()


@pytest.mark.parametrize("read", [with_read, with_read_next, with_latest, with_history, with_describe])
@pytest.mark.parametrize("make", [made_by_framebus, made_by_c])
@pytest.mark.parametrize("writer", [by_write, by_writing, by_c_flagged, by_c_unflagged, by_another_process])
def test_every_writer_with_every_reader(
    writer: Writer, make: Callable[..., None], read: Read, rig: Rig
) -> None:
    check_every_frame(writer, make, read, rig)


# Another process takes a while to start: once will do.
DAO_COMBINATIONS = [
    *itertools.product(
        (by_write, by_writing, by_assembling, by_dao, by_dao_in_packets),
        (made_by_framebus_for_dao, made_by_dao),
        (with_read, with_read_next, with_latest, with_history, with_describe, with_a_dao_tail),
    ),
    (by_another_process, made_by_dao, with_a_dao_tail),
]


@pytest.mark.parametrize(("writer", "make", "read"), DAO_COMBINATIONS)
def test_every_writer_with_every_reader_of_daos_format(
    writer: Writer, make: Callable[..., None], read: Read, dao_rig: Rig
) -> None:
    check_every_frame(writer, make, read, dao_rig)


@pytest.mark.parametrize("shape", [(7,), (5, 6), (2, 3, 4)], ids=["1d", "2d", "3d"])
@pytest.mark.parametrize("dtype", TYPES)
def test_what_we_write_is_read_by_offsets(
    dtype: str, shape: tuple[int, ...], shm_dir: Path, describe: Describe
) -> None:
    keywords: KeywordInput = {
        "GAIN": (0.25, "loop gain"),
        "N": (-(2**63), ""),
        "TEXT": ("sixteen bytes :)", "x" * 80),
    }
    history = len(shape) + 1
    s = fb.create("image", shape=shape, dtype=dtype, history=history, keywords=keywords, keyword_slots=4)
    past = frames(shape, dtype, 6)
    for i, frame in enumerate(past):
        s.write(frame, acquisition_ns=1_700_000_000_000_000_000 + i)
    fields, pixels, ring = describe(s.path)
    assert pixels.tobytes() == past[-1].tobytes()
    assert (pixels.dtype, pixels.shape) == (dtype, shape)
    for back in range(history):
        slot = (fields["cbindex"] - back) % history
        assert ring[slot].tobytes() == past[-1 - back].tobytes()
    header = s.header()
    same = fields.keys() & header.keys()
    assert {key: fields[key] for key in same} == {key: header[key] for key in same}
    assert fields["computed_size"] == fields["file_size"] == s.path.stat().st_size
    assert (fields["name"], fields["version"], fields["cnt0"], fields["write"]) == ("image", "2.00", 6, 0)
    assert (fields["cbindex"], fields["cbcycle"]) == (6 % history, 6 // history)
    assert fields["atime_ns"] == 1_700_000_000_000_000_005
    assert fields["inode"] == s.path.stat().st_ino
    assert [(k["name"], k["type"], k["value"], k["count"], k["comment"]) for k in fields["keywords"]] == [
        ("GAIN", "D", 0.25, 1, "loop gain"),
        ("N", "L", -(2**63), 1, ""),
        ("TEXT", "S", "sixteen bytes :)", 1, "x" * 80),
    ]
    entry = fields["proctrace"][0]
    assert (entry["pid"], entry["triggermode"], entry["trigsemindex"]) == (header["creator_pid"], 0, -1)
    assert entry["streamupdate_ns"] == fields["writetime_ns"]


@pytest.mark.parametrize("semaphores", [1, 2, 10, 63, 64])
@pytest.mark.parametrize("history", [0, 1, 2, 17])
def test_any_number_of_semaphores_and_slots(
    semaphores: int, history: int, shm_dir: Path, describe: Describe
) -> None:
    s = fb.create("image", shape=3, dtype="uint8", history=history, semaphores=semaphores, keyword_slots=0)
    for i in range(12):
        s.write(np.full(3, i, np.uint8))
    fields, _, _ = describe(s.path)
    assert (fields["sem"], fields["cbsize"], fields["nkw"]) == (semaphores, history, 0)
    assert fields["computed_size"] == fields["file_size"]
    assert fields["sem_values"] == [10] * semaphores, "posted once a frame, up to the format's cap"
    assert fields["sem_read_pid"] == [-1] * semaphores
    assert fields["sem_write_pid"] == [fields["creator_pid"]] * semaphores
    with CStream(s.path) as c:
        assert (c.blocks.size, c.semaphores, c.history) == (fields["file_size"], semaphores, history)
    again = fb.open("image")
    assert [f.data[0] for f in again.history()] == list(range(12 - max(1, history), 12))[-12:]


def test_c_reader_is_woken_on_any_semaphore_it_chooses(shm_dir: Path, spawn: Spawner) -> None:
    s = fb.create("image", shape=(2, 2), dtype="int32", semaphores=3)
    program = """
        import os
        from support.c_writer import CStream
        with CStream(os.environ["MILK_SHM_DIR"] + "/image.im.shm") as c:
            i = c.claim()
            c.drain(i)
            print("claimed", i)
            while c.wait(i, 60):
                print("got", c.count, c.pixels().tolist())
    """
    first = spawn(program)
    assert first.expect("claimed") == "claimed 0"
    second = spawn(program)
    assert second.expect("claimed") == "claimed 1"
    for n in (1, 2):
        s.write(np.full((2, 2), n))
        for process in (first, second):
            assert process.expect("got") == f"got {n} {[[n, n], [n, n]]}"
    assert [pid > 0 for pid in s.header()["sem_read_pid"]] == [True, True, False]


# ---- DAO's format ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(7,), (5, 6), (2, 3, 4)], ids=["1d", "2d", "3d"])
@pytest.mark.parametrize("dtype", dao_writer.TYPES)
def test_what_we_write_for_dao_is_read_by_offsets(
    dtype: str, shape: tuple[int, ...], dao_name: str, describe: Describe
) -> None:
    keywords: KeywordInput = {
        "GAIN": (0.25, "loop gain"),
        "N": (-(2**63), ""),
        "TEXT": ("sixteen bytes :)", "x" * 80),
    }
    depth = len(shape) + 1
    s = fb.create(
        dao_name,
        shape=shape,
        dtype=dtype,
        history=depth,
        dialect="dao",
        keywords=keywords,
        keyword_slots=4,
    )
    past = frames(shape, dtype, 6)
    for i, frame in enumerate(past):
        s.write(frame, acquisition_ns=1_700_000_000_000_000_000 + i)
    fields, pixels, _ = describe(s.path)
    slots = fields["metadata"]
    assert (fields["file_size"], len(slots)) == (s.path.stat().st_size, depth)
    assert fields["file_size"] == fields["offsets"]["keywords"] + 4 * dao_writer.KEYWORD
    last = slots[0]["fifo_last_written"]
    for back in range(depth):
        slot = (last - back) % depth
        assert pixels[slot].tobytes() == past[-1 - back].tobytes()
        assert (slots[slot]["cnt0"], slots[slot]["atime_ns"]) == (
            6 - back,
            1_700_000_000_000_000_005 - back,
        )
    for slot in slots:
        assert (slot["size"][: slot["naxis"]], slot["write"], slot["shared"]) == (list(shape), 0, 1)
        assert slot["name"] in (str(s.path), s.path.name)
    header = s.header()
    for described, told in zip(slots, header["slots"], strict=True):
        assert {key: told[key] for key in described} == described
    assert [(k["name"], k["type"], k["value"], k["comment"]) for k in fields["keywords"]] == [
        ("GAIN", "D", 0.25, "loop gain"),
        ("N", "L", -(2**63), ""),
        ("TEXT", "S", "sixteen bytes :)", "x" * 80),
    ]
    with DaoStream(s.path) as d:
        assert (d.shape, d.dtype.name, d.depth, d.count) == (shape, dtype, depth, 6)
        assert d.keywords() == [(k["name"], k["type"], k["value"], k["comment"]) for k in fields["keywords"]]


@pytest.mark.parametrize("semaphores", [1, 2, 10, 64])
@pytest.mark.parametrize("history", [0, 1, 2, 17])
def test_any_number_of_named_semaphores_and_slots(
    semaphores: int, history: int, dao_name: str, describe: Describe
) -> None:
    s = fb.create(
        dao_name,
        shape=3,
        dtype="uint8",
        history=history,
        semaphores=semaphores,
        keyword_slots=0,
        dialect="dao",
    )
    for i in range(12):
        s.write(np.full(3, i, np.uint8))
    fields, _, _ = describe(s.path)
    slots = fields["metadata"]
    assert (slots[0]["sem"], slots[0]["fifo_size"], slots[0]["nkw"]) == (semaphores, max(1, history), 0)
    assert fields["file_size"] == fields["offsets"]["keywords"]
    with DaoStream(s.path) as d:
        assert None not in d.semaphores
        assert [d.semaphore_value(i) for i in range(semaphores)] == [1] * semaphores, "up to DAO's cap"
        assert d.log_semaphore is not None
    assert s.header()["sem_values"] == [1] * semaphores
    again = fb.open(dao_name)
    assert [f.data[0] for f in again.history()] == list(range(12 - max(1, history), 12))[-12:]
    s.remove()
    assert not list(Path("/dev/shm").glob(f"sem.{dao_name}*"))


def test_dao_readers_are_woken_on_the_semaphores_of_their_numbers(
    shm_dir: Path, dao_name: str, spawn: Spawner
) -> None:
    s = fb.create(dao_name, shape=(2, 2), dtype="int32", history=3, dialect="dao")
    program = """
        import sys
        from support.dao_writer import DaoStream
        with DaoStream(sys.argv[1]) as d:
            print("ready")
            while d.wait(int(sys.argv[2]), 60):
                print("got", *d.next_segment())
    """
    readers = [spawn(program, str(s.path), number) for number in ("0", "5", "9")]
    for process in readers:
        process.expect("ready")
    for n in (1, 2, 3, 4):
        s.write(np.full((2, 2), n))
        for process in readers:
            assert process.expect("got") == f"got ok [[{n} {n}]"
