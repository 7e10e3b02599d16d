"""Publishing by assignment: into a new stream, or one that fits and that nobody else writes."""

from __future__ import annotations

from typing import Any

from framebus.calc.arithmetic import Array
from framebus.calc.target import Target, storable
from framebus.errors import UsageError
from framebus.stream import StreamInfo, describe
from framebus.stream.names import parse, stream_path

__all__ = ["publish", "refuse_other_writer", "typed_name"]


def publish(name: str, value: Any) -> None:
    """Publish a frame as the stream of that name, which is made if it is not there.

    Raises:
        UsageError: no stream can hold it; the stream that is there has another shape or dtype, cannot be read, or is
            written by another living process. The message says what a prompt can do about it.
        NameFormatError: no stream may have that name.
    """
    array = storable(value)
    _check(name, array)
    with Target(name) as target:
        target.write(array)


def typed_name(name: str) -> str:
    """How a user of the prompt names a stream."""
    return name if name.isidentifier() else f"s[{name!r}]"


def refuse_other_writer(there: StreamInfo | None, typed: str) -> None:
    """Frames of two writers would mix.

    Args:
        there: the stream; None: there is none.
        typed: how a user of the prompt names it.

    Raises:
        UsageError: another living process writes it.
    """
    if there is not None and there.other_writer:
        raise UsageError(
            f"stream '{there.name}' is written by process {there.other_writer}, which is alive; take another name, or "
            f"write to it all the same by '{typed}.write(...)'"
        )


def _check(name: str, array: Array) -> None:
    there = describe(stream_path(parse(name)))
    if there is None:
        return
    typed = typed_name(name)
    if there.shape is None or there.dtype is None:
        raise UsageError(f"stream '{name}': {there.error}; take another name, or '%rm {name}' first")
    refuse_other_writer(there, typed)
    if there.shape == array.shape and there.dtype == array.dtype:
        return
    shapes = ["x".join(map(str, shape)) for shape in (there.shape, array.shape)]
    cast = f"convert it by astype('{there.dtype}'), " if there.shape == array.shape else ""
    raise UsageError(
        f"stream '{name}' is {shapes[0]} {there.dtype}, this is {shapes[1]} {array.dtype}; {cast}take another name, or "
        f"'{typed}.stream.remove()' first"
    )
