"""Work for the benchmark `kernels`: the units of the sensing half of AO, with the answers that they must give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from system import BOX, System

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]
Row = tuple[str, Any, Arrays, tuple[str, npt.NDArray[Any]], dict[str, Any], int]
"""Label, unit, its inputs, name and content of the array that is checked, parameters, bytes of state per frame."""


def rows(ao: Any, size: int) -> list[Row]:
    """Every unit with about ``size`` bytes of data."""
    rng = np.random.default_rng(6)
    return [*_pixels(ao, rng, size), *_slopes(ao, size), _pyramid(ao, rng, size), *_statistics(ao, rng, size)]


def _pixels(ao: Any, rng: np.random.Generator, size: int) -> list[Row]:
    side = BOX * max(2, round(math.sqrt(size / 12) / BOX))
    frame = rng.uniform(0, 1000, (side, side)).astype(np.float32)
    mask = (rng.uniform(size=frame.shape) > 0.3).astype(np.float32)
    order = np.arange(frame.size, dtype=np.int32).reshape(-1, 8)[:, ::-1].reshape(frame.shape).copy()
    lone = np.zeros(frame.shape, bool)
    lone[2::BOX, 3::BOX] = True
    filled = frame.copy()
    filled[lone] = [
        frame.ravel()[[i for i in row if i >= 0]].mean() for row in ao.neighbour_table(lone)[:, 1:].tolist()
    ]
    what = f"{side}x{side} float32"
    light = frame * mask
    return [
        (
            f"remap {what}",
            ao.remap,
            {"frame": frame, "table": order},
            ("pixels", frame.ravel()[order]),
            {},
            0,
        ),
        (
            f"replace_bad_pixels {what}, {lone.sum()} bad",
            ao.replace_bad_pixels,
            {"frame": frame, "table": ao.neighbour_table(lone)},
            ("pixels", filled),
            {},
            0,
        ),
        (
            f"normalise {what}",
            ao.normalise,
            {"frame": frame, "mask": mask},
            ("pixels", 1e6 * light / light.sum(dtype=np.float64)),
            {"level": 1e6},
            0,
        ),
        (
            f"bin_pixels {what} by 2",
            ao.bin_pixels,
            {"frame": frame, "binned": np.zeros((side // 2, side // 2), np.float32)},
            ("binned", frame.reshape(side // 2, 2, side // 2, 2).sum((1, 3))),
            {},
            0,
        ),
    ]


def _slopes(ao: Any, size: int) -> list[Row]:
    """Spots in the middle of their boxes, so that every way to find them gives minus the reference."""
    across = max(2, round(math.sqrt(size / 4) / BOX))
    boxes = System(across).arrays["boxes"]
    axis = np.arange(BOX) - (BOX - 1) / 2
    one = 800 * np.exp(-0.5 * (axis[:, None] ** 2 + axis**2) / 1.2**2)
    pixels = np.tile(one, (across, across)).astype(np.float32)
    reference = np.random.default_rng(7).uniform(-0.1, 0.1, 2 * len(boxes)).astype(np.float32)
    shared = {"pixels": pixels, "boxes": boxes}
    pattern = ao.gaussian_weights(boxes[:1], 3.0)
    more: list[tuple[Any, Arrays]] = [
        (ao.weighted_centroids, {"weights": pattern}),
        (ao.windowed_centroids, {}),
        (ao.brightest_centroids, {}),
        (ao.correlation_centroids, {"template": np.ascontiguousarray(pattern[:, 2:-2, 2:-2])}),
        (ao.fourier_centroids, {"template": pattern}),
    ]
    what = f"{across}x{across} of 8x8 float32"
    found: list[Row] = [
        (
            f"{unit.name} {what}",
            unit,
            {**shared, **extra, "reference": reference},
            ("slopes", -reference),
            {},
            0,
        )
        for unit, extra in more
    ]
    flux = np.full(len(boxes), one.sum())
    return [*found, (f"box_flux {what}", ao.box_flux, shared, ("flux", flux), {}, 0)]


def _pyramid(ao: Any, rng: np.random.Generator, size: int) -> Row:
    side = 2 * max(2, round(math.sqrt(size / 10) / 2))
    frame = rng.uniform(100, 1000, (side, side)).astype(np.float32)
    indices = np.arange(frame.size, dtype=np.int32).reshape(2, side // 2, 2, side // 2)
    pupils = np.ascontiguousarray(indices.transpose(0, 2, 1, 3).reshape(4, -1))
    a, b, c, d = frame.ravel()[pupils].astype(np.float64)
    mean = (a + b + c + d).mean()
    arrays = {"frame": frame, "pupils": pupils, "reference": np.zeros(2 * pupils.shape[1], np.float32)}
    slopes = np.concatenate([b + d - a - c, c + d - a - b]) / mean
    return (f"pyramid_slopes {side}x{side} float32", ao.pyramid_slopes, arrays, ("slopes", slopes), {}, 0)


def _statistics(ao: Any, rng: np.random.Generator, size: int) -> list[Row]:
    n = max(16, size // 36)
    values = rng.normal(5, 1, n).astype(np.float32)
    few = max(4, size // (16 * 2 * 2 * 33))
    side = max(16, round(math.sqrt(size / 4)))
    y, x = np.indices((side, side)) - side // 2
    star = (1000 * np.exp(-(y**2 + x**2) / 18.0)).astype(np.float32)
    measured = ao.measure_image(star)
    quality = np.array(
        [
            getattr(measured, name)
            for name in ("x", "y", "peak", "flux", "fwhm", "encircled", "half_radius", "strehl")
        ]
    )
    return [
        (
            f"exponential_statistics {n}",
            ao.exponential_statistics,
            {"values": values},
            ("mean", values),
            {},
            24 * n,
        ),
        (
            f"block_statistics {n}",
            ao.block_statistics,
            {"values": values},
            ("mean", values),
            {"frames": 1},
            24 * n,
        ),
        (
            f"frame_rms {n}",
            ao.frame_rms,
            {"values": values},
            ("rms", np.sqrt([np.square(values).mean()])),
            {},
            0,
        ),
        (
            f"spectrum {few}, segments of 64",
            ao.spectrum,
            {"values": values[:few].copy(), "window": ao.hann(64).astype(np.float32)},
            ("totals", np.stack([values[:few], np.zeros(few)])),
            {},
            2 * 2 * 33 * few * 8,
        ),
        (
            f"image_quality {side}x{side} float32",
            ao.image_quality,
            {"image": star},
            ("quality", quality),
            {},
            0,
        ),
    ]
