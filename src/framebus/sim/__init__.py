"""A simulated telescope: turbulence, mirror, sensors. Needs the extra ``framebus[ao]``.

``load`` makes a whole telescope of a TOML description, to be stepped from Python; ``SimulatedTelescope`` is the same as
a unit on streams. ``Bench`` and ``LinearHardware`` make what the units ``shack_hartmann_camera`` and
``linear_hardware`` read.
"""

from framebus.sim.atmosphere import Atmosphere
from framebus.sim.description import Description, read_description
from framebus.sim.detector import Detector, FrameDelay
from framebus.sim.device import SimulatedTelescope
from framebus.sim.known_instrument import LinearHardware
from framebus.sim.linear_response import linear_hardware
from framebus.sim.mirror import Actuation, Mirror
from framebus.sim.pupil import Spider, make_pupil
from framebus.sim.pyramid import Pyramid
from framebus.sim.science import ScienceCamera
from framebus.sim.sensors import GeometricShackHartmann, PyramidSensor, ShackHartmann
from framebus.sim.shack_hartmann import shack_hartmann_camera
from framebus.sim.simulator import Simulator, load
from framebus.sim.telescope import Bench, Layer
from framebus.sim.turbulence import PhaseScreen

__all__ = [
    "Actuation",
    "Atmosphere",
    "Bench",
    "Description",
    "Detector",
    "FrameDelay",
    "GeometricShackHartmann",
    "Layer",
    "LinearHardware",
    "Mirror",
    "PhaseScreen",
    "Pyramid",
    "PyramidSensor",
    "ScienceCamera",
    "ShackHartmann",
    "SimulatedTelescope",
    "Simulator",
    "Spider",
    "linear_hardware",
    "load",
    "make_pupil",
    "read_description",
    "shack_hartmann_camera",
]
