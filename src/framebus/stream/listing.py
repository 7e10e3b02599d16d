"""What streams there are, in which state; and clearing away those that nobody will use again."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from framebus import _core
from framebus.errors import FramebusError
from framebus.stream.datatypes import DTYPES
from framebus.stream.dialects import DIALECTS
from framebus.stream.names import SUFFIX, shm_directory
from framebus.stream.unused import unlink_unused

StreamState = Literal["live", "left", "empty", "unknown", "dead", "bad"]


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream as it stands.

    Attributes:
        name: the stream's name.
        path: its file.
        state: ``live`` (its writer runs), ``left`` (its writer has ended, or closed it and ended since, as programs
            should: a calibration, a result), ``empty`` (never written; its creator runs or left it so), ``dead`` (the
            process that last wrote it, or made it, was killed, or is none of framebus and gone), ``unknown`` (the file
            does not tell who wrote it: one of DAO's, written by another program), ``bad`` (not a stream that can be
            opened; see ``error``).
        shape, dtype: NumPy's; None for a bad one.
        count: frame counter.
        age_s: seconds since the last frame; None if there was none, or if its writer did not say when.
        writer_pid: the process that wrote last, or, before the first frame, that made it.
        writer_alive: whether it runs; None where nobody can tell.
        history: how many past frames it keeps.
        size_bytes: of the file.
        dialect: the file's format, ``isio`` or ``dao``; empty for a bad one.
        error: what is wrong with a bad one.
        link: what the file leads to, if it is a symbolic link; else empty.
    """

    name: str
    path: Path
    state: StreamState
    shape: tuple[int, ...] | None = None
    dtype: np.dtype[Any] | None = None
    count: int = 0
    age_s: float | None = None
    writer_pid: int = 0
    writer_alive: bool | None = None
    history: int = 0
    size_bytes: int = 0
    dialect: str = ""
    error: str = ""
    link: str = ""

    @property
    def other_writer(self) -> int:
        """The living process that has written it, if that is not this one; else 0."""
        others = self.count and self.writer_alive and self.writer_pid != os.getpid()
        return self.writer_pid if others else 0


def streams(directory: str | os.PathLike[str] | None = None) -> list[StreamInfo]:
    """Every stream in the shared-memory directory (or in ``directory``), sorted by name."""
    folder = shm_directory() if directory is None else Path(directory)
    found = (describe(path) for path in sorted(folder.glob(f"*{SUFFIX}")) if not path.name.startswith("."))
    return [info for info in found if info is not None]


def stream_plain(info: StreamInfo) -> dict[str, Any]:
    """A stream as plain values, as JSON has them; see ``StreamInfo``."""
    return dataclasses.asdict(info) | {
        "path": str(info.path),
        "shape": None if info.shape is None else list(info.shape),
        "dtype": None if info.dtype is None else info.dtype.name,
    }


def purge(directory: str | os.PathLike[str] | None = None, *, left: bool = False) -> list[StreamInfo]:
    """Remove streams that are ``dead`` and that no process uses (who has one open to look only does not count).

    Streams of other users are left alone: only their owner and root are told whether anybody uses them. A link to a
    stream that is removed goes with it. Returns those removed.

    Args:
        directory: where; None: the shared-memory directory.
        left: remove likewise those whose writer, or maker, ended in order: calibrations, results.
    """
    there = streams(directory)
    ends = {info.path: os.path.realpath(info.path) for info in there if info.path.is_symlink()}
    unused = [info for info in there if info.state == "dead" or (left and info.writer_alive is False)]
    removed = [info for info in unused if info.path not in ends and _unlink(info)]
    gone = {os.path.realpath(info.path) for info in removed}
    for info in there:
        if ends.get(info.path) in gone:
            info.path.unlink(missing_ok=True)
            removed.append(info)
    return removed


def _unlink(info: StreamInfo) -> bool:
    try:
        removed = unlink_unused(info.path)
    except OSError:
        return False  # not ours, or gone already
    if removed and info.dialect == "dao":
        _core.remove_semaphores(str(info.path))
    return removed


def _writer(handle: _core.StreamHandle) -> tuple[int, bool | None, StreamState]:
    """The writer or maker, whether it lives, and the state that the stream is in by that."""
    pid, alive = handle.last_writer, handle.last_writer_alive
    if not pid:
        pid, alive = handle.maker, handle.maker_alive
    if not pid and not DIALECTS[handle.dialect].writer_identity:
        return 0, None, "unknown"
    if not alive and not handle.last_writer_left:
        return pid, alive, "dead"
    if not handle.count:
        return pid, alive, "empty"
    return pid, alive, "live" if alive else "left"


def describe(path: Path) -> StreamInfo | None:
    """How the stream in that file stands; None if there is no such file.

    A file that cannot be opened is ``bad``, and so is a link that leads nowhere.
    """
    name = path.name.removesuffix(SUFFIX)
    size, link = 0, ""
    try:
        if path.is_symlink():
            link = os.readlink(path)
        size = path.stat().st_size
        handle = _core.StreamHandle.open(str(path), looks_only=True)
    except (FramebusError, OSError) as error:
        if not path.exists():  # removed between the listing and the look, or never there
            gone = f"{path}: a link to {link}, which is not there"
            return StreamInfo(name, path, "bad", error=gone, link=link) if path.is_symlink() else None
        return StreamInfo(name, path, "bad", size_bytes=size, error=str(error), link=link)
    try:
        return _describe_open(name, path, size, link, handle)
    finally:
        handle.close()


def _describe_open(name: str, path: Path, size: int, link: str, handle: _core.StreamHandle) -> StreamInfo:
    count, written_ns = handle.count, handle.written_ns
    pid, alive, state = _writer(handle)
    return StreamInfo(
        name=name,
        path=path,
        state=state,
        shape=tuple(reversed(handle.size)),
        dtype=DTYPES[handle.datatype],
        count=count,
        age_s=max(0.0, (_core.realtime_ns() - written_ns) * 1e-9) if count and written_ns else None,
        writer_pid=pid,
        writer_alive=alive,
        history=handle.history,
        size_bytes=size,
        dialect=handle.dialect,
        link=link,
    )
