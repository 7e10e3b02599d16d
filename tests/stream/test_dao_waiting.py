"""Waiting for frames of DAO programs: on their named semaphores without ever costing one of their readers a post."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import WaitTimeout
from framebus.stream import Stream
from support.dao_writer import SEMAPHORE_BYTES, SEMAPHORES, DaoStream, semaphore_file
from support.processes import Spawned, Spawner
from support.waiting import until

FB_WAITING = 108 // 4  # the word of slot 0 in which sleepers on the counter leave the count they sleep at

ECHO = """
    import sys
    import framebus as fb
    there, back = fb.open(sys.argv[1]), fb.open("back")
    there.wake_mode = sys.argv[2]
    print("ready")
    for frame in there.frames(int(sys.argv[4]), timeout_s=60, spin_us=float(sys.argv[3])):
        assert frame.missed == 0, frame
        back.write(frame.data)
    print(there.statistics())
"""
DAO_READER = """
    import sys
    from support.dao_writer import DaoStream
    number = int(sys.argv[2])
    with DaoStream(sys.argv[1]) as d:
        d.drain(number)
        print("ready")
        while d.wait(number, 60):
            status, pixels = d.next_segment()
            print("got", status, pixels.flat[0], flush=True)
"""


@pytest.fixture
def path(shm_dir: Path, dao_name: str) -> Path:
    """Where a DAO program may make its stream."""
    return shm_dir / f"{dao_name}.im.shm"


@pytest.fixture
def dao(path: Path) -> Iterator[DaoStream]:
    """A DAO program's stream of two int64, depth 4."""
    with DaoStream.create(path, (2,), "int64", depth=4) as made:
        yield made


def sleepers(d: DaoStream) -> dict[int, int]:
    """How many sleep on which semaphores."""
    return {i: n for i in range(len(d.semaphores)) if (n := d.sleepers(i))}


class Waiting:
    """A handle whose thread waits for one frame after the other."""

    def __init__(self, path: Path, mode: fb.stream.stream.WakeMode = "auto") -> None:
        self.stream: Stream = fb.open(path)
        self.stream.wake_mode = mode
        self.counts: list[int] = []
        self._stop = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop:
            try:
                self.counts.append(self.stream.read_next(timeout_s=0.1).count)
            except WaitTimeout:
                continue

    @property
    def semaphore(self) -> int:
        return self.stream.statistics().semaphore

    def end(self) -> None:
        self._stop = True
        self._thread.join()
        self.stream.close()


@pytest.fixture
def waiting() -> Iterator[Callable[..., Waiting]]:
    """Start readers in threads; they end with the test."""
    started: list[Waiting] = []

    def start(*arguments: object) -> Waiting:
        started.append(Waiting(*arguments))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in started:
        each.end()


# ---- being woken -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("writer", "mode", "spin", "wake", "depth"),
    [
        ("framebus", "auto", 0, "futex", 1),
        ("framebus", "auto", 0, "futex", 3),
        ("framebus", "semaphore", 0, "semaphore", 3),
        ("framebus", "poll", 0, "poll", 1),
        ("framebus", "auto", float("inf"), "", 3),
        ("dao", "auto", 0, "semaphore", 1),
        ("dao", "auto", 0, "semaphore", 3),
        ("dao", "futex", 0, "poll", 3),  # DAO programs wake no futex
        ("dao", "poll", 0, "poll", 3),
        ("dao", "auto", 20, "", 1),
        ("dao", "auto", float("inf"), "", 3),
    ],
)
def test_frames_go_there_and_back(
    writer: str, mode: str, spin: float, wake: str, depth: int, path: Path, spawn: Spawner
) -> None:
    """One frame at a time between two processes, so every one must wake its reader: in every way to sleep."""
    rounds = 40
    if writer == "dao":
        DaoStream.create(path, (2, 8), "int64", depth=depth).close()
    else:
        fb.create(path, shape=(2, 8), dtype="int64", history=depth, dialect="dao").close()
    back = fb.create("back", shape=(2, 8), dtype="int64")
    other = spawn(ECHO, str(path), mode, str(spin), str(rounds))
    other.expect("ready")
    with DaoStream(path) as d:
        there = fb.open(path)
        write = there.write if writer == "framebus" else d.write
        for n in range(1, rounds + 1):
            if n == rounds and wake:
                until(lambda: d.u32[FB_WAITING] == d.count or sleepers(d) or not other.running)
            write(np.full((2, 8), n))
            frame = back.read_next(timeout_s=60, spin_us=spin)
            assert (frame.count, frame.missed, set(frame.data.flat)) == (n, 0, {n})
    assert other.wait() == 0, other.errors
    seen = other.expect("StreamStatistics")
    assert "unannounced=0" in seen
    assert f"wake='{wake}" in seen


def test_each_reader_has_a_semaphore_of_its_own(
    dao: DaoStream, path: Path, waiting: Callable[..., Waiting]
) -> None:
    readers = [waiting(path) for _ in range(4)]
    until(lambda: sleepers(dao) == {6: 1, 7: 1, 8: 1, 9: 1})
    assert sorted(r.semaphore for r in readers) == [6, 7, 8, 9]
    for n in range(1, 31):
        dao.write(np.full(2, n))
        until(lambda: all(r.counts[-1:] == [n] for r in readers))  # noqa: B023
    assert all(r.counts == list(range(1, 31)) for r in readers)


def test_more_readers_than_semaphores_look_often(path: Path, waiting: Callable[..., Waiting]) -> None:
    """The first is left to DAO's readers, who begin to count there."""
    fb.create(path, shape=2, dtype="int64", semaphores=3, dialect="dao", history=4).close()
    with DaoStream(path) as d:
        d.write(np.zeros(2))
        readers = [waiting(path) for _ in range(4)]
        until(lambda: "auto" not in {r.stream.statistics().wake for r in readers})
        assert sorted(r.semaphore for r in readers) == [-1, -1, 1, 2]
        d.write(np.ones(2))
        until(lambda: all(r.counts == [2] for r in readers))


def test_the_only_semaphore_may_be_taken(path: Path, waiting: Callable[..., Waiting]) -> None:
    fb.create(path, shape=2, dtype="int64", semaphores=1, dialect="dao").close()
    with DaoStream(path) as d:
        d.write(np.zeros(2))
        reader = waiting(path)
        until(lambda: reader.semaphore == 0)
        d.write(np.zeros(2))
        until(lambda: reader.counts == [2])


def test_a_killed_reader_costs_nobody_anything(dao: DaoStream, path: Path, spawn: Spawner) -> None:
    """What it left in the semaphore looks like a sleeper for ever: the next reader takes another."""
    program = """
        import sys
        import framebus as fb
        reader = fb.open(sys.argv[1])
        print("got", reader.read_next(timeout_s=60).count, reader.statistics().wake)
    """
    victim = spawn(program, str(path))
    until(lambda: sleepers(dao) == {9: 1} or not victim.running)
    victim.kill()
    dao.write(np.zeros(2))
    heir = spawn(program, str(path))
    until(lambda: sleepers(dao).get(8) == 1 or not heir.running)
    dao.write(np.ones(2))
    assert heir.expect("got") == "got 2 semaphore"


def test_gives_its_semaphore_back(dao: DaoStream, path: Path, waiting: Callable[..., Waiting]) -> None:
    """When framebus writes it sleeps on the counter, and when it is closed it holds nothing."""
    reader = waiting(path)
    until(lambda: reader.semaphore == 9)
    with fb.open(path) as writer:
        writer.write([1, 1])
        until(lambda: reader.counts == [1] and dao.u32[FB_WAITING] == 1)
        until(lambda: reader.semaphore == -1 and not sleepers(dao))
        dao.write(np.full(2, 2))
        until(lambda: reader.counts == [1, 2])
        until(lambda: reader.semaphore >= 0)


# ---- beside DAO's own readers ------------------------------------------------------------------------------


def dao_reader(spawn: Spawner, d: DaoStream, number: int) -> Spawned:
    process = spawn(DAO_READER, str(d.path), str(number))
    process.expect("ready")
    until(lambda: d.sleepers(number) > 0 or not process.running)
    return process


@pytest.mark.parametrize("number", [9, 0, 5])
def test_dao_reader_that_sleeps_gets_every_post(
    number: int, dao: DaoStream, path: Path, waiting: Callable[..., Waiting], spawn: Spawner
) -> None:
    """Readers of framebus come after it, and find semaphores on which nobody sleeps."""
    process = dao_reader(spawn, dao, number)
    readers = [waiting(path), waiting(path, "semaphore"), waiting(path, "poll")]
    for n in range(1, 61):
        until(lambda: dao.sleepers(number) == 1 or not process.running)
        dao.write(np.full(2, n))
        assert process.expect("got") == f"got ok {n}"
        until(lambda: all(r.counts[-1:] == [n] for r in readers))  # noqa: B023
        assert number not in {r.semaphore for r in readers}


def test_dao_reader_gets_every_post_while_readers_come_and_go(
    dao: DaoStream, path: Path, spawn: Spawner
) -> None:
    process = dao_reader(spawn, dao, 9)
    for n in range(1, 41):
        with fb.open(path) as reader:
            for _ in range(2):
                with pytest.raises(WaitTimeout):
                    reader.read_next(timeout_s=0.001)
            until(lambda: dao.sleepers(9) == 1 or not process.running)
            dao.write(np.full(2, n))
            assert process.expect("got") == f"got ok {n}"
            assert reader.read_next(timeout_s=60).count == n


def test_framebus_makes_way_for_a_dao_reader(
    dao: DaoStream, path: Path, waiting: Callable[..., Waiting], spawn: Spawner
) -> None:
    reader = waiting(path)
    until(lambda: sleepers(dao) == {9: 1})
    process = spawn(DAO_READER, str(path), "9")
    process.expect("ready")
    until(lambda: reader.semaphore not in (9, -1) or not process.running)
    until(lambda: dao.sleepers(9) == 1)
    for n in range(1, 21):
        until(lambda: dao.sleepers(9) == 1 or not process.running)
        dao.write(np.full(2, n))
        assert process.expect("got") == f"got ok {n}"
        until(lambda: reader.counts[-1:] == [n])  # noqa: B023


def test_post_that_wakes_framebus_beside_a_dao_reader_reaches_both(dao: DaoStream, path: Path) -> None:
    """A DAO reader comes to the semaphore on which framebus sleeps, and a frame comes before framebus looks around."""
    dao.write(np.zeros(2))
    for n in range(2, 12):
        reader, woken = fb.open(path), []
        ours = threading.Thread(target=reader.read_next, kwargs={"timeout_s": 60})
        ours.start()
        until(lambda: sleepers(dao))
        [number] = sleepers(dao) or [9]
        theirs = threading.Thread(target=lambda: woken.append(dao.wait(number, 1)))  # noqa: B023
        theirs.start()
        until(lambda: dao.sleepers(number) == 2 or len(sleepers(dao)) == 2)  # noqa: B023
        dao.write(np.full(2, n))
        ours.join()
        theirs.join()
        reader.close()
        assert woken == [True], f"frame {n}: the post went to framebus alone"


def test_wake_mode_poll_leaves_the_semaphores_alone(
    dao: DaoStream, path: Path, waiting: Callable[..., Waiting]
) -> None:
    dao.write(np.zeros(2))
    reader = waiting(path, "poll")
    for n in range(2, 12):
        dao.write(np.full(2, n))
        until(lambda: reader.counts[-1:] == [n])  # noqa: B023
    assert [dao.semaphore_value(i) for i in range(SEMAPHORES)] == [1] * SEMAPHORES


# ---- semaphores that are not there -------------------------------------------------------------------------


def remove_all(path: Path) -> None:
    for number in range(SEMAPHORES):
        semaphore_file(path, number).unlink()
    semaphore_file(path, "log").unlink()


def empty_all(path: Path) -> None:
    for number in range(SEMAPHORES):
        semaphore_file(path, number).write_bytes(b"")
    semaphore_file(path, "log").write_bytes(b"")


def cut_all(path: Path) -> None:
    for number in range(SEMAPHORES):
        semaphore_file(path, number).write_bytes(bytes(SEMAPHORE_BYTES - 1))


def spoil_all(path: Path) -> None:
    for number in range(SEMAPHORES):
        semaphore_file(path, number).write_bytes(b"\xff" * SEMAPHORE_BYTES)
    semaphore_file(path, "log").write_bytes(b"\xff" * SEMAPHORE_BYTES)


def make_folders(path: Path) -> None:
    for number in range(SEMAPHORES):
        semaphore_file(path, number).unlink()
        semaphore_file(path, number).mkdir()


@pytest.mark.parametrize("damage", [remove_all, empty_all, cut_all, spoil_all, make_folders])
def test_without_usable_semaphores_readers_look_often(
    damage: Callable[[Path], None], path: Path, waiting: Callable[..., Waiting]
) -> None:
    DaoStream.create(path, (2,), "int64", depth=2).close()
    damage(path)
    try:
        readers = [waiting(path), waiting(path, "semaphore")]
        header = readers[0].stream.header()
        assert (header["sem"], header["sem_values"]) == (SEMAPHORES, [None] * SEMAPHORES)
        for n in range(1, 11):
            _write_without_posts(path, n)
            until(lambda: all(r.counts[-1:] == [n] for r in readers))  # noqa: B023
        assert {(r.semaphore, r.stream.statistics().wake) for r in readers} == {(-1, "poll")}
        with fb.open(path) as writer:  # which posts those that are there
            assert writer.write([11, 11]) == 11
        until(lambda: all(r.counts[-1:] == [11] for r in readers))
    finally:
        for number in range(SEMAPHORES):
            if semaphore_file(path, number).is_dir():
                semaphore_file(path, number).rmdir()


def _write_without_posts(path: Path, value: int) -> None:
    """As a program whose semaphores somebody removed; the imitation finds none that it could post."""
    files = [semaphore_file(path, number) for number in range(SEMAPHORES)]
    files.append(semaphore_file(path, "log"))
    hidden = [file.rename(file.with_name(f"sem.{file.name}")) for file in files if file.exists()]
    try:
        with DaoStream(path) as d:
            d.write(np.full(2, value))
    finally:
        for file in hidden:
            file.rename(file.with_name(file.name.removeprefix("sem.")))


def test_those_that_are_there_are_used(path: Path, waiting: Callable[..., Waiting]) -> None:
    DaoStream.create(path, (2,), "int64").close()
    for number in (9, 7, 3):
        semaphore_file(path, number).unlink()
    semaphore_file(path, 8).write_bytes(b"")
    reader = waiting(path)
    semaphore = semaphore_file(path, 8)
    semaphore.unlink()  # the imitation's library would not survive it
    with DaoStream(path) as d:
        until(lambda: reader.semaphore == 6)
        for n in range(1, 6):
            d.write(np.full(2, n))
            until(lambda: reader.counts[-1:] == [n])  # noqa: B023


def test_create_replaces_damaged_semaphores_and_keeps_good_ones(path: Path) -> None:
    with DaoStream.create(path, (2,), "int64") as d:
        d.write(np.zeros(2))
        semaphore_file(path, 2).unlink()
        semaphore_file(path, 4).write_bytes(b"")
        semaphore_file(path, 5).unlink()
        semaphore_file(path, 5).write_bytes(b"\xff" * SEMAPHORE_BYTES)
        kept = semaphore_file(path, 9).stat().st_ino
        s = fb.create(path, shape=2, dtype="int64", dialect="dao")
        # All at 1: who used the stream that was replaced was woken.
        assert s.header()["sem_values"] == [1] * SEMAPHORES
        assert semaphore_file(path, 9).stat().st_ino == kept
        s.write([1, 1])
        assert d.semaphore_value(9) == 1
    with DaoStream(path) as again:
        assert [again.semaphore_value(i) for i in range(SEMAPHORES)] == [1] * SEMAPHORES


# ---- what a timeout says -----------------------------------------------------------------------------------


def test_timeout_tells_what_the_file_tells(dao: DaoStream, path: Path) -> None:
    reader = fb.open(path)
    with pytest.raises(WaitTimeout, match=r"no new frame within 0\.01 s; no frame was ever published$"):
        reader.read_next(timeout_s=0.01)
    dao.write(np.zeros(2))
    reader.skip_to_newest()
    with pytest.raises(WaitTimeout, match=r"the last frame, count 1, is [0-9.e+-]+ s old$"):
        reader.read_next(timeout_s=0.01)
    dao.begin()
    with pytest.raises(WaitTimeout, match=r"s old, and a frame was begun and not finished$"):
        reader.read_next(timeout_s=0.01)


def test_timeout_names_a_dead_writer_of_framebus(dao: DaoStream, path: Path, spawn: Spawner) -> None:
    reader = fb.open(path)
    writer = spawn(
        """
        import sys
        import framebus as fb
        s = fb.open(sys.argv[1])
        s.write([1, 2])
        print("wrote")
        input()
        """,
        str(path),
    )
    writer.expect("wrote")
    reader.skip_to_newest()
    said = rf"the last frame, count 1, is [0-9.e+-]+ s old, its writer \(pid {writer.pid}\) is "
    with pytest.raises(WaitTimeout, match=said + "alive$"):
        reader.read_next(timeout_s=0)
    writer.kill()
    with pytest.raises(WaitTimeout, match=said + "dead$"):
        reader.read_next(timeout_s=0)
    dao.write(np.zeros(2))  # of a DAO program nobody can tell
    reader.skip_to_newest()
    with pytest.raises(WaitTimeout, match=r"count 2, is [0-9.e+-]+ s old$"):
        reader.read_next(timeout_s=0)


def test_a_file_that_may_only_be_read(dao: DaoStream, path: Path, shm_dir: Path, spawn: Spawner) -> None:
    """A reader that may not write finds every frame, and may neither write nor take a semaphore."""
    path.chmod(0o444)
    shm_dir.chmod(0o777)
    process = spawn(
        """
        import os, sys
        import framebus as fb
        from framebus.errors import UsageError, WaitTimeout
        from framebus.stream import Stream  # numpy, while this process may still read everything
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        s = fb.open(sys.argv[1])
        try:
            s.write([1, 1])
        except UsageError as error:
            print("refused", error)
        try:
            s.read_next(timeout_s=0.01)  # it waits for once, however late this process is below
        except WaitTimeout:
            print("nothing yet")
        for _ in range(3):
            frame = s.read_next(timeout_s=60)
            print("got", frame.count, frame.missed, frame.data.tolist())
        print(s.statistics())
        """,
        str(path),
    )
    assert "this process may not write to the stream" in process.expect("refused")
    process.expect("nothing yet")
    for n in range(1, 4):
        dao.write(np.full(2, n))
        assert process.expect("got") == f"got {n} 0 [{n}, {n}]"
    seen = process.expect("StreamStatistics")
    assert "wake='poll'" in seen
    assert "semaphore=-1" in seen


def test_threads_of_one_process_do_not_share_a_semaphore(
    dao: DaoStream, path: Path, waiting: Callable[..., Waiting], spawn: Spawner
) -> None:
    """Nor does a child that was forked meanwhile: it has a copy of the mark, and no reader of its own."""
    one = waiting(path)
    until(lambda: one.semaphore == 9)
    child = os.fork()
    if child == 0:
        threading.Event().wait(60)
        os._exit(0)
    try:
        two = waiting(path)
        until(lambda: sleepers(dao) == {8: 1, 9: 1})
        for n in range(1, 6):
            dao.write(np.full(2, n))
            until(lambda: one.counts[-1:] == two.counts[-1:] == [n])  # noqa: B023
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
