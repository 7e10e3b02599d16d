"""``FPS``: a framebus parameter set with pyMilk's methods, and the unit that runs with it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from enum import Enum, StrEnum
from fnmatch import fnmatchcase
from typing import Self

from framebus.compat.pymilk.errors import FPSDoesntExistError, FPSOverrideError, UnsupportedError
from framebus.errors import NotFoundError
from framebus.params import Params, ParamSpec, Value
from framebus.params.paramset import SUFFIX
from framebus.process import ProcessRecord, State
from framebus.stream.names import shm_directory

__all__ = ["FPS", "FPSManager", "FPS_flags", "FPS_type"]


class FPS_type(StrEnum):  # noqa: N801 - pyMilk's name
    """Types of parameters, and what framebus calls them."""

    ONOFF = "onoff"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    STRING = "string"
    FILENAME = "path"
    STREAMNAME = "stream"
    PID = "pid"

    @property
    def initial(self) -> Value:
        """What a new parameter of this type holds."""
        if self in (FPS_type.STRING, FPS_type.FILENAME, FPS_type.STREAMNAME):
            return ""
        return self is not FPS_type.ONOFF and 0


class FPS_flags(Enum):  # noqa: N801 - pyMilk's name
    """Who writes a parameter: anybody, or only the unit itself."""

    DEFAULT_INPUT = "input"
    DEFAULT_OUTPUT = "output"
    DEFAULT_STATUS = "status"


class FPS:
    """A parameter set: ``fps["gain"]``, ``fps["gain"] = 0.3``, ``"gain" in fps``.

    A set that was made anew, or to which somebody added a parameter, is followed. ``run_start`` and ``run_stop`` act on
    the framebus unit that has the set's name.

    Args:
        name: the set's name, which is its unit's.

    Attributes:
        name: as given.

    Raises:
        FPSDoesntExistError: there is no such set.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._params = _open(name)

    @classmethod
    def create(cls, name: str, force_recreate: bool = False) -> Self:
        """Make an empty set.

        Raises:
            FPSOverrideError: there is one of that name, and ``force_recreate`` is False.
            UsageError: a live process runs a unit with the one that is there, or the name is not possible.
        """
        if not force_recreate and (shm_directory() / f"{name}{SUFFIX}").exists():
            raise FPSOverrideError(
                f"parameter set '{name}' is there already; open it, or say force_recreate=True"
            )
        Params.create(name, [], replace=force_recreate).close()
        return cls(name)

    @property
    def params(self) -> Params:
        """The framebus parameter set, as it is now: the file that has the name.

        Raises:
            FPSDoesntExistError: it was removed.
            UsageError: this handle was given up (``disconnect``).
        """
        if self._params.core.retired:
            former, self._params = self._params, _open(self.name)
            former.close()
        return self._params

    @property
    def key_types(self) -> dict[str, str]:
        """Every parameter's type, in framebus' words."""
        return {key: self.params.describe(key).spec.type for key in self.params}

    def get_param(self, key: str) -> Value:
        """A parameter's value. Raises ParameterError (a ValueError) if there is none of that name."""
        return self.params[key]

    def set_param(self, key: str, value: Value) -> None:
        """Write a parameter.

        Raises:
            ParameterError: there is none of that name, or the value is of another type, outside the limits or not
                writable now (also a ValueError).
        """
        params = self.params
        if params.user_pid in (0, os.getpid()):
            params.set_status({key: value})  # nobody else runs with it, so a result may be written, too
        else:
            params[key] = value

    __getitem__ = get_param
    __setitem__ = set_param

    def __contains__(self, key: object) -> bool:
        return key in self.params

    def __iter__(self) -> Iterator[str]:
        return iter(self.params)

    def __len__(self) -> int:
        return len(self.params)

    def keys(self) -> list[str]:
        """The names of all parameters."""
        return list(self.params)

    def add_param(
        self,
        key: str,
        comment: str,
        datatype: FPS_type | str,
        flags: FPS_flags = FPS_flags.DEFAULT_INPUT,
    ) -> None:
        """Add a parameter, 0, False or ``""`` at first; one that is there already with that type stays as it is.

        framebus' sets have fixed entries, so the set is made anew with the values that it had (results begin at their
        defaults); other handles of FPS follow.

        Raises:
            ParameterError: it is there with another type, or name, type or comment is not possible.
            UsageError: a live process runs a unit with the set.
        """
        params = self.params
        kind = FPS_type(datatype)
        if key in params and params.describe(key).spec.type == kind.value:
            return
        specs = [params.describe(name).spec for name in params]
        new = ParamSpec(
            key,
            kind.initial,
            type=kind.value,
            description=comment,
            status=flags is not FPS_flags.DEFAULT_INPUT,
        )
        # Values are carried over for a successor; of a process of no start time, as which no unit can run.
        made = Params.open_or_create(self.name, [*specs, new], successor_of=(os.getpid(), 0))
        self._params.close()
        self._params = made

    # ---- its unit ------------------------------------------------------------------------------------------

    def run_isrunning(self) -> bool:
        """Whether a live process runs the unit, and it is not paused."""
        try:
            with ProcessRecord.open(self.name) as record:
                return record.alive and record.state is State.RUNNING
        except NotFoundError:
            return False

    def run_start(self, timeoutsync: float | None = None) -> bool:
        """Let the unit go on after ``run_stop``; whether it runs, waiting for that at most ``timeoutsync`` s.

        Raises:
            NotFoundError: no process has the unit; ``framebus up`` and ``framebus run`` start one.
            UsageError: it has failed; the message says what to do.
        """
        try:
            record = ProcessRecord.open(self.name)
        except NotFoundError as error:
            raise NotFoundError(
                f"run_start(): {error}; 'framebus run' starts a unit, 'framebus up' those of a pipeline"
            ) from None
        with record:
            record.resume()
            return _wait(record, {State.RUNNING}, timeoutsync)

    def run_stop(self, timeoutsync: float | None = None) -> bool:
        """Pause the unit before its next frame; whether it stands, waiting for that at most ``timeoutsync`` s.

        Its process stays, so that ``run_start`` can let it go on. A unit that no process runs stands.
        """
        try:
            record = ProcessRecord.open(self.name)
        except NotFoundError:
            return True
        with record:
            if not record.alive or record.state is not State.RUNNING:
                return True
            record.pause()
            return _wait(record, set(State) - {State.RUNNING}, timeoutsync)

    def conf_isrunning(self) -> bool:
        """True: framebus checks every value where it is written, so no process does."""
        return True

    def conf_start(self, timeoutsync: float | None = None) -> bool:
        """Nothing is to be started: values are always checked. True."""
        return True

    def conf_stop(self, timeoutsync: float | None = None) -> bool:
        """Not possible.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "conf_stop(): framebus has no configuration process to stop; every value is checked where it is written"
        )

    def tmux_start(self) -> None:
        """Not possible.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(f"tmux_start(): {_TMUX}")

    def tmux_stop(self) -> None:
        """Not possible.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(f"tmux_stop(): {_TMUX}")

    # ---- its end, and how it looks -------------------------------------------------------------------------

    def disconnect(self) -> None:
        """Give the handle up; the set stays."""
        self._params.close()

    def destroy(self) -> None:
        """Remove the set. Raises UsageError if another live process runs a unit with it."""
        self.params.remove()

    def __str__(self) -> str:
        return f"{self.name} | CONF: Y | RUN: {'Y' if self.run_isrunning() else 'N'}"

    def __repr__(self) -> str:
        return f"<FPS {self.name!r}>"


class FPSManager:
    """All parameter sets whose names match a shell pattern, opened once.

    Args:
        fps_name_glob: such as ``"loop*"``.
    """

    def __init__(self, fps_name_glob: str = "*") -> None:
        self.fps_name_glob = fps_name_glob
        self.fps_cache: dict[str, FPS] = {}
        self.rescan_all()

    def rescan_all(self, fps_name_glob: str | None = None) -> None:
        """Open the sets that are there now, and give up those that were open."""
        pattern = self.fps_name_glob if fps_name_glob is None else fps_name_glob
        self.purge_cache()
        for path in sorted(shm_directory().glob(f"*{SUFFIX}")):
            name = path.name.removesuffix(SUFFIX)
            if fnmatchcase(name, pattern):
                self.find_fps(name)

    def purge_cache(self) -> None:
        """Give up all handles."""
        for fps in self.fps_cache.values():
            fps.disconnect()
        self.fps_cache = {}

    def find_fps(self, name: str) -> FPS:
        """The set of that name. Raises FPSDoesntExistError."""
        if name not in self.fps_cache:
            self.fps_cache[name] = FPS(name)
        return self.fps_cache[name]

    def get_param(self, fps: str, key: str) -> Value:
        """``FPS.get_param`` of the set called ``fps``."""
        return self.find_fps(fps).get_param(key)

    def set_param(self, fps: str, key: str, value: Value) -> None:
        """``FPS.set_param`` of the set called ``fps``."""
        self.find_fps(fps).set_param(key, value)

    def run_start(self, fps: str, timeout: float | None = None) -> None:
        """``FPS.run_start`` of the set called ``fps``."""
        self.find_fps(fps).run_start(timeout)

    def run_stop(self, fps: str, timeout: float | None = None) -> None:
        """``FPS.run_stop`` of the set called ``fps``."""
        self.find_fps(fps).run_stop(timeout)


_TMUX = "a pipeline's units get windows of tmux by launcher = \"tmux\" in its file, or 'framebus up --launcher tmux'"


def _open(name: str) -> Params:
    try:
        return Params.open(name)
    except NotFoundError as error:
        raise FPSDoesntExistError(str(error)) from None


def _wait(record: ProcessRecord, wanted: set[State], timeout_s: float | None) -> bool:
    """Whether the unit is in one of these states, or comes there in time."""
    deadline = time.monotonic() + (timeout_s or 0.0)
    while True:
        seen = record.activity
        if record.state in wanted:
            return True
        left = deadline - time.monotonic()
        if left <= 0 or not record.alive:
            return False
        record.wait_activity(seen, min(left, 0.1))  # the death of a process wakes nobody
