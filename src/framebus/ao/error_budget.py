"""What a corrected wavefront is made of: the classical formulas for each error, and their sum.

Variances are rad² at the wavelength at which r0 is given. Lengths are metres in the telescope's pupil.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from framebus.ao.strehl import strehl_ratio
from framebus.ao.turbulence_statistics import noll_residuals
from framebus.errors import UsageError


@dataclass(frozen=True)
class ErrorBudget:
    """Variances of independent errors, rad².

    Attributes:
        fitting: what the mirror cannot make.
        servo_lag: what changed until the correction came.
        noise: what the measurement's noise puts on the mirror.
        aliasing: what the sensor takes for something coarser.
        anisoplanatism: what differs between the guide star and the object.
    """

    fitting: float
    servo_lag: float
    noise: float
    aliasing: float = 0.0
    anisoplanatism: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (value >= 0 and math.isfinite(value)):
                raise UsageError(f"{name} is {value}; expected a variance, 0 or more")

    @property
    def total(self) -> float:
        """Their sum, rad²."""
        return float(sum(vars(self).values()))

    @property
    def strehl(self) -> float:
        """Strehl ratio by Maréchal's approximation."""
        return float(strehl_ratio(math.sqrt(self.total)))

    def rms_nm(self, wavelength_m: float) -> dict[str, float]:
        """Each error and ``"total"`` as nm rms of wavefront, the variances being of this wavelength."""
        scale = 1e9 * _positive("wavelength_m", wavelength_m) / (2 * math.pi)
        return {
            name: scale * math.sqrt(value) for name, value in (*vars(self).items(), ("total", self.total))
        }


def fitting_variance(pitch_m: float, r0_m: float, coefficient: float = 0.28) -> float:
    """Of a mirror with actuators ``pitch_m`` apart: coefficient × (pitch / r0)^(5/3).

    0.28 for a continuous face sheet, 1.26 for pistons, 0.18 for segments with piston, tip and tilt. Source: R. H.
    Hudgin, "Wave-front compensation error due to finite corrector-element size", J. Opt. Soc. Am. 67 (1977) 393.
    """
    return _positive("coefficient", coefficient) * _five_thirds(
        _positive("pitch_m", pitch_m) / _positive("r0_m", r0_m)
    )


def modal_fitting_variance(
    n_modes: int, diameter_m: float, r0_m: float, outer_scale_m: float = math.inf
) -> float:
    """Left when ``n_modes`` Zernike modes without piston are corrected: ``noll_residuals`` × (D / r0)^(5/3)."""
    left = noll_residuals(n_modes, outer_scale_m / _positive("diameter_m", diameter_m))[-1]
    return float(left * (diameter_m / _positive("r0_m", r0_m)) ** (5 / 3))


def aliasing_variance(pitch_m: float, r0_m: float, coefficient: float = 0.08) -> float:
    """Of a Shack-Hartmann sensor with lenslets ``pitch_m`` wide: 0.08 (pitch / r0)^(5/3).

    Source: F. Rigaut, J.-P. Véran, O. Lai, "An analytical model for Shack-Hartmann-based adaptive optics systems",
    Proc. SPIE 3353 (1998) 1038: about a third of the fitting error.
    """
    return fitting_variance(pitch_m, r0_m, coefficient)


def greenwood_frequency(wind_m_s: float, r0_m: float) -> float:
    """0.4266 v / r0, in Hz: where a loop of that bandwidth leaves 1 rad².

    Source: D. P. Greenwood, J. Opt. Soc. Am. 67 (1977) 390.
    """
    return 0.4266 * _positive("wind_m_s", wind_m_s) / _positive("r0_m", r0_m)


def coherence_time(wind_m_s: float, r0_m: float) -> float:
    """τ0 = 0.314 r0 / v, in s: the phase changes by 1 rad rms in it.

    Source: F. Roddier, Progress in Optics 19 (1981) 281.
    """
    return 0.314 * _positive("r0_m", r0_m) / _positive("wind_m_s", wind_m_s)


def bandwidth_variance(greenwood_hz: float, bandwidth_hz: float) -> float:
    """Servo lag of a loop by the bandwidth at which it corrects half (-3 dB): (f_G / f_3dB)^(5/3).

    Source: Greenwood (1977).
    """
    return _five_thirds(_positive("greenwood_hz", greenwood_hz) / _positive("bandwidth_hz", bandwidth_hz))


def delay_variance(delay_s: float, r0_m: float, wind_m_s: float) -> float:
    """Servo lag of a pure delay: 6.88 (v τ / r0)^(5/3), that is (τ / τ0)^(5/3).

    Source: D. L. Fried, J. Opt. Soc. Am. A 7 (1990) 1224.
    """
    moved = _positive("wind_m_s", wind_m_s) * _positive("delay_s", delay_s)
    return 6.88 * _five_thirds(moved / _positive("r0_m", r0_m))


def noise_on_mirror(open_loop_variance: float, gain: float) -> float:
    """Of an integrator's command, from white noise of one measurement: g / (2 - g) for a delay of one frame.

    The loop command[k+1] = (1 - g) command[k] + g noise[k]; longer delays let through more.

    Args:
        open_loop_variance: of the reconstructed noise, without a loop: the noise's variance times the noise
            propagation.
        gain: 0 to 2.
    """
    if not 0 < gain < 2:
        raise UsageError(f"gain is {gain}; expected more than 0 and less than 2")
    if not open_loop_variance >= 0:
        raise UsageError(f"open_loop_variance is {open_loop_variance}; expected 0 or more")
    return open_loop_variance * gain / (2 - gain)


def photon_noise(photons: float, spot: float, diffraction: float) -> float:
    """Of a Shack-Hartmann slope: π² / (2 ln 2) / photons × (spot / diffraction)², rad² of phase across the lenslet.

    That is the variance of the centre of gravity of a Gaussian spot. Source: G. Rousset, "Wave-front sensors", in
    "Adaptive Optics in Astronomy" (ed. F. Roddier, 1999), section 5.

    Args:
        photons: of a lenslet in a frame.
        spot: full width at half maximum of the spot, pixels.
        diffraction: of a spot at the diffraction limit, pixels.
    """
    width = _positive("spot", spot) / _positive("diffraction", diffraction)
    return math.pi**2 / (2 * math.log(2)) / _positive("photons", photons) * width**2


def detector_noise(photons: float, read_noise: float, window: float, diffraction: float) -> float:
    """Of a Shack-Hartmann slope: π²/3 (read noise / photons)² (pixels / diffraction)², rad². Source: Rousset (1999).

    Args:
        photons: of a lenslet in a frame.
        read_noise: electrons rms of a pixel.
        window: how many pixels, in a square, the centre of gravity uses: a box of 8 × 8 has 64.
        diffraction: full width at half maximum of a spot at the diffraction limit, pixels.
    """
    share = _positive("read_noise", read_noise) / _positive("photons", photons)
    return (
        math.pi**2 / 3 * share**2 * (_positive("window", window) / _positive("diffraction", diffraction)) ** 2
    )


def anisoplanatic_variance(angle: float, isoplanatic_angle: float) -> float:
    """(θ / θ0)^(5/3). Source: D. L. Fried, J. Opt. Soc. Am. 72 (1982) 52. Both angles in the same unit."""
    if not angle >= 0:
        raise UsageError(f"angle is {angle}; expected 0 or more")
    return _five_thirds(angle / _positive("isoplanatic_angle", isoplanatic_angle))


def _five_thirds(ratio: float) -> float:
    return float(ratio ** (5 / 3))


def _positive(name: str, value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise UsageError(f"{name} is {value}; expected a positive, finite number")
    return value
