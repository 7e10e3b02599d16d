"""One snapshot of everything, and its filters."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import framebus as fb
from framebus.errors import UsageError
from framebus.events import query
from framebus.events.snapshot import KINDS, parse_filters
from framebus.params import Params, ParamSpec
from framebus.pipeline.control import Controller
from framebus.process import ProcessRecord
from support.commands import output
from support.pipelines import COUNT, NEGATIVE, Pipelines, kill, pids, state


def names(found: list[dict[str, Any]], key: str = "name") -> list[str]:
    return [each[key] for each in found]


def test_everything_of_a_pipeline(
    pipelines: Pipelines, shm_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output("up", str(pipelines.write(COUNT + NEGATIVE)), "--detach")
    found = query()
    assert list(found) == ["time_ns", "directory", *KINDS]
    assert found["directory"] == str(shm_dir)
    assert names(found["streams"]) == ["count", "negative"]
    assert names(found["units"], "unit") == ["count", "negative"]
    (pipeline,) = found["pipelines"]
    assert (pipeline["name"], pipeline["state"], pipeline["supervised"]) == ("chain", "ready", True)
    assert pipeline["processes"]["count"]["pid"] == pids()["count"]
    assert names(query("unit:chain/neg*")["units"], "unit") == ["negative"]
    asked: list[str] = []
    status = Controller.status

    def count(controller: Controller) -> dict[str, Any]:
        asked.append(controller.name)
        return status(controller)

    monkeypatch.setattr(Controller, "status", count)
    query()
    query("streams", "pipeline:x*")
    assert asked == ["chain"]
    kill(state()["supervisor"]["pid"])
    assert query("pipelines", "ch*")["pipelines"][0]["state"] == "unsupervised"
    assert query("pipelines", "x*")["pipelines"] == []
    output("down")
    assert all(query()[kind] == [] for kind in KINDS)


def test_streams_and_parameters_have_plain_values(shm_dir: Path) -> None:
    (shm_dir / "junk.im.shm").write_bytes(b"")
    (shm_dir / "junk.params.fb").write_bytes(b"")
    gain = ParamSpec("gain", 0.3, minimum=0.0, maximum=1.0, unit="1/s", description="of the loop")
    with (
        fb.create("wfs", shape=(3, 4), dtype="uint16") as wfs,
        Params.create("loop", [gain, ParamSpec("closed", False)]) as loop,
        ProcessRecord.create("slopes") as record,
    ):
        wfs.write([[1] * 4] * 3)
        loop.claim()
        found = query("streams", "params", "units")
        json.dumps(found)
        bad, good = found["streams"]
        assert (bad["state"], bad["writer_alive"], bad["shape"]) == ("bad", None, None)
        assert (good["name"], good["shape"], good["dtype"], good["count"]) == ("wfs", [3, 4], "uint16", 1)
        assert good["writer_alive"] is True
        bad, good = found["parameters"]
        assert "file is empty" in bad["error"]
        assert (good["name"], good["user_pid"], good["error"]) == ("loop", os.getpid(), "")
        assert good["entries"]["gain"] == {
            "value": 0.3,
            "type": "float64",
            "unit": "1/s",
            "minimum": 0.0,
            "maximum": 1.0,
            "default": 0.3,
            "changes": 0,
            "finding": "",
            "description": "of the loop",
            "live": True,
            "restart": False,
            "saved": True,
            "status": False,
        }
        assert names(found["units"], "unit") == ["slopes"]
        assert "pipelines" not in found
        loop.release()
        record.remove()


def test_patterns_choose_by_name() -> None:
    with (
        fb.create("wfs1", shape=(1,)),
        fb.create("dm", shape=(1,)),
        Params.create("loop", {"gain": 0.3, "leak": 0.9}),
        Params.create("dm", {"stroke": 1.0}),
    ):
        assert names(query("streams", "wfs*")["streams"]) == ["wfs1"]
        everything = query("dm*")
        assert names(everything["streams"]) == names(everything["parameters"]) == ["dm"]
        (loop,) = query("param:loop.g*")["parameters"]
        assert list(loop["entries"]) == ["gain"]
        (loop,) = query("param:loop")["parameters"]
        assert list(loop["entries"]) == ["gain", "leak"]


@pytest.mark.parametrize(
    ("filters", "chosen"),
    [
        ((), {kind: [] for kind in KINDS}),
        (("wfs*",), {kind: ["wfs*"] for kind in KINDS}),
        (("streams", "wfs*", "dm"), {"streams": ["wfs*", "dm"]}),
        (("units", "stream", "wfs*"), {"streams": ["wfs*"], "units": []}),
        (("wfs*", "streams", "params"), {"streams": ["wfs*"], "parameters": ["wfs*"]}),
        (("unit:slopes", "streams"), {"streams": [], "units": ["slopes"]}),
        (("stream:streams",), {"streams": ["streams"]}),
        (("pipeline", "ao", "unit:ao/*"), {"units": ["ao/*"], "pipelines": ["ao"]}),
    ],
)
def test_what_filters_choose(filters: tuple[str, ...], chosen: dict[str, list[str]]) -> None:
    assert parse_filters(filters) == chosen


@pytest.mark.parametrize("wrong", ["strm:wfs", "stream:", ":x"])
def test_a_filter_of_no_kind(wrong: str) -> None:
    with pytest.raises(UsageError, match=f"filter '{wrong}': expected a pattern behind 'stream:'"):
        query(wrong)
