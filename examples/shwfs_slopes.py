"""Slopes of a Shack-Hartmann sensor from real frames, and a picture of them.

    python examples/shwfs_slopes.py reference.fits aberrated.fits --dark dark.fits --output slopes.png

Finds the spots in the frame of a flat wavefront, measures those of the other frame against them, and draws both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from framebus.ao import Subapertures, find_subapertures, measure_centroids


def measure(
    reference: NDArray[np.float64], aberrated: NDArray[np.float64]
) -> tuple[Subapertures, NDArray[np.float32]]:
    """Sub-apertures of the reference frame, and the slopes (x, then y, in pixels) of the other against it."""
    spots = find_subapertures(reference)
    threshold = spots.background + 5 * spots.noise
    zero = measure_centroids(reference, spots.boxes, threshold=threshold)
    return spots, measure_centroids(aberrated, spots.boxes, zero, threshold=threshold)


def draw(
    reference: NDArray[np.float64],
    aberrated: NDArray[np.float64],
    spots: Subapertures,
    slopes: NDArray[np.float32],
) -> Figure:
    """Both frames with boxes; on the right one arrow per spot."""
    count = len(spots)
    slope_x, slope_y = slopes[:count], slopes[count:]
    length = np.hypot(slope_x, slope_y)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(15, 6), layout="constrained", sharex=True, sharey=True
    )
    show(left, reference, spots)
    left.set_title(f"reference: {count} sub-apertures, pitch {spots.pitch:.1f} px")
    show(right, aberrated, spots, brightness=0.6)  # the arrows are to stand out
    longest = float(length.max()) or 1.0
    # The longest arrow is as long as nine tenths of the distance between spots.
    per_pixel = 0.9 * spots.pitch / longest
    arrows = right.quiver(
        spots.centres[:, 1],
        spots.centres[:, 0],
        slope_x * per_pixel,
        slope_y * per_pixel,
        length,
        cmap="Wistia",
        clim=(0.0, longest),
        angles="xy",
        scale_units="xy",
        scale=1.0,
        width=0.0042,
    )
    rms = float(np.sqrt(np.mean(slopes**2)))
    right.set_title(f"aberrated: slopes {rms:.2f} px rms, up to {longest:.2f} px (arrows x {per_pixel:.0f})")
    figure.colorbar(arrows, ax=right, label="length of the slope [px]", pad=0.01, shrink=0.8)
    return figure


def show(axes: Axes, frame: NDArray[np.float64], spots: Subapertures, brightness: float = 1.0) -> None:
    """One frame, its faint light stretched, and the boxes; doubtful ones in red."""
    light = np.sqrt(np.clip(frame - spots.background, 0, None))
    axes.imshow(light, cmap="gray", vmax=float(np.percentile(light, 99.8)) / brightness)
    doubtful = {doubt.index for doubt in spots.doubtful}
    boxes = [Rectangle((x - 0.5, y - 0.5), width, height) for y, x, height, width in spots.boxes.tolist()]
    colours = ["tab:red" if k in doubtful else "tab:blue" for k in range(len(spots))]
    axes.add_collection(PatchCollection(boxes, facecolor="none", edgecolor=colours, linewidth=0.8))
    low, high = spots.centres.min(axis=0) - spots.pitch, spots.centres.max(axis=0) + spots.pitch
    axes.set_xlim(max(low[1], -0.5), min(high[1], frame.shape[1] - 0.5))
    axes.set_ylim(min(high[0], frame.shape[0] - 0.5), max(low[0], -0.5))
    axes.set_xlabel("x [px]")
    axes.set_ylabel("y [px]")


def main(arguments: list[str] | None = None) -> None:
    """Read the frames, measure, print a summary and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", type=Path, help="FITS frame of a flat wavefront")
    parser.add_argument("aberrated", type=Path, help="FITS frame to measure")
    parser.add_argument("--dark", type=Path, help="FITS frame without light")
    parser.add_argument(
        "--output", type=Path, default=Path("slopes.png"), help="picture to write (%(default)s)"
    )
    chosen = parser.parse_args(arguments)
    reference, aberrated = (
        fits.getdata(path).astype(np.float64) for path in (chosen.reference, chosen.aberrated)
    )
    if chosen.dark is not None:
        dark = fits.getdata(chosen.dark).astype(np.float64)
        reference, aberrated = reference - dark, aberrated - dark
    spots, slopes = measure(reference, aberrated)
    print(f"{len(spots)} sub-apertures, pitch {spots.pitch:.2f} px, {len(spots.doubtful)} doubtful")
    for doubt in spots.doubtful:
        print(f"  sub-aperture {doubt.index}: {doubt.reason}")
    for name, part in zip("xy", np.split(slopes, 2), strict=True):
        print(f"{name} slopes: mean {part.mean():+.3f} px, standard deviation {part.std():.3f} px")
    figure = draw(reference, aberrated, spots, slopes)
    figure.savefig(chosen.output, dpi=110)
    plt.close(figure)
    print(f"wrote {chosen.output}")


if __name__ == "__main__":
    main()
