"""Pictures of calibrations: what an operator looks at before trusting them. matplotlib is loaded here only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.spectrum import power_spectrum
from framebus.ao.telemetry import as_series
from framebus.ao.zernike import zernike_modes
from framebus.errors import UsageError

if TYPE_CHECKING:
    from framebus.ao.aberration import Aberration
    from framebus.ao.inversion import Inverse
    from framebus.ao.measured_rejection import MeasuredRejection
    from framebus.ao.modal_basis import ModalBasis
    from framebus.ao.modal_gains import ModalGains

Path: TypeAlias = "str | PathLike[str]"
BLUE, RED, GREY = "#1f4e79", "#c44e52", "0.55"
SHOWN = 12
"""Modes in a picture."""


def draw_inverse(inverse: Inverse, path: Path, places: ArrayLike | None = None) -> None:
    """A control matrix: singular values and filter factors, noise of the modes, the first and last modes.

    Args:
        inverse: what to draw.
        path: the picture, in a format that its ending tells.
        places: (n_actuators, 2), where the actuators are (x, y); in a row if ``None``.

    Raises:
        UsageError: another number of places.
        OSError: the file cannot be written.
    """
    with _figure(path, f"{inverse.method}: {inverse.reason}", (11, 7)) as figure:
        top, bottom = figure.subfigures(2, 1, height_ratios=[1.2, 1.0])
        left, right = top.subplots(1, 2)
        count = np.arange(1, len(inverse.singular_values) + 1)
        left.semilogy(count, np.maximum(inverse.singular_values, 1e-300), ".-", color=BLUE, lw=0.8, ms=3)
        left.axvline(inverse.n_kept + 0.5, color=RED, lw=0.8)
        left.set(xlabel="mode", ylabel="singular value")
        seen = inverse.singular_values[inverse.singular_values > 1e-6 * inverse.singular_values[0]]
        left.set_ylim(seen[-1] / 2, 2 * seen[0])
        left.set_title(f"condition number {inverse.condition_number:.3g}", loc="left")
        factors = left.twinx()
        factors.plot(count, inverse.filter_factors, color=GREY, lw=0.8)
        factors.set(ylabel="share of least squares (grey)", ylim=(-0.02, 1.05))
        right.semilogy(
            np.arange(1, len(inverse.noise_propagation) + 1),
            inverse.noise_propagation,
            ".-",
            color=BLUE,
            lw=0.8,
            ms=3,
        )
        right.set(xlabel="mode", ylabel="noise variance of the mode")
        right.set_title(f"noise of all actuators {inverse.total_noise:.3g}", loc="left")
        n = inverse.modes_to_actuators.shape[1]
        chosen = np.unique(np.linspace(0, min(n, max(inverse.n_kept, 1)) - 1, min(n, 8)).astype(int))
        _draw_modes(bottom, inverse.modes_to_actuators[:, chosen], [f"mode {k + 1}" for k in chosen], places)


def draw_basis(basis: ModalBasis, path: Path, places: ArrayLike | None = None) -> None:
    """The first modes of a basis, and their variances in turbulence where there are some.

    Args:
        basis: what to draw.
        path: the picture.
        places: (n_actuators, 2), where the actuators are (x, y); in a row if ``None``.

    Raises:
        UsageError: another number of places.
        OSError: the file cannot be written.
    """
    with _figure(
        path, f"{basis.n_modes} modes ({basis.kind}) of {basis.n_actuators} actuators", (11, 6)
    ) as figure:
        first = min(SHOWN, basis.n_modes)
        place = figure
        if basis.variances is not None:
            above, place = figure.subfigures(2, 1, height_ratios=[1.0, 1.4])
            axes = above.subplots()
            axes.loglog(
                np.arange(1, basis.n_modes + 1), np.maximum(basis.variances, 1e-300), ".-", color=BLUE, lw=0.8
            )
            axes.set(xlabel="mode", ylabel="variance [rad²]")
        _draw_modes(place, basis.modes[:, :first], [f"mode {k + 1}" for k in range(first)], places)


def draw_gains(gains: ModalGains, path: Path) -> None:
    """Gains of the modes, and what they leave.

    Raises:
        OSError: the file cannot be written.
    """
    with _figure(path, f"gains up to {gains.limit:.3f}", (9, 6)) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True)
        count = np.arange(1, len(gains.gains) + 1)
        top.plot(count, gains.gains, ".-", color=BLUE, lw=0.8)
        top.axhline(gains.limit, color=RED, lw=0.8)
        top.set(ylabel="gain (red: limit)", ylim=(0, 1.1 * gains.limit))
        for values, colour, label in (
            (gains.open_loop_variance, RED, "turbulence"),
            (gains.noise_variance, GREY, "noise of a measurement"),
            (gains.residual_variance, BLUE, "left, predicted"),
        ):
            shown = np.where(values > 0, values, np.nan)
            bottom.semilogy(count, shown, ".-", color=colour, lw=0.8, label=label)
        bottom.set(xlabel="mode", ylabel="variance")
        bottom.legend(frameon=False)


def draw_rejection(rejection: MeasuredRejection, path: Path, channel: int = 0) -> None:
    """Rejection of one channel with its interval, and the prediction.

    Raises:
        UsageError: no such channel.
        OSError: the file cannot be written.
    """
    n = rejection.rejection_db.shape[1]
    if not 0 <= channel < n:
        raise UsageError(f"channel {channel}; the recording has 0 to {n - 1}")
    with _figure(path, f"rejection of channel {channel}", (9, 5)) as figure:
        axes = figure.subplots()
        frequency = rejection.frequency_hz
        interval = rejection.low_db[:, channel], rejection.high_db[:, channel]
        axes.fill_between(
            frequency, *interval, color=BLUE, alpha=0.2, lw=0, label=f"{rejection.confidence:.0%} interval"
        )
        axes.semilogx(frequency, rejection.rejection_db[:, channel], color=BLUE, lw=1, label="measured")
        if rejection.predicted_db is not None:
            axes.semilogx(
                frequency, rejection.predicted_db[:, channel], "--", color=RED, lw=1, label="predicted"
            )
        curve = rejection.rejection_db[:, channel]
        axes.set_ylim(curve.min() - 6, curve.max() + 6)
        axes.axhline(0, color=GREY, lw=0.6)
        axes.set(xlabel="frequency [Hz]", ylabel="residual / open loop [dB]")
        axes.legend(frameon=False)


def draw_spectrum(series: ArrayLike, rate_hz: float, path: Path) -> None:
    """Spectrum of telemetry, all channels and their mean.

    Raises:
        UsageError: another shape, too few frames, or a rate out of range.
        DataError: a value is not finite.
        OSError: the file cannot be written.
    """
    found = power_spectrum(as_series("series", series), rate_hz)
    frequency, density = found.frequency_hz[1:], found.density[1:]
    with _figure(path, f"{density.shape[1]} channels at {rate_hz:g} Hz", (9, 5)) as figure:
        axes = figure.subplots()
        axes.loglog(frequency, density[:, :: max(density.shape[1] // 50, 1)], color=GREY, lw=0.3, alpha=0.5)
        axes.loglog(frequency, density.mean(axis=1), color=BLUE, lw=1.2)
        axes.set(xlabel="frequency [Hz]", ylabel="power spectral density [rad² / Hz]")


def draw_aberration(aberration: Aberration, path: Path) -> None:
    """Zernike coefficients, the wavefront that they make, and what the slopes have beside it.

    Raises:
        OSError: the file cannot be written.
    """
    fit = aberration.fit
    title = (
        f"{len(aberration.used)} lenslets, wavefront {1e9 * fit.rms_m:.0f} nm rms without tip and tilt; slopes "
        f"{fit.slopes_rms:.3f} px rms, {fit.residual_rms:.3f} px left"
    )
    with _figure(path, title, (13, 4.6)) as figure:
        bars, front, rest = figure.subplots(1, 3, width_ratios=[1.3, 1, 1])
        bars.bar(
            fit.modes, 1e9 * fit.coefficients_m, yerr=1e9 * fit.sigma_m, color=BLUE, ecolor=RED, capsize=2
        )
        bars.axhline(0, color=GREY, lw=0.6)
        bars.set(xlabel="Noll's index", ylabel="coefficient [nm rms]")
        axis = np.linspace(-1, 1, 201)
        x, y = np.meshgrid(axis, axis)
        shape = (
            1e9 * np.tensordot(fit.coefficients_m[2:], zernike_modes(x, y, fit.modes[2:]), 1)
            if len(fit.modes) > 2
            else 0 * x
        )
        shape = np.where(x**2 + y**2 <= 1, shape, np.nan)
        radius = 1e3 * aberration.radius_m
        extent = (-radius, radius, radius, -radius)  # y grows downwards, as in the frame
        drawn = front.imshow(shape, cmap="RdBu_r", extent=extent)
        front.set(title="wavefront without tip and tilt", xlabel="x [mm]", ylabel="y [mm]")
        figure.colorbar(drawn, ax=front, label="nm", shrink=0.8)
        y_mm, x_mm = 1e3 * aberration.centres_m.T
        left_x, left_y = np.split(fit.residual_slopes, 2)
        arrows = rest.quiver(
            x_mm, y_mm, left_x, left_y, np.hypot(left_x, left_y), cmap="viridis", angles="xy"
        )
        rest.set(
            title="slopes not explained", xlabel="x [mm]", aspect="equal", xlim=extent[:2], ylim=extent[2:]
        )
        figure.colorbar(arrows, ax=rest, label="px", shrink=0.8)


@contextmanager
def _figure(path: Path, title: str, size: tuple[float, float]) -> Iterator[Any]:
    """A figure with a title, written at the end of the ``with`` block."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9, "axes.spines.top": False}):
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(title, fontsize=10)
        endings = figure.canvas.get_supported_filetypes()
        if PurePath(path).suffix.lstrip(".").lower() not in endings:
            raise UsageError(f"{PurePath(path)}: no format for a picture; end the name in .png, .pdf or .svg")
        yield figure
        figure.savefig(path, dpi=120)


def _draw_modes(place: Any, modes: NDArray[Any], titles: list[str], places: ArrayLike | None) -> None:
    columns = min(len(titles), 6)
    grid = place.subplots(-(-len(titles) // columns), columns, squeeze=False).ravel()
    spots = None if places is None else np.asarray(places, dtype=np.float64)
    if spots is not None and spots.shape != (len(modes), 2):
        raise UsageError(f"the places' shape is {spots.shape}; expected {(len(modes), 2)}")
    for axes, mode, title in zip(grid, modes.T, titles, strict=False):
        high = float(np.abs(mode).max()) or 1.0
        if spots is None:
            axes.plot(mode, color=BLUE, lw=0.7)
        else:
            axes.scatter(
                *spots.T, c=mode, cmap="RdBu_r", vmin=-high, vmax=high, s=min(2500 / len(modes), 60), lw=0
            )
            axes.set_aspect("equal")
        axes.set_title(title, fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in grid[len(titles) :]:
        axes.remove()
