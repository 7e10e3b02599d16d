"""One handle: writing, reading, its cursor, views, history, slices, statistics, and what it says when used wrongly."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus.errors import NameFormatError, StreamRecreated, UsageError, WaitTimeout
from framebus.stream import Frame
from support.c_writer import CStream
from support.processes import Spawner

SECOND_NS = 10**9


@pytest.fixture
def image(shm_dir: Path) -> fb.Stream:
    return fb.create("image", shape=(3, 4), dtype="float32", history=4)


def numbered(n: float, stream: fb.Stream) -> Any:
    return np.full(stream.shape, n, stream.dtype)


def give_up(view: Any, value: float) -> None:
    """Begin to fill a frame and fail."""
    view.flat[:2] = value
    raise ZeroDivisionError


# ---- what it is ----------------------------------------------------------------------------------------------------


def test_describes_itself(image: fb.Stream, shm_dir: Path) -> None:
    assert (image.name, image.path) == ("image", shm_dir / "image.im.shm")
    assert (image.shape, image.dtype.name, image.count, image.history_length) == ((3, 4), "float32", 0, 4)
    image.write(numbered(1, image))
    assert repr(image) == "<Stream 'image' (3, 4) float32, history 4, count 1>"
    assert image.handle.last_writer == os.getpid()
    image.close()
    assert repr(image) == "<Stream closed>"


def test_statistics_tell_what_one_handle_did(image: fb.Stream) -> None:
    reader = fb.open("image")
    for n in range(7):
        image.write(numbered(n, image))
    assert image.statistics().frames_written == 7
    assert reader.read_next().missed == 3
    assert reader.read_next(newest=True).missed == 2
    seen = reader.statistics()
    assert (seen.frames_read, seen.frames_missed, seen.frames_written, seen.cursor) == (2, 5, 0, 7)
    assert (seen.retries, seen.recreated, seen.unannounced, seen.wake, seen.semaphore) == (
        0,
        0,
        0,
        "auto",
        -1,
    )
    image.write(numbered(7, image))
    image.write(numbered(8, image))
    reader.read()
    assert reader.statistics().frames_missed == 6, "read() passes frames over as well"


# ---- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float64).reshape(3, 4),
        np.arange(12).reshape(3, 4),
        np.arange(12, dtype=np.float32).reshape(4, 3).T,
        np.arange(24, dtype=np.float32).reshape(3, 8)[:, ::2],
        np.arange(12, dtype=">f4").reshape(3, 4),
        np.arange(12, dtype=np.float16).reshape(3, 4),
        np.arange(12).reshape(3, 4) > 5,
        [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]],
    ],
    ids=["double", "int", "transposed", "strided", "big-endian", "half", "bool", "list"],
)
def test_arrays_that_convert_are_written(array: Any, image: fb.Stream) -> None:
    assert image.write(array) == 1
    np.testing.assert_array_equal(image.read(), np.asarray(array))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 3), np.float32), r"shape \(3, 4\), the array has \(4, 3\)"),
        (np.zeros(12, np.float32), r"the array has \(12,\)"),
        (0.0, r"the array has \(\)"),
        (None, r"the array has \(\)"),
        (np.zeros((3, 4), np.complex64), "complex64 cannot be stored as float32"),
        (np.zeros((3, 4), object), "object cannot be stored as float32"),
        (np.full((3, 4), "x"), "cannot be stored as float32"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(array: Any, message: str, image: fb.Stream) -> None:
    with pytest.raises(UsageError, match=message):
        image.write(array)
    assert image.count == 0
    assert image.statistics().frames_written == 0


def test_integers_are_written_if_they_fit() -> None:
    s = fb.create("image", shape=3, dtype="uint16")
    s.write([0, 1, 65535])
    assert s.read().tolist() == [0, 1, 65535]
    for bad, message in (
        ([0, 1, 65536], "values from 0 to 65536 do not fit uint16; expected 0 to 65535"),
        ([-1, 0, 0], "values from -1 to 0 do not fit uint16"),
        ([0.5, 0, 0], "float64 cannot be stored as uint16"),
    ):
        with pytest.raises(UsageError, match=message):
            s.write(bad)
    assert s.read().tolist() == [0, 1, 65535]


def test_times_of_a_frame(image: fb.Stream) -> None:
    reader = fb.open("image")
    image.write(numbered(0, image), acquisition_ns=123)
    with image.writing(acquisition_ns=456):
        pass
    image.write(numbered(0, image))
    first, second, third = reader.frames(3)
    assert (first.acquisition_ns, second.acquisition_ns) == (123, 456)
    assert third.acquisition_ns == third.write_ns
    assert first.write_ns <= second.write_ns <= third.write_ns
    assert [f[1:4] for f in reader.history()] == [f[1:4] for f in (first, second, third)]
    assert reader.times().tolist() == [
        [f.count, f.acquisition_ns, f.write_ns] for f in (first, second, third)
    ]
    assert reader.times(after=2).tolist() == [[3, third.acquisition_ns, third.write_ns]]
    assert reader.times(after=3).shape == (0, 3)
    latest = reader.latest()
    assert (latest.acquisition_ns, latest.write_ns) == (third.acquisition_ns, third.write_ns)


def test_writing_in_place_publishes_on_a_clean_exit_only(image: fb.Stream) -> None:
    reader = fb.open("image")
    with image.writing() as view:
        view[...] = 1
        assert reader.count == 0
    assert reader.read_next().data.tolist() == numbered(1, image).tolist()
    with pytest.raises(ZeroDivisionError), image.writing() as view:
        give_up(view, 2)
    assert (reader.count, reader.header()["write"]) == (1, 0)
    assert reader.read().tolist() == numbered(1, image).tolist()
    assert view.flags.writeable is False
    with pytest.raises(ValueError, match="read-only"):
        view[...] = 3
    image.write(numbered(4, image))
    assert reader.read_next().data[0, 0] == 4


def test_frame_given_up_without_history_is_never_read() -> None:
    s = fb.create("image", shape=3, dtype="float32")
    reader = fb.open("image")
    with pytest.raises(ZeroDivisionError), s.writing():
        raise ZeroDivisionError
    assert reader.header()["write"] == 0, "nothing was there, and nothing is"
    s.write([1, 1, 1])
    with pytest.raises(ZeroDivisionError), s.writing() as view:
        give_up(view, 2)
    for read in (reader.read, reader.read_next, reader.latest):
        with pytest.raises(WaitTimeout, match="a frame was begun and not finished"):
            read(timeout_s=0.01)
    assert reader.history() == []
    s.write([3, 3, 3])
    frame = reader.read_next()
    assert (frame.count, frame.data.tolist(), frame.missed) == (2, [3, 3, 3], 1)


def test_only_one_frame_at_a_time_is_written_in_place(image: fb.Stream) -> None:
    with image.writing():
        with pytest.raises(UsageError, match="leave its 'with' block first"):
            image.write(numbered(1, image))
        with pytest.raises(UsageError, match="leave its 'with' block first"), image.writing():
            pass
    assert image.count == 1
    with pytest.raises(UsageError, match="no frame is being written"):
        image.handle.end_write()
    image.handle.abandon_write()
    assert image.count == 1


def test_closing_amid_a_frame_gives_it_up(image: fb.Stream) -> None:
    reader = fb.open("image")
    image.write(numbered(1, image))
    with (
        pytest.raises(UsageError, match="closed while a frame was being written in place; the frame is lost"),
        image.writing(),
    ):
        image.close()
    assert reader.count == 1
    assert reader.read()[0, 0] == 1
    assert reader.header()["write"] == 0


# ---- reading -------------------------------------------------------------------------------------------------------


def test_new_handle_starts_with_the_next_frame(image: fb.Stream) -> None:
    image.write(numbered(1, image))
    reader = fb.open("image")
    with pytest.raises(WaitTimeout):
        reader.read_next(timeout_s=0)
    assert reader.read()[0, 0] == 1
    image.write(numbered(2, image))
    assert reader.read_next(timeout_s=0).count == 2


def test_handles_have_cursors_of_their_own(image: fb.Stream) -> None:
    one, two = fb.open("image"), fb.open("image")
    for n in range(1, 4):
        image.write(numbered(n, image))
    assert [f.count for f in one.frames(3)] == [1, 2, 3]
    assert two.skip_to_newest() == 3
    image.write(numbered(4, image))
    assert [one.read_next().count, two.read_next().count] == [4, 4]


def test_a_view_does_not_move_the_cursor(image: fb.Stream) -> None:
    reader = fb.open("image")
    image.write(numbered(1, image))
    reader.latest()
    reader.history()
    assert reader.read_next().count == 1


def test_read_goes_on_behind_the_newest(image: fb.Stream) -> None:
    reader = fb.open("image")
    for n in range(1, 4):
        image.write(numbered(n, image))
    reader.read()
    image.write(numbered(4, image))
    frame = reader.read_next()
    assert (frame.count, frame.missed) == (4, 0)


def test_newest_tells_count_and_times_of_the_frame_as_it_stands(image: fb.Stream) -> None:
    reader = fb.open("image")
    for n in range(1, 4):
        image.write(numbered(n, image), acquisition_ns=n)
    for _ in range(2):  # also one that was read before
        frame = reader.newest()
        assert (frame.data[0, 0], frame.count, frame.acquisition_ns, frame.missed) == (3, 3, 3, 0)
        assert frame.write_ns == image.handle.written_ns
    image.write(numbered(4, image))
    frame = reader.read_next()
    assert (frame.count, frame.missed) == (4, 0)
    assert fb.open("image[1]").newest().data.shape == (3, 1)


def test_newest_waits_for_a_first_frame(image: fb.Stream) -> None:
    with pytest.raises(WaitTimeout, match="no frame was ever published"):
        fb.open("image").newest(timeout_s=0.0)


def test_reads_into_an_array_of_the_callers(image: fb.Stream) -> None:
    reader = fb.open("image")
    mine = np.empty((3, 4), np.float32)
    image.write(numbered(1, image))
    assert reader.read_next(mine).data is mine
    assert reader.read(mine) is mine
    assert mine[0, 0] == 1


@pytest.mark.parametrize(
    "out",
    [
        np.empty((4, 3), np.float32),
        np.empty(12, np.float32),
        np.empty((3, 4), np.float64),
        np.empty((3, 4), np.int32),
        np.empty((3, 4), ">f4"),
        np.empty((4, 3), np.float32).T,
        np.broadcast_to(np.float32(0), (3, 4)),
        b"x" * 48,
        [0.0] * 12,
    ],
    ids=["shape", "axes", "size", "kind", "order", "transposed", "read-only", "bytes", "list"],
)
def test_destination_must_be_a_frame(out: Any, image: fb.Stream) -> None:
    image.write(numbered(1, image))
    for read in (image.read, image.read_next):
        with pytest.raises(
            UsageError, match="must be writable, C-contiguous and have the stream's shape and dtype"
        ):
            read(out)


def test_a_frame_is_a_named_tuple(image: fb.Stream) -> None:
    reader = fb.open("image")
    image.write(numbered(1, image), acquisition_ns=5)
    frame = reader.read_next()
    assert isinstance(frame, Frame)
    data, count, acquired, _, missed = frame
    assert (data.shape, count, acquired, missed) == ((3, 4), 1, 5, 0)


def test_iterates_over_frames(image: fb.Stream) -> None:
    reader = fb.open("image")
    for n in range(1, 4):
        image.write(numbered(n, image))
    assert [f.count for f in reader.frames(2)] == [1, 2]
    assert list(reader.frames(0)) == []
    counts = []
    with pytest.raises(WaitTimeout):
        counts += [f.count for f in reader.frames(timeout_s=0)]
    assert (counts, reader.statistics().cursor) == ([], 3)


def test_missed_frames_are_counted_without_history() -> None:
    s = fb.create("image", shape=2, dtype="uint8")
    reader = fb.open("image")
    for n in range(10):
        s.write([n, n])
    frame = reader.read_next()
    assert (frame.count, frame.missed, frame.data.tolist()) == (10, 9, [9, 9])


def test_latest_expires(image: fb.Stream) -> None:
    image.write(numbered(1, image))
    view = image.latest()
    assert (view.count, view.data.tolist(), view.still_valid()) == (1, numbered(1, image).tolist(), True)
    for n in range(2, 5):
        image.write(numbered(n, image))
        assert view.still_valid(), "its slot of the history was not used again yet"
    image.write(numbered(5, image))
    assert not view.still_valid()
    assert view.data[0, 0] == 5, "it still is a view of shared memory, of another frame"


def test_latest_without_history_expires_at_once() -> None:
    s = fb.create("image", shape=2, dtype="uint8")
    s.write([1, 1])
    view = s.latest()
    assert view.still_valid()
    with s.writing():
        assert not view.still_valid()
    assert not view.still_valid()


@pytest.mark.parametrize("gap", [0, 3], ids=["history kept from the start", "history kept later"])
def test_latest_of_a_writer_without_marks(gap: int, shm_dir: Path) -> None:
    with CStream.create(shm_dir / "image.im.shm", (2,), "uint8", history=4) as c:
        s = fb.open("image")
        for n in range(gap):
            c.write(bytes([n, n]), keep_history=False)
        for n in range(20):
            c.write(bytes([n, n]), flagged=False)
            s.handle.oldest()  # looks at the counters
        view = s.latest()
        assert view.data.tolist() == [19, 19]
        for n in range(20, 22):
            c.write(bytes([n, n]), flagged=False)
            assert view.still_valid()
        c.write(bytes([22, 22]), flagged=False)
        assert not view.still_valid()
        assert [f.data.tolist() for f in s.history()] == [[n, n] for n in (20, 21, 22)]


def test_history_that_began_late_is_understood_in_time(shm_dir: Path) -> None:
    """Which slot holds which frame shows with the frames that come; until then only one that rests is given."""
    with CStream.create(shm_dir / "image.im.shm", (2,), "uint8", history=4) as c:
        for n in range(3):
            c.write(bytes([n, n]), keep_history=False)
        for n in range(3, 6):
            c.write(bytes([n, n]), flagged=False)
        s = fb.open("image")
        assert s.read().tolist() == [5, 5]
        assert [f.data.tolist() for f in s.history()] == [[5, 5]]
        for n in range(6, 40):
            c.write(bytes([n, n]), flagged=False)
            try:
                frame = s.read_next(timeout_s=0)
                assert frame.data.tolist() == [frame.count - 1] * 2
            except WaitTimeout:
                assert n < 24
        assert s.statistics().cursor == 40
        assert len(s.history()) == 3


def test_frame_that_is_filled_and_not_yet_counted_is_taken_for_no_other(shm_dir: Path) -> None:
    """However often a reader happens to look just then: as long as one writer lives, the order stays what it was."""
    with CStream.create(shm_dir / "image.im.shm", (2,), "int64", history=8) as c:
        s = fb.open("image")
        for n in range(1, 4):
            c.write(np.full(2, n), flagged=False)
            s.handle.oldest()
        for n in range(4, 30):
            c.store(np.full(2, n))
            c.fill_slot()
            assert n % 8 or all(f.data[0] == f.count < n for f in s.history())
            for reader in (s, fb.open("image")):
                reader.handle.cursor = n - 2
                try:
                    frame = reader.read_next(timeout_s=0)
                    assert (frame.count, frame.data.tolist()) == (n - 1, [n - 1] * 2)
                except WaitTimeout:
                    pass
            c.count_frame()
            c.post()
        assert [(f.count, f.data[0]) for f in s.history()] == [(n, n) for n in range(23, 30)]


def test_history_that_is_not_kept_is_not_given(shm_dir: Path) -> None:
    with CStream.create(shm_dir / "image.im.shm", (2,), "uint8", history=4) as c:
        s = fb.open("image")
        for kept in (False, True, False):
            for n in range(20):
                c.write(bytes([n, n]), keep_history=kept)
                s.handle.oldest()  # looks at the counters
                if n % 7:
                    continue
                held = s.history()
                assert held[-1].data.tolist() == [n, n]
                assert all(f.data[0] == (n - (s.count - f.count)) % 20 for f in held)
                assert len(held) <= (3 if kept else 1)
                assert fb.open("image").read().tolist() == [n, n]


def test_views_outlive_the_handle(image: fb.Stream) -> None:
    image.write(numbered(1, image))
    view = image.latest()
    data = view.data
    image.remove()
    assert view.still_valid()
    del view, image
    assert data.tolist() == [[1.0] * 4] * 3


def test_history(image: fb.Stream) -> None:
    assert image.history() == []
    for n in range(1, 7):
        image.write(numbered(n, image))
        held = [(f.count, f.data[0, 0], f.missed) for f in image.history()]
        assert held == [(k, k, 0) for k in range(max(1, n - 3), n + 1)]
    assert [f.count for f in image.history(2)] == [5, 6]
    assert [f.count for f in image.history(99)] == [3, 4, 5, 6]
    assert image.history(0) == []
    with pytest.raises(UsageError, match=r"history\(n\): n is -1"):
        image.history(-1)


def test_large_frames_are_copied_without_the_gil() -> None:
    """Another thread runs while a frame is copied; the handle is that of one thread all the same."""
    s = fb.create("image", shape=(1024, 1024), dtype="float32", history=2)
    reader = fb.open("image")
    frame = np.arange(1024 * 1024, dtype=np.float32).reshape(1024, 1024)
    for n in range(4):
        s.write(frame + n)
        assert (reader.read_next().data == frame + n).all()
        assert (reader.read() == frame + n).all()
    assert [f.data[0, 1] for f in reader.history()] == [3, 4]


# ---- slices --------------------------------------------------------------------------------------------------------


def test_slice_is_read_and_written_back(image: fb.Stream) -> None:
    full = np.arange(12, dtype=np.float32).reshape(3, 4)
    image.write(full)
    part = fb.open("image[-*,1:2]")
    assert (part.shape, part.dtype.name) == ((2, 4), "float32")
    assert part.read().tolist() == full[1:3, ::-1].tolist()
    assert part.history()[0].data.tolist() == full[1:3, ::-1].tolist()
    part.write([[1, 2, 3, 4], [5, 6, 7, 8]])
    expected = full.copy()
    expected[1:3] = [[4, 3, 2, 1], [8, 7, 6, 5]]
    assert image.read().tolist() == expected.tolist()
    assert part.read_next().data.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]], "writing moves no cursor"


def test_first_write_of_a_slice_leaves_zeros_around_it(image: fb.Stream) -> None:
    fb.open("image[1,2]").write([[5]])
    expected = np.zeros((3, 4))
    expected[2, 1] = 5
    assert image.read().tolist() == expected.tolist()


def test_slice_is_no_whole_frame(image: fb.Stream) -> None:
    image.write(numbered(1, image))
    part = fb.open("image[0]")
    for use, what in (
        (part.latest, r"latest\(\)"),
        (lambda: part.read(np.empty((3, 1), np.float32)), "out="),
        (lambda: part.writing().__enter__(), r"writing\(\)"),
    ):
        with pytest.raises(UsageError, match=what + r" works on whole frames; image\[0\] is a slice"):
            use()
    with pytest.raises(UsageError, match=r"shape \(3, 1\), the array has \(3, 4\)"):
        part.write(numbered(1, image))
    with pytest.raises(UsageError, match="cannot be stored as float32"):
        part.write(np.zeros((3, 1), complex))
    assert image.count == 1


def test_slice_must_fit_the_stream(image: fb.Stream) -> None:
    with pytest.raises(NameFormatError, match="outside the axis of 4 pixels"):
        fb.open("image[0:4]")
    with pytest.raises(NameFormatError, match="has 3 axes"):
        fb.open("image[0,0,0]")


# ---- closed, removed, wrong arguments --------------------------------------------------------------------------------


def test_closed_handle_says_so(image: fb.Stream) -> None:
    keywords = image.keywords
    with image as same:
        assert same is image
    image.close()
    uses = (
        lambda: image.write(np.zeros((3, 4), np.float32)),
        lambda: image.writing().__enter__(),
        image.read,
        image.read_next,
        image.latest,
        image.history,
        image.times,
        image.wait_newer,
        image.skip_to_newest,
        image.header,
        image.trace,
        image.remove,
        lambda: image.count,
        lambda: image.path,
        lambda: image.history_length,
        lambda: dict(keywords),
        lambda: keywords.set("A", 1),
        lambda: keywords.slots,
        lambda: image.handle.cursor,
        image.handle.follow,
        image.handle.share,
    )
    for use in uses:
        with pytest.raises(UsageError, match="this stream handle is closed; open the stream again"):
            use()
    assert image.statistics().frames_read == 0


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan")])
def test_timeout_must_be_a_time(timeout: float, image: fb.Stream) -> None:
    for use in (image.read, image.read_next, image.wait_newer, image.latest):
        with pytest.raises(UsageError, match="expected seconds >= 0, or None"):
            use(timeout_s=timeout)


@pytest.mark.parametrize("spin", [-1, float("nan")])
def test_spin_must_be_a_time(spin: float, image: fb.Stream) -> None:
    for use in (image.read_next, image.wait_newer):
        with pytest.raises(UsageError, match="expected microseconds >= 0, or inf"):
            use(spin_us=spin)


def test_waits_that_are_over_at_once_may_be_endless(image: fb.Stream) -> None:
    reader = fb.open("image")
    image.write(numbered(1, image))
    assert reader.read(timeout_s=None)[0, 0] == 1
    image.write(numbered(2, image))
    assert reader.read_next(timeout_s=float("inf"), spin_us=float("inf")).count == 2
    assert reader.wait_newer(0, timeout_s=1e300) == 2


def test_unknown_wake_mode_is_refused(image: fb.Stream) -> None:
    assert image.wake_mode == "auto"
    for mode in ("futex", "semaphore", "poll", "auto"):
        image.wake_mode = mode
        assert image.wake_mode == mode
    with pytest.raises(
        UsageError, match="wake mode 'nap' is unknown; expected 'auto', 'futex', 'semaphore' or 'poll'"
    ):
        image.wake_mode = "nap"  # type: ignore[assignment]


def test_writer_of_a_removed_stream_is_told(image: fb.Stream, shm_dir: Path) -> None:
    other = fb.open("image")
    image.write(numbered(1, image))
    other.remove()
    assert list(shm_dir.iterdir()) == []
    with pytest.raises(StreamRecreated, match="was removed; nobody would see what is written"):
        image.write(numbered(2, image))
    with pytest.raises(StreamRecreated), image.writing():
        pass
    assert image.read()[0, 0] == 1, "the last frame stays readable"


def test_trace_of_a_frame(image: fb.Stream) -> None:
    assert image.trace() == []
    image.write(numbered(1, image))
    (entry,) = image.trace()
    frame = image.history()[-1]
    assert (entry.pid, entry.trigger_inode, entry.trigger_mode) == (os.getpid(), 0, 0)
    assert entry.stream_update_ns == frame.write_ns


# ---- threads, forks, several handles ---------------------------------------------------------------------------------


def test_handle_is_for_one_thread_at_a_time(image: fb.Stream) -> None:
    """A thread waits on the handle; whatever another one tries with it is refused, and harms nobody."""
    reader = fb.open("image")
    errors: list[BaseException] = []
    frames: list[Frame] = []
    thread = threading.Thread(target=lambda: frames.append(reader.read_next(timeout_s=60)))
    thread.start()
    uses = (
        lambda: reader.read_next(timeout_s=0),
        lambda: reader.read(timeout_s=0),
        lambda: reader.wait_newer(timeout_s=0),
        lambda: reader.write(np.zeros((3, 4), np.float32)),
        lambda: reader.latest(timeout_s=0),
        reader.history,
        reader.times,
        lambda: reader.writing().__enter__(),
        reader.skip_to_newest,
        reader.trace,
    )
    # The thread is surely waiting once one use was refused for that reason.
    while not errors:
        try:
            reader.handle.oldest()
        except UsageError as error:
            errors.append(error)
    for use in uses:
        with pytest.raises(UsageError, match="in use by another thread; open one handle"):
            use()
    assert (reader.count, reader.shape, len(reader.keywords)) == (0, (3, 4), 0)
    image.write(numbered(1, image))
    thread.join()
    assert [f.count for f in frames] == [1]
    assert reader.read()[0, 0] == 1


@pytest.mark.parametrize("shape", [(4,), (256, 256)], ids=["with the GIL", "without"])
@pytest.mark.parametrize("use", ["read_next", "wait_newer", "read"])
def test_closing_a_handle_that_another_thread_uses(use: str, shape: tuple[int, ...]) -> None:
    """The waiting thread is told; whether it waits or copies at that moment, memory stays mapped as long as needed."""
    for n in range(20):
        s = fb.create("image", shape=shape, dtype="float32", history=2)
        if use != "read":
            s.write(np.zeros(shape))
        reader = fb.open("image")
        raised: list[BaseException] = []
        started = threading.Event()

        def run(reader: fb.Stream = reader, raised: list[BaseException] = raised, go: Any = started) -> None:
            go.set()
            try:
                while True:
                    getattr(reader, use)(timeout_s=60)
            except UsageError as error:
                raised.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        started.wait()
        for _ in range(n):
            s.write(np.zeros(shape))
        reader.close()
        s.write(np.zeros(shape))
        thread.join()
        assert "closed" in str(raised[0])


def test_two_handles_write_and_read_in_two_threads(image: fb.Stream) -> None:
    reader = fb.open("image")
    received: list[int] = []

    def read() -> None:
        lost = 0
        while not received or received[-1] < 2000:
            frame = reader.read_next(timeout_s=60)
            lost += frame.missed
            assert (frame.data == frame.count).all()
            received.append(frame.count)
        assert len(received) + lost == 2000

    failures: list[BaseException] = []

    def watched() -> None:
        try:
            read()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    thread = threading.Thread(target=watched)
    thread.start()
    for n in range(1, 2001):
        image.write(numbered(n, image))
    thread.join()
    assert failures == []
    assert received == sorted(set(received))


def test_fork(spawn: Spawner) -> None:
    """A child uses the handles that it inherited: as itself, and without what threads of its parent held."""
    process = spawn("""
        import os, threading
        import numpy as np
        import framebus as fb
        from framebus.errors import UsageError
        s = fb.create("image", shape=4, dtype="int32", history=8)
        busy = fb.open("image")
        busy.wake_mode = "semaphore"
        thread = threading.Thread(target=lambda: busy.read_next(timeout_s=60))
        thread.start()
        while busy.statistics().semaphore < 0:
            pass
        assert s.header()["sem_read_pid"][-1] == os.getpid()
        child = os.fork()
        if child == 0:
            # Only here nobody uses the handle: its thread stayed with the parent, and so did its semaphore.
            assert busy.wait_newer(0, timeout_s=60) == 1
            assert busy.statistics().semaphore != 9, busy.statistics()
            assert s.header()["sem_read_pid"][-1] == os.getppid()
            s.write([2, 2, 2, 2])
            assert s.handle.last_writer == os.getpid() != os.getppid()
            busy.close()
            assert s.header()["sem_read_pid"][-1] == os.getppid()
            os._exit(0)
        reader = fb.open("image")
        while sum(pid > 0 for pid in s.header()["sem_read_pid"]) < 2:  # the child sleeps as well
            pass
        s.write([1, 1, 1, 1])
        thread.join()
        assert os.waitpid(child, 0)[1] == 0
        assert reader.read()[0] == 2 and s.handle.last_writer == child and not s.handle.last_writer_alive
        busy.close()
        assert set(s.header()["sem_read_pid"]) == {-1}, s.header()["sem_read_pid"]
        print("fine")
    """)
    process.expect("fine")
    assert process.wait() == 0
