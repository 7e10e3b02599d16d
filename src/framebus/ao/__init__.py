"""Adaptive optics: units for a loop, and what it takes to calibrate one.

Units, in the order of a loop: ``calibrate``, ``centroids`` or ``intensities``, ``reconstruct``,
``leaky_integrator`` or ``modal_integrator``, ``dm_command``.
"""

from framebus.ao.averages import Average, average_frames, check_light
from framebus.ao.calibration import (
    ControlMatrix,
    control_matrix,
    measure_interaction_matrix,
    measure_reference,
)
from framebus.ao.calibration_files import (
    CalibrationFile,
    load_calibration,
    load_pupils,
    load_subapertures,
    save_calibration,
    save_pupils,
    save_subapertures,
)
from framebus.ao.control import leaky_integrator, modal_integrator
from framebus.ao.dark import Dark, make_dark
from framebus.ao.measured_delay import Delay, measure_delay
from framebus.ao.dm import dm_command
from framebus.ao.flat import Flat, make_flat
from framebus.ao.instrument import Instrument, load_instrument
from framebus.ao.lattice import Lattice, find_lattice
from framebus.ao.modulation import Modulated, measure_modulated
from framebus.ao.patterns import hadamard_patterns, zonal_patterns
from framebus.ao.pixels import calibrate, intensities
from framebus.ao.pupils import Pupils, find_pupils
from framebus.ao.reconstruction import reconstruct
from framebus.ao.registration import Registration, find_registration
from framebus.ao.response import Response, measure_response
from framebus.ao.sampling import Span
from framebus.ao.shack_hartmann import centroids
from framebus.ao.strehl import residual_rms, strehl_ratio
from framebus.ao.subapertures import Doubt, Subapertures, find_subapertures, measure_centroids, regular_grid

__all__ = [
    "Average",
    "CalibrationFile",
    "ControlMatrix",
    "Dark",
    "Delay",
    "Doubt",
    "Flat",
    "Instrument",
    "Lattice",
    "Modulated",
    "Pupils",
    "Registration",
    "Response",
    "Span",
    "Subapertures",
    "average_frames",
    "calibrate",
    "centroids",
    "check_light",
    "control_matrix",
    "dm_command",
    "find_lattice",
    "find_pupils",
    "find_registration",
    "find_subapertures",
    "hadamard_patterns",
    "intensities",
    "leaky_integrator",
    "load_calibration",
    "load_instrument",
    "load_pupils",
    "load_subapertures",
    "make_dark",
    "make_flat",
    "measure_centroids",
    "measure_delay",
    "measure_interaction_matrix",
    "measure_modulated",
    "measure_reference",
    "measure_response",
    "modal_integrator",
    "reconstruct",
    "regular_grid",
    "residual_rms",
    "save_calibration",
    "save_pupils",
    "save_subapertures",
    "strehl_ratio",
    "zonal_patterns",
]
