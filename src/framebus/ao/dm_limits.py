"""What a mirror can do: strokes, speed, differences between neighbours, slaved actuators; and what it could not."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.ao.history import LARGEST, put
from framebus.ao.shapes import same_number
from framebus.errors import BindingError
from framebus.unit import Array, ArraySpec, In, Out, Range, State, unit

DM_STATUS = (
    "frames",
    "clipped",
    "clipped_total",
    "slowed",
    "slowed_total",
    "smoothed",
    "smoothed_total",
    "held",
    "held_total",
)
"""What the elements of ``dm_limits``'s status are: actuators of the last frame, and of all frames."""

_ABSENT, _FREE, _SLAVED, _ALONE = 0, 1, 2, 3
_SWEEPS = 8
_ROUNDING = np.float32(1.000001)


@unit
def dm_limits(
    wanted: Annotated[In, Array(..., dtype="float32"), "one value per actuator, a vector or a grid"],
    actuators: Annotated[In, Array(..., dtype="uint8"), "0 where the grid has no actuator; as many elements"],
    slaves: Annotated[
        In,
        Array((None, 5), dtype="int32"),
        "a row per slaved actuator: its index and those of 1 to 4 masters, -1 for none",
    ],
    dm: Annotated[Out, Array(..., dtype="float32"), "what the mirror gets, in the shape of ``wanted``"],
    status: Annotated[Out, Array((len(DM_STATUS),), dtype="int64"), "counts, see ``DM_STATUS``"],
    kind: Annotated[State, Array(("n",), dtype="uint8"), "absent, free or slaved"],
    target: Annotated[State, Array(("n",), dtype="float32"), "the next position"],
    before: Annotated[State, Array(("n",), dtype="float32"), "the last position"],
    low_side: Annotated[State, Array(("n",), dtype="float32"), "envelope from below"],
    high_side: Annotated[State, Array(("n",), dtype="float32"), "envelope from above"],
    *,
    minimum: Annotated[float, "lowest value that an actuator takes, in its own units"] = -1.0,
    maximum: Annotated[float, "highest value that an actuator takes, in its own units"] = 1.0,
    max_step: Annotated[float, Range(0.0, None), "largest change per frame; 0: no limit"] = 0.0,
    max_difference: Annotated[
        float, Range(0.0, None), "largest difference of neighbours in a row or column; 0: no limit"
    ] = 0.0,
) -> None:
    """The nearest that the mirror can do to what is wanted, and how many actuators could not.

    In this order, for every actuator: what is not finite stays where it was (``held``); no change above ``max_step``
    (``slowed``); nothing outside ``minimum`` and ``maximum`` (``clipped``). Then differences of neighbours are
    reduced where they are too large (``smoothed``): each goes to the middle between the smallest and the largest
    surface that have the permitted slope and touch what was wanted from below and above (McShane, "Extension of range
    of functions", Bull. Am. Math. Soc. 40 (1934) 837); what had no steep neighbour stays. Slaved actuators get the
    mean of their masters. If one then differs too much from a neighbour, the whole surface is flattened about its
    mean until it does not.

    Limits of position hold always, differences and slaves to rounding; all changes stay within ``max_step``, but
    where that would break one of the others, as when limits were changed. An index outside the mirror, or of an
    absent or slaved actuator, is no master; a slave without masters is an actuator like others. Neighbours are those
    in ``wanted``'s rows and columns; actuators that are absent have none.
    """
    asked, sent = wanted.reshape(-1), dm.reshape(-1)
    columns = np.int64(wanted.shape[wanted.ndim - 1])
    low, high = np.float32(min(minimum, maximum)), np.float32(max(minimum, maximum))
    step, steep = np.float32(max_step), np.float32(max_difference)
    _sort(kind, actuators.reshape(-1), slaves)
    held, slowed, clipped = _bound(asked, sent, before, target, low, high, step)
    smoothed = np.int64(0)
    # One place for each call: Numba compiles every place anew.
    for stage in range(4):
        if stage > 0:
            _follow(target, kind, slaves)
        if stage == 3 or (stage > 0 and steep <= np.float32(0.0)):
            break
        found = _steepest(target, kind, columns) if steep > np.float32(0.0) else np.float32(0.0)
        if found <= (steep if stage == 0 else steep * _ROUNDING):
            if stage == 0:
                continue
            break
        if stage == 0:
            smoothed += _smooth(target, kind, columns, steep, low_side, high_side)
        elif stage == 1:
            # Beside slaves, and where a grid with holes took too many sweeps.
            smoothed += _flatten(target, kind, steep / found)
            put(low_side, target)
            _shorten(target, before, step)
        else:  # the shorter way leads through a surface that is too steep: the whole way then
            put(target, low_side)
    for i in range(sent.size):
        sent[i] = min(max(target[i], low), high)
    status[0] += 1
    status[1] = clipped
    status[2] += clipped
    status[3] = slowed
    status[4] += slowed
    status[5] = smoothed
    status[6] += smoothed
    status[7] = held
    status[8] += held


@dm_limits.shapes
def _dm_limits_shapes(wanted: ArraySpec, actuators: ArraySpec) -> dict[str, Any]:
    if len(wanted.shape) > 2:
        raise BindingError(
            f"unit 'dm_limits', argument 'wanted': its shape is {wanted.shape}; expected a vector or a grid"
        )
    same_number("dm_limits", "wanted", wanted, {"actuators": actuators})
    size = wanted.shape[0] * (wanted.shape[1] if len(wanted.shape) == 2 else 1)
    states = ("target", "before", "low_side", "high_side")
    vectors: dict[str, Any] = dict.fromkeys(states, ((size,), "float32"))
    return {"dm": (wanted.shape, "float32"), "kind": ((size,), "uint8"), **vectors}


@dm_limits.check
def _dm_limits_check(minimum: float, maximum: float) -> str | None:
    return None if minimum < maximum else "the minimum must be below the maximum"


def _sort(kind: Any, actuators: Any, slaves: Any) -> None:
    """Which actuators are absent, free or slaved."""
    for i in range(kind.size):
        kind[i] = _FREE if actuators[i] != 0 else _ABSENT
    for k in range(slaves.shape[0]):
        index = np.int64(slaves[k, 0])
        if 0 <= index < kind.size and kind[index] == _FREE:
            kind[index] = _SLAVED
    # Those without a master are free after all; all are found before any is, so that the rows' order does not matter.
    for k in range(slaves.shape[0]):
        index = np.int64(slaves[k, 0])
        if 0 <= index < kind.size and kind[index] == _SLAVED and _masters(kind, slaves, k) == 0:
            kind[index] = _ALONE
    for i in range(kind.size):
        if kind[i] == _ALONE:
            kind[i] = _FREE


def _masters(kind: Any, slaves: Any, k: Any) -> Any:
    """How many masters row ``k`` names that can be masters."""
    count = 0
    for j in range(1, slaves.shape[1]):
        index = np.int64(slaves[k, j])
        if 0 <= index < kind.size and kind[index] == _FREE and index != np.int64(slaves[k, 0]):
            count += 1
    return count


def _bound(
    asked: Any, sent: Any, before: Any, target: Any, low: Any, high: Any, step: Any
) -> tuple[Any, Any, Any]:
    """Hold, rate limit and clipping; how many actuators each of them touched."""
    held, slowed, clipped = np.int32(0), np.int32(0), np.int32(0)
    reach = step if step > np.float32(0.0) else np.float32(np.inf)
    for i in range(target.size):
        last = sent[i] if abs(sent[i]) <= LARGEST else min(max(np.float32(0.0), low), high)
        good = abs(asked[i]) <= LARGEST
        value = asked[i] if good else last
        near = min(max(value, last - reach), last + reach)
        bounded = min(max(near, low), high)
        before[i] = last
        target[i] = bounded
        held += np.int32(0) if good else np.int32(1)
        slowed += np.int32(1) if near != value else np.int32(0)
        clipped += np.int32(1) if bounded != near else np.int32(0)
    return np.int64(held), np.int64(slowed), np.int64(clipped)


def _steepest(values: Any, kind: Any, columns: Any) -> Any:
    """The largest difference of neighbours that are both there."""
    most = np.float32(0.0)
    for i in range(values.size):
        if kind[i] == _ABSENT:
            continue
        right, below = i + 1, i + columns
        if right % columns != 0 and right < values.size and kind[right] != _ABSENT:
            most = max(most, abs(values[right] - values[i]))
        if below < values.size and kind[below] != _ABSENT:
            most = max(most, abs(values[below] - values[i]))
    return most


def _smooth(values: Any, kind: Any, columns: Any, steep: Any, low_side: Any, high_side: Any) -> Any:
    """Free actuators become no steeper than permitted; how many were changed."""
    put(low_side, values)
    put(high_side, values)
    # Two sweeps do for a grid without holes.
    idle = 0
    for k in range(2 * _SWEEPS):
        changed = _sweep(low_side, high_side, kind, columns, steep, k % 2 == 1)
        idle = 0 if changed else idle + 1
        if idle == 2:
            break
    count = np.int64(0)
    for i in range(values.size):
        if kind[i] == _FREE:
            middle = np.float32(0.5) * low_side[i] + np.float32(0.5) * high_side[i]
            count += 1 if middle != values[i] else 0
            values[i] = middle
    return count


def _sweep(low_side: Any, high_side: Any, kind: Any, columns: Any, steep: Any, back: Any) -> Any:
    """One pass, each actuator after its neighbours above and to the left, or backwards; whether it changed anything."""
    size = low_side.size
    changed = False
    for k in range(size):
        i = size - 1 - k if back else k
        if kind[i] != _FREE:
            continue
        side = i + 1 if back else i - 1
        other = i + columns if back else i - columns
        beside = side // columns == i // columns and 0 <= side < size and kind[side] == _FREE
        beyond = 0 <= other < size and kind[other] == _FREE
        low, high = low_side[i], high_side[i]
        if beside:
            low, high = min(low, low_side[side] + steep), max(high, high_side[side] - steep)
        if beyond:
            low, high = min(low, low_side[other] + steep), max(high, high_side[other] - steep)
        changed |= low != low_side[i] or high != high_side[i]
        low_side[i], high_side[i] = low, high
    return changed


def _follow(values: Any, kind: Any, slaves: Any) -> None:
    """Slaved actuators get the mean of their masters."""
    for k in range(slaves.shape[0]):
        slave = np.int64(slaves[k, 0])
        if not (0 <= slave < kind.size and kind[slave] == _SLAVED):
            continue
        total, count = 0.0, 0
        for j in range(1, slaves.shape[1]):
            index = np.int64(slaves[k, j])
            if 0 <= index < kind.size and kind[index] == _FREE:
                total += values[index]
                count += 1
        if count > 0:
            values[slave] = np.float32(total / count)


def _flatten(values: Any, kind: Any, share: Any) -> Any:
    """All differences from the mean times ``share``; how many actuators there are."""
    total, count = 0.0, np.int64(0)
    for i in range(values.size):
        if kind[i] != _ABSENT:
            total += values[i]
            count += 1
    mean = np.float32(total / count)
    for i in range(values.size):
        if kind[i] != _ABSENT:
            values[i] = mean + share * (values[i] - mean)
    return count


def _shorten(values: Any, before: Any, step: Any) -> None:
    """The way from the last position, all of it in proportion, so that no part is longer than ``step``."""
    longest = np.float32(0.0)
    for i in range(values.size):
        longest = max(longest, abs(values[i] - before[i]))
    if step > np.float32(0.0) and longest > step:
        share = step / longest
        for i in range(values.size):
            values[i] = before[i] + share * (values[i] - before[i])
