"""A program that writes a stream, about every 2 ms, until it gets a line: NAME [DIALECT [HISTORY]]."""

from __future__ import annotations

import itertools
import sys
import threading

import framebus as fb

PACE_S = 0.002
"""Time between two frames: nothing depends on how well it is kept."""
KEPT = 4096
"""Frames of the history unless told otherwise: so many that a slow reader misses none."""


def main(name: str, dialect: str = "isio", history: str = f"{KEPT}") -> None:
    """The frame of count k holds k modulo 100 in all its elements."""
    end = threading.Event()
    stream = fb.create(
        name,
        shape=(2, 3),
        dtype="uint16",
        history=int(history),
        dialect=dialect,
        keywords={"RATE": 500.0} if dialect == "isio" else None,
    )

    def until_told() -> None:
        sys.stdin.readline()
        end.set()

    threading.Thread(target=until_told).start()
    for count in itertools.count(1):
        stream.write([[count % 100] * 3] * 2)
        if count == 1:
            print("writes", flush=True)  # noqa: T201
        if end.wait(PACE_S):
            break
    stream.remove()


if __name__ == "__main__":
    main(*sys.argv[1:])
