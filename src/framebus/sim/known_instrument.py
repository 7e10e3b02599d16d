"""Linear hardware made from what is known of an instrument: its response, and where its actuators are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.ao.instrument import Instrument
from framebus.errors import UsageError
from framebus.sim.actuator_turbulence import (
    actuator_turbulence,
    disc_projector,
    grid_projector,
    influence_metric,
    influence_projector,
    weight_metric,
    wind_step,
)

Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LinearHardware:
    """Inputs of the unit ``linear_hardware``.

    Attributes:
        response: (n_act, n_measure) float32.
        reference: float32 in the shape of the sensor's frame.
        disturbance: (n_vectors, n_act) float32 turbulence as commands.
        metric: (n_act, n_act) float32: commandsᵀ · metric · commands is the wavefront's variance.
        dm_shape: shape of the mirror's commands, float32: that of the instrument's mask where each of its
            elements is an actuator, else (n_act,).
        step_diameters: how far the wind blows from one disturbance vector to the next, in mirror diameters.
    """

    response: Floats
    reference: Floats
    disturbance: Floats
    metric: Floats
    dm_shape: tuple[int, ...]
    step_diameters: float

    @classmethod
    def from_instrument(
        cls,
        instrument: Instrument,
        *,
        rms: float = 0.25,
        n_vectors: int = 8192,
        outer_scale: float = 3.0,
        seed: int = 1,
    ) -> LinearHardware:
        """Hardware that answers as ``instrument`` was measured to, under simulated turbulence.

        Where the actuators are is taken from the influence functions, else from the mask; without both they
        are taken to fill a square grid, if their number is a square, or a disc. Without influence functions
        the wavefront's variance is that of the commands, each weighted by what it moves on the sensor: squared
        response, up to the median of all.

        Args:
            instrument: a measured response with what else is known.
            rms: of the turbulent wavefront over the mirror, averaged over time, in units of the commands.
            n_vectors: length of the disturbance before it starts again.
            outer_scale: L0 over the mirror's diameter.
            seed: of the turbulence.

        Raises:
            UsageError: no actuator in use has any response, or a number is out of its limits.
        """
        if not (rms >= 0.0 and math.isfinite(rms)):
            raise UsageError(f"rms = {rms} must be 0 or more, and finite")
        if instrument.influence is not None:
            shape, projector = influence_projector(instrument.influence)
            metric = influence_metric(instrument.influence)
        else:
            shape, projector = _placed(instrument)
            metric = _sensed_metric(instrument.response, np.asarray(projector.any(axis=1)))
        vectors = actuator_turbulence(
            shape, projector, n_vectors=n_vectors, outer_scale=outer_scale, seed=seed
        )
        variance = float(np.mean(np.einsum("va,va->v", vectors @ metric, vectors)))
        vectors *= np.float32(rms / math.sqrt(variance))
        return cls(
            response=instrument.response,
            reference=instrument.reference,
            disturbance=vectors,
            metric=metric,
            dm_shape=mirror_shape(instrument),
            step_diameters=wind_step(shape, n_vectors),
        )

    def vectors_per_s(self, crossing_s: float) -> float:
        """The unit's parameter of that name for a wind that crosses the mirror in ``crossing_s`` seconds."""
        return 1.0 / (self.step_diameters * crossing_s)

    def streams(self) -> dict[str, npt.NDArray[Any]]:
        """Inputs of ``linear_hardware`` by the names of its arguments, all but ``dm``."""
        return {
            "response": self.response,
            "reference": self.reference,
            "disturbance": self.disturbance,
            "metric": self.metric,
        }


def mirror_shape(instrument: Instrument) -> tuple[int, ...]:
    """Shape of a mirror's command: the mask's where every point of it is an actuator, else (n_actuators,)."""
    n_act, mask = instrument.n_actuators, instrument.dm_mask
    return mask.shape if _is_grid(mask) and mask.size == n_act else (n_act,)


def _is_grid(mask: npt.NDArray[np.bool_]) -> bool:
    """Whether a mask says where actuators are; a single row is what an instrument without one has."""
    return len(mask) > 1


def _placed(instrument: Instrument) -> tuple[tuple[int, int], Floats]:
    """Window and projector from the mask, or from a guess."""
    n_act, mask = instrument.n_actuators, instrument.dm_mask
    if _is_grid(mask):
        return grid_projector(mask, instrument.actuators)
    across = math.isqrt(n_act)
    if across * across == n_act:
        return grid_projector(np.ones((across, across), bool), np.arange(n_act))
    return disc_projector(n_act)


def _sensed_metric(response: Floats, used: npt.NDArray[np.bool_]) -> Floats:
    """Metric that weights each actuator in use by what it moves on the sensor."""
    energy = np.square(response, dtype=np.float64).sum(axis=1) * used
    if not energy.any():
        raise UsageError("no actuator in use has any response; check the mask and the response matrix")
    return weight_metric(np.minimum(energy, np.median(energy[energy > 0])))
