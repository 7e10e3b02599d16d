"""The stream that results go to."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Self

import numpy as np

from framebus.calc.arithmetic import Array
from framebus.errors import StreamFormatError, StreamNotFound, UsageError
from framebus.stream import Stream, create
from framebus.stream import open as open_stream
from framebus.stream.datatypes import CODES
from framebus.stream.names import StreamName, parse, require

__all__ = ["Target", "storable"]

_AXES = 3


def storable(value: Any) -> Array:
    """A result as a stream can hold it: a number becomes one element, truth values become uint8.

    Raises:
        UsageError: it has no elements, more than three axes, or a type that no stream has.
    """
    array = np.asarray(value)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    told = f"{'x'.join(map(str, array.shape)) or 'a number'} {array.dtype}"
    if not array.size or array.ndim > _AXES:
        raise UsageError(f"the result is {told}; a stream has 1 to {_AXES} axes of at least one element")
    if array.dtype not in CODES:
        raise UsageError(
            f"the result is {told}, which no stream can hold; cast it to a type that streams have"
        )
    return array if array.ndim else array.reshape(1)


class Target:
    """Where results are written: the stream of that name, made with the first result if it is not there.

    Args:
        name: the stream's, or the path of its file.
        recreate: make it anew if it has another shape or dtype than the result.
        force: write it even if another living process writes it.
    """

    def __init__(self, name: str, *, recreate: bool = False, force: bool = False) -> None:
        self._name = require(parse(name), allowed=["S", "path"], context="the target of a calculation")
        self._recreate, self._force = recreate, force
        self._stream: Stream | None = None

    @property
    def stream(self) -> Stream | None:
        """The stream, once it was written to."""
        return self._stream

    def write(self, value: Any, *, acquisition_ns: int = 0, count: int = 0) -> int:
        """Publish a result; returns the frame's count.

        Args:
            value: an array or a number.
            acquisition_ns: when what it is of was acquired; 0: now.
            count: that the frame is to have, where the stream has not got so far; else it has the next.

        Raises:
            UsageError: no stream can hold it; the stream that is there has another shape or dtype; or another living
                process writes that.
            StreamFormatError: the stream that is there is none.
        """
        array = storable(value)
        if self._stream is None:
            self._stream = self._open(array)
        elif not _holds(self._stream, array):
            there, self._stream = self._stream, None
            self._stream = self._anew(there, array)
        return self._stream.write(
            array, acquisition_ns=acquisition_ns, count=count if count > self._stream.count else None
        )

    def close(self) -> None:
        """Give the handle up; the stream stays."""
        if self._stream is not None:
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, array: Array) -> Stream:
        try:
            there = open_stream(_with_modifier(self._name, "E"))
        except StreamNotFound:
            return create(_with_modifier(self._name, "N"), shape=array.shape, dtype=array.dtype)
        except StreamFormatError:
            if not self._recreate:
                raise
            return create(str(self._name), shape=array.shape, dtype=array.dtype)
        try:
            self._check_writer(there)
        except UsageError:
            there.close()
            raise
        return there if _holds(there, array) else self._anew(there, array)

    def _anew(self, there: Stream, array: Array) -> Stream:
        """A stream of the result's shape and dtype in the place of one of another."""
        old = f"{'x'.join(map(str, there.shape))} {there.dtype}"
        history, dialect, name = there.history_length, str(there.dialect.name), there.name
        there.close()
        if not self._recreate:
            new = f"{'x'.join(map(str, array.shape))} {array.dtype}"
            raise UsageError(
                f"stream '{name}' is {old}, the result is {new}; cast or cut the result, take another name, or let the "
                "stream be made anew (--recreate, recreate=True)"
            )
        return create(str(self._name), shape=array.shape, dtype=array.dtype, history=history, dialect=dialect)

    def _check_writer(self, there: Stream) -> None:
        """Two writers would mix their frames."""
        pid = there.handle.last_writer
        if there.count and pid not in (0, os.getpid()) and there.handle.last_writer_alive and not self._force:
            raise UsageError(
                f"stream '{there.name}' is written by process {pid}, which is alive; take another name, or write to it "
                "all the same (--force, force=True)"
            )


def _holds(stream: Stream, array: Array) -> bool:
    return stream.shape == array.shape and stream.dtype == array.dtype


def _with_modifier(name: StreamName, letter: str) -> str:
    return f"@{letter}:{name.path or name.name}"
