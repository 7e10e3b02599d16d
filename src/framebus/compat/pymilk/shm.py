"""``SHM``: a framebus stream with pyMilk's methods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, overload

import numpy as np
import numpy.typing as npt

from framebus import stream
from framebus.compat.pymilk.errors import (
    AutoRelinkError,
    AutoRelinkSizeError,
    AutoRelinkTypeError,
    SHMNotFoundError,
    UnsupportedError,
)
from framebus.compat.pymilk.img_shapes import Which3DState, check_codes, decode, encode
from framebus.compat.pymilk.keyword_methods import KeywordMethods
from framebus.compat.pymilk.metadata import Image, Metadata
from framebus.compat.pymilk.shm_functions import check_SHM_name
from framebus.errors import StreamNotFound, StreamRecreated, UsageError, WaitTimeout
from framebus.stream.names import check_name, stream_path

__all__ = ["SHM"]

Array = npt.NDArray[Any]


class SHM(KeywordMethods):
    """A stream in shared memory, made or opened as pyMilk does.

    What the user sees is not the stream's own array: axes of length 1 are dropped (``autoSqueeze``, of streams that are
    opened), a cube's axes are ordered as ``triDim`` says, and each image is turned as ``symcode`` says; see
    ``framebus.compat.pymilk.img_shapes`` for the rule. With the defaults an image is what framebus shows, rows first,
    and of a cube the axis of images is last.

    Args:
        fname: the stream's name, or its file's path in the directory of the streams.
        data: None opens the stream. An array, or a shape and a dtype (then zeros), makes it anew as the user sees it
            and publishes that as its first frame.
        nbkw: how many keywords a new stream has room for.
        shared: False keeps the stream in this process.
        location: -1; GPU memory is not possible.
        verbose, packed: ignored, as in pyMilk.
        autoSqueeze: drop axes of length 1 of a stream that is opened.
        symcode: orientation, 0 to 7.
        triDim: order of a cube's axes, 0 to 3 (``Which3DState``).

    Attributes:
        FNAME: the bare name.
        FILEPATH: the stream's file.
        shape: as the user sees it.
        shape_c: as C sees it: the fast axis first.
        nDim: number of axes that the user sees.
        nptype: the element type.
        symcode, triDimState, location: as given.
        stream: the framebus stream below.
        IMAGE: ``IMAGE.md`` and ``IMAGE.kw`` of ImageStreamIOWrap.

    Raises:
        SHMNotFoundError: there is no such stream (also a FileNotFoundError).
        UsageError: an argument is not possible (also a ValueError).
        UnsupportedError: ``location`` is a GPU.
    """

    def __init__(
        self,
        fname: str,
        data: Array | tuple[tuple[int, ...], npt.DTypeLike] | None = None,
        nbkw: int = 50,
        shared: bool | Literal[0, 1] = True,
        location: int = -1,
        verbose: bool = False,
        packed: bool = False,
        autoSqueeze: bool = True,
        symcode: int = 4,
        triDim: int = Which3DState.LAST2LAST,
    ) -> None:
        check_codes(symcode, triDim)
        if location != -1:
            raise UnsupportedError(
                f"location={location}: framebus streams are in main memory; use location=-1, and copy to the GPU there"
            )
        self.FNAME = check_name(check_SHM_name(fname))
        self.location = location
        self.symcode = symcode
        self.triDimState = triDim
        where: str | Path = stream_path(self.FNAME) if shared else f"@L:{self.FNAME}"
        if data is None:
            self.stream = _open(where, fname)
            self.shape_c = self.stream.shape[::-1]
            squeezed = tuple(n for n in self.shape_c if n != 1) if autoSqueeze else self.shape_c
        else:
            first = _first_frame(data)
            turned = encode(first, symcode, triDim)
            self.stream = stream.create(
                where, shape=turned.shape[::-1], dtype=first.dtype, keyword_slots=nbkw
            )
            self.stream.write(turned.T)
            squeezed = self.shape_c = turned.shape
        self._shared = bool(shared)
        self._squeezed = squeezed
        self.nptype: np.dtype[Any] = self.stream.dtype
        self.nDim = len(squeezed)
        self.shape = decode(np.empty(squeezed, bool), symcode, triDim).shape
        self.FILEPATH = str(self.stream.path)
        self.IMAGE = Image(self.stream)

    @property
    def md(self) -> Metadata:
        """The header's fields, ``shm.md.cnt0``."""
        return self.IMAGE.md

    @property
    def mtdata(self) -> Metadata:
        """The same, ``shm.mtdata["cnt0"]``."""
        return self.IMAGE.md

    @property
    def semID(self) -> int | None:
        """The semaphore that this handle holds; None while it sleeps on a futex, or has not slept yet."""
        index = self.stream.statistics().semaphore
        return None if index < 0 else index

    # ---- reading -------------------------------------------------------------------------------------------

    @overload
    def get_data(
        self,
        check: bool = ...,
        timeout: float | None = ...,
        copy: bool = ...,
        checkSemAndFlush: bool = ...,
        autorelink_if_need: bool = ...,
        return_none_on_timeout: Literal[False] = ...,
        *,
        reform: bool = ...,
        sleepT: float = ...,
    ) -> Array: ...
    @overload
    def get_data(
        self,
        check: bool = ...,
        timeout: float | None = ...,
        copy: bool = ...,
        checkSemAndFlush: bool = ...,
        autorelink_if_need: bool = ...,
        *,
        return_none_on_timeout: bool,
        reform: bool = ...,
        sleepT: float = ...,
    ) -> Array | None: ...
    def get_data(
        self,
        check: bool = False,
        timeout: float | None = 5.0,
        copy: bool = True,
        checkSemAndFlush: bool = True,
        autorelink_if_need: bool = True,
        return_none_on_timeout: bool = False,
        *,
        reform: bool = True,
        sleepT: float = 0.001,
    ) -> Array | None:
        """A frame: the newest, or with ``check`` one that comes.

        Args:
            check: wait for a frame. Without it a stream that was never written gives the zeros that it was made with.
            timeout: how long to wait, in s; None, 0 or less: for ever.
            copy: False gives shared memory itself, to be read only. Its writer goes on: what was computed from it may
                be of two frames. ``shm.stream.latest()`` can tell.
            checkSemAndFlush: wait for a frame that is published after this call. False: the next one that this handle
                has not had, which may be there already.
            autorelink_if_need: raise if the stream was removed. A stream that was made anew is always followed.
            return_none_on_timeout: give None when the time is over, instead of raising.
            reform, sleepT: ignored, as in pyMilk.

        Raises:
            WaitTimeout: no frame came in time.
            SHMNotFoundError: the stream was removed.
            AutoRelinkSizeError, AutoRelinkTypeError: it was made anew with another shape, or another dtype.
        """
        with self._relinking():
            if autorelink_if_need:
                self._require_file()
            try:
                if check and checkSemAndFlush:
                    self._flush()
                return self._decode(self._get(check, _seconds(timeout), copy))
            except WaitTimeout:
                if return_none_on_timeout:
                    return None
                raise

    def _get(self, check: bool, timeout_s: float | None, copy: bool) -> Array:
        if not check and self.stream.count == 0:
            return np.zeros(self.stream.shape, self.stream.dtype)
        if copy:
            if check:
                return self.stream.read_next(timeout_s=timeout_s).data
            return self.stream.read(timeout_s=timeout_s)
        if check:
            self.stream.wait_newer(self.stream.statistics().cursor, timeout_s)
            self.stream.skip_to_newest()
        return self.stream.latest(timeout_s=timeout_s).data

    def multi_recv_data(
        self,
        n: int,
        outputFormat: bool | Literal[0, 1] = False,
        monitorCount: bool = False,
        timeout: float | None = 5.0,
        *,
        output_as_cube: bool | None = None,
    ) -> Any:
        """The next ``n`` frames, in order and through the history where there is one: a list, or an array.

        Args:
            n: how many.
            outputFormat: 1 or True gives one array with ``n`` as its first axis, else a list.
            monitorCount: print how many frames were missed between the first and the last.
            timeout: how long to wait for each, in s; None, 0 or less: for ever.
            output_as_cube: newer name of ``outputFormat``.

        Raises:
            WaitTimeout, SHMNotFoundError, AutoRelinkError: as ``get_data``.
        """
        if n < 0:
            raise UsageError(f"multi_recv_data(n): n is {n}, expected 0 or more")
        as_cube = bool(outputFormat) if output_as_cube is None else output_as_cube
        cube = np.empty((n, *self.shape), self.nptype) if as_cube else None
        frames = []
        missed = 0
        with self._relinking():
            self._require_file()
            self._flush()
            for k, frame in enumerate(self.stream.frames(n, timeout_s=_seconds(timeout))):
                missed += frame.missed if k else 0
                if cube is None:
                    frames.append(self._decode(frame.data))
                else:
                    cube[k] = self._decode(frame.data)
        if monitorCount:
            print(f"{self.FNAME}: {n} frames received, {missed} missed in between")  # noqa: T201 - was asked for
        return frames if cube is None else cube

    def get_counter(self) -> int:
        """The frame counter, cnt0."""
        return self.stream.count

    # ---- writing -------------------------------------------------------------------------------------------

    def set_data(self, data: npt.ArrayLike, check_dt: bool = False, autorelink_if_need: bool = False) -> None:
        """Publish a frame.

        Args:
            data: an array of ``shape``. Its dtype is the stream's, or converts to it without loss.
            check_dt: convert it whatever is lost.
            autorelink_if_need: accepted; a stream that was made anew is always followed.

        Raises:
            UsageError: wrong shape, or a dtype that would lose something.
            SHMNotFoundError: the stream was removed.
            AutoRelinkSizeError, AutoRelinkTypeError: it was made anew with another shape, or another dtype.
        """
        array = np.asarray(data)
        if array.shape != self.shape:
            raise UsageError(f"{self.FNAME}: a frame has shape {self.shape}, the array has {array.shape}")
        if check_dt:
            array = array.astype(self.nptype)
        turned = encode(array, self.symcode, self.triDimState).reshape(self.shape_c)
        with self._relinking():
            self.stream.write(turned.T)

    def repost(self, atime: datetime | float | None = None) -> None:
        """Publish the frame that is there once more.

        Args:
            atime: when it was acquired, as a datetime or in s since 1970; None: now.
        """
        seconds = atime.timestamp() if isinstance(atime, datetime) else atime
        # A float holds a time of today to better than a microsecond, but not to nanoseconds.
        acquired_ns = 0 if seconds is None else round(seconds * 1e6) * 1000
        with self._relinking(), self.stream.writing(acquisition_ns=acquired_ns):
            pass

    def save_as_fits(self, fitsname: str, **get_data: Any) -> int:
        """Write a frame to a FITS file, replacing it; needs astropy.

        The file has C's axes as a NumPy array, as pyMilk's: whatever the symcode is, the stream's fast axis becomes the
        file's last. (milk's own files, and those that framebus loads from ./conf, have it first.)

        Args:
            fitsname: the file.
            get_data: arguments for ``get_data``.

        Raises:
            UsageError: astropy is not installed.
        """
        try:
            from astropy.io import fits
        except ImportError as error:
            raise UsageError(
                "save_as_fits() needs astropy; install the extra: pip install 'framebus[fits]'"
            ) from error
        data = self.get_data(**get_data)
        fits.writeto(
            fitsname, np.ascontiguousarray(encode(data, self.symcode, self.triDimState)), overwrite=True
        )
        return 0

    # ---- waiting -------------------------------------------------------------------------------------------

    def non_block_wait_semaphore(self, sleep_time: float = 0.1) -> int:
        """Wait for a new frame, however long it takes, also of a stream that is made anew meanwhile; returns 0.

        Ctrl-C ends it. ``sleep_time`` is accepted: the wait sleeps in the kernel.

        Raises:
            SHMNotFoundError, AutoRelinkError: as ``get_data``.
        """
        with self._relinking():
            self._require_file()
            self.stream.wait_newer(self._flush(), timeout_s=None)
        return 0

    def non_block_wait_until_recreation(self, sleep_time: float = 0.1) -> SHM:
        """The same, but where the new stream has another shape or dtype it returns an SHM of that; else this one."""
        try:
            self.non_block_wait_semaphore(sleep_time)
        except AutoRelinkError:
            return SHM(self.FNAME, symcode=self.symcode, triDim=self.triDimState)
        return self

    def check_sem_trywait(self) -> bool:
        """Whether there is a frame that this handle has not had; it counts as had then."""
        return self.check_sem_timedwait(0.0)

    def check_sem_timedwait(self, timeout: float) -> bool:
        """The same, waiting for it at most ``timeout`` s."""
        with self._relinking():
            try:
                self.stream.read_next(timeout_s=timeout)
            except WaitTimeout:
                return False
        return True

    def check_sem_value(self) -> int:
        """How many frames were published that this handle has not had."""
        return max(0, self.stream.count - self.stream.statistics().cursor)

    # ---- its end, and how it looks -------------------------------------------------------------------------

    def close(self) -> None:
        """Give the handle up; the stream stays. Closing twice is fine."""
        self.stream.close()

    def destroy(self) -> None:
        """Remove the stream, if the name still is this stream's; a second time does nothing."""
        if not self.stream.handle.closed:
            self.stream.remove()

    def print_meta_data(self) -> None:
        """Print the header's fields."""
        print(self.md)  # noqa: T201 - what it is for

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        count = "closed" if self.stream.handle.closed else f"count {self.stream.count}"
        return f"<SHM {self.FNAME!r} {self.shape} {self.nptype}, symcode {self.symcode}, {count}>"

    # ---- inside --------------------------------------------------------------------------------------------

    def _decode(self, frame: Array) -> Array:
        return decode(frame.T.reshape(self._squeezed), self.symcode, self.triDimState)

    def _flush(self) -> int:
        """All frames that are there now count as had; returns the newest one's count."""
        self.stream.handle.follow()  # frames of a stream that was made anew before this are not to come either
        return self.stream.skip_to_newest()

    def _require_file(self) -> None:
        if self._shared and not self.stream.path.exists():
            raise SHMNotFoundError(f"the stream {self.FILEPATH} was removed; open it again once it is there")

    @contextmanager
    def _relinking(self) -> Iterator[None]:
        """Say in pyMilk's errors why the handle cannot go on."""
        try:
            yield
        except StreamRecreated as error:
            self._explain(error)

    def _explain(self, error: StreamRecreated) -> NoReturn:
        found = stream.describe(self.stream.path) if self._shared else None
        if found is None:
            raise SHMNotFoundError(str(error)) from error
        if found.shape not in (None, self.shape_c[::-1]):  # None: half-way to something else again
            raise AutoRelinkSizeError(f"{error} (shape {found.shape}, was {self.shape_c[::-1]})") from error
        if found.dtype not in (None, self.nptype):
            raise AutoRelinkTypeError(f"{error} (dtype {found.dtype}, was {self.nptype})") from error
        raise AutoRelinkError(str(error)) from error


def _open(where: str | Path, fname: str) -> stream.Stream:
    try:
        return stream.open(where)
    except StreamNotFound as error:
        raise SHMNotFoundError(f"requested SHM {fname} does not exist: {error}") from error


def _first_frame(data: Array | tuple[tuple[int, ...], npt.DTypeLike]) -> Array:
    if isinstance(data, np.ndarray):
        array = data
    else:
        try:
            shape, dtype = data
            array = np.zeros(shape, dtype)
        except (TypeError, ValueError) as error:
            expected = "an array, or a tuple of a shape and a dtype"
            raise UsageError(f"data is {data!r}, expected {expected}: {error}") from None
    if not 1 <= array.ndim <= 3:
        raise UsageError(f"data has shape {array.shape}, expected 1 to 3 axes")
    return array


def _seconds(timeout: float | None) -> float | None:
    return None if timeout is None or timeout <= 0 else timeout
