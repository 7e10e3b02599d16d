"""A mirror's channels: flat, calibration, loop, offsets, turbulence: each a stream, all added up.

``sum_2`` to ``sum_16`` are units that add as many channels: ``use = "framebus.ao.channels:sum_4"``.
"""

from __future__ import annotations

from typing import Any

from framebus.ao.shapes import same_number
from framebus.errors import UsageError
from framebus.unit import ArraySpec, FunctionUnit
from framebus.unit.declare import unit

MAX_CHANNELS = 16

_DOC = """Wanted = channel_1 + ... + channel_{n}, added in float64 in that order and rounded once to float32.

    The first channel triggers, the others are read as they stand; their streams may be made, written and changed by
    anybody at any time. All have as many elements as the last one, whose shape the sum gets: let that be the flat.
    """

_HEADER = """from typing import Annotated
import numpy as np
from framebus.unit import Array, In, Out
"""


def channel_sum(n: int) -> FunctionUnit:
    """The unit that adds ``n`` channels, 2 to 16.

    Raises:
        UsageError: another number of channels.
    """
    if n not in _SUMS:
        raise UsageError(f"{n} channels cannot be added by one unit; expected 2 to {MAX_CHANNELS}")
    return _SUMS[n]


def _make(n: int) -> FunctionUnit:
    """``sum_n``: written out, as a unit has a fixed number of arguments."""
    names = [f"channel_{k}" for k in range(1, n + 1)]
    channel = 'Annotated[In, Array(..., dtype="float32"), "{}"]'
    told = ["triggers", *["read as it stands"] * (n - 2), "likewise; gives the shape, so usually the flat"]
    arguments = [f"{name}: {channel.format(text)}" for name, text in zip(names, told, strict=True)]
    arguments.append(
        'wanted: Annotated[Out, Array(..., dtype="float32"), "the sum, in the shape of the last channel"]'
    )
    views = [f"    v{k} = {name}.reshape(-1)" for k, name in enumerate(names)]
    terms = " + ".join(f"np.float64(v{k}[i])" for k in range(n))
    lines = [
        f"def sum_{n}({', '.join(arguments)}) -> None:",
        *views,
        "    total = wanted.reshape(-1)",
        "    for i in range(total.size):",
        f"        total[i] = np.float32({terms})",
    ]
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(_HEADER + "\n".join(lines), namespace)
    function = namespace[f"sum_{n}"]
    function.__doc__ = _DOC.format(n=n)
    made = unit(function)
    pairs = ", ".join(f"{name}={name}" for name in names)
    namespace["check"] = _checked(made.name)
    exec(f"def shapes({', '.join(names)}): return check(dict({pairs}))", namespace)
    made.shapes(namespace["shapes"])
    return made


def _checked(unit_name: str) -> Any:
    def check(channels: dict[str, ArraySpec]) -> dict[str, Any]:
        *others, last = channels
        same_number(unit_name, last, channels[last], {name: channels[name] for name in others})
        return {"wanted": (channels[last].shape, "float32")}

    return check


_SUMS = {n: _make(n) for n in range(2, MAX_CHANNELS + 1)}
globals().update({made.name: made for made in _SUMS.values()})
