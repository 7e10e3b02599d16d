"""The commands that load, save, measure, change and compute with streams, as a user calls them."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import framebus as fb
from framebus.params import Params, ParamSpec
from framebus.params.listing import set_names
from support.commands import PROGRAM, answer, call, error, output
from support.pipelines import Pipelines
from support.processes import Spawner
from support.terminal import Terminal
from support.waiting import asleep_at, until
from support.writers import killed_writer


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[Path]:
    """Files go to a directory of the test's own."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def dm() -> Iterator[fb.Stream]:
    with fb.create("dm", shape=(2, 3), history=4, keywords={"ACTS": (6, "actuators")}) as stream:
        stream.write([[1, 2, 3], [4, 5, 6]])
        yield stream


# ---- streams by hand -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["isio", "dao"])
def test_create(dialect: str, dao_name: str, shm_dir: Path) -> None:
    name = f"{dao_name}dm"
    options = ["--shape", "4x6", "--dtype", "int16", "--history", "3", "--dialect", dialect, "--fill", "-2"]
    keywords = ["--keyword", "N=24", "--keyword", "RATE=1.5", "--keyword", "CAM=one=two"]
    path = shm_dir / f"{name}.im.shm"
    assert (
        output("create", name, *options, *keywords) == f"{name} ({dialect}): 4x6 int16, history 3, {path}\n"
    )
    with fb.open(name) as made:
        assert (made.shape, made.dtype.name, made.history_length) == ((4, 6), "int16", 3)
        assert dict(made.keywords) == {"N": 24, "RATE": 1.5, "CAM": "one=two"}
        assert (made.count, set(made.read().flat)) == (1, {-2})
        assert "exists already, and it was to be new; choose" in error(2, "create", name, "--shape", "5")
        assert answer("create", name, "--shape", "5", "--overwrite", "--dialect", dialect)["shape"] == [5]
        fb.open(name).remove()


def test_what_cannot_be_created(shm_dir: Path) -> None:
    assert "'4y6' is no shape" in error(2, "create", "a", "--shape", "4y6")
    assert "1 to 3 axes" in error(2, "create", "a", "--shape", "1x1x1x1")
    for more in ([], ["--fill", "0"]):
        said = error(2, "create", "a", "--shape", "4", "--dtype", "int7", *more)
        assert "dtype 'int7' is not understood; a stream can carry uint8, int8, " in said
    assert "expected KEY=VALUE" in error(2, "create", "a", "--shape", "4", "--keyword", "A")
    assert "'a' is of int8 and cannot hold 0.5; expected a whole number from -128 to 127" in error(
        2, "create", "a", "--shape", "4", "--dtype", "int8", "--fill", "0.5"
    )
    assert "'x' is no number" in error(2, "create", "a", "--shape", "4", "--fill", "x")
    Path("there").mkdir()
    for more in ([], ["--overwrite"]):
        assert "there is a directory; expected a stream's name" in error(
            2, "create", "./there", "--shape", "4", *more
        )
        assert "stream name 'with space': ' ' is white space" in error(
            2, "create", "with space", "--shape", "4", *more
        )
        assert "stream name 'a[0]': the slice" in error(2, "create", "a[0]", "--shape", "4", *more)
        assert "nowhere is no directory, so no stream" in error(
            2, "create", "nowhere/a", "--shape", "4", *more
        )
    assert "stream name 'with space': ' ' is" in error(2, "stats", "with space")
    assert list(shm_dir.iterdir()) == []
    (shm_dir / "a.im.shm").write_bytes(b"nothing")
    assert "or add --overwrite" in error(2, "create", "a", "--shape", "4")


def test_poke_counts_x_first_as_slices_do(dm: fb.Stream) -> None:
    assert output("poke", "dm", "2", "1", "-0.5", "--add") == "dm[2,1]: 6 -> 5.5, frame 2\n"
    assert output("poke", "dm", "-1", "0", "7") == "dm[-1,0]: 3 -> 7, frame 3\n"
    assert dm.read().tolist() == [[1, 2, 7], [4, 5, 5.5]]
    assert answer("poke", "dm", "0", "0", "1e3") == {
        "name": "dm",
        "count": 4,
        "before": 1.0,
        "after": 1000.0,
        "index": [0, 0],
    }
    assert "y = 2 is outside of stream 'dm': x from 0 to 2, y from 0 to 1" in error(
        2, "poke", "dm", "0", "2", "1"
    )
    assert "an index of stream 'dm' takes 2 numbers (got 1), before the value: x from" in error(
        2, "poke", "dm", "0", "1"
    )
    with fb.create("whole", shape=(1, 1), dtype="int16"):
        assert (
            "stream 'whole' is of int16 and cannot hold 1.5; expected a whole number from -32768 to 32767"
            in (error(2, "poke", "whole", "0", "0", "1.5"))
        )
    assert "expected whole numbers" in error(2, "poke", "dm", "0.5", "1", "1")
    assert "'much' is no number" in error(2, "poke", "dm", "0", "1", "much")
    assert "'1e400' is too large for a number" in error(2, "poke", "dm", "0", "1", "1e400")
    assert output("poke", "dm", "1", "0", "nan").startswith("dm[1,0]: 2 -> nan, frame ")
    assert output("poke", "dm", "1", "0", "-inf").startswith("dm[1,0]: nan -> -inf, frame ")
    assert "no stream 'nothing'" in error(3, "poke", "nothing", "0", "1")


def test_keywords(dm: fb.Stream) -> None:
    assert output("keyword", "set", "dm", "T", "-1.5", "--comment", "[C] mean") == "dm T = -1.5\n"
    assert output("keyword", "set", "dm", "RUN", "12", "--text") == "dm RUN = 12\n"
    assert (dm.keywords["T"], dm.keywords["RUN"]) == (-1.5, "12")
    assert output("keyword", "get", "dm", "T") == "-1.5\n"
    assert answer("keyword", "get", "dm", "ACTS") == {"key": "ACTS", "value": 6, "comment": "actuators"}
    assert [entry["key"] for entry in answer("keyword", "get", "dm")] == ["ACTS", "T", "RUN"]
    assert "[C] mean" in output("keyword", "get", "dm")
    assert output("keyword", "rm", "dm", "T") == "removed T of dm\n"
    for verb in ("get", "rm"):
        assert "has no keyword 'T'; it has: ACTS, RUN" in error(3, "keyword", verb, "dm", "T")
    assert "at most 16 fit" in error(2, "keyword", "set", "dm", "T", "a text that is too long")
    assert output("keyword", "set", "dm", "A=x", "D=-2") == "dm A = x\ndm D = -2\n"
    assert output("keyword", "set", "dm", "A", "b=c", "--comment", "kept") == "dm A = b=c\n"
    assert dict(dm.keywords) == {"ACTS": 6, "RUN": "12", "A": "b=c", "D": -2}
    for wrong in (
        ["E=1", "F"],
        ["E=1", "F=a text that is too long"],
        ["E"],
        ["E", "1", "2"],
        ["E F", "1"],
        ["=1"],
    ):
        error(2, "keyword", "set", "dm", *wrong)
    assert "expected KEY VALUE, or KEY=VALUE" in error(2, "keyword", "set", "dm", "E")
    assert "no blanks in KEY" in error(2, "keyword", "set", "dm", "E F", "1")
    assert "for one keyword; these are 2: E, F" in error(
        2, "keyword", "set", "dm", "E=1", "F=2", "--comment", "x"
    )
    assert dict(dm.keywords) == {"ACTS": 6, "RUN": "12", "A": "b=c", "D": -2}
    with fb.create("bare", shape=2):
        assert output("keyword", "get", "bare") == "bare has no keywords\n"


@pytest.mark.parametrize("verb", ["get", "set", "rm"])
def test_the_verbs_of_keyword_have_an_example(verb: str) -> None:
    assert f"Example: framebus keyword {verb}" in output("keyword", verb, "--help")


def test_links_and_their_end(dm: fb.Stream, shm_dir: Path) -> None:
    assert output("link", "dm", "dm_now") == f"{shm_dir / 'dm_now.im.shm'} -> dm.im.shm\n"
    assert "is a link to dm.im.shm" in error(2, "link", "dm", "dm_now")
    assert output("rm", "dm_now") == "removed dm_now (a link)\n"
    dm.write([[0, 0, 0], [0, 0, 9]])
    assert dm.read()[1, 2] == 9, "the stream stays, though its writer is alive"
    output("link", "dm", "dm_now")
    dm.remove()
    assert output("rm", "dm_now") == "removed dm_now (a link)\n", "also one that leads nowhere"
    assert list(shm_dir.iterdir()) == []


def test_purge_is_rm_dead(spawn: Spawner) -> None:
    killed_writer(spawn, "ab")
    removed = answer("purge")
    assert [one["name"] for one in removed] == ["a", "b"]
    assert output("purge").startswith("nothing to remove in ")
    assert answer("rm", "--dead") == []


@pytest.mark.usefixtures("writer")
def test_a_stream_that_a_living_process_writes_is_written_by_force_only(dm: fb.Stream) -> None:
    dm.write(np.zeros((2, 3)))
    np.save("w.npy", np.zeros((2, 3), np.uint16))
    for command in (
        ["load", "w.npy", "wfs"],
        ["copy", "dm", "wfs", "--once"],
        ["crop", "dm[*,*]", "wfs", "--once"],
        ["average", "dm", "wfs", "3", "--once", "--overwrite"],
        ["create", "wfs", "--shape", "2", "--overwrite"],
        ["clock", "10", "wfs"],
        ["random", "wfs", "--shape", "2x3", "--once"],
    ):
        said = error(2, *command)
        assert "stream 'wfs' is written by process " in said
        assert "add --force" in said
    output("create", "wfs", "--shape", "2", "--overwrite", "--force")
    output("copy", "dm", "wfs", "--once", "--dialect", "isio", "--force")


# ---- files -----------------------------------------------------------------------------------------------------------


def test_save_and_load(dm: fb.Stream) -> None:
    assert output("save", "dm", "dm.fits") == "dm -> dm.fits: 2x3 float32, frame 1\n"
    assert "dm.fits exists; choose another name, or add --overwrite" in error(2, "save", "dm", "dm.fits")
    assert answer("save", "dm[0,*]", "dm.fits", "--overwrite")["shape"] == [2, 1]
    said = error(2, "load", "dm.fits", "dm")
    assert "stream 'dm' is there and is 2x3 float32" in said
    assert "expected 2x1 float32" in said
    assert output("load", "dm.fits", "column") == (
        "dm.fits -> column (isio), 2x1 float32: 1 frame, the last has count 1\n"
    )
    with fb.open("column") as column:
        assert column.read().tolist() == [[1], [4]]
        assert dict(column.keywords) == {"ACTS": 6}


def test_load_plays_a_cube_and_tells_what_finds_no_place() -> None:
    cube = np.arange(12, dtype=np.int16).reshape(3, 2, 2)
    header = fits.Header([("OBSERVER", "somebody with a long name")])
    fits.writeto("cube.fits", cube, header)
    printed = output("load", "cube.fits", "wfs", "--rate", "500", "--history", "3")
    assert (
        printed
        == (
            "cube.fits -> wfs (isio), 2x2 int16: 3 frames, the last has count 3\n"
            "keywords that the stream has no place for: OBSERVER\n"
        )
        or ", the last has count 3, " in printed
    )  # late ones, on a machine that is busy
    with fb.open("wfs") as wfs:
        assert [frame.data.tolist() for frame in wfs.history()] == cube.tolist()
    assert answer("load", "cube.fits", "whole")["shape"] == [3, 2, 2]
    assert "say how fast with --rate" in error(2, "load", "cube.fits", "--loop")
    assert "there is no such file" in error(3, "load", "nothing.fits")
    Path("bad.fits").write_text("?")
    assert "cannot be read as FITS" in error(4, "load", "bad.fits")


def test_who_plays_an_image_is_told_that_its_rows_are_the_frames() -> None:
    np.save("image.npy", np.arange(6.0).reshape(2, 3))
    result = call("load", "image.npy", "wfs", "--rate", "500", "--json")
    assert result.exit_code == 0
    assert result.stderr == (
        "framebus: warning: image.npy is one image, 2x3: with --rate its 2 rows are played as frames of 3 values; "
        "to give the whole image as one frame, leave --rate out\n"
    )
    assert json.loads(result.stdout)["shape"] == [3]
    assert answer("load", "image.npy", "whole")["shape"] == [2, 3]


def test_a_loop_of_a_cube_ends_at_ctrl_c() -> None:
    np.save("cube.npy", np.arange(6.0).reshape(3, 1, 2))
    command = [*PROGRAM, "load", "cube.npy", "wfs", "--rate", "1000", "--loop", "--history", "16"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        with fb_when_there("wfs") as wfs:
            until(lambda: wfs.count > 7)
            for frame in wfs.history(4):
                first = 2 * ((frame.count - 1) % 3)
                assert frame.data.tolist() == [[first, first + 1]]
        program.send_signal(signal.SIGINT)
        said, complaints = program.communicate(timeout=60.0)
        assert (program.returncode, complaints) == (0, "")
        assert "cube.npy -> wfs (isio), 1x2 float64: " in said


def fb_when_there(name: str) -> fb.Stream:
    until(lambda: name in [info.name for info in fb.streams() if info.state != "bad"])
    return fb.open(name)


def test_parameters_are_saved_and_loaded() -> None:
    with Params.create("loop", [ParamSpec("gain", 0.5)]) as params:
        assert output("save", "loop", "loop.toml") == "parameters of loop -> loop.toml\n"
        params["gain"] = 0.1
        assert output("load", "loop.toml") == "loop.toml -> parameters of loop\n"
        assert params["gain"] == 0.5
        assert list(answer("load", "loop.toml")) == ["loop"]
        assert "names its parameter sets itself" in error(2, "load", "loop.toml", "loop")
        assert "exists" in error(2, "save", "loop", "loop.toml")
        assert "--frames is for streams" in error(2, "save", "loop", "x.toml", "--frames", "2")
    assert "nothing" in error(3, "save", "nothing", "x.toml")


def test_snapshots(dm: fb.Stream, here: Path) -> None:
    with fb.create("dm_b", shape=2) as other:
        other.write([1, 2])
        saved = answer("snapshot", "dm*", "dm", "--npy")
        assert [one["name"] for one in saved] == ["dm", "dm_b"]
        assert np.load(saved[1]["path"]).tolist() == [1, 2]
        (here / "night").mkdir()
        assert output("snapshot", "dm", "--directory", "night").startswith("dm -> night/dm_")
        assert "no stream's name matches 'x*'" in error(3, "snapshot", "x*")
        assert "is no directory" in error(2, "snapshot", "dm", "--directory", "nowhere")


def test_what_never_comes_says_why(dm: fb.Stream) -> None:
    with fb.create("never", shape=2):
        for arguments in (["save", "never", "a.fits"], ["cube", "never", "3"], ["stats", "never"]):
            assert "no frame was ever published" in error(1, *arguments, "--timeout", "0")
        assert error(2, "cube", "dm", "3", "--output", "a.txt").endswith(".npy")
    with fb.create("field", shape=2, dtype="complex64"):
        for arguments in (["cube", "field", "3"], ["save", "field", "a.fits"], ["snapshot", "field"]):
            assert "FITS has no complex64" in error(2, *arguments), "before it waits"
    assert list(Path().iterdir()) == []


@pytest.fixture
def writer(spawn: Spawner) -> None:
    """Somebody who writes 'wfs' until the test is over."""
    spawn(None, "wfs", module="support.steady_writer").expect("writes")


@pytest.mark.usefixtures("writer")
def test_cubes_of_a_stream_that_goes_on() -> None:
    taken = answer("cube", "wfs", "10", "--output", "c.fits", "--timeout", "60")
    assert taken["shape"] == [10, 2, 3]
    assert taken["last"] - taken["first"] == 9 + taken["missed"]
    with fits.open("c.fits") as hdus:
        counts = hdus["FRAMES"].data["COUNT"]
        assert (counts[0], counts[-1]) == (taken["first"], taken["last"])
        assert (hdus[0].data[:, 0, 0] == counts % 100).all()
        assert (hdus[0].header["RATE"], hdus[0].header["FBMISSED"]) == (500.0, taken["missed"])
    assert "exists" in error(2, "cube", "wfs", "10", "--output", "c.fits")
    printed = output("cube", "wfs[0,*]", "5", "--complete", "--timeout", "60")
    assert printed.startswith("wfs -> wfs_20")
    assert "frames " in printed
    assert ", none lost, " in printed
    assert answer("save", "wfs", "s.npy", "--frames", "4", "--timeout", "60")["frames"] == 4
    assert np.load("s.npy").shape == (4, 2, 3)


# ---- measures --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("writer")
def test_stats_and_rate(dm: fb.Stream) -> None:
    [one] = answer("stats", "wfs", "--frames", "20", "--timeout", "60")
    assert (one["frames"], one["missed"], one["name"]) == (20, 0, "wfs")
    assert one["minimum"] <= one["mean"] <= one["maximum"]
    assert one["noise"] > 0
    table = output("stats", "dm", "wfs", "--frames", "0").splitlines()
    assert [line.split()[0] for line in table] == ["NAME", "dm", "wfs"]
    assert table[1].split() == ["dm", "1", "0", "3.5", "1.70783", "1", "6", "0"]
    [idle, busy] = answer("rate", "dm", "wfs", "--time", "0.3")
    assert (idle["frames"], idle["rate_hz"], idle["p50_s"]) == (0, 0.0, None)
    assert "no frame newer than 1" in idle["reason"]
    assert busy["rate_hz"] > 0
    assert 0 < busy["p50_s"] <= busy["p99_s"] <= busy["longest_s"]
    printed = output("rate", "dm", "--time", "0.01").splitlines()
    assert printed[1].split() == ["dm", "0", "Hz", "0", "-", "-", "-", "-", "0"]
    assert printed[2].startswith("dm: ")


@pytest.mark.usefixtures("writer")
def test_stats_of_streams_of_which_one_stands_still(dm: fb.Stream) -> None:
    why = "dm: no new frame within 0 s; the last frame, count 1, is "
    hint = "; the newest frame as it is: --frames 0 (in Python: frames=0)"
    alone = error(1, "stats", "dm", "--timeout", "0")
    assert alone.startswith(f"framebus: error: {why}")
    assert alone.endswith(hint)
    result = call("stats", "wfs", "dm", "wfs[0,*]", "--frames", "3", "--timeout", "1")
    assert (result.exit_code, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["wfs", "3"], ["dm", "0"], ["wfs", "3"]]
    assert lines[2].split() == ["dm", "0", "-", "-", "-", "-", "-", "-"]
    assert lines[4].startswith("dm: no new frame within 1 s; ")
    assert "".join(lines[4:]).endswith("frames=0)")
    result = call("stats", "wfs", "dm", "--frames", "3", "--timeout", "1", "--json")
    assert result.exit_code == 1
    came, stands = json.loads(result.stdout)
    assert (came["frames"], came["reason"]) == (3, "")
    assert (stands["name"], stands["frames"], stands["mean"]) == ("dm", 0, None)
    assert stands["reason"].startswith("dm: no new frame within 1 s; ")
    assert came.keys() == stands.keys()


@pytest.mark.parametrize("names", [["dm"], ["dm", "dm_b"]])
def test_ctrl_c_ends_a_look_at_rates_at_once(dm: fb.Stream, names: list[str]) -> None:
    with fb.create("dm_b", shape=2) as other:
        other.write([1, 2])
        with Terminal([*PROGRAM, "rate", *names, "--time", "90000"]) as terminal:
            until(lambda: all(asleep_at(stream.path) for stream in (dm, other)[: len(names)]))
            terminal.type("\x03")
            assert terminal.wait()[0] == 130


def test_statistics_of_elements_go_to_a_file(dm: fb.Stream) -> None:
    assert output("stats", "dm", "--frames", "0", "--output", "s.fits").endswith("wrote s.fits\n")
    assert fits.getdata("s.fits").tolist() == [[[1, 2, 3], [4, 5, 6]], [[0, 0, 0], [0, 0, 0]]]
    assert "exists" in error(2, "stats", "dm", "--frames", "0", "--output", "s.fits")
    with fb.create("dm2", shape=2):
        assert "takes the frames of one stream; these are 2" in error(2, "stats", "dm*", "--output", "t.fits")


def test_values_that_are_not_finite_are_told() -> None:
    with fb.create("a", shape=3) as a:
        a.write([1, np.nan, np.inf])
        assert output("stats", "a", "--frames", "0").endswith("a: 2 values are not finite\n")


# ---- operators -------------------------------------------------------------------------------------------------------


def test_operators_once(dm: fb.Stream) -> None:
    assert "[[2. 3.]\n [5. 6.]]" in output("crop", "dm[1:2,*]", "win", "--once")
    assert "[[3.]]" in output("bin", "dm", "small", "2x2", "--once")
    assert "[[12.]]" in output("bin", "dm", "sum", "2x2", "--sum", "--once")
    with fb.create("flat", shape=(2, 3)) as flat:
        assert "'flat' has no frame yet" in error(3, "add", "dm", "flat", "total", "--once")
        flat.write(np.full((2, 3), 10))
        assert "[[11. 12. 13.]" in output("add", "dm", "flat", "total", "--once")
        assert "[[ 4.  3.  2.]" in output("combine", "dm=-1", "flat=0.5", "mix", "--once")
        assert "4x3" in output("concat", "dm", "flat", "both", "--once")
        assert "2x6" in output("concat", "dm", "flat", "wide", "--axis", "1", "--once")
        assert "2x2x3" in output("concat", "dm", "flat", "cube", "--stack", "--once")
    assert set_names() == [], "their parameters go with them"
    assert "says no window" in error(2, "crop", "dm", "win")
    assert "is given twice" in error(2, "add", "dm", "dm", "total")
    assert "'much' is no weight" in error(2, "combine", "dm=much", "flat", "total")
    assert "add --overwrite" in error(2, "bin", "dm", "small", "1")
    assert "exclude each other" in error(2, "average", "dm", "mean", "2", "--once", "--detach")
    assert "in the background only streams" in error(2, "crop", "dm[0,*]", "./x.im.shm", "--detach")


@pytest.mark.usefixtures("writer")
def test_average_once() -> None:
    printed = output("average", "wfs", "mean", "5", "--once")
    assert printed == "mean: the mean of 5 frames of wfs, frame 1\n"
    assert answer("average", "wfs", "mean", "5", "--once") == {
        "source": "wfs",
        "target": "mean",
        "count": 2,
        "frames": 5,
        "missed": 0,
    }
    with fb.open("mean") as mean:
        assert len(set(mean.read().flat)) == 1


def test_an_operator_goes_on_until_ctrl_c(dm: fb.Stream) -> None:
    command = [*PROGRAM, "crop", "dm[0:1,*]", "win"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "crop-win: source=dm -> target=win\n"
        with fb.open("win") as win:
            assert set_names() == ["crop-win"]
            for k in range(3):
                dm.write(np.full((2, 3), k))
                frame = win.read_next(timeout_s=60.0)
                assert (frame.count, frame.data.tolist()) == (dm.count, [[k, k]] * 2)
        program.send_signal(signal.SIGINT)
        said, complaints = program.communicate(timeout=60.0)
        assert (program.returncode, complaints) == (0, "")
        assert "crop-win: 3 loops  0 missed" in said
    assert set_names() == []


def test_sources_and_operators_in_the_background(pipelines: Pipelines) -> None:
    assert "clock-tick runs in the background" in output("clock", "500", "tick", "--detach")
    output(
        "random", "wfs", "--shape", "4x6", "--dtype", "uint8", "--rate", "500", "--detach", "--history", "4"
    )
    output("bin", "wfs", "small", "2", "--detach", "--name", "halved")
    with fb.create("mine", shape=(1,), dtype="int64") as mine:
        mine.write([0])
        output("clock", "500", "mine", "--detach")
        until(lambda: mine.count > 1)
    with fb.open("small") as small, fb.open("wfs") as wfs:
        frame = small.read_next(timeout_s=60.0)
        assert (frame.data.shape, small.history_length) == ((2, 3), 4)
        assert 50 < frame.data.mean() < 150
        assert wfs.count >= frame.count
    with fb.open("tick") as tick:
        frame = tick.read_next(timeout_s=60.0)
        assert frame.data.tolist() == [frame.count]
    for name in ("halved", "random-wfs", "clock-tick", "clock-mine"):
        output("down", name)
    assert {info.name for info in fb.streams()} == {"mine"}, "what was there before stays"


def test_random_once() -> None:
    assert "3x4 float64  frame 1" in output("random", "a", "--shape", "3x4", "--dtype", "float64", "--once")
    assert "no noise is made in int64" in error(2, "random", "b", "--shape", "3", "--dtype", "int64")
    assert "clock" in error(2, "clock", "0", "tick")
