"""A second name for one stream: a symbolic link beside it, as milk's ``streamlink`` makes it."""

from __future__ import annotations

import os
from pathlib import Path

from framebus.errors import UsageError
from framebus.ops.targets import open_existing, path_of
from framebus.stream.files import replacing

__all__ = ["link"]


def link(source: str, target: str, *, overwrite: bool = False) -> Path:
    """Give the stream ``source`` the further name ``target``: the same memory, the same counter, no copy.

    Whoever opens ``target`` finds ``source``, also when it was made anew; removing ``target`` removes the link alone.

    Args:
        source: name or path of a stream that is there.
        target: the new name, or path.
        overwrite: let a link that is there point to ``source``. A stream is never replaced.

    Returns:
        The path of the link.

    Raises:
        UsageError: ``target`` is there, or is ``source`` itself; or the stream is one of DAO's, whose readers sleep on
            semaphores that are named after the file, so that a link would never wake them: ``framebus copy`` it.
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
        OSError: the link cannot be made.
    """
    # What a link is given as source stands for: so links never lead in circles.
    origin = Path(os.path.realpath(path_of(source, "the source of a link")))
    place = path_of(target, "the name of a link").absolute()
    with open_existing(str(path_of(source, "the source of a link"))) as stream:
        if stream.dialect.name == "dao":
            raise UsageError(
                f"'{source}' is of DAO's format, whose readers are woken by semaphores of the file's own name; "
                f"hand it on instead: framebus copy {source} {target}"
            )
    if origin == Path(os.path.realpath(place)) and not place.is_symlink():
        raise UsageError(f"'{target}' is the stream itself; give the link another name")
    if place.is_symlink():
        if not overwrite:
            raise UsageError(
                f"'{target}' is a link to {os.readlink(place)}; add --overwrite (in Python: overwrite=True), or "
                "remove it first"
            )
    elif place.exists():
        raise UsageError(f"'{target}' is a stream; choose another name, or remove it first")
    beside = origin.parent == Path(os.path.realpath(place.parent))
    with replacing(place) as draft:
        draft.symlink_to(origin.name if beside else origin)
    return place
