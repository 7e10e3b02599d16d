"""Calibrating the demonstration's loop, through its streams alone, as an operator would."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from framebus.ao import ControlMatrix
    from framebus.cli.demo.rig import Rig
    from framebus.stream import Stream


class Progress(Protocol):
    """What shows how far the calibration is."""

    def phase(self, title: str, seconds: float | None = None) -> None:
        """A new phase begins."""

    def progress(self, done: int, total: int) -> None:
        """So much of the phase is done."""


def calibrate(rig: Rig, streams: Mapping[str, Stream], view: Progress) -> tuple[ControlMatrix, float]:
    """Measure reference and interaction matrix, and put reference and control matrix into their streams.

    The loop runs with a gain of zero meanwhile, and the mirror is poked through its flat, which the last unit adds to
    the command.

    Args:
        rig: what is calibrated.
        streams: slopes, reference, control_matrix and mirror_flat, open, by these names.
        view: is told how far it is.

    Returns:
        The control matrix, and the seconds that the interaction matrix took.
    """
    from framebus import ao

    view.phase("measuring the reference")
    mean = ao.average_frames(streams["slopes"], 50, allow_missed=True).mean
    streams["reference"].write(mean.astype(streams["reference"].dtype))
    view.phase("measuring the interaction matrix: push and pull every actuator")
    before = time.monotonic()
    response = ao.measure_response(
        streams["mirror_flat"],
        streams["slopes"],
        rig.amplitude,
        averages=2,
        settle_frames=3,  # the poke goes out with the next command, and the camera's next frame may have begun before
        active=rig.active,
        progress=view.progress,
    )
    seconds = time.monotonic() - before
    view.phase("inverting it")
    inverse = ao.control_matrix(response.matrix, condition=rig.condition)
    streams["control_matrix"].write(inverse.matrix)
    return inverse, seconds
