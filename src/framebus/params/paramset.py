"""``Params``: the values of one parameter set, as a mapping and as attributes."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from framebus import _core
from framebus.errors import NotFoundError, ParameterError, StreamNotFound, UsageError
from framebus.params.cells import Value, decode, encode
from framebus.params.spec import ParamSpec, Specs, from_core, specs_of, to_core
from framebus.stream.names import check_name, shm_directory

__all__ = ["SUFFIX", "ParamInfo", "Params"]

SUFFIX = ".params.fb"
"""What the file name of a parameter set ends with."""


@dataclass(frozen=True, slots=True)
class ParamInfo:
    """One parameter: what it is, its value now, and how often it was written since the set was made."""

    spec: ParamSpec
    value: Value
    changes: int


class Params(Mapping[str, Value]):
    """A handle on a parameter set in shared memory.

    ``p["gain"]`` and ``p.gain`` read, ``p["gain"] = 0.4`` and ``p.gain = 0.4`` write, and
    ``p.update(gain=0.4, leak=0.9)`` writes several in one step that no reader sees half of. Entries whose
    name is also a method's are reached as ``p["update"]`` only. Reading never waits for a writer; writing waits at
    most 1 s for another writer.

    Values are int, float, bool (on/off) or str; a timestamp is integer ns since 1970.
    """

    _open: _core.ParamSet | None
    _specs: dict[str, ParamSpec]
    _index: dict[str, int]
    _read: tuple[int, dict[str, Value], dict[str, int]] | None

    def __init__(self, core: _core.ParamSet) -> None:
        """Use ``Params.create``, ``Params.open`` or ``Params.open_or_create``."""
        put = super().__setattr__
        put("_open", core)
        put("_specs", {spec.name: spec for spec in map(from_core, core.specs)})
        put("_index", {name: i for i, name in enumerate(self._specs)})
        put("_read", None)

    # ---- making and opening --------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        name: str,
        specs: Specs,
        *,
        replace: bool = False,
        mode: int = 0o660,
        directory: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Make a new set, its values the defaults.

        Args:
            name: what it is called; the file is ``<directory>/<name>.params.fb``.
            specs: ``ParamSpec`` objects, or a mapping of names to ParamSpecs or plain defaults.
            replace: replace a set of that name. Handles on the old one then get ``StreamRecreated`` when they
                write.
            mode: access mode of the file, under the umask.
            directory: default: the one of the streams.

        Raises:
            ParameterError: an entry is declared wrongly; the message names it and what is possible.
            UsageError: a set of that name is there already and ``replace`` is False.
            NameFormatError: the name is not possible.
        """
        path = _path(name, directory)
        entries = [to_core(spec) for spec in specs_of(specs)]
        if not replace and path.exists():
            raise UsageError(
                f"parameter set '{name}' is there already ({path}); "
                "open it, remove it, or create with replace=True"
            )
        return cls(_core.ParamSet.create(str(path), name, entries, mode))

    @classmethod
    def open(cls, name: str | os.PathLike[str], *, directory: str | os.PathLike[str] | None = None) -> Self:
        """Open a set by its name, or by its file's path (an ``os.PathLike``, or a text with a ``/`` in it).

        Raises:
            NotFoundError: there is no such set; the message lists names that are like it.
            StreamFormatError: the file is corrupt, foreign or truncated; its ``field`` says what is wrong.
        """
        path = Path(name) if isinstance(name, os.PathLike) or "/" in name else _path(name, directory)
        try:
            return cls(_core.ParamSet.open(str(path)))
        except StreamNotFound:
            near = _near(
                path.name.removesuffix(SUFFIX),
                [p.name[: -len(SUFFIX)] for p in path.parent.glob(f"*{SUFFIX}")],
            )
            raise NotFoundError(f"no parameter set '{name}' ({path}){near}") from None

    @classmethod
    def open_or_create(
        cls, name: str, specs: Specs, *, mode: int = 0o660, directory: str | os.PathLike[str] | None = None
    ) -> Self:
        """Open the set of that name if it has exactly these entries (its values stay), else make it new.

        So a unit that is started again goes on with the values that it was tuned to.

        Raises:
            ParameterError: an entry is declared wrongly.
            UsageError: another live process runs a unit with the set of that name, which has other entries.
        """
        declared = specs_of(specs)
        path = _path(name, directory)
        try:
            found = cls(_core.ParamSet.open(str(path)))
        except StreamNotFound:
            return cls.create(name, declared, mode=mode, directory=directory)
        if [_fields(to_core(spec)) for spec in declared] == [_fields(entry) for entry in found.core.specs]:
            if not found.core.retired:
                return found
        elif (user := found.core.user_pid) not in (0, os.getpid()):
            raise UsageError(
                f"parameter set '{name}' has other entries and process {user} runs with it; stop that first"
            )
        return cls.create(name, declared, replace=True, mode=mode, directory=directory)

    def close(self) -> None:
        """Give up this handle; the set stays. Using the handle afterwards raises ``UsageError``."""
        super().__setattr__("_open", None)

    def remove(self) -> None:
        """Remove the set's file. Other handles can still read; their writes raise ``StreamRecreated``."""
        core = self.core
        core.retire()
        path = Path(core.path)
        try:
            if path.stat().st_ino == core.inode:  # else: somebody made a new one, which is not ours to remove
                path.unlink()
        except FileNotFoundError:
            pass  # removed by somebody else: what we wanted
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ---- reading -------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Value:
        self._spec(name)
        return self._values()[1][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or ``default`` if the set has no such entry."""
        return self[name] if name in self._specs else default

    def items(self) -> Any:
        """Names and values, all of one moment."""
        return self.snapshot().items()

    def values(self) -> Any:
        """The values, all of one moment."""
        return self.snapshot().values()

    def snapshot(self) -> dict[str, Value]:
        """All values of one moment: never half of another's ``update``."""
        return dict(self._values()[1])

    def describe(self, name: str) -> ParamInfo:
        """Type, limits, unit, default, description, flags, value and change count of one entry.

        Raises:
            ParameterError: the set has no such entry.
        """
        spec = self._spec(name)
        _, values, changes = self._values()
        return ParamInfo(spec, values[name], changes[name])

    @property
    def changes(self) -> dict[str, int]:
        """How often each entry was written since the set was made."""
        return dict(self._values()[2])

    @property
    def generation(self) -> int:
        """Number of updates since the set was made: equal generations mean equal values."""
        return self.core.generation

    @property
    def name(self) -> str:
        """The set's name."""
        return self.core.name

    @property
    def path(self) -> Path:
        """The set's file."""
        return Path(self.core.path)

    @property
    def user_pid(self) -> int:
        """The live process whose unit runs with the set; 0 if there is none."""
        return self.core.user_pid

    @property
    def core(self) -> _core.ParamSet:
        """The native set, for the loop.

        Raises:
            UsageError: this handle is closed.
        """
        if self._open is None:
            raise UsageError("this parameter set's handle is closed; open it again with Params.open(name)")
        return self._open

    # ---- writing -------------------------------------------------------------------------------------------

    def __setitem__(self, name: str, value: Any) -> None:
        self._write({name: value}, from_unit=False)

    def update(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> int:
        """Change several entries in one step; returns the new generation. On any error nothing changes.

        Raises:
            ParameterError: unknown name, wrong type, outside the limits, or not writable now; the message
                names parameter, value and what is allowed.
            WaitTimeout: another live process has held the writers' lock for 1 s.
            StreamRecreated: the set was replaced or removed since this handle was opened.
        """
        return self._write({**(values or {}), **named}, from_unit=False)

    def set_status(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> int:
        """As ``update``, for the unit itself: also status entries and those that are fixed while it runs."""
        return self._write({**(values or {}), **named}, from_unit=True)

    def claim(self) -> None:
        """This process runs a unit with the set.

        Until ``release``, or the end of the process, others cannot write entries that are not live.

        Raises:
            UsageError: another live process runs a unit with it.
        """
        self.core.claim()

    def release(self) -> None:
        """This process no longer runs a unit with the set."""
        self.core.release()

    # ---- attributes ----------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Value:
        # Called for names that are no attribute; AttributeError, so that hasattr() and copy() work as always.
        if name.startswith("_") or name not in self._specs:
            raise AttributeError(self._unknown(name) if not name.startswith("_") else name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name) or name not in self._specs:
            raise AttributeError(
                f"'{name}' is a method or property of Params; write the entry by [...]"
                if name in self._specs
                else self._unknown(name)
            )
        self[name] = value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._specs})

    def __repr__(self) -> str:
        if self._open is None:
            return "<Params, closed>"
        return f"<Params '{self.name}': {', '.join(f'{k}={v!r}' for k, v in self.snapshot().items())}>"

    # ---- inside --------------------------------------------------------------------------------------------

    def _values(self) -> tuple[int, dict[str, Value], dict[str, int]]:
        core = self.core
        known = self._read
        if known is not None and known[0] == core.generation:
            return known
        generation, cells, counts, texts = core.values()
        values = {
            spec.name: decode(spec.type, cell, text)
            for spec, cell, text in zip(self._specs.values(), cells, texts, strict=True)
        }
        read = (generation, values, dict(zip(self._specs, counts, strict=True)))
        super().__setattr__("_read", read)
        return read

    def _write(self, values: Mapping[str, Any], *, from_unit: bool) -> int:
        changes = []
        for name, value in values.items():
            spec = self._spec(name)
            try:
                changes.append((self._index[name], *encode(spec.type, value)))
            except ParameterError as error:
                raise ParameterError(f"parameter set '{self.name}': {name} {error}") from error
        return self.core.update(changes, from_unit)

    def _spec(self, name: str) -> ParamSpec:
        spec = self._specs.get(name)
        if spec is None:
            raise ParameterError(self._unknown(name))
        return spec

    def _unknown(self, name: str) -> str:
        return f"parameter set '{self.core.name}' has no entry {name!r}{_near(name, list(self._specs))}"


def _near(name: str, names: list[str]) -> str:
    """What to add to a message about a name that is not there."""
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    if close:
        return f"; did you mean {' or '.join(repr(n) for n in close)}?"
    return f"; there are: {', '.join(sorted(names)[:20])}" if names else "; there are none"


def _path(name: str, directory: str | os.PathLike[str] | None) -> Path:
    check_name(name)
    return Path(directory if directory is not None else shm_directory()) / f"{name}{SUFFIX}"


def _fields(entry: _core.ParamSpec) -> tuple[object, ...]:
    return (
        entry.name,
        entry.type,
        entry.flags,
        entry.unit,
        entry.description,
        entry.minimum,
        entry.maximum,
        entry.initial,
        entry.initial_text,
    )
