"""Devices: opened before the first frame, closed after the last, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pytest

import framebus as fb
from framebus.errors import BindingError, ParameterError, UnitError
from framebus.process import ProcessRecord, State
from framebus.stream import Stream
from framebus.unit import Array, ArraySpec, In, LoopOptions, Out, Range, Stage, Unit, start
from support import units
from support.waiting import until


class Camera(Unit):
    """A device of which each part can be told to fail."""

    calls: list[tuple[str, int]]
    trouble: dict[str, BaseException]

    def __init__(self) -> None:
        self._call("init")
        self.number = 0

    def setup(self) -> None:
        self._call("setup")
        self.height = 3

    def shapes(self) -> dict[str, Any]:
        return {"frame": ((self.height, 5), "uint16")}

    def step(self, frame: Out, *, exposure: Annotated[float, Range(0.0, 1.0)] = 0.5) -> None:
        if self.number == 2:
            self._call("step")
        self.number += 1
        frame[...] = 100 * exposure + self.number

    def teardown(self) -> None:
        self._call("teardown")

    def _call(self, name: str) -> None:
        self.calls.append((name, threading.get_native_id()))
        if name in self.trouble:
            raise self.trouble[name]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    Camera.calls = []
    Camera.trouble = {}
    yield
    Camera.trouble = {}  # exceptions hold on to whom they went through


def called() -> list[str]:
    return [name for name, _ in Camera.calls]


def camera(**options: Any) -> Stage:
    return Stage(Camera, {"frame": "frame"}, **options)


FREE = LoopOptions(trigger="free")
CLOCK = LoopOptions(trigger="delay", period_s=1e-3)


def test_life() -> None:
    with start(camera(), CLOCK) as loop, fb.open("frame") as frame:
        assert frame.shape == (3, 5)
        assert frame.dtype == np.uint16
        until(lambda: loop.loops >= 4)
        assert called() == ["init", "setup", "step"]
        assert Camera.calls[2][1] == loop.record.thread_id
        assert loop.record.use == f"{__name__}:Camera"
    assert called() == ["init", "setup", "step", "teardown"]
    here = threading.get_native_id()
    assert [thread == here for _, thread in Camera.calls] == [True, True, False, True]


def test_an_object_instead_of_its_class() -> None:
    made = Camera()
    for _ in range(2):
        made.number = 10
        with start(Stage(made, {"frame": "frame"}), CLOCK) as loop:
            until(lambda: loop.loops >= 1)
    assert called() == ["init", "setup", "teardown", "setup", "teardown"]


def test_parameters() -> None:
    with start(camera(parameters={"exposure": 0.25}), FREE) as loop, fb.open("frame") as frame:
        loop.params.exposure = 1.0
        until(lambda: frame.count and frame.read()[0, 0] > 100)
        with pytest.raises(ParameterError):
            loop.params.exposure = 1.5


def test_a_device_may_take_frames_too() -> None:
    moved = []

    class Mirror(Unit):
        def step(self, command: In, position: Out) -> None:
            with pytest.raises(ValueError, match="read-only"):
                command[0] = 1
            moved.append(command.tolist())
            position[:] = np.clip(command, -1, 1)

    stream = fb.create("command", shape=(2,))
    with (
        start(Stage(Mirror, {"command": "command", "position": "position"})),
        fb.open("position") as position,
    ):
        stream.write([5, 0.5])
        assert position.read_next(timeout_s=60).data.tolist() == [1, 0.5]
    assert moved == [[5, 0.5]]


class TestTrouble:
    def test_when_it_is_made(self) -> None:
        Camera.trouble["init"] = OSError("no camera")
        with pytest.raises(UnitError, match=r"^unit 'Camera' could not be made: OSError: no camera$"):
            start(camera(), FREE)
        assert called() == ["init"]

    def test_in_setup(self) -> None:
        Camera.trouble["setup"] = OSError("it is in use")
        with pytest.raises(
            UnitError, match=r"^unit 'Camera': setup failed: OSError: it is in use$"
        ) as caught:
            start(camera(), FREE)
        assert isinstance(caught.value.__cause__, OSError)
        assert called() == ["init", "setup", "teardown"]

    def test_in_setup_and_teardown(self) -> None:
        Camera.trouble = {"setup": OSError("it is in use"), "teardown": ValueError("never opened")}
        said = r"setup failed: OSError: it is in use; teardown failed: ValueError: never opened$"
        with pytest.raises(UnitError, match=said):
            start(camera(name="left"), FREE)

    def test_ctrl_c_in_setup(self) -> None:
        Camera.trouble["setup"] = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            start(camera(), FREE)
        assert called() == ["init", "setup", "teardown"]

    def test_in_step(self) -> None:
        Camera.trouble["step"] = OSError("unplugged")
        loop = start(camera(), FREE)
        with pytest.raises(UnitError, match=r"^unit 'Camera' failed: OSError: unplugged$"):
            loop.wait(60)
        assert called() == ["init", "setup", "step", "teardown"]
        with fb.open("frame") as frame, ProcessRecord.open("Camera") as record:
            assert frame.count == 2
            assert frame.read()[0, 0] == 52, "the last good frame"
            assert record.state is State.ERROR
            assert record.message == "OSError: unplugged"
            assert "in step" in record.traceback

    def test_in_teardown(self) -> None:
        Camera.trouble["teardown"] = ValueError("stuck")
        loop = start(camera(), CLOCK)
        with pytest.raises(UnitError, match=r"^unit 'Camera': teardown failed: ValueError: stuck$"):
            loop.stop()
        assert not loop.running
        with ProcessRecord.open("Camera") as record:
            assert record.state is State.ERROR
            assert record.message == "teardown failed: ValueError: stuck"

    def test_in_step_and_teardown(self) -> None:
        Camera.trouble = {"step": OSError("unplugged"), "teardown": ValueError("gone")}
        loop = start(camera(), FREE)
        said = r"^unit 'Camera' failed: OSError: unplugged; unit 'Camera': teardown failed: ValueError: gone$"
        with pytest.raises(UnitError, match=said):
            loop.wait(60)
        with ProcessRecord.open("Camera") as record:
            assert record.message.startswith("OSError: unplugged")
            assert "unplugged" in record.traceback

    def test_teardown_keeps_nothing_else_from_being_given_back(self) -> None:
        """Two devices in one loop, both stuck: both are told of, streams and claims are given back all the same."""
        torn = []

        class Stuck(Unit):
            def step(self, frame: In, copy: Annotated[Out, Array((3, 5))], *, gain: float = 1.0) -> None:
                copy[...] = gain * frame

            def teardown(self) -> None:
                torn.append(fb.Params.open("Stuck").user_pid != 0)
                raise ValueError("too")

        Camera.trouble["teardown"] = ValueError("stuck")
        loop = start([camera(), Stage(Stuck, {"frame": "frame", "copy": "copy"})], CLOCK)
        with pytest.raises(UnitError) as caught:
            loop.stop()
        assert str(caught.value) == (
            "unit 'Stuck': teardown failed: ValueError: too; unit 'Camera': teardown failed: ValueError: stuck"
        )
        assert torn == [True], "the last device first, while it still has its claim"
        with fb.Params.open("Stuck") as params:
            assert params.user_pid == 0

    def test_of_a_unit_after_it(self) -> None:
        """A device that was set up is closed when another unit of the loop cannot be bound."""
        Camera.trouble["teardown"] = ValueError("stuck")
        stages = [camera(), Stage(units.add, {"image": "frame", "offset": "none", "result": "sum"})]
        with pytest.raises(BindingError, match="argument 'offset': no stream 'none'") as caught:
            start(stages, CLOCK)
        assert caught.value.__notes__ == ["unit 'Camera': teardown failed: ValueError: stuck"]
        assert called() == ["init", "setup", "teardown"]

    def test_bound_wrongly_it_is_not_even_set_up(self) -> None:
        with pytest.raises(ParameterError, match="unit 'Camera': parameter 'exposure' = 2 is outside"):
            start(camera(parameters={"exposure": 2}), FREE)
        with pytest.raises(BindingError, match="no stream is given for argument 'frame'"):
            start(Stage(Camera, {}), FREE)
        assert called() == []

    @pytest.mark.parametrize("height", [0, "three", None])
    def test_shapes_that_it_cannot_have(self, height: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Camera, "shapes", lambda self: {"frame": ((height, 5), "uint16")})
        with pytest.raises(
            BindingError, match=r"unit 'Camera', argument 'frame' \(Out\): the shapes function gave"
        ):
            start(camera(), FREE)
        assert called() == ["init", "setup", "teardown"]

    def test_with_statement_adds_the_failure_to_what_came_of_it(self) -> None:
        Camera.trouble["step"] = OSError("unplugged")
        loop = start(camera(), FREE)
        until(lambda: not loop.running)
        with pytest.raises(LookupError) as caught, loop:
            raise LookupError("no picture")
        assert caught.value.__notes__ == ["unit 'Camera' failed: OSError: unplugged"]


def test_shapes_of_inputs() -> None:
    class Binner(Unit):
        def shapes(self, image: ArraySpec) -> dict[str, Any]:
            return {"binned": ((image.shape[0] // 2,), None)}

        def step(self, image: In, binned: Out) -> None:
            binned[:] = image[::2] + image[1::2]

    stream: Stream = fb.create("image", shape=(4,))
    with start(Stage(Binner, {"image": "image", "binned": "binned"})), fb.open("binned") as binned:
        stream.write([1, 2, 3, 4])
        assert binned.read_next(timeout_s=60).data.tolist() == [3, 7]
