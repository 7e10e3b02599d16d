"""Adaptive optics: units for a loop, and what it takes to calibrate one.

Units, in the order of a loop: ``calibrate``, ``centroids`` (or another centroider), ``pyramid_slopes`` or
``intensities``, ``reconstruct``, a controller such as ``leaky_integrator``, ``guard``, the channels' sum
(``framebus.ao.channels``), ``dm_command`` or ``dm_limits``.
"""

from framebus.ao.aberration import Aberration, measure_aberration
from framebus.ao.averages import Average, average_frames, check_light
from framebus.ao.calibration import ControlMatrix, control_matrix
from framebus.ao.calibration_files import (
    CalibrationFile,
    load_calibration,
    save_calibration,
)
from framebus.ao.centroiders import box_flux, brightest_centroids, weighted_centroids, windowed_centroids
from framebus.ao.control import (
    leaky_integrator,
    map_integrator,
    modal_integrator,
    open_loop_integrator,
    shortfall,
)
from framebus.ao.correlation import correlation_centroids, fourier_centroids
from framebus.ao.dark import Dark, make_dark
from framebus.ao.delay import pseudo_open_loop, pseudo_open_loop_slopes, smith_predictor
from framebus.ao.detector import Amplifier, descrambling_table, gain_map, mask_table, neighbour_table
from framebus.ao.dm import dm_command
from framebus.ao.dm_limits import DM_STATUS, dm_limits
from framebus.ao.error_budget import ErrorBudget
from framebus.ao.filters import iir_coefficients, iir_filter, pid
from framebus.ao.flat import Flat, make_flat
from framebus.ao.geometry import check_boxes, check_pupils, circular_pupils
from framebus.ao.geometry_files import load_boxes, load_pupils, save_boxes, save_pupils
from framebus.ao.guard import GUARD_STATUS, guard
from framebus.ao.image_quality import ImageQuality, image_quality, measure_image
from framebus.ao.instrument import Instrument, load_instrument
from framebus.ao.inversion import (
    Inverse,
    load_control_matrix,
    mmse_inverse,
    modal_inverse,
    save_inverse,
    tikhonov_inverse,
    truncated_inverse,
)
from framebus.ao.lattice import Lattice, find_lattice
from framebus.ao.measured_delay import Delay, measure_delay
from framebus.ao.measured_rejection import MeasuredRejection, rejection_from_loop, rejection_from_pair
from framebus.ao.mirror_modes import grid_modes, mode_projector
from framebus.ao.modal_basis import ModalBasis, influence_basis, load_basis, placed_basis, save_basis
from framebus.ao.modal_gains import ModalGains, largest_gain, optimise_gains
from framebus.ao.modulation import Modulated, measure_modulated
from framebus.ao.offload import offload
from framebus.ao.parallel import join_parts, reconstruct_part, split_rows
from framebus.ao.patterns import hadamard_patterns, zonal_patterns
from framebus.ao.pixels import calibrate, intensities, normalise
from framebus.ao.prediction import Predictor, predictive_filter, train_predictor
from framebus.ao.pupils import Pupils, find_pupils
from framebus.ao.pyramid import pyramid_slopes
from framebus.ao.readout import bin_pixels, remap, replace_bad_pixels
from framebus.ao.reconstruction import reconstruct, split_modes
from framebus.ao.registration import Registration, find_registration
from framebus.ao.response import Response, measure_response
from framebus.ao.running import block_statistics, exponential_statistics, frame_rms
from framebus.ao.sampling import Span
from framebus.ao.seeing import (
    Estimate,
    Seeing,
    describe_seeing,
    r0_from_modes,
    r0_from_slopes,
    wind_from_slopes,
    wind_from_zernikes,
)
from framebus.ao.shack_hartmann import centroids
from framebus.ao.short_matrix import (
    from_bfloat16,
    reconstruct_bfloat16,
    reconstruct_int16,
    to_bfloat16,
    to_int16,
)
from framebus.ao.spectrum import Spectrum, hann, power_spectrum, spectrum, stream_spectrum
from framebus.ao.strehl import (
    perfect_concentration,
    perfect_image,
    residual_rms,
    strehl_of_image,
    strehl_ratio,
)
from framebus.ao.subapertures import Doubt, Subapertures, find_subapertures, measure_centroids, regular_grid
from framebus.ao.telemetry import noise_variance
from framebus.ao.templates import cut_templates, gaussian_weights, weighting_gain
from framebus.ao.turbulence_statistics import noll_residuals, von_karman_covariance, zernike_covariance
from framebus.ao.zernike import ZernikeFit, fit_zernikes, noll_index, zernike_gradients, zernike_modes

__all__ = [
    "DM_STATUS",
    "GUARD_STATUS",
    "Aberration",
    "Amplifier",
    "Average",
    "CalibrationFile",
    "ControlMatrix",
    "Dark",
    "Delay",
    "Doubt",
    "ErrorBudget",
    "Estimate",
    "Flat",
    "ImageQuality",
    "Instrument",
    "Inverse",
    "Lattice",
    "MeasuredRejection",
    "ModalBasis",
    "ModalGains",
    "Modulated",
    "Predictor",
    "Pupils",
    "Registration",
    "Response",
    "Seeing",
    "Span",
    "Spectrum",
    "Subapertures",
    "ZernikeFit",
    "average_frames",
    "bin_pixels",
    "block_statistics",
    "box_flux",
    "brightest_centroids",
    "calibrate",
    "centroids",
    "check_boxes",
    "check_light",
    "check_pupils",
    "circular_pupils",
    "control_matrix",
    "correlation_centroids",
    "cut_templates",
    "descrambling_table",
    "describe_seeing",
    "dm_command",
    "dm_limits",
    "exponential_statistics",
    "find_lattice",
    "find_pupils",
    "find_registration",
    "find_subapertures",
    "fit_zernikes",
    "fourier_centroids",
    "frame_rms",
    "from_bfloat16",
    "gain_map",
    "gaussian_weights",
    "grid_modes",
    "guard",
    "hadamard_patterns",
    "hann",
    "iir_coefficients",
    "iir_filter",
    "image_quality",
    "influence_basis",
    "intensities",
    "join_parts",
    "largest_gain",
    "leaky_integrator",
    "load_basis",
    "load_boxes",
    "load_calibration",
    "load_control_matrix",
    "load_instrument",
    "load_pupils",
    "make_dark",
    "make_flat",
    "map_integrator",
    "mask_table",
    "measure_aberration",
    "measure_centroids",
    "measure_delay",
    "measure_image",
    "measure_modulated",
    "measure_response",
    "mmse_inverse",
    "modal_integrator",
    "modal_inverse",
    "mode_projector",
    "neighbour_table",
    "noise_variance",
    "noll_index",
    "noll_residuals",
    "normalise",
    "offload",
    "open_loop_integrator",
    "optimise_gains",
    "perfect_concentration",
    "perfect_image",
    "pid",
    "placed_basis",
    "power_spectrum",
    "predictive_filter",
    "pseudo_open_loop",
    "pseudo_open_loop_slopes",
    "pyramid_slopes",
    "r0_from_modes",
    "r0_from_slopes",
    "reconstruct",
    "reconstruct_bfloat16",
    "reconstruct_int16",
    "reconstruct_part",
    "regular_grid",
    "rejection_from_loop",
    "rejection_from_pair",
    "remap",
    "replace_bad_pixels",
    "residual_rms",
    "save_basis",
    "save_boxes",
    "save_calibration",
    "save_inverse",
    "save_pupils",
    "shortfall",
    "smith_predictor",
    "spectrum",
    "split_modes",
    "split_rows",
    "stream_spectrum",
    "strehl_of_image",
    "strehl_ratio",
    "tikhonov_inverse",
    "to_bfloat16",
    "to_int16",
    "train_predictor",
    "truncated_inverse",
    "von_karman_covariance",
    "weighted_centroids",
    "weighting_gain",
    "wind_from_slopes",
    "wind_from_zernikes",
    "windowed_centroids",
    "zernike_covariance",
    "zernike_gradients",
    "zernike_modes",
    "zonal_patterns",
]
