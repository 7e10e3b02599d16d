"""``framebus get`` and ``framebus set``."""

from __future__ import annotations

from pathlib import Path

import pytest

from framebus.params import Params, ParamSpec
from support.commands import answer, error, output
from support.processes import Spawner


@pytest.fixture
def loop() -> Params:
    """A set of several types."""
    return Params.create(
        "loop",
        [
            ParamSpec("gain", 0.3, minimum=0.0, maximum=1.0),
            ParamSpec("leak", 0.99, type="float32"),
            ParamSpec("closed", False),
            ParamSpec("modes", 100, live=False),
            ParamSpec("name", "night \x1b[31m"),
            ParamSpec("period_us", 500, restart=True),
            ParamSpec("since", 0, type="timestamp"),
        ],
    )


def test_one_value_is_bare_and_several_have_their_names(loop: Params) -> None:
    Params.create("cam", {"cooler.on": True})
    assert output("get", "loop.gain") == "0.3\n"
    assert output("get", "loop.closed") == "off\n"
    assert output("get", "cam.cooler.on") == "on\n"
    assert output("get", "loop.name") == "night \\x1b[31m\n"
    assert output("get", "loop.gain", "cam") == "loop.gain = 0.3\ncam.cooler.on = on\n"
    assert output("get", "cam") == "cam.cooler.on = on\n"
    assert output("get", "*.gain") == "loop.gain = 0.3\n"
    assert output("get", "loop.gain", "loop.gain") == "loop.gain = 0.3\n"
    assert [line.split()[0] for line in output("get", "l*p").splitlines()] == [f"loop.{n}" for n in loop]
    assert output("get", "x*", "y*") == "no parameter matches x* y*\n"


def test_json(loop: Params) -> None:
    assert answer("get", "loop.gain", "loop.closed") == {"loop.gain": 0.3, "loop.closed": False}
    assert answer("get", "x*") == {}
    assert answer("set", "loop.gain=0.5", "loop.name=a") == {
        "loop.gain": {"before": 0.3, "now": 0.5},
        "loop.name": {"before": "night \x1b[31m", "now": "a"},
    }


def test_what_is_not_there(loop: Params, shm_dir: Path) -> None:
    assert "parameter set 'loop' has no entry 'gian'; did you mean 'gain'?" in error(3, "get", "loop.gian")
    assert "no parameter set 'lop'" in error(3, "get", "lop.gain")
    assert "did you mean 'loop'?" in error(3, "set", "lop.gain=3")
    (shm_dir / "junk.params.fb").write_bytes(b"")
    assert "file is empty" in error(4, "get", "junk.x")
    assert (
        output("get", "*.gain") == "loop.gain = 0.3\n"
    )  # what is bad is no reason to tell nothing of the others
    assert "missing argument" in error(2, "get")


def test_values_are_set_by_their_type(loop: Params) -> None:
    assert output("set", "loop.gain=0.5") == "loop.gain = 0.5 (was 0.3)\n"
    assert output("set", "loop.gain", "0.5") == "loop.gain = 0.5 (as before)\n"
    assert output("set", "loop.closed=yes", "loop.modes=0x20", "loop.name=a=b c").splitlines() == [
        "loop.closed = on (was off)",
        "loop.modes = 32 (was 100)",
        "loop.name = a=b c (was night \\x1b[31m)",
    ]
    assert output("set", "loop.leak", "-0.5").startswith("loop.leak = -0.5 (was ")
    assert output("set", "loop.since=1970-01-01T00:00:02Z") == "loop.since = 2000000000 (was 0)\n"
    assert output("set", "loop.period_us=250").endswith(
        " (was 500); takes effect when its unit starts again\n"
    )
    assert (loop.gain, loop.closed, loop.modes, loop.leak) == (0.5, True, 32, -0.5)
    assert output("set", "loop.name=") == "loop.name =  (was a=b c)\n"


def test_all_or_nothing_over_several_sets(loop: Params) -> None:
    cam = Params.create("cam", [ParamSpec("exposure_us", 100, minimum=1)])
    said = error(2, "set", "cam.exposure_us=200", "loop.gain=7", "loop.closed=maybe")
    assert (
        "2 problems, nothing was changed: loop.closed = 'maybe': expected on or off (onoff); loop.gain = 7 "
        in said
    )
    assert "outside its limits [0, 1]" in said
    assert (cam.exposure_us, loop.gain) == (100, 0.3)
    assert "'cam' is a whole parameter set; expected one entry of it, cam.ENTRY" in error(2, "set", "cam=3")


def test_what_a_running_unit_fixes(spawn: Spawner, loop: Params) -> None:
    unit = spawn(
        'from framebus.params import Params; p = Params.open("loop"); p.claim(); print("claimed"); input()'
    )
    unit.expect("claimed")
    said = error(2, "set", "loop.gain=0.4", "loop.modes=50")
    assert "loop.modes" in said
    assert str(unit.pid) in said
    assert loop.gain == 0.3
    unit.kill()
    output("set", "loop.gain=0.4", "loop.modes=50")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["loop.gain"], "'loop.gain': expected NAME=VALUE, as in loop.gain=0.5"),
        (["loop.gain", "0.5", "0.6"], "'loop.gain': expected NAME=VALUE"),
        (["=3"], "'=3': expected NAME=VALUE"),
        (["loop.gain=1", "loop.gain=0"], "'loop.gain' is given twice"),
        (["loop.gain=much"], "loop.gain = 'much': expected a number (float64)"),
        (["loop.gain=nan"], "not NaN"),
        (["loop.modes=1.5"], "loop.modes = '1.5': expected a whole number (int64)"),
        (["loop.since=tomorrow"], "expected nanoseconds since 1970, or a time as 2026-01-31T12:00:00Z"),
    ],
)
def test_what_is_no_assignment(loop: Params, arguments: list[str], said: str) -> None:
    assert said in error(2, "set", *arguments)


def test_get_loads_no_library_that_it_does_not_need(spawn: Spawner, loop: Params) -> None:
    program = spawn(
        """
        import sys
        from framebus.cli import main
        sys.argv = ["framebus", "get", "loop.gain"]
        code = main()
        heavy = {"numba", "scipy", "rich.console", "msgspec", "astropy", "asyncio"} & {*sys.modules}
        print("code", code, sorted(heavy))
        """
    )
    assert program.expect("0.3") == "0.3"
    assert program.expect("code") == "code 0 []"
