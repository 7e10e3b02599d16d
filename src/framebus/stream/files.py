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
        OSError: the file cannot be written, or not be put in its place; it names the file itself.
    """
    file = Path(path)
    draft = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        yield draft
        os.replace(draft, file)
    except OSError as error:
        if str(draft) in (error.filename, error.filename2):  # a name that nobody else has heard of
            raise type(error)(error.errno, error.strerror, str(file)) from error
        raise
    finally:
        draft.unlink(missing_ok=True)


def printable(text: str) -> str:
    """Text as a FITS header can hold it: what is not printable ASCII is escaped as Python does."""
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in text)
