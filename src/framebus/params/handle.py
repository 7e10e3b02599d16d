"""A handle on a parameter set: making, opening and reading it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from framebus import _core
from framebus.errors import NotFoundError, ParameterError, StreamNotFound, UsageError
from framebus.params.cells import Value, decode, encode
from framebus.params.place import SUFFIX, ProcessId, path_of, process, sets_beside
from framebus.params.spec import ParamSpec, Specs, carried, from_core, same_declaration, specs_of, to_core
from framebus.stream.names import near

__all__ = ["Handle", "ParamInfo"]

_REMEMBERED = 8  # reads that a handle keeps, to say what a value was before


@dataclass(frozen=True, slots=True)
class ParamInfo:
    """One parameter: what it is, its value now, how often it was written since the set was made.

    ``finding`` is what the unit's check found about the value; ``""`` is nothing.
    """

    spec: ParamSpec
    value: Value
    changes: int
    finding: str = ""


class _Read(NamedTuple):
    """All of one generation, by name."""

    generation: int
    values: dict[str, Value]
    changes: dict[str, int]
    changed: dict[str, int]  # the generation that changed the value last
    findings: dict[str, str]


class Handle(Mapping[str, Value]):
    """What ``Params`` is before it writes: the set's entries and their values, consistent and without waiting."""

    _open: _core.ParamSet | None
    _specs: dict[str, ParamSpec]
    _index: dict[str, int]
    _reads: tuple[_Read, ...]

    def __init__(self, core: _core.ParamSet) -> None:
        """Use ``Params.create``, ``Params.open`` or ``Params.open_or_create``."""
        put = super().__setattr__
        put("_open", core)
        put("_specs", {spec.name: spec for spec in map(from_core, core.specs)})
        put("_index", {name: i for i, name in enumerate(self._specs)})
        put("_reads", ())

    # ---- making and opening --------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        name: str,
        specs: Specs,
        *,
        replace: bool = False,
        successor_of: ProcessId | None = None,
        mode: int = 0o660,
        directory: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Make a new set, its values the defaults.

        Args:
            name: what it is called; the file is ``<directory>/<name>.params.fb``.
            specs: ``ParamSpec`` objects, or a mapping of names to ParamSpecs or plain defaults.
            replace: replace a set of that name. Handles on the old one then get ``StreamRecreated`` when they
                write.
            successor_of: pid and start ticks of the process whose set may be replaced though its unit runs.
            mode: access mode of the file, under the umask.
            directory: default: the one of the streams.

        Raises:
            ParameterError: an entry is declared wrongly; the message names it and what is possible.
            UsageError: a set of that name is there already and ``replace`` is False, or another live process runs
                a unit with it.
            NameFormatError: the name is not possible.
        """
        path = path_of(name, directory)
        entries = [to_core(spec) for spec in specs_of(specs)]
        if not replace and path.exists():
            raise UsageError(
                f"parameter set '{name}' is there already ({path}); "
                "open it, remove it, or create with replace=True"
            )
        return cls(_core.ParamSet.create(str(path), name, entries, mode, [], process(successor_of)))

    @classmethod
    def open(cls, name: str | os.PathLike[str], *, directory: str | os.PathLike[str] | None = None) -> Self:
        """Open a set by its name, or by its file's path (an ``os.PathLike``, or a text with a ``/`` in it).

        Raises:
            NotFoundError: there is no such set; the message lists names that are like it.
            StreamFormatError: the file is corrupt, foreign or truncated; its ``field`` says what is wrong.
        """
        given = isinstance(name, os.PathLike) or "/" in name
        path = Path(name).absolute() if given else path_of(str(name), directory)
        try:
            return cls(_core.ParamSet.open(str(path)))
        except StreamNotFound:
            hint = near(path.name.removesuffix(SUFFIX), sets_beside(path))
            raise NotFoundError(f"no parameter set '{name}' ({path}){hint}") from None

    @classmethod
    def open_or_create(
        cls,
        name: str,
        specs: Specs,
        *,
        successor_of: ProcessId | None = None,
        mode: int = 0o660,
        directory: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Open the set of that name if it has exactly these entries (its values stay), else make it new.

        So a unit that is started again goes on with the values that it was tuned to. The successor of a process
        (``successor_of``: its pid and start ticks) may replace the set that this one's unit runs with, and a set that
        it makes new has the old one's values wherever name, type and limits allow; status entries have their defaults.

        Raises:
            ParameterError: an entry is declared wrongly.
            UsageError: another live process runs a unit with the set of that name, which has other entries.
        """
        declared = specs_of(specs)
        entries = [to_core(spec) for spec in declared]
        path = path_of(name, directory)
        kept: list[tuple[int, int, str]] = []
        try:
            found = cls(_core.ParamSet.open(str(path)))
        except StreamNotFound:
            pass
        else:
            if not found.core.retired and same_declaration(declared, found.core.specs):
                return found
            if successor_of is not None:
                kept = carried(found.snapshot(), declared)
            found.close()
        return cls(_core.ParamSet.create(str(path), name, entries, mode, kept, process(successor_of)))

    def close(self) -> None:
        """Give up this handle; the set stays. Using the handle afterwards raises ``UsageError``."""
        super().__setattr__("_open", None)

    def remove(self, *, force: bool = False) -> None:
        """Remove the set's file. Other handles can still read; their writes raise ``StreamRecreated``.

        Args:
            force: even if another live process runs a unit with it; the unit goes on with the values that it has.

        Raises:
            UsageError: another live process runs a unit with it.
        """
        core = self.core
        if not force and core.user_pid not in (0, os.getpid()):
            raise UsageError(
                f"parameter set '{core.name}': a unit of process {core.user_pid} runs with it, so it cannot be "
                "removed; stop that unit first"
            )
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
        return self._values().values[name]

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
        return dict(self._values().values)

    def describe(self, name: str) -> ParamInfo:
        """Type, limits, unit, default, description, help, flags, value, change count and finding of one entry.

        Raises:
            ParameterError: the set has no such entry.
        """
        spec = self._spec(name)
        read = self._values()
        return ParamInfo(spec, read.values[name], read.changes[name], read.findings.get(name, ""))

    def describe_all(self) -> dict[str, ParamInfo]:
        """What ``describe`` tells, of every entry by its name, all of one moment."""
        read = self._values()
        return {
            name: ParamInfo(spec, read.values[name], read.changes[name], read.findings.get(name, ""))
            for name, spec in self._specs.items()
        }

    @property
    def changes(self) -> dict[str, int]:
        """How often each entry was written since the set was made."""
        return dict(self._values().changes)

    @property
    def findings(self) -> dict[str, str]:
        """What the unit's check found about entries, by name; only those about which it found something."""
        return dict(self._values().findings)

    @property
    def generation(self) -> int:
        """Number of updates since the set was made: equal generations mean equal values.

        What the values were then can be told by ``wait_changed(since=generation)``, as long as this handle has not
        seen many generations since.
        """
        return self._values().generation

    def diff(self, other: Mapping[str, Any] | None = None) -> dict[str, tuple[Value | None, Value | None]]:
        """Entries whose values differ, as (value there, value here); None where one has no such entry.

        Args:
            other: a snapshot, another set, or any mapping of names to values; None: the defaults.
        """
        here = self.snapshot()
        if other is None:
            other = {name: spec.default for name, spec in self._specs.items()}
        there = other.snapshot() if isinstance(other, Handle) else dict(other)
        there = {name: self._as_held(name, value) for name, value in there.items()}
        names = [*here, *(name for name in there if name not in here)]
        return {n: (there.get(n), here.get(n)) for n in names if there.get(n) != here.get(n)}

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

    # ---- inside --------------------------------------------------------------------------------------------

    def _values(self) -> _Read:
        core = self.core
        if self._reads and self._reads[0].generation == core.generation:
            return self._reads[0]
        generation, cells, counts, changed, texts, findings = core.values()
        values = {
            spec.name: decode(spec.type, cell, text)
            for spec, cell, text in zip(self._specs.values(), cells, texts, strict=True)
        }
        read = _Read(
            generation,
            values,
            dict(zip(self._specs, counts, strict=True)),
            dict(zip(self._specs, changed, strict=True)),
            {name: text for name, text in zip(self._specs, findings, strict=True) if text},
        )
        super().__setattr__("_reads", (read, *self._reads[: _REMEMBERED - 1]))
        return read

    def _as_held(self, name: str, value: Any) -> Any:
        """The value as this set would hold it, if it can."""
        if name not in self._specs:
            return value
        kind = self._specs[name].type
        try:
            return decode(kind, *encode(kind, value))
        except ParameterError:
            return value

    def _spec(self, name: str) -> ParamSpec:
        spec = self._specs.get(name)
        if spec is None:
            raise ParameterError(self._unknown(name))
        return spec

    def _unknown(self, name: str) -> str:
        return f"parameter set '{self.core.name}' has no entry {name!r}{near(name, list(self._specs))}"
