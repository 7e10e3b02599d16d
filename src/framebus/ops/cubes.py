"""Consecutive frames of a stream as one array, with the proof that they are consecutive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import DataError, UsageError
from framebus.ops.files import FilePath, write_frames
from framebus.ops.targets import open_existing
from framebus.stream import Stream
from framebus.stream.names import parse

__all__ = ["Cards", "Cube", "Progress", "frame_cards", "take_cube"]

Cards: TypeAlias = dict[str, tuple[int | float | str, str]]
Progress: TypeAlias = Callable[[int, int], object]
"""Called with frames done and their total."""


@dataclass(frozen=True, eq=False, slots=True)
class Cube:
    """Frames of one stream, in order.

    Attributes:
        name: of the stream.
        data: the frames, (n, *shape), of the stream's dtype.
        counts: int64 (n,), the frames' counts.
        acquisition_ns: int64 (n,), when each was acquired, ns since the epoch; 0 if its writer did not say.
        write_ns: int64 (n,), likewise, when it was published.
        missed_before: int64 (n,), how many frames were lost right before each; 0 for the first.
        cards: the stream's keywords and the first frame's count and times, for a file's header.
    """

    name: str
    data: npt.NDArray[Any]
    counts: npt.NDArray[np.int64]
    acquisition_ns: npt.NDArray[np.int64]
    write_ns: npt.NDArray[np.int64]
    missed_before: npt.NDArray[np.int64]
    cards: Cards

    @property
    def missed(self) -> int:
        """Frames lost between the first and the last one."""
        return int(self.missed_before.sum())

    @property
    def gaps(self) -> int:
        """At how many places frames were lost."""
        return int(np.count_nonzero(self.missed_before))

    @property
    def rate_hz(self) -> float:
        """Frames of the stream per second, those that were lost included; 0 if it cannot be told."""
        span_ns = int(self.write_ns[-1] - self.write_ns[0])
        return (int(self.counts[-1]) - int(self.counts[0])) * 1e9 / span_ns if span_ns > 0 else 0.0

    def save(self, path: FilePath, *, overwrite: bool = False) -> list[str]:
        """Write it into a FITS file, with a table ``FRAMES`` (COUNT, ACQUIRED, WRITTEN, MISSED), or a ``.npy``.

        Returns:
            Names of keywords that the file has no place for.

        Raises:
            UsageError, NotFoundError, OSError: as ``write_frames``.
        """
        table = {
            "COUNT": self.counts,
            "ACQUIRED": self.acquisition_ns,
            "WRITTEN": self.write_ns,
            "MISSED": self.missed_before,
        }
        cards = {**self.cards, "FBMISSED": (self.missed, "frames lost between the first and the last")}
        return write_frames(path, self.data, cards, overwrite=overwrite, table=table)


def take_cube(
    name: str,
    n: int,
    *,
    timeout_s: float | None = 5.0,
    complete: bool = False,
    progress: Progress | None = None,
) -> Cube:
    """Take the next ``n`` frames of a stream, from its next one on.

    Frames that the writer published faster than they could be taken are counted, none in silence; a stream with a
    history loses none unless this falls behind by all of it.

    Args:
        name: of the stream, or a slice of it.
        n: how many frames.
        timeout_s: how long to wait for each, in s; None: for ever.
        complete: frames that are lost are an error.
        progress: called after every frame.

    Raises:
        UsageError: ``n`` is below 1, or so many frames find no memory.
        DataError: frames were lost, and the cube was to be complete.
        WaitTimeout: none came; the message says how old the last one is and whether its writer lives.
        StreamNotFound, StreamFormatError, NameFormatError, StreamRecreated: as ``open`` and ``read_next``.
    """
    if n < 1:
        raise UsageError(f"a cube of {n} frames cannot be taken; expected 1 or more")
    with open_existing(name) as stream:
        data = _room(stream, n)
        figures = np.zeros((4, n), np.int64)
        whole = parse(name).slices is None
        stream.skip_to_newest()
        for k in range(n):
            frame = stream.read_next(out=data[k] if whole else None, timeout_s=timeout_s)
            if not whole:
                data[k] = frame.data
            missed = frame.missed if k else 0  # what passed before the first frame is no loss
            if missed and complete:
                raise DataError(
                    f"{missed} frames of '{stream.name}' were lost before its frame {frame.count}, after {k} of {n};"
                    " give the stream a longer history, or allow losses"
                )
            figures[:, k] = frame.count, frame.acquisition_ns, frame.write_ns, missed
            if progress is not None:
                progress(k + 1, n)
        cards = frame_cards(stream, *(int(figure) for figure in figures[:3, 0]))
        counts, acquired, written, lost = figures
        return Cube(stream.name, data, counts, acquired, written, lost, cards)


def _room(stream: Stream, n: int) -> npt.NDArray[Any]:
    try:
        return np.empty((n, *stream.shape), stream.dtype)
    except (MemoryError, ValueError) as error:
        size = n * int(np.prod(stream.shape)) * stream.dtype.itemsize
        raise UsageError(
            f"{n} frames of '{stream.name}' are {size / 1e9:.1f} GB, which find no memory here; take fewer at a time"
        ) from error


def frame_cards(stream: Stream, count: int, acquisition_ns: int, write_ns: int) -> Cards:
    """What a file's header says about a frame: the stream's keywords, its name, the frame's count and times."""
    cards: Cards = {key: (value, stream.keywords.comment(key)) for key, value in stream.keywords.items()}
    return cards | {
        "FBSTREAM": (stream.name, "stream"),
        "FBCOUNT": (count, "count of the (first) frame"),
        "FBACQ": (acquisition_ns, "[ns] when it was acquired, since the epoch"),
        "FBWRITE": (write_ns, "[ns] when it was published, since the epoch"),
    }
