"""Many frames through one hop: none torn, none lost without being counted, no wake-up missed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from support.processes import Spawner

TOOL = Path(__file__).resolve().parents[2] / "tools" / "stress_hop.py"


@pytest.mark.stress
@pytest.mark.parametrize(
    ("mode", "frames"), [("sleep", 50_000), ("spin", 30_000), ("flood", 200_000), ("flood-spin", 200_000)]
)
def test_hop(mode: str, frames: int, stress: bool, spawn: Spawner) -> None:
    if stress:
        frames = 10_000_000
    process = spawn(command=[sys.executable, str(TOOL), str(frames), "--mode", mode])
    assert process.wait(timeout_s=7200) == 0, process.errors
    said = process.expect(f"{mode}: {frames} frames, ")
    counts = re.search(r"(\d+) received, (\d+) counted as missed, 0 torn, 0 wake-ups missed", said)
    assert counts is not None
    assert int(counts[1]) + int(counts[2]) == frames
