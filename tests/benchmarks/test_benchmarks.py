"""The benchmarks run, and notice wrong answers. No time is asserted."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from framebus.unit import FunctionUnit

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The benchmarks' directory is on the path, and its modules are gone again afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def case_of(times: dict[str, list[list[int]]]) -> Any:
    case = module("contest").Case("a case")
    for label, rounds in times.items():
        case.times[label] = [np.array(r, np.int64) for r in rounds]
        case.groups[label], case.references[label] = "context", "base" if label != "base" else None
    return case


def run(function: Any, trips: int) -> Any:
    """One round, or a skip with the contestant's own reason."""
    try:
        return function(trips)
    except module("contest").Skipped as reason:
        pytest.skip(str(reason))


def test_ratios_are_of_the_same_round() -> None:
    case = case_of({"base": [[1000] * 9, [4000] * 9], "other": [[2000] * 9, [8000] * 9]})
    assert case.ratios("other", "base").tolist() == [2.0, 2.0]
    assert case.summary("base")["p50"] == 2.5
    assert case.summary("base")["max"] == 4.0
    assert case.summary("base")["n"] == 18


@pytest.mark.parametrize(
    ("kind", "limit", "met"),
    [
        ("ratio", 2.0, True),
        ("ratio", 1.9, False),
        ("excess", 1.0, True),
        ("excess", 0.9, False),
        ("share", 0.5, True),
        ("share", 0.6, False),
        ("absolute", 2.0, True),
        ("absolute", 1.9, False),
    ],
)
def test_targets_are_judged(kind: str, limit: float, met: bool) -> None:
    case = case_of({"base": [[1000] * 9], "other": [[2000] * 9]})
    case.targets = [module("contest").Target("other", "base", limit, kind=kind, why=lambda _: "because")]
    (verdict,) = case.verdicts()
    assert verdict["met"] is met
    assert verdict["why"] == ("" if met else "because")
    assert ("NOT MET" in module("report").verdict_lines(case)[0]) is not met


def test_a_target_of_what_did_not_run_is_no_success() -> None:
    case = case_of({"base": [[1000] * 9]})
    case.skipped["other"] = "not installed; pip install other"
    case.targets = [module("contest").Target("other", "base", 1.0)]
    assert case.verdicts()[0]["met"] is None
    assert "pip install other" in module("report").verdict_lines(case)[0]


def test_rounds_that_are_percentiles_already() -> None:
    case = case_of({"base": [[1000] * 9, [3000] * 9]})
    case.derive("twice", {"base": 2.0})
    case.times["tool"] = [{"p50": 5.0, "p99": 9.0, "max": 20.0, "n": 7}]
    case.groups["tool"], case.references["tool"] = "peer", "base"
    assert [r["p50"] for r in case.times["twice"]] == [2.0, 6.0]
    assert case.summary("tool")["p99"] == 9.0
    assert math.isnan(case.summary("tool")["p99.9"])
    assert case.summary("tool")["n"] == 7
    assert "tool" in module("report").table(case)


def test_contestants_alternate_and_failures_are_kept() -> None:
    contest = module("contest")
    order: list[str] = []

    def runner(label: str, error: Exception | None = None) -> Any:
        def run(trips: int) -> Any:
            order.append(label)
            if error is not None:
                raise error
            return np.full(trips, 1000, np.int64)

        return run

    contestants = [
        contest.Contestant("a", runner("a")),
        contest.Contestant("b", runner("b"), trips=0.5),
        contest.Contestant("once", runner("once"), rounds=1),
        contest.Contestant("absent", runner("absent", contest.Skipped("not here"))),
        contest.Contestant("wrong", runner("wrong", contest.WrongAnswer("3 elements"))),
    ]
    case = contest.alternate(contest.Case("a case"), contestants, rounds=2, trips=10)
    assert order == ["a", "b", "once", "absent", "wrong", "b", "a"]
    assert case.skipped == {"absent": "not here"}
    assert case.failed == {"wrong": "WrongAnswer: 3 elements"}
    assert [len(r) for r in case.times["b"]] == [5, 5]
    assert len(case.times["once"]) == 1


@pytest.mark.parametrize(("spin", "readers"), [(False, 1), (True, 1), (False, 3)])
def test_hop_in_c(spin: bool, readers: int) -> None:
    assert run(module("hop").c_reference((16, 16), spin, readers), 30).size == 30


@pytest.mark.parametrize("kind", ["framebus", "mp-pipe", "mp-queue", "mp-shm-semaphore"])
def test_hop_in_python(kind: str) -> None:
    assert run(module("hop").python_hop(kind, (16, 16)), 20).size == 20


@pytest.mark.parametrize("kind", ["framebus", "mp-shm-semaphore"])
def test_hop_to_several_readers(kind: str) -> None:
    assert run(module("hop").python_hop(kind, (16, 16), False, 3), 20).size == 20


@pytest.mark.parametrize(("ends", "echo"), [("unit", "unit"), ("c", "unit"), ("python", "unit"), ("c", "c")])
def test_hop_through_units_and_foreign_programs(ends: str, echo: str) -> None:
    assert run(module("hop").unit_hop((16, 16), ends, echo, False), 20).size == 20


@pytest.mark.parametrize("placement", ["fused", "threads", "processes"])
def test_loop_gives_the_commands_of_numpy(placement: str) -> None:
    assert run(module("loop").framebus_loop(4, placement, False), 10).size == 10


def test_kernels_by_address() -> None:
    for fed in (False, True):
        assert (run(module("loop").kernels(4, fed=fed), 5) > 0).all()


@pytest.mark.stress
def test_kernels_that_are_wrong_are_found(stress: bool) -> None:
    kernels = module("kernels")
    works = {w.label.split()[0]: w for w in kernels.works(20_000)}
    short = {
        "calibrate",
        "intensities",
        "centroids",
        "leaky_integrator",
        "modal_integrator",
        "dm_command",
        "reconstruct",
    }
    from framebus import ao

    units = {name for name in ao.__all__ if isinstance(getattr(ao, name), FunctionUnit)}
    # Parts of a product are measured as the product, channels by the sum of four.
    assert set(works) == (units - {"reconstruct_part", "join_parts"}) | {"sum_4"}
    # Compiling the others takes longer than all the rest; their own tests see that they are right.
    for name, work in works.items():
        if stress or name in short:
            run(kernels.kernel(work), 3)
    broken = works["dm_command"]
    broken.answer = (broken.answer[0], broken.answer[1] + np.float32(0.1))
    with pytest.raises(module("contest").WrongAnswer, match="dm is off by"):
        kernels.kernel(broken)(3)


def test_simulated_telescopes_are_checked_before_they_are_timed() -> None:
    sim = module("sim")
    for label, kind in ((sim.GEOMETRIC, "geometric"), (sim.PYRAMID, "pyramid")):
        assert run(sim.steps(4, kind, label), 3).size == 3
    bent = sim.telescope(4, "geometric")
    bent.sensor.light = bent.sensor.light[:, ::-1]
    with pytest.raises(module("contest").WrongAnswer, match="did not move"):
        sim.check(bent, "bent")


def test_a_hop_that_loses_its_frame_is_found(tmp_path: Path) -> None:
    pairs = module("pairs")
    liar = "print('loaded'); input(); print('made'); input(); print('wrong 3 elements'); input()"
    with pytest.raises(module("contest").WrongAnswer, match="3 elements"):
        pairs.run_group([[sys.executable, "-u", "-c", liar]], tmp_path)
    with pytest.raises(RuntimeError, match=r"no 'loaded'.*ZeroDivisionError"):
        pairs.run_group([[sys.executable, "-c", "1 / 0"]], tmp_path)


def test_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main = module("run").main
    limits: dict[str, Any] = {
        "cache_line": {"p50_ns": 50.0, "p99_ns": 60.0, "p999_ns": 70.0, "max_ns": 80.0},
        "disk": {"bytes_per_s": 1e9},
    }
    limits |= dict.fromkeys(("semaphore_wake", "tcp_64_bytes", "tcp_1_megabyte"), limits["cache_line"])
    names = ("copy_1_core", "copy_2_core", "read_1_core", "read_2_core", "handover")
    limits |= {name: {16 << 10: 1e10} for name in names}
    monkeypatch.setattr(module("machine"), "limits", lambda _directory, *, quick: limits)
    arguments = [
        "start",
        "--rounds",
        "1",
        "--trips",
        "2",
        "--only",
        "import framebus",
        "--results",
        str(tmp_path),
    ]
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    (document,) = json.loads(captured.out)
    assert document == json.loads((tmp_path / "start.json").read_text())
    assert document["cases"][0]["contestants"]["import framebus"]["n"] == 2
    assert (tmp_path / "start.png").read_bytes().startswith(b"\x89PNG")
    assert "targets" in captured.err


def test_unknown_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        module("run").main(["hopp"])
    assert "no benchmark hopp; there are hop, loop" in capsys.readouterr().err


def test_probes_of_the_machine(tmp_path: Path) -> None:
    machine = module("machine")
    a, b = machine.two_cpus()
    assert run(lambda _: machine.probe("semwake", a, b, 20, 1000), 1)["n"] == 20
    assert machine.probe("tcp", a, b, 20, 64)["p50_ns"] > 0
    assert machine.probe("cacheline", a, b, 0.01)["n"] > 0
    assert machine.probe("disk", tmp_path / "file", 1 << 20)["bytes_per_s"] > 0
    for kind in ("copy", "read", "handover"):
        assert machine.bandwidth(kind, [4096, 65536], seconds=0.001).keys() == {4096, 65536}
    with pytest.raises(RuntimeError, match="usage"):
        machine.probe("nonsense")
