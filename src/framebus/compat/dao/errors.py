"""Errors of the shims: framebus' own, each also of the class that a DAO script catches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from framebus.errors import StreamNotFound, UsageError

__all__ = ["DtypeMismatch", "SegmentNotFound", "Unavailable", "refuse"]


class Unavailable(UsageError, AttributeError):
    """DAO can do this and framebus cannot; the message says what to do instead."""


class SegmentNotFound(StreamNotFound, FileNotFoundError):
    """There is no such file, or it was removed while it was being opened."""


class DtypeMismatch(UsageError, TypeError):
    """An array has another dtype than the shared memory."""


def refuse(owner: str, name: str, advice: Mapping[str, str]) -> NoReturn:
    """For ``__getattr__``: says what to do instead of using a name that DAO has and framebus has not.

    Raises:
        Unavailable: the name, or what it begins with where that ends in ``*``, is in ``advice``.
        AttributeError: it is not.
    """
    for known, text in advice.items():
        if name == known or (known.endswith("*") and name.startswith(known[:-1])):
            raise Unavailable(f"{owner}.{name} is not in framebus: {text}")
    raise AttributeError(f"'{owner}' has no attribute '{name}'")
