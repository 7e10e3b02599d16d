from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from framebus.ao import DM_STATUS, dm_limits
from framebus.errors import BindingError
from framebus.unit import ArraySpec

FLOAT = np.dtype("float32")
NO_SLAVES = np.full((1, 5), -1, "int32")
ANY_FLOAT = st.one_of(
    st.floats(-3, 3, width=32), st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-42, 0.0])
)


class Mirror:
    """``dm_limits`` with its arrays."""

    def __init__(
        self,
        actuators: NDArray[Any],
        slaves: NDArray[Any] = NO_SLAVES,
        compiled: bool = True,
        **params: float,
    ) -> None:
        self.run = dm_limits.jit if compiled else dm_limits
        self.actuators, self.slaves = actuators.astype("uint8"), slaves.astype("int32")
        self.params: dict[str, Any] = {p.name: p.default for p in dm_limits.parameters} | dict(params)
        inputs = {
            "wanted": ArraySpec(actuators.shape, FLOAT),
            "actuators": ArraySpec(actuators.shape, np.dtype("uint8")),
            "slaves": ArraySpec(self.slaves.shape, np.dtype("int32")),
        }
        specs = dm_limits.resolve(inputs)
        self.arrays = {
            name: np.zeros(spec.shape, spec.dtype) for name, spec in specs.items() if name not in inputs
        }

    def __call__(self, wanted: NDArray[Any]) -> NDArray[np.float32]:
        self.run(wanted.astype("float32"), self.actuators, self.slaves, *self.arrays.values(), **self.params)
        return self.arrays["dm"].copy()

    def counts(self, *names: str) -> list[int]:
        return [int(self.arrays["status"][DM_STATUS.index(name)]) for name in names]


def differences(dm: NDArray[Any], there: NDArray[Any]) -> float:
    """The largest difference of neighbours, both there."""
    dm = dm.astype("float64")
    across = np.abs(np.diff(dm, axis=1))[there[:, 1:] & there[:, :-1]]
    down = np.abs(np.diff(dm, axis=0))[there[1:] & there[:-1]]
    return float(max(across.max(initial=0.0), down.max(initial=0.0)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, ...]:
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    size = shape[0] * shape[1]
    there = draw(hnp.arrays(np.bool_, shape, elements=st.booleans(), fill=st.just(True)))
    indices = draw(st.lists(st.integers(0, size - 1), max_size=3, unique=True))
    anything = st.integers(-2, size + 1)
    slaves = [[k, *draw(st.lists(anything, min_size=4, max_size=4, unique=True))] for k in indices]
    frames = draw(st.lists(hnp.arrays(np.float32, shape, elements=ANY_FLOAT), min_size=1, max_size=4))
    limits = {
        "minimum": draw(st.floats(-2, 0)),
        "maximum": draw(st.floats(0, 2)),
        "max_step": draw(st.sampled_from([0.0, 0.0, 0.05, 0.4])),
        "max_difference": draw(st.sampled_from([0.0, 0.1, 0.5])),
    }
    return there, np.array(slaves or [[-1] * 5], "int32"), frames, limits


def masters_of(row: NDArray[Any], there: NDArray[Any], slaved: set[int]) -> list[int]:
    flat = there.ravel()
    return [int(m) for m in row[1:] if 0 <= m < flat.size and flat[m] and int(m) not in slaved]


@settings(max_examples=40)
@given(cases())
def test_no_limit_is_ever_broken(case: tuple[Any, ...]) -> None:
    there, slaves, frames, limits = case
    mirror = Mirror(there, slaves, **limits)
    # A row whose actuator is absent or has no master slaves nothing; its actuator may then be a master.
    slaved = {int(r[0]) for r in slaves if r[0] >= 0 and there.ravel()[r[0]]}
    slaved = {int(r[0]) for r in slaves if int(r[0]) in slaved and masters_of(r, there, slaved)}
    last = np.zeros(there.shape, "float32")
    for wanted in frames:
        dm = mirror(wanted)
        assert np.isfinite(dm).all()
        assert (dm >= np.float32(limits["minimum"])).all()
        assert (dm <= np.float32(limits["maximum"])).all()
        if limits["max_difference"]:
            assert differences(dm, there) <= limits["max_difference"] * (1 + 2e-6) + 2e-6
        if limits["max_step"]:
            assert np.abs(dm.astype("float64") - last).max() <= limits["max_step"] + 1e-5
        for slave in slaves:
            if int(slave[0]) in slaved:
                masters = [m for m in masters_of(slave, there, slaved) if m != slave[0]]
                assert dm.ravel()[slave[0]] == pytest.approx(
                    np.mean(dm.ravel()[masters], dtype=float), abs=1e-6
                )
        last = dm


@pytest.mark.parametrize("compiled", [True, False])
def test_what_is_within_the_limits_is_not_touched(compiled: bool) -> None:
    wanted = np.add.outer(np.arange(5), np.arange(4)).astype("float32") * np.float32(0.05)
    mirror = Mirror(np.ones((5, 4)), compiled=compiled, max_step=0.5, max_difference=0.0625)
    np.testing.assert_array_equal(mirror(wanted), wanted)
    assert mirror.counts("frames", "clipped", "slowed", "smoothed", "held") == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("compiled", [True, False])
def test_each_limit_is_counted(compiled: bool) -> None:
    mirror = Mirror(np.ones((1, 4)), compiled=compiled, max_step=0.5, minimum=-0.25, maximum=0.75)
    np.testing.assert_array_equal(mirror(np.array([[0.5, 0.75, np.nan, -2.0]])), [[0.5, 0.5, 0.0, -0.25]])
    assert mirror.counts("slowed", "clipped", "held", "smoothed") == [2, 1, 1, 0]
    np.testing.assert_array_equal(mirror(np.array([[0.5, 0.75, 0.25, 0.25]])), [[0.5, 0.75, 0.25, 0.25]])
    assert mirror.counts("slowed", "clipped", "held") == [0, 0, 0]
    assert mirror.counts("slowed_total", "clipped_total", "held_total", "frames") == [2, 1, 1, 2]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_spike_is_cut_where_it_is_and_nowhere_else(compiled: bool) -> None:
    wanted = np.zeros((7, 7))
    wanted[3, 3] = 1.0
    mirror = Mirror(np.ones((7, 7)), compiled=compiled, max_difference=0.5)
    dm = mirror(wanted)
    # Half way between the lower surface, a spike of 0.5, and the upper one, a pyramid from 1 with steps of 0.5.
    assert dm[3, 3] == 0.75
    assert dm[3, 4] == dm[2, 3] == 0.25
    assert np.count_nonzero(dm) == 5
    assert mirror.counts("smoothed") == [5]


def test_absent_actuators_are_nobodys_neighbours() -> None:
    there = np.ones((1, 3))
    there[0, 1] = 0
    mirror = Mirror(there, max_difference=0.1)
    np.testing.assert_array_equal(mirror(np.array([[0.75, 0.0, -0.75]])), [[0.75, 0.0, -0.75]])


def test_slaves_follow_and_bad_tables_do_no_harm() -> None:
    slaves = np.array([[0, 1, 2, -1, -1], [3, 3, 99, -7, 0], [-1, 1, 2, 4, 5], [77, 1, -1, -1, -1]])
    mirror = Mirror(np.ones((2, 3)), slaves)
    dm = mirror(np.array([[0.9, 0.25, 0.5], [0.125, 0.0, 0.0]]))
    assert dm[0, 0] == 0.375
    assert dm[1, 0] == 0.125  # its only masters are itself, one that is slaved and two that don't exist


def test_limits_that_are_changed_hold_from_the_next_frame_on() -> None:
    mirror = Mirror(np.ones((1, 2)), max_step=0.01)
    mirror.arrays["dm"][:] = 0.8
    mirror.params["maximum"] = 0.25
    np.testing.assert_array_equal(mirror(np.array([[0.8, 0.8]])), [[0.25, 0.25]])
    assert dm_limits.checks is not None
    assert dm_limits.checks.findings({"minimum": 1.0, "maximum": 0.5})


def test_what_an_output_held_from_elsewhere_may_be_anything() -> None:
    mirror = Mirror(np.ones((1, 2)), max_step=0.5)
    mirror.arrays["dm"][:] = [[np.nan, np.inf]]
    np.testing.assert_array_equal(mirror(np.array([[np.nan, 0.25]])), [[0.0, 0.25]])


def test_shapes_are_checked() -> None:
    specs = {
        "wanted": ArraySpec((3, 4), FLOAT),
        "actuators": ArraySpec((12,), np.dtype("uint8")),
        "slaves": ArraySpec((2, 5), np.dtype("int32")),
    }
    assert dm_limits.resolve(specs)["dm"] == ArraySpec((3, 4), FLOAT)
    with pytest.raises(BindingError, match=r"'actuators'.*13 elements"):
        dm_limits.resolve(specs | {"actuators": ArraySpec((13,), np.dtype("uint8"))})
    with pytest.raises(BindingError, match="a vector or a grid"):
        dm_limits.resolve(specs | {"wanted": ArraySpec((3, 2, 2), FLOAT)})
    with pytest.raises(BindingError, match="'slaves'"):
        dm_limits.resolve(specs | {"slaves": ArraySpec((2, 4), np.dtype("int32"))})
