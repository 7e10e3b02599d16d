"""When a process that ended is started again: a pure function of how it ended and of when it was started before."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from framebus.pipeline.plan import RestartPolicy, SupervisionPlan

__all__ = ["Action", "Decision", "Policy", "strictest"]

_INSISTENCE: tuple[RestartPolicy, ...] = ("never", "on-failure", "always")


class Action(StrEnum):
    """What to do with a process that has ended."""

    RESTART = "restart"
    """Start it again, at ``Decision.at_s``."""
    LEAVE = "leave"
    """It ended as it should, or nobody wants it back."""
    GIVE_UP = "give up"
    """It was started again too often."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and when (seconds of the clock that was asked with)."""

    action: Action
    at_s: float = 0.0


@dataclass(slots=True)
class Policy:
    """Restarts of one process.

    The delay before a restart doubles with each restart that still lies in the window, so a process that ran well for
    longer than the window begins anew with the shortest.

    Attributes:
        restart: whether failures (``on-failure``), all ends (``always``) or none (``never``) lead to a restart.
        backoff_s: delay before the first restart, s.
        backoff_max_s: the longest delay, s.
        limit: restarts within the window after which it is given up.
        window_s: length of the window, s.
        times_s: when it was to be started again within the last window, oldest first.
    """

    restart: RestartPolicy = "on-failure"
    backoff_s: float = 0.1
    backoff_max_s: float = 10.0
    limit: int = 10
    window_s: float = 60.0
    times_s: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, plan: SupervisionPlan, restart: RestartPolicy) -> Policy:
        """What the plan says."""
        return cls(restart, plan.backoff_s, plan.backoff_max_s, plan.restart_limit, plan.restart_window_s)

    def ended(self, now_s: float, *, failed: bool) -> Decision:
        """The process has ended. A restart that is decided counts from now on.

        Args:
            now_s: of any clock that never goes back.
            failed: it ended otherwise than by coming to its end or being told to.
        """
        if self.restart == "never" or (self.restart == "on-failure" and not failed):
            return Decision(Action.LEAVE)
        self.times_s = [at for at in self.times_s if now_s - at < self.window_s]
        if len(self.times_s) >= self.limit:
            return Decision(Action.GIVE_UP)
        # More than 60 doublings of any delay are above any longest one, and a float has an end.
        delay = min(self.backoff_s * 2.0 ** min(len(self.times_s), 60), self.backoff_max_s)
        self.times_s.append(now_s + delay)
        return Decision(Action.RESTART, now_s + delay)

    def forget(self) -> None:
        """Somebody started it by hand: what was before does not count."""
        self.times_s.clear()


def strictest(restarts: list[RestartPolicy]) -> RestartPolicy:
    """The policy of a process: that of its unit which insists most on being there."""
    return max(restarts, key=_INSISTENCE.index, default="never")
