"""Controllers with a memory of past errors: PID, and any recursive filter for each mode.

Both go on from the command that they find when they are started again, and hold an element whose error, or whose new
value, is not finite. For ``excess`` see ``framebus.ao.control``.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.history import LARGEST, put
from framebus.errors import UsageError
from framebus.unit import Array, In, Out, Range, State, unit


@unit
def pid(
    error: Annotated[In, Array(("n",), dtype="float32"), "reconstructed error, in units of the command"],
    excess: Annotated[In, Array(("n",), dtype="float32"), "what of the last command the mirror did not do"],
    command: Annotated[Out, Array(("n",), dtype="float32"), "starts at zero"],
    past: Annotated[State, Array((2, "n"), dtype="float32"), "the last two errors"],
    seen: Annotated[State, Array((1,), dtype="int64"), "whether there was an error before"],
    *,
    proportional: Annotated[float, Range(0.0, None), "gain on the error"] = 0.0,
    integral: Annotated[float, Range(0.0, None), "gain on the sum of errors, per frame"] = 0.3,
    derivative: Annotated[float, Range(0.0, None), "gain on the change of the error per frame"] = 0.0,
    leak: Annotated[float, Range(0.0, 1.0), "share of the command that is kept"] = 1.0,
    tracking: Annotated[float, Range(0.0, 1.0), "share of the excess that is taken back per frame"] = 1.0,
) -> None:
    """Command = leak * (command - tracking * excess) - P * (e - e1) - I * e - D * (e - 2 * e1 + e2).

    e, e1, e2 are the error now, one and two frames ago; before the first frame it was what it is at the first. This is
    the velocity form of command = -(P e + I sum(e) + D (e - e1)), where nothing is held but the command itself, so that
    gains can be changed while it runs. Source: K. J. Astrom and T. Hagglund, "PID Controllers", 2nd ed., 1995,
    section 3.6.
    """
    keep, share = np.float32(leak), np.float32(tracking)
    now = np.float32(proportional + integral + derivative)
    before = np.float32(-proportional - 2.0 * derivative)
    earlier = np.float32(derivative)
    first = seen[0] == 0
    seen[0] = 1
    one, two = past[0], past[1]
    if first:
        put(one, error)
        put(two, error)
    for i in range(command.size):
        new = keep * (command[i] - share * excess[i]) - (now * error[i] + before * one[i] + earlier * two[i])
        good = abs(new) <= LARGEST
        command[i] = new if good else command[i]
        last = one[i] if abs(one[i]) <= LARGEST else np.float32(0.0)
        two[i] = last
        one[i] = error[i] if abs(error[i]) <= LARGEST else last


@unit
def iir_filter(
    error: Annotated[In, Array(("n",), dtype="float32"), "reconstructed error per mode"],
    numerator: Annotated[
        In,
        Array(("n_taps", "n"), dtype=("float32", "float64")),
        "b, the newest sample first, a column per mode",
    ],
    denominator: Annotated[
        In, Array(("n_taps", "n"), dtype=("float32", "float64")), "a, likewise; its first row is not 0"
    ],
    excess: Annotated[In, Array(("n",), dtype="float32"), "what of the last command the mirror did not do"],
    command: Annotated[Out, Array(("n",), dtype="float32"), "starts at zero"],
    errors: Annotated[State, Array(("n_taps", "n"), dtype="float64"), "past errors, rows in turn"],
    commands: Annotated[State, Array(("n_taps", "n"), dtype="float64"), "past commands, likewise"],
    total: Annotated[State, Array(("n",), dtype="float64"), "sums"],
    frames: Annotated[State, Array((1,), dtype="int64"), "how many there were"],
    *,
    tracking: Annotated[float, Range(0.0, 1.0), "share of the excess that is taken back per frame"] = 1.0,
) -> None:
    """a[0] * command = -sum(b[j] * error[k-j], j >= 0) - sum(a[j] * command[k-j], j >= 1), for each mode.

    That is ``-scipy.signal.lfilter(b, a, error)`` (direct form I, in float64), where past commands are those that the
    mirror did. Before the first frame the errors were 0 and the commands what the output held. ``iir_coefficients``
    makes both arrays.
    """
    taps = np.int64(errors.shape[0])
    frame = frames[0]
    frames[0] = frame + 1
    if frame == 0:
        for j in range(taps):
            for i in range(command.size):
                commands[j, i] = command[i]
    here = frame % taps
    last = commands[(frame + taps - 1) % taps]
    for i in range(command.size):
        done = last[i] - tracking * excess[i]
        last[i] = done if np.isfinite(done) else last[i]
    newest = errors[here]
    for i in range(command.size):
        # A bad one counts as none; its element holds below.
        newest[i] = error[i] if np.isfinite(error[i]) else 0.0
        total[i] = 0.0
    for j in range(taps):
        ago = (frame + taps - j) % taps
        for i in range(command.size):
            total[i] -= numerator[j, i] * errors[ago, i]
        if j > 0:
            for i in range(command.size):
                total[i] -= denominator[j, i] * commands[ago, i]
    for i in range(command.size):
        new = total[i] / denominator[0, i]
        good = np.isfinite(error[i]) and abs(new) <= LARGEST
        command[i] = np.float32(new) if good else command[i]
        commands[here, i] = new if good else np.float64(command[i])


def iir_coefficients(
    b: ArrayLike, a: ArrayLike, n: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Numerator and denominator as ``iir_filter`` takes them: float64 (n_taps, n), scaled so that a[0] is 1.

    Args:
        b: numerator, the newest sample first: one filter, shape (taps,), or one column per mode, (taps, n).
        a: denominator, likewise; of another number of taps if need be.
        n: number of modes, where one filter is for all of them.

    Raises:
        UsageError: a coefficient is not finite, a[0] is 0, the numbers of modes don't agree, or ``n`` is needed.
    """
    top, bottom = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (b, a))
    for name, values in (("b", top), ("a", bottom)):
        if values.ndim > 2 or values.size == 0 or not np.isfinite(values).all():
            raise UsageError(
                f"{name} has shape {values.shape}; expected finite numbers, (taps,) or (taps, modes)"
            )
    widths = {v.shape[1] for v in (top, bottom) if v.ndim == 2} | ({n} if n is not None else set())
    if len(widths) != 1:
        told = f"{sorted(widths)} modes are told" if widths else "say for how many modes with n="
        raise UsageError(f"b has shape {top.shape}, a {bottom.shape}: {told}; expected one number of modes")
    width = widths.pop()
    taps = max(top.shape[0], bottom.shape[0])
    full = []
    for values in (top, bottom):
        columns = values if values.ndim == 2 else np.repeat(values[:, None], width, axis=1)
        full.append(np.vstack([columns, np.zeros((taps - columns.shape[0], width))]))
    if (full[1][0] == 0).any():
        raise UsageError("a[0] is 0 for a mode: its filter would need errors that are yet to come")
    return np.ascontiguousarray(full[0] / full[1][0]), np.ascontiguousarray(full[1] / full[1][0])
