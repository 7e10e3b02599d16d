"""The stream that an operation writes to: one that is there and fits, or a new one. None is replaced unasked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framebus.errors import StreamFormatError, StreamNotFound, UsageError
from framebus.stream import Stream, create, describe
from framebus.stream import open as open_stream
from framebus.stream.names import StreamName, parse, require, stream_path
from framebus.stream.opening import fits

__all__ = ["as_new", "check_writer", "open_existing", "path_of", "target_stream"]

_REPLACE = "choose another name, or add --overwrite (in Python: overwrite=True)"


def open_existing(name: str) -> Stream:
    """Open a stream that is in shared memory; nothing is loaded from ``./conf``.

    Raises:
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
    """
    parsed = parse(name)
    return open_stream(name if parsed.exists is not None or parsed.local else _with(parsed, "E"))


def path_of(name: str, context: str) -> Path:
    """Where the stream of that name lies, or would. Raises NameFormatError for a name that no file has."""
    return stream_path(require(parse(name), allowed=["S", "E", "path"], context=context))


def as_new(name: str, *, overwrite: bool = False) -> str:
    """The name under which to create a stream, which replaces none unless told.

    Raises:
        NameFormatError: no stream can be made under that name. UsageError: its path is not one of a file.
    """
    parsed = require(parse(name), allowed=["S", "L", "N", "type", "path"], context="the name of a new stream")
    _check_place(parsed)
    return name if overwrite else _with(parsed, "N")


def target_stream(
    name: str,
    *,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    history: int | None = None,
    dialect: str | None = None,
    overwrite: bool = False,
    force: bool = False,
    any_dtype: bool = False,
    like: Stream | None = None,
    keywords: Mapping[str, tuple[int | float | str, str]] | None = None,
) -> Stream:
    """A stream of that shape and dtype: the one that is there, if it fits, else a new one.

    Args:
        name: of the stream, or its path.
        shape: that it must have.
        dtype: likewise.
        history: frames that it must keep at least; None: any number, and if it is new as many as ``like``, or as the
            one that it replaces, or none.
        dialect: its file format; None: any, and if it is new that of ``like``, or of the one that it replaces, or
            ``isio``.
        overwrite: make a new one in place of one that does not fit.
        force: take one that another living process writes, too; frames of two writers mix.
        any_dtype: one that is there may have another dtype: what is written to it is converted.
        like: where a new one has history and format from.
        keywords: of a new one.

    Raises:
        UsageError: one is there and does not fit, or another living process writes it; or no such stream can be made.
        NameFormatError: the name is wrong.
        OSError: the kernel refuses.
    """
    parsed = require(parse(name), allowed=["S", "L", "path"], context="the stream that is written to")
    _check_place(parsed)
    wanted, place = np.dtype(dtype), str(parsed)
    with ExitStack() as stack:
        try:
            there = stack.enter_context(open_stream(_with(parsed, "E")))
        except StreamNotFound:
            place = _with(parsed, "N")
        except StreamFormatError as error:
            if not overwrite:
                raise UsageError(f"{error}; {_REPLACE}") from error
        else:
            if not force:
                _check_writer_of(there)
            fitting = fits(there, shape, there.dtype if any_dtype else wanted, history or 0)
            if fitting and dialect in (None, there.dialect.name):
                stack.pop_all()
                return there
            if not overwrite:
                asked = "" if history is None else f", history {history}"
                raise UsageError(
                    f"stream '{name}' is there and is {_told(there.shape, there.dtype)}, history "
                    f"{there.history_length}, {there.dialect}; expected {_told(shape, wanted)}{asked}"
                    f"{'' if dialect is None else f', {dialect}'}: {_REPLACE}"
                )
            like = there if like is None else like
        if like is not None:
            history = like.history_length if history is None else history
            dialect = dialect or like.dialect.name
    return create(
        place, shape=shape, dtype=wanted, history=history or 0, dialect=dialect or "isio", keywords=keywords
    )


def check_writer(name: str) -> None:
    """Refuse a stream that another living process writes: two writers would mix their frames.

    Raises:
        UsageError: such a process there is. NameFormatError: the name is wrong.
    """
    parsed = parse(name)
    if parsed.local:
        return
    try:
        stream = open_stream(stream_path(parsed))
    except (StreamNotFound, StreamFormatError):
        return  # nobody writes it
    with stream:
        _check_writer_of(stream)


def _check_writer_of(stream: Stream) -> None:
    there = describe(stream.path)
    if there is not None and (pid := there.other_writer):
        raise UsageError(
            f"stream '{stream.name}' is written by process {pid}, which is alive; choose another name, or write to it "
            "all the same: add --force (in Python: force=True)"
        )


def _check_place(name: StreamName) -> None:
    """Refuse a path at which there can be no stream's file."""
    if name.path is None:
        return
    if name.path.is_dir():
        raise UsageError(f"{name.path} is a directory; expected a stream's name, or the path of its file")
    if not name.path.parent.is_dir():
        raise UsageError(f"{name.path.parent} is no directory, so no stream can be made in it; make it first")


def _told(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{'x'.join(map(str, shape))} {dtype}"


def _with(name: StreamName, modifier: str) -> str:
    return str(name if modifier in name.modifiers else replace(name, modifiers=name.modifiers + modifier))
