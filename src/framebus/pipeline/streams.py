"""The streams that a pipeline has before its units: made from values, files and functions, and left as safe values."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np

from framebus.errors import DataError, FramebusError, NotFoundError, PipelineError, UsageError
from framebus.pipeline.plan import PipelinePlan, SourcePlan, StreamPlan
from framebus.pipeline.where import Where
from framebus.stream import Stream, create
from framebus.stream import open as open_stream
from framebus.stream.opening import fits
from framebus.unit.arrays import ArraySpec, stream_dtype
from framebus.unit.load import load_object

Image = np.ndarray[Any, Any]
KEPT_S = 10.0
"""How long what a source gave is kept, s: it may take long, and check, order and start ask one after another."""

_computed: dict[bytes, tuple[float, dict[str, Image]]] = {}


def make_streams(plan: PipelinePlan, *, renew: bool = False) -> list[str]:
    """Make the streams that the plan declares and those of its sources; one that fits and is there stays as it is.

    Args:
        plan: of the pipeline.
        renew: write the frame of a file or source also to such a stream, if it has another one, unless a process that
            lives wrote it or the stream is to be kept: what an earlier run left behind does not hide a new calibration.

    Returns:
        The names of those that were made.

    Raises:
        PipelineError: a source fails, or a stream cannot be made; those that were made before are removed again.
    """
    made: list[str] = []
    problems = []
    where = Where()
    for name, stream in plan.streams.items():
        try:
            made += [name] if _make_declared(name, stream, renew) else []
        except (FramebusError, OSError) as error:
            problems.append(where.problem(("streams", name), str(error)))
    for title, source in plan.sources.items():
        try:
            for name, array in source_arrays(source).items():
                known = ArraySpec(array.shape, array.dtype)
                made += [name] if _make(name, known, source.history, array, renew=renew) else []
        except (FramebusError, OSError) as error:
            problems.append(where.problem(("sources", title), str(error)))
        _computed.pop(_key(source), None)
    if problems:
        remove_streams(made)
        raise PipelineError(problems)
    return made


def remove_streams(names: list[str]) -> None:
    """Remove streams, those that are gone already included."""
    for name in names:
        with suppress(FramebusError, OSError):
            open_stream(f"@E:{name}").remove()


def write_on_down(plan: PipelinePlan) -> list[str]:
    """Write the last frame of every stream whose ``on_down`` is a value; returns their names.

    A stream that is gone, or that this process may not write, is left alone; all others are written all the same.
    """
    written = []
    for name, declared in plan.streams.items():
        if declared.on_down == "last":
            continue
        with suppress(FramebusError, OSError), open_stream(f"@E:{name}") as stream:
            stream.write(np.full(stream.shape, declared.on_down, stream.dtype))
            written.append(name)
    return written


def declared_spec(stream: StreamPlan) -> ArraySpec:
    """Shape and dtype of a declared stream; its file is read if it has one.

    Raises:
        UsageError: neither shape nor file, or they contradict each other, or one is no stream's.
        NotFoundError, DataError: the file is not there, or bad.
    """
    dtype = None if stream.dtype is None else stream_dtype(stream.dtype)
    if stream.file is None:
        if stream.shape is None:
            raise UsageError("it has neither 'shape' nor 'file'; give one of them")
        return _limited(ArraySpec(stream.shape, np.dtype(np.float32) if dtype is None else dtype))
    array = _file_array(stream.file)
    if stream.shape is not None and stream.shape != array.shape:
        raise UsageError(f"its shape is {stream.shape}, and {stream.file} holds {array.shape}")
    if stream.fill is not None:
        raise UsageError("it has both 'file' and 'fill'; give one of them")
    return _limited(ArraySpec(array.shape, array.dtype if dtype is None else dtype))


def source_arrays(source: SourcePlan) -> dict[str, Image]:
    """The first frames that a source computes, by stream name; asked again soon it gives the same ones.

    Raises:
        UsageError: it is no function, or fails, or gives something else than arrays by name.
        NotFoundError: there is no such function.
    """
    key = _key(source)
    for other, (until_s, _) in list(_computed.items()):
        if until_s < time.monotonic():
            del _computed[other]
    if key not in _computed:
        arrays = _compute(source)
        _computed[key] = time.monotonic() + KEPT_S, arrays
    return _computed[key][1]


def _compute(source: SourcePlan) -> dict[str, Image]:
    function, _ = load_object(source.use)
    if not callable(function):
        raise UsageError(f"{source.use!r} is {function!r}, no function")
    try:
        arrays = function(**source.arguments)
    except FramebusError:
        raise
    except Exception as error:
        raise UsageError(f"{source.use!r} failed: {type(error).__name__}: {error}") from error
    if not isinstance(arrays, Mapping):
        raise UsageError(f"{source.use!r} gave a {type(arrays).__name__}, expected arrays by name (a dict)")
    found = {}
    for name, value in arrays.items():
        array = np.asarray(value)
        try:
            _limited(ArraySpec(array.shape, array.dtype))
        except UsageError as error:
            raise UsageError(f"{source.use!r}, array {name!r}: {error}") from None
        found[source.prefix + str(name)] = np.ascontiguousarray(array)
    return found


def _key(source: SourcePlan) -> bytes:
    return msgspec.json.encode((source.use, source.prefix, source.arguments))


def _limited(spec: ArraySpec) -> ArraySpec:
    if len(spec.shape) > 3:
        raise UsageError(f"shape {spec.shape} has {len(spec.shape)} axes; a stream has 1 to 3")
    return spec


def _file_array(path: str) -> Image:
    """The image in a FITS or NPY file."""
    if not os.path.isfile(path):
        raise NotFoundError(f"there is no file {path}")
    if path.endswith(".npy"):
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} is no NPY file: {error}") from error
        return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if path.endswith((".fits", ".fit", ".fits.gz")):
        from pathlib import Path

        from framebus.stream.conf import load_conf

        return load_conf(Path(path))[0]
    raise UsageError(f"{path}: expected a file that ends in .fits or .npy")


def _make_declared(name: str, stream: StreamPlan, renew: bool) -> bool:
    spec = declared_spec(stream)
    first: Image | None = None
    if stream.file is not None:
        first = _file_array(stream.file).astype(spec.dtype)
    elif stream.fill is not None:
        first = np.full(spec.shape, stream.fill, spec.dtype)
    renew = renew and stream.file is not None and not stream.keep
    return _make(name, spec, stream.history, first, stream.keywords, renew=renew, dialect=stream.dialect)


def _make(
    name: str,
    spec: ArraySpec,
    history: int,
    first: Image | None,
    keywords: Mapping[str, int | float | str] | None = None,
    *,
    renew: bool = False,
    dialect: str = "isio",
) -> bool:
    """Whether the stream had to be made."""
    found = _fitting(name, spec, history, dialect)
    stream = found or create(
        name,
        shape=spec.shape,
        dtype=spec.dtype,
        history=history,
        keywords=dict(keywords or {}),
        dialect=dialect,
    )
    with stream:
        if first is not None and (stream.count == 0 or (renew and _stale(stream, first))):
            stream.write(first)
    return found is None


def _stale(stream: Stream, first: Image) -> bool:
    return not stream.handle.last_writer_alive and not np.array_equal(stream.read(), first, equal_nan=True)


def _fitting(name: str, spec: ArraySpec, history: int, dialect: str) -> Stream | None:
    try:
        stream = open_stream(f"@E:{name}")
    except (FramebusError, OSError):
        return None
    if fits(stream, spec.shape, spec.dtype, history) and stream.dialect.name == dialect:
        return stream
    stream.close()
    return None
