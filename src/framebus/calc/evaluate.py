"""The value of an expression: a walk over its tree, one NumPy call at each node."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from framebus.calc.arithmetic import Array, Value, binary, compare, item, unary
from framebus.calc.functions import ARRAYS, CONSTANTS, ELEMENTWISE, FUNCTIONS
from framebus.calc.grammar import Expression, ExpressionError
from framebus.errors import UsageError
from framebus.stream.names import near

__all__ = ["Limits", "evaluate"]

_ELEMENT_BYTES = 16  # a complex number, or a fraction and what is made of it on the way
_WRONG = (UsageError, TypeError, ValueError, IndexError, ArithmeticError, MemoryError)


@dataclass(frozen=True)
class Limits:
    """What an expression may cost.

    Attributes:
        memory_bytes: of its arrays, all that are needed at a time, estimated before they are made; the streams' own
            frames are not counted.
        products: multiplications of one matrix product.
    """

    memory_bytes: int = 2**32
    products: int = 10**11


def evaluate(expression: Expression, frames: Mapping[str, Array], limits: Limits | None = None) -> Value:
    """Compute an expression.

    Args:
        expression: what ``parse`` gave.
        frames: arrays by the names of the streams; they are not changed.
        limits: what it may cost.

    Returns:
        An array, or a number where the result has no axes.

    Raises:
        ExpressionError: it cannot be computed, or would cost too much; says why, and where.
    """
    with np.errstate(all="ignore"):  # what is not finite is counted in the result
        value = _Walk(expression, frames, limits or Limits()).value(expression.root)
    if value is None or value is Ellipsis or isinstance(value, tuple):
        raise expression.error(expression.root, "this is no result; expected one array or number")
    return value


class _Walk:
    """One evaluation."""

    def __init__(self, expression: Expression, frames: Mapping[str, Array], limits: Limits) -> None:
        self._expression, self._frames, self._limits = expression, frames, limits
        self._held = 0  # bytes of the values that wait for the rest of their operation

    def value(self, node: ast.expr) -> Any:
        """The value of a node."""
        before = self._held
        try:
            result = self._compute(node)
        except ExpressionError:
            raise
        except _WRONG as error:
            raise self._expression.error(node, str(error) or "not possible with these values") from None
        own = isinstance(result, np.ndarray) and not isinstance(node, ast.Name)
        self._held = before + (result.nbytes if own else 0)
        return result

    def _compute(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                stream = self._expression.stream_of(node)
                if stream is None:
                    return CONSTANTS[node.id]
                if stream not in self._frames:
                    raise self._expression.error(
                        node, f"no frame of '{stream}'{near(stream, [*self._frames])}"
                    )
                return self._frames[stream]
            case ast.UnaryOp():
                return self._joint(lambda a: unary(type(node.op), a), node.operand)
            case ast.BinOp():
                if isinstance(node.op, ast.MatMult):
                    return self._product(node)
                return self._joint(lambda a, b: binary(type(node.op), a, b), node.left, node.right)
            case ast.BoolOp():
                return self._boolean(node)
            case ast.Compare():
                return self._comparison(node)
            case ast.Call():
                return self._call(node)
            case ast.Subscript():
                return self._part(node)
            case ast.Tuple():
                return tuple(self._plain(element) for element in node.elts)
        raise self._expression.error(node, "not possible in arithmetic")

    def _operand(self, node: ast.expr) -> Value:
        value = self.value(node)
        if value is None or value is Ellipsis or isinstance(value, tuple):
            raise self._expression.error(node, "expected an array or a number")
        return value

    def _plain(self, node: ast.expr) -> Any:
        """Of an argument's tuple."""
        value = self.value(node)
        if isinstance(value, tuple):
            raise self._expression.error(node, "a tuple in a tuple")
        return value

    def _room(self, elements: int) -> None:
        """Refuse what would need too much memory, before it is made."""
        needed = self._held + elements * _ELEMENT_BYTES
        if needed > self._limits.memory_bytes:
            raise UsageError(
                f"needs about {_size_text(needed)}; at most {_size_text(self._limits.memory_bytes)} are allowed"
            )

    def _joint(self, function: Callable[..., Value], *nodes: ast.expr) -> Value:
        """Operands, and what is computed of them element by element."""
        values = [self._operand(node) for node in nodes]
        self._room_for(values)
        return function(*values)

    def _room_for(self, values: list[Value]) -> None:
        shapes = [value.shape for value in values if isinstance(value, np.ndarray)]
        try:
            self._room(math.prod(np.broadcast_shapes(*shapes)))
        except ValueError as error:
            if isinstance(error, UsageError):
                raise
            told = " and ".join("x".join(map(str, shape)) for shape in shapes)
            raise UsageError(f"the shapes {told} do not go together") from None

    def _boolean(self, node: ast.BoolOp) -> Value:
        function = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        result = self._operand(node.values[0])
        for other in node.values[1:]:
            value = self._operand(other)
            self._room_for([result, value])
            result = item(function(result, value))
        return result

    def _comparison(self, node: ast.Compare) -> Value:
        """``a < b < c`` is ``a < b and b < c``."""
        left = self._operand(node.left)
        result: Value = None
        for kind, other in zip(node.ops, node.comparators, strict=True):
            right = self._operand(other)
            self._room_for([left, right])
            found = compare(type(kind), left, right)
            result = found if result is None else item(np.logical_and(result, found))
            left = right
        return result

    def _product(self, node: ast.BinOp) -> Value:
        a, b = self._operand(node.left), self._operand(node.right)
        if not all(isinstance(value, np.ndarray) and 1 <= value.ndim <= 2 for value in (a, b)):
            raise UsageError("'@' multiplies matrices and vectors: arrays of one or two axes")
        inner, (rows, columns) = a.shape[-1], (a.size // max(a.shape[-1], 1), b.size // max(b.shape[0], 1))
        if inner != b.shape[0]:
            told = " and ".join("x".join(map(str, value.shape)) for value in (a, b))
            raise UsageError(f"a product of {told}: the inner lengths {inner} and {b.shape[0]} differ")
        if rows * inner * columns > self._limits.products:
            raise UsageError(
                f"needs {rows * inner * columns:.1e} products; at most {self._limits.products:.0e} are allowed"
            )
        self._room(rows * columns + a.size + b.size)
        if a.dtype.kind in "biu" and b.dtype.kind in "biu":
            a, b = a.astype(np.float64), b.astype(np.float64)
        return item(np.matmul(a, b))

    def _call(self, node: ast.Call) -> Value:
        assert isinstance(node.func, ast.Name)
        function = FUNCTIONS[node.func.id]
        values = [self.value(argument) for argument in node.args]
        named = {str(keyword.arg): self.value(keyword.value) for keyword in node.keywords}
        for place, value in enumerate(values):
            # A shape, or axes: behind the array that they are of.
            misplaced = isinstance(value, tuple) and (place == 0 or function.group == ELEMENTWISE)
            misplaced = misplaced and function.group != ARRAYS
            if value is None or value is Ellipsis or misplaced:
                raise UsageError(f"argument {place + 1} is no number and no array; it is {function.usage}")
        self._room(function.size(*values, **named))
        return item(function.call(*values, **named))

    def _part(self, node: ast.Subscript) -> Value:
        array = self._operand(node.value)
        if not isinstance(array, np.ndarray):
            raise UsageError("a number has no parts; expected an array in front of '['")
        entries = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        index = tuple(self._index(entry) for entry in entries)
        masks = [entry for entry in index if isinstance(entry, np.ndarray)]
        if masks and (len(index) > 1 or masks[0].dtype.kind != "b"):
            raise UsageError("a part is taken by numbers and slices, or by one mask, as in im[im > 0]")
        self._room(array.size if masks else 0)
        return item(array[index])

    def _index(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Slice):
            return slice(
                *(None if end is None else self._index(end) for end in (node.lower, node.upper, node.step))
            )
        value = self.value(node)
        if value is None or value is Ellipsis or type(value) is int or isinstance(value, np.ndarray):
            return value
        raise self._expression.error(node, f"{value!r} is no index; expected whole numbers, slices or a mask")


def _size_text(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.3g} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.3g} MB"
