"""What can go wrong, told apart by whose turn it is to act.

``UsageError``: the call was wrong. ``NotFoundError``: what was asked for is not there. ``PeerError``: the
other side changed or died. ``WaitTimeout``: nothing came in time. ``DataError``: what is there is bad.
``UnitError``: a unit failed while it ran. All derive from ``FramebusError``.
"""

from __future__ import annotations


class FramebusError(Exception):
    """Base of every error that framebus raises on purpose."""


class UsageError(FramebusError, ValueError):
    """The call was wrong: an argument has the wrong value, shape, dtype or place."""


class NameFormatError(UsageError):
    """A stream name, modifier, type prefix or slice could not be understood or is not allowed here."""


class BindingError(UsageError):
    """A unit cannot be bound to these streams or parameters, or cannot be compiled for them."""


class ParameterError(UsageError):
    """A parameter's value is outside its type, limits or permitted state."""


class StreamExists(UsageError):
    """The stream must not exist (``@N:``) but does."""


class NotFoundError(FramebusError, LookupError):
    """What was asked for is not there."""


class StreamNotFound(NotFoundError):
    """No stream of that name is in shared memory (nor in ``./conf``)."""


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
