"""A deformable mirror from commands to wavefront: influence functions, stroke, hysteresis and dead actuators.

Commands and wavefront are in micrometres of optical path.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import DataError, NotFoundError, UsageError
from framebus.sim.compiled import Compiled
from framebus.sim.deformable_mirror import actuator_profiles, add_mirror
from framebus.unit import Array, In, Out, State, unit

Floats: TypeAlias = npt.NDArray[np.float32]
Kind = Literal["gaussian", "cubic", "bilinear"]

NEGLIGIBLE = 1e-4
"""Influence from a file, as a fraction of the function's peak, below which it counts as none."""


def grid_profiles(kind: Kind, n_act: int, n_px: int, coupling: float = 0.3) -> Floats:
    """Profiles along one axis of a row of actuators: (n_act, n_px) float32, 1 at the actuator.

    Actuators stand from edge to edge of the grid, and the influence of actuator (j, i) is the product of profile j
    along y and profile i along x. ``gaussian`` is ``actuator_profiles``. The others are 0 at every other actuator, so
    that the mirror passes through its commands: ``bilinear`` with straight lines between them, ``cubic`` with the
    cubic convolution of R. Keys, IEEE Trans. ASSP 29 (1981), a = -1/2.

    Raises:
        UsageError: fewer than 2 actuators or 1 pixel, a coupling out of (0, 1), or no such kind.
    """
    gaussian = actuator_profiles(n_act, n_px, coupling)  # which checks the numbers
    if kind == "gaussian":
        return gaussian
    pitch = n_px / (n_act - 1)
    centres = pitch * np.arange(n_act) - 0.5
    u = np.abs(np.arange(n_px)[None, :] - centres[:, None]) / pitch
    if kind == "bilinear":
        return np.maximum(1.0 - u, 0.0).astype(np.float32)
    if kind == "cubic":
        near = (1.5 * u - 2.5) * u * u + 1.0
        far = ((-0.5 * u + 2.5) * u - 4.0) * u + 2.0
        return np.where(u <= 1.0, near, np.where(u < 2.0, far, 0.0)).astype(np.float32)
    raise UsageError(
        f"a mirror of kind {kind!r}: use 'gaussian', 'cubic', 'bilinear', or functions from a file"
    )


def read_influence(path: str | PathLike[str]) -> Floats:
    """Influence functions in a FITS or .npy file: (n_act, ny, nx) float32, as they stand there.

    Raises:
        NotFoundError: there is no such file.
        DataError: it cannot be read, has not three axes, or a value is not finite.
    """
    file = fspath(path)
    try:
        values = _read_array(file)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {file} of influence functions") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: it cannot be read: {error}; expected FITS or .npy") from error
    if values is None or values.ndim != 3 or values.size == 0 or not np.isfinite(values).all():
        what = "no image" if values is None else f"shape {values.shape}"
        raise DataError(f"{file}: {what}; expected finite influence functions with axes actuator, y, x")
    return np.ascontiguousarray(values, dtype=np.float32)


def _read_array(file: str) -> Any:
    if file.endswith(".npy"):
        return np.load(file, allow_pickle=False)
    from astropy.io import fits

    with open(file, "rb") as opened, fits.open(opened, memmap=False) as hdus:
        return next((hdu.data for hdu in hdus if hdu.is_image and hdu.data is not None), None)


def resampled(functions: npt.ArrayLike, n_px: int) -> Floats:
    """Influence functions on another grid over the same square: (n_act, n_px, n_px) float32.

    Cubic splines between pixels; functions that have that grid already come back unchanged.

    Args:
        functions: (n_act, ny, nx).
        n_px: pixels across.
    """
    values = np.asarray(functions, dtype=np.float32)
    if values.shape[1:] == (n_px, n_px):
        return values
    from scipy.ndimage import map_coordinates

    at_y, at_x = ((np.arange(n_px) + 0.5) * size / n_px - 0.5 for size in values.shape[1:])
    grid = np.meshgrid(at_y, at_x, indexing="ij")
    return np.stack([map_coordinates(each, grid, order=3, mode="nearest") for each in values])


@unit(fastmath={"reassoc", "contract", "nsz"})
def grid_surface(
    commands: Annotated[In, Array(("n_act", "n_act"), dtype="float32"), "µm"],
    profiles: Annotated[In, Array(("n_act", "n_px"), dtype="float32"), "``grid_profiles``"],
    rows: Annotated[State, Array(("n_act", "n_px"), dtype="float32"), "work space"],
    wavefront: Annotated[Out, Array(("n_px", "n_px"), dtype="float32"), "µm; the mirror's shape is added"],
) -> None:
    """Add the shape of a mirror on a square grid to the wavefront."""
    add_mirror(commands, profiles, math.inf, rows, wavefront)


@dataclass(frozen=True)
class Actuation:
    """What actuators make of commands.

    Attributes:
        stroke_um: largest command of either sign.
        hysteresis_um: how far a command must turn back until the actuator follows it: half the width of its loop.
        dead: indices (C order) of actuators that stay at 0.

    Raises:
        UsageError: a number is negative or not a number.
    """

    stroke_um: float = math.inf
    hysteresis_um: float = 0.0
    dead: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.stroke_um > 0.0:
            raise UsageError(f"stroke_um = {self.stroke_um} must be above 0")
        if not (self.hysteresis_um >= 0.0 and math.isfinite(self.hysteresis_um)):
            raise UsageError(f"hysteresis_um = {self.hysteresis_um} must be 0 or more, and finite")


class Mirror:
    """A deformable mirror. ``add(commands, wavefront)`` is one frame.

    Attributes:
        shape: of its commands, float32: (n_act, n_act) on a grid, (n_act,) with functions of its own.
        n_px: pixels across the wavefront.
        position: float32 in that shape: where its actuators are, µm.
    """

    def __init__(
        self,
        n_px: int,
        *,
        profiles: Floats | None = None,
        functions: Floats | None = None,
        actuation: Actuation | None = None,
    ) -> None:
        """Give either ``profiles`` (n_act, n_px) or influence ``functions`` (n_act, n_px, n_px).

        Raises:
            UsageError: not one of the two is given, it does not fit, or a dead actuator is none.
        """
        if (profiles is None) == (functions is None):
            raise UsageError("a mirror needs profiles on a grid or influence functions, and not both")
        self.n_px = n_px
        self.actuation = actuation or Actuation()
        given: Any = profiles if profiles is not None else functions
        expected = (len(given), n_px) if functions is None else (len(given), n_px, n_px)
        if given.shape != expected:
            raise UsageError(f"influence of shape {given.shape} on {n_px} pixels across; expected {expected}")
        self.shape = (len(given),) * (2 if functions is None else 1)
        self.position = np.zeros(self.shape, np.float32)
        self._alive = _alive(self.actuation.dead, self.shape)
        self._profiles = profiles
        self._matrix = None if functions is None else _sparse(functions)
        self._compiled: Compiled | None = None
        self._bound: Floats | None = None

    def check(self, commands: npt.ArrayLike) -> Floats:
        """Commands as float32, any shape.

        Raises:
            UsageError: their number is not that of the actuators.
        """
        asked = np.asarray(commands, dtype=np.float32)
        if asked.size != self.position.size:
            raise UsageError(f"{asked.size} commands for a mirror of {self.position.size} actuators")
        return asked

    def move(self, commands: npt.ArrayLike) -> Floats:
        """Let the actuators follow commands of any shape with as many values; returns ``position``.

        NaN counts as 0, and what is beyond the stroke is clipped, as electronics would do. Hysteresis is the play
        operator: I. Mayergoyz, "Mathematical models of hysteresis" (1991).

        Raises:
            UsageError: the number of commands is not that of the actuators.
        """
        asked = self.check(commands)
        stroke, play = np.float32(self.actuation.stroke_um), np.float32(self.actuation.hysteresis_um)
        asked = np.nan_to_num(asked.reshape(self.shape), nan=0.0, posinf=None, neginf=None)
        np.clip(asked, -stroke, stroke, out=asked)
        if play > 0.0:
            np.clip(self.position, asked - play, asked + play, out=asked)
        np.multiply(asked, self._alive, out=self.position)
        return self.position

    def add(self, commands: npt.ArrayLike, wavefront: Floats) -> None:
        """Move the actuators and add the mirror's shape to ``wavefront``, (n_px, n_px) float32, µm.

        Raises:
            UsageError: as ``move``.
        """
        self.move(commands)
        if self._matrix is not None:
            wavefront += (self._matrix @ self.position).reshape(wavefront.shape)
            return
        if self._compiled is None or self._bound is not wavefront:
            assert self._profiles is not None
            arrays = {"commands": self.position, "profiles": self._profiles, "wavefront": wavefront}
            arrays["rows"] = np.zeros_like(self._profiles)
            self._compiled, self._bound = Compiled(grid_surface, arrays), wavefront
        self._compiled()


def _alive(dead: Iterable[int], shape: tuple[int, ...]) -> Floats:
    alive = np.ones(shape, np.float32)
    for index in dead:
        if not 0 <= index < alive.size:
            raise UsageError(f"dead actuator {index}: there are {alive.size}, numbered from 0")
        alive.flat[index] = 0.0
    return alive


def _sparse(functions: Floats) -> Any:
    """(pixels, n_act) sparse: far from an actuator its influence is next to nothing."""
    from scipy.sparse import csr_array

    flat = functions.reshape(len(functions), -1)
    peak = np.abs(flat).max(axis=1, keepdims=True)
    return csr_array(np.where(np.abs(flat) > NEGLIGIBLE * peak, flat, np.float32(0.0)).T)
