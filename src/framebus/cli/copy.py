"""``framebus copy``."""

from __future__ import annotations

import click

from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.output import show
from framebus.errors import StreamNotFound, UsageError


@click.command()
@click.argument("source", shell_complete=stream_names)
@click.argument("target", shell_complete=stream_names)
@click.option(
    "--dialect",
    type=click.Choice(["isio", "dao"]),
    help="File format of TARGET (default: that of a TARGET that is there, else the one that SOURCE does not have).",
)
@click.option(
    "--history", type=click.IntRange(0), metavar="N", help="Frames that TARGET keeps (default: as SOURCE)."
)
@click.option("--force", is_flag=True, help="Write to a TARGET that another living process writes, too.")
@click.option("--once", is_flag=True, help="Copy the newest frame only, and end.")
@click.option("--newest", is_flag=True, help="Skip to the newest frame where the copy falls behind.")
@click.option("--name", default="copy", show_default=True, help="Name under which the copying unit runs.")
@click.option(
    "--spin", default=0.0, metavar="US", help="Watch for a frame that many µs before sleeping, or inf."
)
@click.option("-d", "--detach", is_flag=True, help="Run in the background, kept alive by a supervisor.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, at the end.")
def copy(
    source: str,
    target: str,
    dialect: str | None,
    history: int | None,
    force: bool,
    once: bool,
    newest: bool,
    name: str,
    spin: float,
    detach: bool,
    as_json: bool,
) -> int:
    """Hand the stream SOURCE on to TARGET, frame by frame: names, or paths of streams' files.

    Each frame keeps its count and its time of acquisition, and TARGET has SOURCE's keywords, as they change. So
    milk's and cacao's programs see a stream of DAO's, and DAO's programs one of theirs. Ends at Ctrl-C.

    Example: framebus copy wfs /tmp/wfs.im.shm --dialect dao --history 4
    """
    from framebus.ops.targets import check_writer
    from framebus.stream import open as open_stream
    from framebus.unit import LoopOptions, Stage
    from framebus.unit.copying import copy as unit
    from framebus.unit.copying import make_target

    with open_stream(source) as opened:
        if once and opened.count == 0:
            raise StreamNotFound(f"{source} has no frame yet that could be copied")
        if opened.dtype.name == "float16":  # told before a target is made that would stay empty
            raise UsageError(
                f"{source} holds float16, which the compiled unit 'copy' has no type for; make it float32"
            )
        if not force:
            check_writer(target)
        with make_target(opened, target, dialect=dialect, history=history) as made:
            said = (
                f"{text.safe(opened.name)} ({opened.dialect}) -> {text.safe(str(made.path))} ({made.dialect}), "
                f"{text.shape(made.shape)} {made.dtype.name}, history {made.history_length}"
            )
    if not as_json:
        show(said)
    stage = Stage(unit, {"source": source, "target": target}, {}, name)
    options = LoopOptions(
        trigger="once" if once else "stream", every_frame=not (newest or once), spin_us=spin
    )
    if detach:
        from framebus.cli.run_background import run_in_background

        return run_in_background(stage, options, "subprocess", as_json=as_json)
    from framebus.cli.run_here import run_here

    return run_here(stage, options, as_json=as_json)
