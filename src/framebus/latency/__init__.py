"""Latency: how late units are, and why."""

from __future__ import annotations

from framebus.latency.auditing import Audit, UnitAudit, audit, targets
from framebus.latency.threads import ThreadCounts
from framebus.latency.verdict import Verdict

__all__ = ["Audit", "ThreadCounts", "UnitAudit", "Verdict", "audit", "targets"]
