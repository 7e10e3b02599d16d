"""What a sequence's commands do: errors, repetition, messages, threads, programs."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from framebus.errors import (
    DataError,
    NotFoundError,
    PeerError,
    SequenceError,
    UsageError,
    WaitTimeout,
)
from framebus.params import Params
from framebus.sequence import (
    Interrupted,
    in_thread,
    log,
    on_error,
    progress,
    receive,
    repeat,
    run,
    send,
    set,  # noqa: A004
    step,
    wait_stream,
)
from framebus.sequence.inbox import Inbox, Message
from framebus.sequence.session import Session
from framebus.sequence.status import Place, SequenceStatus, find
from framebus.stream import Stream
from support.sequences import do, in_session
from support.waiting import until

# ---- repetition and errors -----------------------------------------------------------------------------------------


def test_repeats(loop: Params) -> None:
    async def gather(**options: Any) -> list[int]:
        passes = []
        async for i in repeat(**options):
            set("loop.gain", 0.1 * i)
            passes.append(i)
        return passes

    assert do(gather(times=3)) == [0, 1, 2]
    assert do(gather(times=0)) == []
    set("loop.gain", 0.0)
    assert do(gather(until="loop.gain>0.35")) == [0, 1, 2, 3, 4]
    assert do(gather(until=lambda: True)) == []
    with pytest.raises(UsageError):
        do(gather(times=-1))


def test_pauses_between_passes_alone() -> None:
    async def gather() -> list[int]:
        async with asyncio.timeout(30):
            return [i async for i in repeat(1, pause_s=1000.0)]

    assert do(gather()) == [0]


def test_an_endless_repetition_can_be_cancelled() -> None:
    async def main() -> None:
        async def forever() -> None:
            async for _ in repeat():
                pass

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(forever(), 0.0)

    do(main())


def test_retries_until_it_succeeds_or_the_tries_are_over() -> None:
    calls = []

    @on_error("retry", times=3)
    async def flaky(fails: int) -> str:
        calls.append(fails)
        if len(calls) <= fails:
            raise WaitTimeout("late")
        return "good"

    async def body() -> None:
        assert await flaky(2) == "good"

    assert in_session(body).status.errors == 2
    calls.clear()
    with pytest.raises(WaitTimeout):
        do(flaky(3))
    assert len(calls) == 3


def test_retries_a_block() -> None:
    async def miss() -> None:
        raise KeyError

    async def body() -> None:
        tries = []
        async for attempt in on_error("retry", times=4, only=WaitTimeout):
            async with attempt:
                tries.append(attempt.number)
                if len(tries) < 3:
                    raise WaitTimeout("late")
        assert tries == [1, 2, 3]
        with pytest.raises(KeyError):
            await on_error("retry", only=WaitTimeout)(miss)()
        with pytest.raises(UsageError, match="async for attempt"):
            async with on_error("retry"):
                pass

    session = in_session(body)
    assert session.status.errors == 2
    assert session.status.message == "late; try 3 of 4"


def test_skips_and_aborts() -> None:
    async def body() -> None:
        reached = []
        async with on_error("skip"):
            reached.append(1)
            await wait_stream("none", timeout_s=0.0)
            reached.append(2)
        assert reached == [1]
        assert await on_error("skip")(lambda: wait_stream("none", timeout_s=0.0))() is None
        with pytest.raises(WaitTimeout):
            async with on_error("abort"):
                await wait_stream("none", timeout_s=0.0)
        with pytest.raises(asyncio.CancelledError):
            async with on_error("skip"):
                raise asyncio.CancelledError

    assert in_session(body).status.errors == 2
    for arguments in ({"policy": "stop"}, {"policy": "skip", "times": 3}, {"policy": "retry", "times": 0}):
        with pytest.raises(UsageError):
            on_error(**arguments)
    with pytest.raises(UsageError, match="stands before a function"):
        on_error("skip")(3)  # type: ignore[arg-type]


# ---- reports and messages ------------------------------------------------------------------------------------------


def test_reports() -> None:
    async def body() -> None:
        step("first", 0.5)
        progress(3, 4)
        log("two\nlines")
        send("work", {"to": "itself"})
        message = await receive(timeout_s=60)
        assert message == Message("work", {"to": "itself"}, message.sent_ns)
        with pytest.raises(WaitTimeout, match="no message came"):
            await receive(timeout_s=0.0)
        wrong: list[tuple[Any, Any]] = [
            (step, ("x", 2.0)),
            (progress, (1, 0)),
            (progress, (3, 2)),
            (send, ("work", {1j})),
        ]
        for command, arguments in wrong:
            with pytest.raises(UsageError):
                command(*arguments)
        with pytest.raises(UsageError, match="too long"):
            send("work", "x" * 70_000)
        with pytest.raises(NotFoundError, match="did you mean 'work'"):
            send("wrok", 1)

    status = in_session(body).status
    assert (status.step, status.progress, status.message) == ("first", 0.75, "two lines")
    outside: list[tuple[Any, Any]] = [(step, "x"), (progress, 0.1), (log, "x")]
    for command, argument in outside:
        with pytest.raises(UsageError, match="works within a sequence"):
            command(argument)
    with pytest.raises(UsageError, match="works within a sequence"):
        do(receive())


def test_an_inbox_that_is_not_read_refuses_in_the_end() -> None:
    session = Session(SequenceStatus("busy", os.getpid()))
    held, reached = threading.Event(), threading.Event()

    def hold(message: Message) -> None:
        reached.set()
        held.wait()

    inbox = session.begin(lambda path: Inbox(path, hold, lambda: None))

    def flood() -> None:
        while True:
            send("busy", 1)

    with pytest.raises(PeerError, match="takes no messages"):
        flood()
    assert reached.is_set()
    held.set()
    inbox.close()
    session.end("done")


# ---- threads and programs ------------------------------------------------------------------------------------------


def test_calls_in_threads() -> None:
    async def body() -> None:
        assert await in_thread(both, 1, b=2) == (1, 2)
        await in_thread(step, "within", 0.5)
        with pytest.raises(DataError):
            await in_thread(raises, DataError("bad"))
        with pytest.raises(RuntimeError, match="ended by SystemExit"):
            await in_thread(raises, SystemExit(3))

    def both(a: int, *, b: int) -> tuple[int, int]:
        return a, b

    def raises(error: BaseException) -> None:
        raise error

    assert in_session(body).status.step == "within"


def test_a_cancelled_call_restores_before_the_task_goes_on(image: Stream) -> None:
    events = []

    def measure() -> None:
        try:
            events.append("begun")
            while True:
                time.monotonic()
        except Interrupted:
            events.append("interrupted")
            raise
        finally:
            events.append("restored")

    async def main() -> None:
        task = asyncio.create_task(in_thread(measure))
        while not events:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        events.append("cancelled")

    do(main())
    assert events == ["begun", "interrupted", "restored", "cancelled"]


def test_a_call_that_fails_when_it_is_cancelled_says_so() -> None:
    begun = threading.Event()

    def measure() -> None:
        try:
            begun.set()
            while True:
                time.monotonic()
        finally:
            raise DataError("could not restore")

    async def main() -> None:
        task = asyncio.create_task(in_thread(measure))
        await in_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError, match="could not restore"):
            await task

    do(main())


def test_runs_programs() -> None:
    async def body() -> None:
        done = await run("sh", "-c", "echo one; echo two >&2; exit $X", env={"X": "0"})
        assert (done.code, done.output) == (0, "one\ntwo\n")
        assert (await run("sh", "-c", "exit 3", check=False)).code == 3
        with pytest.raises(SequenceError, match="failed with exit code 4: why"):
            await run("sh", "-c", "echo why; exit 4")
        with pytest.raises(NotFoundError, match="there is no program"):
            await run("no-such-program")
        with pytest.raises(UsageError):
            await run()
        assert "[]" in (await run("framebus", "ls", "--json")).output

    session = in_session(body)
    assert session.status.programs == []
    assert "one\n" in Path(session.status.log).read_text()


def test_a_cancelled_program_is_ended() -> None:
    async def body() -> None:
        script = "trap 'echo ended; exit' TERM; echo begun; while :; do sleep 0.01; done"
        task = asyncio.create_task(run("sh", "-c", script))
        while "begun" not in session_message():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    def session_message() -> str:
        from framebus.sequence import find

        return find("work").message

    in_session(body)


# ---- what is told quickly -----------------------------------------------------------------------------------------


def test_thousands_of_lines_write_the_status_some_times(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, str]] = []
    tell = Place.tell

    def count(place: Place, status: SequenceStatus) -> None:
        written.append((status.step, status.message))
        tell(place, status)

    monkeypatch.setattr(Place, "tell", count)

    async def main() -> None:
        for i in range(1000):
            step(f"step {i}")
            log(f"line {i}")

    session = in_session(main)
    assert len(written) <= 4 + 10 * session.status.elapsed_s
    assert written[-1] == ("step 999", "line 999")
    assert Path(session.status.log).read_text().count("line ") == 1000


def test_the_last_that_was_told_is_seen_while_it_blocks() -> None:
    async def main() -> None:
        for i in range(3):
            step(f"step {i}")
        until(lambda: find("work").step == "step 2")

    in_session(main)


def test_of_what_a_program_writes_the_end_is_kept() -> None:
    program = "print('x' * 200_000, flush=True); [print(i) for i in range(20_000)]"
    written = do(run(sys.executable, "-c", program)).output.splitlines()
    assert (len(written), written[0], written[-1]) == (10_000, "10000", "19999")
    long = do(run(sys.executable, "-c", "print('x' * 200_000)")).output
    assert long.replace("\n", "") == "x" * 200_000
