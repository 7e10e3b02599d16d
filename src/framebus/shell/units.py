"""Units as objects: ``u.slopes.state``, ``u.slopes.pause()``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from framebus.errors import FramebusError, NotFoundError, UsageError
from framebus.pipeline.control import Controller
from framebus.pipeline.running import UnitStatus, find_unit, of_pipeline, running
from framebus.process import Event, ProcessRecord
from framebus.shell.mistakes import NoSuchName
from framebus.shell.parameters import SetView

__all__ = ["UnitView", "Units"]


class UnitView:
    """One unit, looked up anew for each look."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def status(self) -> UnitStatus:
        """How it stands: state, loops, rate, missed frames, times.

        Raises:
            NotFoundError: it is gone. UsageError: several have that name.
        """
        return find_unit(self._name)

    @property
    def state(self) -> str:
        """``running``, ``paused``, ``error`` ..."""
        return self.status.state

    @property
    def rate_hz(self) -> float:
        """Frames per second."""
        return self.status.rate_hz

    @property
    def message(self) -> str:
        """What it says."""
        return self.status.message

    @property
    def parameters(self) -> SetView:
        """Its parameters."""
        return SetView(self.status.unit)

    def pause(self) -> None:
        """Let it wait before its next frame."""
        self._tell(ProcessRecord.pause)

    def resume(self) -> None:
        """Let it run again."""
        self._tell(ProcessRecord.resume)

    def step(self, n: int = 1) -> None:
        """Let it do ``n`` frames and pause."""
        self._tell(lambda record: record.step(n))

    def stop(self) -> None:
        """Let it end."""
        self._tell(ProcessRecord.stop)

    def send(self, event: str) -> None:
        """Send it an event: run, idle, enable, disable, recover, stop."""
        if event not in list(Event):
            raise UsageError(f"there is no event {event!r}; there are: {', '.join(Event)}")
        self._tell(lambda record: record.send(Event(event)))

    def restart(self) -> None:
        """End its process and start it anew; returns when it is ready."""
        found = self._supervised()
        Controller(found.pipeline).restart(found.unit)

    def replace(self, use: str, **parameters: Any) -> None:
        """Put other code (``"package.module:function"``) in its place while it runs."""
        found = self._supervised()
        Controller(found.pipeline).replace(found.unit, use, parameters)

    def __repr__(self) -> str:
        try:
            found = self.status
        except FramebusError as error:
            return f"<unit '{self._name}': {error}>"
        said = f", {found.message}" if found.message else ""
        return (
            f"<unit '{self._name}': {found.state}, {found.loops} loops at {found.rate_hz:.4g} Hz, "
            f"{found.missed} missed{said}>"
        )

    def _tell(self, act: Callable[[ProcessRecord], object]) -> None:
        with self.status.record() as record:
            act(record)

    def _supervised(self) -> UnitStatus:
        return of_pipeline(self.status)


class Units:
    """All units that run: ``u.slopes``, ``u["bench/slopes"]`` where several pipelines have one of that name."""

    def __getattr__(self, name: str) -> UnitView:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except NotFoundError as error:
            raise NoSuchName(str(error)) from None

    def __getitem__(self, name: str) -> UnitView:
        find_unit(name)
        return UnitView(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(unit.unit for unit in running()))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __dir__(self) -> list[str]:
        return [name for name in self if name.isidentifier()]

    def _ipython_key_completions_(self) -> list[str]:
        found = running()
        return [
            *dict.fromkeys(unit.unit for unit in found),
            *(f"{u.pipeline}/{u.unit}" for u in found if u.pipeline),
        ]

    def __repr__(self) -> str:
        return "\n".join(repr(UnitView(name)) for name in self) or "<no unit runs>"
