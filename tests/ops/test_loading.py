"""Files into streams."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import ParameterError, UsageError
from framebus.ops import load_frames, load_parameters, play, save_parameters
from framebus.ops.files import write_frames
from framebus.params import Params, ParamSpec

CUBE = np.arange(24, dtype=np.uint16).reshape(4, 2, 3)


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    path = tmp_path / "cube.fits"
    write_frames(path, CUBE, {"RATE": (5.0, "Hz"), "WHO": ("a text of more than 16", "")})
    return path


@pytest.mark.parametrize("dialect", ["isio", "dao"])
def test_a_file_becomes_a_frame(dialect: str, cube: Path, dao_name: str) -> None:
    loaded = load_frames(cube, f"{dao_name}c", dialect=dialect, history=2)
    assert (loaded.shape, loaded.dtype, loaded.dialect) == ((4, 2, 3), "uint16", dialect)
    assert (loaded.frames, loaded.count, loaded.late, loaded.left_out) == (1, 1, 0, ("WHO",))
    with fb.open(f"{dao_name}c") as stream:
        assert stream.read().tolist() == CUBE.tolist()
        assert (dict(stream.keywords), stream.keywords.comment("RATE")) == ({"RATE": 5.0}, "Hz")
        assert stream.history_length == 2
        stream.remove()


def test_the_name_is_the_files(cube: Path) -> None:
    assert load_frames(cube).name == "cube"
    assert load_frames(cube.rename(cube.with_name("shmim.dm.fits"))).name == "dm"


@pytest.mark.parametrize("dialect", ["isio", "dao"])
def test_a_cube_is_played_frame_by_frame(dialect: str, cube: Path, dao_name: str) -> None:
    done: list[tuple[int, int]] = []
    loaded = load_frames(
        cube,
        f"{dao_name}c",
        rate_hz=2000.0,
        passes=2,
        history=8,
        dialect=dialect,
        progress=lambda *n: done.append(n),
    )
    assert (loaded.frames, loaded.count, loaded.shape) == (8, 8, (2, 3))
    assert done == [(k, 8) for k in range(1, 9)]
    with fb.open(f"{dao_name}c") as stream:
        assert [frame.data.tolist() for frame in stream.history()] == [*CUBE.tolist(), *CUBE.tolist()]
        stream.remove()


def test_playing_for_ever_ends_with_who_listens() -> None:
    with fb.create("wfs", shape=(2, 3), dtype="uint16") as stream:
        played = list(islice(play(stream, CUBE, 1e5, passes=None), 10))
        assert [one.count for one in played] == list(range(1, 11))
        assert stream.read().tolist() == CUBE[9 % 4].tolist()


def test_no_frame_comes_before_its_time() -> None:
    with fb.create("wfs", shape=(2, 3), dtype="uint16", history=4) as stream:
        list(play(stream, CUBE, 200.0))
        written = stream.times()[:, 2]
        assert (written - written[0] >= np.arange(4) * 5_000_000 - 5_000_000).all(), (
            "but for the first one's delay"
        )


def test_a_stream_that_is_there_is_written_to(cube: Path) -> None:
    with fb.create("there", shape=(2, 3), dtype="float32", keywords={"MINE": 1}) as stream:
        assert load_frames(cube, "there", rate_hz=1e4).dtype == "float32"
        assert (stream.count, stream.read()[1, 2]) == (4, 23.0)
        assert dict(stream.keywords) == {"MINE": 1, "RATE": 5.0}


def test_keywords_beyond_a_streams_slots_are_told(tmp_path: Path) -> None:
    keywords = {f"KEY{k}": (k, f"number {k}") for k in range(60)}
    write_frames(tmp_path / "many.fits", CUBE[0], keywords)
    with fb.create(
        "full", shape=(2, 3), dtype="uint16", keywords={"MINE": 1, "KEY3": 0}, keyword_slots=5
    ) as full:
        loaded = load_frames(tmp_path / "many.fits", "full")
        assert loaded.left_out == tuple(sorted(set(keywords) - {"KEY0", "KEY1", "KEY2", "KEY3"}))
        assert dict(full.keywords) == {"MINE": 1, "KEY0": 0, "KEY1": 1, "KEY2": 2, "KEY3": 3}
        assert (full.count, full.read().tolist()) == (1, CUBE[0].tolist())
    assert load_frames(tmp_path / "many.fits", "roomy").left_out == ()
    with fb.open("roomy") as roomy:
        assert len(roomy.keywords) == 60
        assert {roomy.keywords.updates(key) for key in roomy.keywords} == {1}, "each is written once"


def test_a_stream_that_does_not_fit_stays_unless_told(cube: Path) -> None:
    with fb.create("there", shape=(5,)) as stream:
        stream.write(np.ones(5))
        with pytest.raises(UsageError, match=r"'there' is there and is 5 float32.*expected 4x2x3 uint16"):
            load_frames(cube, "there")
        assert fb.open("there").count == 1
        assert load_frames(cube, "there", overwrite=True).shape == (4, 2, 3)
    with fb.create("narrow", shape=(4, 2, 3), dtype="uint8"):
        with pytest.raises(UsageError, match="history 0, isio; expected 4x2x3 uint16"):
            load_frames(cube, "narrow", history=5)
        with pytest.raises(UsageError, match=r"isio; expected .*dao"):
            load_frames(cube, "narrow", dialect="dao")


def test_values_that_do_not_convert_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full(3, 0.5))
    with (
        fb.create("whole", shape=3, dtype="int16") as stream,
        pytest.raises(UsageError, match="cannot be stored"),
    ):
        load_frames(tmp_path / "a.npy", "whole")
    assert stream


def test_a_broken_stream_is_replaced_only_when_told(tmp_path: Path, shm_dir: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (shm_dir / "a.im.shm").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="add --overwrite"):
        load_frames(tmp_path / "a.npy")
    assert load_frames(tmp_path / "a.npy", overwrite=True).count == 1


def test_what_is_no_cube_and_what_is_no_frame(tmp_path: Path, cube: Path) -> None:
    np.save(tmp_path / "line.npy", np.zeros(3))
    np.save(tmp_path / "four.npy", np.zeros((2, 2, 2, 2)))
    with pytest.raises(UsageError, match="a cube of frames has 2 axes or more"):
        load_frames(tmp_path / "line.npy", rate_hz=1.0)
    with pytest.raises(UsageError, match="at most 3 axes: play it"):
        load_frames(tmp_path / "four.npy")
    assert load_frames(tmp_path / "four.npy", rate_hz=1e4).shape == (2, 2, 2)
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="expected frames per second"):
            load_frames(cube, rate_hz=rate)
    with pytest.raises(UsageError, match="passes is 0"):
        load_frames(cube, rate_hz=1.0, passes=0)


def test_parameters_go_to_a_file_and_back(tmp_path: Path) -> None:
    with Params.create("loop", [ParamSpec("gain", 0.5)]) as params:
        save_parameters("loop", tmp_path / "loop.toml")
        with pytest.raises(UsageError, match="exists"):
            save_parameters("loop", tmp_path / "loop.toml")
        params["gain"] = 0.25
        assert list(load_parameters(tmp_path / "loop.toml")) == ["loop"]
        assert params["gain"] == 0.5
    (tmp_path / "bad.toml").write_text("[nothing]\ngain = 1.0\n")
    with pytest.raises(ParameterError, match="nothing"):
        load_parameters(tmp_path / "bad.toml")
