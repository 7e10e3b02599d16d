"""The whole simulated telescope: turbulence, mirror, sensor, detector and science camera, frame by frame."""

from __future__ import annotations

import os
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.sim.atmosphere import Atmosphere
from framebus.sim.description import Description, read_description
from framebus.sim.detector import Detector, FrameDelay
from framebus.sim.mirror import Actuation, Mirror, grid_profiles, read_influence, resampled
from framebus.sim.pupil import Spider, make_pupil
from framebus.sim.science import Rms, ScienceCamera
from framebus.sim.sensors import GeometricShackHartmann, PyramidSensor, Sensor, ShackHartmann

Floats: TypeAlias = npt.NDArray[np.float32]


class Simulator:
    """A telescope that a ``Description`` describes. ``step(commands)`` is one frame.

    Attributes:
        description: what it was made from.
        pupil: (n_px, n_px) float32, the share of light that passes.
        atmosphere, mirror, sensor, detector, science: its parts.
        dm_shape: of the commands, float32, µm of wavefront.
        wfs_shape: of the frames, uint16.
        phase: (n_px, n_px) float32: wavefront behind the mirror, µm, without piston, 0 outside the pupil.
        psf: (n, n) float32: the newest finished image, 1 = peak of a flat wavefront.
        images: how many images were finished.
        frames: how many frames were computed, lost ones included.
    """

    def __init__(self, description: Description) -> None:
        """Put everything together.

        Raises:
            UsageError: numbers do not fit each other; the message says which.
            NotFoundError, DataError: the file of influence functions is not there, or bad.
        """
        self.description = description
        telescope, wind = description.telescope, description.atmosphere
        n_px = telescope.pixels
        self.pupil = _pupil_of(description)
        amplitude = np.sqrt(self.pupil)
        self.atmosphere = Atmosphere(
            n_px,
            telescope.diameter_m / n_px,
            wind.r0_m,
            wind.outer_scale_m,
            [(layer.fraction, layer.wind_speed_m_s, layer.wind_direction_deg) for layer in wind.layers],
            description.seed,
        )
        wavefront = self.atmosphere.wavefront
        self.mirror = _mirror_of(description)
        self.sensor = _sensor_of(description, wavefront, amplitude)
        self.detector = _detector_of(description, self.sensor)
        camera = description.science
        self.science = ScienceCamera(
            wavefront, amplitude, camera.wavelength_um, camera.pixels, camera.spot_px
        )
        self._before = Rms(wavefront, amplitude)
        self.dm_shape = self.mirror.shape
        self.wfs_shape = self.detector.shape
        self.phase = self.science.phase
        self.psf = np.zeros((camera.pixels, camera.pixels), np.float32)
        self._exposing = np.zeros_like(self.psf)
        self._looks = 0
        self.images = self.frames = 0

    def step(self, commands: npt.ArrayLike | None = None) -> npt.NDArray[np.uint16] | None:
        """One frame with the mirror at ``commands``, flat by default.

        Returns:
            The detector's frame, which the next step fills anew; None if it was lost.

        Raises:
            UsageError: the number of commands is not that of the actuators.
        """
        if commands is None:
            commands = np.zeros(self.dm_shape, np.float32)
        self.mirror.check(commands)
        time_s = 1.0 / self.description.rate_hz if self.frames else 0.0
        wavefront = self.atmosphere.step(time_s)
        self._before.look()
        self.mirror.add(commands, wavefront)
        self.science.look()
        self.sensor.look()
        self.frames += 1
        self._expose()
        return self.detector.frame if self.detector.expose(self.sensor.light) else None

    def _expose(self) -> None:
        """Look with the science camera, if it is due."""
        camera = self.description.science
        if not camera.interval or (self.frames - 1) % camera.interval:
            return
        self._exposing += self.science.image()
        self._looks += 1
        if self._looks == camera.exposure:
            np.divide(self._exposing, self._looks, out=self.psf)
            self._exposing[:] = 0.0
            self._looks = 0
            self.images += 1

    @property
    def time_s(self) -> float:
        """Simulated time of the newest frame, from 0 for the first one."""
        return max(0, self.frames - 1) / self.description.rate_hz

    @property
    def rms_nm(self) -> float:
        """Rms of the wavefront behind the mirror."""
        return 1000.0 * self.science.rms_um

    @property
    def turbulence_nm(self) -> float:
        """Rms of the wavefront before the mirror."""
        return 1000.0 * self._before.rms_um

    @property
    def strehl(self) -> float:
        """Strehl ratio of the newest frame, on axis."""
        return self.science.strehl


def load(path: str | os.PathLike[str]) -> Simulator:
    """The simulated telescope that a TOML file describes.

    Raises:
        NotFoundError, DataError: as ``read_description``, and of the file of influence functions.
        UsageError: numbers do not fit each other.
    """
    return Simulator(read_description(path))


def _pupil_of(description: Description) -> Floats:
    telescope = description.telescope
    diameter = telescope.diameter_m
    spiders = [Spider(s.angle_deg, s.width_m / diameter, s.offset_m / diameter) for s in telescope.spiders]
    # Spiders are thinner than pixels.
    return make_pupil(telescope.pixels, telescope.obscuration, spiders, oversampling=8 if spiders else 1)


def _mirror_of(description: Description) -> Mirror:
    table, n_px = description.mirror, description.telescope.pixels
    actuation = Actuation(table.stroke_um, table.hysteresis_um, table.dead)
    if table.kind == "file":
        if not table.file:
            raise UsageError("mirror.kind is 'file', but mirror.file is not given")
        return Mirror(n_px, functions=resampled(read_influence(table.file), n_px), actuation=actuation)
    if table.file:
        raise UsageError(f"mirror.file is given, but mirror.kind is '{table.kind}'; use kind = \"file\"")
    profiles = grid_profiles(table.kind, table.actuators, n_px, table.coupling)
    return Mirror(n_px, profiles=profiles, actuation=actuation)


def _sensor_of(description: Description, wavefront: Floats, amplitude: Floats) -> Sensor:
    table = description.wfs
    if table.kind == "pyramid":
        return PyramidSensor(
            wavefront,
            amplitude,
            table.pixels,
            modulation=table.modulation,
            points=table.modulation_points,
            separation=table.separation,
            wavelength_um=table.wavelength_um,
            photons=table.photons,
        )
    make = ShackHartmann if table.kind == "shack-hartmann" else GeometricShackHartmann
    return make(
        wavefront,
        amplitude,
        table.subapertures,
        pixels=table.pixels,
        spot_px=table.spot_px,
        wavelength_um=table.wavelength_um,
        photons=table.photons,
    )


def _detector_of(description: Description, sensor: Sensor) -> Detector:
    table = description.detector
    delay = FrameDelay(table.delay_frames, table.lost, table.lose_every)
    names = [name for name in table.__struct_fields__ if name not in ("delay_frames", "lost", "lose_every")]
    values = {name: getattr(table, name) for name in names}
    shape = (sensor.light.shape[0], sensor.light.shape[1])
    return Detector(shape, delay, seed=description.seed, **values)
