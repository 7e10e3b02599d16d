"""Streams, looked at through handles that stay open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from framebus import _core
from framebus.errors import FramebusError
from framebus.ops.flow import stream_flow
from framebus.stream.datatypes import DTYPES
from framebus.stream.dialects import DIALECTS
from framebus.stream.names import SUFFIX
from framebus.tui.looks import StreamLook

__all__ = ["StreamWatch"]

_ALIVE_NS = 500_000_000
"""How long an answer of the kernel about a writer that does not write is good for."""
_CLAIMS_NS = 1_000_000_000
"""How old the number of claimed semaphores may be."""
_BAD_AGAIN = 25
"""Looks between two tries to open a bad file: it may be one that is being made."""


class _Open:
    """One stream that is open."""

    def __init__(self, name: str, path: Path, inode: int) -> None:
        self.path, self.inode = str(path), inode
        self.handle = _core.StreamHandle.open(self.path, looks_only=True)
        handle = self.handle
        self._fixed = StreamLook(
            name,
            self.path,
            inode,
            "empty",
            tuple(reversed(handle.size)),
            DTYPES[handle.datatype].name,
            semaphores=handle.semaphores,
            history=handle.history,
            size_bytes=os.stat(self.path).st_size,
        )
        self._claimed, self._claims_ns = 0, 0
        self.identifies = DIALECTS[handle.dialect].writer_identity
        self.flow = stream_flow(handle)
        self._asked_ns, self._alive = 0, True

    def look(self, now_ns: int, readers: int, missed: int) -> StreamLook:
        handle = self.handle
        count = handle.count
        written_ns = handle.written_ns if count else 0
        moved = self.flow.add(count, written_ns or now_ns)
        rate_hz, _ = self.flow.now(now_ns)
        pid, state = self._state(count, moved, now_ns)
        if now_ns - self._claims_ns > _CLAIMS_NS:
            self._claims_ns = now_ns
            self._claimed = sum(1 for claim in handle.header().get("sem_read_pid", ()) if claim > 0)
        fixed = self._fixed
        return StreamLook(  # in order, without names: this is made for every stream at every look
            fixed.name,
            fixed.path,
            fixed.inode,
            state,
            fixed.shape,
            fixed.dtype,
            count,
            written_ns,
            0.0 if state in ("dead", "left") else rate_hz,
            pid,
            self._claimed,
            fixed.semaphores,
            fixed.history,
            readers,
            missed,
            fixed.size_bytes,
        )

    def _state(self, count: int, moved: bool, now_ns: int) -> tuple[int, str]:
        """The writer, and the state. The kernel is asked only about those that write nothing just now."""
        pid = self.handle.last_writer
        maker = 0 if pid else self.handle.maker
        if not pid and not maker and not self.identifies:
            return 0, "unknown"
        if moved and pid:
            self._asked_ns, self._alive = 0, True
        elif now_ns - self._asked_ns > _ALIVE_NS:
            self._asked_ns = now_ns
            self._alive = self.handle.last_writer_alive if pid else self.handle.maker_alive
        left = not self._alive and self.handle.last_writer_left
        if not self._alive and not left:
            return pid or maker, "dead"
        if not count:
            return pid or maker, "empty"
        if left:
            return pid, "left"
        return pid or maker, self.flow.standing(now_ns)


class StreamWatch:
    """All streams of a directory.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, _Open] = {}
        self._bad: dict[str, tuple[StreamLook, int]] = {}
        self._looks = 0

    def look(
        self,
        files: Mapping[str, int],
        now_ns: int,
        readers: Mapping[str, int],
        missed: Mapping[str, int],
        same: Mapping[str, StreamLook],
    ) -> dict[str, StreamLook]:
        """How every stream stands.

        Args:
            files: inodes by stream name: a file of another inode is another stream, and is opened anew.
            now_ns: CLOCK_REALTIME.
            readers: how many read it, by stream; those that are missing were not looked at.
            missed: frames missed, by stream.
            same: streams that are not looked at, as they were before.
        """
        self._looks += 1
        for name in [name for name, held in self._open.items() if files.get(name) != held.inode]:
            self._open.pop(name).handle.close()
        for name in [name for name in self._bad if name not in files]:
            del self._bad[name]
        found = {}
        for name, inode in files.items():
            if name in same and same[name].inode == inode:
                found[name] = same[name]
                continue
            held = self._open.get(name) or self._try(name, inode)
            if isinstance(held, _Open):
                found[name] = held.look(now_ns, readers.get(name, -1), missed.get(name, 0))
            elif held is not None:
                found[name] = held
        return found

    def _try(self, name: str, inode: int) -> _Open | StreamLook | None:
        """Open it; or what to say of it; None if it is gone by now."""
        path = self._folder / f"{name}{SUFFIX}"
        if name in self._bad:
            told, when = self._bad[name]
            if told.inode == inode and self._looks - when < _BAD_AGAIN:
                return told
        try:
            opened = self._open[name] = _Open(name, path, inode)
        except FileNotFoundError:
            return None
        except (FramebusError, OSError) as error:
            if not path.exists():
                return None
            said = str(error).removeprefix(f"{path}: ")
            told = StreamLook(name, str(path), inode, "bad", error=said)
            self._bad[name] = (told, self._looks)
            return told
        self._bad.pop(name, None)
        return opened

    def handle(self, name: str) -> _core.StreamHandle | None:
        """The open handle of a stream, for reading its frame; None if there is none. It stays the watch's own."""
        held = self._open.get(name)
        return None if held is None else held.handle

    def close(self) -> None:
        """Give all handles back."""
        for held in self._open.values():
            held.handle.close()
        self._open.clear()
