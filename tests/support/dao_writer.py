"""A plain-Python imitation of programs that use DAO's C library: its FIFO of headers and frames, byte by byte.

It follows the format's description alone and shares nothing with framebus: it leaves none of framebus' marks, posts
named semaphores and never wakes a futex. A frame is written in the steps of DAO's library (``begin``, ``store``,
``clear_write``, ``advance``, ``stamp``, ``count_frame``, ``post``), so that a test can die or look between any two.
Frames are read with a tail that follows DAO's rules.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

TYPES = "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float32 float64 complex64 complex128".split()
HEADER, OLD_HEADER, KEYWORD = 4304, 4296, 120
SEMAPHORES = 10
SEMAPHORE_CAP = 1
SEMAPHORE_BYTES = 32
# Offsets in a slot's header.
NAME, NAXIS, SIZE, NELEMENT, ATYPE = 0, 80, 84, 96, 104
CREATION, ACCESS, ATIME = 112, 120, 136
SHARED, SEM, CNT0, CNT1, CNT2, WRITE, NBKW = 144, 148, 152, 160, 168, 176, 178
LAST_POS, LAST_NB, PACKET_NB, PACKET_TOTAL, PACKETS = 180, 184, 188, 192, 200
FIFO_SIZE, FIFO_LAST = 4296, 4300

Step = Literal["begin", "store", "clear_write", "advance", "stamp", "count_frame", "post"]
STEPS: tuple[Step, ...] = ("begin", "store", "clear_write", "advance", "stamp", "count_frame", "post")
"""In the order in which DAO's library takes them."""

Keyword = tuple[str, str, int | float | str, str]
"""Name, type (L, D or S), value, comment."""
Status = Literal["ok", "not ready", "overwritten"]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sem_open.restype = ctypes.c_void_p
for _call in ("sem_close", "sem_post", "sem_trywait"):
    getattr(_libc, _call).argtypes = [ctypes.c_void_p]


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


def local_name(path: str | os.PathLike[str]) -> str:
    """What the names of a stream's semaphores begin with: its file's name up to the first dot, dots before it aside."""
    return Path(path).name.lstrip(".").split(".")[0]


def semaphore_file(path: str | os.PathLike[str], which: int | Literal["log"]) -> Path:
    """Where the system keeps a stream's named semaphore."""
    number = which if which == "log" else f"{which:02}"
    return Path("/dev/shm", f"sem.{local_name(path)}_sem{number}")


class DaoStream(AbstractContextManager["DaoStream"]):
    """One mapped file, to write to it or to read from it as a DAO program does."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.view = memoryview(self._map)
        (axes,) = struct.unpack_from("B", self.view, NAXIS)
        self.shape: tuple[int, ...] = struct.unpack_from(f"<{axes}I", self.view, SIZE)
        self.dtype = np.dtype(TYPES[self.view[ATYPE] - 1])
        (self.keyword_slots,) = struct.unpack_from("<H", self.view, NBKW)
        self.frame_bytes = int(np.prod(self.shape)) * self.dtype.itemsize
        (deep,) = struct.unpack_from("<I", self.view, FIFO_SIZE)
        old = len(self.view) == OLD_HEADER + self.frame_bytes + KEYWORD * self.keyword_slots
        self.header = OLD_HEADER if old else HEADER
        self.depth = 1 if old else max(1, deep)
        headers = self.view[: self.header * self.depth]
        self.u64, self.u32 = headers.cast("Q"), headers.cast("I")
        self.pixels_at = self.header * self.depth
        self.keywords_at = self.pixels_at + self.depth * self.frame_bytes
        self.semaphores = [_open_semaphore(path, i) for i in range(self.semaphore_count)]
        self.log_semaphore = _open_semaphore(path, "log")
        self.tail = self.tail_count = 0
        self.reset_tail()

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        *,
        depth: int = 1,
        keywords: Sequence[Keyword] = (),
        keyword_slots: int = 10,
    ) -> Self:
        """Make a stream as DAO's library does: a file that is there is emptied and filled anew, under its users."""
        _make_semaphore(path, "log")
        frame = int(np.prod(shape)) * np.dtype(dtype).itemsize
        size = HEADER * depth + frame * depth + KEYWORD * keyword_slots
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(number, "r+b", buffering=0) as file:
            file.seek(size - 1)
            file.write(b"\0")
            with mmap.mmap(file.fileno(), size) as new:
                _fill_headers(new, path, shape, np.dtype(dtype), depth, keyword_slots)
                _make_semaphores(new, path)
                struct.pack_into("<II", new, FIFO_SIZE, depth, depth - 1)
        made = cls(path)
        for slot in range(keyword_slots):
            made.view[made.keywords_at + KEYWORD * slot + 16] = ord("N")
        for slot, keyword in enumerate(keywords):
            made.set_keyword(slot, keyword)
        return made

    # ---- a frame, step by step ----

    def write(self, frame: npt.NDArray[Any] | bytes) -> int:
        """Publish a frame; returns its count."""
        for step in STEPS:
            self.take(step, frame)
        return self.count

    def write_until(self, last: Step, frame: npt.NDArray[Any] | bytes) -> None:
        """Write a frame up to and with a step."""
        for step in STEPS[: STEPS.index(last) + 1]:
            self.take(step, frame)

    def take(self, step: Step, frame: npt.NDArray[Any] | bytes) -> None:
        """Take one step of a frame."""
        if step == "store":
            self.store(frame)
        else:
            getattr(self, step)()

    def begin(self) -> None:
        self.view[self._field(self.next_slot, WRITE)] = 1

    def store(self, frame: npt.NDArray[Any] | bytes, part: float = 1.0) -> None:
        """Copy the pixels into the next slot, or the first ``part`` of them."""
        data = self._bytes(frame)
        n = int(len(data) * part)
        at = self.pixels_at + self.next_slot * self.frame_bytes
        self.view[at : at + n] = data[:n]

    def clear_write(self) -> None:
        self.view[self._field(self.next_slot, WRITE)] = 0

    def advance(self) -> None:
        if self.header == HEADER:
            self.u32[FIFO_LAST // 4] = self.next_slot

    def stamp(self) -> None:
        self.u64[self._field(self.last_slot, ATIME) // 8] = time.time_ns()

    def count_frame(self) -> None:
        """One more than the slot before, which of a FIFO of one is the slot itself."""
        last = self.last_slot
        self.u64[self._field(last, CNT0) // 8] = self.slot_count((last - 1) % self.depth) + 1

    def post(self) -> None:
        """Post every semaphore that is there, unless it stands at the cap."""
        for semaphore in (*self.semaphores, self.log_semaphore):
            if semaphore is not None and _value(semaphore) < SEMAPHORE_CAP:
                _libc.sem_post(semaphore)

    def put_packet(
        self, values: npt.NDArray[Any], position: int, packet: int, packets: int, frame_number: int
    ) -> None:
        """Store a part of the next frame; ``finish`` publishes it."""
        slot = self.next_slot
        self.view[self._field(slot, WRITE)] = 1
        at = self.pixels_at + slot * self.frame_bytes + position * self.dtype.itemsize
        data = self._bytes(values)
        self.view[at : at + len(data)] = data
        struct.pack_into(
            "<4I", self.view, self._field(slot, LAST_POS), position, values.size, packet, packets
        )
        self.u64[self._field(slot, PACKETS) // 8 + packet] = frame_number
        self.view[self._field(slot, WRITE)] = 0

    def finish(self) -> int:
        """Publish the frame whose packets have come; returns its count."""
        for step in STEPS[2:]:
            getattr(self, step)()
        return self.count

    # ---- where it stands ----

    @property
    def semaphore_count(self) -> int:
        (number,) = struct.unpack_from("<H", self.view, SEM)
        return int(number)

    @property
    def last_slot(self) -> int:
        return self.u32[FIFO_LAST // 4] % self.depth if self.depth > 1 else 0

    @property
    def next_slot(self) -> int:
        return (self.last_slot + 1) % self.depth

    @property
    def count(self) -> int:
        """The counter of the slot that was written last."""
        return self.slot_count(self.last_slot)

    def slot_count(self, slot: int) -> int:
        return self.u64[self._field(slot, CNT0) // 8]

    def writing(self, slot: int) -> bool:
        return bool(self.view[self._field(slot, WRITE)])

    def acquired_ns(self, slot: int) -> int:
        return self.u64[self._field(slot, ATIME) // 8]

    def pixels(self, slot: int | None = None) -> npt.NDArray[Any]:
        """A copy of a slot's pixels as they stand; of the one that was written last if None."""
        at = self.pixels_at + (self.last_slot if slot is None else slot) * self.frame_bytes
        return np.frombuffer(bytes(self.view[at : at + self.frame_bytes]), self.dtype).reshape(self.shape)

    # ---- what a DAO reader does ----

    def reset_tail(self) -> None:
        """Stand at the newest segment."""
        self.tail = self.last_slot
        self.tail_count = self.slot_count(self.tail)

    def next_segment(self) -> tuple[Status, npt.NDArray[Any]]:
        """The segment after the tail; the newest one (``overwritten``) when that is not the next frame any more."""
        last = self.last_slot
        if self.tail == last and self.tail_count == self.slot_count(last):
            return "not ready", np.empty(0, self.dtype)
        self.tail, self.tail_count = (self.tail + 1) % self.depth, self.tail_count + 1
        status: Status = "ok"
        if self.slot_count(self.tail) != self.tail_count:
            status = "overwritten"
            self.reset_tail()
        return status, self.pixels(self.tail)

    def overwritten(self) -> bool:
        """Whether the segment at the tail is not what it was."""
        return self.writing(self.tail) or self.slot_count(self.tail) != self.tail_count

    def wait(self, number: int, timeout_s: float) -> bool:
        """Sleep on a semaphore by its number; False if nobody posted it in time."""
        deadline = time.time() + timeout_s
        until = _Timespec(int(deadline), int(deadline % 1 * 1e9))
        return bool(_libc.sem_timedwait(ctypes.c_void_p(self.semaphores[number]), ctypes.byref(until)) == 0)

    def drain(self, number: int) -> int:
        """Take all posts of a semaphore; how many there were."""
        posts = 0
        while _libc.sem_trywait(self.semaphores[number]) == 0:
            posts += 1
        return posts

    def semaphore_value(self, number: int) -> int:
        semaphore = self.semaphores[number]
        assert semaphore is not None, "there is no such semaphore"
        return _value(semaphore)

    def sleepers(self, number: int) -> int:
        """How many threads sleep on a semaphore: what the C library counts in the upper half of its first word."""
        semaphore = self.semaphores[number]
        assert semaphore is not None, "there is no such semaphore"
        return ctypes.c_uint64.from_address(semaphore).value >> 32

    # ---- keywords ----

    def set_keyword(self, slot: int, keyword: Keyword) -> None:
        name, kind, value, comment = keyword
        packed = (
            value.encode() if isinstance(value, str) else struct.pack("<q" if kind == "L" else "<d", value)
        )
        struct.pack_into(
            "<16sc7x16s80s",
            self.view,
            self.keywords_at + KEYWORD * slot,
            *(name.encode(), kind.encode(), packed, comment.encode()),
        )

    def keywords(self) -> list[Keyword]:
        found: list[Keyword] = []
        for slot in range(self.keyword_slots):
            at = self.keywords_at + KEYWORD * slot
            name, kind, value, comment = struct.unpack_from("<16sc7x16s80s", self.view, at)
            if kind in b"LDS" and kind != b"\0":
                plain = (
                    _text(value)
                    if kind == b"S"
                    else struct.unpack("<q" if kind == b"L" else "<d", value[:8])[0]
                )
                found.append((_text(name), kind.decode(), plain, _text(comment)))
        return found

    def close(self) -> None:
        for semaphore in (*self.semaphores, self.log_semaphore):
            if semaphore is not None:
                _libc.sem_close(semaphore)
        self.semaphores, self.log_semaphore = [], None
        self.u64.release()
        self.u32.release()
        self.view.release()
        self._map.close()

    def __exit__(self, *details: object) -> None:
        self.close()

    def _bytes(self, frame: npt.NDArray[Any] | bytes) -> bytes:
        return frame if isinstance(frame, bytes) else frame.astype(self.dtype).tobytes()

    def _field(self, slot: int, offset: int) -> int:
        return slot * self.header + offset


def write_old_file(
    path: str | os.PathLike[str],
    frame: npt.NDArray[Any],
    *,
    header: int = HEADER,
    keywords: Sequence[Keyword] = (),
    count: int = 0,
) -> None:
    """The file of a stream from before the FIFO: its header says nothing of it, or (4296 bytes) has no room for it."""
    data = bytearray(HEADER)
    _fill_headers(data, path, frame.shape, frame.dtype, 1, len(keywords))
    struct.pack_into("<H", data, SEM, SEMAPHORES)
    struct.pack_into("<I", data, FIFO_SIZE, 0)
    struct.pack_into("<Q", data, CNT0, count)
    data = data[:header] + frame.tobytes() + bytes(KEYWORD * len(keywords))
    Path(path).write_bytes(data)
    with DaoStream(path) as stream:
        for slot, keyword in enumerate(keywords):
            stream.set_keyword(slot, keyword)


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode(errors="replace")


def _value(semaphore: int) -> int:
    value = ctypes.c_int()
    _libc.sem_getvalue(ctypes.c_void_p(semaphore), ctypes.byref(value))
    return value.value


def _semaphore_name(path: str | os.PathLike[str], which: int | Literal["log"]) -> bytes:
    return semaphore_file(path, which).name.removeprefix("sem.").encode()


def _open_semaphore(path: str | os.PathLike[str], which: int | Literal["log"]) -> int | None:
    found: int | None = _libc.sem_open(_semaphore_name(path, which), 0, 0o644, 0)
    return found


def _make_semaphore(path: str | os.PathLike[str], which: int | Literal["log"]) -> None:
    """DAO's library makes it with a value of 1 and then sets it anew; one that is there is taken as it is."""
    made = _open_semaphore(path, which) if which != "log" else None
    if made is None:
        made = _libc.sem_open(_semaphore_name(path, which), os.O_CREAT, 0o644, 1)
        assert made is not None, os.strerror(ctypes.get_errno())
        _libc.sem_init(ctypes.c_void_p(made), 1, 0)
    _libc.sem_close(made)


def _make_semaphores(new: mmap.mmap, path: str | os.PathLike[str]) -> None:
    """Their number is in the header before they are there; those of higher numbers that somebody left go."""
    for number in range(SEMAPHORES, 100):
        semaphore_file(path, number).unlink(missing_ok=True)
    struct.pack_into("<H", new, SEM, SEMAPHORES)
    for number in range(SEMAPHORES):
        _make_semaphore(path, number)


def _fill_headers(
    new: mmap.mmap | bytearray,
    path: str | os.PathLike[str],
    shape: Sequence[int],
    dtype: np.dtype[Any],
    depth: int,
    keyword_slots: int,
) -> None:
    """In the library's order: the number of elements comes last, the sizes that describe the file before it."""
    struct.pack_into("<I", new, FIFO_SIZE, depth)
    for at in range(0, HEADER * depth, HEADER):
        new[at + SHARED] = 1
    for at in range(0, HEADER * depth, HEADER):
        new[at + ATYPE] = TYPES.index(dtype.name) + 1
        struct.pack_into("B", new, at + NAXIS, len(shape))
        struct.pack_into("79s", new, at + NAME, str(path).encode())
        struct.pack_into(f"<{len(shape)}I", new, at + SIZE, *shape)
        struct.pack_into("<H", new, at + NBKW, keyword_slots)
    now = time.time()
    for at in range(0, HEADER * depth, HEADER):
        struct.pack_into("<dd", new, at + CREATION, now, now)
        struct.pack_into("<Q", new, at + NELEMENT, int(np.prod(shape)))
