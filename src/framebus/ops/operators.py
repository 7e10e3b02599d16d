"""Operators that go on for as long as they run: each a unit with its streams, ready for ``framebus.unit.start``.

Each function here makes the stream that is written to, or takes one that fits, and gives a ``Stage``::

    with start(crop("wfs[10:29,*]", "centre"), LoopOptions(every_frame=True)): ...
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.ops import blocks, sources, windows
from framebus.ops.cubes import Progress
from framebus.ops.sums import join_of, sum_of
from framebus.ops.targets import check_writer, open_existing, target_stream
from framebus.stream import Stream, create
from framebus.stream.datatypes import DTYPES, datatype_code
from framebus.stream.names import parse, require, stream_path
from framebus.stream.slices import Slices
from framebus.unit import Stage
from framebus.unit.declare import FunctionUnit

__all__ = [
    "Averaged",
    "Making",
    "average",
    "average_once",
    "bin",
    "clock",
    "combine",
    "concatenate",
    "crop",
    "random",
]

_AXES = "xyz"


class Making(TypedDict, total=False):
    """How the stream that an operator writes to is made; each may be left out.

    Attributes:
        history: frames that it keeps, at least; of a new one by default as many as the (first) source's.
        dialect: its file format; of a new one by default that of the (first) source.
        overwrite: replace one that is there and does not fit.
        force: take one that another living process writes, too.
    """

    history: int | None
    dialect: str | None
    overwrite: bool
    force: bool


def crop(
    source: str,
    target: str,
    *,
    name: str = "crop",
    **making: Unpack[Making],
) -> Stage:
    """Hand a window of each frame on: ``crop("wfs[10:29,*]", "centre")``.

    Args:
        source: name of a stream, with a slice: first to last pixel of each axis, x first, flipped (``-*``) and with
            strides (``::2``) if wanted.
        target: the stream that gets the window, made if it is not there.
        name: under which the unit runs.
        making: how the target is made.

    Raises:
        UsageError: the source has no slice, a slice with bins, or float16 values; or a target is there that does not
            fit.
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
    """
    parsed = require(parse(source), allowed=["S", "E", "slices", "path"], context="crop")
    whole = str(replace(parsed, slices=None))
    if parsed.slices is None:
        raise UsageError(
            f"'{source}' says no window; expected a slice behind the name, as in '{whole}[10:29,*]'"
        )
    if any(axis.binned for axis in parsed.slices.axes):
        raise UsageError(f"'{source}': a window has no bins; put pixels together with bin")
    with open_existing(whole) as stream:
        parameters: dict[str, Any] = {}
        for letter, axis, size in zip(_AXES, parsed.slices.axes, reversed(stream.shape), strict=False):
            taken = Slices((axis,)).apply(np.arange(size))
            parameters[letter] = int(taken[0])
            parameters[f"step_{letter}"] = int(taken[1] - taken[0]) if len(taken) > 1 else 1
        shape = parsed.slices.shape(stream.shape)
        _carried(stream, target, shape, _compiled(stream), making)
    return Stage(windows.crop, {"source": whole, "target": target}, parameters, name)


def bin(  # noqa: A001 - as its unit
    source: str,
    target: str,
    factors: int | Sequence[int],
    *,
    total: bool = False,
    name: str = "bin",
    **making: Unpack[Making],
) -> Stage:
    """Put the pixels of each frame together in bins, by their mean or their sum.

    Args:
        source: name of a stream.
        target: the stream that gets the bins, float32 or float64.
        factors: pixels of a bin, for all axes or one number per axis, in NumPy's order. Pixels behind the last whole
            bin are left out.
        total: sums instead of means.
        name, making: as of ``crop``.

    Raises:
        UsageError: the factors do not fit the source, or a target is there that does not fit.
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
    """
    with open_existing(source) as stream:
        given = (factors,) * len(stream.shape) if isinstance(factors, int) else tuple(factors)
        if len(given) != len(stream.shape):
            raise UsageError(
                f"{len(given)} factors for the {len(stream.shape)} axes of '{source}', {stream.shape}; expected one "
                "number for all axes, or one for each"
            )
        if any(not 1 <= factor <= size for factor, size in zip(given, stream.shape, strict=True)):
            raise UsageError(f"bins of {given} pixels do not fit '{source}', whose shape is {stream.shape}")
        shape = tuple(size // factor for factor, size in zip(given, stream.shape, strict=True))
        dtype = blocks.mean_dtype(_real(stream))
        _carried(stream, target, shape, dtype, making)
    parameters: dict[str, Any] = dict(zip(_AXES, reversed(given), strict=False))
    return Stage(windows.bin, {"source": source, "target": target}, parameters | {"total": total}, name)


def average(
    source: str,
    target: str,
    frames: int,
    *,
    name: str = "average",
    **making: Unpack[Making],
) -> Stage:
    """Make one frame of every ``frames`` frames: their mean.

    Args:
        source: name of a stream.
        target: the stream that gets the means, float32 or float64.
        frames: of each mean.
        name, making: as of ``crop``.

    Raises:
        UsageError: ``frames`` is below 1, or a target is there that does not fit.
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
    """
    _check_frames(frames)
    with open_existing(source) as stream:
        dtype = blocks.mean_dtype(_real(stream))
        _made([stream], target, stream.shape, dtype, making)
    return Stage(blocks.average, {"source": source, "target": target}, {"frames": frames}, name)


@dataclass(frozen=True, slots=True)
class Averaged:
    """One mean that was published.

    Attributes:
        count: of the frame that holds it.
        frames: how many it is of.
        missed: frames that passed between these unseen.
    """

    count: int
    frames: int
    missed: int


def average_once(
    source: str,
    target: str,
    frames: int,
    *,
    timeout_s: float | None = 5.0,
    progress: Progress | None = None,
    **making: Unpack[Making],
) -> Averaged:
    """Publish the mean of the next ``frames`` frames, once: what the unit of ``average`` makes of them.

    Args:
        source, target, frames, making: as of ``average``. The target is made, or replaced, when the mean is there.
        timeout_s: how long to wait for each frame, in s; None: for ever.
        progress: called after every frame.

    Raises:
        UsageError, StreamNotFound, StreamFormatError, NameFormatError: as ``average``.
        WaitTimeout: no frame came.
    """
    _check_frames(frames)
    with open_existing(source) as stream:
        wanted = [stream], target, stream.shape, blocks.mean_dtype(_real(stream)), making
        path = _path([stream], target)
        if not making.get("force"):
            check_writer(target)
        if path is not None and path.exists() and not making.get("overwrite"):
            _made(*wanted)  # so that one that does not fit is refused before anything is measured
        total, missed = np.zeros(stream.shape), 0
        stream.skip_to_newest()
        with np.errstate(all="ignore"):  # as compiled code does: sums of infinities are no numbers
            for k, frame in enumerate(stream.frames(frames, timeout_s=timeout_s), 1):
                total += frame.data
                missed += frame.missed if k > 1 else 0  # what passed before the first frame is no loss
                if progress is not None:
                    progress(k, frames)
            mean = (total / frames).astype(wanted[3])
        _made(*wanted)
        with open_existing(target) as made:
            return Averaged(made.write(mean, acquisition_ns=frame.acquisition_ns), frames, missed)


def combine(
    weights: Mapping[str, float],
    target: str,
    *,
    name: str = "combine",
    **making: Unpack[Making],
) -> Stage:
    """Add streams of one shape, each times its weight; the first one triggers, the others are read as they stand.

    Args:
        weights: 2 to 16 names of streams, and what each is multiplied by; the parameters ``weight_1`` ... change it.
        target: the stream that gets the sums: float32, or float64 or complex where the sources need it.
        name, making: as of ``crop``.

    Raises:
        UsageError: the shapes differ, there are too few or too many streams, or a target is there that does not fit.
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
    """
    unit = sum_of(len(weights))
    with ExitStack() as stack:
        opened = _opened(stack, weights)
        for other in opened[1:]:
            if other.shape != opened[0].shape:
                raise UsageError(
                    f"streams of different shapes cannot be added: '{opened[0].name}' has {opened[0].shape}, "
                    f"'{other.name}' {other.shape}"
                )
        dtype = blocks.mean_dtype(*(stream.dtype for stream in opened))
        _made(opened, target, opened[0].shape, dtype, making)
    parameters = {f"weight_{k}": float(weight) for k, weight in enumerate(weights.values(), 1)}
    return Stage(unit, _wired(weights, target), parameters, name)


def concatenate(
    names: Sequence[str],
    target: str,
    *,
    axis: int | None = 0,
    name: str = "concat",
    **making: Unpack[Making],
) -> Stage:
    """Join streams along an axis; the first one triggers, the others are read as they stand.

    Args:
        names: 2 to 16 streams of one dtype, whose shapes differ along that axis at most.
        target: the stream that gets them.
        axis: NumPy's; None: a new one, the first, so that images become a cube.
        name, making: as of ``crop``.

    Raises:
        UsageError: shapes or dtypes do not go together, or a target is there that does not fit.
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
    """
    unit: FunctionUnit = join_of(len(names))
    with ExitStack() as stack:
        opened = _opened(stack, names)
        if len({stream.dtype for stream in opened}) > 1:
            found = ", ".join(f"'{stream.name}' {stream.dtype}" for stream in opened)
            raise UsageError(f"streams of different dtypes cannot be joined: {found}")
        shape = _joined_shape([stream.shape for stream in opened], axis)
        outer = 1 if axis is None else math.prod(opened[0].shape[: axis % len(shape)])
        _made(opened, target, shape, opened[0].dtype, making)
    return Stage(unit, _wired(names, target), {"outer": outer}, name)


def clock(
    target: str,
    *,
    name: str = "clock",
    **making: Unpack[Making],
) -> Stage:
    """A stream that ticks, for a loop with the trigger ``delay``: one int64, 1 at the first tick, 2 at the next.

    Raises:
        UsageError: a target is there that does not fit.
    """
    target_stream(target, shape=(1,), dtype="int64", **making).close()
    return Stage(sources.clock, {"ticks": target}, {}, name)


def random(
    target: str,
    *,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike = "float32",
    mean: float | None = None,
    sigma: float | None = None,
    uniform: bool = False,
    seed: int = 0,
    name: str = "random",
    **making: Unpack[Making],
) -> Stage:
    """A stream of noise, for a loop with the trigger ``delay``.

    Args:
        target: the stream.
        shape, dtype: of its frames; a float, or an integer of up to 32 bits.
        mean, sigma: of the values; None: 0 and 1, for integers 100 and 10.
        uniform: evenly spread instead of normal.
        seed: the same one gives the same frames.
        name, making: as of ``crop``.

    Raises:
        UsageError: no noise can be made in that dtype, or a target is there that does not fit.
    """
    wanted = DTYPES[datatype_code(dtype)]
    unit = sources.noise if wanted.kind == "f" else sources.whole_noise
    if wanted.name == "float16" or wanted.kind == "c" or (wanted.kind != "f" and wanted.itemsize == 8):
        raise UsageError(
            f"no noise is made in {wanted}; expected float32, float64, or an integer of up to 32 bits"
        )
    target_stream(target, shape=shape, dtype=wanted, **making).close()
    given = {"mean": mean, "sigma": sigma, "uniform": uniform, "seed": seed}
    parameters = {key: value for key, value in given.items() if value is not None}
    return Stage(unit, {"frame": target}, parameters, name)


# ---- what they share -------------------------------------------------------------------------------------------------


def _check_frames(frames: int) -> None:
    if frames < 1:
        raise UsageError(f"an average of {frames} frames cannot be made; expected 1 or more")


def _real(stream: Stream) -> np.dtype[Any]:
    if stream.dtype.name not in windows.REAL:
        raise UsageError(
            f"stream '{stream.name}' has dtype {stream.dtype}; expected one of {', '.join(windows.REAL)}"
        )
    return stream.dtype


def _compiled(stream: Stream) -> np.dtype[Any]:
    if stream.dtype.name not in windows.ANY:
        raise UsageError(f"stream '{stream.name}' has dtype {stream.dtype}, which compiled units cannot read")
    return stream.dtype


def _opened(stack: ExitStack, names: Mapping[str, float] | Sequence[str]) -> list[Stream]:
    opened = [stack.enter_context(open_existing(name)) for name in names]
    for stream in opened:
        _compiled(stream)
    return opened


def _path(sources: Sequence[Stream], target: str) -> Path | None:
    """Where the target lies, or would; None if it is this process' own."""
    parsed = require(parse(target), allowed=["S", "L", "path"], context="the stream that is written to")
    if parsed.local:
        return None
    path = stream_path(parsed)
    if any(path.resolve() == stream.path.resolve() for stream in sources):
        raise UsageError(f"'{target}' is read and would be written; give the result another name")
    return path


def _made(
    sources: Sequence[Stream], target: str, shape: tuple[int, ...], dtype: np.dtype[Any], making: Making
) -> None:
    """See to the target; a new one has history and format of the first source unless told."""
    _path(sources, target)
    target_stream(target, shape=shape, dtype=dtype, like=sources[0], **making).close()


def _carried(
    source: Stream, target: str, shape: tuple[int, ...], dtype: np.dtype[Any], making: Making
) -> None:
    """As ``_made``, for a target that takes on the source's counts: one that is beyond them cannot go on."""
    _made([source], target, shape, dtype, making)
    with open_existing(target) as made:
        if made.count <= source.count:
            return
        kept, format_, count = made.history_length, made.dialect.name, made.count
    if not making.get("overwrite"):
        raise UsageError(
            f"stream '{target}' is at frame {count}, beyond '{source.name}' at {source.count}, whose counts it would "
            "take on: choose another name, or add --overwrite (in Python: overwrite=True)"
        )
    create(target, shape=shape, dtype=dtype, history=kept, dialect=format_).close()


def _wired(names: Mapping[str, float] | Sequence[str], target: str) -> dict[str, str]:
    return {f"source_{k}": name for k, name in enumerate(names, 1)} | {"target": target}


def _joined_shape(shapes: Sequence[tuple[int, ...]], axis: int | None) -> tuple[int, ...]:
    first = shapes[0]
    rank = len(first)
    if axis is None:
        if any(shape != first for shape in shapes):
            raise UsageError(f"streams of different shapes cannot be stacked: {', '.join(map(str, shapes))}")
        if rank > 2:
            raise UsageError(f"frames of shape {first} cannot be stacked: a stream has at most 3 axes")
        return (len(shapes), *first)
    if not -rank <= axis < rank:
        raise UsageError(f"axis {axis} of frames of shape {first}; expected {-rank} to {rank - 1}")
    at = axis % rank
    others = {(*shape[:at], *shape[at + 1 :]) if len(shape) == rank else None for shape in shapes}
    if len(others) > 1:
        raise UsageError(
            f"streams of these shapes cannot be joined along axis {axis}: {', '.join(map(str, shapes))}"
        )
    return (*first[:at], sum(shape[at] for shape in shapes), *first[at + 1 :])
