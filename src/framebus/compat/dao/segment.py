"""``dao.shm``: a framebus stream with the methods of DAO's shared memory."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, TypeVar

import numpy as np
import numpy.typing as npt

from framebus.compat.dao import statuses
from framebus.compat.dao.errors import DtypeMismatch, SegmentNotFound, Unavailable, refuse
from framebus.compat.dao.metadata import metadata_of, time_of
from framebus.errors import DataError, StreamNotFound, UsageError, WaitTimeout
from framebus.stream import Stream, connect
from framebus.stream import open as open_stream
from framebus.stream.opening import DEFAULT_KEYWORD_SLOTS
from framebus.stream.stream import DEFAULT_TIMEOUT_S

__all__ = ["shm"]

Found = TypeVar("Found")

_PACKET_IDS = 65_536
"""More packets than any release of DAO keeps the frames of; a stream gives as many as it has."""

_FULL_S = 1.0
"""Far longer than it takes a frame that is there to be given, s."""

_NO_GPU = "frames are in main memory; for streams on a GPU use DAO's own library"
_NO_NETWORK = "framebus sends nothing over the network yet; DAO's own programs can, from the same files"
_ELSEWHERE = {
    "image": "the header is in get_meta_data() and stream.header(), the pixels in get_data() and stream.latest()",
    "daoShmSetDataPart*": "packets are put together by 'with shm.stream.assemble(packets) as frame: frame.put(...)'",
    "daoShmCombine*": "add the arrays in Python, or in a unit",
    "daoShm*": "DAO's C library is not used; the methods of this class and of its 'stream' do the same",
    "get_device_array": _NO_GPU,
    "begin_write": _NO_GPU,
    "commit": _NO_GPU,
    "publish": _NO_NETWORK,
    "subscribe": _NO_NETWORK,
    "pub*": _NO_NETWORK,
    "sub*": _NO_NETWORK,
}


class shm:  # noqa: N801 - the name is DAO's
    """A stream in DAO's format, by the path of its file.

    With ``data`` the stream is made, unless there is one of that shape, dtype and at least that depth: then that one is
    kept, so that nobody who has it open is left behind, and its counter goes on. Either way ``data`` is its newest
    frame.

    Every array that is read is a copy of one whole frame. A handle is for one thread at a time.

    Args:
        fname: the file.
        data: the first frame, 1 to 3 axes; without it the file must exist.
        nbkw: how many keywords there must be room for; there is room for 50.
        pubPort, subPort, subHost: of DAO's own network, which is not here; ignored.
        logLevel: ignored.
        depth: of the FIFO; with ``data`` only.
        gpu, mirror: of streams on a GPU, which are not here.

    Attributes:
        stream: the framebus stream below, for what DAO has no method for.
        on_timeout: what methods do when nothing came in time: ``"raise"`` WaitTimeout, or give None (``"none"``), as
            DAO does. ``dao.shm.on_timeout = "none"`` says so for all.
        mtdata: what ``get_meta_data`` gave last.

    Raises:
        SegmentNotFound: there is no such file.
        StreamFormatError: the file is damaged, or no stream.
        UsageError: an argument is wrong, or the file is in ImageStreamIO's format.
    """

    DAO_SUCCESS = statuses.DAO_SUCCESS
    DAO_ERROR = statuses.DAO_ERROR
    DAO_TIMEOUT = statuses.DAO_TIMEOUT
    DAO_OVERWRITE = statuses.DAO_OVERWRITE
    DAO_NOTREADY = statuses.DAO_NOTREADY

    on_timeout: Literal["raise", "none"] = "raise"

    def __init__(
        self,
        fname: str | os.PathLike[str] | None = None,
        data: npt.ArrayLike | None = None,
        nbkw: int = 0,
        pubPort: int = 5555,
        subPort: int = 5555,
        subHost: str = "localhost",
        logLevel: int = 0,
        depth: int = 1,
        gpu: int | None = None,
        mirror: bool = True,
    ) -> None:
        if not fname:
            raise UsageError(
                "dao.shm: fname is missing; expected the path of a file, such as '/tmp/wfs.im.shm'"
            )
        if gpu is not None:
            raise Unavailable(f"dao.shm: gpu is {gpu!r}: {_NO_GPU}")
        path = Path(fname).absolute()
        if data is None:
            self._use(_open(path))
            return
        if nbkw > DEFAULT_KEYWORD_SLOTS:
            raise UsageError(
                f"dao.shm: nbkw is {nbkw}, there is room for {DEFAULT_KEYWORD_SLOTS}; make the stream with "
                "framebus.create(..., dialect='dao', keyword_slots=...), and open it here"
            )
        if depth < 1:
            raise UsageError(f"dao.shm: depth is {depth!r}, expected 1 or more")
        frame = np.asarray(data)
        self._use(connect(path, shape=frame.shape, dtype=frame.dtype, history=depth, dialect="dao"))
        self.set_data(frame)

    def _use(self, stream: Stream) -> None:
        self.stream = stream
        self._tail = Stream(
            stream.handle.share()
        )  # whose cursor is DAO's tail; that of `stream` is what was seen
        self.mtdata: dict[str, Any] = {}

    def twin(self) -> shm:
        """Another handle of the same stream, for another thread; its ``get_data(check=True)`` waits for a new frame."""
        made = shm.__new__(shm)
        made._use(Stream(self.stream.handle.share()))
        return made

    # ---- writing ---------------------------------------------------------------------------------------------------

    def set_data(self, data: npt.ArrayLike) -> None:
        """Publish a frame.

        Args:
            data: as many elements as a frame has, in C order, of the stream's dtype.

        Raises:
            DtypeMismatch: it has another dtype (a UsageError and a TypeError).
            UsageError: it has another number of elements.
            StreamRecreated: the file was removed, or made anew with another shape or dtype.
        """
        frame = np.asarray(data)
        stream = self.stream
        if frame.dtype != stream.dtype and frame.dtype.newbyteorder("=") != stream.dtype:
            raise DtypeMismatch(
                f"{stream.path}: the array has dtype {frame.dtype}, frames have {stream.dtype}; "
                f"convert it first: set_data(array.astype('{stream.dtype}'))"
            )
        if frame.shape != stream.shape:
            if frame.size != math.prod(stream.shape):
                raise UsageError(
                    f"{stream.path}: the array has shape {frame.shape}, frames have {stream.shape}: "
                    f"{math.prod(stream.shape)} elements"
                )
            frame = frame.reshape(stream.shape)
        stream.write(frame)

    # ---- reading ---------------------------------------------------------------------------------------------------

    def get_data(
        self,
        check: bool | int = False,
        reform: bool = True,
        semNb: int = 0,
        timeout: float = 0,
        spin: bool = False,
        x: Any = None,
        y: Any = None,
    ) -> Any:
        """A copy of the newest frame; zeros if there never was one.

        Args:
            check: wait for a frame newer than the last that this handle had from here or from ``get_history``.
            reform: ignored: arrays always have the stream's shape.
            semNb: ignored: the handle chooses how it sleeps, and no two handles get in each other's way.
            timeout: how long to wait, s; 0: for ever.
            spin: look all the time instead of sleeping.
            x, y: slices along the last and the first axis, to have a part only.

        Returns:
            The stream's shape and dtype, or the part of it; None as ``on_timeout`` says.

        Raises:
            WaitTimeout: nothing came in time, and ``on_timeout`` is ``"raise"``.
            StreamRecreated: the file was made anew with another shape or dtype.
        """
        stream = self.stream
        try:
            if check:
                frame = stream.read_next(
                    timeout_s=_limit_s(timeout), spin_us=_spin_us(spin), newest=True
                ).data
            else:
                stream.handle.follow()
                frame = stream.read() if stream.count else np.zeros(stream.shape, stream.dtype)
        except WaitTimeout as error:
            self._raise_unless_none(error)
            return None
        return _part(frame, x, y)

    def get_data_next(
        self, wait: bool = False, reform: bool = True, x: Any = None, y: Any = None, *, timeout: float = 0
    ) -> tuple[int, Any]:
        """The frame behind the tail, to which the tail moves: every frame in order, as long as the FIFO holds it.

        The tail begins at the frame that is newest when the handle is made, before that of ``data``.

        Args:
            wait: for a frame, if there is none yet.
            reform: ignored.
            x, y: as for ``get_data``.
            timeout: how long to wait, s; 0: for ever. DAO has no such argument.

        Returns:
            ``DAO_SUCCESS`` and the frame; ``DAO_OVERWRITE`` and the newest frame, if the next was overwritten already;
            ``DAO_NOTREADY`` and None, if there is no new one; ``DAO_TIMEOUT`` and None, if none came in time.

        Raises:
            StreamRecreated: the file was made anew with another shape or dtype.
        """
        try:
            # The oldest frame of a full FIFO is given once its writer is known not to be in the middle of the next.
            there = self._tail.count > self._tail.statistics().cursor
            found = self._tail.read_next(timeout_s=_limit_s(timeout) if wait else _FULL_S if there else 0.0)
            if not found.missed:
                return self.DAO_SUCCESS, _part(found.data, x, y)
            return self.DAO_OVERWRITE, _part(self._tail.read() if self.depth > 1 else found.data, x, y)
        except WaitTimeout:
            return self.DAO_TIMEOUT if wait else self.DAO_NOTREADY, None

    def get_data_arbitrary(self, index: int, x: Any = None, y: Any = None) -> npt.NDArray[Any]:
        """The frame in one slot of the FIFO; zeros if the slot was never written.

        Args:
            index: of the slot; counted on from the first again at the end.
            x, y: as for ``get_data``.

        Raises:
            WaitTimeout: the slot is being written, and no frame came of it within 5 s.
        """

        def look() -> npt.NDArray[Any] | None:
            slots = self.stream.header()["slots"]
            count = slots[index % len(slots)]["cnt0"]
            frame = np.zeros(self.stream.shape, self.stream.dtype)
            return frame if count == 0 or self.stream.handle.read_at(count, frame) else None

        return _part(self._once_whole(look), x, y)

    def get_history(
        self,
        num_items: int = 1,
        check: bool = False,
        semNb: int = 0,
        timeout: float = 0,
        spin: bool = False,
        buffer: bool = False,
        x: Any = None,
        y: Any = None,
    ) -> Any:
        """The newest frames, the oldest first.

        Args:
            num_items: how many, at most the FIFO's depth.
            check: wait for a frame newer than the last that this handle had from here or from ``get_data``.
            semNb: ignored.
            timeout: how long to wait for each frame, s; 0: for ever.
            spin: look all the time instead of sleeping.
            buffer: wait until there are ``num_items`` such frames.
            x, y: as for ``get_data``.

        Returns:
            ``(num_items, ...)``; zeros stand for frames before the first. None as ``on_timeout`` says.

        Raises:
            UsageError: the FIFO has no such depth.
            WaitTimeout: nothing came in time, or (within 5 s) the oldest of the frames was always being overwritten.
            DataError: their counts have gaps, and framebus does not find them.
        """
        if not 1 <= num_items <= self.depth:
            raise UsageError(
                f"get_history: num_items is {num_items!r}, expected 1 to {self.depth}, the FIFO's depth"
            )
        stream = self.stream
        try:
            for more in range(num_items if buffer else int(bool(check))):
                cursor = stream.statistics().cursor  # each time: in a file that was made anew it is 0
                stream.wait_newer(cursor + more, _limit_s(timeout), _spin_us(spin))
            frames = self._once_whole(lambda: self._newest(num_items))
        except WaitTimeout as error:
            self._raise_unless_none(error)
            return None
        return np.stack([_part(frame, x, y) for frame in frames])

    def _newest(self, n: int) -> list[npt.NDArray[Any]] | None:
        """The newest frames, if all of them can be had."""
        stream = self.stream
        newest = stream.count
        slots = stream.header()["slots"]
        counts = sorted(slot["cnt0"] for slot in slots if slot["cnt0"])[-n:]
        if counts and counts[0] + len(slots) <= newest:
            raise DataError(
                f"{stream.path}: the last {n} frames have no counts in a row ({counts}); ask for fewer"
            )
        frames = {frame.count: frame.data for frame in stream.history(n)}
        if any(count not in frames for count in counts):
            return None
        if counts:
            stream.handle.cursor = counts[-1]
        before = np.zeros(stream.shape, stream.dtype)
        return [before] * (n - len(counts)) + [frames[count] for count in counts]

    def _once_whole(self, look: Callable[[], Found | None]) -> Found:
        """What ``look`` finds, tried again at every new frame while a writer is in its way; WaitTimeout after 5 s."""
        deadline = time.monotonic() + DEFAULT_TIMEOUT_S
        self.stream.handle.follow()
        while True:
            count = self.stream.count
            found = look()
            if found is not None:
                return found
            self.stream.wait_newer(count, max(0.0, deadline - time.monotonic()))

    def _raise_unless_none(self, error: WaitTimeout) -> None:
        if self.on_timeout == "raise":
            raise error
        if self.on_timeout != "none":
            raise UsageError(
                f"dao.shm: on_timeout is {self.on_timeout!r}, expected 'raise' or 'none'"
            ) from error

    # ---- the tail --------------------------------------------------------------------------------------------------

    def reset_tail(self) -> int:
        """Move the tail to the newest frame: ``get_data_next`` goes on behind it. Returns ``DAO_SUCCESS``."""
        self._tail.handle.follow()
        self._tail.skip_to_newest()
        return self.DAO_SUCCESS

    def check_segment_overwrite(self) -> int:
        """``DAO_OVERWRITE`` if the frame at the tail is overwritten, or just being so; else ``DAO_SUCCESS``.

        What ``get_data_next`` gave is a copy and stays whole either way.
        """
        self._tail.handle.follow()
        count = self._tail.statistics().cursor
        slots = self._tail.header()["slots"]
        kept = any(slot["cnt0"] == count and not slot["write"] for slot in slots)
        return self.DAO_SUCCESS if kept else self.DAO_OVERWRITE

    # ---- about the stream ------------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """How many frames the FIFO holds."""
        return max(1, self.stream.history_length)

    def get_counter(self) -> int:
        """How many frames were published: the newest frame's count, 0 before the first."""
        self.stream.handle.follow()
        return self.stream.count

    def get_frame_id(self) -> int:
        """The newest frame's ``cnt2``."""
        return int(self._header()["cnt2"])

    def get_timestamp(self) -> datetime:
        """When the newest frame was acquired: local time without a time zone, to the microsecond."""
        return time_of(self._header()["atime_ns"])

    def get_meta_data(self, index: int | None = None) -> dict[str, Any]:
        """A header by DAO's names, also kept in ``mtdata``.

        Args:
            index: of a slot of the FIFO, counted on from the first again at the end; None: the newest frame's.
        """
        header = self._header()
        slot = header["fifo_last_written"] if index is None else index % len(header["slots"])
        self.mtdata = metadata_of(header, slot, self.stream.handle.packet_frame_ids(slot, _PACKET_IDS))
        return self.mtdata

    def is_gpu(self) -> bool:
        """False: frames are in main memory."""
        return False

    def device_ptr(self) -> None:
        """None: frames are in main memory."""
        return

    def _header(self) -> dict[str, Any]:
        self.stream.handle.follow()
        return self.stream.header()

    # ---- its end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give the handle up; the stream stays. Closing twice is fine."""
        self._tail.close()
        self.stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> NoReturn:
        refuse("dao.shm", name, _ELSEWHERE)

    def __repr__(self) -> str:
        return f"<dao.shm of {self.stream!r}>"


def _open(path: Path) -> Stream:
    try:
        stream = open_stream(path)
    except StreamNotFound:
        raise SegmentNotFound(f"there is no {path}; give dao.shm an array to make it") from None
    if stream.dialect.name != "dao":
        stream.close()
        raise UsageError(
            f"{path} is in ImageStreamIO's format, not in DAO's; framebus.open and framebus.compat.pymilk read it"
        )
    return stream


def _limit_s(timeout: float) -> float | None:
    """How long to wait; DAO's 0 means for ever."""
    return None if timeout == 0 else timeout


def _spin_us(spin: bool) -> float:
    return math.inf if spin else 0.0


def _part(frame: npt.NDArray[Any], x: Any, y: Any) -> npt.NDArray[Any]:
    """The part of a frame that slices choose, with memory of its own.

    Raises:
        UsageError: a frame of one axis has no y.
    """
    if x is None and y is None:
        return frame
    columns = slice(None) if x is None else x
    if frame.ndim > 1:
        return np.array(frame[slice(None) if y is None else y, columns])
    if y is not None:
        raise UsageError(f"y is {y!r}, and frames have one axis; only x chooses a part of them")
    return np.array(frame[columns])
