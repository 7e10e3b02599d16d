"""Checks of parameters taken together: what they find keeps a unit from running, and stands beside the parameters."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import framebus as fb
from framebus.errors import ParameterError, UsageError
from framebus.params import Params
from framebus.process import Event, ProcessRecord, State
from framebus.stream import Stream
from framebus.unit import Array, FunctionUnit, In, Loop, Out, Stage, Unit, start, unit
from support.waiting import until

WIRING = {"image": "image", "value": "value"}


def band(check: Any) -> FunctionUnit:
    """A unit with a lower and an upper limit, and that check of them."""

    @unit(compiled=False)
    def band(
        image: In,
        value: Annotated[Out, Array((1,))],
        *,
        low: float = 0.0,
        high: float = 1.0,
        gain: float = 1.0,
    ) -> None:
        value[0] = min(max(image[0], low), high)

    band.check(check)
    return band


def ordered(low: float, high: float) -> dict[str, str] | None:
    return {"low": f"above high, which is {high:g}"} if low > high else None


class Banded(Unit):
    """A device of the same parameters."""

    def step(
        self, image: In, value: Annotated[Out, Array((1,))], *, low: float = 0.0, high: float = 1.0
    ) -> None:
        value[0] = min(max(image[0], low), high)


class CheckedByObject(Banded):
    def __init__(self) -> None:
        self.word = "above high"

    def check(self, low: float, high: float) -> dict[str, str] | None:
        return {"low": self.word} if low > high else None


class CheckedByClass(Banded):
    @classmethod
    def check(cls, low: float, high: float) -> str | None:
        return f"{cls.__name__}: above high" if low > high else None


class CheckedByNobody(Banded):
    @staticmethod
    def check(high: float, low: float) -> str:
        return "above high" if low > high else ""


@pytest.fixture
def image() -> Stream:
    return fb.create("image", shape=(4,))


def findings(name: str) -> dict[str, str]:
    with Params.open(name) as params:
        return params.findings


def test_keeps_a_unit_from_starting(shm_dir: Path, image: Stream) -> None:
    expected = r"unit 'band' cannot run with these parameters: low = 2.0: above high, which is 1"
    with pytest.raises(ParameterError, match=expected):
        start(Stage(band(ordered), WIRING, {"low": 2.0}))
    assert findings("band") == {"low": "above high, which is 1"}
    assert not (shm_dir / "value.im.shm").exists()
    with start(Stage(band(ordered), WIRING, {"low": 0.5})):
        assert findings("band") == {}


@pytest.mark.parametrize("made", [CheckedByObject, CheckedByClass, CheckedByNobody])
def test_of_devices(image: Stream, made: type[Unit]) -> None:
    with pytest.raises(ParameterError, match="above high"):
        start(Stage(made, WIRING, {"low": 2.0}))
    assert "above high" in findings(made.declaration.name)["low"]
    with start(Stage(made, WIRING, {"low": 0.5})):
        assert findings(made.declaration.name) == {}


def test_all_findings_are_listed(image: Stream) -> None:
    def check(low: float, high: float) -> dict[str, str]:
        return {"low": "one thing", "high": "another"}

    with pytest.raises(ParameterError, match=r"low = 0.0: one thing; high = 1.0: another"):
        start(Stage(band(check), WIRING))


def test_one_text_stands_beside_all_that_it_takes(image: Stream) -> None:
    with pytest.raises(ParameterError, match=r"low = 0.0: they do not fit; high = 1.0: they do not fit"):
        start(Stage(band(lambda low, high: "they do not fit"), WIRING))
    assert findings("band") == {"low": "they do not fit", "high": "they do not fit"}


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda low: 1 / low, "its check raised ZeroDivisionError: "),
        (lambda low: sys.exit(3), "its check raised SystemExit: 3"),
        (lambda low: {"leak": "too large"}, "speaks of 'leak', which is no parameter: too large"),
        (lambda low: 7, "its check returned 7, expected None, a text, or texts by parameter"),
    ],
)
def test_that_is_wrong_itself_is_a_finding(image: Stream, check: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=r"cannot run with these parameters: low = 0\.0: ") as caught:
        start(Stage(band(check), WIRING))
    assert said in str(caught.value)


def test_findings_follow_the_parameters_while_it_runs(image: Stream) -> None:
    with start(Stage(band(ordered), WIRING)) as loop, Params.open("band") as params:
        params.low = 3.0
        until(lambda: params.findings == {"low": "above high, which is 1"})
        assert loop.running, "what runs is not stopped"
        params.high = 4.0
        until(lambda: params.findings == {})


def is_in(loop: Loop, state: State) -> bool:
    return loop.state is state and loop.record.state is state


def paused(loop: Loop) -> None:
    loop.record.pause()
    until(lambda: loop.state is State.IDLE)


def test_must_pass_before_it_runs_again(image: Stream) -> None:
    with start(Stage(band(ordered), WIRING)) as loop, Params.open("band") as params:
        paused(loop)
        params.low = 3.0
        loop.record.send(Event.RUN)
        until(lambda: "cannot run with these parameters: low = 3.0" in loop.record.message)
        assert loop.record.control == "pause"
        assert loop.state is State.IDLE
        params.low = 0.5
        loop.record.send(Event.RUN)
        until(lambda: loop.state is State.RUNNING)
        image.write(np.ones(4))
        until(lambda: loop.loops == 1)


def test_must_pass_before_it_is_enabled(image: Stream) -> None:
    with start(Stage(band(ordered), WIRING)) as loop, Params.open("band") as params:
        paused(loop)
        loop.record.send(Event.DISABLE)
        until(lambda: loop.state is State.STANDBY)
        params.low = 3.0
        loop.record.send(Event.ENABLE)
        until(lambda: loop.state is State.ERROR)
        with ProcessRecord.open("band") as record:
            assert "cannot run with these parameters: low = 3.0" in record.message
        params.low = 0.5
        for event, state in (
            (Event.RECOVER, State.STANDBY),
            (Event.ENABLE, State.IDLE),
            (Event.RUN, State.RUNNING),
        ):
            loop.record.send(event)
            until(functools.partial(is_in, loop, state))


def test_declared_wrongly() -> None:
    with pytest.raises(
        UsageError, match=r"its check takes 'image', but only .* can be checked: low, high, gain"
    ):
        band(lambda image: None)
    with pytest.raises(UsageError, match="its check takes 'values'"):
        band(lambda **values: None)
    with pytest.raises(UsageError, match="its check takes no parameter"):
        band(lambda: None)
    with pytest.raises(UsageError, match="unit 'Wrong': its check takes 'gain'"):

        class Wrong(Banded):
            def check(self, gain: float) -> None: ...
