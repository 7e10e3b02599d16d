"""What can go wrong, told apart by whose turn it is to act.

``UsageError``: the call was wrong. ``NotFoundError``: what was asked for is not there. ``PeerError``: the
other side changed or died. ``WaitTimeout``: nothing came in time. ``DataError``: what is there is bad.
``UnitError``: a unit failed while it ran. All derive from ``FramebusError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


class FramebusError(Exception):
    """Base of every error that framebus raises on purpose."""


class UsageError(FramebusError, ValueError):
    """The call was wrong: an argument has the wrong value, shape, dtype or place."""


class NameFormatError(UsageError):
    """A stream name, modifier, type prefix or slice could not be understood or is not allowed here."""


class BindingError(UsageError):
    """A unit cannot be bound to these streams or parameters, or cannot be compiled for them."""


class ParameterError(UsageError):
    """A parameter's value is outside its type, limits or permitted state.

    Attributes:
        problems: all that is wrong, one text each; a single error is its own message.
    """

    def __init__(self, message: str = "", problems: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.problems = list(problems) or [message]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a pipeline; ``str()`` gives it as compilers do.

    Attributes:
        message: what is wrong, what was expected, what to do.
        file: where it stands; empty for a pipeline that was built in Python.
        line: in that file, from 1; 0 where no line can be told.
        key: of the pipeline file, such as ``units.camera.cpu``.
    """

    message: str
    file: str = ""
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(part for part in (place, self.key, self.message) if part)


class PipelineError(UsageError):
    """A pipeline cannot be read or run.

    Attributes:
        problems: all that is wrong with it.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


class StreamExists(UsageError):
    """The stream must not exist (``@N:``) but does."""


class NotFoundError(FramebusError, LookupError):
    """What was asked for is not there."""


class StreamNotFound(NotFoundError):
    """No stream of that name is in shared memory (nor in ``./conf``).

    Args:
        message: what is not there, and where was looked.
        hint: gives what is added to the message when somebody reads it. Programs that try again and again never do.
    """

    def __init__(self, message: str = "", *, hint: Callable[[], str] | None = None) -> None:
        super().__init__(message)
        self._hint = hint

    def __str__(self) -> str:
        return super().__str__() + (self._hint() if self._hint is not None else "")


class PeerError(FramebusError):
    """The other side of a stream changed or died."""


class StreamRecreated(PeerError):
    """The stream was made anew with another shape or dtype while this handle used it, or was removed."""


class WaitTimeout(FramebusError, TimeoutError):
    """No new frame came in time; the message says how old the last one is and whether its writer lives."""


class DataError(FramebusError):
    """What was read is bad."""


class StreamFormatError(DataError):
    """A shared-memory file is corrupt, foreign or truncated.

    Attributes:
        path: the file.
        field: the header field that is wrong (``"size"``, ``"sem"``, ``"file size"`` ...).
    """

    def __init__(self, message: str, field: str = "", path: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.path = path


class UnitError(FramebusError):
    """A unit raised, or returned a non-zero code, while it ran."""


class SequenceError(FramebusError):
    """A sequence failed.

    Attributes:
        where: ``file:line`` of the sequence's file at which it failed; empty where no line can be told.
    """

    def __init__(self, message: str = "", where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where
