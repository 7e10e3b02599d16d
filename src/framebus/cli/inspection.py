"""Everything that can be told about one stream, as plain values."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framebus import _core, stream
from framebus.cli.processes import process
from framebus.cli.text import iso_time
from framebus.errors import StreamNotFound, WaitTimeout
from framebus.stream.names import SUFFIX, parse, require

_SMALL = 64
"""Frames of up to so many elements are shown whole; larger ones by their figures, unless a slice was asked for."""

_FRAME_TIMEOUT_S = 1.0
"""How long to wait for a whole frame when the writer is in the middle of one."""

_TRIGGERS = {0: "none", 1: "counter", 3: "semaphore", 4: "delay"}


def inspect(name: str) -> tuple[dict[str, Any], npt.NDArray[Any] | None]:
    """Look at a stream: all of it, and the values of its newest frame (or of a slice).

    Args:
        name: as ``framebus.open`` takes it; only what is in shared memory is looked at, nothing is loaded from ./conf.

    Returns:
        What the header, the keywords, the trace and the frame say, as plain values; and the frame itself if it is small
        or a slice was asked for, else None.

    Raises:
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
    """
    parsed = require(parse(name), allowed=["S", "E", "type", "slices", "path"], context="framebus info")
    with stream.open(str(replace(parsed, modifiers="E"))) as opened:
        info = stream.describe(opened.path)
        if info is None:
            raise StreamNotFound(f"stream '{opened.name}' was removed just now")
        header = opened.header()
        frame, missing = _newest(opened)
        wanted = frame is not None and (parsed.slices is not None or frame.data.size <= _SMALL)
        values = frame.data if frame is not None and wanted else None
        found = {
            "name": info.name,
            "path": str(info.path),
            "link": info.link,
            "state": info.state,
            "shape": None if info.shape is None else list(info.shape),
            "dtype": opened.dtype.name,
            "count": info.count,
            "age_s": info.age_s,
            "size_bytes": info.size_bytes,
            "writer": process(info.writer_pid),
            "creator": process(opened.handle.maker),
            "dialect": opened.dialect.name,
            "times": _times(opened, header),
            "history": _history(opened, header),
            "semaphores": _semaphores(header),
            "keywords": _keywords(opened),
            "trace": _trace(opened) if opened.dialect.process_trace else [],
            "slice": None if parsed.slices is None else str(parsed.slices),
            "frame": None if frame is None else {"count": frame.count, **figures(frame.data)},
            "frame_error": missing,
            "values": None if values is None else listed(values),
            "header": header,
        }
    return found, values


def figures(data: npt.NDArray[Any]) -> dict[str, Any]:
    """Shape, min, max, mean and standard deviation (in double precision) of the finite values of an array.

    Of complex values it is their magnitudes'. The figures are None where no value is finite.
    """
    values = np.abs(data) if data.dtype.kind == "c" else data
    finite = values if values.dtype.kind in "iu" else values[np.isfinite(values)]
    found: dict[str, Any] = {
        "shape": list(data.shape),
        "elements": data.size,
        "not_finite": data.size - finite.size,
    }
    if finite.size == 0:
        return found | dict.fromkeys(("min", "max", "mean", "std"))
    with np.errstate(all="ignore"):  # the square of a large value may overflow: then its figure is infinite
        mean, std = finite.mean(dtype=np.float64), finite.std(dtype=np.float64)
    return found | {
        "min": finite.min().item(),
        "max": finite.max().item(),
        "mean": float(mean),
        "std": float(std),
    }


def _newest(opened: stream.Stream) -> tuple[stream.Frame | None, str]:
    if opened.count == 0:
        return None, "no frame was published yet"
    try:
        return opened.newest(timeout_s=_FRAME_TIMEOUT_S), ""
    except WaitTimeout as error:
        return None, str(error)


def _times(opened: stream.Stream, header: dict[str, Any]) -> dict[str, Any]:
    if opened.dialect.name == "dao":
        created, accessed = (round(header[field] * 1e9) for field in ("creation_s", "access_s"))
    else:
        created, accessed = header["creation_ns"], header["access_ns"]
    # Creating a stream stamps the others too, but nothing was acquired or published by then.
    written = bool(opened.count)
    times = {
        "created": created,
        "accessed": accessed,
        "acquired": header["atime_ns"] * written,
        "published": opened.handle.written_ns * written,
    }
    now_ns = _core.realtime_ns()  # after the times: frames come meanwhile
    return {key: _time(ns, now_ns) for key, ns in times.items()}


def _history(opened: stream.Stream, header: dict[str, Any]) -> dict[str, Any]:
    """Its length, the slot of the newest frame, and how often the slots were filled anew."""
    if opened.dialect.name == "dao":
        length = opened.history_length
        wrapped = max(0, opened.count - 1) // length if length else 0
        return {"length": length, "slot": header["fifo_last_written"], "wrapped": wrapped}
    return {"length": header["cbsize"], "slot": header["cbindex"], "wrapped": header["cbcycle"]}


def _time(ns: int, now_ns: int) -> dict[str, Any] | None:
    return None if ns == 0 else {"ns": ns, "iso": iso_time(ns), "age_s": (now_ns - ns) * 1e-9}


def _semaphores(header: dict[str, Any]) -> dict[str, Any]:
    """Of each its value (None: it is not there, or not ours to use), its reader if it has claimed it, its writer."""
    values = header["sem_values"]
    nobody = [0] * len(values)
    readers, writers = header.get("sem_read_pid", nobody), header.get("sem_write_pid", nobody)
    each = [
        {"value": value, "reader": process(reader), "writer_pid": writer}
        for value, reader, writer in zip(values, readers, writers, strict=True)
    ]
    return {"log": header["semlog_value"], "each": each}


def _keywords(opened: stream.Stream) -> dict[str, Any]:
    entries = [
        entry for slot in range(opened.keywords.slots) if (entry := opened.handle.keyword(slot)) is not None
    ]
    kinds = {"L": "int", "D": "float", "S": "text"}
    each = {
        name: {"value": value, "type": kinds[kind], "updates": updates, "comment": comment}
        for name, kind, value, updates, comment in entries
    }
    return {"slots": opened.keywords.slots, "each": each}


def _trace(opened: stream.Stream) -> list[dict[str, Any]]:
    names = _names_by_inode(opened.path.parent)
    made: str | None = opened.name
    steps = []
    entries, now_ns = opened.trace(), _core.realtime_ns()
    for entry in entries:
        trigger = names.get(entry.trigger_inode)
        steps.append(
            {
                "stream": made,
                "process": process(entry.pid),
                "trigger": _TRIGGERS.get(entry.trigger_mode, str(entry.trigger_mode)),
                "trigger_stream": trigger,
                "trigger_inode": entry.trigger_inode,
                "trigger_count": entry.trigger_count,
                "trigger_semaphore": entry.trigger_semaphore,
                "trigger_status": entry.trigger_status,
                "started": _time(entry.processing_start_ns, now_ns),
                "published": _time(entry.stream_update_ns, now_ns),
            }
        )
        made = trigger
    return steps


def _names_by_inode(folder: Path) -> dict[int, str]:
    with os.scandir(folder) as entries:
        return {
            entry.inode(): entry.name.removesuffix(SUFFIX) for entry in entries if entry.name.endswith(SUFFIX)
        }


def listed(values: npt.NDArray[Any]) -> Any:
    """Nested lists; complex numbers as pairs of real and imaginary part, which JSON can hold."""
    if values.dtype.kind == "c":
        return np.stack([values.real, values.imag], axis=-1).tolist()
    return values.tolist()
