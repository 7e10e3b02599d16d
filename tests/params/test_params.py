"""Parameter sets as a user meets them: declaring, reading, writing, and every way to be refused."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from framebus import _core
from framebus.errors import NameFormatError, NotFoundError, ParameterError, StreamRecreated, UsageError
from framebus.params import Params, ParamSpec
from support.processes import Spawner

SPECS = [
    ParamSpec(
        "gain", 0.3, minimum=0, maximum=1, unit="1/frame", description="loop gain", help="Of the\nintegrator."
    ),
    ParamSpec("leak", 0.99, type="float32", minimum=0, maximum=1),
    ParamSpec("small", -5, type="int32"),
    ParamSpec("big", 7),
    ParamSpec("mask", 2**32 - 1, type="uint32"),
    ParamSpec("key", 2**64 - 1, type="uint64"),
    ParamSpec("enabled", True),
    ParamSpec("label", "first light"),
    ParamSpec("loop.file", Path("/data/cm.fits")),
    ParamSpec("loop.wfs", "wfs", type="stream"),
    ParamSpec("owner", 1, type="pid"),
    ParamSpec("since", 1_700_000_000_000_000_000, type="timestamp"),
    ParamSpec("order", 3, minimum=0, maximum=9, live=False, restart=True, saved=False),
    ParamSpec("residual", math.inf, status=True),
]
DEFAULTS = {
    "gain": 0.3,
    "leak": float(np.float32(0.99)),
    "small": -5,
    "big": 7,
    "mask": 2**32 - 1,
    "key": 2**64 - 1,
    "enabled": True,
    "label": "first light",
    "loop.file": "/data/cm.fits",
    "loop.wfs": "wfs",
    "owner": 1,
    "since": 1_700_000_000_000_000_000,
    "order": 3,
    "residual": math.inf,
}


@pytest.fixture
def params() -> Iterator[Params]:
    with Params.create("loop", SPECS) as made:
        yield made


def test_a_new_set_has_its_defaults_in_every_type(params: Params, shm_dir: Path) -> None:
    assert params.path == shm_dir / "loop.params.fb"
    with Params.open("loop") as other:
        for handle in (params, other):
            assert handle.snapshot() == DEFAULTS
            assert list(handle) == list(DEFAULTS)
            assert dict(handle.items()) == DEFAULTS
            assert list(handle.values()) == list(DEFAULTS.values())
            assert handle["enabled"] is True
            assert {type(v) for v in handle.values()} == {float, int, bool, str}
        assert other.name == "loop"
        assert len(other) == len(SPECS)


def test_what_one_handle_writes_the_other_reads(params: Params) -> None:
    with Params.open(params.path) as other:
        params["gain"] = 0.4
        params.leak = 0.5
        params["loop.wfs"] = "wfs2"
        assert (other.gain, other["leak"], other["loop.wfs"]) == (0.4, 0.5, "wfs2")
        generation = other.update(
            {"loop.file": Path("a/b")}, gain=1, enabled=np.bool_(False), small=np.int64(9)
        )
        assert generation == params.generation == 4
        assert (params["loop.file"], params.gain, params.enabled, params.small) == ("a/b", 1.0, False, 9)
        assert params.changes["gain"] == 2
        assert params.changes["key"] == 0


def test_describe_says_everything_about_an_entry(params: Params) -> None:
    params.gain = 0.5
    info = params.describe("gain")
    assert info.spec == ParamSpec(
        "gain",
        0.3,
        type="float64",
        minimum=0.0,
        maximum=1.0,
        unit="1/frame",
        description="loop gain",
        help="Of the\nintegrator.",
    )
    assert (info.value, info.changes, info.finding) == (0.5, 1, "")
    order = params.describe("order").spec
    assert (order.live, order.restart, order.saved, order.status) == (False, True, False, False)
    assert (order.minimum, order.maximum) == (0, 9)
    big = params.describe("big").spec
    assert (big.minimum, big.maximum) == (-(2**63), 2**63 - 1)
    label = params.describe("label").spec
    assert (label.type, label.minimum, label.default) == ("string", None, "first light")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("gain", 1.5, ["gain = 1.5", "[0, 1]", "float64", "no unit runs"]),
        ("gain", -1e-9, ["gain", "-1e-09", "[0, 1]"]),
        ("gain", math.nan, ["gain", "nan", "not NaN"]),
        ("gain", "0.4", ["gain", "'0.4'", "a number"]),
        ("gain", True, ["gain", "True", "a number"]),
        ("gain", np.zeros(3), ["gain", "one number"]),
        ("gain", None, ["gain", "None", "a number"]),
        ("gain", 10**400, ["gain = 1000", "… (int)", "fits into float64"]),
        ("residual", 1.0, ["residual = 1", "status", "only the unit itself"]),
        ("leak", 1e39, ["leak", "1e+39", "float32"]),
        ("small", 2**31, ["small", "2147483648", "int32"]),
        ("small", 1.0, ["small", "1.0", "integer"]),
        ("small", False, ["small", "False", "integer"]),
        ("mask", -1, ["mask", "-1", "uint32"]),
        ("key", 2**64, ["key", str(2**64), "uint64"]),
        ("owner", -1, ["owner", "-1", "pid"]),
        ("since", -1, ["since", "-1", "timestamp"]),
        ("enabled", 2, ["enabled", "2", "True or False"]),
        ("enabled", "on", ["enabled", "'on'", "True or False"]),
        ("label", 3, ["label", "3", "a text"]),
        ("label", "x" * 256, ["label", "255 bytes", "256 given"]),
        ("label", "ö" * 128, ["label", "255 bytes", "256 given"]),
        ("label", "a\0b", ["label", "NUL"]),
        ("label", "\ud800", ["label", "UTF-8"]),
        ("loop.file", 3, ["loop.file", "a text or a path"]),
        ("loop.wfs", "wfs[", ["loop.wfs", "'wfs['", "stream"]),
    ],
)
def test_a_wrong_value_is_refused_by_name_value_and_limit(
    params: Params, name: str, value: object, words: list[str]
) -> None:
    with pytest.raises(ParameterError) as caught:
        params.update({"big": 8, name: value})
    for word in ["loop", *words]:
        assert word in str(caught.value)
    assert params.snapshot() == DEFAULTS, "a refused update changes nothing"
    assert params.generation == 0


def test_values_on_the_limits_and_infinities_without_limits_are_allowed(params: Params) -> None:
    params.update(gain=0, leak=1.0, mask=0, key=0, label="x" * 255)
    params.set_status(residual=-math.inf)
    assert (params.gain, params.leak, params.key, params.residual) == (0.0, 1.0, 0, -math.inf)
    params.label = ""
    params["loop.wfs"] = ""
    assert params.label == ""


def test_an_unknown_name_lists_what_is_like_it(params: Params) -> None:
    for act in (lambda: params["gian"], lambda: params.update(gian=1), lambda: params.describe("gian")):
        with pytest.raises(ParameterError, match=r"no entry 'gian'; did you mean 'gain'\?"):
            act()
    with pytest.raises(AttributeError, match="did you mean 'gain'"):
        _ = params.gian
    with pytest.raises(AttributeError, match="did you mean 'gain'"):
        params.gian = 1
    with pytest.raises(ParameterError, match="there are: big, enabled"):
        params["xyzzy"]
    assert "gian" not in params
    assert params.get("gian", 5) == 5
    assert params.get("big") == 7
    assert not hasattr(params, "gian")
    assert "gain" in dir(params)


def test_an_entry_named_as_a_method_is_reached_by_item_only() -> None:
    with Params.create("odd", {"update": 3}) as params:
        assert params["update"] == 3
        with pytest.raises(AttributeError, match=r"\[\.\.\.\]"):
            params.update = 4  # type: ignore[assignment, method-assign]
        params["update"] = 4
        assert params["update"] == 4


def test_types_follow_from_plain_defaults() -> None:
    specs = {
        "a": True,
        "b": 1,
        "c": 1.5,
        "d": "x",
        "e": Path("/y"),
        "f": np.float32(2),
        "g": np.int8(3),
        "h": np.bool_(0),
    }
    with Params.create("plain", specs) as params:
        assert [params.describe(n).spec.type for n in params] == [
            "onoff", "int64", "float64", "string", "path", "float64", "int64", "onoff",
        ]  # fmt: skip


def test_an_empty_set_is_a_set() -> None:
    with Params.create("empty", {}) as params, Params.open("empty") as other:
        assert other.snapshot() == {}
        assert params.update() == 0
        with pytest.raises(ParameterError, match="there are none"):
            params["gain"]


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        ([ParamSpec("1+1", 0)], ["'1+1'", "no parameter name"]),
        ([ParamSpec("", 0)], ["''", "no parameter name"]),
        ([ParamSpec("a..b", 0)], ["'a..b'", "no parameter name"]),
        ([ParamSpec("a.", 0)], ["'a.'", "no parameter name"]),
        ([ParamSpec("a" * 64, 0)], ["at most 63"]),
        ([ParamSpec("a", 0), ParamSpec("a", 1)], ["'a'", "twice"]),
        ([ParamSpec("a", 0, unit="u" * 24)], ["'a'", "unit", "23"]),
        ([ParamSpec("a", 0, description="d" * 160)], ["'a'", "description", "159"]),
        ([ParamSpec("a", 0, help="h" * 4001)], ["'a'", "help", "4000"]),
        ([ParamSpec("a", 5, minimum=0, maximum=3)], ["'a'", "default 5", "[0, 3]"]),
        ([ParamSpec("a", 5, minimum=3, maximum=0)], ["'a'", "allow nothing", "[3, 0]"]),
        ([ParamSpec("a", 0.5, minimum=math.nan)], ["'a'", "not NaN"]),
        ([ParamSpec("a", "x", maximum=3)], ["'a'", "limits", "string"]),
        ([ParamSpec("a", 1.5, type="int32")], ["'a'", "1.5", "integer"]),
        ([ParamSpec("a", 0, type="int16")], ["'a'", "'int16'", "int32"]),
        ([ParamSpec("a", True, minimum=1, maximum=2)], ["'a'", "2", "True or False"]),
        ([ParamSpec("a", None)], ["None", "default"]),
        ([ParamSpec(f"p{i}", 0) for i in range(1025)], ["1025", "1024"]),
        ({"a": ParamSpec("b", 0)}, ["'a'", "'b'", "same name"]),
        (["gain"], ["'gain'", "ParamSpec"]),
        ([ParamSpec(3, 0)], ["3", "name", "(int)", "a text"]),  # type: ignore[arg-type]
        ([ParamSpec("a", 0, description=None)], ["'a'", "description is None", "a text"]),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(
    specs: list[ParamSpec], words: list[str], shm_dir: Path
) -> None:
    with pytest.raises(ParameterError) as caught:
        Params.create("wrong", specs)
    for word in words:
        assert word in str(caught.value)
    assert list(shm_dir.iterdir()) == []


def test_names_of_sets_are_checked_and_missing_ones_reported(params: Params, tmp_path: Path) -> None:
    with pytest.raises(NameFormatError, match=r"a parameter set is named as a stream is: .*'/'"):
        Params.create("a/b", {})
    with pytest.raises(NotFoundError, match="did you mean 'loop'"):
        Params.open("loops")
    with pytest.raises(NotFoundError, match="there are none"):
        Params.open(tmp_path / "x.params.fb")
    with pytest.raises(NotFoundError, match="there are none"):
        Params.open("loop", directory=tmp_path)


def test_an_existing_set_is_replaced_only_on_demand(params: Params) -> None:
    with pytest.raises(UsageError, match=r"there already.*replace=True"):
        Params.create("loop", {"gain": 1.0})
    with Params.create("loop", {"gain": 1.0}, replace=True) as new:
        assert new.snapshot() == {"gain": 1.0}
        assert params.gain == 0.3, "an old handle still reads"
        with pytest.raises(StreamRecreated, match="replaced or removed"):
            params.gain = 0.5
        params.remove()  # the file is the new set's: it stays
        assert new.path.exists()


def test_a_foreign_file_of_that_name_can_be_replaced(shm_dir: Path) -> None:
    (shm_dir / "loop.params.fb").write_bytes(b"something else")
    with Params.create("loop", {"gain": 1.0}, replace=True) as params:
        assert params.gain == 1.0


def test_remove_removes_and_later_writes_are_refused(params: Params) -> None:
    with Params.open("loop") as other:
        other.remove()
        assert not params.path.exists()
        with pytest.raises(StreamRecreated):
            params.gain = 0.5
    params.remove()  # gone already: no error


def test_a_closed_handle_says_so(params: Params) -> None:
    params.close()
    assert repr(params) == "<Params, closed>"
    for act in (params.snapshot, lambda: params["gain"], lambda: params.update(gain=1), params.remove):
        with pytest.raises(UsageError, match="closed"):
            act()


def test_open_or_create_keeps_tuned_values_of_the_same_declaration(params: Params) -> None:
    params.gain = 0.7
    with Params.open_or_create("loop", SPECS) as again:
        assert again.gain == 0.7
    with Params.open_or_create("loop", SPECS[:3]) as other:
        assert other.snapshot() == {"gain": 0.3, "leak": float(np.float32(0.99)), "small": -5}
    with pytest.raises(StreamRecreated):
        params.gain = 0.2
    with Params.open_or_create("fresh", {"a": 1}) as fresh:
        assert fresh.a == 1


def test_open_or_create_does_not_take_a_set_away_from_a_running_unit(params: Params, spawn: Spawner) -> None:
    unit = spawn("""
        from framebus.params import Params
        Params.open("loop").claim()
        print("claimed")
        input()
    """)
    unit.expect("claimed")
    with pytest.raises(UsageError, match=f"process {unit.pid} runs with it"):
        Params.open_or_create("loop", {"gain": 1.0})
    unit.send()
    assert unit.wait() == 0
    with Params.open_or_create("loop", {"gain": 1.0}) as new:
        assert new.gain == 1.0


def test_entries_that_are_not_live_are_fixed_while_a_unit_runs(params: Params) -> None:
    params.claim()
    with Params.open("loop") as other:
        assert other.user_pid == os.getpid()
        state = rf"unit 'loop' of process {os.getpid()} runs"
        fixed = rf"order = 4 \(int64, 0 to 9\): order is fixed while {state}; stop it first"
        with pytest.raises(ParameterError, match=fixed):
            other.update(gain=0.5, order=4)
        with pytest.raises(ParameterError, match=rf"gain = 2 is outside its limits \[0, 1\] .*; {state}"):
            other.gain = 2
        assert other.gain == 0.3
        other.gain = 0.5
        params.set_status(order=5, residual=0.1)
        params.release()
        assert other.user_pid == 0
        other.order = 6
        assert (other.order, other.residual) == (6, 0.1)


def test_nobody_else_writes_as_the_unit_or_removes_its_set(params: Params, spawn: Spawner) -> None:
    params.claim()
    other = spawn("""
        from framebus.params import Params
        p = Params.open("loop")
        for act in (lambda: p.set_status(residual=0.1), lambda: p.set_status(gain=0.5), p.remove):
            try:
                act()
            except ValueError as error:
                print(error)
    """)
    runs = (
        f"unit 'loop' of process {os.getpid()} runs with it, and only that one may write as the unit itself"
    )
    other.expect(f"parameter set 'loop': residual = 0.1 (float64): {runs}")
    other.expect(f"parameter set 'loop': gain = 0.5 (float64, 0 to 1): {runs}")
    removed = f"a unit of process {os.getpid()} runs with it, so it cannot be removed; stop that unit first"
    other.expect(f"parameter set 'loop': {removed}")
    assert other.wait() == 0
    assert params.snapshot() == DEFAULTS
    params.release()
    spawn('from framebus.params import Params; Params.open("loop").remove()').wait()
    assert not params.path.exists()


def test_a_dead_unit_fixes_nothing_and_a_live_one_cannot_be_joined(params: Params, spawn: Spawner) -> None:
    unit = spawn("""
        from framebus.params import Params
        Params.open("loop").claim()
        print("claimed")
        input()
    """)
    unit.expect("claimed")
    assert params.user_pid == unit.pid
    with pytest.raises(UsageError, match=f"process {unit.pid} already runs"):
        params.claim()
    params.release()  # not ours: nothing happens
    with pytest.raises(ParameterError, match="fixed"):
        params.order = 4
    unit.kill()
    assert params.user_pid == 0
    params.order = 4
    params.claim()
    assert params.user_pid == os.getpid()


def test_a_set_that_may_only_be_read_is_read(params: Params, spawn: Spawner) -> None:
    params.path.chmod(0o444)
    other = spawn("""
        import os
        from framebus.params import Params
        if os.getuid() == 0:  # may write everything: be somebody else
            os.setuid(65534)
        p = Params.open("loop")
        print("gain", p.gain)
        for act in (lambda: p.update(gain=1), p.claim):
            try:
                act()
            except PermissionError as error:
                print("refused", error.filename, error)
        p.release()
        p.core.retire()
    """)
    assert other.expect("gain") == "gain 0.3"
    for _ in range(2):
        assert "'loop' may only be read" in other.expect(f"refused {params.path}")
    assert other.wait() == 0
    params.gain = 0.5  # not retired


def test_the_loops_view_is_the_cells_of_one_generation(params: Params) -> None:
    cells = np.full(len(SPECS), -1, np.int64)
    core = params.core
    seen = core.refresh(core.never, cells)
    assert seen == 0
    assert cells[:1].view(np.float64)[0] == 0.3
    assert cells[1:2].view(np.float32)[0] == np.float32(0.99)
    assert cells[1] >> 32 == 0, "a float32 leaves the upper bytes 0"
    assert cells[2] == 2**32 - 5, "so does an int32"
    assert cells[3:5].tolist() == [7, 2**32 - 1]
    assert cells[5:6].view(np.uint64)[0] == 2**64 - 1
    assert cells[6:13].tolist() == [1, 0, 0, 0, 1, 1_700_000_000_000_000_000, 3]
    cells[:] = -1
    assert core.refresh(seen, cells) == 0
    assert (cells == -1).all(), "nothing changed, nothing is copied"
    params.update(enabled=False, big=-8)
    assert core.refresh(seen, cells) == 1
    assert (cells[3], cells[6]) == (-8, 0)
    with pytest.raises(UsageError, match="needs 14 cells, got 3"):
        core.refresh(0, cells[:3].copy())


def test_mode_is_the_files_mode_under_the_umask() -> None:
    with Params.create("mine", {"a": 1}, mode=0o600) as params:
        assert params.path.stat().st_mode & 0o777 == 0o600


def test_the_core_checks_what_python_did_not(params: Params) -> None:
    for change, words in [
        ((99, 0, ""), "no entry 99"),
        ((7, 0, "x" * 256), "at most 255 bytes, got 256"),
        ((7, 0, "a\0b"), "NUL"),
        ((1, -1, ""), "leak"),  # bytes that a float32 does not use are set
    ]:
        with pytest.raises(ParameterError, match=words):
            params.core.update([change])
    with pytest.raises(UsageError, match="1 to 79 bytes"):
        _core.ParamSet.create("/nowhere", "", [])
    with pytest.raises(OSError, match="nowhere"):
        _core.ParamSet.create("/nowhere/x", "x", [])
    for entry, words in [
        (_core.ParamSpec("a", 99, 0, "", "", 0, 0, 0, ""), "type"),
        (_core.ParamSpec("a", 2, 64, "", "", 0, 0, 0, ""), "flags"),
        (_core.ParamSpec("a", 8, 0, "", "", 0, 0, 0, "x" * 256), "255"),
        (_core.ParamSpec("a", 8, 0, "", "", 0, 0, 0, "a\0b"), "NUL"),
    ]:
        with pytest.raises(ParameterError, match=words):
            _core.ParamSet.create("/nowhere/x", "x", [entry])


def test_the_tutorials_code_runs(spawn: Spawner) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "parameters.py"
    process = spawn(command=[sys.executable, "-W", "error", str(example)])
    assert process.wait() == 0, process.errors
    refused = "parameter set 'loop': gain = 3 is outside its limits [0, 1] (float64); no unit runs with it"
    assert refused in process.lines
