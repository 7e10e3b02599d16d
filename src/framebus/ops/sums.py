"""Many streams into one: the units ``sum_2`` to ``sum_16``, and ``join_2`` to ``join_16``.

A unit has a fixed number of arguments, so there is one for each number of streams: ``framebus.ops.sums:sum_3``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from framebus.errors import BindingError, UsageError
from framebus.ops.blocks import mean_dtype
from framebus.ops.windows import ANY
from framebus.unit.arrays import ArraySpec
from framebus.unit.declare import FunctionUnit
from framebus.unit.written import family, written_out

MOST = 16
"""Streams that one unit takes."""

JOINED = '("first", ...)'
"""Shape of what is joined: none that the inputs settle, so its stream is there before the unit."""

_SUM_DOC = """Target = weight_1 * source_1 + ... + weight_{n} * source_{n}, of one shape.

    Added in float64 in that order, complex in complex128, and rounded once.

    The first source triggers, the others are read as they stand. The weights may be changed while it runs; a weight
    of 0 leaves its source out, whatever that holds.
    """

_JOIN_DOC = """Target = the {n} sources one behind the other along an axis.

    The first one triggers, the others are read as they stand. The parameter ``outer`` says into how many rows each
    frame is cut: the product of its axes before the one that they are joined along, so 1 for the first axis.
    """


def sum_of(n: int) -> FunctionUnit:
    """The unit that adds ``n`` streams. Raises UsageError unless n is 2 to 16."""
    return _make_sum(_checked(n))


def join_of(n: int) -> FunctionUnit:
    """The unit that joins ``n`` streams. Raises UsageError unless n is 2 to 16."""
    return _make_join(_checked(n))


def _checked(n: int) -> int:
    if not 2 <= n <= MOST:
        raise UsageError(f"{n} streams cannot be put together by one unit; expected 2 to {MOST}")
    return n


def _sources(n: int) -> list[str]:
    return [f"source_{k}" for k in range(1, n + 1)]


def _arguments(n: int, shape: str = "...") -> str:
    told = ["triggers", *["read as it stands"] * (n - 1)]
    arguments = [
        f'{name}: Annotated[In, Array(..., dtype=ANY), "{text}"]'
        for name, text in zip(_sources(n), told, strict=True)
    ]
    return ", ".join([*arguments, f"target: Annotated[Out, Array({shape}, dtype=ANY)]"])


@lru_cache
def _make_sum(n: int) -> FunctionUnit:
    names = _sources(n)
    weights = ", ".join(f"weight_{k}: float = 1.0" for k in range(1, n + 1))
    lines = ["total = target.reshape(-1)"]
    for k, name in enumerate(names, 1):
        lines += [
            f"v{k} = {name}.reshape(-1)",
            f"if v{k}.size != total.size: raise ValueError('sum: the sources have different sizes')",
        ]
    # In one pass, as the target may be float32: what is stored in it is rounded. The weights become NumPy's
    # float64 as a Python number would adapt to float32 pixels in the interpreter.
    terms = [f"(w{k} * v{k}[i] if w{k} != 0.0 else 0.0)" for k in range(1, n + 1)]
    lines += [f"w{k} = np.float64(weight_{k})" for k in range(1, n + 1)]
    lines += ["for i in range(total.size):", f"    total[i] = {' + '.join(terms)}"]
    return written_out(
        f"sum_{n}({_arguments(n)}, *, {weights}) -> None",
        lines,
        doc=_SUM_DOC.format(n=n),
        names=_NAMES,
        shapes=_sum_spec,
    )


def _sum_spec(sources: dict[str, ArraySpec]) -> dict[str, Any]:
    first, *others = sources
    for name in others:
        if sources[name].shape != sources[first].shape:
            raise BindingError(
                f"unit 'sum_{len(sources)}', argument {name!r}: its shape is {sources[name].shape}, expected"
                f" {sources[first].shape}, that of {first!r}"
            )
    return {"target": (sources[first].shape, mean_dtype(*(spec.dtype for spec in sources.values())))}


@lru_cache
def _make_join(n: int) -> FunctionUnit:
    names = _sources(n)
    lines = [
        "joined = target.reshape(-1)",
        f"if {' + '.join(f'{name}.size' for name in names)} != joined.size:",
        "    raise ValueError('join: the target has not as many elements as the sources together')",
        f"if outer < 1 or {' or '.join(f'{name}.size % outer != 0' for name in names)}:",
        "    raise ValueError('join: the sources cannot be cut into so many rows')",
        "at = 0",
        "row = joined.size // outer",
    ]
    for k, name in enumerate(names, 1):
        lines += [
            f"v{k} = {name}.reshape(-1)",
            f"n{k} = v{k}.size // outer",
            "for j in range(outer):",
            f"    for i in range(n{k}): joined[j * row + at + i] = v{k}[j * n{k} + i]",
            f"at += n{k}",
        ]
    return written_out(
        f"join_{n}({_arguments(n, JOINED)}, *, outer: int = 1) -> None",
        lines,
        doc=_JOIN_DOC.format(n=n),
        names=_NAMES,
    )


_NAMES = {"__name__": __name__, "ANY": ANY}

__getattr__, __dir__ = family(globals(), {"sum": sum_of, "join": join_of}, range(2, MOST + 1))
