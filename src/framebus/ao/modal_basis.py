"""Modal bases of a deformable mirror: as commands, one column per mode, without piston.

From the actuators' places (Karhunen-Loève, Zernike, Fourier, zonal; by the package aobasis), or from the surfaces
that the actuators make.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.fits_files import HeaderValue, read_fits, write_fits
from framebus.ao.turbulence_statistics import check_length, von_karman_covariance
from framebus.errors import DataError, UsageError

FloatArray = NDArray[np.float64]
PlacedKind: TypeAlias = Literal["kl", "zernike", "fourier", "zonal"]


@dataclass(frozen=True)
class ModalBasis:
    """Modes of a mirror.

    Attributes:
        kind: what they are, such as ``"kl"`` or ``"influence"``.
        modes: float64 (n_actuators, n_modes): command = modes @ coefficients.
        variances: float64 (n_modes,): variance of each coefficient in the turbulence that the modes are made for,
            rad² if the surfaces are in units of wavefront phase; ``None`` where no turbulence was given.
        parameters: what else it takes to make them again: lengths in metres, thresholds.
    """

    kind: str
    modes: FloatArray
    variances: FloatArray | None = None
    parameters: Mapping[str, HeaderValue] = field(default_factory=dict)

    @property
    def n_modes(self) -> int:
        """How many modes there are."""
        return int(self.modes.shape[1])

    @property
    def n_actuators(self) -> int:
        """How many actuators the mirror has."""
        return int(self.modes.shape[0])

    def coefficients(self, commands: ArrayLike) -> FloatArray:
        """Least-squares coefficients of commands (..., n_actuators): float64 (..., n_modes).

        Raises:
            UsageError: the commands have another number of actuators.
        """
        values = np.asarray(commands, dtype=np.float64)
        if values.ndim == 0 or values.shape[-1] != self.n_actuators:
            raise UsageError(f"commands have shape {values.shape}; expected (..., {self.n_actuators})")
        return np.asarray(values @ np.linalg.pinv(self.modes).T)


def placed_basis(
    kind: PlacedKind,
    positions_m: ArrayLike,
    n_modes: int | None = None,
    *,
    r0_m: float = 0.15,
    outer_scale_m: float = 25.0,
) -> ModalBasis:
    """Modes from the places of the actuators, by aobasis; orthonormal, without piston.

    ``"kl"``: eigenvectors of the von Kármán covariance of the phase at the actuators, without its piston; the others
    are made orthonormal in their order (Gram-Schmidt).

    Args:
        kind: ``"kl"``, ``"zernike"`` (Noll's order), ``"fourier"`` (by spatial frequency) or ``"zonal"`` (one actuator
            each; these keep their piston).
        positions_m: (n_actuators, 2): x, y of the actuators, metres in the pupil.
        n_modes: how many, as many as there are actuators but one if ``None`` (all of them, if zonal).
        r0_m: of the turbulence for ``"kl"``, metres at the wavelength of interest.
        outer_scale_m: L0 for ``"kl"``, metres; infinity for Kolmogorov turbulence.

    Raises:
        UsageError: an unknown kind, positions of another shape or not finite, or too many modes.
        ModuleNotFoundError: aobasis is not installed; it is part of ``framebus[ao]``.
    """
    import aobasis

    positions = np.asarray(positions_m, dtype=np.float64)
    if kind not in get_args(PlacedKind):
        raise UsageError(f"kind is {kind!r}; expected one of {', '.join(get_args(PlacedKind))}")
    if positions.ndim != 2 or positions.shape[1] != 2 or not np.isfinite(positions).all():
        raise UsageError(
            f"the positions' shape is {positions.shape}; expected finite numbers (n_actuators, 2)"
        )
    positions = positions - 0.5 * (positions.max(axis=0) + positions.min(axis=0))
    most = len(positions) - (kind != "zonal")
    wanted = most if n_modes is None else n_modes
    if not 1 <= wanted <= most:
        raise UsageError(f"n_modes is {n_modes}; {len(positions)} actuators have 1 to {most} {kind} modes")
    radius = float(np.hypot(*positions.T).max())
    makers: dict[str, Any] = {
        "kl": lambda: aobasis.KLBasisGenerator(positions, fried_parameter=r0_m, outer_scale=outer_scale_m),
        "zernike": lambda: aobasis.ZernikeBasisGenerator(positions, pupil_radius=radius * (1 + 1e-9)),
        "fourier": lambda: aobasis.FourierBasisGenerator(positions, pupil_diameter=2 * radius),
        "zonal": lambda: aobasis.ZonalBasisGenerator(positions),
    }
    shaped = {} if kind == "zonal" else {"ignore_piston": True, "orthonormalize": True}
    try:
        # It warns of raw modes that are nearly dependent; they are made orthonormal, and that is checked here.
        with warnings.catch_warnings(action="ignore"):
            maker = makers[kind]()
            modes = np.asarray(maker.generate(wanted, **shaped), dtype=np.float64)
    except ValueError as error:
        raise UsageError(f"{wanted} {kind} modes cannot be made for these positions: {error}") from error
    if not np.allclose(modes.T @ modes, np.eye(wanted), atol=1e-6):
        raise DataError(
            f"{wanted} {kind} modes are not independent on {len(positions)} actuators; take fewer"
        )
    if kind != "kl":
        return ModalBasis(kind, modes)
    parameters = {"r0_m": r0_m, "outer_scale_m": _finite(outer_scale_m)}
    return ModalBasis(kind, modes, np.asarray(maker.eigenvalues, dtype=np.float64), parameters)


def influence_basis(
    influence: ArrayLike,
    pupil: ArrayLike | None = None,
    n_modes: int | None = None,
    *,
    pixel_m: float | None = None,
    r0_m: float = 0.15,
    outer_scale_m: float = 25.0,
    rcond: float = 1e-3,
) -> ModalBasis:
    """Modes from the surfaces that the actuators make: orthonormal over the pupil, without piston.

    Of the commands that leave the pupil's mean alone, the eigenvectors of the geometric covariance, those below
    ``rcond`` left out, give orthonormal surfaces with an rms of 1, in order of how strongly the mirror makes them. With
    ``pixel_m`` they are turned into the mirror's Karhunen-Loève modes: the covariance of von Kármán turbulence,
    projected on them, is diagonalised too. Source: E. Gendron, "Modal control optimization in an adaptive optics
    system", ESO conference on Active and Adaptive Optics 48 (1994) 187.

    Args:
        influence: (n_actuators, height, width).
        pupil: bool (height, width), what counts; where any actuator moves more than a hundredth of the largest
            movement, if ``None``.
        n_modes: how many, all that ``rcond`` leaves if ``None``.
        pixel_m: size of a pixel in the pupil, metres, for Karhunen-Loève modes. Their matrix has (pupil pixels)²
            elements.
        r0_m: of the turbulence, metres at the wavelength of interest.
        outer_scale_m: L0, metres, finite.
        rcond: least eigenvalue of the geometric covariance, relative to the largest.

    Raises:
        UsageError: an argument of another shape or value, or more modes than there are.
        DataError: an influence function is not finite, or no actuator moves the pupil.
    """
    surfaces = np.asarray(influence, dtype=np.float64)
    if surfaces.ndim != 3 or surfaces.size == 0:
        raise UsageError(f"the influence's shape is {surfaces.shape}; expected (n_actuators, height, width)")
    if not np.isfinite(surfaces).all():
        raise DataError(
            f"{int((~np.isfinite(surfaces)).sum())} values of the influence functions are not finite"
        )
    if not 0.0 < rcond < 1.0:
        raise UsageError(f"rcond is {rcond}; expected a share between 0 and 1")
    inside = _pupil(surfaces, pupil)
    points = surfaces[:, inside].T
    flat = _without_piston(points.mean(axis=0))
    raw = float(np.square(points).mean())
    points = points @ flat
    strengths, vectors = np.linalg.eigh(points.T @ points / len(points))
    if not strengths[-1] > 1e-12 * raw:
        raise DataError(
            "no actuator makes a surface in the pupil that is not flat; look at pupil and influence"
        )
    kept = int((strengths > rcond * strengths[-1]).sum())
    wanted = kept if n_modes is None else n_modes
    if not 1 <= wanted <= kept:
        raise UsageError(
            f"n_modes is {n_modes}; the mirror has {kept} modes above rcond = {rcond:g}; take 1 to {kept}"
        )
    whitened = vectors[:, ::-1][:, :kept] / np.sqrt(strengths[::-1][:kept])
    modes = flat @ whitened
    parameters: dict[str, HeaderValue] = {"rcond": rcond, "pupil_pixels": len(points)}
    if pixel_m is None:
        return ModalBasis("influence", modes[:, :wanted], None, parameters)
    check_length("pixel_m", pixel_m)
    covariance = von_karman_covariance(np.argwhere(inside) * pixel_m, r0_m, outer_scale_m)
    # Its columns have no piston, so that of the turbulence drops out.
    projector = points @ whitened / len(points)
    variances, turned = np.linalg.eigh(projector.T @ covariance @ projector)
    modes = modes @ turned[:, ::-1]
    parameters |= {"r0_m": r0_m, "outer_scale_m": outer_scale_m, "pixel_m": pixel_m}
    return ModalBasis("influence-kl", modes[:, :wanted], variances[::-1][:wanted].copy(), parameters)


def save_basis(basis: ModalBasis, path: str | PathLike[str]) -> None:
    """Write a basis as FITS: modes (n_actuators, n_modes) first, variances as VARIANCE, the rest in the header.

    Raises:
        UsageError: the name does not end in ``.fits``.
        OSError: the file cannot be written.
    """
    header: dict[str, tuple[HeaderValue, str]] = {
        "FBTYPE": ("MODES", "what this file is"),
        "KIND": (basis.kind, "modal basis"),
        "NMODES": (basis.n_modes, "columns"),
        "NACT": (basis.n_actuators, "rows"),
    }
    header |= {
        f"PARAM{k}": (f"{name}={value!r}", "parameter")
        for k, (name, value) in enumerate(basis.parameters.items())
    }
    extensions = {} if basis.variances is None else {"VARIANCE": basis.variances}
    write_fits(path, basis.modes, header, extensions)


def load_basis(path: str | PathLike[str]) -> ModalBasis:
    """Read a basis that ``save_basis`` wrote; any other 2-D image (n_actuators, n_modes) is one of kind ``"given"``.

    Raises:
        NotFoundError: no such file.
        DataError: it cannot be read, is not 2-D, or its variances don't fit.
    """
    header, images = read_fits(path)
    modes = next(iter(images.values())).astype(np.float64)
    if modes.ndim != 2:
        raise DataError(f"{path}: its shape is {modes.shape}; expected (n_actuators, n_modes)")
    variances = images.get("VARIANCE")
    if variances is not None and variances.shape != modes.shape[1:]:
        raise DataError(f"{path}: VARIANCE has shape {variances.shape}; expected {modes.shape[1:]}")
    parameters: dict[str, HeaderValue] = {}
    for key, text in header.items():
        if key.startswith("PARAM") and "=" in str(text):
            name, _, value = str(text).partition("=")
            parameters[name] = _number(value)
    return ModalBasis(
        kind=str(header.get("KIND", "given")),
        modes=modes,
        variances=None if variances is None else variances.astype(np.float64),
        parameters=parameters,
    )


def _pupil(surfaces: FloatArray, pupil: ArrayLike | None) -> NDArray[np.bool_]:
    if pupil is None:
        reach = np.abs(surfaces).max(axis=0)
        return np.asarray(reach > 0.01 * reach.max())
    inside = np.asarray(pupil).astype(bool)
    if inside.shape != surfaces.shape[1:]:
        raise UsageError(
            f"the pupil's shape is {inside.shape}; expected {surfaces.shape[1:]}, that of a surface"
        )
    if not inside.any():
        raise UsageError("the pupil leaves no pixel; it must be true somewhere")
    return inside


def _without_piston(pistons: FloatArray) -> FloatArray:
    """Orthonormal columns: the commands whose surfaces have no mean, given each actuator's mean."""
    if not pistons.any():
        return np.eye(len(pistons))
    return np.linalg.qr(pistons[:, None], mode="complete")[0][:, 1:]


def _finite(value: float) -> HeaderValue:
    return value if math.isfinite(value) else "inf"


def _number(text: str) -> HeaderValue:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text.strip("'")
