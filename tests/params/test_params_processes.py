"""Parameter sets between real processes: consistent for readers, and unharmed by writers that are killed."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pytest

from framebus.params import Params
from support.processes import Spawner

KILLS = 1000
TEXT = "{:.<250}"


@pytest.fixture
def pair() -> Iterator[Params]:
    """Two numbers and two texts that always say the same, with many bytes between them."""
    specs: dict[str, object] = {"first": 0, "text": TEXT.format(0)}
    specs |= {f"filler{i}": "x" * 250 for i in range(40)}
    specs |= {"second": 0.0, "last": TEXT.format(0)}
    with Params.create("pair", specs) as made:
        yield made


def _consistent(values: Mapping[str, object]) -> bool:
    first = values["first"]
    return values["second"] == first and values["text"] == values["last"] == TEXT.format(first)


def _fork(work: Callable[[], None]) -> int:
    """A child that does ``work`` and nothing else of ours."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    return pid


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_reader_sees_only_whole_updates(pair: Params, spawn: Spawner) -> None:
    writer = spawn("""
        from framebus.params import Params
        p = Params.open("pair")
        print("ready")
        input()
        for number in range(1, 20_001):
            text = f"{number:.<250}"
            p.update(first=number, second=number, text=text, last=text)
        print("done")
    """)
    writer.expect("ready")
    writer.send()
    seen = set()
    while pair.generation < 20_000:
        values = pair.snapshot()
        assert _consistent(values)
        seen.add(values["first"])
    assert len(seen) > 10, "the reader must have met the writer at work"
    assert writer.wait() == 0
    assert pair["first"] == 20_000


def test_a_writer_killed_at_any_point_leaves_a_usable_set(pair: Params, spawn: Spawner) -> None:
    # In a process of its own: a small one forks sooner than one that runs tests.
    killer = spawn(
        """
        import os, random, signal, struct, sys
        from framebus.params import Params

        pair = Params.open("pair")
        text = "{:.<250}".format

        def write(number):
            pair.update(first=number, second=number, text=text(number), last=text(number))

        def write_for_ever():
            number = 0
            while True:
                number += 1
                write(number)

        def check(when):
            values = pair.snapshot()
            first = values["first"]
            assert values["second"] == first, when
            assert values["text"] == values["last"] == text(first), when

        held = 0
        chance = random.Random(20261120)
        for kill in range(int(sys.argv[1])):
            start = pair.core.generation
            child = os.fork()
            if child == 0:
                write_for_ever()
            wanted = start + chance.randrange(1, 40)
            try:
                while pair.core.generation < wanted:
                    check("while it writes")
                for _ in range(chance.randrange(3000)):
                    pass  # somewhere within the next update
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            with pair.path.open("rb") as file:
                file.seek(256)  # the lock: 0 is free
                held += file.read(8) != bytes(8)
            check(f"after kill {kill}")
            assert pair.core.generation >= wanted
            # Waits at most 1 s for the lock, or raises WaitTimeout: a dead holder must not count.
            write(kill)
            with Params.open("pair") as other:
                assert other["first"] == kill
        print("held", held)
        """,
        str(KILLS),
    )
    assert killer.wait() == 0, killer.errors
    assert int(killer.expect("held").split()[1]) > 20, "many must have died in the middle of a write"
    assert _consistent(pair.snapshot())


@contextmanager
def _sharing_a_cpu() -> Iterator[None]:
    """This process and its children on one CPU: each is interrupted by the other, at any instruction."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _interruptions() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


@pytest.mark.parametrize("way", ["loop", "snapshot"])
def test_a_reader_that_is_interrupted_while_it_copies_sees_only_whole_updates(way: str) -> None:
    # Large, so that most interruptions come in the middle of a copy.
    specs = (
        {"first": 0} | {f"n{i}": 0 for i in range(700)} | {f"t{i}": "x" for i in range(300)} | {"second": 0}
    )
    with Params.create("large", specs) as params, _sharing_a_cpu():
        core = params.core
        cells = np.zeros(len(params), np.int64)

        def read_as_the_loop_does() -> None:
            core.refresh(core.never, cells)
            assert cells[0] == cells[-1]

        def read_a_snapshot() -> None:
            values = core.values()[1]
            assert values[0] == values[-1]

        def write() -> None:
            number = 0
            while True:
                number += 1
                params.update(first=number, second=number)

        read = read_as_the_loop_does if way == "loop" else read_a_snapshot
        child = _fork(write)
        try:
            enough = _interruptions() + 200
            while _interruptions() < enough:
                for _ in range(100):
                    read()
        finally:
            _end(child)
        assert params.generation > 100, "the writer must have been at work"


def test_writers_in_several_processes_lose_no_update() -> None:
    with Params.create("counters", {f"n{i}": 0 for i in range(4)}) as params:

        def count(name: str) -> None:
            for number in range(1, 501):
                params.update({name: number})
            os._exit(0)

        children = [_fork(lambda name=name: count(name)) for name in params]  # type: ignore[misc]
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
        assert set(params.values()) == {500}
        assert set(params.changes.values()) == {500}
        assert params.generation == 2000


def test_threads_of_one_process_share_a_handle() -> None:
    with Params.create("threads", {"a": 0, "b": 0, "done": 0}) as params:
        errors: list[object] = []

        def write() -> None:
            for number in range(500):
                params.update(a=number, b=number)

        def read() -> None:
            while not params["done"]:
                values = params.snapshot()
                if values["a"] != values["b"]:
                    errors.append(values)

        reader = threading.Thread(target=read)
        writers = [threading.Thread(target=write) for _ in range(3)]
        for thread in [reader, *writers]:
            thread.start()
        for thread in writers:
            thread.join()
        params["done"] = 1
        reader.join()
        assert errors == []
        assert params.changes["a"] == 1500


def test_of_two_that_make_a_set_at_once_one_is_told_that_it_is_not_the_one(spawn: Spawner) -> None:
    """Neither turns knobs that are connected to nothing without knowing."""
    maker = """
        import sys
        from framebus.params import Params
        print("ready")
        for number in map(int, sys.stdin):
            made = Params.create(f"set{number}", {"gain": 0.5}, replace=True)
            print("made", made.core.inode)
            sys.stdin.readline()
            print("retired", int(made.core.retired))
            made.close()
    """
    makers = [spawn(maker), spawn(maker)]
    for process in makers:
        process.expect("ready")
    for number in range(100):
        for process in makers:
            process.send(str(number))
        made = [int(process.expect("made").split()[1]) for process in makers]
        with Params.open(f"set{number}") as there:
            current = there.core.inode
        for process in makers:
            process.send("go on")
        retired = [process.expect("retired").split()[1] == "1" for process in makers]
        assert retired == [inode != current for inode in made]
