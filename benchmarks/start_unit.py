"""What a newcomer's first script does: a unit, a stream, one frame through it. Timed by ``start.py``."""

from __future__ import annotations

import numpy as np

import framebus as fb
from framebus.unit import Stage, start


@fb.unit
def double(source: fb.In, target: fb.Out) -> None:
    """Target = 2 * source."""
    for i in range(target.size):
        target[i] = 2 * source[i]


if __name__ == "__main__":
    source = fb.create("source", shape=(97,), dtype="float32")
    with start(Stage(double, {"source": "source", "target": "target"})), fb.open("target") as target:
        source.write(np.arange(97, dtype=np.float32))
        data = target.read_next(timeout_s=10.0).data
    print("right" if (data == 2 * np.arange(97)).all() else f"wrong: {data}")
