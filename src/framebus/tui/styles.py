"""How things look: a few named styles. Whatever a colour says, a word or a sign says as well."""

from __future__ import annotations

import os
from functools import lru_cache

from rich.style import Style

__all__ = ["SEQUENCE_SIGNS", "STREAM_SIGNS", "UNIT_SIGNS", "coloured", "style"]

_NAMED = {
    "": "#d0d4d9",
    "dim": "#868e96",
    "faint": "#495057",
    "strong": "bold #ffffff",
    "name": "bold #e9ecef",
    "good": "#69db7c",
    "info": "#74c0fc",
    "warn": "bold #ffd43b",
    "bad": "bold #ff6b6b",
    "alarm": "bold #ffffff on #c92a2a",
    "warned": "bold #1a1b1e on #ffd43b",
    "head": "bold #adb5bd on #25262b",
    "sorted": "bold #ffffff on #25262b",
    "bar": "#ced4da on #25262b",
    "bar dim": "#868e96 on #25262b",
    "bar strong": "bold #ffffff on #25262b",
    "tab": "#adb5bd on #25262b",
    "tab on": "bold #1a1b1e on #74c0fc",
    "key": "bold #74c0fc on #25262b",
    "frozen": "bold #1a1b1e on #74c0fc",
    "rule": "#495057",
    "edit": "#ffffff on #364fc7",
    "caret": "#364fc7 on #ffffff",
    "changed": "bold #1a1b1e on #a9e34b",
    "data": "#4dabf7",
    "cursor": "on #2c3e57",  # laid over the row that the cursor is on
    "away": "on #25262b",  # the same while the keys go elsewhere
}

STREAM_SIGNS = {
    "live": ("● live", "good"),
    "stale": ("◐ STALE", "warned"),
    "still": ("○ still", "dim"),
    "left": ("○ left", "dim"),
    "empty": ("◌ empty", "info"),
    "unknown": ("? unknown", "info"),
    "dead": ("✖ DEAD", "alarm"),
    "bad": ("✖ BAD", "alarm"),
}
"""Sign and style of each state of a stream."""

UNIT_SIGNS = {
    "running": ("▶ running", "good"),
    "paused": ("‖ PAUSED", "warned"),
    "idle": ("○ idle", "warn"),
    "standby": ("○ standby", "dim"),
    "off": ("○ off", "dim"),
    "waiting": ("… waiting", "dim"),
    "starting": ("↑ starting", "info"),
    "restarting": ("↻ RESTART", "warned"),
    "stopping": ("↓ stopping", "dim"),
    "ended": ("■ ended", "dim"),
    "error": ("✖ ERROR", "alarm"),
    "failed": ("✖ FAILED", "alarm"),
    "dead": ("✖ DEAD", "alarm"),
}
"""Sign and style of each state of a unit."""

SEQUENCE_SIGNS = {
    "starting": ("↑ starting", "info"),
    "running": ("▶ running", "good"),
    "stopping": ("↓ stopping", "warned"),
    "done": ("■ done", "dim"),
    "stopped": ("■ stopped", "warn"),
    "failed": ("✖ FAILED", "alarm"),
    "dead": ("✖ DEAD", "alarm"),
}
"""Sign and style of each state of a sequence."""

LEVEL_SIGNS = {"good": ("●", "good"), "info": ("·", "info"), "warn": ("▲", "warn"), "bad": ("✖", "bad")}
"""Sign and style of each level of a message."""


_REVERSED = frozenset({"cursor", "tab on", "caret", "frozen"})
"""What is told by its look alone, and so is reversed where there are no colours."""


def coloured() -> bool:
    """Whether there are to be colours and emphasis: not with ``NO_COLOR`` in the environment."""
    return not os.environ.get("NO_COLOR")


@lru_cache(maxsize=8192)  # pictures have many colours
def style(name: str) -> Style:
    """The style of that name, or of that description in Rich's words; without colours, what must be seen reversed."""
    if not coloured():
        return Style(reverse=True) if name in _REVERSED else Style()
    return Style.parse(_NAMED.get(name, name))
