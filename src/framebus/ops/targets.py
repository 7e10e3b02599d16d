"""The stream that an operation writes to: one that is there and fits, or a new one. None is replaced unasked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from framebus.errors import StreamFormatError, StreamNotFound, UsageError
from framebus.stream import Stream, create
from framebus.stream import open as open_stream
from framebus.stream.names import parse, require, stream_path
from framebus.stream.opening import fits

__all__ = ["open_existing", "path_of", "target_stream"]


def open_existing(name: str) -> Stream:
    """Open a stream that is in shared memory; nothing is loaded from ``./conf``.

    Raises:
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
    """
    return open_stream(name if name.startswith("@") else f"@E:{name}")


def path_of(name: str, context: str) -> Path:
    """Where the stream of that name lies, or would. Raises NameFormatError for a name that no file has."""
    return stream_path(require(parse(name), allowed=["S", "E", "path"], context=context))


def target_stream(
    name: str,
    *,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    history: int | None = None,
    dialect: str | None = None,
    overwrite: bool = False,
    any_dtype: bool = False,
    like: Stream | None = None,
    keywords: Mapping[str, tuple[int | float | str, str]] | None = None,
) -> Stream:
    """A stream of that shape and dtype: the one that is there, if it fits, else a new one.

    Args:
        name: of the stream, or its path.
        shape: that it must have.
        dtype: likewise.
        history: frames that it must keep at least; None: any number, and if it is new as many as ``like``, or none.
        dialect: its file format; None: any, and if it is new that of ``like``, or ``isio``.
        overwrite: make a new one in place of one that does not fit.
        any_dtype: one that is there may have another dtype: what is written to it is converted.
        like: where a new one has history and format from.
        keywords: of a new one.

    Raises:
        UsageError: one is there and does not fit, or no such stream can be made.
        NameFormatError: the name is wrong.
        OSError: the kernel refuses.
    """
    require(parse(name), allowed=["S", "L", "path"], context="the stream that is written to")
    wanted = np.dtype(dtype)
    try:
        there = open_existing(name) if not name.startswith("@") else open_stream(name)
    except StreamNotFound:
        pass
    except StreamFormatError as error:
        if not overwrite:
            raise UsageError(
                f"{error}; choose another name, or add --overwrite (in Python: overwrite=True)"
            ) from error
    else:
        fitting = fits(there, shape, there.dtype if any_dtype else wanted, history or 0)
        if fitting and dialect in (None, there.dialect.name):
            return there
        found = f"{there.dtype} {there.shape}, history {there.history_length}, {there.dialect}"
        there.close()
        if not overwrite:
            asked = "" if history is None else f", history {history}"
            raise UsageError(
                f"stream '{name}' is there and is {found}; expected {wanted} {shape}{asked}"
                f"{'' if dialect is None else f', {dialect}'}: choose another name, or add --overwrite "
                "(in Python: overwrite=True)"
            )
    if like is not None:
        history = like.history_length if history is None else history
        dialect = dialect or like.dialect.name
    return create(
        name, shape=shape, dtype=wanted, history=history or 0, dialect=dialect or "isio", keywords=keywords
    )
