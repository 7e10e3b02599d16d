"""Streams into files: the newest frame of one, or of several at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from framebus.errors import UsageError
from framebus.ops.cubes import Progress, frame_cards, take_cube
from framebus.ops.files import FilePath, check_new, check_writable, kind_of, write_frames
from framebus.ops.targets import open_existing
from framebus.params import save_sets

__all__ = ["Saved", "save_parameters", "save_stream", "snapshot"]


@dataclass(frozen=True, slots=True)
class Saved:
    """A stream that was written into a file.

    Attributes:
        name: of the stream.
        path: of the file.
        shape, dtype: of the array in it.
        count: of its frame; of the last one of several.
        frames: how many frames it holds.
        missed: frames that passed between these and are lost.
        left_out: keywords that the file has no place for.
    """

    name: str
    path: Path
    shape: tuple[int, ...]
    dtype: str
    count: int
    frames: int = 1
    missed: int = 0
    left_out: tuple[str, ...] = ()


def save_stream(
    name: str,
    path: FilePath,
    *,
    frames: int | None = None,
    overwrite: bool = False,
    timeout_s: float = 5.0,
    progress: Progress | None = None,
) -> Saved:
    """Write a stream's newest whole frame into a file, or the next ``frames`` as a cube.

    Args:
        name: of the stream; a slice of it, such as ``wfs[0:9,*]``, saves that part.
        path: ``.fits``, with the stream's keywords in the header, or ``.npy``, the data alone.
        frames: None: the newest one, as it stands; else so many frames from now on, one after the other.
        overwrite: replace a file that is there.
        timeout_s: how long to wait for a frame, in s.
        progress: called after every frame of a cube.

    Raises:
        UsageError: the file exists, or cannot hold the stream's dtype.
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
        WaitTimeout: no frame came; the message says why.
        NotFoundError: astropy is not installed. OSError: the file cannot be written.
    """
    kind_of(path)
    with open_existing(name) as stream:
        file = check_writable(path, stream.dtype, overwrite)
        if frames is None:
            frame = stream.newest(timeout_s=timeout_s)
            cards = frame_cards(stream, frame.count, frame.acquisition_ns, frame.write_ns)
            left_out = write_frames(file, frame.data, cards, overwrite=overwrite)
            shape, dtype = frame.data.shape, frame.data.dtype.name
            return Saved(stream.name, file, shape, dtype, frame.count, left_out=tuple(left_out))
    cube = take_cube(name, frames, timeout_s=timeout_s, progress=progress)
    left_out = cube.save(file, overwrite=overwrite)
    return Saved(
        cube.name,
        file,
        cube.data.shape,
        cube.data.dtype.name,
        int(cube.counts[-1]),
        len(cube.counts),
        cube.missed,
        tuple(left_out),
    )


def snapshot(
    names: Iterable[str],
    directory: FilePath = ".",
    *,
    ending: str = ".fits",
    timeout_s: float = 5.0,
) -> list[Saved]:
    """Write the newest whole frame of every stream into a file ``NAME_TIME.fits`` of its own.

    All frames are read, one right after the other, before the first file is written. The time in the files' names is
    that of the call, the same for all, in UTC to the µs.

    Args:
        names: of the streams.
        directory: where the files go.
        ending: ``.fits`` or another one that ``save_stream`` knows.
        timeout_s: how long to wait for a first frame of each stream, in s.

    Raises:
        UsageError: a file exists, the directory does not, a file cannot hold its stream's dtype, or two files would
            have one name: of slices of one stream, or of links to it.
        StreamNotFound, NotFoundError, WaitTimeout, OSError: as ``save_stream``; no file was written, but for OSError.
    """
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    kind_of(f"x{ending}")
    with ExitStack() as stack:
        opened = [stack.enter_context(open_existing(name)) for name in names]
        files = [
            check_writable(Path(directory, f"{stream.name}_{moment}{ending}"), stream.dtype)
            for stream in opened
        ]
        _refuse_equal(files)
        frames = [stream.newest(timeout_s=timeout_s) for stream in opened]
        saved = []
        for stream, file, frame in zip(opened, files, frames, strict=True):
            cards = frame_cards(stream, frame.count, frame.acquisition_ns, frame.write_ns)
            left_out = tuple(write_frames(file, frame.data, cards))
            saved.append(
                Saved(
                    stream.name, file, frame.data.shape, frame.data.dtype.name, frame.count, left_out=left_out
                )
            )
        return saved


def _refuse_equal(files: Sequence[Path]) -> None:
    for file, times in Counter(files).items():
        if times > 1:
            raise UsageError(
                f"{times} of these streams would go to {file}, which is named for the stream; save parts of one stream "
                "one by one"
            )


def save_parameters(names: str | Iterable[str], path: FilePath, *, overwrite: bool = False) -> Path:
    """Write parameter sets into a TOML file, all of their values that are saved; ``load_parameters`` reads it.

    Raises:
        UsageError: the file exists.
        NotFoundError: there is no such set. OSError: the file cannot be written.
    """
    file = check_new(path, overwrite)
    save_sets(file, names, changed_only=False)
    return file
