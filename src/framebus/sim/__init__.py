"""A simulated telescope: turbulence, mirror, sensors. Needs the extra ``framebus[ao]``.

``Bench`` and ``LinearHardware`` make what the units ``shack_hartmann_camera`` and ``linear_hardware`` read.
"""

from framebus.sim.known_instrument import LinearHardware
from framebus.sim.linear_response import linear_hardware
from framebus.sim.shack_hartmann import shack_hartmann_camera
from framebus.sim.telescope import Bench, Layer
from framebus.sim.turbulence import PhaseScreen

__all__ = ["Bench", "Layer", "LinearHardware", "PhaseScreen", "linear_hardware", "shack_hartmann_camera"]
