"""Settings of the machine that loops fare better with: told, applied, and put back to what they were."""

from __future__ import annotations

from framebus.tuning.catalogue import Item, Manual, items, manuals
from framebus.tuning.memory import Memory, state_path
from framebus.tuning.tune import Outcome, apply, undo

__all__ = ["Item", "Manual", "Memory", "Outcome", "apply", "items", "manuals", "state_path", "undo"]
