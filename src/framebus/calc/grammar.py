"""The text of an expression: what may stand in it, and what it names.

The text is read by Python's own parser into a syntax tree and goes no further along Python's way: nothing is compiled
or run. Every node of the tree has to be one of the few kinds that arithmetic needs; all else is refused, by its place.
"""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from framebus.calc.functions import CONSTANTS, FUNCTIONS
from framebus.errors import UsageError

__all__ = ["MAX_CHARACTERS", "MAX_DEPTH", "Expression", "ExpressionError", "parse"]

MAX_CHARACTERS = 4000
"""Longest expression."""
MAX_DEPTH = 60
"""How deep an expression may be nested."""
_LARGEST = 2**63  # whole numbers are computed in 64 bits

_KINDS: tuple[type[ast.AST], ...] = (
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.Subscript, ast.Slice, ast.Tuple),
    *(ast.Name, ast.Constant, ast.keyword, ast.Load),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult),
    *(ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor),
    *(ast.UAdd, ast.USub, ast.Not, ast.Invert, ast.And, ast.Or),
    *(ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq),
)
_REFUSED: dict[type[ast.AST], str] = {
    ast.Attribute: "there are no attributes; write a function, as in mean(im) or real(im), and {name.with.dots}",
    ast.IfExp: "there is no 'if'; write where(condition, this, that)",
    ast.Lambda: "functions cannot be made here",
    ast.List: "there are no lists; an array is made by zeros, ones, arange or linspace",
    ast.JoinedStr: "there are no texts; a stream's name is quoted as {name}",
    ast.NamedExpr: "':=' is not possible; assign the whole expression, as in clean = im - dark",
    ast.Starred: "'*' in front of an argument is not possible",
    ast.In: "'in' is not possible",
    ast.NotIn: "'in' is not possible",
    ast.Is: "'is' is not possible; compare by ==",
    ast.IsNot: "'is' is not possible; compare by !=",
}
# A name in braces or behind an s; any other quotation mark is none of ours.
_QUOTED = re.compile(r"""\{([^{}]*)\}|(?<![\w"'])s(?:"([^"]*)"|'([^']*)')""")


class ExpressionError(UsageError):
    """An expression is wrong, or cannot be computed.

    Attributes:
        text: the expression.
        column: where in it, from 1.
        reason: what is wrong there.
    """

    def __init__(self, text: str, column: int, reason: str) -> None:
        super().__init__(f"column {column} of {text!r}: {reason}")
        self.text, self.column, self.reason = text, column, reason


@dataclass(frozen=True)
class Expression:
    """An expression that was read and found to be harmless.

    Attributes:
        text: as it was given.
        target: the stream that it is assigned to; None without an assignment.
        streams: names of the streams that it reads, in the order in which they come.
        constants: names of the constants in it.
        root: its syntax tree.
    """

    text: str
    target: str | None
    streams: tuple[str, ...]
    constants: frozenset[str]
    root: ast.expr
    _names: dict[str, str] = field(repr=False)
    _columns: dict[str, int] = field(repr=False)
    _places: _Places = field(repr=False)

    def stream_of(self, node: ast.Name) -> str | None:
        """The stream that a name means; None for a constant."""
        if node.id in self._names:
            return self._names[node.id]
        return None if node.id in CONSTANTS else node.id

    def column_of(self, stream: str) -> int:
        """Where a stream is named first, from 1."""
        return self._columns[stream]

    def error(self, node: ast.AST, reason: str) -> ExpressionError:
        """The error that says that something is wrong at a node."""
        return ExpressionError(self.text, self._places.column(node), reason)


def parse(text: str) -> Expression:
    """Read ``expression`` or ``name = expression``.

    Raises:
        ExpressionError: it is no expression, or has something in it that is not possible; says what, and where.
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(
            text[:30] + "…",
            MAX_CHARACTERS + 1,
            f"{len(text)} characters; at most {MAX_CHARACTERS} are possible",
        )
    source, names, places = _unquote(text)
    statement = _statement(source, text, places)
    target = None
    if isinstance(statement, ast.Assign):
        target = _target(statement, names, text, places)
        root = statement.value
    elif isinstance(statement, ast.Expr):
        root = statement.value
    else:
        kind = type(statement).__name__.lower()
        raise ExpressionError(
            text, 1, f"this is a statement ({kind}); expected 'expression' or 'name = expression'"
        )
    found = _check(root, text, places)
    columns: dict[str, int] = {}
    for node in sorted(found, key=places.column):
        columns.setdefault(names.get(node.id, node.id), places.column(node))
    constants = frozenset(node.id for node in ast.walk(root) if isinstance(node, ast.Name)) & CONSTANTS.keys()
    return Expression(text, target, tuple(columns), frozenset(constants), root, names, columns, places)


class _Places:
    """Where the characters of what is parsed stood in what was given."""

    def __init__(self, source: str, origin: list[int]) -> None:
        self._encoded = source.encode()
        self._origin = origin

    def column(self, node: ast.AST) -> int:
        """Of a node's beginning, from 1."""
        return self.column_at(getattr(node, "col_offset", 0))

    def column_at(self, offset: int) -> int:
        """Of a byte of what is parsed, from 1."""
        at = len(self._encoded[: max(offset, 0)].decode(errors="ignore"))
        return self._origin[min(at, len(self._origin) - 1)] + 1


def _unquote(text: str) -> tuple[str, dict[str, str], _Places]:
    """Put an identifier in the place of every quoted name; the names by their identifiers."""
    prefix = "q_"
    while prefix in text:
        prefix += "q_"
    pieces: list[str] = []
    origin: list[int] = []
    names: dict[str, str] = {}
    at = 0
    for match in [*_QUOTED.finditer(text), None]:
        end = len(text) if match is None else match.start()
        for index in range(at, end):
            if text[index] in "\"'#\\{}":
                raise ExpressionError(
                    text, index + 1, f"{text[index]!r} is not possible; a stream's name is quoted as {{name}}"
                )
            pieces.append(" " if text[index].isspace() else text[index])
            origin.append(index)
        if match is not None:
            name = next(group for group in match.groups() if group is not None).strip()
            if not name:
                raise ExpressionError(text, match.start() + 1, "the quoted name is empty")
            word = f"{prefix}{len(names)}_"
            names[word] = name
            pieces.append(f" {word} ")  # kept apart from what stands around it
            origin += [match.start()] * (len(word) + 2)
            at = match.end()
    source = "".join(pieces)
    blank = len(source) - len(source.lstrip())
    return source[blank:], names, _Places(source[blank:], [*origin[blank:], len(text)])


def _statement(source: str, text: str, places: _Places) -> ast.stmt:
    """The only statement of a text."""
    if not source.strip():
        raise ExpressionError(text, 1, "the expression is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's remarks on style
            # The parser looks for the line of an error in the file of that name: there is none called "".
            body = ast.parse(source, filename="").body
    except SyntaxError as error:
        column = places.column_at(len(source[: (error.offset or 1) - 1].encode()))
        raise ExpressionError(text, column, f"not an expression: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        reason = str(error) or f"nested too deeply; at most {MAX_DEPTH} levels are possible"
        raise ExpressionError(text, 1, f"not an expression: {reason}") from None
    if len(body) != 1:
        raise ExpressionError(text, places.column(body[1]), "a second statement; expected one expression")
    return body[0]


def _target(statement: ast.Assign, names: dict[str, str], text: str, places: _Places) -> str:
    """The stream that is assigned to."""
    if len(statement.targets) > 1:
        raise ExpressionError(
            text, places.column(statement.targets[1]), "only one stream can be assigned to; expected one '='"
        )
    target = statement.targets[0]
    if not isinstance(target, ast.Name):
        raise ExpressionError(
            text, places.column(target), "cannot be assigned to; expected a stream's name in front of '='"
        )
    if target.id in CONSTANTS:
        raise ExpressionError(
            text,
            places.column(target),
            f"'{target.id}' is a constant; a stream of that name is written {{{target.id}}}",
        )
    return names.get(target.id, target.id)


def _nodes(root: ast.expr) -> Iterator[tuple[ast.AST, ast.AST, int]]:
    """Every node, where it stands and how deep, without recursion: the tree may be deeper than Python's stack.

    Operators have no place of their own; they stand where what they belong to does.
    """
    waiting: list[tuple[ast.AST, ast.AST, int]] = [(root, root, 1)]
    while waiting:
        node, parent, depth = waiting.pop()
        place = node if hasattr(node, "col_offset") else parent
        yield node, place, depth
        waiting += [(child, place, depth + 1) for child in ast.iter_child_nodes(node)]


def _check(root: ast.expr, text: str, places: _Places) -> list[ast.Name]:
    """Refuse what is not arithmetic; returns the names of streams."""
    functions: set[ast.AST] = set()
    streams: list[ast.Name] = []
    for node, place, depth in _nodes(root):
        if depth > MAX_DEPTH:
            raise ExpressionError(
                text, places.column(place), f"nested too deeply; at most {MAX_DEPTH} levels are possible"
            )
        if not isinstance(node, _KINDS):
            reason = _REFUSED.get(type(node), f"a {type(node).__name__} is not possible in arithmetic")
            raise ExpressionError(text, places.column(place), reason)
        if isinstance(node, ast.Call):
            functions.add(_function(node, text, places))
        elif isinstance(node, ast.Constant):
            _constant(node, text, places)
        elif isinstance(node, ast.Name) and node not in functions and node.id not in CONSTANTS:
            if node.id.startswith("__"):
                raise ExpressionError(text, places.column(node), f"'{node.id}' is not possible as a name")
            streams.append(node)
    return streams


def _function(node: ast.Call, text: str, places: _Places) -> ast.Name:
    """The name of the function that is called."""
    name = node.func
    if not isinstance(name, ast.Name):
        raise ExpressionError(
            text, places.column(name), _REFUSED.get(type(name), "only functions by their names can be called")
        )
    if name.id not in FUNCTIONS:
        raise ExpressionError(
            text, places.column(name), f"there is no function '{name.id}'{_similar(name.id)}"
        )
    function = FUNCTIONS[name.id]
    given = [keyword.arg or "**" for keyword in node.keywords]
    wrong = [word for word in given if word not in function.keywords]
    if wrong:
        known = f"it has: {', '.join(function.keywords)}" if function.keywords else "it has none by name"
        raise ExpressionError(text, places.column(node), f"{name.id} has no argument '{wrong[0]}'; {known}")
    if not function.least <= len(node.args) <= function.most:
        raise ExpressionError(
            text, places.column(node), f"{len(node.args)} arguments for {name.id}; it is {function.usage}"
        )
    return name


def _similar(name: str) -> str:
    close = difflib.get_close_matches(name, FUNCTIONS, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else "; 'framebus calc --help' lists them"


def _constant(node: ast.Constant, text: str, places: _Places) -> None:
    value = node.value
    if value is None or value is Ellipsis or isinstance(value, bool | float | complex):
        return
    if not isinstance(value, int):
        raise ExpressionError(
            text, places.column(node), "there are no texts; a stream's name is quoted as {name}"
        )
    if value >= _LARGEST:
        raise ExpressionError(
            text, places.column(node), "the number is too large; whole numbers have 64 bits, 1e30 has more"
        )
