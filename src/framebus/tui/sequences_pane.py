"""The tab of sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from framebus.cli.text import duration, safe
from framebus.tui.columns import Column
from framebus.tui.looks import Snapshot
from framebus.tui.painted import Line
from framebus.tui.pane import Pane, rule, wrapped
from framebus.tui.sequences import SequenceLook, listing
from framebus.tui.sheet import Row

__all__ = ["SequencesPane"]

_BAR = 14
_STYLES = {"running": "good", "paused": "warned", "failed": "alarm", "error": "alarm", "dead": "alarm"}


class SequencesPane(Pane):
    """Sequences: how far each is."""

    DEFAULT_CSS = "SequencesPane > Painted { height: 8; }"
    NAME = "sequences"
    COLUMNS = (
        Column("name", "SEQUENCE", 16, weight=1, most=30),
        Column("state", "STATE", 9),
        Column("pid", "PID", 7, right=True, rank=2),
        Column("progress", "PROGRESS", _BAR + 5),
        Column("since", "SINCE", 7, right=True, rank=1),
        Column("step", "STEP", 12, weight=2),
    )
    SORTABLE = ("name", "state", "progress")
    EMPTY = "no sequences run"

    def __init__(self) -> None:
        super().__init__()
        self._looks: dict[str, SequenceLook] = {}

    def show(self, snapshot: Snapshot) -> None:
        """Look at the sequences as well."""
        if snapshot is not self.snapshot:
            self._looks = {f"{look.name}.{look.pid}": look for look in listing()}
        super().show(snapshot)

    def items(self) -> Mapping[str, SequenceLook]:
        """The sequences."""
        return self._looks

    def value(self, key: str, column: str) -> Any:
        """What a sequence is sorted by."""
        return getattr(self._looks[key], column)

    def in_trouble(self, key: str) -> bool:
        """Those that do not run as they should."""
        return self._looks[key].state in ("paused", "failed", "error", "dead")

    def row(self, key: str) -> Row:
        """A sequence's cells."""
        look = self._looks[key]
        since_s = (self.snapshot.time_ns - look.started_ns) * 1e-9 if look.started_ns else -1.0
        return (
            (safe(look.name), "name"),
            (safe(look.state), _STYLES.get(look.state, "info")),
            (str(look.pid) if look.pid else "-", "dim"),
            (_progress(look.progress), "data"),
            (duration(since_s) if since_s >= 0 else "-", "dim"),
            (safe(look.step or look.message), ""),
        )

    def details(self, key: str) -> Sequence[Line]:
        """What it says."""
        look, width = self._looks[key], self.detail.size.width
        return [
            rule(safe(look.name), f"process {look.pid}", width),
            (("step     ", "dim"), (safe(look.step) or "-", "")),
            *wrapped(safe(look.message), width, "info", self.detail.size.height - 2),
        ]


def _progress(share: float) -> str:
    if share < 0:
        return ""
    done = round(_BAR * min(1.0, share))
    return f"{'█' * done}{'░' * (_BAR - done)} {100 * min(1.0, share):3.0f}%"
