"""``Params``: the values of one parameter set, as a mapping and as attributes."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from framebus.errors import ParameterError, UsageError, WaitTimeout
from framebus.params.cells import Value, encode
from framebus.params.handle import Handle, ParamInfo
from framebus.params.place import SUFFIX, ProcessId, process
from framebus.params.watch import Changes, Subscription, wait_generation
from framebus.stream.names import near

__all__ = ["SUFFIX", "ParamInfo", "Params"]

FINDING_BYTES = 159


class Params(Handle):
    """A handle on a parameter set in shared memory.

    ``p["gain"]`` and ``p.gain`` read, ``p["gain"] = 0.4`` and ``p.gain = 0.4`` write, and
    ``p.update(gain=0.4, leak=0.9)`` writes several in one step that no reader sees half of. Entries whose
    name is also a method's are reached as ``p["update"]`` only. Reading never waits for a writer; writing waits at
    most 1 s for another writer.

    Values are int, float, bool (on/off) or str; a timestamp is integer ns since 1970.
    """

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
        """As ``update``, for the unit itself: also status entries and those that are fixed while it runs.

        Raises:
            ParameterError: as for ``update``, or another live process runs a unit with the set.
            WaitTimeout, StreamRecreated: as for ``update``.
        """
        return self._write({**(values or {}), **named}, from_unit=True)

    def set_findings(self, findings: Mapping[str, str]) -> int:
        """Say beside the parameters what a check of their values found; replaces all that was said before.

        A finding goes when its parameter is written. Texts are cut to 159 bytes.

        Raises:
            ParameterError: the set has no such entry, or what was found is no text.
            WaitTimeout, StreamRecreated: as for ``update``.
        """
        if not isinstance(findings, Mapping):
            raise ParameterError(f"findings {findings!r}: expected texts by the names of parameters")
        for name, text in findings.items():
            self._spec(name)
            if not isinstance(text, str):
                raise ParameterError(
                    f"parameter set '{self.name}': the finding about {name} is {text!r}: expected a text"
                )
        return self.core.set_findings([_short(findings.get(name, "")) for name in self._specs])

    def claim(self, from_process: ProcessId | None = None) -> None:
        """This process runs a unit with the set.

        Until ``release``, or the end of the process, others cannot write entries that are not live.

        Args:
            from_process: pid and start ticks of a process whose unit this one takes over; that one's ``release``
                then does nothing.

        Raises:
            UsageError: another live process runs a unit with it.
            StreamRecreated: the set was replaced or removed since this handle was opened.
        """
        self.core.claim(process(from_process))

    def release(self) -> None:
        """This process no longer runs a unit with the set."""
        self.core.release()

    def check_values(self, values: Mapping[str, Any]) -> list[str]:
        """Everything for which ``update(values)`` would be refused now, one text for each entry; empty: nothing."""
        return list(self.problems(values).values())

    def problems(self, values: Mapping[str, Any]) -> dict[str, str]:
        """As ``check_values``, by the name of the entry."""
        problems: dict[str, str] = {}
        changes: dict[str, tuple[int, int, str]] = {}
        for name, value in values.items():
            problems[name] = ""  # keeps the order of what was given
            if name not in self._specs:
                problems[name] = f"no entry {name!r}{near(name, list(self._specs))}"
                continue
            try:
                changes[name] = (self._index[name], *encode(self._specs[name].type, value))
            except ParameterError as error:
                problems[name] = f"{name} {error}"
        found = self.core.problems(list(changes.values()))
        problems |= dict(zip(changes, found, strict=True))
        return {name: problem for name, problem in problems.items() if problem}

    # ---- files ---------------------------------------------------------------------------------------------

    def to_save(self, *, changed_only: bool = True) -> dict[str, Value]:
        """Names and values that belong into a file: with the flag ``saved``, no status, by default not the default."""
        return {
            name: value
            for name, value in self.snapshot().items()
            if (spec := self._specs[name]).saved
            and not spec.status
            and not (changed_only and value == spec.default)
        }

    def save(self, path: str | os.PathLike[str], *, changed_only: bool = True) -> None:
        """Write the values that differ from the defaults, or all, as a TOML file; the old one is replaced at once.

        Raises:
            UsageError: the package ``tomli_w`` is not installed.
            OSError: the file cannot be written.
        """
        from framebus.params import files

        files.save(self, path, changed_only=changed_only)

    def load(self, path: str | os.PathLike[str]) -> int:
        """Take over the values of a TOML file, all in one step; returns the new generation.

        Entries that the file does not name keep their values.

        Raises:
            ParameterError: something in the file is wrong; nothing was changed. The message and ``problems`` say
                all of it, with file and line.
            WaitTimeout, StreamRecreated: as for ``update``.
            OSError: the file cannot be read.
        """
        from framebus.params import files

        return files.load(self, path)

    # ---- waiting -------------------------------------------------------------------------------------------

    def wait_changed(self, *names: str, since: int | None = None, timeout_s: float | None = None) -> Changes:
        """Wait until the value of one of ``names`` (of any entry, without names) changes.

        Returns every one of them that changed, with its old and its new value. Writing an entry's own value again is
        no change. Ctrl-C ends the wait.

        Args:
            names: entries to wait for.
            since: a generation of this set: changes after it count, also those before this call; None: from now on.
                The old value is None where this handle has not read that generation, or long ago.
            timeout_s: how long to wait at most, in seconds; None: as long as it takes.

        Raises:
            ParameterError: the set has no such entry.
            UsageError: the set never had the generation ``since``.
            WaitTimeout: nothing changed in time.
            StreamRecreated: the set was replaced or removed.
        """
        for name in names:
            self._spec(name)
        now = self.generation
        if since is not None and since > now:
            raise UsageError(
                f"parameter set '{self.name}' has generation {now} and never had {since}; is that of another set?"
            )
        changes = self._wait(
            names, now if since is None else since, math.inf if timeout_s is None else timeout_s
        )
        if not changes:
            raise WaitTimeout(
                f"parameter set '{self.name}': no change of {', '.join(names) or 'any entry'} within {timeout_s} s"
            )
        return changes

    def subscribe(
        self,
        callback: Callable[[Changes], object],
        *names: str,
        on_error: Callable[[Exception], object] | None = None,
    ) -> Subscription:
        """Call ``callback`` with what ``wait_changed`` gives, from a thread, at every change until it is closed.

        Changes that come while it is called are told together at its next call.

        Args:
            callback: gets the ``Changes``: a dict of names with (old value, new value).
            names: entries to watch; none: all.
            on_error: gets what the callback raises, and StreamRecreated if the set is replaced or removed, which ends
                the subscription. None: a RuntimeWarning.

        Raises:
            ParameterError: the set has no such entry.
            UsageError: ``callback`` or ``on_error`` cannot be called.
        """
        for name in names:
            self._spec(name)
        for function in (callback, on_error):
            if function is not None and not callable(function):
                raise UsageError(f"a subscription cannot call {function!r}; give it a function")
        own = Params(self.core)  # stays open when this handle is closed
        start = own.generation
        return Subscription(
            lambda since, seconds: own._wait(names, since, seconds), start, callback, on_error, self.name
        )

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

    def _wait(self, names: tuple[str, ...], since: int, seconds: float) -> Changes:
        """What changed since a generation, as soon as something did; nothing when the time is over."""
        deadline = time.monotonic() + seconds
        before = next((read.values for read in self._reads if read.generation == since), {})
        while True:
            now = self._values()
            found = {
                name: (before.get(name), now.values[name])
                for name in names or self._specs
                if now.changed[name] > since
            }
            if found or not wait_generation(self.core, now.generation, deadline):
                return Changes(found, now.generation)

    def _write(self, values: Mapping[str, Any], *, from_unit: bool) -> int:
        changes = []
        for name, value in values.items():
            spec = self._spec(name)
            try:
                changes.append((self._index[name], *encode(spec.type, value)))
            except ParameterError as error:
                raise ParameterError(f"parameter set '{self.name}': {name} {error}") from error
        return self.core.update(changes, from_unit)


def _short(finding: str) -> str:
    """At most 159 bytes of UTF-8, with a mark where something was cut off."""
    data = finding.replace("\0", " ").encode(errors="replace")
    return (
        data.decode()
        if len(data) <= FINDING_BYTES
        else data[: FINDING_BYTES - 3].decode(errors="ignore") + "…"
    )
