"""The demonstration's streams and pipelines, in each placement."""

from __future__ import annotations

import contextlib
import math
from typing import Literal

import numpy as np

from framebus.cli.demo.rig import PREFIX, Rig
from framebus.errors import NotFoundError, UsageError
from framebus.params import Params
from framebus.pipeline import Pipeline
from framebus.process import records
from framebus.stream import Stream, create, streams
from framebus.unit import LoopOptions

Placement = Literal["processes", "threads", "fused"]

CAMERA = PREFIX + "simulator"
RECONSTRUCTOR = PREFIX + "reconstructor"
CONTROLLER = PREFIX + "controller"
MIRROR = PREFIX + "mirror"


def history_for(rig: Rig) -> int:
    """Frames that the display may fall behind: about a second."""
    return max(64, math.ceil(rig.rate_hz))


def make_streams(rig: Rig) -> dict[str, Stream]:
    """Put every array that the units read into a stream; by name without prefix.

    Raises:
        UsageError: another demonstration runs.
    """
    if any(
        info.state == "live" and info.name == PREFIX + "residual" and info.writer_pid for info in streams()
    ):
        raise UsageError(
            "a demonstration runs already on this machine; end it first, or set MILK_SHM_DIR to another directory"
        )
    n_actuators = int(np.prod(rig.dm_shape))
    arrays = {f"camera_{name}": array for name, array in rig.camera_inputs.items()}
    arrays |= dict(rig.inputs)
    arrays["mirror_flat"] = np.zeros(rig.dm_shape, np.float32)
    arrays["control_matrix"] = np.zeros((n_actuators, rig.n_measurements), np.float32)
    made = {}
    for name, array in arrays.items():
        made[name] = create(PREFIX + name, shape=array.shape, dtype=array.dtype)
        made[name].write(array)
    made["dm"] = create(PREFIX + "dm", shape=rig.dm_shape, dtype="float32", history=history_for(rig))
    made["dm"].write(np.zeros(rig.dm_shape, np.float32))
    return made


def camera_pipeline(rig: Rig, placement: Placement) -> Pipeline:
    """Telescope, mirror and sensor: a frame at every tick of the clock."""
    wiring = {name: f"{PREFIX}camera_{name}" for name in rig.camera_inputs} | {"dm": PREFIX + "dm"}
    for argument in rig.camera.outputs():
        wiring[argument.name] = PREFIX + argument.name
    pipeline = Pipeline(PREFIX + "camera")
    pipeline.add(
        rig.camera,
        name=CAMERA,
        streams=wiring,
        parameters={**rig.camera_parameters, **rig.calibration_parameters},
        history={"wfs": history_for(rig), "residual": history_for(rig)},
        options=LoopOptions(trigger="delay", period_s=1.0 / rig.rate_hz),
        process=CAMERA if placement == "processes" else "",
    )
    return pipeline


def sensing_pipeline(rig: Rig, placement: Placement) -> Pipeline:
    """From the camera's frame to slopes."""
    pipeline = Pipeline(PREFIX + "sensing")
    _add_sensing(pipeline, rig, PREFIX + "slopes" if placement == "processes" else "", "slopes")
    return pipeline


def control_pipeline(rig: Rig, placement: Placement) -> Pipeline:
    """From slopes to the mirror's command; with ``fused`` from the camera's frame on, in one loop."""
    pipeline = Pipeline(PREFIX + "control")
    apart = placement == "processes"
    if placement == "fused":
        _add_sensing(pipeline, rig, "", "rtc")
    pipeline.add(
        "framebus.ao:reconstruct",
        name=RECONSTRUCTOR,
        streams={
            "slopes": PREFIX + "slopes",
            "control_matrix": PREFIX + "control_matrix",
            "modes": PREFIX + "error",
        },
        process=RECONSTRUCTOR if apart else "",
        fuse="rtc" if placement == "fused" else "reconstructor",
    )
    process, fuse = CONTROLLER if apart else "", "rtc" if placement == "fused" else "controller"
    pipeline.add(
        "framebus.ao:leaky_integrator",
        name=CONTROLLER,
        streams={"error": PREFIX + "error", "command": PREFIX + "command"},
        parameters={"gain": 0.0, "leak": rig.leak},
        process=process,
        fuse=fuse,
    )
    pipeline.add(
        "framebus.ao:dm_command",
        name=MIRROR,
        streams={"command": PREFIX + "command", "flat": PREFIX + "mirror_flat", "dm": PREFIX + "dm"},
        parameters={"minimum": -rig.stroke, "maximum": rig.stroke},
        history=history_for(rig),
        process=process,
        fuse=fuse,
    )
    return pipeline


def _add_sensing(pipeline: Pipeline, rig: Rig, process: str, fuse: str) -> None:
    for step in rig.sensing:
        pipeline.add(
            step.unit,
            name=PREFIX + step.unit.name,
            streams={argument: PREFIX + stream for argument, stream in step.streams.items()},
            parameters=step.parameters,
            process=process,
            fuse=fuse,
        )


def clear_away() -> None:
    """Remove everything of the demonstration's from shared memory."""
    from framebus.stream import open as open_stream

    for info in streams():
        if info.name.startswith(PREFIX) and info.state != "bad":
            with contextlib.suppress(NotFoundError):
                open_stream(info.name).remove()
    for record in records():
        if record.unit.startswith(PREFIX) and not record.alive:
            record.remove()
        record.close()
    for path in _parameter_sets():
        with contextlib.suppress(NotFoundError):
            Params.open(path).remove()


def _parameter_sets() -> list[str]:
    from framebus.params.paramset import SUFFIX
    from framebus.stream.names import shm_directory

    return [path.name.removesuffix(SUFFIX) for path in shm_directory().glob(f"{PREFIX}*{SUFFIX}")]
