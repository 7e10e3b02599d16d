"""The text of the help."""

from __future__ import annotations

import textwrap

from framebus.tui.painted import Line, fit

__all__ = ["help_lines"]

_KEYS = 15
"""Columns of the keys and signs at the left."""

_TEXT = """
# Everywhere
1 … 6, Tab     a tab: streams, units, parameters, graph, sequences, messages
↑ ↓ j k        another row; PgUp, PgDn, Home, End; the mouse works, too
/              show only rows that contain a text (or match * ? [a-z]); Esc: all
f              show only what is in trouble; f again: all
s  S           sort by the next column; the other way round; or click a title
Space          freeze the screen; Space again: go on. Messages are still gathered
?  q           this help; quit

# Streams
t              the trace: which processes made the frame, out of which frames
c              the picture's colours: grey, viridis, inferno, blue-red

# States of streams
● live         frames come
◐ STALE        frames came and have stopped; the process that wrote them lives
○ still        the writer lives and writes now and then: a matrix, a dark
○ left         the process that wrote it has ended as it should: a result
◌ empty        no frame was ever written
✖ DEAD         the process that wrote it was killed, or is none of framebus and gone
✖ BAD          the file is no stream that can be opened
? unknown      the file does not tell who writes it

# Columns of streams
RATE           frames per second, over the last second
RDRS           processes beside the writer that have it mapped
SEMS           semaphores that readers hold, of those that there are
MISSED         frames that the units which it triggers missed
HIST           past frames that it keeps

# Units
r              run: end a pause; recover, enable or init where the state needs that
p  n           pause; let it do one frame and pause
x              stop it after its frame (asks)
R              end its process and start it anew (asks)
u              put other code in its place while it runs: CODE [NAME=VALUE ...]
l  a           its log; its window of tmux
CPU            where it is pinned; ~3: not pinned, ran last there
LAST 8 s       compute time, a bar for each second; half height is the median

# Parameters
Enter          edit the value; Enter sets it, Esc leaves it as it was
← →            fold and unfold
d              put the default into the editor; Enter sets it
bold           another value than the default; green: it has just changed

# Graph
Enter          go to the stream or the unit
"""


def help_lines(width: int) -> list[Line]:
    """The text in lines of at most that width, in columns of the screen."""
    return [line for text in _TEXT.strip().splitlines() for line in _wrapped(text, width)]


def _wrapped(text: str, width: int) -> list[Line]:
    if text.startswith("# "):
        return [((text[2:], "info"),)]
    key, about = text[:_KEYS], text[_KEYS:]
    pieces = textwrap.wrap(about, max(20, width - _KEYS - 2)) or [""]
    return [((f"  {fit(key if i == 0 else '', _KEYS)}{piece}", ""),) for i, piece in enumerate(pieces)]
