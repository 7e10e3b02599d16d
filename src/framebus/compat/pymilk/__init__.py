"""pyMilk's names for framebus' streams and parameters: ``from framebus.compat.pymilk import SHM``.

Scripts that were written for pyMilk run with this import in the place of theirs. What differs is listed in the
documentation, under "Coming from milk and cacao".
"""

from framebus.compat.pymilk.errors import (
    AutoRelinkError,
    AutoRelinkSizeError,
    AutoRelinkTypeError,
    FPSDoesntExistError,
    FPSOverrideError,
    SHMNotFoundError,
    UnsupportedError,
)
from framebus.compat.pymilk.fps import FPS, FPS_flags, FPS_type, FPSManager
from framebus.compat.pymilk.img_shapes import Which3DState
from framebus.compat.pymilk.shm import SHM
from framebus.compat.pymilk.shm_functions import MILK_SHM_DIR, check_SHM_name, creashmim

__all__ = [
    "FPS",
    "MILK_SHM_DIR",
    "SHM",
    "AutoRelinkError",
    "AutoRelinkSizeError",
    "AutoRelinkTypeError",
    "FPSDoesntExistError",
    "FPSManager",
    "FPSOverrideError",
    "FPS_flags",
    "FPS_type",
    "SHMNotFoundError",
    "UnsupportedError",
    "Which3DState",
    "check_SHM_name",
    "creashmim",
]
