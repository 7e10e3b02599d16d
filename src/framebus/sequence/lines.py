"""Which line of which sequence's file an error came from."""

from __future__ import annotations

import os
import traceback

from framebus.errors import FramebusError, SequenceError

__all__ = ["known_files", "place_of", "told"]

known_files: set[str] = set()
"""Paths of the files that were loaded as sequences, as their code knows them."""


def place_of(error: BaseException) -> str:
    """``file:line`` of the innermost line of a sequence's file that the error passed; empty if it passed none.

    Of a group of errors, that of its first.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, SequenceError) and error.where:
        return error.where
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename in known_files:
            found = f"{os.path.basename(frame.filename)}:{frame.lineno}"
    return found


def told(error: BaseException) -> str:
    """What to say of an error, without the place: framebus' own speak for themselves, others by their class."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error)
    if isinstance(error, SequenceError) and error.where:
        return text.removeprefix(f"{error.where}: ")
    if isinstance(error, FramebusError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
