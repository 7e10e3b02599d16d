"""A stream handle: write frames, read them whole, wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from framebus import _core
from framebus.errors import UsageError
from framebus.stream.assembly import Assembly, Incomplete, PacketState, packet_state
from framebus.stream.datatypes import DTYPES
from framebus.stream.dialects import DIALECTS, Dialect
from framebus.stream.frame import Frame, LatestFrame
from framebus.stream.keywords import Keywords
from framebus.stream.names import SUFFIX
from framebus.stream.slices import Slices, check_storable
from framebus.stream.trace import TraceEntry, read_trace

DEFAULT_TIMEOUT_S = 5.0
"""How long a read waits for a frame unless told otherwise, in s."""

WakeMode = Literal["auto", "futex", "semaphore", "poll"]


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """What one handle has seen and done.

    Attributes:
        frames_read, frames_missed, frames_written: by this handle.
        cursor: count of the last frame read.
        retries: copies thrown away because the writer changed the frame meanwhile.
        recreated: how often the handle moved to a new file of the same name.
        unannounced: sleeps that a frame did not end, or (on an overloaded machine) much too late; it was found all the
            same.
        wake: how the handle last slept: futex, semaphore, poll, or auto if it never did.
        semaphore: index of the semaphore it holds, -1 if none.
    """

    frames_read: int
    frames_missed: int
    frames_written: int
    cursor: int
    retries: int
    recreated: int
    unannounced: int
    wake: WakeMode
    semaphore: int


_LONGEST_NS = 2**62


@lru_cache(maxsize=64)  # reads come with the same few values; a look-up costs a quarter of the conversion
def timeout_ns(timeout_s: float | None) -> int:
    """Seconds to the core's integer nanoseconds; None means for ever (-1)."""
    if timeout_s is None:
        return -1
    if not timeout_s >= 0:
        raise UsageError(f"timeout_s is {timeout_s!r}; expected seconds >= 0, or None to wait for ever")
    return int(min(timeout_s * 1e9, _LONGEST_NS))


@lru_cache(maxsize=64)
def _spin_ns(spin_us: float) -> int:
    if not spin_us >= 0:
        raise UsageError(f"spin_us is {spin_us!r}; expected microseconds >= 0, or inf to never sleep")
    return int(min(spin_us * 1e3, _LONGEST_NS))


class Stream:
    """One handle of one stream, with a cursor of its own. Made by ``create`` and ``open``.

    Any number of handles may read one stream; one process at a time should write it. A handle is for one thread at a
    time: give every thread its own.
    """

    def __init__(self, handle: _core.StreamHandle, slices: Slices | None = None) -> None:
        self._handle = handle
        self._slices = slices
        self._dtype = DTYPES[handle.datatype]
        self._frame_shape = tuple(reversed(handle.size))
        self._shape = self._frame_shape if slices is None else slices.shape(self._frame_shape)
        self._dialect = DIALECTS[handle.dialect]
        self._keywords = Keywords(handle)
        self._read_next = _core.FrameReader(handle, Frame, np.empty, self._frame_shape, self._dtype)

    # ---- what it is ----

    @property
    def name(self) -> str:
        """The stream's name: its file's name without ``.im.shm``."""
        return Path(self._handle.path).name.removesuffix(SUFFIX)

    @property
    def path(self) -> Path:
        """The stream's file; for a process-local stream its name alone."""
        return Path(self._handle.path)

    @property
    def shape(self) -> tuple[int, ...]:
        """NumPy shape of what is read and written (of the slice, if the name had one)."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type."""
        return self._dtype

    @property
    def count(self) -> int:
        """The frame counter now: the count of the newest frame, 0 before the first."""
        return self._handle.count

    @property
    def dialect(self) -> Dialect:
        """The file's format, and what it has room for: ``isio`` or ``dao``."""
        return self._dialect

    @property
    def history_length(self) -> int:
        """How many past frames the stream keeps; 0 where there is the newest alone."""
        return self._handle.history

    @property
    def keywords(self) -> Keywords:
        """The stream's keywords, a mutable mapping shared with all its users."""
        return self._keywords

    @property
    def handle(self) -> _core.StreamHandle:
        """The native handle, for loops that bind to it."""
        return self._handle

    @property
    def wake_mode(self) -> WakeMode:
        """How to sleep: ``auto`` (the default) picks a futex for framebus writers and a semaphore for others."""
        return self._handle.wake_mode  # type: ignore[return-value]

    @wake_mode.setter
    def wake_mode(self, mode: WakeMode) -> None:
        self._handle.wake_mode = mode

    def header(self) -> dict[str, Any]:
        """Every header field by name, as they stand. The names are the format's own.

        Of DAO's it is the newest frame's header, and ``slots`` has those of all.
        """
        return self._handle.header()

    def trace(self) -> list[TraceEntry]:
        """The newest frame's process trace, its newest step first.

        Raises:
            UsageError: the stream's dialect has none (``dialect.process_trace``).
        """
        self._dialect.require(self._dialect.process_trace, "no process trace")
        return read_trace(self._handle)

    def statistics(self) -> StreamStatistics:
        """What this handle has seen and done."""
        return StreamStatistics(**self._handle.statistics())

    # ---- writing ----

    def write(
        self,
        array: npt.ArrayLike,
        *,
        acquisition_ns: int = 0,
        at_count: int | None = None,
        count: int | None = None,
    ) -> int:
        """Publish one frame; returns its count.

        Args:
            array: the stream's shape; its dtype, or one that converts to it: integers that fit, floats to floats of
                another size, nothing that would lose a fraction or an imaginary part.
            acquisition_ns: when the data was acquired (integer ns since the epoch); 0 means now.
            at_count: units that read this stream as it stands (matrices, references) go on with the frame that they
                have until their trigger's frame of that count, and use this one from there on. Another write before
                that replaces it. None means at once. It is kept in the keyword ``at_count``.
            count: the count to give the frame, beyond the newest's, for streams that hand on another one's frames under
                their own counts; readers take what lies between for missed. None means the next.

        Raises:
            UsageError: wrong shape or dtype, this process may not write, the count is not beyond the newest, or
                there is no place for ``at_count``.
            StreamRecreated: the stream was removed, or made anew with another shape or dtype.
        """
        if at_count is None:
            at_count = 0
        elif not 1 <= at_count < 2**63:
            raise UsageError(f"{self.path}: at_count is {at_count!r}, expected a frame's count, from 1 on")
        if count is None:
            count = 0
        elif not self.count < count < 2**63:
            raise UsageError(
                f"{self.path}: count is {count!r}, expected one beyond the newest frame's, {self.count}"
            )
        if self._slices is None:
            published = self._handle.write(array, acquisition_ns, at_count, count)
            if published:
                return published
        return self._write_converted(array, acquisition_ns, at_count, count)

    def _write_converted(self, array: npt.ArrayLike, acquisition_ns: int, at_count: int, count: int) -> int:
        values = np.asarray(array)
        if values.shape != self._shape:
            raise UsageError(f"{self.path}: a frame has shape {self._shape}, the array has {values.shape}")
        check_storable(values, self._dtype)
        if self._slices is None:
            frame = np.ascontiguousarray(values, dtype=self._dtype)
        else:
            frame = self._whole_frame()
            self._slices.assign(frame, values)
        return self._handle.write(frame, acquisition_ns, at_count, count)

    def _whole_frame(self) -> npt.NDArray[Any]:
        frame = np.zeros(self._frame_shape, self._dtype)
        if self._handle.count:
            self._handle.read_newest(frame, timeout_ns(DEFAULT_TIMEOUT_S), keep_cursor=True)
        return frame

    @contextmanager
    def writing(self, *, acquisition_ns: int = 0) -> Iterator[npt.NDArray[Any]]:
        """Fill a frame in place: ``with s.writing() as view: view[...] = ...``; published on a clean exit only.

        The view is shared memory, holding the previous frame until overwritten. If the block raises, nothing is
        published: with a history the previous frame is put back, without one readers find no whole frame until the
        next is published.
        """
        self._whole_only("writing()")
        view: npt.NDArray[Any] = self._handle.begin_write()  # type: ignore[assignment]
        try:
            yield view
        except BaseException:
            self._handle.abandon_write()
            raise
        finally:
            view.flags.writeable = False
        self._handle.end_write(acquisition_ns)

    def assemble(
        self,
        packets: int,
        *,
        frame_id: int = 0,
        incomplete: Incomplete = "raise",
        acquisition_ns: int = 0,
    ) -> Assembly:
        """Put a frame together from packets: ``with s.assemble(4) as frame: frame.put(0, values, position=0) ...``.

        Each packet goes into shared memory when it comes. The frame is published when the block ends, if all have come.

        Args:
            packets: how many make a frame.
            frame_id: the camera's number of the frame, kept beside the packets' counters where the format has them.
            incomplete: what to do when the block ends and packets are missing: ``raise`` DataError and publish nothing,
                ``drop`` the frame in silence, or ``publish`` it with what it held before in their places.
            acquisition_ns: as in ``write``.

        Raises:
            UsageError: an argument is wrong, or the stream is a slice.
        """
        self._whole_only("assemble()")
        return Assembly(self._handle, self._dtype, packets, frame_id, incomplete, acquisition_ns)

    def packets(self) -> PacketState:
        """How far the frame that comes next has come, packet by packet; whoever writes them."""
        return packet_state(self._handle)

    # ---- reading ----

    def read(
        self, out: npt.NDArray[Any] | None = None, *, timeout_s: float | None = DEFAULT_TIMEOUT_S
    ) -> npt.NDArray[Any]:
        """A copy of the newest whole frame, whether or not it was read before; ``read_next`` goes on behind it.

        Args:
            out: where to copy it (the stream's shape and dtype, C-contiguous); a new array without it.
            timeout_s: how long to wait for a first whole frame, in s; None for ever.

        Raises:
            WaitTimeout: there is none.
        """
        frame = self._destination(out)
        self._handle.read_newest(frame, timeout_ns(timeout_s))
        return frame if self._slices is None else self._slices.apply(frame)

    def newest(self, *, timeout_s: float | None = DEFAULT_TIMEOUT_S) -> Frame:
        """What ``read`` gives, with its count and times: the newest whole frame as it stands, so ``missed`` is 0.

        Raises:
            WaitTimeout: there is none within ``timeout_s``, in s.
        """
        data = self._destination(None)
        count, acquisition_ns, write_ns, _ = self._handle.read_newest(data, timeout_ns(timeout_s))
        return Frame(
            data if self._slices is None else self._slices.apply(data), count, acquisition_ns, write_ns, 0
        )

    def read_next(
        self,
        out: npt.NDArray[Any] | None = None,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        spin_us: float = 0.0,
        newest: bool = False,
    ) -> Frame:
        """The next frame that this handle has not read, waiting for it if needed.

        A new handle starts with the first frame published after it was opened; ``history()`` gives earlier ones.
        Frames come in order, out of the history if there is one; ``frame.missed`` says how many were lost to this
        handle because the writer was faster.

        Args:
            out: where to copy it (the stream's shape and dtype, C-contiguous); a new array without it.
            timeout_s: in s; None waits for ever.
            spin_us: look at the counter for that long before sleeping, in µs; ``inf`` never sleeps.
            newest: skip to the newest frame; those passed over count as missed.

        Raises:
            WaitTimeout: none came; the message says how old the last frame is and whether its writer lives.
            StreamRecreated: the stream was made anew with another shape or dtype.
        """
        if self._slices is None:
            return self._read_next(out, timeout_s, spin_us, newest)  # type: ignore[return-value]
        self._destination(out)
        frame: Frame = self._read_next(None, timeout_s, spin_us, newest)  # type: ignore[assignment]
        return frame._replace(data=self._slices.apply(frame.data))

    def frames(
        self,
        n: int | None = None,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        spin_us: float = 0.0,
        newest: bool = False,
    ) -> Iterator[Frame]:
        """Iterate over new frames as ``read_next`` gives them, ``n`` of them or for ever."""
        taken = 0
        while n is None or taken < n:
            yield self.read_next(timeout_s=timeout_s, spin_us=spin_us, newest=newest)
            taken += 1

    def latest(self, *, timeout_s: float | None = DEFAULT_TIMEOUT_S) -> LatestFrame:
        """The newest frame in place, no copy. Use it, then check ``still_valid()``. Does not move the cursor.

        Raises:
            WaitTimeout: no whole frame was there within ``timeout_s``.
        """
        self._whole_only("latest()")
        return LatestFrame(self._handle.latest(timeout_ns(timeout_s)))

    def history(self, n: int | None = None) -> list[Frame]:
        """Up to ``n`` newest frames (all that are held if None), the oldest first. Does not move the cursor.

        Streams without a history give the newest alone. Frames that the writer overwrites meanwhile are left out.
        """
        if n is not None and n < 0:
            raise UsageError(f"history(n): n is {n}, expected 0 or more")
        newest = self._handle.count
        first = self._handle.oldest()
        if n is not None:
            first = max(first, newest - n + 1)
        frames = []
        for count in range(max(first, 1), newest + 1):
            data = np.empty(self._frame_shape, self._dtype)
            info = self._handle.read_at(count, data)
            if info is not None:
                frames.append(Frame(data if self._slices is None else self._slices.apply(data), *info))
        return frames

    def times(self, after: int = 0) -> npt.NDArray[np.int64]:
        """When the frames after count ``after`` that the history holds were acquired and published. Reads no pixels.

        Returns:
            int64 (n, 3), the oldest first: count, acquisition time and publication time in ns since the epoch.
        """
        return np.array(self._handle.times(after), np.int64).reshape(-1, 3)

    def wait_newer(
        self, count: int | None = None, timeout_s: float | None = DEFAULT_TIMEOUT_S, spin_us: float = 0.0
    ) -> int:
        """Wait until the frame counter is beyond ``count`` (default: its value now); returns it.

        Raises:
            WaitTimeout, StreamRecreated: as ``read_next``.
        """
        since = self.count if count is None else count
        return self._handle.wait_newer(since, timeout_ns(timeout_s), _spin_ns(spin_us))

    def skip_to_newest(self) -> int:
        """Move the cursor past every frame published so far; returns its count. ``read_next`` then gives the next."""
        count = self._handle.count
        self._handle.cursor = count
        return count

    # ---- its end ----

    def close(self) -> None:
        """Give the handle up; the stream stays. Views of it stay usable. Closing twice is fine."""
        self._handle.close()

    def remove(self) -> None:
        """Remove the stream from shared memory and close this handle.

        Whoever writes to it through another handle gets ``StreamRecreated``. Readers keep the last frames, and go on
        waiting for a new stream of the name; when their time is up they are told that it was removed.
        """
        from framebus.stream.opening import remove_stream

        remove_stream(self._handle)
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._handle.closed:
            return "<Stream closed>"
        held = f", history {self.history_length}" if self.history_length else ""
        format_ = "" if self._dialect.name == "isio" else f", {self._dialect}"
        return f"<Stream {self.name!r} {self._shape} {self._dtype}{held}{format_}, count {self.count}>"

    def _destination(self, out: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        if out is None:
            return np.empty(self._frame_shape, self._dtype)
        self._whole_only("out=")
        return out

    def _whole_only(self, what: str) -> None:
        if self._slices is not None:
            raise UsageError(
                f"{what} works on whole frames; {self.name}{self._slices} is a slice: use read() and write()"
            )
