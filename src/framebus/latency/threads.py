"""What the kernel did to one thread: switches, migrations, page faults, time on a CPU and in the queue for one."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

from framebus.process.kernel_files import fields as lines
from framebus.process.kernel_files import stat_fields, text

__all__ = ["ThreadCounts", "thread_counts"]

_POLICIES = {0: "other", 1: "fifo", 2: "rr", 3: "batch", 5: "idle", 6: "deadline"}
_COUNTED = (
    "minor_faults",
    "major_faults",
    "voluntary",
    "involuntary",
    "migrations",
    "cpu_ns",
    "queue_ns",
)


@dataclass(frozen=True, slots=True)
class ThreadCounts:
    """Counts since the thread began, or, of a difference, between two looks; None: the kernel does not tell.

    Attributes:
        cpu: on which it ran last.
        policy: ``fifo``, ``rr``, ``other`` ...
        priority: of ``fifo`` and ``rr``; 0 of others.
        minor_faults, major_faults: pages that had to be found, in memory and on disk.
        voluntary, involuntary: how often it left its CPU to wait, and because another thread was given the CPU.
        migrations: how often it was moved to another CPU.
        cpu_ns: time on a CPU, ns.
        queue_ns: time in which it could have run and waited for a CPU, ns.
    """

    cpu: int | None = None
    policy: str = ""
    priority: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    voluntary: int | None = None
    involuntary: int | None = None
    migrations: int | None = None
    cpu_ns: int | None = None
    queue_ns: int | None = None

    def since(self, before: ThreadCounts) -> ThreadCounts:
        """What has been counted between an earlier look and this one; what is no count is this one's."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in _COUNTED:
            now, then = getattr(self, name), getattr(before, name)
            values[name] = None if now is None or then is None else max(0, now - then)
        return ThreadCounts(**values)


def thread_counts(pid: int, thread_id: int, root: str | os.PathLike[str] = "/") -> ThreadCounts | None:
    """Look at a thread; None if it is gone.

    Args:
        pid, thread_id: of its process and its own.
        root: the directory that holds ``proc``.
    """
    folder = Path(root, "proc", str(pid), "task", str(thread_id))
    stat = stat_fields(folder / "stat")
    if not stat:
        return None
    status, sched = lines(folder / "status"), lines(folder / "sched")
    run = text(folder / "schedstat").split()
    policy = _at(stat, 41)
    return ThreadCounts(
        cpu=_at(stat, 39),
        policy="" if policy is None else _POLICIES.get(policy, str(policy)),
        priority=_at(stat, 40),
        minor_faults=_at(stat, 10),
        major_faults=_at(stat, 12),
        voluntary=_number(status.get("voluntary_ctxt_switches")),
        involuntary=_number(status.get("nonvoluntary_ctxt_switches")),
        migrations=_number(sched.get("se.nr_migrations")),
        cpu_ns=_number(run[0]) if len(run) == 3 else None,
        queue_ns=_number(run[1]) if len(run) == 3 else None,
    )


def _at(stat: list[str], field: int) -> int | None:
    return _number(stat[field]) if field < len(stat) else None


def _number(word: str | None) -> int | None:
    return int(word) if word and word.isdigit() else None
