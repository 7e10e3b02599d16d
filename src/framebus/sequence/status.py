"""The status of sequences, as any process on the machine sees it.

Each has a directory ``<shared memory>/<name>.sequence.fb/`` with ``status.json``, the socket
``inbox``, and ``claim``, which is locked by who takes the name or gives it free, for that moment alone. Whether a
sequence lives is the kernel's answer, by pid and start time, and never the file's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from framebus import _core
from framebus.errors import DataError, NotFoundError, UsageError
from framebus.pipeline.shared_dir import SharedDir
from framebus.places import SEQUENCE as SUFFIX
from framebus.stream.names import near, shm_directory

__all__ = ["ENDED", "SUFFIX", "Place", "SequenceStatus", "find", "purge", "running"]

T = TypeVar("T")

ENDED = ("done", "failed", "stopped", "dead")
"""The states from which nothing comes any more."""


@dataclass(frozen=True, slots=True)
class SequenceStatus:
    """One sequence as it stands.

    Attributes:
        name: its name, unique on the machine.
        pid: process id.
        start_ticks: when that process started, clock ticks since boot: a later process of that pid is another.
        file: its file, absolute.
        arguments: what it was given, as texts.
        state: ``starting`` (its file is read), ``running``, ``stopping`` (it was told to stop, and its ``finally``
            blocks run), ``done``, ``failed``, ``stopped``, or ``dead``: its process ended without a word.
        step: what it does now, or did last.
        progress: share of that which is done, 0 to 1; None if it does not say.
        message: the last line that it logged.
        started_ns, ended_ns: ns since the epoch; 0: not yet.
        error: why it failed; empty otherwise.
        where: ``file:line`` at which it failed.
        errors: how many errors it passed over, or tried again after.
        programs: pid and start ticks of the programs that it runs.
        log: its log file.
    """

    name: str
    pid: int = 0
    start_ticks: int = 0
    file: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    state: str = "running"
    step: str = ""
    progress: float | None = None
    message: str = ""
    started_ns: int = 0
    ended_ns: int = 0
    error: str = ""
    where: str = ""
    errors: int = 0
    programs: list[list[int]] = field(default_factory=list)
    log: str = ""

    @property
    def alive(self) -> bool:
        """Whether it still runs: its state says so, and its process lives."""
        return self.state not in ENDED and _core.process_alive(self.pid, self.start_ticks)

    @property
    def elapsed_s(self) -> float:
        """Seconds from its start to its end, or to now. That of a dead one is not known: NaN."""
        if self.state == "dead":
            return float("nan")
        return ((self.ended_ns or _core.realtime_ns()) - self.started_ns) / 1e9


class Place(SharedDir):
    """Where one sequence's status is kept.

    Args:
        name: the sequence's.
        directory: where its directory lies; default: the directory of the streams.

    Raises:
        NameFormatError: the name is not possible.
    """

    SUFFIX, VERSION, REMEDY = SUFFIX, 1, "remove"

    def __init__(self, name: str, directory: str | os.PathLike[str] | None = None) -> None:
        super().__init__(name, directory)
        self.inbox = self.path / "inbox"

    def read(self) -> SequenceStatus:
        """The status; its state is ``dead`` if its process is gone and did not say how it ended.

        Raises:
            NotFoundError: there is no such sequence.
            DataError: the file cannot be read, or another version of framebus wrote it.
        """
        path = self.path / "status.json"
        try:
            status = SequenceStatus(**self.read_table("status.json"))
        except FileNotFoundError:
            raise NotFoundError(f"there is no sequence '{self.name}' ({path} is not there)") from None
        except TypeError as error:
            raise DataError(f"{path} is no sequence's status: {error}; remove {self.path}") from error
        if status.state not in ENDED and not status.alive:
            return dataclasses.replace(status, state="dead")
        return status

    def tell(self, status: SequenceStatus) -> None:
        """Replace the status."""
        self.write_table("status.json", dataclasses.asdict(status))

    def claim(self, status: SequenceStatus, bind: Callable[[Path], T]) -> T:
        """Take the name: what an ended or killed sequence of that name left is replaced.

        Returns:
            What ``bind`` makes of the path of the inbox: a sequence that can be seen can be told to stop.

        Raises:
            UsageError: a sequence of that name runs.
        """
        with self._locked(make=True):
            with contextlib.suppress(NotFoundError, DataError):
                other = self.read()
                if other.alive:
                    raise UsageError(
                        f"sequence '{self.name}' runs already (process {other.pid}, {other.file}); stop it with "
                        f"'framebus seq stop {self.name}', or give this one another name"
                    )
            self.inbox.unlink(missing_ok=True)
            inbox = bind(self.inbox)
            self.tell(status)
            return inbox

    def remove(self) -> bool:
        """Remove what an ended or killed sequence left; False if there is none, or it runs."""
        try:
            with self._locked(make=False):
                with contextlib.suppress(NotFoundError, DataError):
                    if self.read().alive:
                        return False
                shutil.rmtree(self.path, ignore_errors=True)
                return True
        except FileNotFoundError:
            return False

    @contextmanager
    def _locked(self, *, make: bool) -> Iterator[None]:
        """Nobody else claims or removes meanwhile. The lock ends with the descriptor, whatever ends the process."""

        def wait(opened: int) -> bool:
            fcntl.flock(opened, fcntl.LOCK_EX)
            return True

        file = self.lock("claim", wait, make=make)
        assert file is not None  # it waits
        try:
            yield
        finally:
            os.close(file)


def running(*, ended: bool = True, directory: str | os.PathLike[str] | None = None) -> list[SequenceStatus]:
    """All sequences of this machine, by name: those that run, those that were killed (``dead``), those that ended.

    One that cannot be read is left out with a ``RuntimeWarning`` that says why.

    Args:
        ended: also those that are done, failed or stopped, until they are purged or run again.
        directory: default: that of the streams.
    """
    found = []
    for name in Place.names(directory):
        try:
            status = Place(name, directory).read()
        except NotFoundError:
            continue  # it starts, or is removed, in this moment
        except (DataError, UsageError) as error:
            warnings.warn(f"left out of the list of sequences: {error}", RuntimeWarning, stacklevel=2)
            continue
        if ended or status.state not in ("done", "failed", "stopped"):
            found.append(status)
    return found


def find(name: str = "") -> SequenceStatus:
    """The status of the sequence ``name``; without a name that of the only one there is.

    Raises:
        NotFoundError: there is none.
        UsageError: there are several, and none is named.
        DataError: its status cannot be read.
    """
    known = running()
    names = [status.name for status in known]
    if name:
        try:
            return Place(name).read()
        except NotFoundError:
            raise NotFoundError(f"there is no sequence '{name}'{near(name, names)}") from None
    if not known:
        raise NotFoundError(f"there is no sequence (none in {shm_directory()})")
    if len(known) > 1:
        raise UsageError(f"there are several sequences; name one of them: {', '.join(names)}")
    return known[0]


def purge(*names: str) -> list[str]:
    """Forget sequences that ended or were killed: those of these names, or all; returns the names that are gone.

    Raises:
        NotFoundError: there is none of a name.
        UsageError: one that is named runs.
    """
    for name in names:
        if find(name).alive:
            raise UsageError(f"sequence '{name}' runs; stop it first: 'framebus seq stop {name}'")
    chosen = names or [status.name for status in running() if not status.alive]
    return [name for name in chosen if Place(name).remove()]


def as_plain(status: SequenceStatus) -> dict[str, Any]:
    """The status as a dictionary for JSON."""
    return {**dataclasses.asdict(status), "elapsed_s": status.elapsed_s}
