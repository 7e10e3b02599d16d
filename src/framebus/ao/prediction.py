"""Prediction: where each mode of the turbulence will be when the command acts on it.

``train_predictor`` learns auto-regressive coefficients from telemetry, ``predictive_filter`` applies them in the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.history import LARGEST, MAX_DELAY, ROWS, fill, row, split_delay, take_back
from framebus.errors import DataError, UsageError
from framebus.unit import About, Array, In, Out, Range, State, unit


@unit
def predictive_filter(
    error: Annotated[In, Array(("n",), dtype="float32"), "reconstructed error per mode"],
    coefficients: Annotated[
        In,
        Array(("order", "n"), dtype="float32"),
        "of the prediction, the newest sample first, a column per mode",
    ],
    excess: Annotated[In, Array(("n",), dtype="float32"), "what of the last command the mirror did not do"],
    command: Annotated[Out, Array(("n",), dtype="float32"), "starts at zero"],
    past: Annotated[State, Array((ROWS, "n"), dtype="float32"), "past commands, rows in turn"],
    turbulence: Annotated[
        State, Array(("order", "n"), dtype="float32"), "past pseudo-open-loop modes, likewise"
    ],
    total: Annotated[State, Array(("n",), dtype="float32"), "sums"],
    frames: Annotated[State, Array((1,), dtype="int64"), "how many there were"],
    *,
    gain: Annotated[float, Range(0.0, 1.0), "share of the prediction that is corrected"] = 1.0,
    delay: Annotated[float, Range(1.0, MAX_DELAY), About(unit="frames"), "of the loop, whole or not"] = 2.0,
    tracking: Annotated[float, Range(0.0, 1.0), "share of the excess that is taken back per frame"] = 1.0,
) -> None:
    """Command = -gain * sum(coefficients[j] * turbulence[k - j]), turbulence = error - delayed command.

    The coefficients must have been trained for the same ``delay``, whose model is that of ``framebus.ao.delay``. When
    it starts, the turbulence was before what it is at the first frame. A mode whose error or new command is not finite
    holds. Source: C. Dessenne, P.-Y. Madec, G. Rousset, "Optimization of a predictive controller for closed-loop
    adaptive optics", Appl. Opt. 37 (1998) 4623.
    """
    share, scale = np.float32(tracking), np.float32(gain)
    order = np.int64(turbulence.shape[0])
    frame = frames[0]
    frames[0] = frame + 1
    if frame == 0:
        fill(past, command)
    whole, rest = split_delay(delay)
    last = past[row(frame, 1)]
    take_back(last, excess, share)
    near, far, here = past[row(frame, whole)], past[row(frame, whole + 1)], past[row(frame, 0)]
    newest, before = turbulence[frame % order], turbulence[(frame + order - 1) % order]
    for i in range(command.size):
        value = error[i] - (near[i] + rest * (far[i] - near[i]))
        newest[i] = value if abs(value) <= LARGEST else before[i]
        total[i] = np.float32(0.0)
    if frame == 0:
        fill(turbulence, newest)
    for j in range(order):
        sample = turbulence[(frame + order - j) % order]
        for i in range(command.size):
            total[i] += coefficients[j, i] * sample[i]
    for i in range(command.size):
        new = -scale * total[i]
        held = new if abs(new) <= LARGEST and abs(error[i]) <= LARGEST else last[i]
        command[i] = held
        here[i] = held


@dataclass(frozen=True)
class Predictor:
    """What ``train_predictor`` found.

    Attributes:
        coefficients: float32 (order, modes), as ``predictive_filter`` takes them.
        delay: frames that it was trained for.
        power: mean square of each mode in the telemetry.
        residual: mean square that the prediction leaves of it there.
    """

    coefficients: NDArray[np.float32]
    delay: float
    power: NDArray[np.float64]
    residual: NDArray[np.float64]


def train_predictor(
    telemetry: ArrayLike, order: int, delay: float, *, regularisation: float = 1e-6
) -> Predictor:
    """Coefficients that predict each mode ``delay`` frames ahead with the least squared error on this telemetry.

    They minimise the mean of (phi[k + delay] - sum(c[j] phi[k - j]))^2 + regularisation * power * sum(c^2); for
    delays that are no whole frames the target lies between two frames, as the loop's delay model says. The mean of a
    mode is no special case: it is predicted with the rest. A mode that is 0 throughout gets coefficients of 0.

    Args:
        telemetry: pseudo-open-loop modes, (frames, modes), as ``pseudo_open_loop`` puts them out.
        order: coefficients per mode.
        delay: frames, 1 or more.
        regularisation: weight of the coefficients, relative to the mode's power; raise it for short telemetry.

    Raises:
        UsageError: a shape, order, delay or weight that is not possible, or too few frames: at least 4 * order + delay.
        DataError: telemetry that is not finite, or so regular that the coefficients are not determined.
    """
    data = np.asarray(telemetry, dtype=np.float64)
    if data.ndim != 2 or data.size == 0:
        raise UsageError(f"telemetry has shape {data.shape}; expected (frames, modes)")
    if order < 1 or not 1 <= delay <= MAX_DELAY or not (np.isfinite(regularisation) and regularisation >= 0):
        raise UsageError(
            f"order is {order}, delay {delay}, regularisation {regularisation}; expected an order of 1 or "
            f"more, a delay of 1 to {MAX_DELAY:g} frames, a regularisation of 0 or more"
        )
    whole = int(delay)
    rest = delay - whole
    ahead = whole + (rest > 0)
    if data.shape[0] < 4 * order + ahead:
        raise UsageError(
            f"telemetry has {data.shape[0]} frames; expected at least {4 * order + ahead} for order {order}"
        )
    bad = np.flatnonzero(~np.isfinite(data).all(axis=0))
    if bad.size:
        raise DataError(
            f"telemetry of mode {bad[0]} is not finite ({bad.size} modes in all); leave such frames out"
        )
    count = data.shape[0] - order + 1 - ahead
    first = order - 1 + whole
    target = (1.0 - rest) * data[first : first + count] + rest * data[first + ahead - whole :][:count]
    coefficients = np.zeros((order, data.shape[1]))
    residual = np.zeros(data.shape[1])
    for mode in range(data.shape[1]):
        windows = np.lib.stride_tricks.sliding_window_view(data[:, mode], order)[:count, ::-1]
        coefficients[:, mode] = _solve(windows, target[:, mode], regularisation, mode)
        residual[mode] = np.mean((target[:, mode] - windows @ coefficients[:, mode]) ** 2)
    return Predictor(coefficients.astype(np.float32), delay, np.mean(data**2, axis=0), residual)


def _solve(
    windows: NDArray[np.float64], target: NDArray[np.float64], regularisation: float, mode: int
) -> NDArray[np.float64]:
    """Coefficients of one mode from the normal equations."""
    normal = windows.T @ windows
    power = np.trace(normal) / len(normal)
    if power == 0.0:
        return np.zeros(len(normal))
    normal += regularisation * power * np.eye(len(normal))
    if np.linalg.cond(normal) > 1e13:
        raise DataError(
            f"telemetry of mode {mode} is so regular that {len(normal)} coefficients are not determined; choose a "
            f"lower order or a regularisation above {regularisation:g}"
        )
    return np.asarray(np.linalg.solve(normal, windows.T @ target), dtype=np.float64)
