"""Streams into files: the newest frame, several streams at once, and cubes with their proof."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import framebus as fb
from framebus.errors import DataError, NotFoundError, StreamNotFound, UsageError, WaitTimeout
from framebus.ops import load_frames, save_stream, snapshot, take_cube
from support.processes import Spawner
from support.waiting import once_asleep

WRITER = """
    import numpy as np
    import framebus as fb
    s = fb.create("a", shape=(2, 3), dtype="int32", history=16, keywords={"RATE": 9.0})
    s.write(np.zeros((2, 3), np.int32))
    print("made")
    input()
    for k in range(8):
        s.write(np.full((2, 3), s.count + 1, np.int32))
    input()
"""


@pytest.mark.parametrize("dialect", ["isio", "dao"])
def test_the_newest_frame_with_its_keywords_comes_back(dialect: str, dao_name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    with fb.create(
        f"{dao_name}a", shape=(2, 3), dtype="uint16", dialect=dialect, keywords={"N": (4, "four")}
    ) as a:
        for value in (1, 2):
            a.write(np.full((2, 3), value, np.uint16), acquisition_ns=value)
        saved = save_stream(f"{dao_name}a", path)
        assert (saved.shape, saved.dtype, saved.count, saved.frames) == ((2, 3), "uint16", 2, 1)
        header = fits.getheader(path)
        assert (header["N"], header["FBCOUNT"], header["FBSTREAM"]) == (4, 2, f"{dao_name}a")
        assert header["FBACQ"] == 2
        a.remove()
    load_frames(path, "b")
    with fb.open("b") as b:
        assert (b.read().tolist(), dict(b.keywords)) == ([[2] * 3] * 2, {"N": 4})


def test_a_slice_is_saved(tmp_path: Path) -> None:
    with fb.create("a", shape=(2, 3)) as a:
        a.write([[1, 2, 3], [4, 5, 6]])
        assert save_stream("a[1:2,*]", tmp_path / "a.npy").shape == (2, 2)
    assert np.load(tmp_path / "a.npy").tolist() == [[2, 3], [5, 6]]


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(StreamNotFound, match="no stream 'nothing'"):
        save_stream("nothing", tmp_path / "a.fits")
    with fb.create("a", shape=2, dtype="complex64") as a:
        with pytest.raises(WaitTimeout, match="no frame was ever published"):
            save_stream("a", tmp_path / "a.npy", timeout_s=0.0)
        # Before any frame: a long measurement would be lost.
        for frames in (None, 3):
            with pytest.raises(UsageError, match="FITS has no complex64"):
                save_stream("a", tmp_path / "a.fits", frames=frames)
        a.write([1, 2])
        with pytest.raises(UsageError, match="FITS has no complex64"):
            save_stream("a", tmp_path / "a.fits")
        with pytest.raises(UsageError, match="does not tell a kind"):
            save_stream("a", tmp_path / "a.dat")
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_has_one_time_for_all(tmp_path: Path) -> None:
    with fb.create("a", shape=2) as a, fb.create("b", shape=3) as b:
        a.write([1, 2])
        with pytest.raises(WaitTimeout):
            snapshot(["a", "b"], tmp_path, timeout_s=0.0)
        assert list(tmp_path.iterdir()) == [], "all or none"
        b.write([1, 2, 3])
        one, two = snapshot(["a", "b"], tmp_path)
        assert one.path.name.removeprefix("a_") == two.path.name.removeprefix("b_")
        assert fits.getdata(two.path).tolist() == [1, 2, 3]
        with pytest.raises(UsageError, match="is no directory"):
            snapshot(["a"], tmp_path / "nowhere")
        assert snapshot(["a"], tmp_path, ending=".npy")[0].path.suffix == ".npy"


def test_a_snapshot_refuses_before_it_writes(tmp_path: Path) -> None:
    with fb.create("a", shape=(2, 2)) as a, fb.create("b", shape=2, dtype="complex64") as b:
        a.write(np.ones((2, 2)))
        b.write([1, 2])
        with pytest.raises(UsageError, match=r"b_.*FITS has no complex64; choose a name that ends in \.npy"):
            snapshot(["a", "b"], tmp_path)
        with pytest.raises(UsageError, match=r"2 of these streams would go to .*a_.*\.npy"):
            snapshot(["a[0,*]", "b", "a[1,*]"], tmp_path, ending=".npy")
    assert list(tmp_path.iterdir()) == []


def test_without_astropy_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "astropy.io", None)
    with fb.create("a", shape=2):  # without a frame: whoever waited for one would end in a WaitTimeout
        for frames in (None, 3):
            with pytest.raises(NotFoundError, match=r"astropy is not installed; install the extra"):
                save_stream("a", tmp_path / "a.fits", frames=frames, timeout_s=0.0)
        with pytest.raises(NotFoundError, match="astropy"):
            snapshot(["a"], tmp_path, timeout_s=0.0)


def test_a_cube_of_consecutive_frames(spawn: Spawner, tmp_path: Path, shm_dir: Path) -> None:
    writer = spawn(WRITER)
    writer.expect("made")
    thread = once_asleep(shm_dir / "a.im.shm", writer.send)
    done: list[int] = []
    cube = take_cube("a", 6, timeout_s=60.0, complete=True, progress=lambda k, _: done.append(k))
    thread.join()
    assert cube.counts.tolist() == list(range(2, 8))
    assert cube.data[:, 1, 2].tolist() == list(range(2, 8))
    assert (cube.missed, cube.gaps, done) == (0, 0, list(range(1, 7)))
    assert (np.diff(cube.write_ns) >= 0).all()
    cube.save(tmp_path / "c.fits")
    table = fits.getdata(tmp_path / "c.fits", "FRAMES")
    assert table["COUNT"].tolist() == cube.counts.tolist()
    assert table["WRITTEN"].tolist() == cube.write_ns.tolist()
    header = fits.getheader(tmp_path / "c.fits")
    assert (header["RATE"], header["FBMISSED"], header["FBCOUNT"]) == (9.0, 0, 2)
    writer.send()
    assert writer.wait() == 0


def test_a_cube_of_one_of_daos(dao_name: str) -> None:
    """Its header does not tell that somebody sleeps: a writer that goes on until the cube is there."""
    with fb.create(f"{dao_name}a", shape=2, dialect="dao", history=64) as a:
        over = threading.Event()

        def write() -> None:
            while not over.wait(0.001):
                a.write([a.count + 1] * 2)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            cube = take_cube(f"{dao_name}a", 10, timeout_s=60.0)
        finally:
            over.set()
            thread.join()
        assert (cube.data[:, 0] == cube.counts).all()
        assert cube.missed == int(cube.counts[-1] - cube.counts[0]) - 9
        a.remove()


class Reader:
    """Stands for a cube that falls behind: between two of its frames the writer publishes some more."""

    def __init__(self, stream: fb.Stream, more: int) -> None:
        self.stream, self.more = stream, more

    def __call__(self, done: int, total: int) -> None:
        for _ in range(1 if done != 2 else self.more):
            self.stream.write(np.full(2, self.stream.count + 1))


@pytest.mark.parametrize("history", [0, 4])
def test_lost_frames_are_counted(history: int, shm_dir: Path) -> None:
    with fb.create("a", shape=2, history=history) as a:
        a.write([1, 1])
        thread = once_asleep(shm_dir / "a.im.shm", lambda: a.write([2, 2]))
        cube = take_cube("a", 4, timeout_s=60.0, progress=Reader(a, 7))
        thread.join()
        assert (cube.data[:, 0] == cube.counts).all(), "every frame is under its own count"
        assert cube.missed == int(cube.counts[-1] - cube.counts[0]) - 3
        assert cube.missed > 0
        assert cube.missed_before[:2].tolist() == [0, 0]


def test_a_complete_cube_gives_up(shm_dir: Path) -> None:
    with fb.create("a", shape=2) as a:
        a.write([1, 1])
        thread = once_asleep(shm_dir / "a.im.shm", lambda: a.write([2, 2]))
        with pytest.raises(
            DataError, match=r"6 frames of 'a' were lost before its frame 10, after 2 of 4; give"
        ):
            take_cube("a", 4, timeout_s=60.0, complete=True, progress=Reader(a, 7))
        thread.join()


def test_a_cube_of_a_slice(shm_dir: Path) -> None:
    with fb.create("a", shape=(2, 2), history=4) as a:
        a.write(np.ones((2, 2)))
        thread = once_asleep(shm_dir / "a.im.shm", lambda: [a.write(np.full((2, 2), k)) for k in (2, 3)])
        cube = take_cube("a[0,*]", 2, timeout_s=60.0)
        thread.join()
        assert cube.data.tolist() == [[[2], [2]], [[3], [3]]]


def test_cubes_that_cannot_be() -> None:
    with fb.create("a", shape=(1000, 1000)):
        with pytest.raises(UsageError, match="expected 1 or more"):
            take_cube("a", 0)
        with pytest.raises(UsageError, match="find no memory here; take fewer"):
            take_cube("a", 10**13)
        with pytest.raises(WaitTimeout, match="no frame was ever published"):
            take_cube("a", 2, timeout_s=0.0)
