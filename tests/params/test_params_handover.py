"""Who runs with a set: taking over from a predecessor, replacing its set, and what a check says about it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from framebus import _core
from framebus.errors import ParameterError, StreamRecreated, UsageError
from framebus.params import Params, ParamSpec, ProcessId
from support.processes import Spawned, Spawner

SPECS = [
    ParamSpec("gain", 0.3, minimum=0, maximum=1),
    ParamSpec("order", 3, live=False),
    ParamSpec("label", "first"),
    ParamSpec("seeing", 0.5, status=True),
]
NEW = [
    ParamSpec("gain", 0.1, minimum=0, maximum=0.5),
    ParamSpec("order", 1.0),
    ParamSpec("label", 4),
    ParamSpec("seeing", 0.0, status=True),
    ParamSpec("leak", 0.9),
]


@pytest.fixture
def params() -> Iterator[Params]:
    with Params.create("loop", SPECS) as made:
        yield made


@pytest.fixture
def unit(params: Params, spawn: Spawner) -> Spawned:
    """Another process whose unit runs with the set."""
    made = spawn("""
        from framebus.params import Params
        p = Params.open("loop")
        p.claim()
        print("claimed")
        input()
        p.release()
        print("released")
        input()
    """)
    made.expect("claimed")
    return made


def _id(unit: Spawned) -> ProcessId:
    return unit.pid, _core.process_start_ticks(unit.pid)


def test_a_successor_takes_over_and_the_predecessors_release_changes_nothing(
    params: Params, unit: Spawned
) -> None:
    pid, ticks = _id(unit)
    assert params.core.user == (pid, ticks)
    for stranger in (None, (pid, ticks ^ 1), (pid + 1, ticks)):
        with pytest.raises(UsageError, match=f"process {pid} already runs"):
            params.claim(stranger)
    params.claim((pid, ticks + (1 << 32)))  # the file holds the low half of the ticks
    assert params.user_pid == os.getpid()
    unit.send()
    unit.expect("released")
    assert params.user_pid == os.getpid()
    params.release()
    assert params.user_pid == 0


def test_taking_over_from_one_that_is_gone_is_a_plain_claim(params: Params, unit: Spawned) -> None:
    predecessor = _id(unit)
    unit.kill()
    params.claim(predecessor)
    params.claim(predecessor)
    assert params.user_pid == os.getpid()


def test_a_set_that_was_replaced_cannot_be_claimed(params: Params) -> None:
    Params.create("loop", SPECS, replace=True).close()
    with pytest.raises(StreamRecreated, match="open it again"):
        params.claim()


def test_only_a_successor_replaces_the_set_of_a_running_unit(params: Params, unit: Spawned) -> None:
    predecessor = _id(unit)
    with pytest.raises(UsageError, match=f"a unit of process {unit.pid} runs with it"):
        Params.create("loop", NEW, replace=True)
    with pytest.raises(UsageError, match="stop that unit first"):
        Params.open_or_create("loop", NEW, successor_of=(unit.pid, predecessor[1] ^ 1))
    params.gain = 0.4  # not retired
    with Params.create("loop", NEW, replace=True, successor_of=predecessor) as new:
        assert new["gain"] == 0.1
        new.claim()
    with pytest.raises(StreamRecreated):
        params.gain = 0.5


def test_ones_own_set_may_be_replaced(params: Params) -> None:
    params.claim()
    with Params.create("loop", NEW, replace=True) as new:
        assert new.user_pid == 0


def test_a_successor_with_the_same_entries_goes_on_with_the_set(params: Params, unit: Spawned) -> None:
    params.gain = 0.4
    with Params.open_or_create("loop", SPECS, successor_of=_id(unit)) as same:
        assert same.core.inode == params.core.inode
        assert same["gain"] == 0.4
        same.claim(_id(unit))
        assert params.user_pid == os.getpid()


def test_a_successor_with_other_entries_keeps_the_values_that_fit(params: Params, unit: Spawned) -> None:
    params.gain = 0.4
    with Params.open_or_create("loop", NEW, successor_of=_id(unit)) as new:
        assert new.snapshot() == {"gain": 0.4, "order": 3.0, "label": 4, "seeing": 0.0, "leak": 0.9}
        new.gain = 0.45
    unit.kill()
    with Params.open_or_create("loop", SPECS, successor_of=_id(unit)) as back:
        assert back.snapshot() == {"gain": 0.45, "order": 3, "label": "first", "seeing": 0.5}
        back.gain = 0.9
    with Params.open_or_create("loop", NEW, successor_of=_id(unit)) as again:
        assert again["gain"] == 0.1, "0.9 is outside the new limits"


def test_help_is_part_of_a_declaration() -> None:
    long = "Wörter, " * 400
    with Params.create("told", [ParamSpec("a", 1, help=long), ParamSpec("b", "x", help="Short.")]) as made:
        made.a = 2
        with Params.open("told") as other:
            assert other.describe("a").spec.help == long
            assert other.describe("b").spec.help == "Short."
    with Params.open_or_create("told", [ParamSpec("a", 1, help=long), ParamSpec("b", "x")]) as new:
        assert new["a"] == 1


def test_findings_stand_beside_the_values_until_these_are_written(params: Params) -> None:
    with Params.open("loop") as other:
        assert other.findings == {}
        generation = params.set_findings({"gain": "high for this order", "order": "low"})
        assert generation == other.generation == 1
        assert other.findings == {"gain": "high for this order", "order": "low"}
        assert other.describe("gain").finding == "high for this order"
        assert other.describe("label").finding == ""
        assert params.set_findings(other.findings) == 1, "the same again is nothing new"
        other.update(gain=0.2, label="x")
        assert params.findings == {"order": "low"}
        assert params.set_findings({"label": "odd"}) == 3
        assert other.findings == {"label": "odd"}
        assert params.set_findings({}) == 4
        assert other.findings == {}
        assert other.changes == {"gain": 1, "order": 0, "label": 1, "seeing": 0}


def test_findings_are_cut_to_fit_and_their_names_checked(params: Params) -> None:
    params.set_findings({"gain": "x" * 159, "order": "ö" * 80, "label": "a\0b"})
    assert params.findings == {"gain": "x" * 159, "order": "ö" * 78 + "…", "label": "a b"}
    with pytest.raises(ParameterError, match="did you mean 'gain'"):
        params.set_findings({"gian": "x"})
    with pytest.raises(UsageError, match="needs 4 texts, got 1"):
        params.core.set_findings(["x"])
    Params.open("loop").remove()
    with pytest.raises(StreamRecreated):
        params.set_findings({})
