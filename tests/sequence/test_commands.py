"""What a sequence's commands do: waits, values, errors, repetition, threads, programs."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import (
    DataError,
    NotFoundError,
    ParameterError,
    PeerError,
    SequenceError,
    UsageError,
    WaitTimeout,
)
from framebus.params import Params, ParamSpec
from framebus.sequence import (
    Interrupted,
    get,
    holds,
    in_thread,
    log,
    on_error,
    progress,
    receive,
    repeat,
    restoring,
    run,
    send,
    set,  # noqa: A004
    step,
    unit_state,
    wait_param,
    wait_sequence,
    wait_stream,
    wait_unit,
)
from framebus.sequence.condition import condition_of
from framebus.sequence.inbox import Inbox, Message
from framebus.sequence.session import Session
from framebus.sequence.status import SequenceStatus
from framebus.stream import Stream, create
from framebus.stream import open as open_stream
from support.pipelines import COUNT, Pipelines
from support.waiting import asleep_at, once_asleep

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def image() -> Any:
    stream = create("image", shape=(2,), dtype="float32")
    stream.write(np.zeros(2))
    yield stream
    stream.remove()


def do(awaitable: Awaitable[T]) -> T:
    async def within() -> T:
        return await awaitable

    return asyncio.run(within())


def in_session(body: Any) -> Session:
    """Run an async function as a sequence's; gives what it reported."""
    session = Session(SequenceStatus("work", os.getpid()))

    async def within() -> None:
        session.enter()
        await body()

    inbox = session.begin(lambda path: Inbox(path, session.deliver, lambda: None))
    try:
        asyncio.run(within())
    finally:
        inbox.close()
        session.end("done")
    return session


# ---- streams -------------------------------------------------------------------------------------------------------


def test_waits_for_frames_that_were_not_there(image: Stream) -> None:
    def write() -> None:
        with open_stream("image") as own:
            for _ in range(3):
                own.write(np.ones(2))

    writer = once_asleep(image.path, write)
    assert do(wait_stream("image", frames=3, timeout_s=60)) == 4
    writer.join()
    assert do(wait_stream("image", frames=2, timeout_s=0.0, since=2)) == 4
    with pytest.raises(WaitTimeout, match=r"2 of 3 frames came"):
        do(wait_stream("image", frames=3, timeout_s=0.0, since=2))
    with pytest.raises(
        WaitTimeout, match=r"waited 0 s for stream 'image': no new frame came; the last frame, count 4"
    ):
        do(wait_stream("image", timeout_s=0.0))


def test_waits_for_a_stream_that_comes_later() -> None:
    async def both() -> int:
        waiting = asyncio.create_task(wait_stream("later", timeout_s=60))
        await asyncio.sleep(0)
        with create("later", shape=(1,)) as stream:
            stream.write([1.0])
            found = await waiting
            stream.remove()
        return found

    assert do(both()) == 1
    with pytest.raises(WaitTimeout, match="waited 0 s for stream 'later': no stream 'later'"):
        do(wait_stream("later", timeout_s=0.0))


def test_waiting_ends_at_once_when_it_is_cancelled(image: Stream) -> None:
    async def cancelled() -> None:
        waiting = asyncio.create_task(wait_stream("image", timeout_s=None))
        while not asleep_at(image.path):
            await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    do(cancelled())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: wait_stream("image", frames=0),
        lambda: wait_stream("image", timeout_s=-1.0),
        lambda: wait_param("gain"),
        lambda: wait_param("loop.gain>=0.5", timeout_s=float("nan")),
    ],
)
def test_wrong_waits(image: Stream, wrong: Any) -> None:
    with pytest.raises(UsageError):
        do(wrong())


# ---- parameters ----------------------------------------------------------------------------------------------------


@pytest.fixture
def loop() -> Any:
    specs = [ParamSpec("gain", 0.1, maximum=1.0), ParamSpec("on", False), ParamSpec("mode.name", "slow")]
    params = Params.create("loop", specs)
    yield params
    params.remove()


def test_waits_until_a_parameter_fulfils_a_condition(loop: Params) -> None:
    def change() -> None:
        for gain in (0.3, 0.5, 0.2):
            loop["gain"] = gain

    async def both() -> object:
        waiting = asyncio.create_task(wait_param("loop.gain >= 0.5", timeout_s=60))
        while True:  # each change is seen, or a later one that holds
            loop["gain"] = 0.3
            await asyncio.sleep(0.001)
            loop["gain"] = 0.5
            if waiting.done():
                return waiting.result()

    change()
    assert do(both()) in (0.3, 0.5)
    assert do(wait_param(("loop.gain", lambda gain: gain < 0.6))) in (0.3, 0.5)
    with pytest.raises(WaitTimeout, match=r"waited 0 s for loop\.gain>0\.9: it is 0\.5"):
        do(wait_param("loop.gain>0.9", timeout_s=0.0))
    with pytest.raises(WaitTimeout, match="no parameter set 'lop'; did you mean 'loop'"):
        do(wait_param("lop.gain>0.9", timeout_s=0.0))
    with pytest.raises(ParameterError, match="has no entry 'gian'; did you mean 'gain'"):
        do(wait_param("loop.gian>0.9", timeout_s=0.0))


def test_conditions(loop: Params) -> None:
    assert holds("param:loop.gain<=0.1")
    assert holds("loop.on==off")
    assert holds("loop.on = false")
    assert holds("loop.mode.name==slow")
    assert holds("loop.mode.name!='fast'")
    for wrong in ("loop.gain", "loop.gain>", ">3", "loop.on>on", 3, ("loop.gain", 3)):
        with pytest.raises(UsageError):
            condition_of(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cannot be compared"):
        holds("loop.mode.name==3")
    with pytest.raises(UsageError, match=r"expected SET\.ENTRY"):
        holds("gain>3")


@given(
    st.floats(allow_nan=False),
    st.sampled_from([">=", "<=", "==", "!=", ">", "<"]),
    st.floats(allow_nan=False),
)
def test_conditions_compare_as_python_does(held: float, sign: str, value: float) -> None:
    expected = eval(f"a {sign} b", {"a": held, "b": value})  # of operators out of a fixed list
    assert bool(condition_of(f"a.b {sign} {value!r}").holds(held)) is expected


def test_sets_and_gives_back(loop: Params) -> None:
    set("loop.gain", 0.2)
    set("loop", gain=0.3, on=True)
    assert (get("loop.gain"), get("loop.mode.name"), loop["on"]) == (0.3, "slow", True)
    with pytest.raises(ParameterError, match="outside its limits"):
        set("loop.gain", 3.0)
    for wrong in (lambda: set("loop"), lambda: set("loop.gain", 1.0, on=True)):
        with pytest.raises(UsageError):
            wrong()
    with pytest.raises(NotFoundError), restoring("loop.gain", "none.such"):
        pass

    def fail() -> None:
        with restoring("loop.gain", "loop.on"):
            set("loop", gain=0.9, on=False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (loop["gain"], loop["on"]) == (0.3, True)


# ---- units and sequences -------------------------------------------------------------------------------------------


def test_waits_for_units(pipelines: Pipelines) -> None:
    with pytest.raises(WaitTimeout, match="no unit 'count' runs"):
        do(wait_unit("count", timeout_s=0.0))
    assert unit_state("count") == "absent"
    up = pipelines.up(COUNT)
    assert do(wait_unit("chain/count", "running", timeout_s=60)).pid > 0
    assert unit_state("count") == "running"
    with pytest.raises(WaitTimeout, match="to be idle: it is running"):
        do(wait_unit("count", "idle", timeout_s=0.1))
    up.signal(2)
    assert up.wait() == 0


def test_waits_for_sequences() -> None:
    with pytest.raises(WaitTimeout, match="there is no sequence 'other'"):
        do(wait_sequence("other", timeout_s=0.0))


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
    for wrong in (
        lambda: on_error("stop"),  # type: ignore[arg-type]
        lambda: on_error("skip", times=3),
        lambda: on_error("retry", times=0),
        lambda: on_error("skip")(3),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError):
            wrong()


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
        for wrong in (
            lambda: step("x", 2.0),
            lambda: progress(1, 0),
            lambda: progress(3, 2),
            lambda: send("work", {1j}),
        ):
            with pytest.raises(UsageError):
                wrong()
        with pytest.raises(UsageError, match="too long"):
            send("work", "x" * 70_000)
        with pytest.raises(NotFoundError, match="did you mean 'work'"):
            send("wrok", 1)

    status = in_session(body).status
    assert (status.step, status.progress, status.message) == ("first", 0.75, "two lines")
    for outside in (lambda: step("x"), lambda: progress(0.1), lambda: log("x")):
        with pytest.raises(UsageError, match="works within a sequence"):
            outside()
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
        assert await in_thread(lambda a, *, b: (a, b), 1, b=2) == (1, 2)
        await in_thread(step, "within", 0.5)
        with pytest.raises(DataError):
            await in_thread(raises, DataError("bad"))
        with pytest.raises(RuntimeError, match="ended by SystemExit"):
            await in_thread(raises, SystemExit(3))

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
