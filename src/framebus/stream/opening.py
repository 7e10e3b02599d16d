"""Making, finding and removing streams."""

from __future__ import annotations

import math
import operator
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framebus import _core
from framebus.errors import StreamExists, StreamFormatError, StreamNotFound, UsageError
from framebus.stream.conf import find_conf, load_conf
from framebus.stream.datatypes import DTYPES, datatype_code
from framebus.stream.dialects import check_datatype, find_dialect
from framebus.stream.keywords import KeywordInput, encode_all
from framebus.stream.keywords import fits as keyword_fits
from framebus.stream.names import StreamName, near, near_streams, parse, require, shm_directory, stream_path
from framebus.stream.stream import Stream

DEFAULT_KEYWORD_SLOTS = 50

_local_lock = threading.Lock()
_local_streams: dict[str, _core.StreamHandle] = {}


def create(
    name: str | os.PathLike[str],
    *,
    shape: tuple[int, ...] | int,
    dtype: npt.DTypeLike | None = None,
    history: int = 0,
    keywords: KeywordInput | None = None,
    semaphores: int = 10,
    mode: int = 0o660,
    dialect: str = "isio",
    keyword_slots: int | None = None,
    huge_pages: bool = False,
) -> Stream:
    """Create a stream and return a handle of it. A stream that has the name is replaced, and its users are told.

    Args:
        name: a name, or a path that ends in ``.im.shm``. ``@L:`` keeps it in this process, ``@N:`` demands that none
            of that name exists, ``tf32>`` sets the dtype.
        shape: 1 to 3 axes, NumPy's order (y before x).
        dtype: one of the 13 types; float32 if neither this nor the name says.
        history: how many past frames to keep for readers that fall behind; each costs a frame of memory and the
            writer one more copy per frame.
        keywords: initial keywords, ``{"FRATE": 1000.0}`` or ``{"FRATE": (1000.0, "frames per second")}``.
        semaphores: how many semaphores C readers find, 1 to 64.
        mode: access mode of the file, under the umask.
        dialect: file format: ``"isio"`` is ImageStreamIO's, ``"dao"`` is DAO's. In DAO's the newest frame is one of the
            ``history``, which is the depth of its FIFO (0 and 1 are the same there), and the semaphores are files in
            ``/dev/shm`` that are named after the stream's file, up to its first dot.
        keyword_slots: how many keywords fit; 50, or as many as ``keywords`` needs.
        huge_pages: ask the kernel for huge pages, which large frames profit from; warns where it refuses.

    Raises:
        UsageError, NameFormatError: an argument is wrong.
        StreamExists: ``@N:`` and it exists.
        OSError: the kernel refuses (no space, no permission).
    """
    parsed = require(parse(name), allowed=["S", "L", "N", "type", "path"], context="create()")
    format_ = find_dialect(dialect)
    sizes = _sizes(shape)
    chosen = _dtype(parsed, dtype)
    check_datatype(format_, datatype_code(chosen))
    fields = encode_all(keywords or {})
    slots = max(DEFAULT_KEYWORD_SLOTS, len(fields)) if keyword_slots is None else keyword_slots
    _in_range("history", history, 0, 2**31)
    _in_range("semaphores", semaphores, 1, 64)
    _in_range("keyword_slots", slots, len(fields), 65535)
    _in_range("mode", mode, 0, 0o777)
    path = parsed.name if parsed.local else str(stream_path(parsed))
    with _local_lock:
        if parsed.local and parsed.exists is False and parsed.name in _local_streams:
            raise StreamExists(f"process-local stream '{parsed.name}' exists already, and it was to be new")
        handle = _core.create_stream(
            path,
            parsed.name,
            list(reversed(sizes)),
            datatype_code(chosen),
            history,
            semaphores,
            slots,
            mode,
            huge_pages,
            parsed.local,
            parsed.exists is False,
            fields,
            format_.name,
        )
        if parsed.local:
            former = _local_streams.get(parsed.name)
            _local_streams[parsed.name] = handle
            if former is not None:
                former.retire_for(handle)
    if huge_pages:
        _warn_without_huge_pages()
    return Stream(handle.share() if parsed.local else handle)


def open(name: str | os.PathLike[str]) -> Stream:  # noqa: A001
    """Open an existing stream, whoever made it and in whichever of the two file formats.

    Args:
        name: a name, or a path of a stream's file. ``wfs[10:29,-*]`` opens a slice of it, ``tf32>`` demands a dtype,
            ``@L:`` looks among this process' own. A stream that is not in memory is loaded from
            ``./conf/shmim.<name>.fits`` where that exists (unless ``@E:`` demands that it be in memory).

    Raises:
        StreamNotFound: there is none; the message says where was looked.
        StreamFormatError: the file is corrupt, foreign or truncated; the message names the field.
        NameFormatError: the name, a modifier or the slice is wrong.
    """
    parsed = require(parse(name), allowed=["S", "L", "E", "type", "slices", "path"], context="open()")
    if parsed.local:
        stream_handle = _open_local(parsed.name)
    else:
        try:
            stream_handle = _core.StreamHandle.open(str(stream_path(parsed)))
        except StreamNotFound:
            stream_handle = _load_from_conf(parsed)
    found = DTYPES[stream_handle.datatype]
    if parsed.dtype is not None and parsed.dtype != found:
        stream_handle.close()
        raise UsageError(f"stream '{parsed.name}' has dtype {found}, '{parsed}' demands {parsed.dtype}")
    return Stream(stream_handle, parsed.slices)


def connect(
    name: str | os.PathLike[str],
    *,
    shape: tuple[int, ...] | int,
    dtype: npt.DTypeLike | None = None,
    history: int = 0,
    dialect: str | None = None,
) -> Stream:
    """Open the stream if it exists with that shape and dtype (and at least that history), else create it.

    Args:
        name, shape, dtype, history: as in ``create``; the name may also say ``@L:`` or a type.
        dialect: the format that it must have; None takes one that exists in either, and creates ``"isio"``.

    Raises:
        UsageError, NameFormatError, OSError: as ``create``.
    """
    parsed = require(parse(name), allowed=["S", "L", "type", "path"], context="connect()")
    wanted = _dtype(parsed, dtype)
    sizes = _sizes(shape)
    new_dialect = "isio" if dialect is None else dialect
    check_datatype(find_dialect(new_dialect), datatype_code(wanted))
    _in_range("history", history, 0, 2**31)
    try:
        stream = open(name)
    except (StreamNotFound, StreamFormatError, UsageError):
        return create(name, shape=sizes, dtype=wanted, history=history, dialect=new_dialect)
    if fits(stream, sizes, wanted, history) and dialect in (None, stream.dialect.name):
        return stream
    stream.close()
    return create(name, shape=sizes, dtype=wanted, history=history, dialect=new_dialect)


def fits(stream: Stream, sizes: tuple[int, ...], dtype: np.dtype[Any], history: int) -> bool:
    """Whether a stream can serve as one of that shape, dtype and history."""
    # Where the newest frame is one of the history, a history of one is none.
    held = max(stream.history_length, 1 if stream.dialect.shared_history else 0)
    return stream.shape == sizes and stream.dtype == dtype and held >= history


def remove_stream(handle: _core.StreamHandle) -> None:
    """Unlink a stream's file (if the name still is this file's) and wake everybody who uses it."""
    if handle.local:
        with _local_lock:
            mine = _local_streams.get(handle.path)
            if mine is not None and mine.inode == handle.inode:
                del _local_streams[handle.path]
    elif handle.current:
        unlink_stream(Path(handle.path), handle.dialect)
    handle.retire()


def unlink_stream(path: Path, dialect: str) -> None:
    """Remove a stream's file, and what belongs to it. OSError: the kernel refuses."""
    path.unlink(missing_ok=True)
    if dialect == "dao":
        _core.remove_semaphores(str(path))


def _open_local(name: str) -> _core.StreamHandle:
    with _local_lock:
        found = _local_streams.get(name)
        if found is None:
            raise StreamNotFound(
                f"no process-local stream '{name}' in this process{near(name, _local_streams)}; "
                "@L: streams are seen by it alone"
            )
        return found.share()


def _load_from_conf(parsed: StreamName) -> _core.StreamHandle:
    conf = None if parsed.path is not None or parsed.exists else find_conf(parsed.name)
    if conf is None:
        if parsed.path is not None:
            raise StreamNotFound(f"no stream '{parsed.path}'; 'framebus ls' lists those that are there")
        beside = "" if parsed.exists else f", nor ./conf/shmim.{parsed.name}.fits"
        message = f"no stream '{parsed.name}' in {shm_directory()}{beside}"
        raise StreamNotFound(message, hint=lambda: near_streams(parsed.name))
    data, keywords = load_conf(conf)
    fitting = {key: pair for key, pair in keywords.items() if keyword_fits(key, *pair)}
    if len(fitting) < len(keywords):
        left = ", ".join(sorted(set(keywords) - set(fitting)))
        warnings.warn(f"{conf}: keywords too long for a stream's fields were left out: {left}", stacklevel=3)
    try:
        stream = create(f"@N:{parsed.name}", shape=data.shape, dtype=data.dtype, keywords=fitting)
    except StreamExists:  # somebody else was faster, and theirs may be the real one
        return _core.StreamHandle.open(str(stream_path(parsed)))
    stream.write(data)
    stream.skip_to_newest()
    return stream.handle


def _sizes(shape: tuple[int, ...] | int) -> tuple[int, ...]:
    try:
        given = (shape,) if isinstance(shape, int | np.integer) else shape
        sizes = tuple(operator.index(n) for n in given)
    except TypeError:
        raise UsageError(f"shape {shape!r}: expected a tuple of 1 to 3 whole numbers") from None
    if not 1 <= len(sizes) <= 3 or any(n < 1 for n in sizes):
        raise UsageError(f"shape {shape!r}: expected 1 to 3 axes, each of at least one element")
    if any(n >= 2**32 for n in sizes) or math.prod(sizes) >= 2**48:
        raise UsageError(
            f"shape {shape!r}: at most 2**32 - 1 elements fit an axis, and fewer than 2**48 a stream"
        )
    return sizes


def _dtype(parsed: StreamName, dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    if dtype is None:
        return parsed.dtype or np.dtype(np.float32)
    chosen = DTYPES[datatype_code(dtype)]
    if parsed.dtype not in (None, chosen):
        raise UsageError(
            f"'{parsed}' sets dtype {parsed.dtype}, the argument dtype={chosen}; give one of them"
        )
    return chosen


def _in_range(what: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int | np.integer) or not low <= value <= high:
        raise UsageError(f"{what} is {value!r}, expected a whole number from {low} to {high}")


def _warn_without_huge_pages() -> None:
    setting = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    try:
        chosen = setting.read_text().split("[")[1].split("]")[0]
    except (OSError, IndexError):
        chosen = "unknown"
    if chosen in ("never", "deny", "unknown"):
        warnings.warn(
            f"the kernel gives shared memory no huge pages ({setting} is '{chosen}'); the stream works with normal"
            f" ones. To allow them: echo advise > {setting} (as root)",
            stacklevel=3,
        )
