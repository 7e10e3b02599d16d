"""A command per frame: sequences sent in step with a sensor, and which of its frames can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framebus.ao.sampling import FloatArray, Progress, Sampler
from framebus.errors import DataError


@dataclass(frozen=True)
class Stepped:
    """What a sensor said while a sequence was sent.

    Row k of everything belongs to the k-th frame after the start, counted by the sensor's frame counter.

    Attributes:
        sent: intp (n,): which command of the sequence went out right after that frame; the one before, held, where
            the frame was missed.
        measured: float64 (n, n_measurements); zeros where a frame was missed.
        read: bool (n,): the frame was read.
        good: bool (n,): it was, and its command went out before the next frame came.
    """

    sent: NDArray[np.intp]
    measured: FloatArray
    read: NDArray[np.bool_]
    good: NDArray[np.bool_]

    def trusted(self, reach: int) -> NDArray[np.bool_]:
        """Bool (n,): frames that were read and whose ``reach`` predecessors all were good, the first ones not."""
        bad = np.flatnonzero(~self.good)
        usable = self.read.copy()
        usable[:reach] = False
        for k in bad:
            usable[k + 1 : k + reach + 1] = False
        return usable


def step_through(
    send: Callable[[FloatArray], object],
    sampler: Sampler,
    commands: Callable[[int], FloatArray],
    n_frames: int,
    rest: FloatArray,
    *,
    least_good: float = 0.5,
    progress: Progress | None = None,
) -> Stepped:
    """Send command k right after the k-th frame has come, for ``n_frames``; the mirror is at ``rest`` afterwards.

    Args:
        send: sends a command.
        sampler: reads the sensor.
        commands: gives command k.
        n_frames: how many.
        rest: the mirror's flat.
        least_good: share of frames that must be good.
        progress: called with frames done and their total.

    Raises:
        WaitTimeout, DataError: as a sampler raises them; too many frames were missed or came too soon.
    """
    sent = np.zeros(n_frames, np.intp)
    good = np.zeros(n_frames, bool)
    read = np.zeros(n_frames + 1, bool)
    measured: FloatArray | None = None
    try:
        sampler.start()
        origin = sampler.next().count
        k = 0
        while k < n_frames:
            # Frame origin + k has come.
            send(commands(k))
            sent[k] = k
            in_time = sampler.newest_count() <= origin + k
            sample = sampler.next()
            if measured is None:
                measured = np.zeros((n_frames + 1, sample.values.size))
            good[k] = in_time
            after = sample.count - origin
            sent[k : min(after, n_frames)] = k
            if after <= n_frames:
                read[after] = True
                measured[after] = sample.values.ravel()
            k = after
            if progress is not None:
                progress(min(k, n_frames), n_frames)
    finally:
        send(rest)
    assert measured is not None
    share = float(good.mean())
    if share < least_good:
        raise DataError(
            f"only {share:.0%} of {n_frames} commands went out before the next frame came; the sensor "
            f"{sampler.span.stream!r} is too fast for this program here: lower its rate while measuring, or run on a "
            f"quieter CPU"
        )
    return Stepped(sent, measured[:n_frames], read[:n_frames], good)
