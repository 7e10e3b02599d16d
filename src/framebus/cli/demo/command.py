"""The command line of the demonstration."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import click

from framebus.cli.demo.wiring import Placement


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Directory of a measured instrument: respM.fits and, where they exist, wfsref, wfsdark, DMmaskCTRL, "
    "WFSmask, influence.",
)
@click.option(
    "--placement",
    type=click.Choice(["processes", "threads", "fused"]),
    default="processes",
    show_default=True,
    help="Every unit in its own process, in its own thread, or all of the loop in one thread.",
)
@click.option(
    "--rate",
    "rate_hz",
    type=click.FloatRange(1.0, 100_000.0),
    help="Frames per second of the camera [default: 1000, less for large instruments].",
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(1.0, 3600.0),
    default=12.0,
    show_default=True,
    help="Seconds of closed loop.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the result to this file ('-': standard output).",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("demo.png"),
    show_default=True,
    help="Where to write the picture.",
)
@click.option("--keep", is_flag=True, help="Leave the loop closed and running; 'framebus down demo' ends it.")
def demo(
    data: Path | None,
    placement: Placement,
    rate_hz: float | None,
    duration_s: float,
    json_path: Path | None,
    picture: Path,
    keep: bool,
) -> None:
    """Close an adaptive-optics loop in front of your eyes.

    Simulator, slopes, reconstructor and controller run as separate processes; the interaction matrix is measured
    through their streams and inverted; then comes open loop, and then the loop is closed. Ends with 0 only if it
    really closed and every frame is accounted for.

    Example: framebus demo --placement fused --duration 5
    """
    from framebus.cli.demo.display import make_view, summary
    from framebus.cli.demo.picture import draw
    from framebus.cli.demo.rig import measured_instrument, simulated_telescope
    from framebus.cli.demo.run import Demonstration

    rig = simulated_telescope(rate_hz) if data is None else measured_instrument(data, rate_hz)
    quiet = json_path is not None and str(json_path) == "-"
    with make_view(rig, placement, to_stderr=quiet) as view:
        demonstration = Demonstration(rig, placement, duration_s, view, keep=keep)
        result = demonstration.run()
    draw(demonstration, picture)
    summary(result, picture, to_stderr=quiet, kept=rig.plan.name if keep else "")
    if json_path is not None:
        text = json.dumps(_plain(result), indent=1, allow_nan=False)
        if quiet:
            click.echo(text)
        else:
            json_path.write_text(text + "\n")
    if result.problems():
        sys.exit(1)


def _plain(value: Any) -> Any:
    """The result as JSON has it: no NaN, the derived figures written out."""
    plain = _without_nan(dataclasses.asdict(value))
    plain |= {"ratio": value.ratio, "missed": value.missed, "unexplained": value.unexplained}
    plain["problems"] = value.problems()
    for name, account in value.accounts.items():
        plain["accounts"][name]["unexplained"] = account.unexplained
    return plain


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
