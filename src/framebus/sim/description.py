"""What a simulated telescope is, as a TOML file describes it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from framebus.errors import DataError, NotFoundError

Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0.0)]
NotNegative: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0)]
Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file; unknown keys are errors."""


class SpiderTable(Table, frozen=True):
    """``[[telescope.spiders]]``: a vane from the centre to the edge.

    Attributes:
        angle_deg: where it points to: 0 towards +x, 90 towards +y.
        width_m: its width.
        offset_m: of its axis from the centre, to the left of where it points.
    """

    angle_deg: float
    width_m: Positive
    offset_m: float = 0.0


class TelescopeTable(Table, frozen=True):
    """``[telescope]``.

    Attributes:
        diameter_m: of the primary mirror.
        pixels: across the pupil, on which the wavefront is computed.
        obscuration: diameter of the central hole over that of the pupil.
        spiders: vanes.
    """

    diameter_m: Positive
    pixels: Annotated[int, msgspec.Meta(ge=8, le=1024)]
    obscuration: Share = 0.0
    spiders: tuple[SpiderTable, ...] = ()


class LayerTable(Table, frozen=True):
    """``[[atmosphere.layers]]``.

    Attributes:
        fraction: its share of the turbulence; shares are relative to their sum.
        wind_speed_m_s: wind speed.
        wind_direction_deg: where the wind blows to: 0 towards +x, 90 towards +y.
    """

    fraction: Positive = 1.0
    wind_speed_m_s: NotNegative = 10.0
    wind_direction_deg: float = 0.0


class AtmosphereTable(Table, frozen=True):
    """``[atmosphere]``.

    Attributes:
        r0_m: Fried parameter at 500 nm, all layers together.
        outer_scale_m: L0.
        layers: the layers.
    """

    r0_m: Positive = 0.15
    outer_scale_m: Positive = 25.0
    layers: Annotated[tuple[LayerTable, ...], msgspec.Meta(min_length=1)] = (LayerTable(),)


class MirrorTable(Table, frozen=True):
    """``[mirror]``.

    Attributes:
        kind: ``gaussian``, ``cubic`` or ``bilinear`` on a square grid from edge to edge, or ``file``.
        actuators: across the grid; not for ``file``.
        coupling: influence of a Gaussian actuator at its neighbour.
        file: influence functions in FITS or .npy, (n_act, ny, nx), µm of wavefront per command; relative to this file.
        stroke_um: largest command of either sign.
        hysteresis_um: how far a command must turn back until the actuator follows.
        dead: indices of actuators that stay at 0.
    """

    kind: Literal["gaussian", "cubic", "bilinear", "file"] = "gaussian"
    actuators: Annotated[int, msgspec.Meta(ge=2)] = 11
    coupling: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.3
    file: str = ""
    stroke_um: Positive = 20.0
    hysteresis_um: NotNegative = 0.0
    dead: tuple[int, ...] = ()


class SensorTable(Table, frozen=True):
    """``[wfs]``.

    Attributes:
        kind: ``shack-hartmann`` by diffraction, ``geometric`` for mean gradients, or ``pyramid``.
        subapertures: across, of a Shack-Hartmann.
        pixels: across a sub-aperture, or across one of the pyramid's images of the pupil.
        spot_px: wavelength / sub-aperture, in pixels.
        modulation: of the pyramid, wavelengths / diameter.
        modulation_points: of its circle; 0: chosen by its size.
        separation: of its images, in their diameters.
        wavelength_um: of the sensor.
        photons: per frame in the whole pupil.
    """

    kind: Literal["shack-hartmann", "geometric", "pyramid"] = "shack-hartmann"
    subapertures: Count = 10
    pixels: Count = 8
    spot_px: Positive = 2.0
    modulation: NotNegative = 3.0
    modulation_points: Annotated[int, msgspec.Meta(ge=0)] = 0
    separation: Annotated[float, msgspec.Meta(ge=1.0, le=8.0)] = 1.3
    wavelength_um: Positive = 0.75
    photons: Positive = 1e5


class DetectorTable(Table, frozen=True):
    """``[detector]``: see ``read_out`` and ``FrameDelay`` for what the numbers mean."""

    photon_noise: bool = True
    quantum_efficiency: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0
    dark: NotNegative = 0.0
    em_gain: Annotated[float, msgspec.Meta(ge=1.0, le=1e5)] = 1.0
    full_well: Annotated[float, msgspec.Meta(ge=1.0, le=1e9)] = 1e9
    read_noise: NotNegative = 1.0
    counts_per_electron: Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)] = 1.0
    bias: Annotated[float, msgspec.Meta(ge=0.0, le=65535.0)] = 100.0
    bits: Annotated[int, msgspec.Meta(ge=1, le=16)] = 16
    delay_frames: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 0.0
    lost: Share = 0.0
    lose_every: Annotated[int, msgspec.Meta(ge=0)] = 0


class ScienceTable(Table, frozen=True):
    """``[science]``.

    Attributes:
        wavelength_um: of the image and the Strehl ratio.
        pixels: across the image.
        spot_px: wavelength / diameter, in pixels.
        interval: frames from one look to the next; 0: no images.
        exposure: looks that are averaged in one image.
    """

    wavelength_um: Positive = 1.65
    pixels: Count = 64
    spot_px: Positive = 4.0
    interval: Annotated[int, msgspec.Meta(ge=0)] = 10
    exposure: Count = 10


class Description(Table, frozen=True):
    """A whole file.

    Attributes:
        telescope, atmosphere, mirror, wfs, detector, science: its tables.
        rate_hz: frames per second of simulated time.
        seed: of all that is random.
    """

    telescope: TelescopeTable
    atmosphere: AtmosphereTable = AtmosphereTable()
    mirror: MirrorTable = MirrorTable()
    wfs: SensorTable = SensorTable()
    detector: DetectorTable = DetectorTable()
    science: ScienceTable = ScienceTable()
    rate_hz: Positive = 1000.0
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 1


def read_description(path: str | os.PathLike[str]) -> Description:
    """The description in a TOML file; a relative path of influence functions is taken from there.

    Raises:
        NotFoundError: there is no such file.
        DataError: it is no TOML, a key is unknown, or a value has the wrong type or is out of its limits; the message
            names the key.
    """
    file = Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise NotFoundError(f"there is no description of a telescope at {file}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: it is no TOML: {error}") from error
    try:
        found = msgspec.convert(content, Description)
    except msgspec.ValidationError as error:
        raise DataError(f"{file}: {error}") from error
    if found.mirror.file:
        mirror = msgspec.structs.replace(found.mirror, file=str(file.parent / found.mirror.file))
        found = msgspec.structs.replace(found, mirror=mirror)
    return found
