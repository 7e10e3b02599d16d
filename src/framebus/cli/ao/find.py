"""``framebus ao find``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from framebus.cli.ao.common import answer, check_output, image_of, results
from framebus.cli.complete import fits_or_stream_names
from framebus.cli.progress import measuring
from framebus.errors import DataError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@click.command()
@click.argument("what", type=click.Choice(["subapertures", "pupils"]))
@click.argument("source", shell_complete=fits_or_stream_names)
@click.option(
    "--dark",
    "dark_source",
    metavar="FILE.fits|STREAM",
    shell_complete=fits_or_stream_names,
    help="The dark, of 'framebus ao dark'.",
)
@click.option("--frames", default=50, show_default=True, metavar="N", help="Frames to average, of a stream.")
@click.option("--pitch", type=float, metavar="PX", help="Distance of neighbouring spots (default: found).")
@click.option(
    "--box", type=int, metavar="PX", help="Side of a box (default: the largest that do not overlap)."
)
@click.option("--timeout", default=5.0, show_default=True, metavar="S", help="How long to wait for a frame.")
@results
def find(
    what: str,
    source: str,
    dark_source: str | None,
    frames: int,
    pitch: float | None,
    box: int | None,
    timeout: float,
    output: Path | None,
    overwrite: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Find the sub-apertures of a Shack-Hartmann sensor, or the four pupils of a pyramid, in SOURCE.

    SOURCE is a stream, whose frames are averaged, or a FITS file. What is doubtful is told, and marked in the picture.

    Example: framebus ao find subapertures wfs --dark dark.fits --output boxes.fits --picture boxes.png
    """
    check_output(output, overwrite)
    if what == "pupils" and (pitch is not None or box is not None):
        raise UsageError("--pitch and --box are for sub-apertures; pupils have none")
    frame, cards = _frame(source, frames, timeout)
    level = None if dark_source is None else image_of(dark_source, "level")
    cards["DARK"] = (dark_source or "", "dark that was subtracted")
    places = (output, overwrite, picture)
    if what == "pupils":
        facts, doubts = _pupils(source, frame, level, cards, places)
    else:
        facts, doubts = _subapertures(source, frame, level, cards, places, pitch=pitch, box_size=box)
    answer(facts, doubts, [output, picture], as_json=as_json)


def _frame(source: str, frames: int, timeout: float) -> tuple[NDArray[Any], dict[str, Any]]:
    from framebus.ao.averages import average_frames, check_light
    from framebus.ao.calibration_files import span_cards
    from framebus.stream import open as open_stream

    if source.endswith((".fits", ".fits.fz", ".fits.gz")):
        return image_of(source), {"SOURCE": (source, "file of the frame")}
    with open_stream(source) as stream, measuring(f"frames of {source}") as progress:
        average = average_frames(stream, frames, allow_missed=True, timeout_s=timeout, progress=progress)
    # A camera may see few of its pixels saturated; steadiness does not matter for places.
    check_light(average, max_variation=np.inf, max_saturated=0.01)
    return average.mean, {"NFRAMES": (average.n, "frames averaged"), **span_cards([average.span])}


def _subapertures(
    source: str, frame: Any, dark: Any, cards: dict[str, Any], places: tuple[Any, ...], **options: Any
) -> tuple[dict[str, Any], list[str]]:
    from framebus.ao.calibration_pictures import draw_subapertures
    from framebus.ao.geometry_files import save_boxes
    from framebus.ao.lattice import find_lattice
    from framebus.ao.subapertures import find_subapertures

    output, overwrite, picture = places
    found = find_subapertures(frame, dark, **options)
    doubts: list[str] = []
    facts: dict[str, Any] = {
        "source": source,
        "subapertures": len(found),
        "pitch_px": found.pitch,
        "box_px": int(found.boxes[:, 2:].max()),
        "background": found.background,
        "noise": found.noise,
    }
    try:
        grid = find_lattice(found.centres)
    except (UsageError, DataError) as error:
        doubts.append(str(error))
    else:
        facts |= {"grid": grid.kind, "rotation_deg": grid.rotation_deg, "off_grid_rms_px": grid.rms}
        cards |= {
            "GRID": (grid.kind, "of the sub-apertures"),
            "ROTATION": (grid.rotation_deg, "of the grid, degrees"),
        }
        doubts += [f"sub-aperture {doubt.index}: {doubt.reason}" for doubt in grid.doubtful]
        doubts += [f"one is missing at y {y:.1f}, x {x:.1f}" for y, x in grid.missing]
    if output is not None:
        save_boxes(output, found, frame.shape, cards, doubts=doubts, overwrite=overwrite)
    if picture is not None:
        draw_subapertures(picture, frame, found, f"{len(found)} sub-apertures of {source}")
    named = [f"sub-aperture {doubt.index}: {doubt.reason}" for doubt in found.doubtful]
    return facts, named + doubts


def _pupils(
    source: str, frame: Any, dark: Any, cards: dict[str, Any], places: tuple[Any, ...]
) -> tuple[dict[str, Any], list[str]]:
    from framebus.ao.calibration_pictures import draw_pupils
    from framebus.ao.geometry_files import save_pupils
    from framebus.ao.pupils import NAMES, find_pupils

    output, overwrite, picture = places
    found = find_pupils(frame, dark)
    # First the picture: it shows why pupils that share pixels, which no unit takes, are not written.
    if picture is not None:
        draw_pupils(picture, frame, found, f"pupils of {source}")
    if output is not None:
        save_pupils(output, found, frame.shape, cards, overwrite=overwrite)
    centres = {
        name.replace(" ", "_"): [round(float(y), 2), round(float(x), 2)]
        for name, (y, x) in zip(NAMES, found.centres, strict=True)
    }
    facts = {
        "source": source, "radius_px": found.radius, "inner_px": found.inner,
        "pixels_per_pupil": int(found.mask[0].sum()), **centres,
    }  # fmt: skip
    return facts, list(found.doubtful)
