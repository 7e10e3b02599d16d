"""Units written out for a number of arguments: a unit has a fixed number of them, so there is one for each number.

A module that offers ``sum_2`` to ``sum_16`` makes each when it is first asked for::

    __getattr__, __dir__ = family(globals(), {"sum": sum_of}, range(2, 17))
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from framebus.unit.arrays import ArraySpec
from framebus.unit.declare import FunctionUnit, unit

__all__ = ["family", "written_out"]

AllShapes: TypeAlias = Callable[[dict[str, ArraySpec]], dict[str, Any]]
"""A shapes function that takes all inputs at once, by their names."""

_HEADER = """from typing import Annotated
import numpy as np
from framebus.unit.arrays import Array, In, Out
"""


def written_out(
    signature: str,
    lines: Sequence[str],
    *,
    doc: str,
    names: Mapping[str, Any],
    shapes: AllShapes | None = None,
) -> FunctionUnit:
    """The unit of a function whose text a module has put together itself; never one from outside.

    Args:
        signature: ``"sum_2(a: In, b: In, total: Out) -> None"``; ``Annotated``, ``Array``, ``In``, ``Out`` and ``np``
            are known.
        lines: of the body, without its indentation.
        doc: its docstring.
        names: what else it uses; ``__name__`` is the module that ``load_unit`` finds it in.
        shapes: as of ``FunctionUnit.shapes``, called with all inputs in one dict.
    """
    namespace: dict[str, Any] = dict(names)
    exec(_HEADER + f"def {signature}:\n" + "".join(f"    {line}\n" for line in lines), namespace)
    function = namespace[signature.partition("(")[0]]
    function.__doc__ = doc
    made = unit(function)
    if shapes is not None:
        made.shapes(_by_name(shapes, [argument.name for argument in made.inputs()]))
    return made


def _by_name(shapes: AllShapes, names: Sequence[str]) -> Callable[..., dict[str, Any]]:
    def called(**inputs: ArraySpec) -> dict[str, Any]:
        return shapes({name: inputs[name] for name in names})

    keyword = inspect.Parameter.KEYWORD_ONLY
    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, keyword) for name in names]
    )
    return called


def family(
    module: Mapping[str, Any], makers: Mapping[str, Callable[[int], FunctionUnit]], numbers: range
) -> tuple[Callable[[str], FunctionUnit], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a module that has the units ``sum_2``, ``sum_3`` ... without having made them.

    Args:
        module: its globals.
        makers: the word before the number, and what makes the unit, the same one each time.
        numbers: that there are.
    """
    known = {f"{word}_{n}": (make, n) for word, make in makers.items() for n in numbers}

    def get(name: str) -> FunctionUnit:
        if name not in known:
            raise AttributeError(f"module {module['__name__']!r} has no attribute {name!r}")
        make, n = known[name]
        return make(n)

    return get, lambda: sorted({*module, *known})
