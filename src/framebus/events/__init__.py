"""Events: waiting until frames come, parameters change, units and pipelines reach a state; and a snapshot of all."""

from __future__ import annotations

from framebus.events.conditions import Condition, ConditionError, parse
from framebus.events.occurrences import Occurrence, Occurrences
from framebus.events.snapshot import query
from framebus.events.waiting import Fired, wait_for

__all__ = ["Condition", "ConditionError", "Fired", "Occurrence", "Occurrences", "parse", "query", "wait_for"]
