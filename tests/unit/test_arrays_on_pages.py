"""Where a loop's arrays lie: what the kernel refuses is told once, and the unit runs."""

from __future__ import annotations

import numpy as np
import pytest

import framebus as fb
from framebus import _core
from framebus.unit import LoopOptions, Stage, start
from support.units import scale

ROWS = 1024
"""Rows of 2 kB: arrays of 2 MiB, which are worth a huge page."""


def no_pages_reserved() -> bool:
    """Whether explicit huge pages are sure to be refused here."""
    return bool(_core.huge_memory(1 << 21, True)[1])


@pytest.mark.parametrize("kind", ["transparent", "explicit"])
def test_on_huge_pages_or_told_why_not(kind: str) -> None:
    with fb.create("image", shape=(ROWS, 512), dtype="float32") as image:
        image.write(np.zeros((ROWS, 512)))
        stage = Stage(scale, {"image": "image", "result": "result"})
        options = LoopOptions(huge_pages=kind, lock_memory=True)  # type: ignore[arg-type]
        with start(stage, options) as loop, fb.open("result") as result:
            image.write(np.full((ROWS, 512), 3.0))
            assert (result.read_next(timeout_s=60).data == 6.0).all()
            told = [text for text in loop.refusals if "huge" in text]
            assert len(told) == len(set(told))
            assert loop.record.refusals == loop.refusals
            if kind == "explicit" and no_pages_reserved():
                assert told
