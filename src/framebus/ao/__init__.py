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
from framebus.ao.detector import Amplifier, descrambling_table, gain_map, mask_table, neighbour_table
from framebus.ao.dm import dm_command
from framebus.ao.geometry import (
    check_boxes,
    check_pupils,
    circular_pupils,
    load_boxes,
    load_pupils,
    save_boxes,
    save_pupils,
)
from framebus.ao.image_quality import ImageQuality, image_quality, measure_image
from framebus.ao.instrument import Instrument, load_instrument
from framebus.ao.patterns import hadamard_patterns, zonal_patterns
from framebus.ao.pixels import calibrate, intensities, normalise
from framebus.ao.pyramid import pyramid_slopes
from framebus.ao.readout import bin_pixels, remap, replace_bad_pixels
from framebus.ao.reconstruction import reconstruct
from framebus.ao.running import block_statistics, exponential_statistics, frame_rms
from framebus.ao.shack_hartmann import centroids
from framebus.ao.spectrum import Spectrum, hann, power_spectrum, spectrum, stream_spectrum
from framebus.ao.strehl import (
    perfect_concentration,
    perfect_image,
    residual_rms,
    strehl_of_image,
    strehl_ratio,
)
from framebus.ao.subapertures import Doubt, Subapertures, find_subapertures, measure_centroids, regular_grid
from framebus.ao.templates import cut_templates, gaussian_weights, weighting_gain

__all__ = [
    "Amplifier",
    "ControlMatrix",
    "Doubt",
    "ImageQuality",
    "Instrument",
    "Spectrum",
    "Subapertures",
    "bin_pixels",
    "block_statistics",
    "box_flux",
    "brightest_centroids",
    "calibrate",
    "centroids",
    "check_boxes",
    "check_pupils",
    "circular_pupils",
    "control_matrix",
    "correlation_centroids",
    "cut_templates",
    "descrambling_table",
    "dm_command",
    "exponential_statistics",
    "find_subapertures",
    "fourier_centroids",
    "frame_rms",
    "gain_map",
    "gaussian_weights",
    "hadamard_patterns",
    "hann",
    "image_quality",
    "intensities",
    "leaky_integrator",
    "load_boxes",
    "load_instrument",
    "load_pupils",
    "mask_table",
    "measure_centroids",
    "measure_image",
    "measure_interaction_matrix",
    "measure_reference",
    "modal_integrator",
    "neighbour_table",
    "normalise",
    "perfect_concentration",
    "perfect_image",
    "power_spectrum",
    "pyramid_slopes",
    "reconstruct",
    "regular_grid",
    "remap",
    "replace_bad_pixels",
    "residual_rms",
    "save_boxes",
    "save_pupils",
    "spectrum",
    "stream_spectrum",
    "strehl_of_image",
    "strehl_ratio",
    "weighted_centroids",
    "weighting_gain",
    "windowed_centroids",
    "zonal_patterns",
]
