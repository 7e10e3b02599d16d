"""Calibrates the AO demonstration and closes its loop step by step.

    $ framebus up demo --detach
    $ framebus seq run calibrate

Whatever happens, and if it is stopped, the loop is opened again and the mirror is left at its flat.
"""

import math

import numpy as np

from framebus import ao, sim
from framebus import open as open_stream
from framebus.errors import SequenceError
from framebus.sequence import (
    in_thread,
    log,
    progress,
    repeat,
    restoring,
    sequence,
    set,  # noqa: A004
    step,
    wait_stream,
    wait_unit,
)

UNITS = ("simulator", "calibrate", "centroids", "reconstructor", "controller", "mirror")
GAIN = "demo_controller.gain"


async def open_loop() -> None:
    """Gain 0 and the mirror at its flat: no earlier correction may be left on it when the reference is measured."""
    set(GAIN, 0.0)
    with restoring("demo_controller.leak"):
        set("demo_controller.leak", 0.0)  # the controller forgets its command, which would decay slowly
        await wait_stream("demo_command", frames=2)


# -- dark
async def measure_dark(frames: int) -> None:
    """What the camera shows without light; from here on it is subtracted."""
    step("dark")
    with (
        restoring("demo_simulator.photons"),
        open_stream("demo_wfs") as wfs,
        open_stream("demo_dark") as dark,
    ):
        set("demo_simulator.photons", 0.0)
        await wait_stream("demo_wfs", frames=3)
        average = await in_thread(ao.average_frames, wfs, frames, allow_missed=True, progress=progress)
        found = ao.make_dark(average)
        dark.write(found.level)
    log(f"dark {found.median_level:.1f}, noise {found.median_noise:.2f} counts")
    await wait_stream("demo_wfs", frames=3)
    # -- end of dark


async def measure_matrices(amplitude: float, condition: float) -> None:
    """Reference, then the response to every actuator and its inverse."""
    with (
        open_stream("demo_slopes") as slopes,
        open_stream("demo_mirror_flat") as mirror,
        open_stream("demo_reference") as reference,
        open_stream("demo_control_matrix") as matrix,
    ):
        step("reference")
        reference.write(np.zeros(reference.shape))
        await wait_stream("demo_slopes", frames=3)
        average = await in_thread(ao.average_frames, slopes, 50, allow_missed=True)
        reference.write(average.mean.astype(reference.dtype))
        step("response: push and pull every actuator")
        response = await in_thread(
            ao.measure_response,
            mirror,
            slopes,
            amplitude,
            active=sim.Bench(n_sub=10).dm_mask,  # the actuators of the telescope's pupil
            averages=2,
            settle_frames=3,
            tries=10,
            progress=progress,
        )
        step("control matrix")
        inverse = await in_thread(ao.control_matrix, response.matrix, condition=condition)
        matrix.write(inverse.matrix)
    log(f"{inverse.n_kept} modes, condition number {inverse.condition_number:.1f}")


async def rms_nm(frames: int) -> tuple[float, float]:
    """Mean rms of the wavefront over new frames, and of the turbulence alone in the same frames, nm."""
    with open_stream("demo_residual") as residual:
        found = await in_thread(lambda: [frame.data for frame in residual.frames(frames)])
    values = np.mean(found, axis=0)
    return float(values[0]), float(values[2])


# -- close
async def close_loop(gains: tuple[float, ...], frames: int) -> float:
    """Raise the gain step by step, as long as the wavefront gets better; returns how many times better it is.

    Turbulence waxes and wanes: worse is what is so both in itself and against the turbulence of the same frames.
    """
    before, better = math.inf, 1.0
    async for k in repeat(len(gains), "closing the loop"):
        set(GAIN, gains[k])
        await wait_stream("demo_residual", frames=frames)  # until it has settled
        now, turbulence = await rms_nm(frames)
        log(f"gain {gains[k]:g}: {now:.0f} nm, turbulence alone {turbulence:.0f} nm")
        if now > 1.5 * before and now * better > 1.5 * turbulence:
            raise SequenceError(
                f"gain {gains[k]:g} makes the wavefront worse: {now:.0f} nm of {turbulence:.0f} nm"
            )
        before, better = now, turbulence / now
    return better
    # -- end of close


@sequence
async def main(
    amplitude: float = 0.1, condition: float = 15.0, gain: float = 0.5, frames: int = 200
) -> float:
    """Calibrate, then close the loop; returns the rms of the turbulence over that of the wavefront."""
    step("waiting for the demonstration")
    for unit in UNITS:
        await wait_unit(f"demo_{unit}", "running", timeout_s=60.0)
    try:
        await open_loop()
        set("demo_simulator", turbulence=0.0, photons=1e5)  # an internal source
        await measure_dark(frames)
        await measure_matrices(amplitude, condition)
        set("demo_simulator", turbulence=1.0, photons=2000.0)  # the sky
        ratio = await close_loop((0.2 * gain, 0.5 * gain, gain), frames)
        if ratio < 3.0:
            raise SequenceError(
                f"the loop did not close: the wavefront is {ratio:.1f} times better, expected 3"
            )
    except BaseException:
        set(GAIN, 0.0)
        raise
    log(f"closed: the wavefront is {ratio:.1f} times better than the turbulence")
    return ratio
