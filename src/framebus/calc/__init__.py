"""Arithmetic over live streams, out of texts that nobody has to trust: they are read, never run."""

from framebus.calc.evaluate import Limits, evaluate
from framebus.calc.grammar import Expression, ExpressionError, parse
from framebus.calc.live import Calculation, Result, calc
from framebus.calc.target import Target

__all__ = [
    "Calculation",
    "Expression",
    "ExpressionError",
    "Limits",
    "Result",
    "Target",
    "calc",
    "evaluate",
    "parse",
]
