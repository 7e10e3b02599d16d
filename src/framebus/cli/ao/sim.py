"""``framebus ao sim``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from framebus.cli.complete import stream_names
from framebus.errors import UsageError

_OUTPUTS = ("wfs", "phase", "residual")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--rate",
    "rate_hz",
    type=click.FloatRange(0.01, 100_000.0),
    help="Frames per second of the clock [default: the description's rate_hz].",
)
@click.option("--fast", is_flag=True, help="As fast as possible, whatever the clock says.")
@click.option("--frames", type=click.IntRange(1), help="End after so many frames [default: at Ctrl-C].")
@click.option("--prefix", default="sim_", show_default=True, help="What the names of its streams begin with.")
@click.option(
    "--dm",
    "dm_name",
    metavar="STREAM",
    shell_complete=stream_names,
    help="Stream of the commands [default: PREFIX and dm].",
)
@click.option(
    "--history", type=click.IntRange(0), default=16, show_default=True, help="Past frames that streams keep."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), help="Of all that is random [default: the description's]."
)
@click.option(
    "--turbulence",
    type=click.FloatRange(0.0, 100.0),
    default=1.0,
    show_default=True,
    help="Factor on the turbulence; 0 for calibration. It is a live parameter.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, at the end.")
def sim(
    file: Path,
    rate_hz: float | None,
    fast: bool,
    frames: int | None,
    prefix: str,
    dm_name: str | None,
    history: int,
    seed: int | None,
    turbulence: float,
    as_json: bool,
) -> int:
    """Run the telescope that FILE describes, on streams.

    Mirror commands are taken from the stream PREFIXdm, which is made if it is not there; frames of the sensor go to
    PREFIXwfs, the residual wavefront to PREFIXphase, its rms and the Strehl ratio to PREFIXresidual, and finished
    images of the science camera to PREFIXpsf. It runs until Ctrl-C or SIGTERM.

    Example: framebus ao sim telescope.toml --rate 500 --frames 10000
    """
    import msgspec

    from framebus.cli.run_here import run_here
    from framebus.sim.description import read_description
    from framebus.sim.device import SimulatedTelescope
    from framebus.sim.simulator import Simulator
    from framebus.unit import LoopOptions, Stage

    if fast and rate_hz is not None:
        raise UsageError("--fast and --rate exclude each other; give one of them")
    description = read_description(file)
    if seed is not None:
        description = msgspec.structs.replace(description, seed=seed)
    simulator = Simulator(description)
    device = SimulatedTelescope(simulator)
    device.image_stream = f"{prefix}psf" if description.science.interval else ""
    device.image_history = history
    streams = {"dm": dm_name or f"{prefix}dm", **{name: prefix + name for name in _OUTPUTS}}
    stage = Stage(device, streams, {"turbulence": turbulence}, name=f"{prefix}telescope", history=history)
    period_s = 1.0 / (rate_hz or description.rate_hz)
    options = LoopOptions(trigger="free") if fast else LoopOptions(trigger="delay", period_s=period_s)
    if frames is not None:
        device.frames = frames
        device.when_done = _stopper(stage.label)  # type: ignore[method-assign]
    with _commands(streams["dm"], simulator.dm_shape):
        return run_here(stage, options, as_json=as_json)


def _stopper(label: str) -> Any:
    def stop() -> None:
        from framebus.process import ProcessRecord

        with ProcessRecord.open(label) as record:
            record.stop()

    return stop


def _commands(name: str, shape: tuple[int, ...]) -> Any:
    """The stream of the commands: as it is if there is one, else made, with the mirror flat."""
    import numpy as np

    from framebus import stream
    from framebus.errors import StreamNotFound

    try:
        return stream.open(name)
    except StreamNotFound:
        made = stream.create(name, shape=shape, dtype="float32")
        made.write(np.zeros(shape, np.float32))
        return made
