"""The life of a unit: checks, hooks and events. Included piece by piece in docs/units.md."""

from typing import Annotated

import numpy as np

import framebus as fb
from framebus.errors import ParameterError
from framebus.process import Event, ProcessRecord, State
from framebus.unit import About, Range, Stage, start


# -- about
@fb.unit
def clip(
    image: fb.In,
    clipped: fb.Out,
    *,
    low: Annotated[float, About(unit="ADU", help="Darker pixels become as bright as this.")] = 0.0,
    high: Annotated[float, About(unit="ADU"), "brightest pixel"] = 1000.0,
    margin: Annotated[int, Range(0, 100), About(unit="pixel", restart=True)] = 0,
) -> None:
    """Limit the brightness of every pixel."""
    for i in range(margin, image.size - margin):
        clipped.flat[i] = min(max(image.flat[i], low), high)


# -- end of about


# -- check
@clip.check
def in_order(low: float, high: float) -> dict[str, str] | None:
    """The limits must be the right way round."""
    return {"low": f"is above high, which is {high:g}"} if low > high else None


# -- end of check


# -- hooks
@clip.on("run")
def clear(clipped: np.ndarray, low: float) -> None:
    """No pixel of an earlier run stays."""
    clipped[...] = low


@clip.on("fail")
def tell(message: str) -> None:
    """Whoever must know is told."""
    print("failed:", message)


# -- end of hooks

image = fb.create("image", shape=(8, 8), dtype="float32")
streams = {"image": "image", "clipped": "clipped"}

# -- refused
try:
    start(Stage(clip, streams, {"low": 2000.0}))
except ParameterError as refusal:
    print(refusal)
print(fb.Params.open("clip").findings)
# -- end of refused

# -- events
with start(Stage(clip, streams, {"low": 0.0}), serve=True) as loop:
    with ProcessRecord.open("clip") as record:  # from any process
        for event, state in [
            (Event.IDLE, State.IDLE),
            (Event.DISABLE, State.STANDBY),  # streams, device and thread are given back
            (Event.ENABLE, State.IDLE),
            (Event.RUN, State.RUNNING),
        ]:
            record.send(event)
            while record.state is not state:
                record.wait_activity(record.activity, timeout_s=0.1)
    image.write(np.full((8, 8), 5000.0))
    with fb.open("clipped") as clipped:
        print(clipped.read(timeout_s=10.0).max())
# -- end of events
