"""The demonstration's pipeline with everything that can go wrong around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# One is enough in the short run.
PLACEMENTS = (
    ["processes", "threads", "fused"]
    if os.environ.get("FRAMEBUS_STRESS", "") not in ("", "0")
    else ["processes"]
)
TOOL = Path(__file__).resolve().parents[2] / "tools" / "chaos.py"


@pytest.mark.stress
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_survives_and_accounts_for_every_frame(placement: str, stress: bool, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(TOOL),
        *("--seconds", "120" if stress else "8"),
        *("--placement", placement),
        *("--clock", "250"),
        *("--logs", str(tmp_path / "logs")),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    logs = "\n".join(path.read_text() for path in sorted((tmp_path / "logs").glob("supervisor.log*")))
    assert run.stdout, run.stderr + logs
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["problems"] == [], run.stderr + logs
    assert run.returncode == 0
    assert sum(found["done"].values()) > 0
    assert found["reader"]["delivered"] > 0
