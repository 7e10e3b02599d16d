"""What a sequence waits for, and the parameters that it reads and sets."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from framebus.errors import (
    NotFoundError,
    ParameterError,
    UsageError,
    WaitTimeout,
)
from framebus.params import Params
from framebus.sequence import (
    get,
    holds,
    restoring,
    set,  # noqa: A004
    unit_state,
    wait_param,
    wait_sequence,
    wait_stream,
    wait_unit,
)
from framebus.stream import Stream, create
from framebus.stream import open as open_stream
from support.pipelines import COUNT, Pipelines
from support.sequences import do
from support.waiting import asleep_at, once_asleep

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
        WaitTimeout, match=r"waited 0 s for stream 'image': no new frame came; stream 'image' is at frame 4"
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
    with pytest.raises(WaitTimeout, match="waited 0 s for stream 'later': there is no stream 'later'"):
        do(wait_stream("later", timeout_s=0.0))


def test_frames_of_a_stream_that_is_made_anew_count() -> None:
    first = create("wfs", shape=(2,))
    first.write(np.zeros(2))

    def make_anew() -> None:
        first.write(np.ones(2))
        first.remove()
        with create("wfs", shape=(3,)) as new:
            new.write(np.ones(3))
            new.write(np.ones(3))

    writer = once_asleep(first.path, make_anew)
    assert do(wait_stream("wfs", frames=2, timeout_s=60)) in (1, 2)
    writer.join()
    with open_stream("wfs") as stream:
        stream.remove()


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
    with pytest.raises(WaitTimeout, match=r"waited 0 s for loop\.gain>0\.9: loop\.gain is 0\.5"):
        do(wait_param("loop.gain>0.9", timeout_s=0.0))
    with pytest.raises(WaitTimeout, match=r"no parameter set for 'lop\.gain'; did you mean 'loop'"):
        do(wait_param("lop.gain>0.9", timeout_s=0.0))
    with pytest.raises(NotFoundError, match="has no entry 'gian'; did you mean 'gain'"):
        do(wait_param("loop.gian>0.9", timeout_s=0.0))
    with pytest.raises(WaitTimeout, match=r"for loop\.gain to be as wanted: loop\.gain is 0\.5"):
        do(wait_param(("loop.gain", lambda gain: gain > 0.9), timeout_s=0.0))


def test_conditions(loop: Params) -> None:
    assert holds("param:loop.gain<=0.1")
    assert holds("loop.on==off")
    assert holds("loop.on = false")
    assert holds("loop.mode.name==slow")
    assert holds('loop.mode.name!="fast"')
    assert holds("loop.gain=0.1")
    assert not holds(("loop.mode.name", lambda name: name == "fast"))
    for wrong in (
        "loop.gain",
        "loop.gain>",
        ">3",
        "loop.gain changes",
        3,
        ("loop.gain", 3),
        ("loop.gain>3", bool),
    ):
        with pytest.raises(UsageError):
            holds(wrong)  # type: ignore[arg-type]
    for wrong in ("loop.on=3", "loop.gain=fast", "loop.mode.name>3"):
        with pytest.raises(ParameterError, match="condition 'param:loop"):
            holds(wrong)
    with pytest.raises(UsageError, match=r"expected SET\.ENTRY"):
        holds("gain>3")
    with pytest.raises(NotFoundError, match=r"no parameter set for 'lop\.gain'"):
        holds("lop.gain>3")
    with pytest.raises(UsageError, match=r"'loop' is no parameter; expected SET\.ENTRY"):
        get("loop")


def test_sets_and_gives_back(loop: Params) -> None:
    set("loop.gain", 0.2)
    set("loop", gain=0.3, on=True)
    assert (get("loop.gain"), get("loop.mode.name"), loop["on"]) == (0.3, "slow", True)
    with pytest.raises(ParameterError, match="outside its limits"):
        set("loop.gain", 3.0)
    with pytest.raises(UsageError, match="expected a value"):
        set("loop")
    with pytest.raises(UsageError, match="expected a value"):
        set("loop.gain", 1.0, on=True)
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
    with pytest.raises(WaitTimeout, match="to be idle: unit 'count' is running"):
        do(wait_unit("count", "idle", timeout_s=0.1))
    with pytest.raises(UsageError, match="expected a state: off, standby"):
        do(wait_unit("count", "runing"))
    up.signal(2)
    assert up.wait() == 0
    assert do(wait_unit("count", "gone", timeout_s=0.0)).state == "gone"


def test_waits_for_sequences() -> None:
    with pytest.raises(WaitTimeout, match="there is no sequence 'other'"):
        do(wait_sequence("other", timeout_s=0.0))
