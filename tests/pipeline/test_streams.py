"""The streams that are there before the units, and what is left in them at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus.errors import PipelineError, UsageError
from framebus.pipeline import streams
from framebus.pipeline.plan import PipelinePlan, SourcePlan, StreamPlan
from framebus.pipeline.streams import make_streams, remove_streams, source_arrays, write_on_down
from support import sources
from support.processes import Spawner


def read(name: str) -> np.ndarray[Any, Any]:
    with fb.open(f"@E:{name}") as stream:
        return stream.read()


def test_made_of_values_files_and_functions(tmp_path: Path) -> None:
    pytest.importorskip("astropy")
    from astropy.io import fits

    np.save(tmp_path / "a.npy", np.arange(6, dtype=">i4").reshape(2, 3))
    fits.writeto(tmp_path / "a.fits", np.arange(4, dtype="float64"))
    plan = PipelinePlan(
        streams={
            "filled": StreamPlan(shape=(2,), fill=1.5, history=3, keywords={"RATE": 2.5}),
            "empty": StreamPlan(shape=(2,), dtype="uint8"),
            "npy": StreamPlan(file=str(tmp_path / "a.npy")),
            "fits": StreamPlan(file=str(tmp_path / "a.fits"), dtype="float32"),
        },
        sources={"s": SourcePlan(use="support.sources:arrays", prefix="s_", history=2)},
    )
    assert make_streams(plan) == ["filled", "empty", "npy", "fits", "s_wide"]
    with fb.open("filled") as filled, fb.open("empty") as empty:
        assert (filled.read().tolist(), filled.history_length, filled.keywords["RATE"]) == (
            [1.5, 1.5],
            3,
            2.5,
        )
        assert (empty.count, empty.dtype.name) == (0, "uint8")
    np.testing.assert_array_equal(read("npy"), [[0, 1, 2], [3, 4, 5]])
    assert read("fits").dtype == np.float32
    assert read("s_wide").shape == (6,)
    assert make_streams(plan) == [], "they are there, and fit"
    remove_streams(["filled", "s_wide", "none"])
    assert make_streams(plan) == ["filled", "s_wide"]


def test_one_that_is_there_is_kept_if_it_fits() -> None:
    plan = PipelinePlan(streams={"a": StreamPlan(shape=(2,), fill=1.0, history=2)})
    with fb.create("a", shape=(2,), history=1) as short:
        short.write(np.zeros(2))
    assert make_streams(plan) == ["a"], "its history was too short"
    with fb.open("a") as stream:
        stream.write(np.full(2, 7))
    assert make_streams(plan) == []
    assert read("a").tolist() == [7, 7]
    with fb.create("a", shape=(2,), history=2):
        assert make_streams(plan) == []
        assert read("a").tolist() == [1, 1], "it had no frame"


def test_what_a_run_left_behind_does_not_hide_a_new_file(tmp_path: Path, spawn: Spawner) -> None:
    np.save(tmp_path / "a.npy", np.zeros(2))
    file = str(tmp_path / "a.npy")
    plan = PipelinePlan(
        streams={
            "renewed": StreamPlan(file=file),
            "kept": StreamPlan(file=file, keep=True),
            "filled": StreamPlan(shape=(2,), dtype="float64", fill=0.0),
            "alive": StreamPlan(file=file),
        }
    )
    names = list(plan.streams)
    writer = spawn(
        f"""
        import framebus as fb
        for name in {names}:
            fb.create(name, shape=(2,), dtype="float64").write([1.0, 1.0])
        """
    )
    assert writer.wait() == 0, writer.errors
    with fb.open("alive") as stream:
        stream.write(np.full(2, 2.0))
    assert make_streams(plan) == []
    assert [read(name)[0] for name in names] == [1, 1, 1, 2]
    assert make_streams(plan, renew=True) == []
    assert [read(name)[0] for name in names] == [0, 1, 1, 2]


def test_what_cannot_be_made_leaves_nothing(shm_dir: Path) -> None:
    plan = PipelinePlan(
        streams={"good": StreamPlan(shape=(2,)), "bad": StreamPlan()},
        sources={"none": SourcePlan(use="support.sources:none")},
    )
    with pytest.raises(PipelineError) as caught:
        make_streams(plan)
    assert [problem.key for problem in caught.value.problems] == ["streams.bad", "sources.none"]
    assert not list(shm_dir.iterdir())


def test_a_source_is_asked_once_for_check_and_start(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted() -> dict[str, np.ndarray[Any, Any]]:
        calls.append(1)
        return {"wide": np.zeros(2)}

    monkeypatch.setattr(sources, "arrays", counted)
    source = SourcePlan(use="support.sources:arrays", prefix="counted_")
    source_arrays(source)
    source_arrays(source)
    assert len(calls) == 1
    make_streams(PipelinePlan(sources={"s": source}))
    assert len(calls) == 1
    source_arrays(source)
    assert len(calls) == 2, "the next start asks again"
    monkeypatch.setattr(streams, "KEPT_S", -1.0)
    source_arrays(SourcePlan(use="support.sources:arrays", prefix="other_"))
    source_arrays(SourcePlan(use="support.sources:arrays", prefix="other_"))
    assert len(calls) == 4, "not for ever"


def test_errors_of_a_source_go_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> None:
        raise UsageError("no such telescope")

    monkeypatch.setattr(sources, "arrays", refuses)
    with pytest.raises(UsageError, match=r"^no such telescope$"):
        source_arrays(SourcePlan(use="support.sources:arrays", prefix="refused_"))


def test_last_frames() -> None:
    plan = PipelinePlan(
        streams={
            "safe": StreamPlan(shape=(2,), fill=1.0, on_down=-3.0),
            "last": StreamPlan(shape=(2,), fill=1.0),
            "gone": StreamPlan(shape=(2,), fill=1.0, on_down=0.0),
        }
    )
    make_streams(plan)
    remove_streams(["gone"])
    assert write_on_down(plan) == ["safe"]
    assert read("safe").tolist() == [-3, -3]
    assert read("last").tolist() == [1, 1]
