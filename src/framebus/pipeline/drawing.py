"""A pipeline drawn with characters, for terminals."""

from __future__ import annotations

from framebus.pipeline.layout import Layout, Rail, Row

_STEP = 2
"""Characters from one rail to the next."""

_LEAST = 24
"""Characters that a box has inside at least."""

_PORTS = {"trigger": "on", "read": "reads", "output": "writes"}
_LOOP = {"": " ", "first": "┏", "inside": "┃", "last": "┗"}
LEGEND = "── a frame triggers   ┄┄ read as it stands   ┏┃┗ fused in one loop"


def draw(layout: Layout, width: int = 80) -> str:
    """The drawing, at most ``width`` characters wide unless there are very many streams; names give way."""
    left = layout.columns("left") * _STEP + (1 if layout.columns("left") else 0)
    right = layout.columns("right") * _STEP + (1 if layout.columns("right") else 0)
    wanted = max([_LEAST, *(len(_left(row)) + len(row.note) + 3 for row in layout.rows)])
    inside = max(_LEAST, min(wanted, width - left - right - 2))
    canvas = [list(" " * left + _row(row, inside) + " " * right) for row in layout.rows]
    for rail in sorted(layout.rails, key=lambda rail: -rail.column):
        _draw_rail(canvas, rail, left, left + inside + 1)
    lines = ["".join(line).rstrip() for line in canvas]
    return "\n".join([*lines, "", LEGEND]) + "\n"


def _left(row: Row) -> str:
    if row.kind == "port":
        assert row.port is not None
        return f"{_LOOP[row.fused]}   {_PORTS[row.port]:<7}{row.text}"
    if row.kind == "unit":
        return f"{_LOOP[row.fused]} {row.text}"
    return row.text


def _row(row: Row, inside: int) -> str:
    """A line of a box, borders included."""
    if row.kind == "gap":
        return " " * (inside + 2)
    if row.kind == "end":
        return f"╰{'─' * inside}╯"
    if row.kind == "process":
        head = f"─ process {_cut(row.text, inside - 12)} "
        return f"╭{head:─<{inside}}╮"
    note = f"{_cut(row.note, inside - 12)} " if row.note else ""
    text = _cut(_left(row), inside - len(note) - 1)
    return f"│{text:<{inside - len(note)}}{note}│"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: max(1, length - 1)]}…"


def _draw_rail(canvas: list[list[str]], rail: Rail, left_edge: int, right_edge: int) -> None:
    """A rail with its branches; ``left_edge`` and ``right_edge`` are the columns of the boxes' borders."""
    outwards = 1 if rail.side == "right" else -1
    edge = right_edge if rail.side == "right" else left_edge
    column = edge + outwards * (rail.column + 1) * _STEP
    corners = "╮╯┤" if rail.side == "right" else "╭╰├"
    for row in range(rail.first, rail.last + 1):
        _cross(canvas, row, column, "│" if rail.triggers else "┊")
    for row in {rail.writer, *rail.readers}:
        triggers = rail.triggers if row == rail.writer else rail.readers[row]
        for x in range(edge + outwards, column, outwards):
            _cross(canvas, row, x, "─" if triggers else "┄")
        canvas[row][column] = (
            corners[0] if row == rail.first else corners[1] if row == rail.last else corners[2]
        )
        if row == rail.writer:
            canvas[row][edge] = "├" if rail.side == "right" else "┤"
        else:
            canvas[row][edge] = "◀" if rail.side == "right" else "▶"


def _cross(canvas: list[list[str]], row: int, column: int, line: str) -> None:
    """Draw a piece of a line; where another one is, they cross."""
    other = canvas[row][column]
    canvas[row][column] = line if other == " " else "┼"
