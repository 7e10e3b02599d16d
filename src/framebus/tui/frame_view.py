"""The newest frame of the selected stream: its figures, some of its values, and a picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from framebus.cli.text import not_finite
from framebus.errors import FramebusError
from framebus.ops.picture import COLORMAPS, thinned
from framebus.tui.looks import StreamLook
from framebus.tui.painted import Line, Span
from framebus.tui.picture import Figures, bars, characters, figures, half_blocks
from framebus.tui.styles import coloured
from framebus.tui.watching import Watcher

__all__ = ["FrameView"]

_AGAIN_S = 0.4
_LARGE_AGAIN_S = 1.0
"""The shortest time between two pictures, and between two of more than so many characters: over a slow line a picture
is a lot."""
_LARGE = 300
_TRIES = 3


class FrameView:
    """Reads the selected stream's newest frame now and then, without a copy of all of it.

    Args:
        watcher: which has the streams open.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._palette = COLORMAPS[0]
        self._of: tuple[str, int] = ("", 0)
        self._count, self._read_s = -1, 0.0
        self._sample: npt.NDArray[Any] | None = None
        self._figures: Figures | None = None
        self._row: list[Any] = []
        self._drawn: tuple[tuple[int, int, str], list[list[Span]]] | None = None

    def next_palette(self) -> str:
        """The next set of colours; returns it."""
        self._palette = COLORMAPS[(COLORMAPS.index(self._palette) + 1) % len(COLORMAPS)]
        return self._palette

    def _bring_up_to_date(self, look: StreamLook) -> None:
        of = (look.name, look.inode)
        if of != self._of:
            self._of, self._count, self._read_s = of, -1, 0.0
            self._sample, self._figures, self._row, self._drawn = None, None, [], None
        now_s = time.monotonic()
        drawn = 0 if self._drawn is None else len(self._drawn[1]) * self._drawn[0][0] // 2
        again_s = _LARGE_AGAIN_S if drawn > _LARGE else _AGAIN_S
        if not look.count or look.count == self._count or now_s - self._read_s < again_s:
            return
        found = self._read(look.name)
        if found is not None:
            self._count, self._read_s, self._drawn = look.count, now_s, None
            self._sample, self._row = found
            self._figures = figures(self._sample, int(np.prod(look.shape)))

    def _read(self, name: str) -> tuple[npt.NDArray[Any], list[Any]] | None:
        """Some of the pixels and the first values of the middle row, of one frame; None if there is no whole one."""
        handle = self._watcher.stream(name)
        if handle is None:
            return None
        for _ in range(_TRIES):
            try:
                view = handle.latest(0)
            except FramebusError:  # none yet, or its writer is in the middle of one
                return None
            data: npt.NDArray[Any] = view.data  # type: ignore[assignment]
            plane = data
            while plane.ndim > 2:
                plane = plane[0]
            sample = thinned(plane).copy()
            row = (plane if plane.ndim == 1 else plane[len(plane) // 2])[:256].copy()
            valid = view.still_valid()
            del data, plane, view  # they hold the mapping
            if valid:
                return sample, row.tolist()
        return None

    def picture(self, look: StreamLook, columns: int, lines: int) -> Sequence[list[Span]]:
        """The frame in at most that room; nothing if there is none."""
        self._bring_up_to_date(look)
        if self._sample is None or columns < 4 or lines < 1:
            return []
        how = (columns, lines, self._palette)
        if self._drawn is None or self._drawn[0] != how:
            sample = self._sample
            if sample.ndim == 1 or 1 in sample.shape:
                drawn = bars(sample.reshape(-1), columns, lines, "data")
            elif not coloured():
                drawn = characters(sample, columns, lines)
            else:
                drawn = half_blocks(sample, columns, lines, self._palette)
            self._drawn = (how, drawn)
        return self._drawn[1]

    def values(self, look: StreamLook, width: int, lines: int) -> list[Line]:
        """The figures, and as many values as have room; call ``picture`` first."""
        if not look.count:
            return [(("no frame was published yet", "info"),)]
        found: list[Line] = []
        if self._figures is not None:
            each = self._figures
            about = " ≈" if each.thinned else ""
            found += [
                (("min max ", "dim"), (f"{each.low:.5g}  {each.high:.5g}{about}", "")),
                (("mean std", "dim"), (f" {each.mean:.5g}  {each.std:.4g}{about}", "")),
            ]
            if each.not_finite:
                found.append(
                    (
                        (
                            not_finite(each.not_finite),
                            "bad",
                        ),
                    )
                )
        if self._row:
            found.append((("values  ", "dim"), (_where(look.shape), "dim")))
            found += [((line, ""),) for line in _filled(self._row, width)[: max(1, lines)]]
        return found


def _where(shape: tuple[int, ...]) -> str:
    if len(shape) < 2:
        return "from the first"
    return f"of row {shape[-2] // 2}" + (" of plane 0" if len(shape) > 2 else "")


def _filled(values: Sequence[Any], width: int) -> list[str]:
    """Values beneath one another, as many as fit into each line."""
    texts = [f"{abs(v) if isinstance(v, complex) else v:.4g}" for v in values]
    wide = max(map(len, texts)) + 1
    per_line = max(1, width // wide)
    return [
        "".join(text.rjust(wide) for text in texts[i : i + per_line]) for i in range(0, len(texts), per_line)
    ]
