"""What is done to streams by hand or by a script: load, save, measure, change, and compute with them continuously.

The continuous operators are in ``framebus.ops.operators``; everything else is here.
"""

from __future__ import annotations

from framebus.ops.cubes import Cube, take_cube
from framebus.ops.links import link
from framebus.ops.loading import Loaded, Played, load_frames, load_parameters, play, stream_for_file
from framebus.ops.poking import Poked, poke
from framebus.ops.rates import Rate, rate, rates
from framebus.ops.saving import Saved, save_parameters, save_stream, snapshot
from framebus.ops.statistics import FrameStatistics, RunningStatistics, statistics

__all__ = [
    "Cube",
    "FrameStatistics",
    "Loaded",
    "Played",
    "Poked",
    "Rate",
    "RunningStatistics",
    "Saved",
    "link",
    "load_frames",
    "load_parameters",
    "play",
    "poke",
    "rate",
    "rates",
    "save_parameters",
    "save_stream",
    "snapshot",
    "statistics",
    "stream_for_file",
    "take_cube",
]
