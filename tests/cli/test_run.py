"""``framebus run``: every unit is a command."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.cli.run_background import plan_of
from framebus.cli.run_wishes import Wishes, parse_cpus, parse_value
from framebus.errors import ParameterError, UsageError
from framebus.process import ProcessRecord, records
from framebus.unit import LoopOptions, load_unit
from framebus.unit.declare import FunctionUnit
from support.commands import PROGRAM, call, error, output
from support.processes import TESTS, Spawner
from support.waiting import until, until_computed

UNITS = "support.units"
SCALE = f"{UNITS}:scale"


@pytest.fixture
def image() -> Iterator[fb.Stream]:
    """A stream with one frame: 0 to 3."""
    with fb.create("image", shape=(4,), dtype="float32", history=8) as stream:
        stream.write(np.arange(4, dtype=np.float32))
        yield stream


# ---- help ------------------------------------------------------------------------------------------------------------


def words(text: str) -> str:
    """A help text as if its lines were not wrapped."""
    return " ".join(text.split())


def test_help_of_a_unit_is_made_of_its_declaration() -> None:
    printed = output("run", "framebus.ao:centroids", "--help")
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.startswith("Usage: framebus run framebus.ao:centroids [OPTIONS]\n")
    said = words(printed)
    assert "Thresholded centre of gravity of every sub-aperture" in said
    assert "Unit 'centroids' of framebus.ao.shack_hartmann:centroids, compiled to machine code." in said
    assert (
        "pixels any integer, float32 or float64, shape (height, width). Camera frame. Its frames start the"
        in said
    )
    assert "boxes int32, shape (n_sub, 4). Sub-apertures: y0, x0, height, width in pixels." in said
    assert "[float64, default 0, at least 0]" in said
    assert "--in boxes=boxes \\ --in reference=reference --out slopes=slopes" in said
    assert "--every SECONDS" in said


def test_help_of_a_unit_that_declares_little(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(
        "from typing import Annotated\nfrom framebus.unit import In, Out, Range, Unit, unit\n"
        "Low = Annotated[int, Range(None, 3)]\n@unit(compiled=False)\n"
        "def plain(a: In, b: Out, *, on: bool = True, word: str = 'x', low: Low = 1) -> None:\n"
        "    pass\n"
        "class Camera(Unit):\n    '''A camera.'''\n    def step(self, frame: Out, *, n: int = 1) -> None: ...\n"
    )
    said = words(output("run", f"{tmp_path}/plain.py:plain", "--help"))
    assert "It has no docstring." in said
    assert "run by the interpreter" in said
    assert "a any dtype, any shape. Its frames start the unit." in said
    assert "b floating, shape as the unit says, or as the first input." in said
    assert "on [onoff, default on]" in said
    assert "word [string, default 'x']" in said
    assert "low [int64, default 1, at most 3]" in said
    camera = words(output("run", f"{tmp_path}/plain.py:Camera", "-h"))
    assert "A camera." in camera
    assert "a device, run by the interpreter" in camera
    assert "Inputs" not in camera
    assert "--out frame=frame --every 0.01" in camera


def test_a_list_in_a_docstring_stays_a_list(tmp_path: Path) -> None:
    (tmp_path / "listed.py").write_text(
        "from framebus.unit import In, Out, unit\n"
        "@unit\ndef listed(a: In, b: Out) -> None:\n    '''Do it.\n\n    - one\n    - two\n    '''\n"
    )
    assert "  - one\n  - two\n" in output("run", f"{tmp_path}/listed.py:listed", "--help")


def test_help_without_a_unit_tells_the_options() -> None:
    printed = output("run", "--help")
    assert "Usage: framebus run [OPTIONS] UNIT" in printed
    assert "--detach" in printed


def test_help_of_a_unit_that_is_not_there() -> None:
    assert "there is no module 'nowhere'" in error(3, "run", "nowhere:unit", "--help")
    assert "has no 'nope'; it has the units" in error(3, "run", f"{UNITS}:nope", "--help")


# ---- wiring and values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "needs --in image=STREAM, --out result=STREAM; for example: framebus run "),
        (["--in", "a"], "needs --out result=STREAM"),
        (["--in", "x=a"], "--in x=a: expected --in INPUT=STREAM; it has image"),
        (["--out", "x=a"], "--out x=a: expected --out OUTPUT=STREAM; it has result"),
        (["--in", "result=a"], "--in result=a: 'result' is no input; give it with --out"),
        (["--out", "image=a"], "--out image=a: 'image' is no output; give it with --in"),
        (["--in", "image="], "--in image= names no stream"),
        (["--in", "a", "--in", "image=b"], "--in gives 'image' twice: a and b"),
        (["--set", "gain"], "--set gain: expected PARAMETER=VALUE"),
        (["--set", "gain=high"], "--set gain=high: 'high' is no float64; expected a number"),
        (["--set", "gain=11"], "--set gain=11: parameter 'gain' = 11.0 is outside Range(0, 10)"),
        (["--set", "nope=1"], "--set nope=1: has no parameter 'nope'; it has: gain"),
        (["--once", "--free"], "--once and --free exclude each other; give one of them"),
        (["--every", "1", "--on", "a"], "--on and --every exclude each other"),
        (["--every", "0"], "period_s is 0.0, expected seconds above 0"),
        (
            ["--in", "a", "--on", "b"],
            "--on b: this unit is started by frames of its first input, 'image', which --in",
        ),
        (["--cpu", "one"], "--cpu one: expected CPUs by number, such as 2, or 1,4-6"),
        (["--cpu", "4000"], "cpu is 4000; this machine has CPUs 0 to"),
        (["--priority", "100"], "priority is 100; expected 0 (normal scheduling) to 99"),
        (["--spin", "-1"], "spin_us is -1.0, expected"),
    ],
)
def test_what_is_wrong_with_a_command_line(arguments: list[str], said: str, shm_dir: Path) -> None:
    assert said in error(2, "run", SCALE, *arguments)
    assert list(shm_dir.iterdir()) == []


def test_all_that_is_wrong_is_told_at_once() -> None:
    said = error(2, "run", SCALE, "--in", "x=a", "--set", "nope=1", "--set", "gain=high", "--free", "--once")
    for part in ("exclude each other", "--in x=a", "needs --in image", "'nope'", "'high' is no float64"):
        assert part in said


def test_a_unit_without_inputs_must_be_told_when_to_run() -> None:
    ticks = f"{UNITS}:ticks"
    expected = "has no input whose frames could start it; say when with --every SECONDS, --once or --free"
    assert expected in error(2, "run", ticks, "--out", "ticks")
    assert expected in error(2, "run", ticks, "--out", "ticks", "--on", "image")
    assert "--in a: it has no input" in error(2, "run", ticks, "--in", "a", "--free")


def test_background_and_window_exclude_each_other() -> None:
    assert "--detach and --tmux exclude each other" in error(2, "run", SCALE, "--detach", "--tmux")


def test_the_librarys_errors_are_told(image: fb.Stream) -> None:
    assert "unit 'scale', argument 'image': no stream 'nope'" in error(
        2, "run", SCALE, "--in", "nope", "--out", "r"
    )
    said = error(2, "run", SCALE, "--in", "image", "--out", "r", "--name", "a/b")
    assert "the name under which it runs" in said
    assert "'history' " not in said
    assert "history is -1" in error(2, "run", SCALE, "--in", "image", "--out", "r", "--history", "-1")


def settle(use: str, **wishes: object) -> tuple[dict[str, str], dict[str, object], LoopOptions]:
    """Streams, parameters and options of a stage that a command line asks for."""
    stage, options = Wishes(use, **wishes).settle(load_unit(use))  # type: ignore[arg-type]
    return dict(stage.streams), dict(stage.parameters), options


def test_a_command_line_becomes_a_stage() -> None:
    streams, values, options = settle(
        f"{UNITS}:add",
        inputs=["image=wfs", "offset=dark"],
        outputs=["sum"],
        cpu="0",
        priority=3,
        spin=float("inf"),
        every_frame=True,
    )
    assert streams == {"image": "wfs", "offset": "dark", "result": "sum"}
    assert values == {}
    assert options == LoopOptions(cpu=0, priority=3, spin_us=float("inf"), every_frame=True)


@pytest.mark.parametrize("on", ["wfs", "@S:wfs"])
def test_on_is_the_stream_of_the_first_input(on: str, shm_dir: Path) -> None:
    assert settle(SCALE, on=on, outputs=["r"])[0]["image"] == on
    assert settle(SCALE, on=on, inputs=["wfs"], outputs=["r"])[0]["image"] == "wfs"
    assert settle(SCALE, on=on, inputs=[f"{shm_dir}/wfs.im.shm"], outputs=["r"])[2].trigger == "stream"
    for other in ("wfs2", "@L:wfs", "a b"):
        with pytest.raises(UsageError, match="this unit is started by frames of its first input"):
            settle(SCALE, on=on, inputs=[other], outputs=["r"])


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({}, LoopOptions()),
        ({"once": True}, LoopOptions(trigger="once")),
        ({"free": True}, LoopOptions(trigger="free")),
        ({"every": 0.5}, LoopOptions(trigger="delay", period_s=0.5)),
    ],
)
def test_triggers(wishes: dict[str, object], expected: LoopOptions) -> None:
    assert settle(SCALE, inputs=["a"], outputs=["b"], **wishes)[2] == expected


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("2", 2), ("1,4-6", (1, 4, 5, 6)), ("3-3", 3), ("2,1,2", (1, 2)), ("0-1,1-2", (0, 1, 2))],
)
def test_cpus_by_number_and_range(text: str, cpus: int | tuple[int, ...]) -> None:
    assert parse_cpus(text) == cpus


@pytest.mark.parametrize("text", ["", "a", "1,", "3-1", "1-", "-1", "0-9999999"])
def test_what_is_no_list_of_cpus(text: str) -> None:
    with pytest.raises(UsageError, match="expected CPUs by number"):
        parse_cpus(text)


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> FunctionUnit:
    """A unit with a parameter of every kind."""
    path = tmp_path_factory.mktemp("typed") / "typed.py"
    path.write_text(
        "import numpy as np\nfrom framebus.unit import In, unit\n@unit(compiled=False)\n"
        "def typed(a: In, *, f: float = 0.0, s: np.float32 = np.float32(0), i: int = 0, u: np.uint32 = np.uint32(0),"
        " b: bool = False, t: str = '') -> None:\n    pass\n"
    )
    unit = load_unit(f"{path}:typed")
    assert isinstance(unit, FunctionUnit)
    return unit


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("f", "1e-3", 1e-3),
        ("f", "-2", -2.0),
        ("s", "0.5", 0.5),
        ("i", "-7", -7),
        ("i", "0x10", 16),
        ("u", "4294967295", 4294967295),
        ("b", "on", True),
        ("b", "False", False),
        ("b", "0", False),
        ("b", "YES", True),
        ("t", "a=b c", "a=b c"),
        ("t", "", ""),
    ],
)
def test_values_are_read_by_the_parameters_type(
    typed: FunctionUnit, name: str, text: str, value: object
) -> None:
    found = parse_value(typed.parameter(name), text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("f", "one", "'one' is no float64; expected a number"),
        ("i", "1.5", "'1.5' is no int64; expected a whole number"),
        ("i", str(2**63), "parameter 'i'"),
        ("u", "x", "'x' is no uint32; expected a whole number from 0"),
        ("u", "-1", "parameter 'u'"),
        ("b", "maybe", "'maybe' is no onoff; expected on or off"),
    ],
)
def test_values_that_are_none_of_the_type(typed: FunctionUnit, name: str, text: str, said: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(said)):
        parse_value(typed.parameter(name), text)


# ---- in the foreground -----------------------------------------------------------------------------------------------


def test_once_runs_once_and_tells_what_came_out(image: fb.Stream) -> None:
    printed = output("run", SCALE, "--in", "image", "--out", "result=r", "--set", "gain=3", "--once")
    assert printed == "r  4 float32  frame 1\n[0. 3. 6. 9.]\n"
    with fb.open("r") as result:
        assert result.read().tolist() == [0.0, 3.0, 6.0, 9.0]
    assert records() == []


def test_once_tells_the_figures_of_a_large_frame() -> None:
    with fb.create("image", shape=(10, 10), dtype="uint16") as stream:
        stream.write(np.full((10, 10), 7, np.uint16))
        printed = output("run", SCALE, "--in", "image", "--out", "@N:r", "--once")
    assert printed == "r  10x10 float32  frame 1\nmin 14  mean 14  max 14  std 0\n"


def test_a_device_runs_as_well() -> None:
    assert output("run", f"{UNITS}:Counter", "--out", "n", "--set", "step=5", "--once") == (
        "n  4 float32  frame 1\n[5. 5. 5. 5.]\n"
    )


def test_a_unit_of_a_file_runs(tmp_path: Path, image: fb.Stream) -> None:
    (tmp_path / "mine.py").write_text(
        "from framebus.unit import In, Out, unit\n@unit\ndef twice(a: In, b: Out) -> None:\n    b[:] = 2 * a\n"
    )
    assert "[0. 2. 4. 6.]" in output(
        "run", f"{tmp_path}/mine.py:twice", "--in", "image", "--out", "r", "--once"
    )


def test_a_failure_is_told_and_is_the_exit_code(image: fb.Stream) -> None:
    image.write(np.full(4, 150, np.float32))
    said = error(1, "run", f"{UNITS}:limited", "--in", "image", "--out", "r", "--once")
    assert "unit 'limited' failed: returned 7" in said
    assert "ValueError: far too large" in error(
        1, "run", f"{UNITS}:plain_limited", "--in", "image", "--out", "r", "--once", "--set", "limit=1"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_runs_until_a_signal_comes(spawn: Spawner, image: fb.Stream, number: int) -> None:
    process = spawn(command=[*PROGRAM, "run", SCALE, "--in", "image", "--out", "r", "--name", "mine"])
    process.expect("mine: image=image -> result=r")
    with fb.open("r") as result:
        image.write(np.ones(4, np.float32))
        until_computed(result, image.count)
    assert running_units() == ["mine"]
    process.signal(number)
    assert process.wait() == 0
    assert re.search(r"^mine: [1-9]\d* loops  0 missed", "\n".join(process.lines), re.MULTILINE)
    assert records() == []


def running_units() -> list[str]:
    """Names of the units that have a record."""
    with ExitStack() as stack:
        return [stack.enter_context(record).unit for record in records()]


@pytest.mark.parametrize(("option", "code"), [("--free", 0), ("--once", 130)])
def test_a_signal_while_it_starts(spawn: Spawner, tmp_path: Path, option: str, code: int) -> None:
    (tmp_path / "slow.py").write_text(
        "import threading\n"
        "from framebus.unit import Out, Unit\n\n\n"
        "class Slow(Unit):\n"
        "    def setup(self) -> None:\n"
        "        print('sets up', flush=True)\n"
        "        while True:\n"
        "            threading.Event().wait(0.05)  # a signal that comes just before it is served after it\n\n"
        "    def step(self, frame: Out) -> None:\n"
        "        frame[:] = 1\n"
    )
    process = spawn(command=[*PROGRAM, "run", f"{tmp_path}/slow.py:Slow", "--out", "s", option])
    process.expect("sets up")
    process.signal(signal.SIGINT)
    assert process.wait() == code
    assert ("Slow: it was ended while it started" in process.lines) is (code == 0)


def test_it_ends_when_it_is_told_so_through_its_record(spawn: Spawner) -> None:
    process = spawn(command=[*PROGRAM, "run", f"{UNITS}:ticks", "--out", "n", "--every", "0.001"])
    process.expect("ticks: value=n")
    with fb.open("n") as result:
        result.wait_newer(result.count + 2, timeout_s=60.0)
    [record] = records()
    with record:
        record.stop()
    assert process.wait() == 0


def test_a_failure_while_it_runs_ends_it(spawn: Spawner, image: fb.Stream) -> None:
    process = spawn(command=[*PROGRAM, "run", f"{UNITS}:limited", "--in", "image", "--out", "r"])
    process.expect("limited: image=image -> value=r")
    image.write(np.full(4, 150, np.float32))
    assert process.wait() == 1
    assert "framebus: error: unit 'limited' failed: returned 7" in process.errors


def test_a_second_ctrl_c_kills_what_hangs(spawn: Spawner, image: fb.Stream, shm_dir: Path) -> None:
    process = spawn(command=[*PROGRAM, "run", f"{UNITS}:hang", "--in", "image", "--out", "r"])
    process.expect("hang: image=image -> value=r")
    with fb.open("image") as writer:
        writer.write(np.ones(4, np.float32))
        until((shm_dir / "hanging").exists)

    def interrupted() -> bool:
        process.signal(signal.SIGINT)
        return not process.running

    until(interrupted)
    assert process.wait() == -signal.SIGINT


def test_on_a_terminal_a_line_tells_how_it_does(image: fb.Stream) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "run", f"{UNITS}:ticks", "--out", "n", "--every", "0.001"],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "PYTHONPATH": TESTS},
    ) as process:
        os.close(follower)
        written = b""
        while b"loops" not in written:
            written += os.read(leader, 4096)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    os.close(leader)
    assert re.search(rb"\r\x1b\[Krunning  [\d.]+ k?Hz  \d+ loops  \d+ missed", written)
    assert process.returncode == 0
    assert said.decode().splitlines()[0] == "ticks: value=n"


def test_in_a_pipe_there_is_no_such_line(image: fb.Stream) -> None:
    result = call("run", SCALE, "--in", "image", "--out", "r", "--once")
    assert result.stderr == ""


# ---- in the background -----------------------------------------------------------------------------------------------


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where logs go: not to the user's own, and with a tmux server of the test's own."""
    # The address of the server's socket must be short.
    with tempfile.TemporaryDirectory(prefix="fb-tmux-") as sockets:
        monkeypatch.setenv("TMUX_TMPDIR", sockets)
        monkeypatch.delenv("TMUX", raising=False)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        yield tmp_path / "state" / "framebus"


def see_it_work(image: fb.Stream) -> None:
    """A frame goes in, and twice of it comes out."""
    with fb.open("r") as result:
        image.write(np.full(4, 21, np.float32))
        until_computed(result, image.count)
        assert result.read().tolist() == [42.0] * 4


def test_in_the_background_it_runs_until_it_is_taken_down(
    image: fb.Stream, shm_dir: Path, logs: Path
) -> None:
    lines = output("run", SCALE, "--in", "image", "--out", "r", "--detach").splitlines()
    try:
        found = re.fullmatch(r"scale runs in the background, process (\d+)", lines[0])
        assert found is not None
        assert lines[1:] == [
            f"log: {logs / 'scale' / 'scale.log'}",
            "'framebus ps' shows it, 'framebus down scale' ends it",
        ]
        assert (logs / "scale" / "scale.log").exists()
        see_it_work(image)
        with ProcessRecord.open(f"scale.{found[1]}") as record:
            assert record.alive
        assert "pipeline 'scale' runs already" in error(
            2, "run", SCALE, "--in", "image", "--out", "r", "--detach"
        )
    finally:
        output("down", "scale")
    assert [path.name for path in shm_dir.iterdir()] == ["image.im.shm"]


def test_once_in_the_background_keeps_what_came_out_until_it_is_taken_down(
    image: fb.Stream, shm_dir: Path, logs: Path
) -> None:
    printed = output("run", SCALE, "--in", "image", "--out", "r", "--once", "--detach")
    try:
        assert re.match(r"scale (has run|runs) in the background", printed)
        with fb.open("r") as result:
            until(lambda: result.count)
            assert result.read().tolist() == [0.0, 2.0, 4.0, 6.0]
    finally:
        output("down", "scale")
    assert [path.name for path in shm_dir.iterdir()] == ["image.im.shm"]


def test_in_a_window_of_tmux_it_runs_until_it_is_taken_down(
    image: fb.Stream, shm_dir: Path, logs: Path
) -> None:
    pytest.importorskip("libtmux", reason="libtmux is not installed")
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    printed = output("run", SCALE, "--in", "image", "--out", "r", "--name", "my.scale", "--tmux")
    try:
        assert "to see its window: tmux attach -t my_scale\n" in printed
        see_it_work(image)
        listed = subprocess.run(
            ["tmux", "list-windows", "-t", "my_scale", "-F", "#{window_name}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert listed.stdout.split() == ["my.scale"]
    finally:
        output("down", "my.scale")
    assert [path.name for path in shm_dir.iterdir()] == ["image.im.shm"]


def test_without_tmux_it_says_what_is_missing(
    image: fb.Stream, shm_dir: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "libtmux", None)
    monkeypatch.setenv("PATH", "")
    said = error(1, "run", SCALE, "--in", "image", "--out", "r", "--tmux")
    assert "tmux" in said
    assert "not installed" in said
    assert [path.name for path in shm_dir.iterdir()] == ["image.im.shm"]


def test_what_does_not_fit_is_told_before_anything_starts(shm_dir: Path, logs: Path) -> None:
    with fb.create("image", shape=(4, 4), dtype="float32"):
        assert "nobody writes stream 'o'" in error(
            2, "run", f"{UNITS}:add", "--in", "image=image", "--in", "offset=o", "--out", "r", "--detach"
        )
        assert not logs.exists()
        assert [path.name for path in shm_dir.iterdir()] == ["image.im.shm"]


def test_a_unit_that_cannot_start_in_the_background_leaves_nothing(
    tmp_path: Path, image: fb.Stream, shm_dir: Path, logs: Path
) -> None:
    (tmp_path / "broken.py").write_text(
        "from framebus.unit import Out, Unit\nclass Broken(Unit):\n"
        "    def setup(self) -> None:\n        raise OSError('no such camera')\n"
        "    def shapes(self): return {'frame': ((4,), 'float32')}\n"
        "    def step(self, frame: Out) -> None: ...\n"
    )
    said = error(1, "run", f"{tmp_path}/broken.py:Broken", "--out", "r", "--every", "0.01", "--detach")
    assert "setup failed: OSError: no such camera" in said
    assert "its output is in" in said
    assert [path.name for path in shm_dir.iterdir()] == ["image.im.shm"]


def test_the_pipeline_of_one_says_what_the_command_line_says() -> None:
    stage, options = Wishes(
        SCALE,
        inputs=["a"],
        outputs=["b"],
        values=["gain=3"],
        name="mine",
        history=4,
        spin=float("inf"),
        cpu="0",
        every=0.5,
    ).settle(load_unit(SCALE))
    plan = plan_of(stage, options, "tmux")
    assert (plan.name, plan.supervision.launcher) == ("mine", "tmux")
    unit = plan.units["mine"]
    assert (unit.use, unit.streams, unit.parameters) == (SCALE, {"image": "a", "result": "b"}, {"gain": 3.0})
    assert (unit.trigger, unit.period_s, unit.wait, unit.cpu, unit.history) == ("delay", 0.5, "spin", 0, 4)
