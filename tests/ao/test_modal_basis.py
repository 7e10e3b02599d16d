from __future__ import annotations

from pathlib import Path
from typing import Any

import aobasis
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from framebus.ao.modal_basis import ModalBasis, influence_basis, load_basis, placed_basis, save_basis
from framebus.ao.turbulence_statistics import von_karman_covariance, zernike_covariance
from framebus.errors import DataError, NotFoundError, UsageError

Array = NDArray[Any]


def actuators(n: int = 11, diameter: float = 2.0) -> Array:
    axis = np.linspace(-diameter / 2, diameter / 2, n)
    x, y = (each.ravel() for each in np.meshgrid(axis, axis))
    inside = np.hypot(x, y) <= diameter / 2 + 1e-9
    return np.column_stack([x[inside], y[inside]])


def bumps(n: int = 6, size: int = 24) -> Array:
    """Gaussian surfaces of n × n actuators."""
    axis = np.arange(size)
    places = np.linspace(2, size - 3, n)
    profile = np.exp(-(((axis - places[:, None]) / 4.0) ** 2))
    return np.asarray(np.einsum("ay,bx->abyx", profile, profile).reshape(n * n, size, size))


@pytest.mark.parametrize("kind", ["kl", "zernike", "fourier"])
def test_modes_are_orthonormal_and_have_no_piston(kind: Any) -> None:
    basis = placed_basis(kind, actuators(), 40)
    np.testing.assert_allclose(basis.modes.T @ basis.modes, np.eye(40), atol=1e-10)
    np.testing.assert_allclose(basis.modes.sum(axis=0), 0, atol=1e-9)
    assert (basis.kind, basis.n_modes, basis.n_actuators) == (kind, 40, len(actuators()))


def test_zonal_modes_are_the_actuators() -> None:
    np.testing.assert_array_equal(placed_basis("zonal", actuators(4)).modes, np.eye(len(actuators(4))))


def test_kl_modes_diagonalise_the_turbulence_and_their_variances_fall() -> None:
    places = actuators()
    basis = placed_basis("kl", places, 60, r0_m=0.1, outer_scale_m=20.0)
    covariance = von_karman_covariance(places, 0.1, 20.0)
    found = basis.modes.T @ covariance @ basis.modes
    assert basis.variances is not None
    assert (np.diff(basis.variances) <= 1e-9 * basis.variances[0]).all()
    np.testing.assert_allclose(found, np.diag(basis.variances), atol=2e-3 * basis.variances[0])


def test_the_first_kl_modes_hold_as_much_as_the_first_zernikes() -> None:
    # A mode's variance over the pupil is its eigenvalue over the number of actuators. KL modes leave a little less than
    # as many Zernikes, tip and tilt alone carrying 87 per cent (Noll: 1 - 0.134 / 1.03).
    places = actuators(21)
    basis = placed_basis("kl", places, 20, r0_m=2.0, outer_scale_m=200.0)
    assert basis.variances is not None
    zernikes = zernike_covariance(20, 100.0).diagonal()
    np.testing.assert_allclose(basis.variances[:2].sum() / len(places), zernikes[:2].sum(), rtol=0.1)
    kept = basis.variances.sum() / len(places)
    assert kept == pytest.approx(zernikes.sum(), rel=0.1)


def test_influence_modes_are_orthonormal_surfaces_without_piston() -> None:
    surfaces = bumps()
    basis = influence_basis(surfaces)
    made = np.tensordot(basis.modes.T, surfaces, 1).reshape(basis.n_modes, -1)
    np.testing.assert_allclose(made @ made.T / 576, np.eye(basis.n_modes), atol=1e-8)
    np.testing.assert_allclose(made.mean(axis=1), 0, atol=1e-10)
    assert basis.variances is None
    assert basis.kind == "influence"


def test_influence_kl_modes_have_the_variances_of_an_independent_code() -> None:
    surfaces, pixel_m = bumps(), 0.05
    basis = influence_basis(
        surfaces, np.ones((24, 24)), 20, pixel_m=pixel_m, r0_m=0.2, outer_scale_m=25.0, rcond=1e-6
    )
    points = np.argwhere(np.ones((24, 24))) * pixel_m
    places = np.argwhere(np.ones((6, 6))).astype(float)
    flat = surfaces.reshape(36, -1).T
    reference = aobasis.DMKLBasisGenerator(
        places, points, flat, fried_parameter=0.2, outer_scale=25.0, rcond=1e-6
    )
    reference.generate(20, ignore_piston=True)
    assert basis.variances is not None
    np.testing.assert_allclose(
        basis.variances, np.asarray(reference.eigenvalues), rtol=1e-3
    )  # its constant is rounded
    made = np.tensordot(basis.modes.T, surfaces, 1).reshape(20, -1)
    np.testing.assert_allclose(made @ made.T / 576, np.eye(20), atol=1e-8)


def test_coefficients_undo_commands() -> None:
    basis = influence_basis(bumps())
    wanted = np.random.default_rng(1).normal(size=(3, basis.n_modes))
    np.testing.assert_allclose(basis.coefficients(wanted @ basis.modes.T), wanted, atol=1e-8)
    with pytest.raises(UsageError, match=r"expected \(\.\.\., 36\)"):
        basis.coefficients(np.zeros(5))


def test_a_basis_is_saved_and_read_back(tmp_path: Path) -> None:
    for basis in (
        placed_basis("kl", actuators(5), 7, r0_m=0.1, outer_scale_m=np.inf),
        influence_basis(bumps(), None, 5),
    ):
        save_basis(basis, tmp_path / "b.fits")
        found = load_basis(tmp_path / "b.fits")
        np.testing.assert_array_equal(found.modes, basis.modes)
        assert (found.kind, dict(found.parameters)) == (basis.kind, dict(basis.parameters))
        assert (found.variances is None) == (basis.variances is None)
    fits.PrimaryHDU(np.eye(3)).writeto(tmp_path / "other.fits")
    assert load_basis(tmp_path / "other.fits").kind == "given"


def test_files_that_are_no_basis_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        load_basis(tmp_path / "b.fits")
    fits.PrimaryHDU(np.zeros(3)).writeto(tmp_path / "b.fits")
    with pytest.raises(DataError, match=r"expected \(n_actuators, n_modes\)"):
        load_basis(tmp_path / "b.fits")
    save_basis(ModalBasis("x", np.eye(3), np.zeros(2)), tmp_path / "c.fits")
    with pytest.raises(DataError, match=r"VARIANCE has shape \(2,\)"):
        load_basis(tmp_path / "c.fits")
    (tmp_path / "d.fits").write_bytes(b"no FITS")
    with pytest.raises(DataError, match="cannot be read as FITS"):
        load_basis(tmp_path / "d.fits")
    with pytest.raises(UsageError, match=r"ends in \.fits"):
        save_basis(ModalBasis("x", np.eye(3)), tmp_path / "e.npy")
    fits.PrimaryHDU(np.full((3, 2), np.nan)).writeto(tmp_path / "f.fits")
    with pytest.raises(DataError, match="6 of the 6 values of PRIMARY are not finite"):
        load_basis(tmp_path / "f.fits")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: placed_basis("bessel", actuators()), UsageError, "'bessel'; expected one of kl, zernike"),  # type: ignore[arg-type]
        (lambda: placed_basis("kl", np.zeros((4, 3))), UsageError, r"shape is \(4, 3\)"),
        (lambda: placed_basis("kl", actuators(3), 99), UsageError, "have 1 to 4 kl modes"),
        (lambda: placed_basis("kl", actuators(3), r0_m=-1.0), UsageError, "cannot be made"),
        (lambda: influence_basis(np.zeros((3, 4))), UsageError, r"shape is \(3, 4\)"),
        (lambda: influence_basis(np.full((3, 4, 4), np.nan)), DataError, "48 values"),
        (lambda: influence_basis(np.ones((3, 4, 4))), DataError, "not flat"),
        (lambda: influence_basis(bumps(), np.zeros((24, 24))), UsageError, "leaves no pixel"),
        (lambda: influence_basis(bumps(), np.ones((3, 3))), UsageError, r"expected \(24, 24\)"),
        (lambda: influence_basis(bumps(), None, 99), UsageError, "take 1 to"),
        (lambda: influence_basis(bumps(), rcond=2.0), UsageError, "rcond is 2.0"),
        (lambda: influence_basis(bumps(), pixel_m=0.0), UsageError, "pixel_m is 0.0"),
    ],
)
def test_errors_say_what_to_do(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
