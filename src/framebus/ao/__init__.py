"""Adaptive optics: units for a loop, and what it takes to calibrate one.

Units, in the order of a loop: ``calibrate``, ``centroids`` or ``intensities``, ``reconstruct``, a controller such as
``leaky_integrator``, ``guard``, the channels' sum (``framebus.ao.channels``), ``dm_command`` or ``dm_limits``.
"""

from framebus.ao.calibration import (
    ControlMatrix,
    control_matrix,
    measure_interaction_matrix,
    measure_reference,
)
from framebus.ao.control import (
    leaky_integrator,
    map_integrator,
    modal_integrator,
    open_loop_integrator,
    shortfall,
)
from framebus.ao.delay import pseudo_open_loop, pseudo_open_loop_slopes, smith_predictor
from framebus.ao.dm import dm_command
from framebus.ao.dm_limits import DM_STATUS, dm_limits
from framebus.ao.filters import iir_coefficients, iir_filter, pid
from framebus.ao.guard import GUARD_STATUS, guard
from framebus.ao.instrument import Instrument, load_instrument
from framebus.ao.mirror_modes import grid_modes, mode_projector
from framebus.ao.offload import offload
from framebus.ao.parallel import join_parts, reconstruct_part, split_rows
from framebus.ao.patterns import hadamard_patterns, zonal_patterns
from framebus.ao.pixels import calibrate, intensities
from framebus.ao.prediction import Predictor, predictive_filter, train_predictor
from framebus.ao.reconstruction import reconstruct, split_modes
from framebus.ao.shack_hartmann import centroids
from framebus.ao.short_matrix import (
    from_bfloat16,
    reconstruct_bfloat16,
    reconstruct_int16,
    to_bfloat16,
    to_int16,
)
from framebus.ao.strehl import residual_rms, strehl_ratio
from framebus.ao.subapertures import Doubt, Subapertures, find_subapertures, measure_centroids, regular_grid

__all__ = [
    "DM_STATUS",
    "GUARD_STATUS",
    "ControlMatrix",
    "Doubt",
    "Instrument",
    "Predictor",
    "Subapertures",
    "calibrate",
    "centroids",
    "control_matrix",
    "dm_command",
    "dm_limits",
    "find_subapertures",
    "from_bfloat16",
    "grid_modes",
    "guard",
    "hadamard_patterns",
    "iir_coefficients",
    "iir_filter",
    "intensities",
    "join_parts",
    "leaky_integrator",
    "load_instrument",
    "map_integrator",
    "measure_centroids",
    "measure_interaction_matrix",
    "measure_reference",
    "modal_integrator",
    "mode_projector",
    "offload",
    "open_loop_integrator",
    "pid",
    "predictive_filter",
    "pseudo_open_loop",
    "pseudo_open_loop_slopes",
    "reconstruct",
    "reconstruct_bfloat16",
    "reconstruct_int16",
    "reconstruct_part",
    "regular_grid",
    "residual_rms",
    "shortfall",
    "smith_predictor",
    "split_modes",
    "split_rows",
    "strehl_ratio",
    "to_bfloat16",
    "to_int16",
    "train_predictor",
    "zonal_patterns",
]
