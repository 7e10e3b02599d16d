"""The simulated telescope on streams: commands in, frames out, as one device unit."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np

from framebus.errors import BindingError, UsageError
from framebus.sim.simulator import Simulator, load
from framebus.stream import Stream, create
from framebus.unit import SKIP, Array, ArraySpec, In, Out, Range, Unit


class SimulatedTelescope(Unit, name="telescope"):
    """A ``Simulator`` as a unit. Trigger it by a delay of its ``rate_hz``, or free for as fast as it can.

    A subclass that sets ``file`` can be named in a pipeline file.

    Attributes:
        file: the description that is loaded when no simulator is given.
        image_stream: where the science camera's images go, float32, whenever one is finished; empty: nowhere.
        image_history: how many past images that stream keeps.
        frames: after so many it publishes nothing more, and calls ``when_done``; 0: no end.
        simulator: the telescope, from ``setup`` on.
    """

    file: ClassVar[str] = ""
    image_stream: str = ""
    image_history: int = 0
    frames: int = 0

    def __init__(self, simulator: Simulator | None = None) -> None:
        self._given = simulator
        self._images: Stream | None = None
        self._shown = 0

    def when_done(self) -> None:
        """Called once, in the loop's own thread, when the last of ``frames`` has been published."""

    def setup(self) -> None:
        """Load the description, and make the images' stream.

        Raises:
            UsageError: there is neither a simulator nor a file.
            NotFoundError, DataError: as ``load``.
        """
        if self._given is None and not self.file:
            raise UsageError(
                "a simulated telescope needs a simulator, or the name of its description in 'file'"
            )
        self.simulator = self._given or load(self.file)
        self._shown = self.simulator.images
        if self.image_stream:
            self._images = create(
                self.image_stream, shape=self.simulator.psf.shape, dtype="float32", history=self.image_history
            )

    def teardown(self) -> None:
        """Give the images' stream back; it stays."""
        if self._images is not None:
            self._images.close()
            self._images = None

    def shapes(self, dm: ArraySpec) -> dict[str, Any]:
        """Shapes of the outputs.

        Raises:
            BindingError: the number of commands is not that of the mirror's actuators.
        """
        wanted = self.simulator.dm_shape
        if math.prod(dm.shape) != math.prod(wanted):
            raise BindingError(
                f"unit 'telescope', argument 'dm': its shape is {dm.shape}; expected {math.prod(wanted)} commands, "
                f"such as {wanted}"
            )
        return {"wfs": (self.simulator.wfs_shape, "uint16"), "phase": (self.simulator.phase.shape, "float32")}

    def step(
        self,
        dm: Annotated[In, Array(..., dtype="float32"), "commands, µm of wavefront"],
        wfs: Annotated[Out, Array((None, None), dtype="uint16"), "the sensor's frame"],
        phase: Annotated[Out, Array((None, None), dtype="float32"), "residual, µm without piston"],
        residual: Annotated[
            Out, Array((3,), dtype="float32"), "rms nm, Strehl ratio, rms nm of the turbulence"
        ],
        *,
        turbulence: Annotated[float, Range(0.0, 100.0), "factor on the turbulence; 0 for calibration"] = 1.0,
    ) -> int:
        """One frame. A lost frame is not published, nor what belongs to it."""
        simulator = self.simulator
        if self.frames and simulator.frames >= self.frames:
            return SKIP
        simulator.atmosphere.strength = turbulence
        frame = simulator.step(dm)
        if self._images is not None and simulator.images > self._shown:
            self._images.write(simulator.psf)
            self._shown = simulator.images
        if simulator.frames == self.frames:
            self.when_done()
        if frame is None:
            return SKIP
        wfs[:] = frame
        phase[:] = simulator.phase
        residual[:] = np.array([simulator.rms_nm, simulator.strehl, simulator.turbulence_nm], np.float32)
        return 0
