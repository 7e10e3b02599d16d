"""Process records: what every running unit says about itself, and how it is told to pause, step or stop."""

from __future__ import annotations

from framebus.process.listing import purge_records, records
from framebus.process.record import LimitAction, Limits, ProcessRecord
from framebus.process.states import Event, State, transition
from framebus.process.timing import TIMING_DTYPE, Spread, Statistics

__all__ = [
    "TIMING_DTYPE",
    "Event",
    "LimitAction",
    "Limits",
    "ProcessRecord",
    "Spread",
    "State",
    "Statistics",
    "purge_records",
    "records",
    "transition",
]
