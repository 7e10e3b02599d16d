"""What ``framebus info`` prints."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from framebus.cli import text
from framebus.cli.output import STATE_STYLES, columns, make_console, show
from framebus.cli.processes import process_text

__all__ = ["print_info"]

_VALUES_WIDTH = 120
"""Columns for values in an output that is no terminal."""
_VALUES = 1000
"""Slices of more elements are shown by their edges."""
_REST = (
    *(
        "version",
        "naxis",
        "nelement",
        "datatype",
        "atype",
        "imagetype",
        "imdatamemsize",
        "fifo_size",
        "packet_nb",
    ),
    *("packet_total", "owner_pid", "shared", "location", "status", "flag", "logflag", "write", "nproctrace"),
    "framebus",
)
"""Header fields of either dialect that no other line tells."""


def print_info(found: dict[str, Any], values: npt.NDArray[Any] | None) -> None:
    """Print what ``inspection.inspect`` gave."""
    console = make_console()
    parts: list[RenderableType] = [_title(found), _facts(found)]
    for heading, table in (("keywords", _keywords(found)), ("trace, newest step first", _trace(found))):
        if table.row_count:
            parts += ["", Text(heading, "bold"), table]
    if values is not None:
        parts += [
            "",
            Text(f"values{found['slice'] or ''}", "bold"),
            _values(values, min(console.width, _VALUES_WIDTH)),
        ]
    show(*parts, console=console)


def _title(found: dict[str, Any]) -> Text:
    state = (found["state"], STATE_STYLES[found["state"]])
    return Text.assemble(
        (text.safe(found["name"]), "bold"), "  ", state, f"  {text.shape(found['shape'])} {found['dtype']}"
    )


def _facts(found: dict[str, Any]) -> Table:
    header, history = found["header"], found["history"]
    times = {key: _moment(found["times"][key]) for key in ("acquired", "published")}
    ring = f"{history['length']} frames, newest in slot {history['slot']}, wrapped {history['wrapped']} times"
    facts = {
        "file": f"{text.safe(found['path'])} ({text.size(found['size_bytes'])}, {_format(found)})"
        + (f", a link to {text.safe(found['link'])}" if found["link"] else ""),
        "writer": process_text(found["writer"]),
        "count": f"{found['count']} (cnt1 {header['cnt1']}, cnt2 {header['cnt2']})",
        "created": f"{_moment(found['times']['created'])}, by {process_text(found['creator'])}",
        **times,
        "history": ring if history["length"] else "none",
        "semaphores": _semaphores(found["semaphores"]),
        "keywords": f"{len(found['keywords']['each'])} in {found['keywords']['slots']} slots",
        f"frame{found['slice'] or ''}": _frame(found),
        "header": ", ".join(f"{field} {text.safe(str(header[field]))}" for field in _REST if field in header),
    }
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, fact in facts.items():
        grid.add_row(Text(label), Text(fact))
    return grid


def _format(found: dict[str, Any]) -> str:
    return "DAO" if found["dialect"] == "dao" else f"ImageStreamIO, inode {found['header']['inode']}"


def _moment(moment: dict[str, Any] | None) -> str:
    return "-" if moment is None else f"{moment['iso']}, {_ago(moment['age_s'])}"


def _ago(age_s: float) -> str:
    return f"{text.duration(age_s)} ago" if age_s >= 0 else f"in {text.duration(-age_s)}"


def _semaphores(semaphores: dict[str, Any]) -> str:
    values = ["missing" if each["value"] is None else each["value"] for each in semaphores["each"]]
    if not values:
        return "none"
    told = f"all at {values[0]}" if len(set(values)) == 1 else "at " + " ".join(map(str, values))
    claims = [
        f"{i} claimed by {process_text(each['reader'])}"
        for i, each in enumerate(semaphores["each"])
        if each["reader"] is not None
    ]
    return "; ".join(
        [f"{len(values)}, {told}", f"log semaphore {_log(semaphores['log'])}", *(claims or ["none claimed"])]
    )


def _log(value: int | None) -> str:
    return "missing" if value is None else f"at {value}"


def _frame(found: dict[str, Any]) -> str:
    frame = found["frame"]
    if frame is None:
        return text.safe(found["frame_error"])
    what = "magnitude " if found["dtype"].startswith("complex") else ""
    told = ", ".join(f"{key} {text.figure(frame[key])}" for key in ("min", "mean", "max", "std"))
    bad = (
        f"; {frame['not_finite']} of {frame['elements']} values are not finite" if frame["not_finite"] else ""
    )
    return f"{what}{told}{bad} (frame {frame['count']})"


def _keywords(found: dict[str, Any]) -> Table:
    table = columns(
        "name",
        "value",
        "type",
        "updates",
        "comment",
        right=("updates",),
        wrapped=("comment",),
        drop=("updates", "type", "comment", "value"),
    )
    for name, entry in found["keywords"]["each"].items():
        value = entry["value"]
        shown = text.safe(value) if isinstance(value, str) else repr(value)
        table.add_row(
            Text(text.safe(name)),
            Text(shown),
            entry["type"],
            str(entry["updates"]),
            Text(text.safe(entry["comment"])),
        )
    return table


def _trace(found: dict[str, Any]) -> Table:
    table = columns(
        "stream",
        "process",
        "triggered by",
        "took",
        "published",
        right=("took",),
        wrapped=("triggered by",),
        drop=("process", "triggered by", "took", "published"),
    )
    newest: dict[str, Any] | None = None
    for step in found["trace"]:
        made = "removed since" if step["stream"] is None else text.safe(step["stream"])
        took_ns = _between_ns(step["started"], step["published"])
        if newest is None:
            newest = step["published"]
            when = "-" if newest is None else _ago(newest["age_s"])
        else:
            when = f"{text.duration(_between_ns(step['published'], newest) * 1e-9)} earlier"
        took = text.duration(took_ns * 1e-9) if took_ns > 0 else "-"
        table.add_row(Text(made), Text(process_text(step["process"])), Text(_trigger(step)), took, when)
    return table


def _between_ns(first: dict[str, Any] | None, then: dict[str, Any] | None) -> int:
    return 0 if first is None or then is None else int(then["ns"] - first["ns"])


def _trigger(step: dict[str, Any]) -> str:
    if step["trigger_inode"] == 0:
        return step["trigger"] if step["trigger"] != "none" else "-"
    name = step["trigger_stream"]
    source = f"inode {step['trigger_inode']}, removed" if name is None else text.safe(name)
    return f"{source}, frame {step['trigger_count']}"


def _values(values: npt.NDArray[Any], width: int) -> Text:
    shown = np.array2string(values, max_line_width=width, threshold=_VALUES, separator=" ")
    note = "\n(its edges; --json prints them all)" if values.size > _VALUES else ""
    return Text(shown + note, no_wrap=True, overflow="ignore")
