"""The shipped sequence calibrates the demonstration and closes its loop; stopped half-way, it leaves all as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framebus.params import Params
from framebus.sequence import running
from framebus.stream import open as open_stream
from support.commands import output
from support.processes import Spawner
from support.waiting import until

NAME = "calibrate"


@pytest.fixture
def demo(spawn: Spawner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # A clock that a loaded machine keeps up with; its simulated time is that of 1 kHz.
    process = spawn(None, "up", "demo", "--var", "period_s=0.004", module="framebus")
    process.expect("all is ready", timeout_s=120.0)
    yield process
    output("down")
    process.wait()


def test_calibrates_the_demonstration(spawn: Spawner, demo: Any) -> None:
    with Params.open("demo_controller") as controller, open_stream("demo_mirror_flat") as flat:
        stopped = spawn(None, "seq", "run", NAME, module="framebus")
        until(lambda: any(s.step.startswith("response") and (s.progress or 0.0) > 0.1 for s in running()))
        assert output("seq", "stop") == "sequence 'calibrate' is stopped\n"
        assert stopped.wait() == 130
        assert controller["gain"] == 0.0
        assert not flat.read().any()
        whole = spawn(None, "seq", "run", NAME, "gain=0.4", "--json", module="framebus")
        assert whole.wait() == 0, whole.errors
        last = json.loads("\n".join(whole.lines))
        assert last["state"] == "done"
        assert last["result"] > 3.0
        assert controller["gain"] == 0.4
        # What the closed loop has on the mirror must not come into the reference of the next calibration.
        again = spawn(None, "seq", "run", NAME, "gain=0.4", module="framebus")
        with open_stream("demo_reference") as reference, open_stream("demo_dm") as dm:
            until(lambda: any(s.step.startswith("response") for s in running()))
            assert np.abs(reference.read()).max() < 0.05
            assert again.wait() == 0, again.errors
            assert dm.read().any()
        assert controller["leak"] == 0.995
