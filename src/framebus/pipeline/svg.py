"""A pipeline drawn as SVG: one picture, no other files, with a text for those who cannot see it."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from framebus.pipeline.layout import Layout, Rail, Row

_HEIGHTS = {"process": 32, "unit": 28, "port": 24, "end": 12, "gap": 20}
_MARGIN, _RAIL, _NEAR = 16, 18, 22
_PADDING = 6
"""Below the last stream of a unit."""

# Told apart by most eyes, dark enough for lines on white.
_COLOURS = ("#0072b2", "#b8470b", "#007a5a", "#9c4f83", "#7a6400", "#2f6f8f", "#a3243b", "#4b4ba8")
_STYLE = """
text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
.process { fill: #f3f5f8; stroke: #c5ccd5; }
.unit { fill: #ffffff; stroke: #d8dee6; }
.label { fill: #59636e; font-size: 12px; }
.name { font-weight: 600; }
.fused { fill: #8250df; }
.halo { stroke: #ffffff; stroke-width: 5; fill: none; }
.way { stroke-width: 1.8; fill: none; }
.read { stroke-dasharray: 3 3; }
"""


def draw_svg(layout: Layout) -> str:
    """The drawing as the text of an SVG file."""
    return _Drawing(layout).text()


class _Drawing:
    """One drawing: where its rows are in pixels, and the pieces so far."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.tops: list[int] = []
        y = 56
        for i, row in enumerate(layout.rows):
            self.tops.append(y)
            ends = row.kind == "port" and layout.rows[i + 1].kind != "port"
            y += _HEIGHTS[row.kind] + _PADDING * ends
        self.height = y + 40
        widest = max((_width(row.text) + _width(row.note) for row in layout.rows), default=0)
        self.left = _MARGIN + self._beside("left")
        self.right = self.left + round(max(300, widest + 150))
        self.width = max(self.right + _MARGIN + self._beside("right"), 420)
        streams = dict.fromkeys(rail.stream for rail in layout.rails)
        self.colours = {stream: _COLOURS[i % len(_COLOURS)] for i, stream in enumerate(streams)}

    def _beside(self, side: str) -> int:
        columns = self.layout.columns(side)  # type: ignore[arg-type]
        return _NEAR + columns * _RAIL if columns else 0

    def text(self) -> str:
        """All of it."""
        name = escape(self.layout.name)
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">',
            f'<title id="title">Pipeline {name}</title>',
            f'<desc id="desc">{escape(" ".join(self._sentences()))}</desc>',
            f"<style>{_STYLE}</style>",
            f"<defs>{''.join(self._arrows())}</defs>",
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>',
            f'<text x="{_MARGIN}" y="34" style="font-size:18px" class="name">{name}</text>',
            *self._boxes(),
            *self._rows(),
            *self._rails(),
            *self._legend(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _sentences(self) -> Iterator[str]:
        """The picture in words."""
        words = {"trigger": "is triggered by", "read": "reads", "output": "writes"}
        process = unit = ""
        said: list[str] = []
        for row in [*self.layout.rows, Row("end")]:
            if said and row.kind != "port":
                yield f"Unit {unit} of process {process} {', '.join(said)}."
                said = []
            if row.kind == "process":
                process = row.text
            elif row.kind == "unit":
                unit = row.text
                said = [f"runs {row.note}"] if row.note else []
            elif row.port is not None:
                said.append(f"{words[row.port]} {row.text}")

    def _arrows(self) -> Iterator[str]:
        for i, colour in enumerate(_COLOURS):
            yield (
                f'<marker id="arrow{i}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
                f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
            )

    # ---- boxes -----------------------------------------------------------------------------------------------------

    def _boxes(self) -> Iterator[str]:
        """Processes, units in them, and the bars beside units that are fused."""
        rows = self.layout.rows
        for begin, row in enumerate(rows):
            if row.kind == "process":
                end = next(i for i in range(begin, len(rows)) if rows[i].kind == "end")
                height = self.tops[end] + _HEIGHTS["end"] - self.tops[begin]
                yield (
                    f'<rect class="process" x="{self.left}" y="{self.tops[begin]}" width="{self.right - self.left}" '
                    f'height="{height}" rx="8"/>'
                )
            if row.kind == "unit":
                end = next(i for i in range(begin + 1, len(rows)) if rows[i].kind != "port")
                height = self.tops[end] - self.tops[begin] - 4
                yield (
                    f'<rect class="unit" x="{self.left + 14}" y="{self.tops[begin]}" '
                    f'width="{self.right - self.left - 28}" height="{height}" rx="6"/>'
                )
            if row.fused == "first":
                end = next(i for i in range(begin, len(rows)) if rows[i].fused == "last")
                height = self.tops[end] + _HEIGHTS["port"] + _PADDING - self.tops[begin] - 4
                yield (
                    f'<rect class="fused" x="{self.left + 6}" y="{self.tops[begin]}" width="4" height="{height}" '
                    'rx="2"><title>fused: one loop</title></rect>'
                )

    def _rows(self) -> Iterator[str]:
        """The texts of all rows."""
        words = {"trigger": "on", "read": "reads", "output": "writes"}
        for row, top in zip(self.layout.rows, self.tops, strict=True):
            middle = top + _HEIGHTS[row.kind] / 2
            if row.kind == "process":
                yield self._text(self.left + 14, middle, "label", f"process {row.text}")
            elif row.kind == "unit":
                yield self._text(self.left + 26, middle, "name", row.text)
            elif row.kind == "port":
                assert row.port is not None
                yield self._text(self.left + 40, middle - 2, "label", words[row.port])
                yield self._stream(row, middle - 2)
            if row.note:
                yield self._text(self.right - 26, middle - 2 * (row.kind == "port"), "label", row.note, "end")

    def _text(self, x: float, middle: float, style: str, text: str, anchor: str = "start") -> str:
        return (
            f'<text x="{x:g}" y="{middle:g}" class="{style}" text-anchor="{anchor}" dominant-baseline="central">'
            f"{escape(text)}</text>"
        )

    def _stream(self, row: Row, middle: float) -> str:
        """A stream: where it is written a pill of its colour."""
        x = self.left + 94
        colour = self.colours.get(row.text, "#59636e")
        if row.port != "output":
            return self._text(x, middle, "", row.text)
        width = _width(row.text) + 16
        return (
            f'<rect x="{x - 8}" y="{middle - 9:g}" width="{width:g}" height="18" rx="9" fill="{colour}" '
            f'fill-opacity="0.13" stroke="{colour}"/>{self._text(x - 8 + width / 2, middle, "", row.text, "middle")}'
        )

    # ---- rails -----------------------------------------------------------------------------------------------------

    def _rails(self) -> Iterator[str]:
        for rail in sorted(self.layout.rails, key=lambda rail: -rail.column):
            colour = self.colours[rail.stream]
            arrow = _COLOURS.index(colour)
            ways = {row: self._way(rail, row) for row in sorted(rail.readers, reverse=True)}
            for way in ways.values():
                yield f'<path class="halo" d="{way}"/>'
            for row, way in ways.items():
                style = "way" if rail.readers[row] else "way read"
                yield (
                    f'<path class="{style}" stroke="{colour}" marker-end="url(#arrow{arrow})" d="{way}">'
                    f"<title>{escape(rail.stream)}</title></path>"
                )

    def _way(self, rail: Rail, reader: int) -> str:
        """From the writer's row to the reader's, with round corners."""
        outwards = 1 if rail.side == "right" else -1
        edge = (self.right if rail.side == "right" else self.left) - 14 * outwards
        box = self.right if rail.side == "right" else self.left
        x = box + outwards * (_NEAR + rail.column * _RAIL - 4)
        start, end = (self.tops[row] + _HEIGHTS["port"] / 2 - 2 for row in (rail.writer, reader))
        down = 1 if end > start else -1
        bend = 7
        return (
            f"M{edge} {start:g} H{x - outwards * bend} Q{x} {start:g} {x} {start + down * bend:g} "
            f"V{end - down * bend:g} Q{x} {end:g} {x - outwards * bend} {end:g} H{edge}"
        )

    def _legend(self) -> Iterator[str]:
        y = self.height - 20
        yield f'<path class="way" stroke="#59636e" d="M{_MARGIN} {y} h28"/>'
        yield self._text(_MARGIN + 36, y, "label", "a frame triggers")
        yield f'<path class="way read" stroke="#59636e" d="M{_MARGIN + 150} {y} h28"/>'
        yield self._text(_MARGIN + 186, y, "label", "read as it stands")
        yield f'<rect class="fused" x="{_MARGIN + 304}" y="{y - 8}" width="4" height="16" rx="2"/>'
        yield self._text(_MARGIN + 316, y, "label", "fused")


def _width(text: str) -> float:
    """About how wide a text of 13 px is; fonts differ."""
    return sum(
        4.5 if letter in "iljtfrI.,:;|!'() " else 11.5 if letter in "mwMW@×" else 8.0 for letter in text
    )
