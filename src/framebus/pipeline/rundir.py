"""The run directory: what a supervisor leaves for the next one, and for everybody who asks how a pipeline does.

``<shared memory>/<name>.pipeline.fb/`` holds ``plan.json`` (the plan as it runs now), ``state.json`` (processes and
what was made in shared memory), ``control.sock``, and for each start of a process its plan and its report. ``lock`` is
held by the supervisor as long as it lives, so the lock and not the file's content says whether there is one.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from framebus.errors import DataError, NotFoundError, UsageError
from framebus.pipeline.plan import PipelinePlan
from framebus.pipeline.shared_dir import SharedDir
from framebus.places import PIPELINE as SUFFIX
from framebus.stream.names import shm_directory

__all__ = ["SUFFIX", "RunDir", "Stray", "default_logs", "one_run_dir", "run_dirs"]


@dataclass(frozen=True, slots=True)
class Stray:
    """A living host of this pipeline, as the system's table of processes shows it.

    Attributes:
        pid: its process id.
        process: the name of the pipeline's process that it is.
        serial: the number of its start: of two of the same name the higher one is newer.
    """

    pid: int
    process: str
    serial: int


class RunDir(SharedDir):
    """One pipeline's run directory.

    Args:
        name: the pipeline's.
        directory: where it lies; default: the directory of the streams.

    Raises:
        NameFormatError: the name is not possible.
    """

    SUFFIX, VERSION, REMEDY = SUFFIX, 1, "end its processes, then remove"

    def __init__(self, name: str, directory: str | os.PathLike[str] | None = None) -> None:
        super().__init__(name, directory)
        self._lock: int | None = None

    # ---- who has it ----

    def acquire(self) -> bool:
        """Make the directory if need be, and take its lock; False if another process has it.

        Raises:
            OSError: it cannot be made.
        """
        file = self.lock("lock", _taken, make=True)
        if file is None:
            return False
        self._lock = file
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def held(self) -> bool:
        """Whether a living supervisor, this process' own included, has the lock."""
        try:
            file = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:  # asks without locking: whoever would take it in this moment gets it
            answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _whole_file(fcntl.F_WRLCK))
        finally:
            os.close(file)
        return int(struct.unpack_from("h", answer)[0]) != fcntl.F_UNLCK

    @property
    def exists(self) -> bool:
        """Whether the pipeline runs, or did and was not taken down."""
        return os.path.exists(self.path / "state.json")

    def remove(self) -> None:
        """Remove the directory, and give the lock back."""
        # The state first: what has none is no pipeline any more, even if we are killed half-way.
        (self.path / "state.json").unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    def remove_stale(self) -> bool:
        """Remove the directory of a supervisor that was killed before it had started or made anything.

        Whether there was such a one.
        """
        if self.exists or not self.path.is_dir() or not self.acquire():
            return False
        if self.exists:
            self.release()
            return False
        self.remove()
        return True

    # ---- what it holds ----

    @property
    def socket(self) -> Path:
        """Where the supervisor listens."""
        return self.path / "control.sock"

    def start_files(self, process: str, serial: int) -> tuple[Path, Path]:
        """The plan and the report of one start of a process."""
        stem = f"{_quoted(process)}.{serial}"
        return self.path / f"{stem}.plan.json", self.path / f"{stem}.report.json"

    def drop_start(self, process: str, serial: int) -> None:
        """Remove the files of a start that is over."""
        for path in self.path.glob(f"{glob.escape(_quoted(process))}.{serial}.*"):
            path.unlink(missing_ok=True)

    def write_plan(self, plan: PipelinePlan) -> None:
        """Keep the plan."""
        import msgspec

        self.write("plan.json", msgspec.json.encode(plan))

    def read_plan(self) -> PipelinePlan:
        """The plan that is kept.

        Raises:
            NotFoundError: there is none.
            DataError: it cannot be read.
        """
        import msgspec

        try:
            data = (self.path / "plan.json").read_bytes()
            return msgspec.json.decode(data, type=PipelinePlan, strict=False)
        except FileNotFoundError:
            raise self._absent("plan.json") from None
        except msgspec.MsgspecError as error:
            raise DataError(f"{self.path / 'plan.json'} cannot be read: {error}") from error

    def write_state(self, state: dict[str, Any]) -> None:
        """Keep the state; see ``Supervisor.status`` for what it holds."""
        self.write_table("state.json", state)

    def read_state(self) -> dict[str, Any]:
        """The state that is kept.

        Raises:
            NotFoundError: there is none.
            DataError: it cannot be read, or another version of framebus wrote it.
        """
        try:
            return self.read_table("state.json")
        except FileNotFoundError:
            raise self._absent("state.json") from None

    def strays(self) -> list[Stray]:
        """All living hosts of this pipeline, the oldest of each process first, whoever started them.

        The path of its plan is in every host's command line, so this finds those too that were started in the moment
        in which their supervisor was killed.
        """
        prefix = f"{self.path}/"
        found = []
        for pid, arguments in _commands():
            for argument in arguments:
                if argument.startswith(prefix) and argument.endswith(".plan.json"):
                    stem, _, serial = argument[len(prefix) : -len(".plan.json")].rpartition(".")
                    if serial.isdigit():
                        found.append(Stray(pid, unquote(stem), int(serial)))
        return sorted(found, key=lambda stray: (stray.process, stray.serial))

    def last_serial(self) -> int:
        """The number of the last start of any process; 0 if there was none."""
        numbers = [
            path.name.split(".")[-3] for path in self.path.glob("*.*.json") if path.name.count(".") >= 3
        ]
        return max((int(number) for number in numbers if number.isdigit()), default=0)

    def _absent(self, file: str) -> NotFoundError:
        return NotFoundError(
            f"no pipeline '{self.name}' runs ({self.path / file} is not there); 'framebus ps' lists what does"
        )


def run_dirs(directory: str | os.PathLike[str] | None = None) -> list[RunDir]:
    """Those of all pipelines that run, or were not taken down, by name."""
    return [found for name in RunDir.names(directory) if (found := RunDir(name, directory)).exists]


def one_run_dir(name: str | None = None) -> RunDir:
    """The run directory of the pipeline ``name``; of the only one that runs, without a name.

    Raises:
        NotFoundError: none runs, or none of that name.
        UsageError: several run and none is named.
    """
    running = run_dirs()
    names = ", ".join(found.name for found in running)
    if name is None:
        if len(running) > 1:
            raise UsageError(f"several pipelines run; name one of them: {names}")
        if not running:
            raise NotFoundError(f"no pipeline runs (none in {shm_directory()})")
        return running[0]
    for found in running:
        if found.name == name:
            return found
    there = f"there are: {names}" if names else f"none is in {shm_directory()}"
    raise NotFoundError(f"no pipeline '{name}' runs; {there}")


def default_logs(name: str) -> Path:
    """Where a pipeline's logs lie if its plan does not say: they outlive the pipeline, to be read afterwards."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "framebus" / name


def _taken(file: int) -> bool:
    """Take a lock that nobody else has."""
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _whole_file(fcntl.F_WRLCK))
    except BlockingIOError:
        return False
    return True


def _whole_file(kind: int) -> bytes:
    """A ``struct flock``: type, whence, start, length (0: to the end), pid. It belongs to the descriptor (OFD)."""
    return struct.pack("hhqqi0q", kind, os.SEEK_SET, 0, 0, 0)


def _commands() -> Iterator[tuple[int, list[str]]]:
    """The command line of every process."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                command = Path("/proc", entry, "cmdline").read_bytes()
                yield int(entry), [os.fsdecode(argument) for argument in command.split(b"\0")]


def _quoted(process: str) -> str:
    """A process' name as the first part of file names: without dots, which part the others from it."""
    return quote(process, safe="").replace(".", "%2E")
