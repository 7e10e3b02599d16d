"""Waiting for a frame: every way to sleep, what ends it, and what a timeout says."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import WaitTimeout
from support.c_writer import CStream
from support.processes import Spawned, Spawner

FB_WAITING = 228 // 4  # the header's word in which sleepers on the counter leave the count they sleep at
WAITS = ["read_next", "wait_newer", "read"]


def semaphore_holders(stream: fb.Stream) -> list[int]:
    return [pid for pid in stream.header()["sem_read_pid"] if pid > 0]


def until(condition: Callable[[], bool], process: Spawned) -> None:
    """Spin until another process has got somewhere."""
    while not condition():
        assert process.running, process.errors


# ---- what a timeout says -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", WAITS)
def test_timeout_says_that_nothing_was_ever_published(wait: str) -> None:
    s = fb.create("image", shape=3)
    with pytest.raises(
        WaitTimeout,
        match=rf"no .*frame.* within 0\.01 s; no frame was ever published, the stream's maker"
        rf" \(pid {os.getpid()}\) is alive$",
    ):
        getattr(s, wait)(timeout_s=0.01)


@pytest.mark.parametrize("wait", ["read_next", "wait_newer"])
def test_timeout_names_a_dead_writer(wait: str, spawn: Spawner) -> None:
    fb.create("image", shape=3)
    reader = fb.open("image")
    writer = spawn("""
        import framebus as fb
        s = fb.open("image")
        s.write([1, 2, 3])
        print("wrote")
        input()
    """)
    writer.expect("wrote")
    reader.skip_to_newest()
    said = rf"the last frame, count 1, is [0-9.e+-]+ s old, its writer \(pid {writer.pid}\) is "
    with pytest.raises(WaitTimeout, match=said + "alive$"):
        getattr(reader, wait)(timeout_s=0)
    writer.kill()
    with pytest.raises(WaitTimeout, match=said + "dead$") as caught:
        getattr(reader, wait)(timeout_s=0)
    assert isinstance(caught.value, TimeoutError)


def test_timeout_names_a_dead_c_writer(shm_dir: Path, spawn: Spawner) -> None:
    CStream.create(shm_dir / "image.im.shm", (3,), "float32").close()
    reader = fb.open("image")
    writer = spawn("""
        import os
        from support.c_writer import CStream
        c = CStream(os.environ["MILK_SHM_DIR"] + "/image.im.shm")
        c.write(bytes(12))
        c.begin()
        c.store(b"x" * 12, part=0.5)
        print("half")
        input()
    """)
    writer.expect("half")
    writer.kill()
    for wait in (reader.read_next, reader.read, reader.latest):
        with pytest.raises(
            WaitTimeout, match=rf"count 1, .* \(pid {writer.pid}\) is dead, and a frame was begun and not"
        ):
            wait(timeout_s=0.01)


def test_timeout_says_that_the_stream_was_removed() -> None:
    s = fb.create("image", shape=3)
    reader = fb.open("image")
    s.remove()
    with pytest.raises(WaitTimeout, match=r"; the stream was removed$"):
        reader.read_next(timeout_s=0.01)


def test_wait_newer_says_than_what() -> None:
    s = fb.create("image", shape=3)
    s.write([1, 2, 3])
    with pytest.raises(WaitTimeout, match=r"no frame newer than 41 within 0 s"):
        s.wait_newer(41, timeout_s=0)
    assert s.wait_newer(0) == 1
    with pytest.raises(WaitTimeout, match=r"no frame newer than 1 within 0 s"):
        s.wait_newer(timeout_s=0)


# ---- being woken -------------------------------------------------------------------------------------------

ECHO = """
    import os, sys
    import numpy as np
    import framebus as fb
    mode, spin, timeout = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    there, back = fb.open("there"), fb.open("back")
    there.wake_mode = mode
    print("ready")
    for frame in there.frames(int(sys.argv[4]), timeout_s=timeout, spin_us=spin):
        assert frame.missed == 0, frame
        back.write(frame.data)
    print(there.statistics())
"""


@pytest.mark.parametrize(
    ("mode", "spin", "wake"),
    [
        ("auto", 0, "futex"),
        ("futex", 0, "futex"),
        ("semaphore", 0, "semaphore"),
        ("poll", 0, "poll"),
        ("auto", 20, ""),
        ("auto", float("inf"), ""),
    ],
)
@pytest.mark.parametrize("writer", ["framebus", "c"])
def test_frames_go_there_and_back(
    writer: str, mode: str, spin: float, wake: str, shm_dir: Path, spawn: Spawner
) -> None:
    """One frame at a time between two processes, so every one must wake its reader: in every way to sleep."""
    rounds = 300
    path = shm_dir / "there.im.shm"
    if writer == "c":
        CStream.create(path, (2, 8), "int64").close()
    else:
        fb.create("there", shape=(2, 8), dtype="int64")
    back = fb.create("back", shape=(2, 8), dtype="int64")
    other = spawn(ECHO, mode, str(spin), "60", str(rounds))
    other.expect("ready")
    with CStream(path) as c:
        there = fb.open("there")
        write = there.write if writer == "framebus" else c.write
        for n in range(1, rounds + 1):
            if n == rounds and wake:
                until(lambda: c.u32[FB_WAITING] == c.count or semaphore_holders(there) == [other.pid], other)
            write(np.full((2, 8), n))
            frame = back.read_next(timeout_s=60, spin_us=spin)
            assert (frame.count, frame.missed, set(frame.data.flat)) == (n, 0, {n})
    assert other.wait() == 0, other.errors
    seen = other.expect("StreamStatistics")
    assert back.statistics().unannounced == 0
    assert "unannounced=0" in seen
    if writer == "c" and wake == "futex":
        wake = "semaphore" if mode == "auto" else "poll"  # C writers wake no futex
    assert f"wake='{wake}" in seen


def test_writer_that_wakes_nobody_is_noticed(shm_dir: Path) -> None:
    """No semaphore is posted, no futex woken: frames are found by looking, and after a while by looking often."""
    with CStream.create(shm_dir / "image.im.shm", (2,), "int64") as c:
        reader = fb.open("image")
        seen: list[int] = []
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                seen.append(reader.read_next(timeout_s=60).count)

        thread = threading.Thread(target=read)
        thread.start()
        n = 0
        while reader.statistics().unannounced == 0 or reader.statistics().wake != "poll":
            while reader.statistics().wake == "auto":
                pass
            n += 1
            c.write(np.full(2, n), post=False)
            while len(seen) < n:
                pass
        stop.set()
        c.write(np.zeros(2, np.int64), post=False)
        thread.join()
        assert seen == list(range(1, n + 2))
        assert c.semaphore_value(9) == 0


def test_a_faster_reader_does_not_hide_a_sleeping_one() -> None:
    """After counting a frame the writer may find registered a reader that has seen it, and hides one that has not."""
    s = fb.create("image", shape=2, dtype="int64")
    s.write([0, 0])
    reader = fb.open("image")
    with CStream(s.path) as c:
        for n in range(2, 12):
            thread = threading.Thread(target=reader.read_next, kwargs={"timeout_s": 60})
            thread.start()
            while c.u32[FB_WAITING] != n - 1:
                pass
            c.u32[FB_WAITING] = n  # what the faster one leaves there
            s.write([n, n])
            thread.join()
    assert (reader.statistics().unannounced, reader.statistics().cursor) == (0, 11)


@pytest.mark.parametrize("left", [1, 500, 2**31, 2**32 - 1])
def test_what_an_earlier_counter_left_behind_hides_nobody(left: int) -> None:
    s = fb.create("image", shape=2, dtype="int64")
    s.write([0, 0])
    reader = fb.open("image")
    with CStream(s.path) as c:
        c.u32[FB_WAITING] = (1 + left) % 2**32
        thread = threading.Thread(target=reader.read_next, kwargs={"timeout_s": 60})
        thread.start()
        while c.u32[FB_WAITING] != 1:
            pass
        s.write([1, 1])
        thread.join()
    assert (reader.statistics().unannounced, reader.statistics().wake) == (0, "futex")


def test_sleeps_on_a_semaphore_until_framebus_writes(shm_dir: Path, spawn: Spawner) -> None:
    """Every writer posts semaphores, only ours wakes a futex: so a handle holds a semaphore as long as it needs one."""
    with CStream.create(shm_dir / "there.im.shm", (2, 8), "int64", semaphores=3) as c:
        back = fb.create("back", shape=(2, 8), dtype="int64")
        there = fb.open("there")
        other = spawn(ECHO, "auto", "0", "60", "6")
        for n in (1, 2, 3):
            until(lambda: semaphore_holders(there) == [other.pid], other)
            assert c.reader_pid(2) == other.pid, "from the top: simple readers take the first"
            c.write(np.full((2, 8), n))
            assert back.read_next(timeout_s=60).count == n
        for n in (4, 5):
            there.write(np.full((2, 8), n))
            assert back.read_next(timeout_s=60).count == n
        until(lambda: semaphore_holders(there) == [], other)
        c.write(np.full((2, 8), 6))
        assert back.read_next(timeout_s=60).count == 6
        assert other.wait() == 0, other.errors


WAITER = """
    import sys
    import framebus as fb
    s = fb.open("image")
    s.wake_mode = "semaphore"
    s.skip_to_newest()
    print("waiting")
    print("got", s.read_next(timeout_s=60).count)
"""


def test_killed_reader_costs_nobody_anything(shm_dir: Path, spawn: Spawner) -> None:
    """A reader dies asleep: its semaphore is given to the next one, and the writer never noticed."""
    s = fb.create("image", shape=3, semaphores=2)
    victim = spawn(WAITER)
    until(lambda: semaphore_holders(s) == [victim.pid], victim)
    victim.kill()
    assert semaphore_holders(s) == [victim.pid], "nobody cleaned up yet"
    heir = spawn(WAITER)
    until(lambda: semaphore_holders(s) == [heir.pid], heir)
    s.write([1, 2, 3])
    assert heir.expect("got") == "got 1"
    assert heir.wait() == 0
    assert semaphore_holders(s) == []
    with CStream(s.path) as c:
        assert c.semaphore_value(1) <= 1


def test_more_readers_than_semaphores(shm_dir: Path) -> None:
    """Whoever finds no semaphore free looks often instead."""
    with CStream.create(shm_dir / "image.im.shm", (2,), "int32", semaphores=3) as c:
        c.write(np.zeros(2, np.int32))
        readers = [fb.open("image") for _ in range(4)]
        threads = [threading.Thread(target=reader.read_next, kwargs={"timeout_s": 60}) for reader in readers]
        for thread in threads:
            thread.start()
        while {r.statistics().wake for r in readers} & {"auto"}:
            pass
        assert sorted(r.statistics().semaphore for r in readers) == [-1, -1, 1, 2]
        assert c.reader_pid(0) == -1, "left to readers that wait on the first without claiming it"
        c.write(np.ones(2, np.int32))
        for thread in threads:
            thread.join()
        assert [r.statistics().cursor for r in readers] == [2] * 4
        for reader in readers:
            reader.close()
        assert [c.reader_pid(i) for i in range(3)] == [-1] * 3


def test_the_only_semaphore_may_be_claimed(shm_dir: Path) -> None:
    with CStream.create(shm_dir / "image.im.shm", (2,), "int32", semaphores=1) as c:
        reader = fb.open("image")
        with pytest.raises(WaitTimeout):
            reader.read_next(timeout_s=0.001)
        assert (c.reader_pid(0), reader.statistics().semaphore) == (os.getpid(), 0)


def test_old_posts_wake_nobody_for_nothing(shm_dir: Path) -> None:
    with CStream.create(shm_dir / "image.im.shm", (2,), "int32") as c:
        for _ in range(12):
            c.write(np.zeros(2, np.int32))
        reader = fb.open("image")
        assert c.semaphore_value(9) == 10
        with pytest.raises(WaitTimeout):
            reader.read_next(timeout_s=0.001)
        assert c.semaphore_value(9) == 0
        assert c.semaphore_value(8) == 10


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("spin", ["0", "inf"])
@pytest.mark.parametrize("mode", ["futex", "semaphore"])
def test_keyboard_interrupt_ends_a_wait(mode: str, spin: str, wait: str, spawn: Spawner) -> None:
    s = fb.create("image", shape=3)
    process = spawn(
        """
        import signal, sys
        import framebus as fb
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
        wait, mode, spin = sys.argv[1:]
        s = fb.open("image")
        s.wake_mode = mode
        options = {} if wait == "read" else {"spin_us": float(spin)}
        try:
            print("waiting")
            getattr(s, wait)(timeout_s=None, **options)
        except KeyboardInterrupt:
            print("interrupted")
        s.write([1, 2, 3])
        """,
        wait,
        mode,
        spin,
    )
    process.expect("waiting")
    if mode == "semaphore" and spin == "0":
        until(lambda: semaphore_holders(s) == [process.pid], process)
    process.signal(signal.SIGINT)
    process.expect("interrupted")
    assert process.wait() == 0
    assert (s.count, semaphore_holders(s)) == (1, [])


def test_signal_handlers_run_during_a_wait_that_goes_on(spawn: Spawner) -> None:
    s = fb.create("image", shape=3)
    process = spawn("""
        import signal
        import framebus as fb
        s = fb.open("image")
        signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
        print("waiting")
        print("got", s.read_next(timeout_s=None).count)
    """)
    process.expect("waiting")
    for _ in range(3):
        process.signal(signal.SIGUSR1)
        process.expect("handled")
    s.write([1, 2, 3])
    assert process.expect("got") == "got 1"


# ---- writers that come and go ------------------------------------------------------------------------------


def test_counter_that_another_program_sets_back(shm_dir: Path) -> None:
    with CStream.create(shm_dir / "image.im.shm", (2,), "int32", history=4) as c:
        reader = fb.open("image")
        for n in range(10):
            c.write(np.full(2, n, np.int32))
            reader.read_next()
        c.u64[33] = 0
        with pytest.raises(WaitTimeout):
            reader.read_next(timeout_s=0)
        c.write(np.full(2, 99, np.int32))
        frame = reader.read_next()
        assert (frame.count, frame.missed, frame.data.tolist()) == (1, 0, [99, 99])
        for n in range(5):
            c.write(np.full(2, n, np.int32))
            frame = reader.read_next()
            assert (frame.count, frame.missed, frame.data.tolist()) == (n + 2, 0, [n, n])


@pytest.mark.parametrize("history", [0, 8])
def test_writers_take_turns(history: int, shm_dir: Path) -> None:
    """framebus and C programs write one after the other; a reader gets every frame, or is told how many it missed."""
    s = fb.create("image", shape=2, dtype="int64", history=history)
    reader, late = fb.open("image"), fb.open("image")
    random = np.random.default_rng(5)
    n = received = lost = 0
    with CStream(s.path) as c:
        for _ in range(300):
            flagged, burst = bool(random.integers(2)), int(random.integers(1, 4))
            write = s.write if random.integers(2) else lambda a, f=flagged: c.write(a, flagged=f)
            for _ in range(burst):
                n += 1
                write(np.full(2, n))
                frame = reader.read_next()
                assert (frame.count, frame.missed, frame.data.tolist()) == (n, 0, [n, n])
            while random.integers(2) and late.statistics().cursor < n:
                frame = late.read_next()
                assert frame.data.tolist() == [frame.count] * 2
                received += 1
                lost += frame.missed
                assert received + lost == frame.count
            for frame in reader.history():
                assert frame.data.tolist() == [frame.count] * 2
