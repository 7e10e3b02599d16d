"""``framebus clock`` and ``framebus random``."""

from __future__ import annotations

import click

from framebus.cli.complete import stream_names
from framebus.cli.streamtools.arguments import parse_shape
from framebus.cli.streamtools.operating import label, rated_options, run


@click.command()
@click.argument("hz", type=click.FloatRange(0.0, min_open=True))
@click.argument("name", shell_complete=stream_names)
@rated_options
def clock(
    hz: float,
    name: str,
    unit: str | None,
    cpu: int | None,
    detach: bool,
    history: int | None,
    dialect: str | None,
    overwrite: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Publish HZ frames a second to the stream NAME: 1, 2, 3 ..., for units to be triggered by.

    The loop is native, on an absolute clock: no tick is lost for one that was late. Ends at Ctrl-C.

    Example: framebus clock 100 tick
    """
    from framebus.ops import operators
    from framebus.unit import LoopOptions

    stage = operators.clock(
        name,
        name=label("clock", name, unit),
        history=history,
        dialect=dialect,
        overwrite=overwrite,
        force=force,
    )
    return run(
        stage, LoopOptions(trigger="delay", period_s=1.0 / hz, cpu=cpu), detach=detach, as_json=as_json
    )


@click.command()
@click.argument("name", shell_complete=stream_names)
@click.option("--shape", required=True, metavar="YxX", help="Sizes in NumPy's order, as in 120x160.")
@click.option(
    "--dtype", default="float32", show_default=True, help="A float, or an integer of up to 32 bits."
)
@click.option(
    "--rate",
    type=click.FloatRange(0.0, min_open=True),
    default=100.0,
    show_default=True,
    metavar="HZ",
    help="Frames per second.",
)
@click.option("--mean", type=float, help="Of the values (default: 0; of integers 100).")
@click.option(
    "--sigma", type=click.FloatRange(0.0), help="Their standard deviation (default: 1; of integers 10)."
)
@click.option("--uniform", is_flag=True, help="Evenly spread values instead of normal ones.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    default=0,
    show_default=True,
    help="The same gives the same frames.",
)
@click.option("--once", is_flag=True, help="One frame only, and end.")
@rated_options
def random(
    name: str,
    shape: str,
    dtype: str,
    rate: float,
    mean: float | None,
    sigma: float | None,
    uniform: bool,
    seed: int,
    once: bool,
    unit: str | None,
    cpu: int | None,
    detach: bool,
    history: int | None,
    dialect: str | None,
    overwrite: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Publish frames of noise to the stream NAME; 'mean' and 'sigma' can be changed while it runs. Ends at Ctrl-C.

    Example: framebus random wfs --shape 120x120 --dtype uint16 --rate 500
    """
    from framebus.ops import operators
    from framebus.unit import LoopOptions

    stage = operators.random(
        name,
        shape=parse_shape(shape),
        dtype=dtype,
        mean=mean,
        sigma=sigma,
        uniform=uniform,
        seed=seed,
        name=label("random", name, unit),
        history=history,
        dialect=dialect,
        overwrite=overwrite,
        force=force,
    )
    options = (
        LoopOptions(trigger="once", cpu=cpu)
        if once
        else LoopOptions(trigger="delay", period_s=1.0 / rate, cpu=cpu)
    )
    return run(stage, options, detach=detach, as_json=as_json)
