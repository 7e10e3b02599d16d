"""A plain-Python imitation of programs that use ImageStreamIO's C library: structure version 2.00, byte by byte.

It follows the format's description alone and shares nothing with framebus: it marks no slots, writes none of
framebus' extension words, posts semaphores and never wakes a futex. A frame is written in the steps of a C writer
(``begin``, ``store``, ``fill_slot``, ``count_frame``, ``end``, ``post``), so that a test can die between any two.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

TYPES = (
    "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float32 float64 complex64 complex128 float16".split()
)
HEADER, KEYWORD, TRACE, SEMAPHORE, SLOT = 384, 128, 64, 32, 48
FREE = -1
SEMAPHORE_CAP = 10
# Where a field stands among the header's numbers of its own width: its offset divided by that width.
CNT0, CNT1, CB_CYCLE, IMDATAMEMSIZE = 264 // 8, 272 // 8, 304 // 8, 312 // 8
ATIME, WRITETIME = 184 // 8, 200 // 8
CB_SIZE, CB_INDEX, OWNER_PID = 292 // 4, 296 // 4, 220 // 4
WRITE = 288

_libc = ctypes.CDLL(None, use_errno=True)

Keyword = tuple[str, str, int | float | str, str]
"""Name, type (L, D or S), value, comment."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


class Blocks(NamedTuple):
    """Where everything lies in a file."""

    keywords: int
    semaphores: int
    log_semaphore: int
    reader_pids: int
    writer_pids: int
    trace: int
    slot_metadata: int
    slots: int
    size: int


def _up(size: int) -> int:
    return (size + 7) // 8 * 8


def blocks(frame: int, keywords: int, semaphores: int, trace: int, history: int, slices: int = 0) -> Blocks:
    """Offsets of the blocks; ``slices`` is the third axis of a temporal cube, else 0."""
    sizes = [
        _up(frame),
        KEYWORD * keywords,
        SEMAPHORE * semaphores,
        SEMAPHORE,
        _up(4 * semaphores),
        3 * _up(4 * semaphores),  # writer pids, control and status
        TRACE * trace + slices * (16 + 16 + 8),
        SLOT * history,
        _up(frame * history),
    ]
    return Blocks(*(HEADER + end for end in itertools.accumulate(sizes)))


class CStream(AbstractContextManager["CStream"]):
    """One mapped file, to write to it or to read from it as a C program does."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
            self.inode = os.fstat(file.fileno()).st_ino
        self.view = memoryview(self._map)
        self.u64, self.u32, self.i32 = (self.view.cast(code) for code in ("Q", "I", "i"))
        self._pin: Any = ctypes.c_char.from_buffer(self._map)
        self._base = ctypes.addressof(self._pin)
        (axes,) = struct.unpack_from("B", self.view, 112)
        self.size: tuple[int, ...] = struct.unpack_from(f"<{axes}I", self.view, 116)
        self.dtype = np.dtype(TYPES[self.view[136] - 1])
        self.semaphores, self.trace_entries = struct.unpack_from("<HH", self.view, 258)
        (self.keyword_slots,) = struct.unpack_from("<H", self.view, 290)
        self.history = self.u32[CB_SIZE]
        self.frame_bytes = self.u64[IMDATAMEMSIZE]
        self.blocks = blocks(
            self.frame_bytes, self.keyword_slots, self.semaphores, self.trace_entries, self.history
        )

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        *,
        history: int = 0,
        semaphores: int = 10,
        keywords: Sequence[Keyword] = (),
        keyword_slots: int = 10,
        trace_entries: int = 10,
    ) -> Self:
        """Make a stream as the C library does: what has the name is unlinked and not told, the version comes last."""
        path = Path(path)
        frame = int(np.prod(shape)) * np.dtype(dtype).itemsize
        at = blocks(frame, keyword_slots, semaphores, trace_entries, history)
        path.unlink(missing_ok=True)
        with path.open("x+b") as file:
            file.truncate(at.size)
            inode = os.fstat(file.fileno()).st_ino
            with mmap.mmap(file.fileno(), at.size) as new:
                _fill_header(new, path, tuple(reversed(shape)), np.dtype(dtype), inode)
                struct.pack_into("<HH", new, 258, semaphores, trace_entries)
                struct.pack_into("<HI", new, 290, keyword_slots, history)
                struct.pack_into("<Q", new, 312, frame)
                for i in range(keyword_slots):
                    new[at.keywords + KEYWORD * i + 16] = ord("N")
                pids = [FREE] * semaphores
                struct.pack_into(f"<{semaphores}i", new, at.reader_pids, *pids)
                struct.pack_into(f"<{semaphores}i", new, at.writer_pids, *pids)
                new[0:4] = b"2.00"
        made = cls(path)
        for i in range(semaphores):
            _libc.sem_init(made._semaphore(i), 1, 0)
        _libc.sem_init(made._log_semaphore(), 0, 0)
        for i, keyword in enumerate(keywords):
            made.set_keyword(i, keyword)
        return made

    # ---- a frame, step by step ----

    def write(
        self,
        frame: npt.NDArray[Any] | bytes,
        *,
        flagged: bool = True,
        keep_history: bool = True,
        post: bool = True,
    ) -> int:
        """Publish a frame; returns its count."""
        if flagged:
            self.begin()
        self.store(frame)
        if self.history and keep_history:
            self.fill_slot()
        count = self.count_frame()
        if flagged:
            self.end()
        if post:
            self.post()
        return count

    def begin(self) -> None:
        self.view[WRITE] = 1

    def store(self, frame: npt.NDArray[Any] | bytes, part: float = 1.0) -> None:
        """Copy the pixels, or the first ``part`` of them."""
        data = (
            memoryview(frame).cast("B") if isinstance(frame, bytes) else frame.reshape(-1).view(np.uint8).data
        )
        n = int(len(data) * part)
        self.view[HEADER : HEADER + n] = data[:n]

    def fill_slot(self, part: float = 1.0) -> None:
        """Copy the pixels to the next slot of the history; a copy that is not whole does not move the index."""
        slot = (self.u32[CB_INDEX] + 1) % self.history
        at = self.blocks.slots + slot * self.frame_bytes
        n = int(self.frame_bytes * part)
        self.view[at : at + n] = self.view[HEADER : HEADER + n]
        if part < 1:
            return
        if slot == 0:
            self.u64[CB_CYCLE] += 1
        self.u32[CB_INDEX] = slot

    def count_frame(self) -> int:
        now = time.time_ns()
        seconds, rest = divmod(now, 10**9)
        self.u64[WRITETIME], self.u64[WRITETIME + 1] = seconds, rest
        self.u64[ATIME], self.u64[ATIME + 1] = seconds, rest
        count = self.u64[CNT0] + 1
        self.u64[CNT0] = count
        return count

    def end(self) -> None:
        self.view[WRITE] = 0

    def post(self) -> None:
        """Post every semaphore (unless it stands at the cap) and leave our pid beside it."""
        pid = os.getpid()
        for i in range(self.semaphores):
            _post(self._semaphore(i))
            self.i32[self.blocks.writer_pids // 4 + i] = pid
        _post(self._log_semaphore())

    # ---- what a C reader does ----

    @property
    def count(self) -> int:
        return self.u64[CNT0]

    def pixels(self) -> npt.NDArray[Any]:
        """A copy of the pixels as they stand, in NumPy's order."""
        data = bytes(self.view[HEADER : HEADER + self.frame_bytes])
        return np.frombuffer(data, self.dtype).reshape(tuple(reversed(self.size)))

    def claim(self) -> int:
        """Take the first free semaphore."""
        for i in range(self.semaphores):
            if self.reader_pid(i) <= 0 or not Path("/proc", str(self.reader_pid(i))).exists():
                self.i32[self.blocks.reader_pids // 4 + i] = os.getpid()
                return i
        raise LookupError(f"{self.path}: all {self.semaphores} semaphores are taken")

    def reader_pid(self, i: int) -> int:
        return self.i32[self.blocks.reader_pids // 4 + i]

    def semaphore_value(self, i: int) -> int:
        return _value(self._semaphore(i))

    def wait(self, i: int, timeout_s: float) -> bool:
        """Sleep on semaphore ``i``; False when the time was up."""
        nanoseconds = time.time_ns() + int(timeout_s * 1e9)
        until = _Timespec(nanoseconds // 10**9, nanoseconds % 10**9)
        return int(_libc.sem_timedwait(self._semaphore(i), ctypes.byref(until))) == 0

    def drain(self, i: int) -> None:
        while _libc.sem_trywait(self._semaphore(i)) == 0:
            pass

    def keywords(self) -> Iterator[tuple[str, str, bytes, int, str]]:
        """Name, type, value's bytes, count and comment of every slot in use."""
        for i in range(self.keyword_slots):
            name, kind, value, count, comment = struct.unpack_from(
                "<16sc7x16sQ80s", self.view, self.blocks.keywords + KEYWORD * i
            )
            if kind not in b"N\0":
                yield _text(name), kind.decode(), value, count, _text(comment)

    def set_keyword(self, slot: int, keyword: Keyword) -> None:
        name, kind, value, comment = keyword
        packed = (
            value.encode() if isinstance(value, str) else struct.pack("<q" if kind == "L" else "<d", value)
        )
        at = self.blocks.keywords + KEYWORD * slot
        struct.pack_into("<16sc7x16s", self.view, at, name.encode(), kind.encode(), packed)
        struct.pack_into("<80s", self.view, at + 48, comment.encode())
        self.u64[(at + 40) // 8] += 1

    def close(self) -> None:
        del self._pin
        for view in (self.u64, self.u32, self.i32, self.view):
            view.release()
        self._map.close()

    def __exit__(self, *details: object) -> None:
        self.close()

    def _semaphore(self, i: int) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._base + self.blocks.semaphores + SEMAPHORE * i)

    def _log_semaphore(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._base + self.blocks.log_semaphore)


def _value(semaphore: ctypes.c_void_p) -> int:
    value = ctypes.c_int()
    _libc.sem_getvalue(semaphore, ctypes.byref(value))
    return value.value


def _post(semaphore: ctypes.c_void_p) -> None:
    if _value(semaphore) < SEMAPHORE_CAP:
        _libc.sem_post(semaphore)


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode(errors="replace")


def _fill_header(new: mmap.mmap, path: Path, size: Sequence[int], dtype: np.dtype[Any], inode: int) -> None:
    name = path.name.removesuffix(".im.shm").encode()
    struct.pack_into("80s", new, 32, name)
    struct.pack_into("B", new, 112, len(size))
    struct.pack_into(f"<{len(size)}I", new, 116, *size)
    struct.pack_into("<QB", new, 128, int(np.prod(size)), TYPES.index(dtype.name) + 1)
    struct.pack_into("<Q", new, 144, 2)
    seconds, rest = divmod(time.time_ns(), 10**9)
    for offset in (152, 168, 184, 200):
        struct.pack_into("<qq", new, offset, seconds, rest)
    struct.pack_into("<ii", new, 216, os.getpid(), 0)
    struct.pack_into("<BxxxxxxxQb", new, 224, 1, inode, -1)
