"""What a closed loop on the simulated telescope leaves, against the classical formulas: each term within 20 %."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import j1

from framebus import ao, sim
from framebus.ao import error_budget
from framebus.sim.shack_hartmann import SPOT_SIGMA
from framebus.sim.turbulence import spectrum
from support.frames import Frames

ACROSS, PIXELS = 16, 8
DIAMETER_M, R0_M, OUTER_SCALE_M, WIND_DEG = 3.2, 0.15, 25.0, 20.9
PITCH_M = DIAMETER_M / ACROSS
RAD_PER_UM = 2 * math.pi / 0.5
BIAS, POKE_UM = 100.0, 0.02


@dataclass
class Loop:
    """Units on a simulated telescope: centroids, a least-squares reconstructor and an integrator.

    A command of frame k moves the mirror in frame k + 1: a delay of one frame.
    """

    wind_m_s: float = 0.0
    rate_hz: float = 500.0
    seed: int = 1
    photons: float = 2e5
    read_noise: float = 0.0
    noisy: bool = False
    turbulence: float = 1.0
    simulator: sim.Simulator = field(init=False)

    def __post_init__(self) -> None:
        content = {
            "telescope": {"diameter_m": DIAMETER_M, "pixels": ACROSS * PIXELS, "obscuration": 0.0},
            "atmosphere": {
                "r0_m": R0_M,
                "outer_scale_m": OUTER_SCALE_M,
                "layers": [
                    {"fraction": 1.0, "wind_speed_m_s": self.wind_m_s, "wind_direction_deg": WIND_DEG}
                ],
            },
            "mirror": {"kind": "cubic", "actuators": ACROSS + 1, "stroke_um": 1e6},
            "wfs": {
                "kind": "geometric",
                "subapertures": ACROSS,
                "pixels": PIXELS,
                "photons": self.photons * math.pi / 4 * ACROSS**2,
            },
            "detector": {"photon_noise": False, "bias": BIAS},
            "science": {"interval": 0},
            "rate_hz": self.rate_hz,
            "seed": self.seed,
        }
        self.simulator = sim.Simulator(msgspec.convert(content, sim.Description))
        lit = self.simulator.pupil.reshape(ACROSS, PIXELS, ACROSS, PIXELS).mean(axis=(1, 3)) >= 0.5
        corners = np.argwhere(lit) * PIXELS
        self.boxes = np.hstack([corners, np.full_like(corners, PIXELS)]).astype(np.int32)
        padded = np.pad(lit, 1)
        near = padded[:-1, :-1] | padded[1:, :-1] | padded[:-1, 1:] | padded[1:, 1:]
        self.actuators = np.flatnonzero(near)
        self.inside = self.simulator.pupil.ravel() > 0.5
        self.centroids = Frames(
            ao.weighted_centroids,  # the plain centre of gravity: nothing is clipped
            {
                "pixels": np.zeros(self.simulator.wfs_shape, np.float32),
                "boxes": self.boxes,
                "weights": np.ones((1, PIXELS, PIXELS), np.float32),
                "reference": np.zeros(2 * len(self.boxes), np.float32),
            },
        )
        self._calibrate()
        self.simulator.atmosphere.strength = self.turbulence
        self.simulator.detector.set(photon_noise=self.noisy, read_noise=self.read_noise)

    def measure(self, command: NDArray[Any], *, exact: bool = False) -> NDArray[np.float32]:
        """Slopes of the next frame with the mirror at ``command``; ``exact``: before the detector's whole counts."""
        full = np.zeros(self.simulator.dm_shape, np.float32)
        full.flat[self.actuators] = command
        frame = self.simulator.step(full)
        assert frame is not None
        self.centroids["pixels"][...] = self.simulator.sensor.light if exact else frame - np.float32(BIAS)
        return np.array(self.centroids.step()["slopes"])

    @property
    def variance(self) -> float:
        """Of the wavefront behind the mirror, rad² at 500 nm, piston removed."""
        return float((self.simulator.phase.ravel()[self.inside].astype(np.float64) * RAD_PER_UM).var())

    def _calibrate(self) -> None:
        self.simulator.atmosphere.strength = 0.0
        n = len(self.actuators)
        reference = self.measure(np.zeros(n), exact=True).astype(np.float64)
        rows, shapes = [], []
        for poke in POKE_UM * np.eye(n):
            rows.append((self.measure(poke, exact=True) - reference) / POKE_UM)
            shapes.append(self.simulator.phase.ravel()[self.inside] / POKE_UM)
        self.centroids["reference"][...] = reference
        self.shapes = np.array(shapes, np.float64)
        # The two modes that this sensor hardly sees are left out: waffle, and piston.
        self.matrix = np.linalg.pinv(np.array(rows), rcond=0.03).T

    def run(self, gain: float, frames: int, settle: int) -> float:
        """Mean variance in closed loop after so many frames."""
        error = np.zeros(len(self.actuators), np.float32)
        matrix = np.ascontiguousarray(self.matrix, np.float32)
        slopes = np.zeros(matrix.shape[1], np.float32)
        reconstruct = Frames(ao.reconstruct, {"slopes": slopes, "control_matrix": matrix})
        control = Frames(ao.leaky_integrator, {"error": error}, gain=gain, leak=1.0)
        left = []
        for k in range(frames):
            slopes[...] = self.measure(control["command"])
            if k >= settle:
                left.append(self.variance)
            error[...] = reconstruct.step()["modes"]
            control.step()
        return float(np.mean(left))


def classical(wind_m_s: float, rate_hz: float, gain: float) -> float:
    """Temporal error, rad²: von Kármán's spectrum in frozen flow through the integrator's rejection.

    sigma^2 = int W(kappa) |S(kappa . v)|^2 (1 - (2 J1(pi kappa D) / (pi kappa D))^2) d^2 kappa over what the mirror
    can follow, below 1 / (2 d) along both of its axes; S = (1 - z^-1) / (1 - z^-1 + g z^-1) for a delay of one
    frame. The factor with J1 takes out piston: R. J. Sasiela, "Electromagnetic Wave Propagation in Turbulence" (1994),
    chapter 3.
    """
    kappa = np.logspace(-3.5, 0.5, 800)[:, None]
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)[None, :]
    back = np.exp(-2j * np.pi * kappa * np.cos(angle) * wind_m_s / rate_hz)
    rejection = (1 - back) / (1 - back + gain * back)
    x = np.pi * kappa * DIAMETER_M
    tilted = angle + np.deg2rad(WIND_DEG)
    followed = np.maximum(np.abs(np.cos(tilted)), np.abs(np.sin(tilted))) * kappa < 0.5 / PITCH_M
    power = spectrum(kappa, R0_M, OUTER_SCALE_M) * (1 - (2 * j1(x) / x) ** 2)
    ring = (power * np.abs(rejection) ** 2 * followed * kappa).mean(axis=1) * 2 * np.pi
    return float(np.trapezoid(ring, kappa[:, 0]))


def spatial() -> float:
    """Fitting of a continuous face sheet, and what the sensor takes for something coarser."""
    return error_budget.fitting_variance(PITCH_M, R0_M) + error_budget.aliasing_variance(PITCH_M, R0_M)


@pytest.fixture(scope="module")
def still() -> float:
    """Left of turbulence that stands still, over several screens: no temporal error, no noise."""
    return float(np.mean([Loop(seed=seed).run(0.5, 30, 25) for seed in range(2, 9)]))


def test_the_mirror_fits_as_a_continuous_sheet() -> None:
    loop = Loop(wind_m_s=3000.0, rate_hz=1000.0)
    project = np.linalg.pinv(loop.shapes, rcond=1e-4)
    left = []
    for _ in range(30):  # three metres on: another wavefront, nearly
        wavefront = loop.simulator.atmosphere.step(1e-3).ravel()[loop.inside] * RAD_PER_UM
        left.append(float((wavefront - (wavefront @ project) @ loop.shapes).var()))
    assert np.mean(left) == pytest.approx(error_budget.fitting_variance(PITCH_M, R0_M), rel=0.2)


def test_a_loop_on_still_air_leaves_fitting_and_aliasing(still: float) -> None:
    assert still == pytest.approx(spatial(), rel=0.2)


@pytest.mark.parametrize(("wind_m_s", "rate_hz", "gain"), [(20.0, 500.0, 0.3), (10.0, 200.0, 0.5)])
def test_wind_adds_the_temporal_error(wind_m_s: float, rate_hz: float, gain: float, still: float) -> None:
    runs = [Loop(wind_m_s, rate_hz, seed).run(gain, 500, 100) for seed in range(2, 6)]
    expected = classical(wind_m_s, rate_hz, gain)
    assert np.mean(runs) - still == pytest.approx(expected, rel=0.2)
    assert np.mean(runs) == pytest.approx(spatial() + expected, rel=0.2)


@pytest.mark.parametrize(
    ("photons", "read_noise", "gain"), [(500.0, 0.0, 0.2), (500.0, 0.0, 0.5), (3000.0, 5.0, 0.5)]
)
def test_noise_adds_what_the_loop_lets_through(photons: float, read_noise: float, gain: float) -> None:
    loop = Loop(photons=photons, read_noise=read_noise, noisy=True, turbulence=0.0)
    measured = loop.run(gain, 600, 100)
    light = loop.simulator.sensor.light.astype(np.float64)
    flux = np.array([light[y : y + h, x : x + w].sum() for y, x, h, w in loop.boxes])
    spot_px = loop.simulator.description.wfs.spot_px
    fwhm = math.sqrt(8 * math.log(2)) * math.sqrt((SPOT_SIGMA * spot_px) ** 2 + 1 / 12)
    of_slopes = np.array([error_budget.photon_noise(n, fwhm, spot_px) for n in flux])
    if read_noise:
        of_slopes += [error_budget.detector_noise(n, read_noise, PIXELS**2, spot_px) for n in flux]
    px = spot_px / (2 * np.pi)  # per rad of phase across a lenslet
    noise = np.tile(of_slopes * px**2, 2)
    onto_phase = loop.matrix.T @ loop.shapes * RAD_PER_UM
    onto_phase -= onto_phase.mean(axis=1, keepdims=True)
    once = float((noise[:, None] * onto_phase**2).sum(axis=0).mean())
    assert measured == pytest.approx(error_budget.noise_on_mirror(once, gain), rel=0.2)
