from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from framebus.ao import load_instrument
from framebus.ao.inversion import (
    Inverse,
    load_control_matrix,
    mmse_inverse,
    modal_inverse,
    save_inverse,
    tikhonov_inverse,
    truncated_inverse,
)
from framebus.errors import DataError, NotFoundError, UsageError

Array = NDArray[Any]
SEEDS = st.integers(0, 2**32 - 1)


def problem(seed: int, n: int = 5, m: int = 12) -> tuple[np.random.Generator, Array]:
    """A generator, and an interaction matrix of full rank."""
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=(n, m)) + np.eye(n, m) * 4


def close(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


@given(SEEDS)
def test_a_truncated_inverse_of_full_rank_is_the_normal_equations(seed: int) -> None:
    _, d = problem(seed)
    found = truncated_inverse(d, condition=1e6)
    close(found.matrix, np.linalg.solve(d @ d.T, d))
    assert found.n_kept == 5


@given(SEEDS, st.integers(1, 5))
def test_a_truncated_inverse_steers_only_what_is_kept(seed: int, kept: int) -> None:
    _, d = problem(seed)
    found = truncated_inverse(d, condition=1e6, n_modes=kept)
    values, vectors = np.linalg.eigh(d @ d.T)
    strong = vectors[:, ::-1][:, :kept]
    close(found.matrix.astype(float) @ d.T, strong @ strong.T)
    np.testing.assert_allclose(found.noise_propagation, 1 / values[::-1][:kept], rtol=1e-5)
    assert found.filter_factors.sum() == kept


@given(SEEDS, st.floats(0.0, 2.0))
def test_tikhonov_is_the_regularised_normal_equations(seed: int, amount: float) -> None:
    _, d = problem(seed)
    price = (amount * np.linalg.svd(d)[1][0]) ** 2
    close(tikhonov_inverse(d, amount).matrix, np.linalg.solve(d @ d.T + price * np.eye(5), d))


@given(SEEDS, st.sampled_from(["number", "each", "covariance"]))
def test_mmse_is_the_direct_formula(seed: int, kind: str) -> None:
    rng, d = problem(seed)
    root = rng.normal(size=(5, 5)) + 3 * np.eye(5)
    prior = root @ root.T
    noises: dict[str, Any] = {"number": 0.5, "each": rng.uniform(0.1, 2.0, 12)}
    mixed = rng.normal(size=(12, 12)) * 0.2 + np.eye(12)
    noises["covariance"] = mixed @ mixed.T
    noise = noises[kind]
    full = noise if kind == "covariance" else np.diag(np.broadcast_to(noise, 12))
    expected = prior @ d @ np.linalg.inv(d.T @ prior @ d + full)  # the dual form
    found = mmse_inverse(d, prior, noise)
    close(found.matrix, expected)
    close(found.actuator_noise, np.diag(expected @ full @ expected.T))


@given(SEEDS)
def test_mmse_becomes_least_squares_without_noise_and_nothing_without_prior(seed: int) -> None:
    _, d = problem(seed)
    least_squares = np.linalg.pinv(d.T)
    close(mmse_inverse(d, np.eye(5), 1e-12).matrix, least_squares)
    close(mmse_inverse(d, 1e12 * np.eye(5), 1.0).matrix, least_squares)
    assert np.abs(mmse_inverse(d, np.full(5, 1e-12), 1.0).matrix).max() < 1e-9


def test_mmse_has_the_least_error_of_all() -> None:
    rng, d = problem(3)
    prior, noise = np.diag([4.0, 1.0, 0.3, 0.1, 0.01]), 3.0
    commands = rng.multivariate_normal(np.zeros(5), prior, 20000)
    measured = commands @ d + np.sqrt(noise) * rng.normal(size=(20000, 12))

    def error(inverse: Inverse) -> float:
        return float(np.mean((measured @ inverse.matrix.T - commands) ** 2))

    best = error(mmse_inverse(d, prior, noise))
    others = [truncated_inverse(d, condition=1e6, n_modes=k) for k in range(1, 6)]
    others += [tikhonov_inverse(d, amount) for amount in (0.01, 0.1, 0.3, 1.0)]
    assert best < min(map(error, others))


@given(SEEDS)
def test_a_prior_that_forbids_something_is_obeyed(seed: int) -> None:
    _, d = problem(seed)
    prior = np.eye(5) - 0.2  # no piston
    close(mmse_inverse(d, prior, 1e-3).matrix.sum(axis=0) + 1.0, np.ones(12))


@given(SEEDS)
def test_a_modal_inverse_finds_the_modes_and_applies_the_gains(seed: int) -> None:
    rng, d = problem(seed)
    modes = np.linalg.qr(rng.normal(size=(5, 3)))[0]
    gains = rng.uniform(0.1, 1.0, 3)
    found = modal_inverse(d, modes, gains)
    close(found.matrix.astype(float) @ d.T @ modes, modes * gains)
    close(found.modes_to_actuators @ found.slopes_to_modes, found.matrix)


@pytest.mark.parametrize("method", ["tsvd", "tikhonov", "mmse", "modal"])
def test_the_noise_is_what_a_simulation_finds(method: str) -> None:
    rng, d = problem(1)
    variances = rng.uniform(0.2, 3.0, 12)
    found = {
        "tsvd": lambda: truncated_inverse(d, condition=1e6, n_modes=4, noise=variances),
        "tikhonov": lambda: tikhonov_inverse(d, 0.3, noise=variances),
        "mmse": lambda: mmse_inverse(d, np.eye(5) * 0.1, variances),
        "modal": lambda: modal_inverse(d, np.eye(5)[:, :3], 0.5, noise=variances),
    }[method]()
    noise = rng.normal(size=(40000, 12)) * np.sqrt(variances)
    # A variance of 40000 draws is known to 0.7 per cent.
    np.testing.assert_allclose(
        (noise @ found.slopes_to_modes.T).var(axis=0), found.noise_propagation, rtol=0.04
    )
    drawn = (noise @ found.matrix.T).var(axis=0)
    np.testing.assert_allclose(drawn, found.actuator_noise, rtol=0.04, atol=1e-9)
    assert drawn.sum() == pytest.approx(found.total_noise, rel=0.02)
    assert found.method == method


def test_dead_actuators_are_told_and_left_alone() -> None:
    _, d = problem(2)
    d[3] = 0
    for found in (truncated_inverse(d), tikhonov_inverse(d, 0.1)):
        assert found.dead_actuators.tolist() == [3]
        assert np.abs(found.matrix[3]).max() < 1e-7
        assert "1 actuators have no response" in found.reason
    with pytest.raises(DataError, match="of rank 4 with 5 actuators"):
        tikhonov_inverse(d, 0.0)
    with pytest.raises(DataError, match=r"tells 4 of 5 modes apart.*mode 3 has most"):
        modal_inverse(d, np.eye(5))


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ({"n_modes": 2}, "2 of 5 modes .* as asked for"),
        ({"condition": 1.0}, "1 of 5 modes within a condition"),
    ],
)
def test_why_modes_are_kept_is_said(kept: dict[str, Any], reason: str) -> None:
    assert re.search(reason, truncated_inverse(problem(1)[1], **kept).reason)


METHODS: list[Any] = [
    truncated_inverse,
    tikhonov_inverse,
    lambda d: mmse_inverse(d, np.ones(len(d)), 1.0),
    lambda d: modal_inverse(d, np.eye(len(d))),
]


@pytest.mark.parametrize("invert", METHODS, ids=["tsvd", "tikhonov", "mmse", "modal"])
def test_bad_interaction_matrices_are_refused(invert: Any) -> None:
    with pytest.raises(UsageError, match=r"shape is \(3,\)"):
        invert(np.ones(3))
    with pytest.raises(DataError, match="rows of 1 actuators"):
        invert([[1.0, np.nan], [0.0, 1.0]])
    with pytest.raises(DataError, match="all zeros"):
        invert(np.zeros((2, 3)))
    with pytest.raises(DataError, match="choose another unit"):
        invert(np.full((2, 3), 1e-40))


@given(arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6)), st.sampled_from(METHODS))
def test_any_matrix_is_inverted_or_refused(matrix: Array, invert: Any) -> None:
    try:
        found = invert(matrix)
    except DataError:
        return
    assert np.isfinite(found.matrix).all()
    assert np.isfinite(found.noise_propagation).all()


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tikhonov_inverse(EYE, -1.0), UsageError, "regularisation is -1.0"),
        (lambda: truncated_inverse(EYE, noise=[1.0, 2.0, 3.0]), UsageError, r"noise's shape is \(3,\)"),
        (lambda: truncated_inverse(EYE, noise=0.0), DataError, "not positive"),
        (lambda: mmse_inverse(EYE, np.eye(3), 1.0), UsageError, r"prior's shape is \(3, 3\)"),
        (lambda: mmse_inverse(EYE, [np.nan, 1.0], 1.0), DataError, "prior has values"),
        (lambda: mmse_inverse(EYE, [-1.0, 1.0], 1.0), DataError, "not symmetric and positive"),
        (lambda: mmse_inverse(EYE, [[1.0, 0.5], [0.0, 1.0]], 1.0), DataError, "not symmetric"),
        (lambda: mmse_inverse(EYE, EYE, np.ones((2, 2))), DataError, "noise covariance is not"),
        (lambda: mmse_inverse([[1.0], [0.0]], [0.0, 1.0], 1.0), DataError, "sees nothing"),
        (lambda: modal_inverse(EYE, np.eye(3)), UsageError, r"modes' shape is \(3, 3\)"),
        (lambda: modal_inverse(EYE, np.full((2, 1), np.nan)), DataError, "2 values of the modes"),
        (lambda: modal_inverse(EYE, EYE, [1.0, 2.0, 3.0]), UsageError, r"gains' shape is \(3,\)"),
        (lambda: modal_inverse(EYE, EYE, condition=0.5), UsageError, "condition is 0.5"),
    ],
)
def test_errors_say_what_to_do(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_control_matrix_is_saved_with_all_that_is_known(tmp_path: Path) -> None:
    found = tikhonov_inverse(problem(1)[1], 0.2)
    path = tmp_path / "control.fits"
    save_inverse(found, path, "respM.fits")
    np.testing.assert_array_equal(load_control_matrix(path), found.matrix)
    with fits.open(path) as hdus:
        header = hdus[0].header
        assert (header["METHOD"], header["NKEPT"], header["SOURCE"]) == (
            "tikhonov",
            found.n_kept,
            "respM.fits",
        )
        assert header["PARAM0"] == "regularisation=0.2"
        np.testing.assert_array_equal(hdus["SINGULAR"].data, found.singular_values)
        np.testing.assert_array_equal(
            hdus["M2A"].data @ hdus["S2M"].data, found.modes_to_actuators @ found.slopes_to_modes
        )
    with pytest.raises(NotFoundError):
        load_control_matrix(tmp_path / "none.fits")
    fits.PrimaryHDU(np.zeros(3)).writeto(tmp_path / "bad.fits")
    with pytest.raises(DataError, match=r"expected \(n_actuators, n_measurements\)"):
        load_control_matrix(tmp_path / "bad.fits")


# ---- measured instruments ----


@pytest.mark.parametrize(("name", "condition", "least"), [("kalao", 30.0, 100), ("ao3k", 30.0, 150)])
def test_measured_responses_close_a_static_loop(
    shared_data: Path, name: str, condition: float, least: int
) -> None:
    """Commands are found again from responses; 10 per cent wrong gains and a dead actuator do no harm."""
    instrument = load_instrument(shared_data / name)
    response = instrument.response[:, instrument.valid].astype(np.float64)
    if response.shape[1] > 4000:  # the lit pixels, to be quick
        response = response[:, np.argsort(response.std(axis=0))[-4000:]]
    found = truncated_inverse(response, condition=condition)
    assert found.condition_number <= condition
    assert least <= found.n_kept <= len(response)
    rng = np.random.default_rng(9)
    modes = found.modes_to_actuators.astype(np.float64)
    wanted = modes @ rng.normal(size=found.n_kept)
    again = found.matrix @ (wanted @ response)
    assert np.linalg.norm(again - wanted) < 1e-3 * np.linalg.norm(wanted)

    real = response * (1 + 0.1 * rng.standard_normal(len(response)).clip(-2, 2))[:, None]
    disturbance = wanted @ response

    def closed(mirror: Array) -> float:
        """What 200 steps of an integrator leave of the disturbance."""
        command = np.zeros(len(response))
        for _ in range(200):
            command -= 0.3 * (found.matrix @ (disturbance + command @ mirror))
        assert np.abs(command).max() < 100
        return float(np.linalg.norm(disturbance + command @ mirror) / np.linalg.norm(disturbance))

    assert closed(real) < 0.005
    real[int(np.argmax(np.linalg.norm(response, axis=1)))] = 0
    # What the other actuators cannot make of the dead one's part, at best.
    best = np.linalg.lstsq(real.T, disturbance, rcond=None)[0] @ real
    least_left = float(np.linalg.norm(disturbance - best) / np.linalg.norm(disturbance))
    assert least_left <= closed(real) < 0.1
