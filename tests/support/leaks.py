"""What a test left behind: processes, threads, sockets, shared memory, mappings.

All of it is read from ``/proc``, so that what native code left behind counts too.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
SCRATCH_PREFIX = "framebus-test-"
GRACE_S = 2.0
"""How long what ends by itself may take to leave the kernel's tables."""
_SUFFIXES = (".im.shm", ".fb")
_PREFIXES = (".fb-", "sem.")
# The helper of `multiprocessing` lives until the interpreter ends, whoever needed it first.
_ALLOWED_COMMANDS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


@dataclass(frozen=True)
class Snapshot:
    """What there was before a test."""

    processes: frozenset[int]
    threads: frozenset[int]
    sockets: frozenset[str]
    files: frozenset[str]
    directory: str

    @classmethod
    def take(cls) -> Snapshot:
        """Look now."""
        return cls(
            frozenset(_pids()),
            frozenset(_threads()),
            frozenset(_sockets()),
            frozenset(_shared_files()),
            os.getcwd(),
        )

    def leaks(self, scratch: Path, mappings: bool = True, grace_s: float = GRACE_S) -> list[str]:
        """What is there now and was not at the snapshot, a message each.

        Args:
            scratch: the test's own directory of streams.
            mappings: whether to look at mappings too. A failed test's traceback keeps its variables alive, and with
                them what they map.
            grace_s: how long to give what is about to end.
        """
        found = [
            *_settle(lambda: self._new_processes(scratch), grace_s),
            *_settle(self._new_threads, grace_s),
            *(f"socket left open: {name}" for name in sorted(_sockets() - self.sockets)),
            *_settle(self._new_files, grace_s),
        ]
        if mappings and _mapped(scratch):
            gc.collect()
            found += [
                f"still mapped: {path} (a handle or a view of it is alive)" for path in _mapped(scratch)
            ]
        if os.getcwd() != self.directory:
            found.append(f"working directory left at {os.getcwd()}, was {self.directory}")
            os.chdir(self.directory)
        return found

    def end_processes(self, scratch: Path) -> None:
        """Kill the processes that are new since the snapshot, so that the next test starts clean."""
        for pid in self._descendants(scratch):
            if not _allowed(pid):
                os.kill(pid, signal.SIGKILL)

    def _descendants(self, scratch: Path) -> Iterator[int]:
        """Our new children, and whoever inherited the scratch directory's name: a grandchild whose parent is gone."""
        mark = f"MILK_SHM_DIR={scratch}\0"
        own = os.getpid()
        # Those that were there before are not looked into, which would take longer than most tests.
        for pid in set(_pids()) - self.processes:
            fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
            if pid == own or not fields or fields[0] in "ZX":
                continue
            if int(fields[1]) == own or mark in _text(f"/proc/{pid}/environ"):
                yield pid

    def _new_processes(self, scratch: Path) -> list[str]:
        return [
            f"process left running: {pid} {_command(pid)}"
            for pid in sorted(self._descendants(scratch))
            if not _allowed(pid)
        ]

    def _new_threads(self) -> list[str]:
        names = {thread.native_id: f"Python thread {thread.name!r}" for thread in threading.enumerate()}
        return [
            f"thread left running: {tid} {names.get(tid, 'native, ' + _text(f'/proc/self/task/{tid}/comm').strip())}"
            for tid in sorted(_threads() - self.threads)
        ]

    def _new_files(self) -> list[str]:
        return [
            f"file left in {SHARED_MEMORY}: {name}"
            for name in sorted(_shared_files() - self.files)
            if not _named_after_strangers(name) and not _used_by_strangers(SHARED_MEMORY / name)
        ]


def _settle(look: Callable[[], list[str]], grace_s: float) -> list[str]:
    """What ``look`` still finds after a short grace: a joined thread leaves the kernel's tables a moment later."""
    deadline = time.monotonic() + grace_s
    pause = threading.Event()  # never set: the tables send no event
    while (found := look()) and time.monotonic() < deadline:
        pause.wait(0.01)
    return found


def _text(path: str) -> str:
    """A file of /proc, or nothing if what it tells of has gone or is not ours to see."""
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _command(pid: int) -> str:
    return _text(f"/proc/{pid}/cmdline").replace("\0", " ").strip()[:200]


def _allowed(pid: int) -> bool:
    command = _command(pid)
    return any(allowed in command for allowed in _ALLOWED_COMMANDS)


def _threads() -> set[int]:
    return {int(entry) for entry in os.listdir("/proc/self/task")}


def _sockets() -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue  # the descriptor of this very listing
        if target.startswith("socket:"):
            found.add(target)
    return found


def _shared_files() -> set[str]:
    """What framebus or a semaphore's maker could have left in /dev/shm itself; others put their files there too."""
    if not SHARED_MEMORY.is_dir():
        return set()
    return {
        name for name in os.listdir(SHARED_MEMORY) if name.endswith(_SUFFIXES) or name.startswith(_PREFIXES)
    }


def _named_after_strangers(name: str) -> bool:
    """Whether it is a semaphore of another test run, or of a benchmark: their names have the process' id."""
    found = re.match(r"sem\.(?:fb-test-(?:[a-z]+-)?|hop|unit)(\d+)", name)
    if found is None or int(found[1]) == os.getpid():
        return False
    return Path("/proc", found[1]).exists() and _parent(int(found[1])) != os.getpid()


def _parent(pid: int) -> int:
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


def _used_by_strangers(path: Path) -> bool:
    """Whether a process that is no child of ours maps the file: then somebody else on this machine made it."""
    own = os.getpid()
    for pid in _pids():
        fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if pid != own and fields and int(fields[1]) != own and str(path) in _text(f"/proc/{pid}/maps"):
            return True
    return False


def _mapped(scratch: Path) -> list[str]:
    """Files of the scratch directory that this process maps, removed ones too."""
    mark = f" {scratch}/"
    lines = _text("/proc/self/maps").splitlines()
    return sorted({line[line.index(mark) + 1 :] for line in lines if mark in line})
