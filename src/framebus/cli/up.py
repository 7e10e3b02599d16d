"""``framebus up``."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from framebus.cli import text
from framebus.cli.complete import pipeline_files
from framebus.cli.failures import INTERRUPTED
from framebus.cli.output import make_console, show_json
from framebus.cli.shipped import pipeline_file
from framebus.cli.signals import signals_end_it
from framebus.cli.unit_table import messages, unit_table
from framebus.cli.waiting import waiting
from framebus.errors import FramebusError, NotFoundError, PipelineError, UsageError
from framebus.events.plain import unit_plain
from framebus.pipeline.control import Controller
from framebus.pipeline.plan import PipelinePlan
from framebus.pipeline.rundir import RunDir
from framebus.pipeline.running import pipeline_units
from framebus.pipeline.supervisor import Supervisor

_FRAME_S = 0.25
_PATIENCE_S = 1.0
"""How long a terminal that is held may hold up the end."""
_EVENTS = 5
"""Last lines of what happened that are shown below the table."""


@click.command()
@click.argument("file", shell_complete=pipeline_files)
@click.option("-d", "--detach", is_flag=True, help="Return when all is ready; it goes on in the background.")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Set a variable of the file.")
@click.option(
    "--launcher",
    type=click.Choice(["subprocess", "tmux"]),
    help="How processes are started, whatever the file says; tmux: 'tmux attach -t NAME' shows them.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="With --detach: print the units that run as a JSON object."
)
def up(file: str, detach: bool, variables: tuple[str, ...], launcher: str | None, as_json: bool) -> None:
    """Start the pipeline in FILE and keep it running.

    Ctrl-C, SIGTERM or 'framebus down' end it: units in reverse order, then everything that it made is removed. If its
    supervisor was killed, the same command takes up what still runs. Instead of FILE, the name of a pipeline whose
    supervisor was killed takes it up as it was, units that were replaced included.

    'framebus up demo' starts the pipeline that comes with the package.

    Example: framebus up loop.toml --detach
    """
    if as_json and not detach:
        raise UsageError("--json goes with --detach; 'framebus ps --json' tells about pipelines at any time")
    plan = load(file, variables)
    if launcher is not None:
        plan.supervision.launcher = launcher  # type: ignore[assignment]
    if detach:
        from framebus.pipeline.background import detach as start

        with signals_end_it(), waiting(f"pipeline '{text.safe(plan.name)}' starts"):
            start(plan)
        if as_json:
            show_json(_as_plain(plan.name))
            return
        several = len(plan.units) != 1
        said = f"pipeline '{text.safe(plan.name)}' is up: {len(plan.units)} unit{'s' * several}"
        if failed := _failed(plan.name):
            said += f", of which failed: {text.safe(', '.join(failed))}"
        click.echo(f"{said}; 'framebus ps' shows {'them' if several else 'it'}")
        return
    with _View(plan.name) as view:
        Supervisor(plan, checked=True, tell=view.tell).run(on_ready=view.ready, on_turn=view.turn)
    if not view.was_ready:
        sys.exit(INTERRUPTED)


def load(file: str, variables: tuple[str, ...] = ()) -> PipelinePlan:
    """The plan in a file, checked; or, by name, that of a pipeline that was not taken down, or one that ships with us.

    Raises:
        PipelineError: all that is wrong with it. NotFoundError: there is no such file.
    """
    from framebus.pipeline.check_file import check_file
    from framebus.pipeline.read import variable

    if not os.path.exists(file):
        if (known := _running(file)) is not None:
            return known
        file = pipeline_file(file)
    checked, problems = check_file(file, dict(map(variable, variables)))
    if problems or checked is None:
        raise PipelineError(problems)
    return checked.plan


def _running(name: str) -> PipelinePlan | None:
    """The plan of a pipeline that was not taken down."""
    if os.sep in name:
        return None
    with contextlib.suppress(NotFoundError, UsageError):
        run_dir = RunDir(name)
        if run_dir.exists:
            return run_dir.read_plan()
    return None


def _as_plain(name: str) -> dict[str, Any]:
    """A pipeline that is up, as JSON has it."""
    status = Controller(name).status()
    return {"pipeline": name, "units": [unit_plain(unit) for unit in pipeline_units(status)]}


def _failed(name: str) -> list[str]:
    """The units of a pipeline that is up and that did not stay so."""
    with contextlib.suppress(FramebusError):  # it goes down already
        units = pipeline_units(Controller(name).status())
        return [unit.unit for unit in units if unit.state in ("error", "failed")]
    return []


class _View:
    """What the terminal shows: a table that is renewed, or lines where there is no terminal.

    It has a thread of its own: a terminal that is held (Ctrl-S), or a pipe that nobody reads, must not hold up whoever
    starts units again.
    """

    def __init__(self, name: str) -> None:
        self.was_ready = False
        self._name = name
        self._console = make_console()
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._status: dict[str, Any] | None = None
        self._next_s = 0.0
        self._thread = threading.Thread(target=self._show, daemon=True)

    # ---- called by the supervisor ----

    def ready(self) -> None:
        """All is ready."""
        self.was_ready = True

    def tell(self, line: str) -> None:
        """Something happened."""
        self._next_s = 0.0
        self._lines.put(line)

    def turn(self, supervisor: Supervisor) -> None:
        """Take note of how the pipeline does."""
        if self._live is not None and time.monotonic() >= self._next_s:
            self._status = supervisor.status()
            self._next_s = time.monotonic() + _FRAME_S

    # ---- in its own thread ----

    def _show(self) -> None:
        with contextlib.suppress(OSError):  # nobody reads it any more: that is no reason to end
            if self._live is None:
                while (line := self._lines.get()) is not None:
                    click.echo(text.safe(line))
                return
            with self._live:
                while not self._over():
                    if self._status is not None:
                        self._live.update(self._table(self._status), refresh=True)

    def _over(self) -> bool:
        """Wait until something happened, or the next picture is due; whether it is all over."""
        try:
            return self._lines.get(timeout=_FRAME_S) is None
        except queue.Empty:
            return False

    def _table(self, status: dict[str, Any]) -> Group:
        units = pipeline_units(status)
        width = self._console.width
        head = Text(f"pipeline {text.safe(self._name)}: {status['phase']}", "bold")
        head.append(f"  (supervisor {status['supervisor']['pid']}; Ctrl-C takes it down)", "dim")
        head.truncate(width, overflow="ellipsis")
        foot = Text("compute and latency: median/p99 in µs", "dim")
        events = [_event(line, width) for line in status["events"][-_EVENTS:]]
        table = unit_table(units, width, pipelines=False)
        return Group(head, table, foot, *messages(units, width), Text(), *events)

    # ---- its beginning and end ----

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.put(None)
        self._thread.join(_PATIENCE_S)
        if error is None and self._live is not None and not self._thread.is_alive():
            click.echo(f"pipeline '{text.safe(self._name)}' is down")


def _event(line: str, width: int) -> Text:
    shown = Text(text.safe(line), "dim")
    shown.truncate(width, overflow="ellipsis")
    return shown
