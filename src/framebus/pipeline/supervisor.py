"""The supervisor: starts a pipeline's processes in order, keeps them running, and takes all down again.

One thread, one loop. It learns of a process' end by its descriptor (``pidfd``), which works for processes that
another supervisor started as well; of signals by a pipe; of wishes by the control socket. Nothing in the loop waits for
a process, so Ctrl-C and ``down`` work at every moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Any

import msgspec

from framebus import _core
from framebus.errors import FramebusError, NotFoundError, PipelineError, UsageError
from framebus.pipeline.adoption import living
from framebus.pipeline.control import ControlServer, Reply, told_error
from framebus.pipeline.keeper import Keeper, Phase
from framebus.pipeline.launch import Launcher, Running, SubprocessLauncher
from framebus.pipeline.leftovers import Ledger, there_already
from framebus.pipeline.logs import LogFile
from framebus.pipeline.plan import PipelinePlan
from framebus.pipeline.policy import Policy, strictest
from framebus.pipeline.rundir import RunDir, default_logs
from framebus.pipeline.shutdown import Shutdown
from framebus.pipeline.workshop import Workshop

__all__ = ["Supervisor", "take_down"]

_TURN_S = 0.25
"""The longest turn of the loop: how old what ``on_turn`` shows may be, and how late a log is rotated."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Keeps one pipeline running.

    Args:
        plan: of the pipeline.
        checked: the plan was checked already.
        tell: takes each line about what happens, beside the log ``supervisor.log``.
    """

    def __init__(
        self, plan: PipelinePlan, *, checked: bool = False, tell: Callable[[str], None] | None = None
    ) -> None:
        self._plan, self._checked, self._told = plan, checked, tell
        self._run_dir = RunDir(plan.name)
        settings = plan.supervision
        self._logs = Path(settings.logs) if settings.logs is not None else default_logs(plan.name)
        self._log = LogFile.of(self._logs, "supervisor", settings.log_bytes, settings.log_files)
        self._events: deque[str] = deque(maxlen=50)
        self._keepers: dict[str, Keeper] = {}
        self._phase = "starting"
        self._ledger = Ledger()
        self._written: dict[str, Any] = {}
        self._failure: BaseException | None = None
        self._downs: list[Reply] = []
        self._shutdown: Shutdown | None = None
        self._selector = DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stops = 0
        self._shop: Workshop | None = None
        self._server: ControlServer | None = None

    # ---- what others call ----

    def run(
        self,
        *,
        on_ready: Callable[[], None] | None = None,
        on_turn: Callable[[Supervisor], None] | None = None,
    ) -> None:
        """Start everything, or adopt what still runs, and keep it until it is told to go down.

        Ctrl-C, SIGTERM and SIGHUP take the pipeline down (in the main thread; elsewhere ``stop`` does); a second one
        kills what has not ended yet.

        Args:
            on_ready: called once when all is ready.
            on_turn: called at least four times a second, and after whatever happens.

        Raises:
            PipelineError: the plan is wrong; nothing was started.
            UsageError: the pipeline runs already.
            UnitError: a process could not be started; all was stopped again. FramebusError: likewise, of the class that
                the process told.
        """
        try:
            with self._signals():
                self._begin()
                self._loop(on_ready, on_turn)
        finally:
            self._close()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Take the pipeline down; ``run`` returns then. From any thread; a second call kills what has not ended."""
        self._stops += 1
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def status(self) -> dict[str, Any]:
        """How the pipeline does, as JSON has it.

        ``pipeline``, ``phase`` (starting, up, stopping), ``supervised``, ``supervisor`` (``pid``, ``start_ticks``),
        ``processes`` by name in start order (``state``, ``pid``, ``start_ticks``, ``restarts``, ``failures``,
        ``message``, ``units``, ``log``), ``streams`` and ``sets`` that are removed when it goes down, all ``units``
        that have run, and ``events``: the last lines told.
        """
        return {**self._state(), "supervised": True, "events": list(self._events)}

    # ---- beginning ----

    def _begin(self) -> None:
        if not self._checked:
            from framebus.pipeline.check import check_plan

            if problems := check_plan(self._plan):
                raise PipelineError(problems)
        self._acquire()
        try:
            self._make_keepers()
        except BaseException:
            if not self._run_dir.exists:
                self._run_dir.remove()
            raise

    def _acquire(self) -> None:
        if not self._run_dir.acquire():
            raise UsageError(
                f"pipeline '{self._plan.name}' runs already ({self._run_dir.path}); 'framebus ps' shows it, "
                f"'framebus down {self._plan.name}' ends it"
            )

    def _make_keepers(self) -> None:
        """A keeper for every process; processes that still run are adopted if they are as the plan has them."""
        from framebus.pipeline.convert import process_plans
        from framebus.pipeline.graph import Graph
        from framebus.pipeline.streams import make_streams

        plan = self._plan
        graph = Graph.of(plan)
        loops = {name: process["loops"] for name, process in process_plans(plan, graph).items()}
        before = self._former()
        fresh, former = before is None, before or {}
        kept = {name for name, stream in plan.streams.items() if stream.keep}
        self._ledger = Ledger.of(former)
        self._ledger.plan([name for name in graph.streams() if name not in kept], plan.units)
        self._shop = self._workshop(fresh)
        # Who was killed while it started had not given them to everybody; what has them already keeps what it has.
        self._shop.values = _saved_values(plan) if former.get("phase", "starting") == "starting" else {}
        old_loops = former.get("loops", {})
        for name, units in graph.processes.items():
            labels = [unit for loop in units for unit in loop]
            self._keepers[name] = keeper = Keeper(
                name,
                loops[name],
                labels,
                Policy.of(plan.supervision, strictest([plan.units[unit].restart for unit in labels])),
                set(graph.after[name]),
                self._shop,
                fresh=fresh,
                keep_values=old_loops.get(name) == _plain(loops[name]),
            )
            known = former.get("processes", {}).get(name, {})
            keeper.restarts, keeper.failures = known.get("restarts", 0), known.get("failures", 0)
            keeper.policy.times_s = list(known.get("restart_times_s", []))
        self._run_dir.write_plan(plan)
        self._server = ControlServer(self._run_dir.socket, self._selector, self._handle)
        self._adopt(old_loops)
        self._write_state()  # before anything is made, so that whoever comes after us knows of it
        self._tell(f"{'starts' if fresh else 'goes on'} (supervisor {os.getpid()}, logs in {self._logs})")
        try:
            made = make_streams(plan, renew=fresh)
        except FramebusError as error:
            if not fresh:
                raise
            self._fail(error)
            return
        self._ledger.add(name for name in made if name not in kept)

    def _former(self) -> dict[str, Any] | None:
        """The state that a supervisor before us left; None if there was none."""
        try:
            return self._run_dir.read_state()
        except NotFoundError:
            return None

    def _workshop(self, fresh: bool) -> Workshop:
        plan = self._plan
        launcher: Launcher = SubprocessLauncher()
        if plan.supervision.launcher == "tmux":
            from framebus.pipeline.tmux import TmuxLauncher

            launcher = TmuxLauncher(plan.name, self._run_dir.path)
        shop = Workshop(
            self._run_dir, launcher, plan.supervision, self._logs, self._tell, self._watch, self._unwatch
        )
        if not fresh:
            shop.serial = self._run_dir.last_serial()
        return shop

    def _adopt(self, old_loops: dict[str, Any]) -> None:
        """Take over living hosts: those that are as the plan has them go on, the others end, to be started anew."""
        now = time.monotonic()
        for name, chosen in living(self._run_dir).items():
            keeper = self._keepers.get(name)
            if keeper is None:
                had = {stage["name"] for loop in old_loops.get(name, []) for stage in loop["stages"]}
                keeper = self._keepers[name] = self._outgoing(name, sorted(had - set(self._plan.units)))
            keeper.adopt(chosen, now)
            if old_loops.get(name) == _plain(keeper.loops):
                self._tell(f"{name}: adopted (process {chosen.running.pid})")
                continue
            self._tell(f"{name}: {'changed' if keeper.loops else 'ends'} (process {chosen.running.pid})")
            keeper.keep_values = False
            keeper.stop(now, again=bool(keeper.loops))

    def _outgoing(self, name: str, units: list[str]) -> Keeper:
        """A keeper of a process that the plan has no more, nor these units of it: it only ends it."""
        assert self._shop is not None
        return Keeper(name, [], units, Policy("never"), set(), self._shop, fresh=False)

    # ---- the loop ----

    def _loop(
        self, on_ready: Callable[[], None] | None, on_turn: Callable[[Supervisor], None] | None
    ) -> None:
        while True:
            now = time.monotonic()
            for keeper in list(self._keepers.values()):
                keeper.look(now)
            self._launch_what_can(now)
            if self._stops and self._phase != "stopping":
                self._go_down()
            elif self._phase == "starting":
                self._look_at_start(on_ready)
            if self._shutdown is not None and self._shutdown.look(now, kill=self._stops > 1):
                break
            self._write_state()
            self._rotate_logs()
            if on_turn is not None:
                on_turn(self)
            self._wait()
        self._clear_away()

    def _rotate_logs(self) -> None:
        assert self._shop is not None
        for log in (self._log, *map(self._shop.log, self._keepers)):
            with contextlib.suppress(OSError):  # it grows on until there is space for a copy
                log.rotate()

    def _wait(self) -> None:
        now = time.monotonic()
        timeout = min([_TURN_S, *(keeper.next_s(now) for keeper in self._keepers.values())])
        for key, events in self._selector.select(timeout):
            key.data(events)

    def _launch_what_can(self, now: float) -> None:
        if self._phase == "stopping" or self._failure is not None:
            return
        for keeper in self._keepers.values():
            if keeper.phase is Phase.WAITING and all(self._keepers[name].settled for name in keeper.needs):
                keeper.launch(now)

    def _look_at_start(self, on_ready: Callable[[], None] | None) -> None:
        for keeper in self._keepers.values():
            if keeper.start_failure is not None and self._failure is None:
                self._fail(_failure_of(keeper))
        if self._failure is None and all(keeper.settled for keeper in self._keepers.values()):
            self._phase = "up"
            failed = [name for name, keeper in self._keepers.items() if keeper.phase is Phase.FAILED]
            self._tell(
                f"all is ready, but for what has failed: {', '.join(failed)}" if failed else "all is ready"
            )
            self._write_state()
            if on_ready is not None:
                on_ready()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._tell(f"could not start: {error}")
        if not self._stops:
            self.stop()

    def _go_down(self) -> None:
        self._phase = "stopping"
        self._tell("goes down")
        self._shutdown = Shutdown(
            list(self._keepers.values()), self._plan.supervision.stop_timeout_s, time.monotonic()
        )

    # ---- going down ----

    def take_down(self) -> None:
        """Take down a pipeline whose supervisor is dead. See ``take_down``."""
        try:
            self._acquire()
            former = self._former() or {}
            self._ledger = Ledger.of(former)
            self._shop = Workshop(
                self._run_dir,
                SubprocessLauncher(),
                self._plan.supervision,
                self._logs,
                self._tell,
                self._watch,
                self._unwatch,
            )
            for name in former.get("processes", {}):
                self._keepers[name] = self._outgoing(name, [])
            self._adopt({})
            with self._signals():
                self.stop()
                self._loop(None, None)
        finally:
            self._close()

    def _clear_away(self) -> None:
        """Nothing runs any more: leave safe values, save what is to be saved, and remove what was made."""
        from framebus.pipeline.streams import write_on_down

        plan = self._plan
        if self._failure is None:
            write_on_down(plan)
            self._save_values()
        self._ledger.clear()
        self._tell("is down")
        self._run_dir.remove()
        for reply in self._downs:
            reply({"ok": True})

    def _save_values(self) -> None:
        path = self._plan.supervision.parameters_file
        if path is None:
            return
        from framebus.params import save_sets

        units = there_already([], self._plan.units)[1]
        try:
            save_sets(path, units, changed_only=False)  # a default may differ from what the plan says
        except (FramebusError, OSError) as error:
            self._tell(f"parameters were not saved: {error}")

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._selector.close()
        self._run_dir.release()
        os.close(self._wake_read)
        wake, self._wake_write = self._wake_write, -1
        os.close(wake)

    # ---- wishes ----

    def _handle(self, request: dict[str, Any], reply: Reply) -> None:
        do = request.get("do")
        if do == "status":
            reply({"ok": self.status()})
        elif do == "down":
            self._downs.append(reply)
            if not self._stops:
                self.stop()
        elif do == "restart":
            self._keeper_of(request["unit"]).restart(time.monotonic(), reply)
        elif do == "replace":
            self._replace(request, reply)
        else:
            raise UsageError(f"request {do!r} is unknown; expected status, restart, replace or down")

    def _keeper_of(self, unit: str) -> Keeper:
        if self._phase == "stopping":
            raise UsageError(f"pipeline '{self._plan.name}' is going down")
        for keeper in self._keepers.values():
            if unit in keeper.units:
                return keeper
        raise NotFoundError(
            f"pipeline '{self._plan.name}' has no unit '{unit}'; it has: {', '.join(self._plan.units)}"
        )

    def _replace(self, request: dict[str, Any], reply: Reply) -> None:
        unit, use, parameters = request["unit"], request["use"], request["parameters"]
        keeper = self._keeper_of(unit)
        loops: list[dict[str, Any]] = json.loads(json.dumps(keeper.loops))
        for stage in (stage for loop in loops for stage in loop["stages"]):
            if stage["name"] == unit:
                stage |= {"use": use, "parameters": parameters}

        def took_over() -> None:
            new = msgspec.structs.replace(self._plan.units[unit], use=use, parameters=parameters)
            self._plan = msgspec.structs.replace(self._plan, units={**self._plan.units, unit: new})
            self._run_dir.write_plan(self._plan)

        keeper.replace(time.monotonic(), unit, loops, request["set"], took_over, reply)

    # ---- state, events, signals ----

    def _state(self) -> dict[str, Any]:
        pid = os.getpid()
        return {
            "pipeline": self._plan.name,
            "phase": self._phase,
            "supervisor": {"pid": pid, "start_ticks": _core.process_start_ticks(pid)},
            "processes": {name: keeper.state() for name, keeper in self._keepers.items()},
            **asdict(self._ledger),
        }

    def _write_state(self) -> None:
        loops = {name: _plain(keeper.loops) for name, keeper in self._keepers.items()}
        state = {**self._state(), "loops": loops}
        if state == self._written:
            return
        try:
            self._run_dir.write_state(state)
        except OSError as error:  # no space, as a rule: no reason to leave the units alone
            if not self._written.get("error"):
                self._written = {"error": True}
                self._tell(f"the state could not be written: {error}")
            return
        self._written = json.loads(json.dumps(state))  # a copy: the lists in it go on changing

    def _tell(self, text: str) -> None:
        self._events.append(text)
        stamp = datetime.now().astimezone().isoformat(timespec="milliseconds")
        with contextlib.suppress(OSError):  # a full disk is no reason to stop
            self._log.write(f"{stamp} {text}")
        if self._told is not None:
            self._told(text)

    def _watch(self, running: Running) -> None:
        self._selector.register(running.descriptor, EVENT_READ, lambda _events: None)

    def _unwatch(self, running: Running) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(running.descriptor)

    @contextlib.contextmanager
    def _signals(self) -> Any:
        """Signals as calls of ``stop``, in the main thread."""
        self._selector.register(self._wake_read, EVENT_READ, lambda _events: self._drain())
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, lambda *_: self.stop()) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                pass


def take_down(run_dir: RunDir) -> None:
    """Take down a pipeline whose supervisor is dead, with all that it made.

    Raises:
        NotFoundError: it does not run. UsageError: it has a supervisor.
    """
    Supervisor(run_dir.read_plan(), checked=True).take_down()


def _failure_of(keeper: Keeper) -> BaseException:
    """Why a process did not start, of the class that it told."""
    failure = keeper.start_failure
    assert failure is not None
    message = f"process '{keeper.name}' did not start: {failure}; its output is in {keeper.state()['log']}"
    return told_error({"error": failure.__notes__[0], "message": message})


def _saved_values(plan: PipelinePlan) -> dict[str, dict[str, Any]]:
    """Values of the parameters file, by unit."""
    path = plan.supervision.parameters_file
    if path is None or not os.path.exists(path):
        return {}
    from framebus.params import read_sets

    return read_sets(path)


def _plain(loops: list[dict[str, Any]]) -> Any:
    """Loops as JSON gives them back."""
    return json.loads(json.dumps(loops))
