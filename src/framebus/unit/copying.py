"""Handing a stream on to another one, of the same or of the other file format: the unit ``copy``."""

from __future__ import annotations

from typing import Annotated, Any

from framebus.errors import FramebusError, UsageError
from framebus.stream import Stream, create
from framebus.stream import open as open_stream
from framebus.stream.names import parse, require, stream_path
from framebus.stream.opening import DEFAULT_KEYWORD_SLOTS, fits
from framebus.unit.arrays import ArraySpec, In, Out
from framebus.unit.declare import unit


@unit(carries=True)
def copy(
    source: Annotated[In, "the stream that is handed on"],
    target: Annotated[Out, "its frames, with their counts, times of acquisition and keywords"],
) -> None:
    """Hand a stream on: every frame as it is, under its own count, and the keywords as they change.

    The target may be of another file format than the source, and so bridges the two.
    """
    # Not target[...] = source, which takes Numba ten times as long to compile and runs at a quarter of the speed.
    for i in range(source.size):
        target.flat[i] = source.flat[i]


@copy.shapes
def _shapes(source: ArraySpec) -> dict[str, Any]:
    return {"target": (source.shape, source.dtype)}


def make_target(
    source: Stream, name: str, *, dialect: str | None = None, history: int | None = None
) -> Stream:
    """The stream that ``copy`` is to write to: one that is there and fits, else a new one with the source's keywords.

    A stream whose newest count is beyond the source's is made anew: the source's counts could not go on in it.

    Args:
        source: what is to be handed on.
        name: of the target, or its path.
        dialect: its file format; None takes that of a target that is there, and else the one that the source does not
            have.
        history: how many frames it keeps; None: as many as the source.

    Raises:
        UsageError: it is the source itself, or no such stream can be made.
        NameFormatError: its name is wrong.
        OSError: the kernel refuses.
    """
    parsed = require(parse(name), allowed=["S", "L", "path"], context="the target of a copy")
    if not parsed.local and stream_path(parsed) == source.path:
        raise UsageError(f"'{name}' is the stream that is to be copied; give its copy another name")
    kept = source.history_length if history is None else history
    there = _there(name)
    wanted = dialect or (there.dialect.name if there else "isio" if source.dialect.name == "dao" else "dao")
    if there is not None:
        if (
            fits(there, source.shape, source.dtype, kept)
            and there.dialect.name == wanted
            and there.count <= source.count
            and there.keywords.slots >= len(source.keywords)
        ):
            return there
        there.close()
    return create(
        name,
        shape=source.shape,
        dtype=source.dtype,
        history=kept,
        dialect=wanted,
        keywords={key: (value, source.keywords.comment(key)) for key, value in source.keywords.items()},
        keyword_slots=max(source.keywords.slots, DEFAULT_KEYWORD_SLOTS),
    )


def _there(name: str) -> Stream | None:
    try:
        return open_stream(f"@E:{name}" if not name.startswith("@") else name)
    except (FramebusError, OSError):
        return None  # not there, or nothing that could be gone on with
