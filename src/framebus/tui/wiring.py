"""What feeds what, out of facts: who wrote a stream's newest frame, what triggered it, and what pipelines' plans say.

No unit's code is imported for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from framebus.errors import FramebusError, NameFormatError
from framebus.stream.names import parse
from framebus.stream.trace import TraceEntry
from framebus.tui.looks import Snapshot, UnitLook

__all__ = ["FlowRow", "Wires", "flow_rows", "wires_of"]

TraceOf = Callable[[str], Sequence[TraceEntry]]
"""A stream's newest frame's ancestry by the stream's name; empty if there is none."""


class Wires(NamedTuple):
    """The arrows between units and streams.

    Attributes:
        triggers: by unit's key, the stream that triggers it; without those that none does.
        outputs: by unit's key, the streams that it writes.
        reads: by unit's key, other streams that it reads as they stand.
        latency_us: by stream, from the publication of the oldest ancestor of its newest frame to its own, µs.
    """

    triggers: Mapping[str, str]
    outputs: Mapping[str, list[str]]
    reads: Mapping[str, list[str]]
    latency_us: Mapping[str, float]


class FlowRow(NamedTuple):
    """A line of the drawing.

    Attributes:
        key: unique among the rows.
        kind: ``stream``, ``unit``, ``reads`` (a unit's other inputs) or ``again`` (a stream that stands above already).
        name: of the stream or unit (its key); of ``reads`` the names.
        branch: what leads to it from above, such as ``│  └▶ ``, or ``▼  `` where nothing branches off.
    """

    key: str
    kind: str
    name: str
    branch: str


def wires_of(snapshot: Snapshot, inodes: Mapping[str, int], trace_of: TraceOf) -> Wires:
    """The arrows as they are now."""
    names = {inode: name for name, inode in inodes.items()}
    traces = {name: _trace(trace_of, name) for name in snapshot.streams}
    declared = _declared(snapshot)
    triggers = {key: unit.trigger for key, unit in snapshot.units.items() if unit.trigger in snapshot.streams}
    outputs: dict[str, list[str]] = {key: [] for key in snapshot.units}
    by_pid: dict[int, list[UnitLook]] = {}
    for unit in snapshot.units.values():
        if unit.pid:
            by_pid.setdefault(unit.pid, []).append(unit)
    fallen = [unit for unit in snapshot.units.values() if not unit.pid]
    for name, stream in snapshot.streams.items():
        trigger = names.get(traces[name][0].trigger_inode, "") if traces[name] else ""
        writer = _writer(name, trigger, by_pid.get(stream.writer_pid, []), declared) if stream.count else None
        if writer is None and trigger and stream.writer_pid not in by_pid:
            writer = _fallen_writer(name, trigger, fallen, declared)
            if writer is not None:
                triggers[writer.key] = trigger
        if writer is not None:
            outputs[writer.key].append(name)
    reads = {
        key: [name for name in given if name != triggers.get(key) and name not in outputs[key]]
        for key, given in declared.items()
    }
    return Wires(
        triggers, outputs, reads, {name: _since_us(trace) for name, trace in traces.items() if trace}
    )


def _trace(trace_of: TraceOf, name: str) -> Sequence[TraceEntry]:
    try:
        return trace_of(name)
    except (FramebusError, OSError):
        return ()


def _since_us(trace: Sequence[TraceEntry]) -> float:
    return (trace[0].stream_update_ns - trace[-1].stream_update_ns) * 1e-3


def _declared(snapshot: Snapshot) -> dict[str, list[str]]:
    """The streams that a unit's plan names, by the unit's key."""
    found: dict[str, list[str]] = {}
    for key, unit in snapshot.units.items():
        if unit.pipeline not in snapshot.pipelines:
            continue
        streams = snapshot.pipelines[unit.pipeline].wiring.get(unit.unit, {})
        found[key] = [name for name in map(_bare, streams.values()) if name in snapshot.streams]
    return found


def _bare(text: str) -> str:
    try:
        return parse(text).name
    except NameFormatError:
        return ""


def _writer(
    name: str, trigger: str, units: Sequence[UnitLook], declared: Mapping[str, list[str]]
) -> UnitLook | None:
    """Which of a process' units writes a stream: one that has it among its own, and that the same frames trigger."""
    able = [unit for unit in units if unit.trigger != name and name in declared.get(unit.key, [name])]
    exact = [unit for unit in able if trigger and unit.trigger == trigger]
    return next(iter(exact or able), None)


def _fallen_writer(
    name: str, trigger: str, units: Sequence[UnitLook], declared: Mapping[str, list[str]]
) -> UnitLook | None:
    """Which unit without a process wrote a stream: the only one that has both it and what triggered its frame."""
    able = [unit for unit in units if {name, trigger} <= set(declared.get(unit.key, ()))]
    return able[0] if len(able) == 1 else None


def flow_rows(snapshot: Snapshot, wires: Wires) -> list[FlowRow]:
    """The graph as a tree that is read downwards: stream → units that it triggers → streams that they write.

    It begins with what nothing feeds; what goes back up is named where it does (``again``). Only forks indent, so that
    the names of a long chain have room.
    """
    return _Tree(snapshot, wires).rows


class _Tree:
    def __init__(self, snapshot: Snapshot, wires: Wires) -> None:
        self.rows: list[FlowRow] = []
        self._wires = wires
        self._triggered: dict[str, list[str]] = {}
        for key, stream in wires.triggers.items():
            self._triggered.setdefault(stream, []).append(key)
        written = {name for names in wires.outputs.values() for name in names}
        self._seen: set[str] = set()
        read = {name for names in wires.reads.values() for name in names}
        for key in snapshot.units:
            if key not in wires.triggers:
                self._unit(key, "", "")
        for name in self._triggered:
            if name not in written:
                self._stream(name, "", "")
        for key in snapshot.units:  # what is left stands in circles
            if f"unit {key}" not in self._seen:
                self._stream(wires.triggers[key], "", "")
        for name in snapshot.streams:
            if f"stream {name}" not in self._seen and name not in read:
                self._stream(name, "", "")

    def _stream(self, name: str, branch: str, below: str) -> None:
        key = f"stream {name}"
        if key in self._seen:
            self.rows.append(FlowRow(f"again {name} {len(self.rows)}", "again", name, branch))
            return
        self._seen.add(key)
        self.rows.append(FlowRow(key, "stream", name, branch))
        self._children(self._triggered.get(name, []), self._unit, self._unit_goes_on, below)

    def _unit(self, key: str, branch: str, below: str) -> None:
        if f"unit {key}" in self._seen:
            return
        self._seen.add(f"unit {key}")
        self.rows.append(FlowRow(f"unit {key}", "unit", key, branch))
        outputs, reads = self._wires.outputs.get(key, []), self._wires.reads.get(key, [])
        if reads:
            turn = "├" if outputs else "└"
            self.rows.append(FlowRow(f"reads {key}", "reads", ", ".join(reads), f"{below}{turn}┄ "))
        self._children(outputs, self._stream, self._stream_goes_on, below)

    def _children(
        self,
        names: Sequence[str],
        draw: Callable[[str, str, str], None],
        goes_on: Callable[[str], bool],
        below: str,
    ) -> None:
        """What a stream or unit leads to: ends first; what goes on alone does so straight down, without indentation."""
        ends = [name for name in names if not goes_on(name)]
        on = [name for name in names if name not in ends]
        if len(names) == 1:
            ends, on = [], list(names)
        for i, name in enumerate(ends):
            draw(name, f"{below}{'├' if on or i < len(ends) - 1 else '└'}▶ ", f"{below}   ")
        if len(on) == 1:
            draw(on[0], f"{below}▼  ", below)
            return
        for i, name in enumerate(on):
            last = i == len(on) - 1
            draw(name, f"{below}{'└' if last else '├'}▶ ", f"{below}{' ' if last else '│'}  ")

    def _stream_goes_on(self, name: str) -> bool:
        return f"stream {name}" not in self._seen and name in self._triggered

    def _unit_goes_on(self, key: str) -> bool:
        return bool(self._wires.outputs.get(key) or self._wires.reads.get(key))
