"""Units in a loop: start, tune, watch, steer, fail. Included piece by piece in docs/units.md."""

from typing import Annotated

import numpy as np

import framebus as fb
from framebus.errors import BindingError, UnitError
from framebus.process import ProcessRecord
from framebus.unit import Array, LoopOptions, Range, Stage, Unit, start


@fb.unit
def integrator(error: fb.In, command: fb.Out, *, gain: Annotated[float, Range(0.0, 1.0)] = 0.5) -> int:
    """Command -= gain * error."""
    for i in range(error.size):
        if not np.isfinite(error[i]):
            return 1
    for i in range(error.size):
        command[i] -= gain * error[i]
    return 0


# -- start
error = fb.create("error", shape=(97,), dtype="float32")
stage = Stage(integrator, {"error": "error", "command": "command"}, {"gain": 0.25})

with start(stage) as loop, fb.open("command") as command:
    error.write(np.ones(97))
    print(command.read_next(timeout_s=10.0).data[0])
    # -- end of start
    # -- tune
    loop.params.gain = 1.0  # here; in any other process: fb.Params.open("integrator").gain = 1.0
    error.write(np.ones(97))
    print(command.read_next(timeout_s=10.0).data[0])
    # -- end of tune
    # -- steer
    with ProcessRecord.open("integrator") as record:  # from any process
        record.pause()
        record.step(2)
        record.resume()
        print(record.state.name, record.loop_count, record.missed)
    # -- end of steer

# -- binding
try:
    start(Stage(integrator, {"error": "errors", "command": "command"}))
except BindingError as refusal:
    print(refusal)
# -- end of binding

# -- fail
with fb.open("command") as command:
    loop = start(stage)
    error.write(np.full(97, np.nan))
    try:
        loop.wait(timeout_s=10.0)
    except UnitError as failure:
        print(failure)
    print(command.read()[0])  # the last good frame
# -- end of fail


# -- device
class Shutter(Unit):
    """Moves at every tick of the clock."""

    def setup(self) -> None:
        """Open the device; an exception here keeps the unit from starting."""
        self.moves = 0

    def step(self, position: Annotated[fb.Out, Array((1,), dtype="uint8")]) -> None:
        """One frame; an exception here ends the unit, and nothing is published."""
        self.moves += 1
        position[0] = self.moves % 2

    def teardown(self) -> None:
        """Close the device, whatever happened."""
        print("closed")


clock = LoopOptions(trigger="delay", period_s=0.001)
with start(Stage(Shutter, {"position": "shutter"}), clock), fb.open("shutter") as shutter:
    print(shutter.read_next(timeout_s=10.0).data)
# -- end of device

# -- fused
stages = [
    Stage(integrator, {"error": "error", "command": "command"}),
    Stage(integrator, {"error": "command", "command": "second"}, name="twice"),
]
with start(stages) as loop, fb.open("second") as second:
    error.write(np.zeros(97))
    print(second.read_next(timeout_s=10.0).data[0], [record.loop_count for record in loop.records])
# -- end of fused
