"""Files into streams: an array as one frame, or a cube frame by frame at a rate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from framebus.errors import UsageError
from framebus.ops.cubes import Progress
from framebus.ops.files import FITS_NAMES, NPY_NAMES, FilePath, check_there, fitting, read_frames
from framebus.ops.targets import target_stream
from framebus.params import load_sets
from framebus.stream import Stream
from framebus.stream.conf import Keywords

__all__ = ["Loaded", "Played", "load_frames", "load_parameters", "play", "stream_for_file"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came out of a file.

    Attributes:
        name, shape, dtype, dialect: of the stream that it went to.
        frames: how many frames were published.
        count: of the last one.
        late: frames that were published more than a period after their time.
        left_out: keywords that the stream has no room for.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    dialect: str
    frames: int = 0
    count: int = 0
    late: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """A frame that was published: the how manieth it is, its count, and whether it was late by more than a period."""

    number: int
    count: int
    late: bool


def load_frames(
    path: FilePath,
    name: str | None = None,
    *,
    rate_hz: float | None = None,
    passes: int = 1,
    history: int | None = None,
    dialect: str | None = None,
    overwrite: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Loaded:
    """Publish the array in a file: as one frame, or, with ``rate_hz``, frame by frame along its first axis.

    The stream gets the keywords of a FITS header. One that is there already is written to, if its shape fits and the
    file's values convert to its dtype as ``Stream.write`` does it; else it is made.

    Args:
        path: ``.fits`` or ``.npy``.
        name: of the stream; None: the file's name without its ending.
        rate_hz: frames per second; None: all of the array is one frame.
        passes: how often the cube is played. To play it for ever, see ``play``.
        history: frames that the stream keeps, at least.
        dialect: its file format.
        overwrite: replace a stream that does not fit.
        force: write to one that another living process writes, too.
        progress: called after every frame.

    Raises:
        UsageError: a stream that is there does not fit, or another living process writes it; or the rate or
            ``passes`` is none.
        NotFoundError: no such file. DataError: it is damaged, or holds what no stream can.
    """
    if passes < 1:
        raise UsageError(f"passes is {passes}, expected 1 or more")
    stream, frames, loaded = stream_for_file(
        path,
        name,
        cube=rate_hz is not None,
        history=history,
        dialect=dialect,
        overwrite=overwrite,
        force=force,
    )
    with stream:
        if rate_hz is None:
            return replace(loaded, frames=1, count=stream.write(frames))
        total = passes * len(frames)
        for played in play(stream, frames, rate_hz, passes=passes):
            loaded = replace(loaded, frames=played.number, count=played.count, late=loaded.late + played.late)
            if progress is not None:
                progress(played.number, total)
    return loaded


def stream_for_file(
    path: FilePath,
    name: str | None = None,
    *,
    cube: bool,
    history: int | None = None,
    dialect: str | None = None,
    overwrite: bool = False,
    force: bool = False,
) -> tuple[Stream, npt.NDArray[Any], Loaded]:
    """The stream that a file's array goes to, the array, and what is known before the first frame.

    Args:
        path, name, history, dialect, overwrite, force: as of ``load_frames``.
        cube: the array's first axis counts frames.

    Raises:
        UsageError, NotFoundError, DataError: as ``load_frames``.
    """
    data, keywords = read_frames(path)
    if cube and data.ndim < 2:
        raise UsageError(f"{path}: its shape is {data.shape}; a cube of frames has 2 axes or more")
    if not cube and data.ndim > 3:
        raise UsageError(
            f"{path}: its shape is {data.shape}; a frame has at most 3 axes: play it frame by frame, at a rate"
        )
    kept, left_out = fitting(keywords)
    stream = target_stream(
        name if name is not None else _stem(path),
        shape=data.shape[1:] if cube else data.shape,
        dtype=data.dtype,
        history=history,
        dialect=dialect,
        overwrite=overwrite,
        force=force,
        any_dtype=True,
        keywords=kept,
    )
    try:
        left_out += _keep(stream, kept)
    except BaseException:
        stream.close()
        raise
    told = tuple(sorted(left_out))
    return (
        stream,
        data,
        Loaded(stream.name, stream.shape, stream.dtype.name, stream.dialect.name, left_out=told),
    )


def _keep(stream: Stream, keywords: Keywords) -> list[str]:
    """Give a stream those keywords that it has not; names of those for which all its slots are taken."""
    left_out = []
    there = dict(stream.keywords)
    for key, (value, comment) in keywords.items():
        # Compared as written out: 5.0 is another keyword than 5.
        if repr(there.get(key)) == repr(value) and stream.keywords.comment(key) == comment:
            continue
        try:
            stream.keywords.set(key, value, comment)
        except UsageError:  # each fits by itself
            left_out.append(key)
    return left_out


def play(
    stream: Stream, frames: npt.NDArray[Any], rate_hz: float, *, passes: int | None = 1
) -> Iterator[Played]:
    """Publish frames one after the other at a rate; whoever iterates may stop after any.

    Frames have their times on one absolute clock, so that the rate is kept on the mean: one that cannot be in time is
    published at once, none is left out.

    Args:
        stream: where to.
        frames: along the first axis.
        rate_hz: frames per second.
        passes: how often; None: for ever.

    Raises:
        UsageError: the rate is none, or the frames do not fit the stream.
    """
    if not 0 < rate_hz < 1e9:
        raise UsageError(f"rate_hz is {rate_hz!r}, expected frames per second above 0")
    period_ns = 1e9 / rate_hz
    start_ns, number = time.monotonic_ns(), 0
    while passes is None or number < passes * len(frames):
        due_ns = start_ns + round(number * period_ns)
        while (left_ns := due_ns - time.monotonic_ns()) > 0:
            time.sleep(left_ns * 1e-9)
        late = time.monotonic_ns() > due_ns + period_ns
        count = stream.write(frames[number % len(frames)])
        number += 1
        yield Played(number, count, late)


def load_parameters(path: FilePath) -> dict[str, int]:
    """Load the parameter sets of a TOML file; the sets' generations by their names.

    Raises:
        ParameterError: something in the file is wrong, or a set is not there; no set was changed.
        NotFoundError: there is no such file. OSError: it cannot be read.
    """
    return load_sets(check_there(path))


def _stem(path: FilePath) -> str:
    """A file's name without its ending; of ``shmim.dm.fits``, as in ``./conf``, the stream's name alone."""
    name = Path(path).name
    ending = max((e for e in (*FITS_NAMES, *NPY_NAMES) if name.lower().endswith(e)), key=len, default="")
    return name[: len(name) - len(ending)].removeprefix("shmim.")
