"""pyMilk's errors, each also one of framebus', so that a script may catch either."""

from __future__ import annotations

from framebus.errors import NotFoundError, StreamNotFound, StreamRecreated, UsageError

__all__ = [
    "AutoRelinkError",
    "AutoRelinkSizeError",
    "AutoRelinkTypeError",
    "FPSDoesntExistError",
    "FPSOverrideError",
    "SHMNotFoundError",
    "UnsupportedError",
]


class UnsupportedError(UsageError, NotImplementedError):
    """pyMilk can do this and framebus cannot; the message says what to do instead."""


class SHMNotFoundError(StreamNotFound, FileNotFoundError):
    """No stream of that name is in shared memory, or it was removed while it was used."""

    def __str__(self) -> str:  # OSError would read its arguments as an errno
        return str(self.args[0]) if self.args else ""


class AutoRelinkError(StreamRecreated):
    """The stream was made anew while it was used, and this handle cannot go on with the new one."""


class AutoRelinkSizeError(AutoRelinkError):
    """It has another shape now."""


class AutoRelinkTypeError(AutoRelinkError):
    """It has another element type now."""


class FPSDoesntExistError(NotFoundError):
    """There is no parameter set of that name."""


class FPSOverrideError(UsageError):
    """A parameter set of that name is there already."""
