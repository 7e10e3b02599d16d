"""Control matrices: inverses of an interaction matrix by truncation, Tikhonov, prior knowledge, or in given modes.

An interaction matrix D is (n_actuators, n_measurements), measurement = command @ D; a control matrix is
(n_actuators, n_measurements) too, command = matrix @ measurement. With A = Dᵀ, measurement = A command + noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.calibration import ControlMatrix, control_matrix
from framebus.ao.fits_files import HeaderValue, read_fits, write_fits
from framebus.errors import DataError, UsageError

FloatArray = NDArray[np.float64]
Noise: TypeAlias = "float | ArrayLike"
"""Of a measurement: one variance for all, one each (n_measurements,), or their covariance."""


@dataclass(frozen=True)
class Inverse(ControlMatrix):
    """A control matrix, and what it will do to noise.

    Beside what a ``ControlMatrix`` has. Of a Tikhonov or MMSE inverse, which leave no mode out, ``n_kept`` counts those
    that are more than half as strong as in least squares, and ``condition_number`` is theirs; the columns of
    ``modes_to_actuators`` are orthonormal for truncation and Tikhonov only.

    Attributes:
        method: ``"tsvd"``, ``"tikhonov"``, ``"mmse"`` or ``"modal"``.
        reason: why so many modes are kept, in words.
        filter_factors: float64, one per singular value: 1 where the inverse is that of least squares, 0 where a mode is
            left out.
        noise_propagation: float64 (columns of modes_to_actuators,): variance of each mode's coefficient.
        actuator_noise: float64 (n_actuators,): variance of each actuator's command by the noise of the measurement.
        dead_actuators: intp: those whose response is all zeros; the inverse cannot steer them.
        options: what the inverse was made with.
    """

    method: str
    reason: str
    filter_factors: FloatArray
    noise_propagation: FloatArray
    actuator_noise: FloatArray
    dead_actuators: NDArray[np.intp]
    options: Mapping[str, HeaderValue]

    @property
    def total_noise(self) -> float:
        """Sum of the actuators' variances by the noise of the measurement, the trace of matrix Cn matrixᵀ."""
        return float(self.actuator_noise.sum())


def truncated_inverse(
    interaction_matrix: ArrayLike,
    *,
    condition: float = 100.0,
    n_modes: int | None = None,
    noise: Noise = 1.0,
) -> Inverse:
    """Least squares by singular values, the weakest modes left out: ``control_matrix``, with its noise.

    Args:
        interaction_matrix: (n_actuators, n_measurements).
        condition: modes whose singular value is below the largest one over this are left out.
        n_modes: at most so many modes, the strongest.
        noise: of a measurement, for the predicted noise.

    Raises:
        UsageError: an argument has another shape or value.
        DataError: a value is not finite, or all are zero.
    """
    response = _response(interaction_matrix)
    found = control_matrix(response, condition=condition, n_modes=n_modes)
    by_condition = int((found.singular_values >= found.singular_values[0] / condition).sum())
    if found.n_kept < by_condition:
        reason = (
            f"{found.n_kept} of {by_condition} modes within a condition number of {condition:g}, as asked for"
        )
    else:
        reason = (
            f"{by_condition} of {len(found.singular_values)} modes within a condition number of {condition:g}"
        )
    factors = np.zeros(len(found.singular_values))
    factors[: found.n_kept] = 1.0
    return _inverse(
        response,
        (np.asarray(found.modes_to_actuators, np.float64), np.asarray(found.slopes_to_modes, np.float64)),
        (found.singular_values, factors),
        ("tsvd", reason, {"condition": condition, "n_modes": n_modes or 0}),
        noise,
    )


def tikhonov_inverse(
    interaction_matrix: ArrayLike, regularisation: float = 0.1, *, noise: Noise = 1.0
) -> Inverse:
    """Least squares with a price on the command: (AᵀA + λ² I)⁻¹ Aᵀ, λ = ``regularisation`` × largest singular value.

    Source: A. N. Tikhonov, Soviet Math. Doklady 4 (1963) 1035; P. C. Hansen, "Rank-Deficient and Discrete Ill-Posed
    Problems" (1998), chapter 4.

    Args:
        interaction_matrix: (n_actuators, n_measurements).
        regularisation: 0 is least squares, for an interaction matrix of full rank only.
        noise: of a measurement, for the predicted noise.

    Raises:
        UsageError: an argument has another shape or value.
        DataError: a value is not finite, all are zero, or least squares has no single answer.
    """
    response = _response(interaction_matrix)
    if not (regularisation >= 0.0 and math.isfinite(regularisation)):
        raise UsageError(
            f"regularisation is {regularisation}; expected 0 or more, relative to the largest mode"
        )
    actuators, values, measurements = np.linalg.svd(response, full_matrices=False)
    rank = _rank(values, response.shape)
    if regularisation == 0.0 and rank < len(response):
        raise DataError(
            f"the interaction matrix is singular, of rank {rank} with {len(response)} actuators; least squares "
            f"has no single answer. Regularise, or truncate"
        )
    price = (regularisation * values[0]) ** 2
    factors = np.divide(values**2, values**2 + price, out=np.zeros_like(values), where=values**2 + price > 0)
    gains = np.divide(values, values**2 + price, out=np.zeros_like(values), where=values**2 + price > 0)
    kept = int((factors > 0.5).sum())
    reason = f"{kept} of {len(values)} modes more than half strong at a regularisation of {regularisation:g}"
    return _inverse(
        response,
        (actuators, gains[:, None] * measurements),
        (values, factors),
        ("tikhonov", reason, {"regularisation": regularisation}),
        noise,
    )


def mmse_inverse(interaction_matrix: ArrayLike, prior: ArrayLike, noise: Noise) -> Inverse:
    """The least mean square error for commands of a known covariance: (Aᵀ Cn⁻¹ A + C⁻¹)⁻¹ Aᵀ Cn⁻¹.

    Made of C = L Lᵀ and the singular values s of Cn^(-½) A L, so that a prior that forbids something (piston) is no
    trouble; its modes are independent, each seen with a signal-to-noise ratio of s. Without noise, or with a wide
    prior, it is least squares. Source: E. P. Wallner, "Optimal wave-front correction using slope measurements", J.
    Opt. Soc. Am. 73 (1983) 1771.

    Args:
        interaction_matrix: (n_actuators, n_measurements).
        prior: covariance of the commands that flatten the turbulence, (n_actuators, n_actuators), or their variances
            (n_actuators,). From a modal basis: ``modes * variances @ modes.T``.
        noise: of a measurement, in its units.

    Raises:
        UsageError: an argument has another shape or value.
        DataError: a value is not finite, a covariance is not positive, or the sensor sees nothing that the prior
            allows.
    """
    response = _response(interaction_matrix)
    root = _root("prior", np.asarray(prior, dtype=np.float64), len(response))
    whiten = _whitener(noise, response.shape[1])
    measured = _apply(whiten, response.T) @ root
    left, values, right = np.linalg.svd(measured, full_matrices=False)
    if not values[0] > 0:
        raise DataError("the sensor sees nothing of the commands that the prior allows; look at both")
    factors = values**2 / (1.0 + values**2)
    to_modes = _apply(whiten, ((values / (1.0 + values**2)) * left)).T
    kept = int((values > 1.0).sum())
    reason = f"{kept} of {len(values)} modes have more turbulence than noise; the others are weighted down"
    return _inverse(
        response, (root @ right.T, to_modes), (values, factors), ("mmse", reason, {}), noise, kept=kept
    )


def modal_inverse(
    interaction_matrix: ArrayLike,
    modes: ArrayLike,
    gains: ArrayLike = 1.0,
    *,
    condition: float = 1000.0,
    noise: Noise = 1.0,
) -> Inverse:
    """Least squares in given modes, each with its gain: V diag(g) (A V)⁺.

    Args:
        interaction_matrix: (n_actuators, n_measurements).
        modes: V, (n_actuators, n_modes), columns are commands.
        gains: one for all modes or one each.
        condition: how far the singular values of the modes' response may lie apart.
        noise: of a measurement, for the predicted noise.

    Raises:
        UsageError: an argument has another shape or value.
        DataError: a value is not finite, or the sensor cannot tell the modes apart.
    """
    response = _response(interaction_matrix)
    shapes = np.asarray(modes, dtype=np.float64)
    if shapes.ndim != 2 or len(shapes) != len(response) or shapes.size == 0:
        raise UsageError(f"the modes' shape is {shapes.shape}; expected ({len(response)}, n_modes)")
    if not np.isfinite(shapes).all():
        raise DataError(f"{int((~np.isfinite(shapes)).sum())} values of the modes are not finite")
    each = np.asarray(gains, dtype=np.float64)
    if each.shape not in ((), (shapes.shape[1],)) or not np.isfinite(each).all():
        raise UsageError(
            f"the gains' shape is {each.shape}; expected one number, or {shapes.shape[1]}, finite"
        )
    if not condition >= 1.0:
        raise UsageError(f"condition is {condition}; expected 1 or more")
    left, values, right = np.linalg.svd(response.T @ shapes, full_matrices=False)
    apart = math.inf if len(values) < shapes.shape[1] or values[-1] == 0 else values[0] / values[-1]
    if apart > condition:
        seen = int((values > values[0] / condition).sum())
        weakest = int(np.argmax(np.abs(right[-1])))
        raise DataError(
            f"the sensor tells {seen} of {shapes.shape[1]} modes apart within a condition number of {condition:g} "
            f"(mode {weakest} has most of what it sees least). Take fewer modes, or raise condition"
        )
    to_modes = np.broadcast_to(each, shapes.shape[1:])[:, None] * ((right.T / values) @ left.T)
    reason = f"all {shapes.shape[1]} given modes, with a condition number of {apart:.3g}"
    return _inverse(
        response,
        (shapes, to_modes),
        (values, np.ones(len(values))),
        ("modal", reason, {"condition": condition}),
        noise,
    )


def save_inverse(inverse: Inverse, path: str | PathLike[str], source: str = "") -> None:
    """Write a control matrix as FITS: the matrix first, its factors and figures behind it.

    Args:
        inverse: what to write.
        path: the file, replaced if it is there.
        source: where the interaction matrix came from, for the header.

    Raises:
        UsageError: the name does not end in ``.fits``.
        OSError: the file cannot be written.
    """
    header: dict[str, tuple[HeaderValue, str]] = {
        "FBTYPE": ("CONTROL", "what this file is"),
        "METHOD": (inverse.method, "how the interaction matrix was inverted"),
        "NKEPT": (inverse.n_kept, "modes kept"),
        "CONDNUM": (inverse.condition_number, "condition number of what is kept"),
        "NOISE": (inverse.total_noise, "sum of the actuators' noise variances"),
        "NDEAD": (len(inverse.dead_actuators), "actuators without response"),
        "REASON": (inverse.reason, ""),
    }
    if source:
        header["SOURCE"] = (source, "interaction matrix")
    header |= {
        f"PARAM{k}": (f"{name}={value!r}", "") for k, (name, value) in enumerate(inverse.options.items())
    }
    extensions: dict[str, ArrayLike] = {
        "SINGULAR": inverse.singular_values,
        "FILTER": inverse.filter_factors,
        "S2M": inverse.slopes_to_modes,
        "M2A": inverse.modes_to_actuators,
        "MODENOISE": inverse.noise_propagation,
        "ACTNOISE": inverse.actuator_noise,
    }
    write_fits(path, inverse.matrix, header, extensions)


def load_control_matrix(path: str | PathLike[str]) -> NDArray[np.float32]:
    """The matrix of a file that ``save_inverse`` wrote, or any 2-D image: float32 (n_actuators, n_measurements).

    Raises:
        NotFoundError: no such file.
        DataError: it cannot be read or is not 2-D.
    """
    matrix = next(iter(read_fits(path)[1].values()))
    if matrix.ndim != 2:
        raise DataError(f"{path}: its shape is {matrix.shape}; expected (n_actuators, n_measurements)")
    return np.ascontiguousarray(matrix, dtype=np.float32)


def _inverse(
    response: FloatArray,
    factors: tuple[FloatArray, FloatArray],
    strengths: tuple[FloatArray, FloatArray],
    told: tuple[str, str, Mapping[str, HeaderValue]],
    noise: Noise,
    kept: int | None = None,
) -> Inverse:
    to_actuators, to_modes = factors
    values, filters = strengths
    method, reason, options = told
    mode_covariance = _propagated(to_modes, noise)
    n_kept = max(int((filters > 0.5).sum()) if kept is None else kept, 0)
    weakest = values[max(n_kept, 1) - 1]
    dead = np.flatnonzero(~response.any(axis=1))
    if len(dead):
        reason += f"; {len(dead)} actuators have no response"
    return Inverse(
        matrix=(to_actuators @ to_modes).astype(np.float32),
        singular_values=values,
        n_kept=n_kept,
        condition_number=float(values[0] / weakest),
        slopes_to_modes=np.ascontiguousarray(to_modes, dtype=np.float32),
        modes_to_actuators=np.ascontiguousarray(to_actuators, dtype=np.float32),
        method=method,
        reason=reason,
        filter_factors=filters,
        noise_propagation=mode_covariance.diagonal().copy(),
        actuator_noise=np.einsum("ij,jk,ik->i", to_actuators, mode_covariance, to_actuators, optimize=True),
        dead_actuators=dead,
        options=options,
    )


def _response(interaction_matrix: ArrayLike) -> FloatArray:
    response = np.asarray(interaction_matrix, dtype=np.float64)
    if response.ndim != 2 or response.size == 0:
        raise UsageError(
            f"the interaction matrix's shape is {response.shape}; expected (n_actuators, n_measurements)"
        )
    bad = int((~np.isfinite(response)).any(axis=1).sum())
    if bad:
        raise DataError(
            f"the interaction matrix has values that are not finite, in the rows of {bad} actuators"
        )
    if not response.any():
        raise DataError("the interaction matrix is all zeros: no actuator moved the measurement")
    largest = float(np.abs(response).max())
    if not 1e-30 < largest < 1e30:
        raise DataError(
            f"the interaction matrix reaches {largest:.3g}, too far for float32; choose another unit"
        )
    return response


def _rank(values: FloatArray, shape: tuple[int, ...]) -> int:
    return int((values > values[0] * max(shape) * np.finfo(np.float64).eps).sum())


def _propagated(to_modes: FloatArray, noise: Noise) -> FloatArray:
    """Covariance of the modes by the noise of the measurement."""
    variance = _noise(noise, to_modes.shape[1])
    if variance.ndim == 2:
        return np.asarray(to_modes @ variance @ to_modes.T)
    return np.asarray((to_modes * variance) @ to_modes.T)


def _noise(noise: Noise, n_measurements: int) -> FloatArray:
    variance = np.asarray(noise, dtype=np.float64)
    if variance.shape not in ((), (n_measurements,), (n_measurements, n_measurements)):
        raise UsageError(
            f"the noise's shape is {variance.shape}; expected one variance, {n_measurements} of them, or their "
            f"covariance"
        )
    diagonal = variance.diagonal() if variance.ndim == 2 else variance
    if not (np.isfinite(variance).all() and (diagonal > 0).all()):
        raise DataError("the noise has a variance that is not positive and finite")
    return variance


def _whitener(noise: Noise, n_measurements: int) -> FloatArray:
    """What makes the noise white and of variance 1: a number, one each, or a matrix."""
    variance = _noise(noise, n_measurements)
    if variance.ndim < 2:
        return np.asarray(variance**-0.5)
    values, vectors = np.linalg.eigh(variance)
    if not np.allclose(variance, variance.T, rtol=1e-8) or values[0] <= 1e-14 * values[-1]:
        raise DataError("the noise covariance is not symmetric and positive definite")
    return np.asarray((vectors * values**-0.5) @ vectors.T)


def _apply(whiten: FloatArray, matrix: FloatArray) -> FloatArray:
    return np.asarray(whiten @ matrix if whiten.ndim == 2 else whiten[..., None] * matrix)


def _root(name: str, covariance: FloatArray, n: int) -> FloatArray:
    """L with L Lᵀ the covariance; what has no variance gets no column."""
    if covariance.shape not in ((n,), (n, n)):
        raise UsageError(
            f"the {name}'s shape is {covariance.shape}; expected {(n, n)} or {(n,)}, actuators each"
        )
    if not np.isfinite(covariance).all():
        raise DataError(f"the {name} has values that are not finite")
    full = np.diag(covariance) if covariance.ndim == 1 else covariance
    values, vectors = np.linalg.eigh(full)
    least = 1e-10 * np.abs(values).max()
    if not np.allclose(full, full.T, rtol=1e-6, atol=least) or values[0] < -least or not values[-1] > 0:
        raise DataError(
            f"the {name} is not symmetric and positive: its eigenvalues are {values[0]:.3g} to {values[-1]:.3g}"
        )
    allowed = values > least
    return np.asarray(vectors[:, allowed] * np.sqrt(values[allowed]))
