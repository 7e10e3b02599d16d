"""The tab of sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from framebus.cli.text import duration, safe
from framebus.sequence import SequenceStatus
from framebus.tui.columns import Column
from framebus.tui.looks import WRONG
from framebus.tui.painted import Line
from framebus.tui.pane import Pane, rule, wrapped
from framebus.tui.sheet import Row
from framebus.tui.styles import SEQUENCE_SIGNS

__all__ = ["SequencesPane"]

_BAR = 14


class SequencesPane(Pane):
    """Sequences: how far each is."""

    DEFAULT_CSS = "SequencesPane > Painted { height: 8; }"
    NAME = "sequences"
    COLUMNS = (
        Column("name", "SEQUENCE", 16, weight=1, most=30),
        Column("state", "STATE", 10),
        Column("pid", "PID", 7, right=True, rank=2),
        Column("progress", "PROGRESS", _BAR + 5),
        Column("time", "TIME", 7, right=True, rank=1),
        Column("step", "STEP", 12, weight=2),
    )
    SORTABLE = ("name", "state", "progress")
    EMPTY = "no sequences run"

    def items(self) -> Mapping[str, SequenceStatus]:
        """The sequences."""
        return self.snapshot.sequences

    def value(self, key: str, column: str) -> Any:
        """What a sequence is sorted by."""
        value = getattr(self.snapshot.sequences[key], column)
        return -1.0 if value is None else value

    def in_trouble(self, key: str) -> bool:
        """Those that do not run as they should."""
        return self.snapshot.sequences[key].state in WRONG

    def row(self, key: str) -> Row:
        """A sequence's cells."""
        status = self.snapshot.sequences[key]
        spent_s = status.elapsed_s
        return (
            (safe(status.name), "name"),
            SEQUENCE_SIGNS.get(status.state, (f"? {safe(status.state)}", "info")),
            (str(status.pid) if status.alive else "-", "dim"),
            (_progress(status.progress), "data"),
            ("-" if math.isnan(spent_s) else duration(spent_s), "dim"),
            (safe(status.step or status.message), ""),
        )

    def details(self, key: str) -> Sequence[Line]:
        """What it says."""
        status, width = self.snapshot.sequences[key], self.detail.size.width
        said, style = (
            (f"{status.where}: {status.error}", "alarm") if status.error else (status.message, "info")
        )
        return [
            rule(safe(status.name), f"process {status.pid}", width),
            (("step     ", "dim"), (safe(status.step) or "-", "")),
            *wrapped(safe(said), width, style, self.detail.size.height - 2),
        ]


def _progress(share: float | None) -> str:
    if share is None:
        return ""
    done = round(_BAR * share)
    return f"{'█' * done}{'░' * (_BAR - done)} {share:4.0%}"
