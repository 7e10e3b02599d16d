"""The demonstration from beginning to end: calibrate, show open loop, close the loop, account for every frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from framebus import _core
from framebus.cli.demo import wiring
from framebus.cli.demo.calibrate import calibrate
from framebus.cli.demo.monitor import (
    Account,
    EndToEnd,
    Percentiles,
    ResidualMonitor,
    StageMonitor,
    account_for,
    percentiles,
)
from framebus.cli.demo.rig import PREFIX, Rig
from framebus.errors import NotFoundError, UnitError
from framebus.params import Params
from framebus.process import ProcessRecord, State
from framebus.stream import Stream
from framebus.stream import open as open_stream

if TYPE_CHECKING:
    from framebus.pipeline.plan import PipelinePlan

REQUIRED_RATIO = 5.0
"""How many times below open loop the residual must be for the loop to count as closed."""

LOOK_S = 0.2
SETTLED = 0.3
"""The first part of the closed loop that does not count: the transient."""


class View(Protocol):
    """What shows the demonstration while it runs."""

    def phase(self, title: str, seconds: float | None = None) -> None:
        """A new phase begins."""

    def progress(self, done: int, total: int) -> None:
        """So much of the phase is done."""

    def live(self, demo: Demonstration) -> None:
        """New data has come."""


@dataclass
class Result:
    """What the demonstration found.

    Attributes:
        rig, placement, rate_hz: what ran.
        calibration_s: seconds that the interaction matrix took.
        modes, condition_number: of the control matrix.
        open_nm: mean rms of the wavefront while the loop was open, nm.
        closed_nm: mean rms of the wavefront in closed loop, nm.
        turbulence_nm: mean rms that the same frames would have had in open loop, nm: the turbulence alone.
        open_strehl, closed_strehl: mean Strehl ratio.
        loop_hz: commands per second in closed loop.
        stages: per unit: wake-up and compute times (p50, p99, max in µs) in closed loop.
        end_to_end_us: from the camera's frame to the mirror's command (p50, p99, max).
        accounts: what became of the frames, by unit.
    """

    rig: str
    placement: str
    rate_hz: float
    science_um: float
    calibration_s: float = 0.0
    modes: int = 0
    condition_number: float = 0.0
    open_nm: float = 0.0
    closed_nm: float = 0.0
    turbulence_nm: float = 0.0
    open_strehl: float = 0.0
    closed_strehl: float = 0.0
    loop_hz: float = 0.0
    stages: dict[str, dict[str, Percentiles]] = field(default_factory=dict)
    end_to_end_us: Percentiles = (np.nan, np.nan, np.nan)
    accounts: dict[str, Account] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ratio(self) -> float:
        """Residual that the frames of the closed loop would have had in open loop, over what they had.

        Not against the open loop before it: turbulence waxes and wanes within seconds.
        """
        return self.turbulence_nm / self.closed_nm if self.closed_nm > 0 else 0.0

    @property
    def unexplained(self) -> int:
        """Frames that nobody accounts for."""
        return sum(account.unexplained for account in self.accounts.values())

    @property
    def missed(self) -> int:
        """Frames missed, all units together."""
        return sum(account.missed for account in self.accounts.values())

    def problems(self) -> list[str]:
        """Why the demonstration did not succeed; empty if it did."""
        said = []
        if not self.ratio >= REQUIRED_RATIO:
            said.append(
                f"the loop did not close: the residual is {self.ratio:.1f} times below open loop, "
                f"{REQUIRED_RATIO:g} are required"
            )
        if self.unexplained:
            said.append(f"{self.unexplained} frames are neither processed nor accounted for")
        return said


@contextmanager
def supervised(plan: PipelinePlan, *, keep: bool = False) -> Iterator[None]:
    """A pipeline that runs as ``framebus up --detach`` runs it, until the end of the block; longer to ``keep`` it.

    If the block fails, it ends in any case.

    Raises:
        UsageError: it runs already. FramebusError: it could not be started.
    """
    from framebus.pipeline.background import detach
    from framebus.pipeline.control import Controller

    with suppress(NotFoundError):
        left = Controller(plan.name)
        if not left.supervised:
            left.down()  # of a demonstration that was killed
    detach(plan)
    try:
        yield
    except BaseException:
        Controller(plan.name).down()
        raise
    if not keep:
        Controller(plan.name).down()


class Demonstration:
    """One run. ``run`` does everything; the rest is there to be looked at meanwhile."""

    def __init__(
        self,
        rig: Rig,
        placement: wiring.Placement,
        duration_s: float,
        view: View,
        *,
        open_s: float | None = None,
        keep: bool = False,
    ) -> None:
        self.rig, self.placement, self.duration_s, self.view = rig, placement, duration_s, view
        self.keep = keep
        self.open_s = min(5.0, max(3.0, 0.4 * duration_s)) if open_s is None else open_s
        self.result = Result(rig.title, placement, rig.rate_hz, rig.science_um)
        self.stages: dict[str, StageMonitor] = {}
        self.residual: ResidualMonitor | None = None
        self.end_to_end: EndToEnd | None = None
        self.closed_at: int | None = None
        self.pictures: dict[str, npt.NDArray[Any]] = {}
        self.streams: dict[str, Stream] = {}

    def run(self) -> Result:
        """Do it all; afterwards nothing is left in shared memory, or with ``keep`` the loop, closed.

        Raises:
            FramebusError: something could not be started, or failed.
        """
        began = time.monotonic()
        self.view.phase("starting the pipeline (compiling on the first run)")
        with supervised(wiring.place(self.rig.plan, self.placement), keep=self.keep):
            try:
                self.calibrate()
                self.observe()
                self.account()
                if self.keep:
                    self.stages[wiring.CAMERA].record.resume()
            finally:
                self._close()
        self.result.seconds = time.monotonic() - began
        return self.result

    # ---- phases ----

    def calibrate(self) -> None:
        """Reference and interaction matrix through the streams, as on the instrument; then their inverse."""
        rig = self.rig
        for name in ("wfs", "slopes", "residual", "dm", "reference", "control_matrix", "mirror_flat"):
            self.streams[name] = open_stream(PREFIX + name)
        inverse, self.result.calibration_s = calibrate(rig, self.streams, self.view)
        self.result.modes, self.result.condition_number = inverse.n_kept, inverse.condition_number

    def observe(self) -> None:
        """Open loop, then closed loop."""
        self._watch()
        with Params.open(wiring.CAMERA) as camera:
            camera.update(self.rig.sky)
        self.view.phase("open loop", self.open_s)
        start = self._look_for(self.open_s)
        assert self.residual is not None
        values = self.residual.since(start)
        self.result.open_nm, self.result.open_strehl = float(values[:, 0].mean()), float(values[:, 1].mean())
        self._take_pictures("open")
        with Params.open(wiring.CONTROLLER) as controller:
            controller["gain"] = self.rig.gain
        self.closed_at = len(self.residual.values)
        for stage in self.stages.values():
            stage.look()
        self.view.phase("closed loop", self.duration_s)
        start = self._look_for(self.duration_s)
        values = self.residual.since(start)
        values = values[int(SETTLED * len(values)) :]
        result = self.result
        result.closed_nm, result.closed_strehl, result.turbulence_nm = (float(v) for v in values.mean(axis=0))
        self._take_pictures("closed")

    def account(self) -> None:
        """Stop the camera, let the loop come to rest, and hold every count against every other."""
        self.view.phase("accounting for every frame")
        self.stages[wiring.CAMERA].record.pause()
        for _, stream in self._triggers().values():
            if stream is not None:
                _until_quiet(stream)
        assert self.end_to_end is not None
        self.end_to_end.look()
        for name, (monitor, trigger) in self._triggers().items():
            self.result.accounts[name] = account_for(monitor, trigger)
            timings = monitor.all()
            woken = timings[timings["trigger_ns"] != 0]
            self.result.stages[name] = {
                "wake_up_us": percentiles(woken["start_ns"] - woken["trigger_ns"]),
                "compute_us": percentiles(timings["end_ns"] - timings["start_ns"]),
            }
        last = self.stages[wiring.MIRROR].all()
        if len(last) > 1:
            self.result.loop_hz = (len(last) - 1) * 1e9 / float(last["start_ns"][-1] - last["start_ns"][0])
        self.result.end_to_end_us = percentiles(np.array(self.end_to_end.latencies_ns, np.int64))

    # ---- its parts ----

    def _watch(self) -> None:
        period_ns = 1e9 / self.rig.rate_hz
        self.end_to_end = EndToEnd(self.streams["wfs"], self.streams["dm"])
        self.residual = ResidualMonitor(self.streams["residual"])
        self.residual.stream.skip_to_newest()
        for name in self.rig.plan.units:
            self.stages[name] = StageMonitor(ProcessRecord.open(name), period_ns)

    def _triggers(self) -> dict[str, tuple[StageMonitor, Stream | None]]:
        """Every unit's monitor with the stream whose frames start it."""
        found: dict[str, tuple[StageMonitor, Stream | None]] = {}
        for name, monitor in self.stages.items():
            trigger = monitor.record.trigger
            if trigger not in ("delay", "free", "once") and trigger not in self.streams:
                self.streams[trigger] = open_stream(trigger)
            found[name] = (monitor, self.streams.get(trigger))
        return found

    def _look_for(self, seconds: float) -> int:
        """Watch for so long; returns the index of the first residual frame of that time."""
        assert self.residual is not None
        assert self.end_to_end is not None
        self.residual.look()
        start = len(self.residual.values)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.residual.stream.wait_newer(timeout_s=10.0)
            time.sleep(min(LOOK_S, left))
            self.residual.look()
            self.end_to_end.look()
            for stage in self.stages.values():
                stage.look()
            self._check()
            self.view.progress(round(1000 * (seconds - left) / seconds), 1000)
            self.view.live(self)
        return start

    def _take_pictures(self, when: str) -> None:
        self.pictures[f"wfs {when}"] = self.streams["wfs"].read()
        command, influence = self.streams["dm"].read(), self.rig.influence
        self.pictures[f"dm {when}"] = (
            command if influence is None else np.tensordot(command.ravel(), influence, 1)
        )
        if "wavefront" in self.rig.plan.units[wiring.CAMERA].streams:
            with open_stream(PREFIX + "wavefront") as wavefront:
                self.pictures[f"wavefront {when}"] = wavefront.read()

    def _check(self) -> None:
        """The account is of one life of each unit: none may have ended."""
        for name, stage in self.stages.items():
            if not stage.record.alive or stage.record.state is State.ERROR:
                raise UnitError(f"unit '{name}' has ended: {stage.record.message or 'it was killed'}")

    def _close(self) -> None:
        for stage in self.stages.values():
            stage.record.close()
        for stream in self.streams.values():
            stream.close()


def _until_quiet(stream: Stream) -> None:
    """Wait until no frame has come for a while."""
    from framebus.errors import WaitTimeout

    end = _core.monotonic_ns() + 5_000_000_000
    while _core.monotonic_ns() < end:
        try:
            stream.wait_newer(timeout_s=0.2)
        except WaitTimeout:
            return
