"""The stream that results go to."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import numpy as np

from framebus.calc.arithmetic import Array
from framebus.errors import UsageError
from framebus.ops.targets import target_stream
from framebus.stream import Stream
from framebus.stream.datatypes import CODES
from framebus.stream.names import parse, require

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
        overwrite: make it anew if it has another shape or dtype than the result.
        force: write it even if another living process writes it.
    """

    def __init__(self, name: str, *, overwrite: bool = False, force: bool = False) -> None:
        self._name = require(parse(name), allowed=["S", "path"], context="the target of a calculation")
        self._overwrite, self._force = overwrite, force
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
        """
        array = storable(value)
        stream = self._stream
        if stream is None or stream.shape != array.shape or stream.dtype != array.dtype:
            self.close()
            self._stream = stream = target_stream(
                str(self._name),
                shape=array.shape,
                dtype=array.dtype,
                overwrite=self._overwrite,
                force=self._force,
            )
        return stream.write(
            array, acquisition_ns=acquisition_ns, count=count if count > stream.count else None
        )

    def close(self) -> None:
        """Give the handle up; the stream stays."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
