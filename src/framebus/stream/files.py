"""Writing files: whole or not at all, and texts that a FITS header can hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["printable", "replacing"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file so that whoever reads meanwhile finds the old one or the new one, whole.

    Gives the name of a file beside it, hidden, with the same ending; that takes its place when the block ends. If the
    block raises, the old file stays and nothing is left of the new one.

    Raises:
        OSError: the file cannot be put in its place.
    """
    file = Path(path)
    draft = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        yield draft
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def printable(text: str) -> str:
    """Text as a FITS header can hold it: what is not printable ASCII is escaped as Python does."""
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in text)
