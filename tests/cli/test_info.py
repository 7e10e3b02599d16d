from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import framebus as fb
from framebus.cli.inspection import figures
from support.commands import answer, error, output
from support.processes import Spawner
from support.writers import ended_writer, killed_writer


def test_everything_about_a_stream_is_told() -> None:
    frame = np.arange(12, dtype="int16").reshape(3, 4)
    with fb.create(
        "wfs",
        shape=(3, 4),
        dtype="int16",
        history=2,
        keywords={"FRATE": (1000.0, "per second"), "N": 3, "CAM": "x"},
    ) as s:
        s.write(frame, acquisition_ns=1_700_000_000_000_000_001)
        told = answer("info", "wfs")
        printed = output("info", "wfs")
        path = s.path
    me = {"pid": os.getpid(), "alive": True, "command": Path("/proc/self/comm").read_text().strip()}
    assert (told["name"], told["path"], told["state"]) == ("wfs", str(path), "live")
    assert (told["shape"], told["dtype"], told["count"]) == ([3, 4], "int16", 1)
    assert told["writer"] == told["creator"] == me
    assert told["times"]["acquired"]["iso"] == "2023-11-14T22:13:20.000000001Z"
    assert told["times"]["published"]["age_s"] >= 0
    assert told["history"]["length"] == 2
    assert told["semaphores"]["each"] == [{"value": 1, "reader": None, "writer_pid": os.getpid()}] * 10
    assert told["keywords"] == {
        "slots": 50,
        "each": {
            "FRATE": {"value": 1000.0, "type": "float", "updates": 1, "comment": "per second"},
            "N": {"value": 3, "type": "int", "updates": 1, "comment": ""},
            "CAM": {"value": "x", "type": "text", "updates": 1, "comment": ""},
        },
    }
    assert told["frame"] == {
        "count": 1,
        "shape": [3, 4],
        "elements": 12,
        "not_finite": 0,
        "min": 0,
        "max": 11,
        "mean": 5.5,
        "std": pytest.approx(frame.std()),
    }
    assert told["values"] == frame.tolist()
    assert told["header"]["version"] == "2.00"
    lines = printed.splitlines()
    assert lines[0] == "wfs  live  3x4 int16"
    for expected in (
        f"{os.getpid()} {me['command']}, alive",
        "2023-11-14T22:13:20.000000001Z, ",
        "2 frames, newest in slot ",
        "10, all at 1; log semaphore at 1; none claimed",
        "min 0, mean 5.5, max 11, std 3.45205 (frame 1)",
        "3 in 50 slots",
        "version 2.00, naxis 2",
    ):
        assert expected in printed
    assert ["FRATE", "1000.0", "float", "1", "per", "second"] in [line.split() for line in lines]
    assert "[[ 0  1  2  3]" in lines


def test_a_stream_without_frames_is_told_too() -> None:
    with fb.create("new", shape=(3,)):
        told = answer("info", "new")
        printed = output("info", "new")
    assert (told["state"], told["age_s"], told["frame"], told["values"]) == ("empty", None, None, None)
    assert told["times"]["published"] is None
    assert "no frame was published yet" in printed
    assert ["published", "-"] in [line.split() for line in printed.splitlines()]
    assert "values" not in printed.split()


def test_a_slice_gives_its_values_in_full() -> None:
    frame = np.arange(10_000, dtype="float32").reshape(100, 100)
    with fb.create("wfs", shape=(100, 100)) as s:
        s.write(frame)
        whole = answer("info", "wfs")
        part = answer("info", "wfs[0:9,3]")
        printed, summary = output("info", "wfs[0:9,3]"), output("info", "wfs[*,-*]")
    assert whole["values"] is None
    assert whole["frame"]["max"] == 9999
    assert part["slice"] == "[0:9,3]"
    assert part["values"] == frame[3:4, 0:10].tolist()
    assert part["frame"]["max"] == 309
    assert "frame[0:9,3]" in printed
    assert "[[300. 301. 302." in printed
    assert "--json prints them all" not in printed
    assert "--json prints them all" in summary


def test_a_path_will_do_for_a_name(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.im.shm"
    with fb.create(str(path), shape=(3,)) as s:
        s.write([1.0, 2.0, 3.0])
        assert answer("info", str(path))["values"] == [1, 2, 3]


def test_numbers_that_json_has_not_are_told_apart() -> None:
    with fb.create("z", shape=(4,), dtype="complex64", keywords={"NAN": float("nan")}) as s:
        s.write(np.array([3 + 4j, 0, np.nan, 1j], "complex64"))
        told = answer("info", "z")
        printed = output("info", "z")
    assert told["values"] == [[3, 4], [0, 0], [None, 0], [0, 1]]
    assert (told["frame"]["max"], told["frame"]["not_finite"]) == (5, 1)
    assert told["keywords"]["each"]["NAN"]["value"] is None
    assert "magnitude min 0, mean 2, max 5" in printed
    assert "1 of 4 values are not finite" in printed


def test_texts_from_shared_memory_are_not_obeyed() -> None:
    with fb.create("wfs", shape=(1,), keywords={"EVIL": ("\x1b[31m[red]", "[bold]\x07bell")}):
        printed = output("info", "wfs")
    assert "\\x1b[31m[red]" in printed
    assert "[bold]\\x07bell" in printed
    assert not {"\x1b", "\x07"} & set(printed)


def test_who_waits_on_a_semaphore_is_told(spawn: Spawner) -> None:
    with fb.create("wfs", shape=(1,)) as s:
        reader = spawn("""
            import framebus as fb
            s = fb.open("wfs")
            s.wake_mode = "semaphore"
            while s.statistics().semaphore < 0:  # a frame that is there already is read without waiting
                s.read_next(timeout_s=60)
            print("claimed")
            input()
        """)
        while not reader.lines:
            s.write([1.0])
            with contextlib.suppress(AssertionError):
                reader.expect("claimed", timeout_s=0.01)
        told = answer("info", "wfs")
        printed = output("info", "wfs")
    claims = [i for i, each in enumerate(told["semaphores"]["each"]) if each["reader"] is not None]
    assert [told["semaphores"]["each"][i]["reader"]["pid"] for i in claims] == [reader.pid]
    assert f"; {claims[0]} claimed by {reader.pid} " in printed


def test_a_frame_that_its_writer_left_half_done_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framebus.cli.inspection._FRAME_TIMEOUT_S", 0.01)
    with fb.create("wfs", shape=(3,)) as s:
        s.write([1.0, 2.0, 3.0])
        with contextlib.suppress(ZeroDivisionError), s.writing():
            raise ZeroDivisionError
        told = answer("info", "wfs")
        printed = output("info", "wfs")
    assert told["frame"] is None
    assert told["frame_error"]
    assert told["count"] == 1
    assert "count" in printed


def test_the_trace_names_the_streams_that_a_frame_came_from() -> None:
    from framebus.unit import Stage, start

    @fb.unit(compiled=False)
    def double(source: fb.In, result: fb.Out) -> None:
        result[:] = 2 * source

    with (
        fb.create("camera", shape=(3,)) as camera,
        start(Stage(double, {"source": "camera", "result": "doubled"})),
        fb.open("doubled") as doubled,
    ):
        camera.write([1.0, 2.0, 3.0])
        doubled.read_next(timeout_s=60)
        trace = answer("info", "doubled")["trace"]
        printed = output("info", "doubled")
        camera.remove()
        orphaned = output("info", "doubled")
    assert [step["stream"] for step in trace] == ["doubled", "camera"]
    assert (trace[0]["trigger_stream"], trace[0]["trigger_count"], trace[0]["trigger"]) == (
        "camera",
        1,
        "counter",
    )
    assert trace[0]["process"]["pid"] == os.getpid()
    assert "camera, frame 1" in printed
    assert [line.split()[-1] for line in printed.splitlines() if line.startswith(("doubled ", "camera "))][
        -2:
    ] == [
        "ago",
        "earlier",
    ]
    assert "removed since" in orphaned
    assert f"inode {trace[0]['trigger_inode']}, removed, frame 1" in orphaned


def test_a_writer_that_is_gone_is_told(spawn: Spawner) -> None:
    for make, state in ((killed_writer, "dead"), (ended_writer, "left")):
        pid = make(spawn, ["wfs"])
        told = answer("info", "wfs")
        assert (told["state"], told["writer"]) == (state, {"pid": pid, "alive": False, "command": ""})
        assert f"{pid}, gone" in output("info", "wfs")


def test_what_is_not_there_is_an_error(shm_dir: Path) -> None:
    said = f"framebus: error: no stream 'nope' in {shm_dir}; "
    assert error(3, "info", "nope") == f"{said}there are none"
    with fb.create("camera", shape=(3,)), fb.create("camera_dark", shape=(3,)):
        assert error(3, "info", "nope") == f"{said}'framebus ls' lists those that are there"
        assert error(3, "info", "camra[3]").endswith(f"in {shm_dir}; did you mean 'camera'?")
    (shm_dir / "junk.im.shm").write_bytes(b"x" * 500)
    assert "header field 'version'" in error(4, "info", "junk")
    with fb.create("wfs", shape=(3,)):
        assert "outside the axis" in error(2, "info", "wfs[9]")
        assert "float64" in error(2, "info", "tf64>wfs")
    assert "'@L:'" in error(2, "info", "@L:wfs")
    assert "missing argument 'NAME'; 'framebus info --help'" in error(2, "info")


def test_looking_loads_nothing_from_conf(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "shmim.wfs.fits").write_bytes(b"never read")
    with contextlib.chdir(tmp_path):
        assert "no stream 'wfs'" in error(3, "info", "wfs")


def test_a_stream_that_is_removed_meanwhile_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framebus.stream.describe", lambda path: None)
    with fb.create("wfs", shape=(3,)):
        assert "removed just now" in error(3, "info", "wfs")


@given(
    hnp.arrays(
        st.sampled_from(["u1", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]),
        hnp.array_shapes(max_dims=3, max_side=4),
    )
)
def test_figures_of_any_frame_are_plain_numbers(data: np.ndarray[Any, Any]) -> None:
    found = figures(data)
    assert found["elements"] == data.size
    values = np.abs(data) if data.dtype.kind == "c" else data
    finite = values[np.isfinite(values)]
    assert found["not_finite"] == data.size - finite.size
    if finite.size:
        assert (found["min"], found["max"]) == (finite.min(), finite.max())
        assert all(type(found[key]) in (int, float) for key in ("min", "max", "mean", "std"))
    else:
        assert [found[key] for key in ("min", "max", "mean", "std")] == [None] * 4
