"""Mistakes at a prompt and in scripts: errors of names that are not there, and what is told of an error."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import framebus
from framebus.errors import NotFoundError, StreamNotFound, UsageError
from framebus.stream.names import SUFFIX, near, shm_directory, stream_names

__all__ = ["NoSuchName", "NoSuchStream", "NotSettable", "explain", "place", "traceback_text"]

_OWN = os.path.dirname(os.path.abspath(framebus.__file__)) + os.sep


class NoSuchName(NotFoundError, AttributeError):
    """What was asked for as an attribute is not there: a parameter set or entry, a unit; ``hasattr`` gives False."""


class NoSuchStream(StreamNotFound, NoSuchName):
    """The stream that was asked for as an attribute is not there."""


class NotSettable(UsageError, AttributeError):
    """What was to be set as an attribute cannot be."""


def explain(error: NameError, namespace: dict[str, Any]) -> None:
    """Let an error that the interpreter raised tell of streams, too, if the name was looked up in ``namespace``."""
    name, trace = error.name, error.__traceback__
    if not name or trace is None or _innermost(trace).tb_frame.f_globals is not namespace:
        return
    if (shm_directory() / f"{name}{SUFFIX}").exists():
        said = f"'{name}' is a stream, no variable; '%rm {name}' removes it"
    else:
        known = [*stream_names(), *(known for known in namespace if not known.startswith("_"))]
        hint = near(name, known, otherwise="'framebus ls' lists the streams that are there")
        said = f"no variable and no stream '{name}'{hint}"
    error.args = (said,)
    error.name = None  # Python itself would suggest something, too


def place(error: BaseException) -> str:
    """``FILE:LINE: `` of the line in a user's file that an error came from; empty if it came from none."""
    steps = [step for step in traceback.extract_tb(error.__traceback__) if not _is_own(step.filename)]
    files = [step for step in steps if Path(step.filename).is_file()]
    return f"{files[-1].filename}:{files[-1].lineno}: " if files else ""


def traceback_text(error: BaseException) -> str:
    """The traceback as Python has it, but for framebus' own lines; with them if there are no others."""
    if isinstance(error, SyntaxError) and not place(error):  # its place is in its text
        return "".join(traceback.format_exception_only(error))
    told = traceback.TracebackException.from_exception(error)
    each: traceback.TracebackException | None = told
    while each is not None:
        users = [step for step in each.stack if not _is_own(step.filename)]
        each.stack = traceback.StackSummary.from_list(users) if users else each.stack
        each = each.__cause__ or each.__context__
    return "".join(told.format())


def _innermost(trace: TracebackType) -> TracebackType:
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _is_own(filename: str) -> bool:
    return filename.startswith(_OWN)
