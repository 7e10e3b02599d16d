"""``SHM`` as scripts use it: making, opening, reading, waiting, writing, and what it says when it cannot."""

from __future__ import annotations

import itertools
import os
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import framebus as fb
from framebus.compat.pymilk import (
    SHM,
    AutoRelinkError,
    AutoRelinkSizeError,
    AutoRelinkTypeError,
    SHMNotFoundError,
    UnsupportedError,
    check_SHM_name,
    creashmim,
)
from framebus.compat.pymilk.img_shapes import decode
from framebus.errors import NameFormatError, StreamNotFound, UsageError, WaitTimeout
from framebus.stream import StreamInfo
from support.c_writer import CStream
from support.processes import Spawner
from support.waiting import once_asleep, until


def numbered(*shape: int) -> npt.NDArray[np.float32]:
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


# ---- making and opening --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4)])
def test_an_array_makes_a_stream_and_is_its_first_frame(shape: tuple[int, ...], shm_dir: Path) -> None:
    shm = SHM("made", numbered(*shape), location=-1, shared=True, verbose=True, packed=False)
    assert (shm.shape, shm.nptype, shm.nDim, shm.get_counter()) == (
        shape,
        np.dtype(np.float32),
        len(shape),
        1,
    )
    assert ("made", str(shm_dir / "made.im.shm")) == (shm.FNAME, shm.FILEPATH)
    np.testing.assert_array_equal(SHM("made").get_data(), numbered(*shape))


def test_shape_and_dtype_make_a_stream_of_zeros(capsys: pytest.CaptureFixture[str]) -> None:
    shm = SHM("made", ((30, 20), np.int16), nbkw=7)
    assert (shm.shape, shm.shape_c, shm.nptype) == ((30, 20), (20, 30), np.dtype(np.int16))
    np.testing.assert_array_equal(shm.get_data(), np.zeros((30, 20), np.int16))
    assert fb.open("made").keywords.slots == 7
    assert capsys.readouterr().out == ""


def test_an_image_is_what_framebus_shows() -> None:
    fb.create("image", shape=(2, 3)).write(numbered(2, 3))
    shm = SHM("image")
    np.testing.assert_array_equal(shm.get_data(), numbered(2, 3))
    shm.set_data(-numbered(2, 3))
    np.testing.assert_array_equal(fb.open("image").read(), -numbered(2, 3))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("abcd", "data is 'abcd', expected an array, or a tuple of a shape and a dtype"),
        (("abcd", np.int32), "expected an array, or a tuple"),
        (((1, 1, 1), "yolo"), "expected an array, or a tuple"),
        (((-1, 2, 3), np.float64), "expected an array, or a tuple"),
        (((1.123, 2, 3), np.float64), "expected an array, or a tuple"),
        (3, "expected an array, or a tuple"),
        (((1, 2, 3, 4), np.float64), r"data has shape \(1, 2, 3, 4\), expected 1 to 3 axes"),
        (((), np.float64), r"data has shape \(\), expected 1 to 3 axes"),
        (((2, 0), np.float64), "at least one element"),
        (((2, 2), "U3"), "cannot carry dtype"),
    ],
)
def test_data_that_make_no_stream(data: Any, message: str, shm_dir: Path) -> None:
    with pytest.raises(UsageError, match=message):
        SHM("made", data)
    assert not list(shm_dir.iterdir())


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 1, 1), (1, 2, 3), (2, 1, 3), (2, 3, 1), (10, 20)])
def test_axes_of_one_are_kept_when_made_and_dropped_when_opened(shape: tuple[int, ...]) -> None:
    made = SHM("made", (shape, np.uint16), symcode=0)
    assert made.shape == made.shape_c == made.get_data().shape == shape
    whole = SHM("made", symcode=0, autoSqueeze=False)
    assert whole.shape == whole.shape_c == whole.get_data().shape == shape
    squeezed = SHM("made", symcode=0)
    assert squeezed.shape == tuple(n for n in shape if n > 1)
    assert squeezed.shape_c == shape
    frame = np.arange(np.prod(shape), dtype=np.uint16).reshape(squeezed.shape) + 7
    squeezed.set_data(frame)
    np.testing.assert_array_equal(squeezed.get_data(), frame)
    np.testing.assert_array_equal(squeezed.get_data(copy=False), frame)
    np.testing.assert_array_equal(made.get_data(), frame.reshape(shape))


def test_a_single_number_is_written_as_one() -> None:
    SHM("scalar", ((1,), np.float64))
    shm = SHM("scalar")
    shm.set_data(2.5)
    assert (shm.shape, float(shm.get_data())) == ((), 2.5)


def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(FileNotFoundError, match="requested SHM nowhere does not exist: no stream") as caught:
        SHM("nowhere")
    assert isinstance(caught.value, StreamNotFound)
    with pytest.raises(SHMNotFoundError):
        SHM("nowhere", shared=False)


def test_the_gpu_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="location=0: framebus streams are in main memory") as caught:
        SHM("made", ((2, 2), np.float32), location=0)
    assert isinstance(caught.value, NotImplementedError)


def test_not_shared_is_of_this_process_alone(shm_dir: Path) -> None:
    shm = SHM("mine", numbered(2, 3), shared=False)
    other = SHM("mine", shared=False)
    shm.set_data(numbered(2, 3) * 2)
    np.testing.assert_array_equal(other.get_data(), numbered(2, 3) * 2)
    assert not list(shm_dir.iterdir())
    shm.destroy()
    with pytest.raises(SHMNotFoundError):
        other.set_data(numbered(2, 3))


def test_names_and_paths(shm_dir: Path) -> None:
    assert check_SHM_name("abcd") == check_SHM_name("abcd.im.shm") == "abcd"
    assert check_SHM_name(f"{shm_dir}/abcd.im.shm") == check_SHM_name(f"{shm_dir}/abcd") == "abcd"
    for elsewhere in ("x/abcd.im.shm", "x/y/abcd.im.shm", f"{shm_dir}/y/abcd.im.shm", f"{shm_dir}2/abcd"):
        with pytest.raises(ValueError, match="is not in the directory of the streams"):
            check_SHM_name(elsewhere)
        with pytest.raises(UsageError, match="is not in the directory of the streams"):
            SHM(elsewhere, ((2, 2), np.float32))
    SHM(f"{shm_dir}/abcd.im.shm", ((2, 2), np.float32))
    assert SHM("abcd").FNAME == "abcd"
    with pytest.raises(NameFormatError, match="'\\['"):
        SHM("abcd[0,*]")


def test_the_context_closes_and_so_does_close_twice() -> None:
    made = SHM("made", numbered(2, 3))
    with SHM("made") as shm:
        view = shm.get_data(copy=False)
    shm.close()
    np.testing.assert_array_equal(view, numbered(2, 3))
    with pytest.raises(UsageError, match="closed"):
        shm.get_data()
    np.testing.assert_array_equal(made.get_data(), numbered(2, 3))
    assert repr(shm) == "<SHM 'made' (2, 3) float32, symcode 4, closed>"


def test_destroy_removes_once(shm_dir: Path) -> None:
    shm = SHM("made", numbered(2, 3))
    shm.destroy()
    shm.destroy()
    assert not list(shm_dir.iterdir())


def test_destroy_leaves_what_was_made_since() -> None:
    former = SHM("made", numbered(2, 3))
    latter = SHM("made", numbered(2, 3).astype(np.float64))
    former.destroy()
    assert Path(latter.FILEPATH).exists()
    latter.destroy()
    assert not Path(latter.FILEPATH).exists()


# ---- streams that change beneath -----------------------------------------------------------------------------------


def test_a_stream_made_anew_is_followed_or_refused() -> None:
    reader = SHM("made", ((2, 3), np.int32))
    SHM("made", ((5, 3, 4), np.int32))
    with pytest.raises(AutoRelinkSizeError, match=r"shape \(4, 5, 3\), was \(2, 3\)"):
        reader.get_data()
    with pytest.raises(AutoRelinkSizeError):
        reader.set_data(np.zeros((2, 3), np.int32))
    SHM("made", ((2, 3), np.float32))
    with pytest.raises(AutoRelinkTypeError, match="dtype float32, was int32"):
        reader.get_data()
    SHM("made", np.full((2, 3), 5, np.int32))
    np.testing.assert_array_equal(reader.get_data(), np.full((2, 3), 5))


def test_a_stream_that_changes_once_more_while_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = SHM("made", ((2, 3), np.int32))
    SHM("made", ((2, 4), np.int32))
    bad = StreamInfo("made", Path(reader.FILEPATH), "bad", error="half a file")
    monkeypatch.setattr("framebus.stream.describe", lambda path: bad)
    with pytest.raises(AutoRelinkError, match="made anew") as caught:
        reader.get_data()
    assert type(caught.value) is AutoRelinkError


def test_a_stream_that_was_removed() -> None:
    reader = SHM("made", numbered(2, 3))
    SHM("made").destroy()
    for use in (
        reader.get_data,
        lambda: reader.get_data(check=True),
        lambda: reader.multi_recv_data(1),
        lambda: reader.set_data(numbered(2, 3)),
        reader.repost,
        reader.non_block_wait_semaphore,
    ):
        with pytest.raises(FileNotFoundError, match="removed"):
            use()
    np.testing.assert_array_equal(reader.get_data(autorelink_if_need=False), numbered(2, 3))


# ---- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", "i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8 c8 c16".split(), ids=lambda code: np.dtype(code).name
)
def test_without_a_copy_it_is_shared_memory_to_be_read(dtype: str) -> None:
    writer = SHM("made", ((20, 30), dtype))
    view = SHM("made").get_data(copy=False)
    np.testing.assert_array_equal(view, np.zeros((20, 30)))
    frame = np.zeros((20, 30), dtype)
    frame[1, 2] = 2
    writer.set_data(frame)
    np.testing.assert_array_equal(view, frame)
    with pytest.raises(ValueError, match="read-only"):
        view[1, 2] = 3


def test_copies_are_the_callers_own() -> None:
    shm = SHM("made", numbered(2, 3))
    copy = shm.get_data(reform=True, sleepT=0.1)
    copy[:] = 0
    np.testing.assert_array_equal(shm.get_data(), numbered(2, 3))


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("timeout", [60.0, None, 0])
def test_check_waits_for_a_frame_that_comes(copy: bool, timeout: float | None, shm_dir: Path) -> None:
    writer, reader = SHM("made", numbered(2, 3)), SHM("made")
    writer.set_data(numbered(2, 3) + 1)
    thread = once_asleep(shm_dir / "made.im.shm", lambda: writer.set_data(numbered(2, 3) + 2))
    data = reader.get_data(check=True, timeout=timeout, copy=copy)
    thread.join()
    np.testing.assert_array_equal(data, numbered(2, 3) + 2)


def test_without_flush_the_next_frame_may_be_there_already() -> None:
    writer, reader = SHM("made", ((2,), np.int32)), SHM("made")
    writer.set_data([1, 1])
    assert reader.get_data(True, checkSemAndFlush=False).tolist() == [1, 1]
    writer.set_data([2, 2])
    assert reader.get_data(True, None, copy=False, checkSemAndFlush=False).tolist() == [2, 2]
    with pytest.raises(WaitTimeout):
        reader.get_data(True, 0.01, checkSemAndFlush=False)


def test_frames_from_before_a_new_start_are_flushed_too() -> None:
    SHM("made", ((2,), np.int32))
    reader = SHM("made")
    SHM("made", ((2,), np.int32)).set_data([1, 1])  # made anew, and written before the wait begins
    with pytest.raises(WaitTimeout):
        reader.get_data(check=True, timeout=0.01)


def test_a_timeout_raises_or_gives_none_if_asked() -> None:
    reader = SHM("made", numbered(2, 3))
    for copy in (True, False):
        with pytest.raises(TimeoutError, match=r"within 0\.01 s; the last frame, count 1, is .* old"):
            reader.get_data(check=True, timeout=0.01, copy=copy)
        assert reader.get_data(True, 0.01, copy, return_none_on_timeout=True) is None


def test_a_stream_without_a_frame_is_waited_for() -> None:
    writer = fb.create("empty", shape=2)
    reader = SHM("empty")
    with pytest.raises(WaitTimeout, match="no frame was ever published"):
        reader.get_data(check=True, timeout=0.01)
    assert reader.get_data(check=True, timeout=0.01, return_none_on_timeout=True) is None
    thread = threading.Thread(target=lambda: writer.write([1, 2]))
    thread.start()
    assert reader.get_data(check=True, checkSemAndFlush=False).tolist() == [1, 2]
    thread.join()


@pytest.mark.parametrize("as_cube", [False, True, 0, 1])
def test_several_frames_come_in_order(
    as_cube: bool, shm_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = fb.create("cube", shape=(2, 3), dtype="int32", history=8)
    writer.write(np.zeros((2, 3), int))
    reader = SHM("cube", symcode=0)

    def write() -> None:
        for n in range(1, 6):
            writer.write(np.full((2, 3), n))

    thread = once_asleep(shm_dir / "cube.im.shm", write)
    frames = reader.multi_recv_data(5, as_cube, monitorCount=True)
    thread.join()
    assert isinstance(frames, np.ndarray) == bool(as_cube)
    np.testing.assert_array_equal(frames, [np.full((3, 2), n) for n in range(1, 6)])
    assert capsys.readouterr().out == "cube: 5 frames received, 0 missed in between\n"


def test_missed_frames_are_told(shm_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = fb.create("line", shape=1, dtype="int32", history=3)
    writer.write([0])
    reader = SHM("line", autoSqueeze=False)
    frames_had = itertools.count(1)

    def slow(array: npt.NDArray[Any], symcode: int, order: int) -> npt.NDArray[Any]:
        if next(frames_had) == 2:
            for n in range(2, 10):
                writer.write([n])
        return decode(array, symcode, order)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("framebus.compat.pymilk.shm.decode", slow)
        thread = once_asleep(shm_dir / "line.im.shm", lambda: [writer.write([1]), writer.write([1])])
        frames = reader.multi_recv_data(4, output_as_cube=True, monitorCount=True)
    thread.join()
    assert frames.tolist() == [[1], [1], [7], [8]]
    assert capsys.readouterr().out == "line: 4 frames received, 5 missed in between\n"


def test_several_frames_that_do_not_come_or_cannot() -> None:
    reader = SHM("made", numbered(2, 3))
    with pytest.raises(WaitTimeout):
        reader.multi_recv_data(2, timeout=0.01)
    with pytest.raises(UsageError, match="n is -1, expected 0 or more"):
        reader.multi_recv_data(-1)
    assert reader.multi_recv_data(0) == []


def test_frames_of_a_c_program(shm_dir: Path) -> None:
    frame = np.arange(6, dtype=np.uint16)
    with CStream.create(shm_dir / "c.im.shm", (2, 3), "uint16") as c:
        reader = SHM("c")
        c.write(frame.tobytes())
        np.testing.assert_array_equal(
            reader.get_data(check=True, checkSemAndFlush=False), frame.reshape(2, 3)
        )

        def write_to_a_sleeper() -> None:
            until(lambda: os.getpid() in fb.open("c").header()["sem_read_pid"])
            c.write((frame + 1).tobytes())

        thread = threading.Thread(target=write_to_a_sleeper)
        thread.start()
        np.testing.assert_array_equal(reader.get_data(check=True), frame.reshape(2, 3) + 1)
        thread.join()
        assert reader.semID in range(10)
        reader.close()


# ---- semaphores ----------------------------------------------------------------------------------------------------


def test_semaphore_calls_tell_what_was_published() -> None:
    writer, reader = SHM("made", ((2,), np.int32)), SHM("made")
    assert (reader.semID, reader.check_sem_value(), reader.check_sem_trywait()) == (None, 0, False)
    assert not reader.check_sem_timedwait(0.01)
    writer.set_data([1, 1])
    writer.set_data([2, 2])
    assert reader.check_sem_value() == 2
    assert reader.check_sem_trywait()
    assert (reader.check_sem_trywait(), reader.check_sem_value()) == (False, 0), (
        "no history: it has the newest"
    )
    writer.set_data([3, 3])
    assert reader.check_sem_timedwait(0.01)


def test_a_wait_goes_on_with_a_stream_that_is_made_anew(shm_dir: Path) -> None:
    path = shm_dir / "made.im.shm"
    reader = SHM("made", ((2,), np.int32))
    thread = once_asleep(path, lambda: SHM("made", np.array([5, 5], np.int32)))
    assert reader.non_block_wait_semaphore(0.001) == 0
    thread.join()
    assert reader.get_data().tolist() == [5, 5]
    thread = once_asleep(path, lambda: SHM("made", np.array([6, 6], np.int32)))
    assert reader.non_block_wait_until_recreation() is reader
    thread.join()
    thread = once_asleep(path, lambda: SHM("made", np.array([7.5, 7.5])))
    latter = reader.non_block_wait_until_recreation(0.001)
    thread.join()
    assert latter is not reader
    assert latter.get_data().tolist() == [7.5, 7.5]


# ---- writing -------------------------------------------------------------------------------------------------------


def test_frames_that_do_not_fit_are_refused() -> None:
    shm = SHM("made", ((2, 3), np.uint16))
    for data, message in (
        (np.zeros((3, 2)), r"a frame has shape \(2, 3\), the array has \(3, 2\)"),
        (np.zeros(6), r"the array has \(6,\)"),
        (np.full((2, 3), 0.5), "float64 cannot be stored as uint16"),
    ):
        with pytest.raises(UsageError, match=message):
            shm.set_data(data)
    assert shm.get_counter() == 1
    shm.set_data(np.full((2, 3), 3.75), check_dt=True)
    assert shm.get_data().tolist() == [[3] * 3] * 2
    shm.set_data([[1, 2, 3], [4, 5, 6]])
    assert shm.get_counter() == 3


def test_repost_publishes_the_same_frame_with_another_time() -> None:
    shm, reader = SHM("made", numbered(2, 3)), SHM("made")
    shm.repost()
    assert (shm.get_counter(), reader.md.acqtime) == (2, reader.md.writetime)
    for given in (1_700_000_000.25, datetime.fromtimestamp(1_700_000_000.25)):  # noqa: DTZ006 - as scripts do
        reader.repost(given)
        assert shm.stream.header()["atime_ns"] == 1_700_000_000_250_000_000
        assert shm.md.acqtime == datetime.fromtimestamp(1_700_000_000.25)  # noqa: DTZ006
    np.testing.assert_array_equal(shm.get_data(), numbered(2, 3))


@pytest.mark.parametrize("symcode", range(8))
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4)])
def test_fits_files_hold_the_side_of_c(shape: tuple[int, ...], symcode: int, tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    stream = fb.create("saved", shape=shape, dtype="float32")
    stream.write(numbered(*shape))
    for _ in range(2):  # an old file is replaced
        assert SHM("saved", symcode=symcode, triDim=symcode % 4).save_as_fits(str(tmp_path / "s.fits")) == 0
    np.testing.assert_array_equal(fits.getdata(tmp_path / "s.fits"), numbered(*shape).T)


def test_fits_files_need_astropy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "astropy.io", None)
    with pytest.raises(UsageError, match=r"needs astropy; install the extra: pip install 'framebus\[fits\]'"):
        SHM("made", numbered(2, 3)).save_as_fits(str(tmp_path / "s.fits"))


# ---- metadata ------------------------------------------------------------------------------------------------------


def test_metadata_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    shm = SHM("made", ((2, 3), np.uint16), nbkw=5)
    assert (shm.mtdata["size"], shm.mtdata["cnt0"], shm.md.NBkw, shm.md.naxis) == ([3, 2], 1, 5, 2)
    assert (shm.md.name, shm.IMAGE.md.datatype, shm.md.creatorPID) == ("made", 3, os.getpid())
    shm.set_data(np.ones((2, 3), np.uint16))
    assert shm.md.cnt0 == shm.IMAGE.md["cnt0"] == dict(shm.md)["cnt0"] == 2
    assert len(shm.md) == len(list(shm.md))
    with pytest.raises(KeyError, match="'nonsense'; a stream's metadata has: version, name"):
        shm.mtdata["nonsense"]
    assert not hasattr(shm.md, "nonsense")
    shm.print_meta_data()
    assert "cnt0: 2\n" in capsys.readouterr().out
    assert str(shm) == repr(shm) == "<SHM 'made' (2, 3) uint16, symcode 4, count 2>"


def test_what_is_not_there_of_the_wrapper_says_so() -> None:
    shm = SHM("made", numbered(2, 3))
    with pytest.raises(UnsupportedError, match=r"IMAGE\.semwait: .* use the methods of SHM"):
        shm.IMAGE.semwait(0)


# ---- creashmim -----------------------------------------------------------------------------------------------------


def test_creashmim_keeps_what_fits() -> None:
    first = creashmim("made", (2, 3))
    assert (first.shape, first.nptype, first.stream.keywords.slots) == ((2, 3), np.dtype(np.float32), 50)
    first.set_data(numbered(2, 3))
    np.testing.assert_array_equal(creashmim("made", (2, 3), do_zero=False).get_data(), numbered(2, 3))
    assert creashmim("made", (2, 3)).get_data().tolist() == [[0] * 3] * 2
    assert first.get_counter() == 3, "the same stream all the time"


@pytest.mark.parametrize(
    "wish",
    [{"shape": (3, 2)}, {"data_type": np.int16}, {"nb_kw": 51}, {"attempt_reuse": False}],
    ids=lambda wish: next(iter(wish)),
)
def test_creashmim_replaces_what_does_not(wish: dict[str, Any]) -> None:
    former = SHM("made", numbered(2, 3))
    made = creashmim("made", **{"shape": (2, 3), **wish})
    assert (made.get_counter(), made.stream.handle.inode != former.stream.handle.inode) == (1, True)
    assert (made.shape, made.nptype) == (
        wish.get("shape", (2, 3)),
        np.dtype(wish.get("data_type", np.float32)),
    )


def test_creashmim_replaces_a_file_that_is_no_stream(shm_dir: Path) -> None:
    (shm_dir / "made.im.shm").write_bytes(b"junk")
    assert creashmim("made", (2, 1)).shape == (2, 1)


# ---- the import ----------------------------------------------------------------------------------------------------


def test_the_import_is_light(spawn: Spawner) -> None:
    process = spawn("""
        import sys
        import framebus.compat.pymilk
        heavy = {"astropy", "numba", "scipy", "msgspec", "click", "framebus.unit", "framebus.pipeline"}
        print("loaded:", *sorted(heavy & set(sys.modules)))
    """)
    assert process.expect("loaded:") == "loaded:"
    assert process.wait() == 0


def test_a_stream_that_was_never_written_is_zeros() -> None:
    with SHM("new", ((4, 6), np.int16)) as shm:
        assert shm.get_data().tolist() == np.zeros((4, 6)).tolist()
        assert shm.get_data(copy=False).dtype == np.int16
        assert shm.get_data(check=True, timeout=0.01, return_none_on_timeout=True) is None


def test_streams_of_dao_show_themselves_likewise(dao_name: str) -> None:
    stream = fb.create(dao_name, shape=(4, 6), dtype="int16", dialect="dao", history=3)
    stream.write(np.arange(24).reshape(4, 6))
    with SHM(dao_name) as shm:
        assert shm.get_data().tolist() == np.arange(24).reshape(4, 6).tolist()
        assert (shm.md.size, shm.md.cnt0, shm.md.naxis, shm.md.CBsize) == ([6, 4], 1, 2, 3)
        assert shm.mtdata["datatype"] == 4
    stream.remove()
