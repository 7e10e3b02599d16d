"""What the continuous operators share: their options, and how they are run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from framebus.cli.streamtools.arguments import target_options
from framebus.errors import StreamNotFound, UsageError

if TYPE_CHECKING:
    from framebus.pipeline.plan import StreamPlan
    from framebus.unit import LoopOptions, Stage

Command = TypeVar("Command", bound=Callable[..., Any])


def operator_options(command: Command) -> Command:
    """Options of an operator that frames trigger."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print a JSON object, at the end."),
        click.option(
            "-d", "--detach", is_flag=True, help="Run in the background, kept alive by a supervisor."
        ),
        click.option(
            "--spin",
            default=0.0,
            metavar="US",
            help="Watch for a frame that many µs before sleeping, or inf.",
        ),
        click.option("--name", help="Name under which the unit runs (default: after command and TARGET)."),
        click.option(
            "--newest", is_flag=True, help="Skip to the newest frame where the operator falls behind."
        ),
        click.option("--once", is_flag=True, help="Do it with the newest frames only, and end."),
    ):
        command = option(command)
    return target_options(command)


def rated_options(command: Command) -> Command:
    """Options of a source that ticks by itself."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print a JSON object, at the end."),
        click.option(
            "-d", "--detach", is_flag=True, help="Run in the background, kept alive by a supervisor."
        ),
        click.option(
            "--name", "unit", help="Name under which the unit runs (default: after command and NAME)."
        ),
        click.option("--cpu", type=click.IntRange(0), metavar="N", help="CPU to run on."),
    ):
        command = option(command)
    return target_options(command)


def label(command: str, target: str, given: str | None) -> str:
    """The name of a unit that writes to ``target``: the one that is given, or one after both."""
    from framebus.stream.names import parse

    return given or f"{command}-{parse(target).name}"[:60]


def run_operator(stage: Stage, *, once: bool, newest: bool, spin: float, detach: bool, as_json: bool) -> int:
    """Run a stage here or in the background; returns the exit code.

    Raises:
        StreamNotFound: it is to be done once, and a source has no frame.
    """
    from framebus.unit import LoopOptions

    if once:
        require_frames(stage)
    options = LoopOptions(
        trigger="once" if once else "stream", every_frame=not (newest or once), spin_us=spin
    )
    return run(stage, options, detach=detach, as_json=as_json)


def require_frames(stage: Stage) -> None:
    """Raises StreamNotFound unless every source has a frame."""
    from framebus.ops.targets import open_existing

    for argument in stage.declaration.inputs():
        with open_existing(stage.streams[argument.name]) as source:
            if source.count == 0:
                raise StreamNotFound(f"'{source.name}' has no frame yet")


def run(stage: Stage, options: LoopOptions, *, detach: bool, as_json: bool) -> int:
    """Run a stage here or in the background; returns the exit code.

    Of one that ran here the parameters go, too: who calls the command again gives them again.
    """
    if detach:
        from framebus.cli.run_background import run_in_background

        return run_in_background(stage, options, "subprocess", _outputs(stage), as_json=as_json)
    from framebus.cli.run_here import run_here
    from framebus.pipeline.leftovers import remove_sets

    try:
        return run_here(stage, options, as_json=as_json)
    finally:
        remove_sets([stage.label])


def _outputs(stage: Stage) -> dict[str, StreamPlan]:
    """The streams that the operator has made for its outputs: what they are is not to be worked out again."""
    from framebus.ops.targets import open_existing
    from framebus.pipeline.plan import StreamPlan
    from framebus.stream.names import parse

    found = {}
    for argument in stage.declaration.outputs():
        name = parse(stage.streams[argument.name])
        if name.path is not None or name.local:
            raise UsageError(
                f"'{name}': in the background only streams in the shared directory, by name, are written"
            )
        with open_existing(name.name) as made:
            dialect: Any = made.dialect.name
            found[name.name] = StreamPlan(
                shape=made.shape,
                dtype=made.dtype.name,
                history=made.history_length,
                dialect=dialect,
                keep=True,
            )
    return found
