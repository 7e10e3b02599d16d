"""Adaptive optics: units for a loop, and what it takes to calibrate one.

Units, in the order of a loop: ``calibrate``, ``centroids`` or ``intensities``, ``reconstruct``,
``leaky_integrator`` or ``modal_integrator``, ``dm_command``.
"""

from framebus.ao.aberration import Aberration, measure_aberration
from framebus.ao.calibration import (
    ControlMatrix,
    control_matrix,
    measure_interaction_matrix,
    measure_reference,
)
from framebus.ao.control import leaky_integrator, modal_integrator
from framebus.ao.dm import dm_command
from framebus.ao.error_budget import ErrorBudget
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
from framebus.ao.measured_rejection import MeasuredRejection, rejection_from_loop, rejection_from_pair
from framebus.ao.modal_basis import ModalBasis, influence_basis, load_basis, placed_basis, save_basis
from framebus.ao.modal_gains import ModalGains, integrator_rejection, largest_gain, optimise_gains
from framebus.ao.patterns import hadamard_patterns, zonal_patterns
from framebus.ao.pixels import calibrate, intensities
from framebus.ao.reconstruction import reconstruct
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
from framebus.ao.strehl import residual_rms, strehl_ratio
from framebus.ao.subapertures import Doubt, Subapertures, find_subapertures, measure_centroids, regular_grid
from framebus.ao.telemetry import noise_variance, power_spectrum, pseudo_open_loop
from framebus.ao.turbulence_statistics import noll_residuals, von_karman_covariance, zernike_covariance
from framebus.ao.zernike import ZernikeFit, fit_zernikes, noll_index, zernike_gradients, zernike_modes

__all__ = [
    "Aberration",
    "ControlMatrix",
    "Doubt",
    "ErrorBudget",
    "Estimate",
    "Instrument",
    "Inverse",
    "MeasuredRejection",
    "ModalBasis",
    "ModalGains",
    "Seeing",
    "Subapertures",
    "ZernikeFit",
    "calibrate",
    "centroids",
    "control_matrix",
    "describe_seeing",
    "dm_command",
    "find_subapertures",
    "fit_zernikes",
    "hadamard_patterns",
    "influence_basis",
    "integrator_rejection",
    "intensities",
    "largest_gain",
    "leaky_integrator",
    "load_basis",
    "load_control_matrix",
    "load_instrument",
    "measure_aberration",
    "measure_centroids",
    "measure_interaction_matrix",
    "measure_reference",
    "mmse_inverse",
    "modal_integrator",
    "modal_inverse",
    "noise_variance",
    "noll_index",
    "noll_residuals",
    "optimise_gains",
    "placed_basis",
    "power_spectrum",
    "pseudo_open_loop",
    "r0_from_modes",
    "r0_from_slopes",
    "reconstruct",
    "regular_grid",
    "rejection_from_loop",
    "rejection_from_pair",
    "residual_rms",
    "save_basis",
    "save_inverse",
    "strehl_ratio",
    "tikhonov_inverse",
    "truncated_inverse",
    "von_karman_covariance",
    "wind_from_slopes",
    "wind_from_zernikes",
    "zernike_covariance",
    "zernike_gradients",
    "zernike_modes",
    "zonal_patterns",
]
