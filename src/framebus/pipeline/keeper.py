"""Keeping one process of a pipeline: started, watched, started again, replaced, ended."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from framebus.errors import FramebusError, UnitError, UsageError
from framebus.pipeline.control import Reply, failure
from framebus.pipeline.launch import Running
from framebus.pipeline.leftovers import remove_drafts, remove_records
from framebus.pipeline.logs import tail
from framebus.pipeline.policy import Action, Policy
from framebus.pipeline.workshop import Start, Workshop
from framebus.process import ProcessRecord, State

__all__ = ["Keeper", "Phase"]

_RAN = "exit code 1"
"""How a host ends of which a unit failed while it ran; one that could not start has another code."""
_CRASHES = {f"killed by {name}" for name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSYS")}
"""How a process ends by its own fault; other signals come from outside."""
_STAYS_NS = 5_000_000_000
"""A process that has failed and not ended after this time means to stay, in ns."""
_LOOK_S = 0.02
"""How long a report may go unread while a process starts, and a late end unseen."""


class Phase(StrEnum):
    """Where a process is."""

    WAITING = "waiting"
    """For those that make its inputs."""
    STARTING = "starting"
    UP = "up"
    RESTARTING = "restarting"
    """It ended, and its delay before the next start runs."""
    STOPPING = "stopping"
    ENDED = "ended"
    """It ended as it should."""
    FAILED = "failed"
    """It ended otherwise, and is not started again."""


@dataclass
class _Succession:
    """A process that is about to take over."""

    start: Start
    loops: list[dict[str, Any]]
    deadline_s: float
    unit: str
    reply: Reply
    took_over: Callable[[], None]


@dataclass
class _Leaving:
    """A process that was taken over from."""

    start: Start
    deadline_s: float
    reply: Reply
    answer: dict[str, Any]


class Keeper:
    """One process. ``look`` does whatever is due; nothing here waits.

    Args:
        name: the process' name.
        loops: its loops, in JSON's form.
        units: names of its units, in start order.
        policy: when it is started again.
        needs: names of the processes that must be ready before it starts.
        workshop: what it is started with.
        fresh: the first start of a pipeline, whose failure is everybody's.

    Attributes:
        restarts: how often it was started again.
        failures: how often it ended otherwise than it should, or did not start.
    """

    def __init__(
        self,
        name: str,
        loops: list[dict[str, Any]],
        units: list[str],
        policy: Policy,
        needs: set[str],
        workshop: Workshop,
        *,
        fresh: bool = True,
        keep_values: bool = False,
    ) -> None:
        self.name, self.loops, self.units, self.needs = name, loops, units, needs
        self.policy, self._shop, self._fresh = policy, workshop, fresh
        self.phase = Phase.WAITING
        self.message = ""
        self.restarts = self.failures = 0
        self.start_failure: UnitError | None = None
        self.keep_values = keep_values
        self._current: Start | None = None
        self._succession: _Succession | None = None
        self._leaving: list[_Leaving] = []
        self._again = False
        self._bereft_until_s = -math.inf
        self._deadline_s = math.inf
        self._at_s = 0.0
        self._replies: list[Reply] = []

    # ---- what it says ----

    @property
    def running(self) -> Running | None:
        """The process that counts, if there is one."""
        return self._current.running if self._current is not None else None

    @property
    def settled(self) -> bool:
        """Whether those that need it may start."""
        return self.phase in (Phase.UP, Phase.ENDED, Phase.FAILED)

    @property
    def gone(self) -> bool:
        """Whether no process is left of it."""
        return self._current is None and self._succession is None and not self._leaving

    def state(self) -> dict[str, Any]:
        """As JSON has it."""
        running = self.running
        return {
            "state": str(self.phase),
            "pid": running.pid if running else 0,
            "start_ticks": running.start_ticks if running else 0,
            "others": self._others(),
            "restarts": self.restarts,
            "failures": self.failures,
            "restart_times_s": self.policy.times_s,
            "message": self.message,
            "units": self.units,
            "log": str(self._shop.log(self.name).path),
        }

    def _others(self) -> list[int]:
        """Pids of those that come and go beside it while it is replaced."""
        starts = [leaving.start for leaving in self._leaving]
        starts += [self._succession.start] if self._succession is not None else []
        return [start.running.pid for start in starts]

    def next_s(self, now_s: float) -> float:
        """For how long it may be left alone, s."""
        if self.phase in (Phase.STARTING, Phase.STOPPING) or self._succession or self._leaving:
            return _LOOK_S
        return max(0.0, self._at_s - now_s) if self.phase is Phase.RESTARTING else math.inf

    # ---- what it is told ----

    def launch(self, now_s: float, overriding: dict[str, dict[str, Any]] | None = None) -> None:
        """Start it; ``overriding``: values by unit that hold whatever was tuned before."""
        try:
            start = self._shop.start(
                self.name,
                self.loops,
                keep_values=self.keep_values,
                stay=self._stays,
                resume=not self._fresh,  # every frame that came meanwhile is read, or counted as missed
                overriding=overriding,
            )
        except (OSError, FramebusError) as error:
            self._start_failed(now_s, type(error).__name__, f"it could not be started: {error}")
            return
        self._begin(start, now_s)

    def adopt(self, start: Start, now_s: float) -> None:
        """Take over a process that another supervisor started."""
        self._shop.watch(start.running)
        self._begin(start, now_s)
        if start.report()["state"] == "ready":
            self._is_ready()

    def _begin(self, start: Start, now_s: float) -> None:
        self._current = start
        self.phase = Phase.STARTING
        self.keep_values = True  # from now on: what is tuned while it runs is kept
        self._deadline_s = now_s + self._shop.supervision.start_timeout_s

    @property
    def _stays(self) -> bool:
        return self.policy.restart == "never"

    def stop(self, now_s: float, *, again: bool = False) -> None:
        """End it, and start it again then if ``again``."""
        self._again = again
        if self._succession is not None:
            self._succession.start.running.kill()  # it holds nothing yet
        if self._current is None:
            self.phase = Phase.ENDED if self.phase is not Phase.FAILED else self.phase
            return
        if self.phase is not Phase.STOPPING:
            self.phase = Phase.STOPPING
            self._deadline_s = now_s + self._shop.supervision.stop_timeout_s
        self._current.running.terminate()

    def kill(self) -> None:
        """End all that is left of it at once."""
        starts = [self._current, *(leaving.start for leaving in self._leaving)]
        if self._succession is not None:
            starts.append(self._succession.start)
        for start in starts:
            if start is not None:
                start.running.kill()

    def restart(self, now_s: float, reply: Reply) -> None:
        """End it, start it anew, and answer when it is ready.

        Raises:
            UsageError: it is being replaced or ended.
        """
        self._refuse_while_busy()
        self.policy.forget()
        self._replies.append(reply)
        self._shop.tell(f"{self.name}: restarted by hand")
        self.restarts += 1
        if self._current is not None:
            self.stop(now_s, again=True)
        else:
            self.launch(now_s)

    def replace(
        self,
        now_s: float,
        unit: str,
        loops: list[dict[str, Any]],
        values: dict[str, Any],
        took_over: Callable[[], None],
        reply: Reply,
    ) -> None:
        """Start a successor with other loops beside it, and answer when that one has taken over.

        If no process runs, since it failed or ended, the next one has them, is started at once, and answers when ready.

        Args:
            now_s: time.
            unit: the unit that is meant.
            loops: the successor's loops.
            values: values that the unit has from its first frame.
            took_over: called when it has.
            reply: takes the answer.

        Raises:
            UsageError: it waits, starts, or is being replaced or ended.
        """
        self._refuse_while_busy()
        if self.phase in (Phase.RESTARTING, Phase.FAILED, Phase.ENDED):
            self.loops = loops
            took_over()
            self.policy.forget()
            self._replies.append(reply)
            self._shop.tell(f"{self.name}: unit '{unit}' was replaced while it did not run")
            self.restarts += 1
            self.launch(now_s, {unit: values})
            return
        if self.phase is not Phase.UP or self._current is None:
            raise UsageError(
                f"unit '{unit}' cannot be replaced while its process '{self.name}' is {self.phase}; "
                "wait until it is up, or has ended"
            )
        start = self._shop.start(
            self.name,
            loops,
            keep_values=True,
            stay=self._stays,
            predecessor=self._current.running,
            overriding={unit: values},
        )
        deadline = now_s + self._shop.supervision.start_timeout_s
        self._succession = _Succession(start, loops, deadline, unit, reply, took_over)
        self._shop.tell(f"{self.name}: process {start.running.pid} prepares to take over unit '{unit}'")

    def _refuse_while_busy(self) -> None:
        if self._succession is not None:
            raise UsageError(f"process '{self.name}' is just being replaced; wait until that is done")
        if self.phase is Phase.STOPPING and not self._again:
            raise UsageError(f"process '{self.name}' is just being ended")

    # ---- what happens ----

    def look(self, now_s: float) -> None:
        """See what has happened, and do what is due."""
        if self._succession is not None:
            self._look_at_successor(self._succession, now_s)
        current = self._current
        if self.phase is Phase.RESTARTING and now_s >= self._at_s:
            self.launch(now_s)
        elif current is not None:
            if self.phase is Phase.STARTING:
                self._look_at_start(current)
            if current.running.ended:
                self._has_ended(current, now_s)
            elif now_s >= self._deadline_s:
                current.running.kill()
        for leaving in list(self._leaving):
            self._look_at_leaving(leaving, now_s)

    def _look_at_leaving(self, leaving: _Leaving, now_s: float) -> None:
        if leaving.start.running.ended:
            self._leaving.remove(leaving)
            self._shop.drop(self.name, leaving.start)
            remove_records(self.units)
            leaving.reply(leaving.answer)
        elif now_s >= leaving.deadline_s:
            leaving.start.running.kill()

    def _look_at_start(self, current: Start) -> None:
        told = current.report()
        # A unit that is not restarted may fail at its first frame; its process stays, and waits for events.
        stays = self._stays and told["state"] == "failed" and time.time_ns() - told["time_ns"] > _STAYS_NS
        if told["state"] == "ready" or stays:
            self._is_ready()
            self._shop.tell(f"{self.name}: ready (process {current.running.pid})")
            self._answer({"ok": True})

    def _is_ready(self) -> None:
        self.phase = Phase.UP
        self._fresh = False
        self._deadline_s = math.inf
        self.message = ""
        remove_records(self.units, continued=True)

    def _has_ended(self, current: Start, now_s: float) -> None:
        if self._succession is not None:
            self._shop.unwatch(
                current.running
            )  # what becomes of it shows when the successor is ready, or not
            return
        told, fate = current.report(), current.running.fate
        starting, late = self.phase is Phase.STARTING, now_s >= self._deadline_s
        self._current = None
        self._deadline_s = math.inf
        self._shop.drop(self.name, current)
        remove_drafts()
        if self.phase is Phase.STOPPING:
            self._has_stopped(now_s)
        elif told["state"] == "ended" and now_s < self._bereft_until_s:
            self._shop.tell(f"{self.name}: had made room for a unit that failed; starts again")
            self.restarts += 1
            self.launch(now_s)
        elif told["state"] == "ended":
            self.message = ""
            self._shop.tell(f"{self.name}: all of its units came to their end")
            self._answer({"ok": True})
            self._decide(now_s, failed=False)
        elif starting and fate != _RAN:
            refused = late or told["state"] == "failed" or fate.startswith("exit code") or fate in _CRASHES
            limit = self._shop.supervision.start_timeout_s
            said = f"it was not ready within {limit:g} s" if late else self._why(told, fate)
            self._start_failed(now_s, told["error"] or "UnitError", said, refused)
        else:
            self.message = self._why(told, fate)
            self.failures += 1
            self._shop.tell(f"{self.name}: ended: {self.message}")
            self._decide(now_s, failed=True)

    def _why(self, told: dict[str, Any], fate: str) -> str:
        """How a process ended that should not have, from its report or from the last it wrote."""
        if told["state"] == "failed" and told["message"]:
            return str(told["message"])
        said = _last_words(self._shop.log(self.name).path)
        return f"{fate}; the last it said: {said}" if said else fate

    def _has_stopped(self, now_s: float) -> None:
        if self._again:
            self._again = False
            self.launch(now_s)
            return
        self.phase = Phase.ENDED
        remove_records(self.units)
        self._answer(failure(UnitError(f"process '{self.name}' was ended")))

    def _start_failed(self, now_s: float, kind: str, message: str, refused: bool = True) -> None:
        """It did not become ready. ``refused``: it would not the next time, as it is."""
        self.message = message
        self.failures += 1
        self._shop.tell(f"{self.name}: did not start: {message}")
        self._answer({"error": kind, "message": f"process '{self.name}' did not start: {message}"})
        if not (self._fresh and refused):
            self._decide(now_s, failed=True)
            if not self._fresh or self.phase is not Phase.FAILED:
                return
        self.phase = Phase.FAILED
        self.start_failure = UnitError(message)
        self.start_failure.__notes__ = [kind]

    def _decide(self, now_s: float, *, failed: bool) -> None:
        decision = self.policy.ended(now_s, failed=failed)
        if decision.action is Action.RESTART:
            self.phase, self._at_s = Phase.RESTARTING, decision.at_s
            self.restarts += 1
            self._shop.tell(f"{self.name}: starts again in {decision.at_s - now_s:.3g} s")
            return
        self.phase = Phase.FAILED if failed else Phase.ENDED
        if decision.action is Action.GIVE_UP:
            policy = self.policy
            self.message = (
                f"given up after {policy.limit} restarts within {policy.window_s:g} s: {self.message}; "
                f"'framebus restart {self.units[0]}' tries again"
            )
            self._shop.tell(f"{self.name}: {self.message}")

    # ---- succession ----

    def _look_at_successor(self, succession: _Succession, now_s: float) -> None:
        told = succession.start.report()
        if told["state"] == "ready" and not succession.start.running.ended:
            self._take_over(succession, now_s)
            return
        if now_s >= succession.deadline_s:
            succession.start.running.kill()
        if not succession.start.running.ended:
            return
        message = self._why(told, succession.start.running.fate)
        self._succession = None
        self._shop.drop(self.name, succession.start)
        remove_drafts()
        # It may have failed after it had told the old one to end, which then is not done with yet.
        self._bereft_until_s = now_s + self._shop.supervision.stop_timeout_s
        goes_on = " (the old one goes on)" if self._undisturbed() else " (the old one starts again)"
        self._shop.tell(f"{self.name}: unit '{succession.unit}' was not replaced: {message}")
        succession.reply(
            {
                "error": told["error"] or "UnitError",
                "message": f"unit '{succession.unit}' was not replaced{goes_on}: {message}",
            }
        )

    def _undisturbed(self) -> bool:
        """Whether no unit of the process that counts has ended, or is about to."""
        running = self.running
        if running is None or running.ended:
            return False
        with contextlib.suppress(FramebusError):  # a record that is gone is that of a unit that has ended
            for unit in self.units:
                with ProcessRecord.open(f"{unit}.{running.pid}") as record:
                    if record.state is State.OFF:
                        return False
            return True
        return False

    def _take_over(self, succession: _Succession, now_s: float) -> None:
        former = self._current
        self._current, self._succession = succession.start, None
        self.loops = succession.loops
        self.message = ""
        succession.took_over()
        self._shop.tell(
            f"{self.name}: unit '{succession.unit}' was replaced (process {succession.start.running.pid})"
        )
        answer: dict[str, Any] = {"ok": True}
        if former is None:
            succession.reply(answer)
            return
        # Told of when the old one has ended, so that there is one unit of the name again.
        deadline_s = now_s + self._shop.supervision.stop_timeout_s
        self._leaving.append(_Leaving(former, deadline_s, succession.reply, answer))

    def _answer(self, answer: dict[str, Any]) -> None:
        replies, self._replies = self._replies, []
        for reply in replies:
            with contextlib.suppress(OSError):
                reply(answer)


def _last_words(path: Path) -> str:
    """The last line that a process wrote, which of an exception is what it was about; empty if there is none."""
    lines = [line for line in tail(path, 5).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
