"""``framebus ao dark``, ``flat`` and ``reference``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from framebus.cli.ao.common import answer, check_output, image_of, partial_of, results, resumable
from framebus.cli.complete import fits_or_stream_names, stream_names
from framebus.cli.progress import measuring
from framebus.errors import DataError

if TYPE_CHECKING:
    from framebus.ao.averages import Average

FRAMES = click.option("--frames", default=200, show_default=True, metavar="N", help="Frames to average.")
ALLOW_MISSED = click.option(
    "--allow-missed", is_flag=True, help="Go on where frames were missed; count them."
)
SATURATION = click.option("--saturation", type=float, metavar="LEVEL", help="Level that counts as saturated.")


def _average(stream: str, what: str, **options: Any) -> Average:
    from framebus.ao.averages import average_frames
    from framebus.stream import open as open_stream

    with open_stream(stream) as opened, measuring(f"{what} of {stream}") as progress:
        n = options.pop("frames")
        return average_frames(opened, n, timeout_s=options.pop("timeout"), progress=progress, **options)


def _cards(average: Average, **more: Any) -> dict[str, Any]:
    from framebus.ao.calibration_files import span_cards

    return {
        "NFRAMES": (average.n, "frames averaged"),
        "NREJECT": (int(average.rejected.sum()), "values left out as outliers"),
        "LEVELRMS": (average.variation, "rms of the frames' means"),
        **more,
        **span_cards([average.span]),
    }


def _facts(stream: str, average: Average) -> dict[str, Any]:
    span = average.span
    return {
        "stream": stream,
        "frames": average.n,
        "counts": [span.first_count, span.last_count],
        "missed": span.missed,
        "outliers": int(average.rejected.sum()),
    }


@click.command()
@click.argument("stream", shell_complete=stream_names)
@FRAMES
@click.option("--hot-sigma", default=8.0, show_default=True, help="Scatters above which a pixel is hot.")
@ALLOW_MISSED
@SATURATION
@resumable
@results
def dark(
    stream: str,
    frames: int,
    hot_sigma: float,
    allow_missed: bool,
    saturation: float | None,
    timeout: float,
    fresh: bool,
    output: Path | None,
    overwrite: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Measure the dark of the camera STREAM: level and noise of every pixel, and which are hot, dead or unstable.

    Close the shutter first. An interrupted run goes on when it is started again with the same --output.

    Example: framebus ao dark wfs --frames 500 --output dark.fits --picture dark.png
    """
    from framebus.ao.calibration_files import save_calibration
    from framebus.ao.calibration_pictures import draw_maps
    from framebus.ao.dark import make_dark

    check_output(output, overwrite)
    average = _average(
        stream, "dark", frames=frames, allow_missed=allow_missed, saturation=saturation,
        partial=partial_of(output, fresh), timeout=timeout,
    )  # fmt: skip
    found = make_dark(average, hot_sigma=hot_sigma)
    counts = {name: int(getattr(found, name).sum()) for name in ("hot", "dead", "unstable")}
    if output is not None:
        arrays = {name: getattr(found, name) for name in ("level", "noise", "hot", "dead", "unstable")}
        cards = _cards(
            average,
            LEVEL=(found.median_level, "median of the good pixels"),
            NOISE=(found.median_noise, "median noise of a frame"),
            HOTSIGMA=(hot_sigma, "scatters above which a pixel is hot"),
            **{f"N{name.upper()[:7]}": (n, f"{name} pixels") for name, n in counts.items()},
        )
        save_calibration(output, "dark", arrays, cards, overwrite=overwrite)
    if picture is not None:
        draw_maps(
            picture, f"dark of {stream}", {"level": found.level, "noise": found.noise, "bad": found.bad}
        )
    facts = {**_facts(stream, average), "level": found.median_level, "noise": found.median_noise, **counts}
    answer(facts, [], [output, picture], as_json=as_json)


@click.command()
@click.argument("stream", shell_complete=stream_names)
@click.option(
    "--dark",
    "dark_source",
    metavar="FILE.fits|STREAM",
    shell_complete=fits_or_stream_names,
    help="The dark, of 'framebus ao dark'.",
)
@FRAMES
@click.option(
    "--smooth", type=float, metavar="PX", help="Divide out the lamp's unevenness, smoothed by so many pixels."
)
@click.option(
    "--max-variation", default=0.05, show_default=True, help="How much the light may vary, rms as a share."
)
@ALLOW_MISSED
@SATURATION
@resumable
@results
def flat(
    stream: str,
    dark_source: str | None,
    frames: int,
    smooth: float | None,
    max_variation: float,
    allow_missed: bool,
    saturation: float | None,
    timeout: float,
    fresh: bool,
    output: Path | None,
    overwrite: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Measure the flat field of the camera STREAM: response of every pixel, its inverse as gain, bad pixels.

    Light the camera evenly first, well above the dark and below saturation.

    Example: framebus ao flat wfs --dark dark.fits --frames 500 --output flat.fits
    """
    from framebus.ao.calibration_files import load_calibration, save_calibration
    from framebus.ao.calibration_pictures import draw_maps
    from framebus.ao.flat import make_flat

    check_output(output, overwrite)
    level = bad = None
    if dark_source is not None:
        level = image_of(dark_source, "level")
        if dark_source.endswith(".fits"):
            arrays = load_calibration(dark_source).arrays
            maps = [arrays[name] > 0 for name in ("hot", "dead", "unstable") if name in arrays]
            bad = np.logical_or.reduce(maps) if maps else None
    average = _average(
        stream, "flat", frames=frames, allow_missed=allow_missed, saturation=saturation,
        partial=partial_of(output, fresh), timeout=timeout,
    )  # fmt: skip
    found = make_flat(average, level, bad=bad, smooth_px=smooth, max_variation=max_variation)
    if output is not None:
        cards = _cards(
            average,
            DARK=(dark_source or "", "dark that was subtracted"),
            SIGNAL=(found.signal, "median light above it"),
            SMOOTH=(smooth or 0.0, "pixels; 0: the light was taken as even"),
            NBAD=(int(found.bad.sum()), "bad pixels"),
        )
        arrays = {name: getattr(found, name) for name in ("gain", "response", "bad", "lit")}
        save_calibration(output, "flat", arrays, cards, overwrite=overwrite)
    if picture is not None:
        draw_maps(picture, f"flat field of {stream}", {"response": found.response, "bad": found.bad})
    scatter = float(found.response[found.lit & ~found.bad].std())
    facts = {
        **_facts(stream, average), "signal": found.signal, "response_rms": scatter,
        "bad": int(found.bad.sum()), "unlit": int((~found.lit).sum()),
    }  # fmt: skip
    answer(facts, [], [output, picture], as_json=as_json)


@click.command()
@click.argument("stream", shell_complete=stream_names)
@FRAMES
@click.option("--light", is_flag=True, help="STREAM is of a camera: refuse unsteady or saturated light.")
@click.option(
    "--max-variation", default=0.05, show_default=True, help="How much that light may vary, rms as a share."
)
@click.option(
    "--to",
    "target",
    metavar="STREAM",
    shell_complete=stream_names,
    help="Write the mean into this stream, too.",
)
@ALLOW_MISSED
@SATURATION
@resumable
@results
def reference(
    stream: str,
    frames: int,
    light: bool,
    max_variation: float,
    target: str | None,
    allow_missed: bool,
    saturation: float | None,
    timeout: float,
    fresh: bool,
    output: Path | None,
    overwrite: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Measure the reference: the mean of STREAM, slopes or a camera's frames, with the mirror at its flat.

    Example: framebus ao reference slopes --frames 1000 --output reference.fits --to reference
    """
    from framebus.ao.averages import check_light
    from framebus.ao.calibration_files import save_calibration
    from framebus.ao.calibration_pictures import draw_maps
    from framebus.stream import open as open_stream

    check_output(output, overwrite)
    average = _average(
        stream, "reference", frames=frames, allow_missed=allow_missed, saturation=saturation,
        partial=partial_of(output, fresh), timeout=timeout,
    )  # fmt: skip
    if light:
        check_light(average, max_variation=max_variation)
    if not average.mean.any() and not average.noise.any():
        raise DataError(
            f"{stream} is all zeros in {average.n} frames; is the sensor lit, and its unit running?"
        )
    noise = float(np.sqrt(np.mean(average.noise**2)))
    if output is not None:
        arrays = {"reference": average.mean.astype(np.float32), "noise": average.noise.astype(np.float32)}
        save_calibration(
            output, "reference", arrays, _cards(average, NOISE=(noise, "rms of a frame")), overwrite=overwrite
        )
    if picture is not None:
        draw_maps(picture, f"reference of {stream}", {"mean": average.mean, "noise": average.noise})
    if target is not None:
        with open_stream(target) as opened:
            opened.write(average.mean.astype(opened.dtype))
    rms = float(np.sqrt(np.mean(average.mean**2)))
    answer({**_facts(stream, average), "rms": rms, "noise": noise}, [], [output, picture], as_json=as_json)
