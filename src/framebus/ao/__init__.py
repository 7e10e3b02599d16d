"""Adaptive optics: units for a loop, and what it takes to calibrate one.

Units, in the order of a loop: ``calibrate``, ``centroids`` (or another centroider) or ``intensities``,
``reconstruct``, ``leaky_integrator`` or ``modal_integrator``, ``dm_command``.
"""

from framebus.ao.calibration import (
    ControlMatrix,
    control_matrix,
    measure_interaction_matrix,
    measure_reference,
)
from framebus.ao.centroiders import box_flux, brightest_centroids, weighted_centroids, windowed_centroids
from framebus.ao.control import leaky_integrator, modal_integrator
from framebus.ao.correlation import correlation_centroids, fourier_centroids
from framebus.ao.dm import dm_command
from framebus.ao.instrument import Instrument, load_instrument
from framebus.ao.patterns import hadamard_patterns, zonal_patterns
from framebus.ao.pixels import calibrate, intensities
from framebus.ao.reconstruction import reconstruct
from framebus.ao.shack_hartmann import centroids
from framebus.ao.strehl import residual_rms, strehl_ratio
from framebus.ao.subapertures import Doubt, Subapertures, find_subapertures, measure_centroids, regular_grid
from framebus.ao.templates import cut_templates, gaussian_weights, weighting_gain

__all__ = [
    "ControlMatrix",
    "Doubt",
    "Instrument",
    "Subapertures",
    "box_flux",
    "brightest_centroids",
    "calibrate",
    "centroids",
    "control_matrix",
    "correlation_centroids",
    "cut_templates",
    "dm_command",
    "find_subapertures",
    "fourier_centroids",
    "gaussian_weights",
    "hadamard_patterns",
    "intensities",
    "leaky_integrator",
    "load_instrument",
    "measure_centroids",
    "measure_interaction_matrix",
    "measure_reference",
    "modal_integrator",
    "reconstruct",
    "regular_grid",
    "residual_rms",
    "strehl_ratio",
    "weighted_centroids",
    "weighting_gain",
    "windowed_centroids",
    "zonal_patterns",
]
