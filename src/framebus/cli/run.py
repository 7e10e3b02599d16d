"""``framebus run``."""

from __future__ import annotations

from typing import Any

import click

from framebus.cli.complete import assigned_stream_names, installed_unit_names, stream_names
from framebus.cli.run_wishes import Wishes
from framebus.errors import UsageError

_UNIT = "framebus.cli.run.unit"


class _UnitCommand(click.Command):
    """A command whose help is that of the unit it is called with."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As every command; first see which unit is meant, since ``--help`` is answered before anything else is."""
        if not ctx.resilient_parsing:
            given, _, _ = self.make_parser(ctx).parse_args(list(args))
            ctx.meta[_UNIT] = given.get("use")
        return super().parse_args(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The unit's help, if one is given, and the options."""
        use = ctx.meta.get(_UNIT)
        if not isinstance(use, str):
            super().format_help(ctx, formatter)
            return
        from framebus.cli.run_help import write_unit
        from framebus.unit import load_unit

        write_unit(load_unit(use), use, formatter)
        self.format_options(ctx, formatter)


@click.command(cls=_UnitCommand)
@click.argument("use", metavar="UNIT", shell_complete=installed_unit_names)
@click.option(
    "--in",
    "inputs",
    metavar="NAME=STREAM",
    multiple=True,
    shell_complete=assigned_stream_names,
    help="Give an input its stream.",
)
@click.option(
    "--out",
    "outputs",
    metavar="NAME=STREAM",
    multiple=True,
    shell_complete=assigned_stream_names,
    help="Give an output its stream.",
)
@click.option("--set", "values", metavar="NAME=VALUE", multiple=True, help="Give a parameter a value.")
@click.option(
    "--on",
    metavar="STREAM",
    shell_complete=stream_names,
    help="Run for the frames of the first input's STREAM (default).",
)
@click.option("--once", is_flag=True, help="Run once, tell what came out, and end.")
@click.option("--every", type=float, metavar="SECONDS", help="Run at regular times.")
@click.option("--free", is_flag=True, help="Run again and again, without a pause.")
@click.option("--every-frame", is_flag=True, help="Skip no frame, if the stream has a history.")
@click.option("--history", default=0, metavar="N", help="Past frames that new output streams keep.")
@click.option("--name", default="", help="Name under which it runs (default: the unit's own).")
@click.option("--cpu", metavar="LIST", help="CPUs that it may run on, such as 2, or 1,4-6.")
@click.option("--priority", default=0, metavar="1-99", help="Real-time priority (SCHED_FIFO).")
@click.option(
    "--spin", default=0.0, metavar="US", help="Watch for a frame that many µs before sleeping, or inf."
)
@click.option("-d", "--detach", is_flag=True, help="Run in the background, kept alive by a supervisor.")
@click.option("--tmux", is_flag=True, help="Run in a window of tmux.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, at the end.")
def run(detach: bool, tmux: bool, as_json: bool, **given: Any) -> int:
    """Run one unit on streams. UNIT is package.module:name, file.py:name, or the name of a plug-in ('framebus units').

    'framebus run UNIT --help' tells the unit's inputs, outputs and parameters. It runs until Ctrl-C or SIGTERM. NAME=
    may be left out of --in and --out where the unit has one input, or one output.

    Example: framebus run denoise.py:denoise --in wfs --out clean --set gain=0.4
    """
    if detach and tmux:
        raise UsageError("--detach and --tmux exclude each other; give one of them")
    from framebus.unit import load_unit

    wishes = Wishes(**given)
    unit = load_unit(wishes.use)
    stage, options = wishes.settle(unit)
    if detach or tmux:
        from framebus.cli.run_background import run_in_background

        return run_in_background(stage, options, "tmux" if tmux else "subprocess", as_json=as_json)
    from framebus.cli.run_here import run_here

    return run_here(stage, options, as_json=as_json)
