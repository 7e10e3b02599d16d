from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import framebus as fb
from framebus.ao import DM_STATUS, GUARD_STATUS, guard, map_integrator, shortfall
from framebus.ao.guard import END, ENDED, HOLD, LEAK, NOTHING, OPEN
from framebus.errors import BindingError, ParameterError, UnitError
from framebus.unit import ArraySpec, Stage, start
from support.ao_loop import Controlling

CLOSED, HOLDING, LEAKING, OPENED = range(4)
STATES = {NOTHING: CLOSED, HOLD: HOLDING, LEAK: LEAKING, OPEN: OPENED}
ANY_FLOAT = st.one_of(st.floats(width=32), st.sampled_from([np.nan, np.inf, -np.inf, 3e38]))


class Guarding:
    """``guard`` with its arrays: two actuators, two measurements, light and the mirror's status."""

    def __init__(self, compiled: bool = True, **params: Any) -> None:
        self.run = guard.jit if compiled else guard
        self.params = {p.name: p.default for p in guard.parameters} | params
        self.safe = np.zeros(2, "float32")
        self.status = np.zeros(len(GUARD_STATUS), "int64")
        self.waited = np.zeros(1, "int64")

    def __call__(
        self, command: Any = (0.5, -0.5), error: Any = (0.1, 0.1), flux: Any = (1000.0,), saturated: int = 0
    ) -> NDArray[np.float32]:
        dm_status = np.zeros(len(DM_STATUS), "int64")
        dm_status[DM_STATUS.index("clipped")] = saturated
        vectors = [np.array(values, "float32") for values in (command, error, flux)]
        self.code = self.run(*vectors, dm_status, self.safe, self.status, self.waited, **self.params)
        return self.safe.copy()

    def told(self, *names: str) -> list[int]:
        return [int(self.status[GUARD_STATUS.index(name)]) for name in names]


@pytest.fixture(params=["interpreted", "compiled"])
def compiled(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "compiled")


def test_a_good_frame_passes(compiled: bool) -> None:
    watch = Guarding(compiled, outlier=1.0, min_flux=500.0, on_saturation=OPEN)
    np.testing.assert_array_equal(watch(), np.array([0.5, -0.5], "float32"))
    assert watch.told("state", "reasons", "frames", "good_frames", "changes") == [CLOSED, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("bad", "reason", "counter"),
    [
        ({"error": (np.nan, 0.0)}, 1, "bad_inputs"),
        ({"error": (-np.inf, 0.0)}, 1, "bad_inputs"),
        ({"error": (0.0, -1.5)}, 2, "outliers"),
        ({"flux": (499.0,)}, 4, "flux_losses"),
        ({"flux": (np.nan,)}, 4, "flux_losses"),
        ({"saturated": 3}, 8, "saturations"),
    ],
)
@pytest.mark.parametrize("action", [NOTHING, HOLD, LEAK, OPEN])
def test_each_fault_has_the_action_that_is_configured(
    compiled: bool, bad: dict[str, Any], reason: int, counter: str, action: int
) -> None:
    watch = Guarding(
        compiled,
        outlier=1.0,
        min_flux=500.0,
        max_saturated=2,
        leak=0.5,
        on_bad_input=action,
        on_flux_loss=action,
        on_saturation=action,
    )
    watch()
    after = watch(command=(0.75, -0.25), **bad)
    factor = {HOLD: 1.0, LEAK: 0.5, OPEN: 0.0}.get(action)
    expected = (0.75, -0.25) if factor is None else (0.5 * factor, -0.5 * factor)
    np.testing.assert_array_equal(after, np.array(expected, "float32"))
    # Saturation is not looked at when nothing is to follow.
    silent = action == NOTHING and reason == 8
    assert watch.told("state", "reasons", counter) == [
        STATES[action],
        0 if silent else reason,
        0 if silent else 1,
    ]
    assert watch.told("held", "leaked", "opened") == [action == HOLD, action == LEAK, action == OPEN]
    assert watch.code == 0


def test_it_closes_again_after_enough_good_frames(compiled: bool) -> None:
    watch = Guarding(compiled, recover=3, on_flux_loss=OPEN, min_flux=1.0)
    watch()
    watch(flux=(0.0,))
    for expected in (0.0, 0.0, 0.5):
        assert watch()[0] == np.float32(expected)
    assert watch.told("state", "changes", "opened") == [CLOSED, 2, 3]


def test_holding_turns_into_leaking_when_patience_ends(compiled: bool) -> None:
    watch = Guarding(compiled, patience=2, leak=0.5)
    watch()
    seen = [float(watch(error=(np.nan, 0.0))[0]) for _ in range(4)]
    assert seen == [0.5, 0.5, 0.25, 0.125]
    assert watch.told("held", "leaked") == [2, 2]


def test_a_latch_ends_when_the_loop_is_switched_off_and_on(compiled: bool) -> None:
    watch = Guarding(compiled, latch=True, on_bad_input=OPEN, recover=1)
    watch(error=(np.nan, 0.0))
    for _ in range(3):
        assert watch()[0] == 0.0
    assert watch.told("latched") == [1]
    watch.params["closed"] = False
    assert watch()[0] == 0.0
    assert watch.told("reasons", "latched") == [16, 0]
    watch.params["closed"] = True
    assert watch()[0] == 0.5


def test_more_bad_measurements_may_be_allowed(compiled: bool) -> None:
    watch = Guarding(compiled, max_bad=1, outlier=1.0)
    assert watch(error=(5.0, 0.0))[0] == 0.5
    assert watch.told("state", "outliers") == [CLOSED, 0]
    watch(error=(5.0, np.nan))
    assert watch.told("state", "reasons") == [HOLDING, 3]


def test_an_element_that_is_not_finite_keeps_its_value_while_all_else_is_well(compiled: bool) -> None:
    watch = Guarding(compiled)
    watch()
    np.testing.assert_array_equal(watch(command=(np.nan, 0.25)), np.array([0.5, 0.25], "float32"))
    watch.safe[:] = np.nan  # as somebody else may have left the stream
    np.testing.assert_array_equal(watch(command=(np.nan, 0.25)), np.array([0.0, 0.25], "float32"))


PARAMETERS = st.fixed_dictionaries(
    {
        "closed": st.booleans(),
        "on_bad_input": st.integers(0, 3),
        "on_flux_loss": st.integers(0, 3),
        "on_saturation": st.integers(0, 3),
        "outlier": st.sampled_from([0.0, 1.0]),
        "max_bad": st.integers(0, 2),
        "min_flux": st.sampled_from([0.0, 500.0]),
        "max_saturated": st.integers(0, 2),
        "patience": st.integers(0, 3),
        "recover": st.integers(1, 4),
        "latch": st.booleans(),
    }
)
FRAME = st.fixed_dictionaries(
    {
        "command": hnp.arrays(np.float32, 2, elements=ANY_FLOAT),
        "error": hnp.arrays(np.float32, 2, elements=st.one_of(st.just(0.0), ANY_FLOAT)),
        "flux": hnp.arrays(np.float32, 1, elements=st.sampled_from([0.0, 1000.0, np.nan, np.inf])),
        "saturated": st.integers(0, 4),
    }
)


class Model:
    """What the guard is documented to do, told once more."""

    def __init__(self) -> None:
        self.state, self.good, self.waited, self.latched = CLOSED, 0, 0, False

    def actions(self, p: dict[str, Any], frame: dict[str, Any]) -> list[int]:
        limit = p["outlier"] or np.finfo("float32").max
        found = []
        if np.sum(~(np.abs(frame["error"]) <= limit)) > p["max_bad"]:
            found.append(p["on_bad_input"])
        if p["min_flux"] and not frame["flux"][0] >= p["min_flux"]:
            found.append(p["on_flux_loss"])
        if frame["saturated"] > p["max_saturated"]:
            found.append(p["on_saturation"])
        return found

    def step(self, p: dict[str, Any], frame: dict[str, Any]) -> int:
        action = max([NOTHING, *self.actions(p, frame)])
        self.good = 0 if action else self.good + 1
        self.latched = self.latched and p["latch"] and p["closed"]
        if not p["closed"] or self.latched:
            self.state = OPENED
        elif action:
            self.state = max(self.state, STATES[action])
            self.latched = p["latch"] and self.state == OPENED
        elif self.good >= p["recover"]:
            self.state = CLOSED
        self.waited = self.waited + 1 if self.state == HOLDING else 0
        if self.state == HOLDING and p["patience"] and self.waited > p["patience"]:
            self.state = LEAKING
        return self.state


@settings(max_examples=100)
@given(st.lists(st.tuples(PARAMETERS, FRAME), min_size=1, max_size=12))
def test_whatever_comes_the_mirror_gets_numbers_and_the_state_is_as_documented(
    frames: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    watch, model = Guarding(leak=0.5), Model()
    counted = np.zeros(4, int)
    for parameters, frame in frames:
        watch.params |= parameters
        before = watch.safe.copy()
        after = watch(**frame)
        state = model.step(parameters, frame)
        counted[state] += 1
        assert np.isfinite(after).all()
        assert watch.told("state") == [state]
        command = np.array(frame["command"], "float32")
        kept = {CLOSED: 1.0, HOLDING: 1.0, LEAKING: 0.5, OPENED: 0.0}[state] * before
        passed = state == CLOSED and np.isfinite(command)
        np.testing.assert_array_equal(after, np.where(passed, command, kept).astype("float32"))
    assert watch.told("held", "leaked", "opened", "frames") == [*counted[1:], len(frames)]


def test_ending_the_loop_tells_why_and_leaves_the_mirror_alone(shm_dir: object) -> None:
    arrays = {
        "command": np.array([0.5, 0.5], "float32"),
        "error": np.zeros(2, "float32"),
        "flux": np.ones(1, "float32"),
        "dm_status": np.zeros(len(DM_STATUS), "int64"),
    }
    streams = {}
    for name, array in arrays.items():
        streams[name] = fb.create(name, shape=array.shape, dtype=array.dtype.name)
        if name != "command":
            streams[name].write(array)
    names = {name: name for name in (*arrays, "safe", "status")}
    loop = start(Stage(guard, names, {"on_flux_loss": END, "min_flux": 0.5}))
    with fb.open("safe") as safe:
        streams["command"].write(arrays["command"])
        np.testing.assert_array_equal(safe.read_next(timeout_s=10.0).data, arrays["command"])
        streams["flux"].write(np.zeros(1, "float32"))
        streams["command"].write(np.ones(2, "float32"))
        with pytest.raises(UnitError, match=str(ENDED + 4)):
            loop.wait(timeout_s=10.0)
        np.testing.assert_array_equal(safe.read().data, arrays["command"])
    for stream in streams.values():
        stream.close()


def test_a_controller_goes_on_from_what_the_guard_let_through() -> None:
    watch = Guarding(recover=1)
    ones = np.ones(2, "float32")
    control = Controlling(map_integrator, 2, {"gains": ones, "leaks": ones}, gain=0.5)
    for k in range(12):
        command = control(np.full(2, -1.0) + watch.safe)
        safe = watch(command=command, error=(np.nan if 2 <= k < 10 else 0.0, 0.0))
        shortfall.jit(command, safe, safe, safe, control.arrays["excess"])
        if k == 9:
            assert command[0] < 1.0 + 1e-6, "nothing was added up while the guard held"
    np.testing.assert_allclose(watch.safe, 1.0, atol=0.1)


def test_what_is_given_is_checked() -> None:
    for name, value in (("on_bad_input", 5), ("recover", 0), ("leak", 1.5), ("max_bad", -1)):
        with pytest.raises(ParameterError):
            guard.parameter(name).check(value)
    single = np.dtype("float32")
    specs = {
        "command": ArraySpec((3, 4), single),
        "error": ArraySpec((7,), single),
        "flux": ArraySpec((5, 5), single),
        "dm_status": ArraySpec((len(DM_STATUS),), np.dtype("int64")),
    }
    assert guard.resolve(specs)["safe"] == ArraySpec((3, 4), single)
    with pytest.raises(BindingError, match="'dm_status'"):
        guard.resolve(specs | {"dm_status": ArraySpec((3,), np.dtype("int64"))})
