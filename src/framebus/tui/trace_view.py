"""The process trace of the selected stream's newest frame, as lines."""

from __future__ import annotations

from framebus import _core
from framebus.cli.processes import command_name
from framebus.cli.text import duration, safe
from framebus.errors import FramebusError
from framebus.stream.dialects import DIALECTS
from framebus.stream.trace import read_trace
from framebus.tui.looks import StreamLook
from framebus.tui.painted import Line, fit
from framebus.tui.watching import Watcher

__all__ = ["trace_lines"]

_WIDTHS = (18, 20, 8)


def trace_lines(look: StreamLook, watcher: Watcher, width: int) -> list[Line]:
    """Which process made the frame, out of which frame of which stream, and so back through its ancestors.

    A line for each step: the stream, the process, how long it computed, when it was published.
    """
    handle = watcher.stream(look.name)
    if handle is None or not DIALECTS[handle.dialect].process_trace:
        return [(("this file format keeps no trace", "info"),)]
    try:
        entries = read_trace(handle)
    except FramebusError as error:
        return [((safe(str(error)), "bad"),)]
    if not entries:
        return [(("its writer left no trace", "info"),)]
    names = {inode: name for name, inode in watcher.inodes().items()}
    made: str | None = look.name
    heads = ("STREAM", "PROCESS", "TOOK", "PUBLISHED")
    lines: list[Line] = [_columns(heads, "head", width)]
    newest_ns = entries[0].stream_update_ns
    for step in entries:
        stream = "removed since" if made is None else safe(made)
        took_s = (step.stream_update_ns - step.processing_start_ns) * 1e-9
        took = duration(took_s) if step.processing_start_ns and took_s > 0 else "-"
        command = safe(command_name(step.pid))
        alive = _core.process_alive(step.pid)
        process = f"{step.pid} {command}" if alive else f"{step.pid} ✖ gone"
        earlier_s = (newest_ns - step.stream_update_ns) * 1e-9
        when = f"{duration(earlier_s)} earlier" if lines[1:] else "the newest frame"
        by = names.get(step.trigger_inode)
        if step.trigger_inode:
            when += f", of {'a stream removed since' if by is None else safe(by)} {step.trigger_count}"
        lines.append(_columns((stream, process, took, when), "" if alive else "bad", width))
        made = by
    return lines


def _columns(texts: tuple[str, str, str, str], name: str, width: int) -> Line:
    cells = [
        fit(text, wide, right=i == 2) for i, (text, wide) in enumerate(zip(texts[:3], _WIDTHS, strict=True))
    ]
    rest = max(0, width - sum(map(len, cells)) - 3)
    return ((" ".join(cells) + "  " + fit(texts[3], rest - 1), name),)
