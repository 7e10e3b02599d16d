"""A mirror's channels: flat, calibration, loop, offsets, turbulence: each a stream, all added up.

``sum_2`` to ``sum_16`` are units that add as many channels: ``use = "framebus.ao.channels:sum_4"``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from framebus.ao.shapes import same_number
from framebus.errors import UsageError
from framebus.unit import ArraySpec, FunctionUnit
from framebus.unit.written import AllShapes, family, written_out

MAX_CHANNELS = 16

_DOC = """Wanted = channel_1 + ... + channel_{n}, added in float64 in that order and rounded once to float32.

    The first channel triggers, the others are read as they stand; their streams may be made, written and changed by
    anybody at any time. All have as many elements as the last one, whose shape the sum gets: let that be the flat.
    """


def channel_sum(n: int) -> FunctionUnit:
    """The unit that adds ``n`` channels, 2 to 16.

    Raises:
        UsageError: another number of channels.
    """
    if not 2 <= n <= MAX_CHANNELS:
        raise UsageError(f"{n} channels cannot be added by one unit; expected 2 to {MAX_CHANNELS}")
    return _make(n)


@lru_cache
def _make(n: int) -> FunctionUnit:
    names = [f"channel_{k}" for k in range(1, n + 1)]
    channel = 'Annotated[In, Array(..., dtype="float32"), "{}"]'
    told = ["triggers", *["read as it stands"] * (n - 2), "likewise; gives the shape, so usually the flat"]
    arguments = [f"{name}: {channel.format(text)}" for name, text in zip(names, told, strict=True)]
    arguments.append(
        'wanted: Annotated[Out, Array(..., dtype="float32"), "the sum, in the shape of the last channel"]'
    )
    terms = " + ".join(f"np.float64(v{k}[i])" for k in range(n))
    name = f"sum_{n}"
    return written_out(
        f"{name}({', '.join(arguments)}) -> None",
        [
            *(f"v{k} = {channel}.reshape(-1)" for k, channel in enumerate(names)),
            "total = wanted.reshape(-1)",
            f"for i in range(total.size): total[i] = np.float32({terms})",
        ],
        doc=_DOC.format(n=n),
        names={"__name__": __name__},
        shapes=_checked(name),
    )


def _checked(unit_name: str) -> AllShapes:
    def check(channels: dict[str, ArraySpec]) -> dict[str, Any]:
        *others, last = channels
        same_number(unit_name, last, channels[last], {name: channels[name] for name in others})
        return {"wanted": (channels[last].shape, "float32")}

    return check


__getattr__, __dir__ = family(globals(), {"sum": channel_sum}, range(2, MAX_CHANNELS + 1))
