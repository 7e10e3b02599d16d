"""``framebus ao delay`` and ``response``: what moves the mirror, and leaves it at its flat however it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from framebus.cli.ao.common import answer, check_output, image_of, partial_of, results, resumable
from framebus.cli.complete import fits_or_stream_names, stream_names
from framebus.cli.progress import measuring

FLAT = click.option(
    "--flat",
    "flat_source",
    metavar="FILE.fits|STREAM",
    shell_complete=fits_or_stream_names,
    help="The mirror's flat (default: what DM holds now).",
)
AMPLITUDE = click.option(
    "--amplitude", type=float, required=True, metavar="A", help="Of the motion, in the mirror's units."
)


@click.command()
@click.argument("dm", shell_complete=stream_names)
@click.argument("slopes", shell_complete=stream_names)
@AMPLITUDE
@click.option("--frames", default=500, show_default=True, metavar="N", help="Length of the sequence.")
@click.option(
    "--signal",
    type=click.Choice(["telegraph", "chirp"]),
    default="telegraph",
    show_default=True,
    help="What is sent to the mirror.",
)
@click.option(
    "--max-delay", default=10, show_default=True, metavar="N", help="Longest delay looked for, frames."
)
@FLAT
@click.option("--timeout", default=5.0, show_default=True, metavar="S", help="How long to wait for a frame.")
@results
def delay(
    dm: str,
    slopes: str,
    amplitude: float,
    frames: int,
    signal: Literal["telegraph", "chirp"],
    max_delay: int,
    flat_source: str | None,
    timeout: float,
    output: Path | None,
    overwrite: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Measure how many frames it takes from a command to the mirror DM to the measurement in SLOPES that shows it.

    A random sequence, a value per frame, goes to the mirror and is found again in the measurement. 1 means that the
    very next frame shows all of a command. Open the loop first.

    Example: framebus ao delay dm slopes --amplitude 0.05
    """
    from framebus.ao.calibration_files import save_calibration, span_cards
    from framebus.ao.calibration_pictures import draw_curve
    from framebus.ao.measured_delay import measure_delay
    from framebus.stream import open as open_stream

    check_output(output, overwrite)
    rest = None if flat_source is None else image_of(flat_source, "rest")
    with open_stream(dm) as poke, open_stream(slopes) as measure, measuring(f"delay of {slopes}") as progress:
        found = measure_delay(
            poke, measure, amplitude, signal=signal, n_frames=frames, max_delay=max_delay, rest=rest,
            timeout_s=timeout, progress=progress,
        )  # fmt: skip
    if output is not None:
        cards: dict[str, Any] = {
            "DELAY": (found.frames, "frames from command to measurement"),
            "DELAYERR": (found.error_frames, "its standard error"),
            "DELAY_S": (found.seconds, "seconds"),
            "PERIOD_S": (found.period_s, "seconds from frame to frame"),
            "SIGNAL": (signal, "that was sent"),
            "AMPLITUD": (amplitude, "of it, in the mirror's units"),
            "NFRAMES": (frames, "its length"),
            "NUSED": (found.n_used, "frames that were trusted"),
            "DM": (dm, "stream of the commands"),
            **span_cards([found.span]),
        }
        save_calibration(output, "delay", {"impulse": found.impulse}, cards, overwrite=overwrite)
    if picture is not None:
        lags = np.arange(1, found.impulse.size + 1)
        draw_curve(
            picture,
            lags,
            found.impulse,
            ("frames after the command", "share"),
            f"delay {found.frames:.2f} frames",
        )
    facts = {
        "delay_frames": found.frames, "error_frames": found.error_frames, "delay_s": found.seconds,
        "correlation": found.correlation, "frames_used": found.n_used, "missed": found.span.missed,
    }  # fmt: skip
    answer(facts, [], [output, picture], as_json=as_json)


@click.command()
@click.argument("dm", shell_complete=stream_names)
@click.argument("slopes", shell_complete=stream_names)
@AMPLITUDE
@click.option(
    "--method",
    type=click.Choice(["zonal", "hadamard", "modal", "modulated"]),
    default="zonal",
    show_default=True,
    help="One actuator at a time, all at once, one mode at a time, or several modes at their own frequencies.",
)
@click.option(
    "--modes", "modes_file", metavar="FILE.fits", help="Basis for modal and modulated: (modes, ...)."
)
@click.option("--active", "active_file", metavar="FILE.fits", help="Mask of the actuators to poke.")
@click.option("--averages", default=4, show_default=True, metavar="N", help="Measurements averaged per poke.")
@click.option(
    "--settle", default=2, show_default=True, metavar="N", help="Measurements passed over after a command."
)
@click.option(
    "--at-once", default=10, show_default=True, metavar="N", help="Modes that are modulated together."
)
@click.option("--frames", default=256, show_default=True, metavar="N", help="Frames of each modulation.")
@click.option(
    "--delay", "delay_frames", type=float, metavar="N", help="Delay, for modulation (default: found)."
)
@FLAT
@resumable
@results
def response(dm: str, slopes: str, method: str, as_json: bool, **options: Any) -> None:
    """Measure the response of SLOPES to every actuator, or mode, of the mirror DM: the interaction matrix.

    Open the loop first. Pokes that were disturbed are repeated. An interrupted run goes on when it is started again
    with the same --output; the mirror is left at its flat in any case.

    Example: framebus ao response dm slopes --amplitude 0.05 --method hadamard --output response.fits
    """
    from framebus.ao.calibration_pictures import draw_response
    from framebus.stream import open as open_stream

    output, picture = options["output"], options["picture"]
    check_output(output, options["overwrite"])
    with open_stream(dm) as poke, open_stream(slopes) as measure, measuring(f"{method} response") as progress:
        shape = poke.shape
        found = (_modulated if method == "modulated" else _pushed)(poke, measure, method, progress, options)
    weak = np.flatnonzero(found.matrix.any(axis=1) & (found.signal_to_noise < 3.0))
    doubts = [f"row {k}: signal to noise {found.signal_to_noise[k]:.2g}" for k in weak]
    if output is not None:
        _save(output, found, method, dm, shape, doubts, overwrite=options["overwrite"])
    if picture is not None:
        draw_response(picture, found.matrix, found.signal_to_noise, f"{method} response of {slopes} to {dm}")
    used = found.signal_to_noise[found.matrix.any(axis=1)]
    facts = {
        "rows": len(found.matrix),
        "measurements": found.matrix.shape[1],
        "signal_to_noise_median": float(np.median(used)),
        "signal_to_noise_least": float(used.min()),
        "noise": float(np.sqrt(np.mean(found.noise**2))),
        "frames": found.span.n_read,
        "missed": found.span.missed,
    }
    more = {"delay_frames": found.delay_frames} if method == "modulated" else {"repeated": found.repeated}
    answer(facts | more, doubts, [output, picture], as_json=as_json)


def _shared(options: dict[str, Any]) -> dict[str, Any]:
    source = options["flat_source"]
    return {
        "rest": None if source is None else image_of(source, "rest"),
        "partial": partial_of(options["output"], options["fresh"]),
        "timeout_s": options["timeout"],
    }


def _modes(options: dict[str, Any]) -> Any:
    return None if options["modes_file"] is None else image_of(options["modes_file"], "modes")


def _pushed(poke: Any, measure: Any, method: Any, progress: Any, options: dict[str, Any]) -> Any:
    from framebus.ao.response import measure_response

    active = options["active_file"]
    return measure_response(
        poke,
        measure,
        options["amplitude"],
        method=method,
        modes=_modes(options),
        active=None if active is None else image_of(active),
        averages=options["averages"],
        settle_frames=options["settle"],
        progress=progress,
        **_shared(options),
    )


def _modulated(poke: Any, measure: Any, method: str, progress: Any, options: dict[str, Any]) -> Any:
    from framebus.ao.modulation import measure_modulated

    del method
    modes = _modes(options)
    return measure_modulated(
        poke,
        measure,
        np.eye(int(np.prod(poke.shape))) if modes is None else modes,
        options["amplitude"],
        at_once=options["at_once"],
        n_frames=options["frames"],
        delay_frames=options["delay_frames"],
        progress=progress,
        **_shared(options),
    )


def _save(
    output: Path,
    found: Any,
    method: str,
    dm: str,
    shape: tuple[int, ...],
    doubts: list[str],
    *,
    overwrite: bool,
) -> None:
    from framebus.ao.calibration_files import save_calibration, span_cards

    finite = np.where(np.isfinite(found.signal_to_noise), found.signal_to_noise, np.float64(0.0))
    arrays = {"matrix": found.matrix, "snr": finite, "noise": found.noise, "rest": found.rest.reshape(shape)}
    if found.modes is not None:
        arrays["modes"] = found.modes
    cards: dict[str, Any] = {
        "METHOD": (method, "how it was measured"),
        "AMPLITUD": (found.amplitude, "of the motion, in the mirror's units"),
        "DM": (dm, "stream of the commands"),
    }
    for card, name, comment in (
        ("AVERAGES", "averages", "measurements per poke"),
        ("SETTLE", "settle_frames", "passed over after each command"),
        ("REPEATED", "repeated", "pokes done again"),
        ("NFRAMES", "n_frames", "frames of a modulation"),
        ("DELAY", "delay_frames", "frames from command to measurement"),
    ):
        if hasattr(found, name):
            cards[card] = (getattr(found, name), comment)
    cards |= span_cards([found.span])
    save_calibration(output, "response", arrays, cards, doubts=doubts, overwrite=overwrite)
