"""What the tests of sequences start with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framebus.params import Params, ParamSpec
from framebus.stream import create


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def image() -> Any:
    stream = create("image", shape=(2,), dtype="float32")
    stream.write(np.zeros(2))
    yield stream
    stream.remove()


@pytest.fixture
def loop() -> Any:
    specs = [ParamSpec("gain", 0.1, maximum=1.0), ParamSpec("on", False), ParamSpec("mode.name", "slow")]
    params = Params.create("loop", specs)
    yield params
    params.remove()
