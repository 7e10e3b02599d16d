"""What the operators' units compute, called in the interpreter, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.errors import BindingError, NotFoundError, UsageError
from framebus.ops.blocks import average, mean_dtype
from framebus.ops.sources import clock, noise, whole_noise
from framebus.ops.sums import MOST, join_of, sum_of
from framebus.ops.windows import bin as bin_unit
from framebus.ops.windows import crop
from framebus.unit import ArraySpec, load_unit
from framebus.unit.stage import SKIP


def image(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "index", "parameters"),
    [
        ((9,), np.s_[2:6], {"x": 2}),
        ((9,), np.s_[8:0:-3], {"x": 8, "step_x": -3}),
        ((5, 7), np.s_[1:4, 2:7:2], {"y": 1, "x": 2, "step_x": 2}),
        ((5, 7), np.s_[::-1, :], {"y": 4, "step_y": -1}),
        ((3, 4, 5), np.s_[2:3, 1:, :4], {"z": 2, "y": 1}),
        ((3, 4, 5), np.s_[::2, ::-1, ::-2], {"step_z": 2, "y": 3, "step_y": -1, "x": 4, "step_x": -2}),
    ],
)
def test_crop_is_a_slice(shape: tuple[int, ...], index: Any, parameters: dict[str, int]) -> None:
    source = image(*shape)
    window = np.zeros(source[index].shape, np.float32)
    crop(source, window, **(defaults(crop) | parameters))
    assert window.tolist() == source[index].tolist()


def defaults(unit: Any) -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in unit.parameters}


@pytest.mark.parametrize(("x", "first"), [(0, 0), (5, 5), (6, 5), (10**12, 5)])
def test_a_window_over_the_edge_is_moved_back(x: int, first: int) -> None:
    window = np.zeros(4, np.float32)
    crop(image(9), window, **(defaults(crop) | {"x": x}))
    assert window.tolist() == list(range(first, first + 4))


def test_a_window_downwards_is_moved_back_too() -> None:
    window = np.zeros(3, np.float32)
    crop(image(9), window, **(defaults(crop) | {"x": 1, "step_x": -2}))
    assert window.tolist() == [4, 2, 0]


def test_a_window_larger_than_the_frame_is_an_error() -> None:
    with pytest.raises(ValueError, match="larger than the frame"):
        crop(image(9), np.zeros(5, np.float32), **(defaults(crop) | {"step_x": 3}))
    with pytest.raises(ValueError, match="different numbers of axes"):
        crop(image(9), np.zeros((1, 5), np.float32), **defaults(crop))


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize(
    ("shape", "factors"), [((9,), (2,)), ((6, 9), (3, 4)), ((6, 9), (1, 1)), ((4, 5, 6), (2, 5, 4))]
)
def test_bins_are_means_or_sums(shape: tuple[int, ...], factors: tuple[int, ...], total: bool) -> None:
    source = image(*shape)
    sizes = [size // factor for size, factor in zip(shape, factors, strict=True)]
    target = np.zeros(sizes, np.float64)
    bin_unit(
        source,
        target,
        **(defaults(bin_unit) | dict(zip("xyz", factors[::-1], strict=False)) | {"total": total}),
    )
    whole = source[tuple(slice(n * f) for n, f in zip(sizes, factors, strict=True))]
    blocks = whole.reshape([k for pair in zip(sizes, factors, strict=True) for k in pair])
    axes = tuple(range(1, 2 * len(shape), 2))
    np.testing.assert_allclose(target, blocks.sum(axis=axes) if total else blocks.mean(axis=axes))


def test_bins_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(ValueError, match="more bins"):
        bin_unit(image(9), np.zeros(5), **(defaults(bin_unit) | {"x": 2}))
    with pytest.raises(ValueError, match="different numbers of axes"):
        bin_unit(image(9), np.zeros((1, 9)), **defaults(bin_unit))


def test_the_average_comes_once_for_each_block() -> None:
    target, sums, done = np.full((2, 2), -1.0), np.zeros(4), np.zeros(1, np.int64)
    codes = [average(np.full((2, 2), k, np.uint16), target, sums, done, frames=3) for k in (1, 2, 6)]
    assert (codes, target.tolist()) == ([SKIP, SKIP, 0], [[3, 3], [3, 3]])
    codes = [average(np.full((2, 2), k, np.uint16), target, sums, done, frames=2) for k in (10, 20)]
    assert (codes, target[0, 0]) == ([SKIP, 0], 15)
    with pytest.raises(ValueError, match="different sizes"):
        average(np.zeros(3), target, sums, done, frames=3)


@pytest.mark.parametrize("n", [2, 3, MOST])
def test_sums_have_weights(n: int) -> None:
    sources = [image(2, 3) + k for k in range(n)]
    weights = {f"weight_{k}": 0.5 * k - 1.0 for k in range(1, n + 1)}
    target = np.zeros((2, 3))
    sum_of(n)(*sources, target, **weights)
    np.testing.assert_allclose(target, sum(w * s for w, s in zip(weights.values(), sources, strict=True)))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_sums_are_rounded_once(dtype: str, compiled: bool) -> None:
    sources = [np.full((2, 2), value, dtype) for value in (1e8, 1.0, -1e8)]
    target = np.zeros((2, 2), dtype)
    unit = sum_of(3)
    (unit.jit if compiled else unit)(*sources, target, weight_1=1.0, weight_2=1.0, weight_3=1.0)
    assert target.tolist() == [[1, 1], [1, 1]]


def test_each_number_of_streams_has_a_unit_that_is_found_by_name() -> None:
    for n in range(2, MOST + 1):
        for word, made in (("sum", sum_of), ("join", join_of)):
            unit = load_unit(f"framebus.ops.sums:{word}_{n}")
            assert unit is made(n)
            assert unit.use == f"framebus.ops.sums:{word}_{n}"
            assert [argument.name for argument in unit.inputs()] == [f"source_{k}" for k in range(1, n + 1)]
    with pytest.raises(NotFoundError, match=r"no 'sum_17'; it has the units join_10, .*sum_9"):
        load_unit("framebus.ops.sums:sum_17")


def test_sums_refuse_different_shapes() -> None:
    specs = {
        "source_1": ArraySpec((3, 4), np.dtype("uint16")),
        "source_2": ArraySpec((3, 4), np.dtype("int64")),
    }
    assert sum_of(2).resolve(specs)["target"] == ArraySpec((3, 4), np.dtype("float64"))
    with pytest.raises(BindingError, match=r"'source_2': its shape is \(4, 3\), expected\s+\(3, 4\)"):
        sum_of(2).resolve(specs | {"source_2": ArraySpec((4, 3), np.dtype("int64"))})


def test_a_weight_of_zero_leaves_its_source_out() -> None:
    target = np.full(2, 7.0)
    bad = np.full(2, np.nan)
    sum_of(2)(bad, np.ones(2), target, weight_1=0.0, weight_2=2.0)
    assert target.tolist() == [2, 2]
    sum_of(2)(np.ones(2), bad, target, weight_1=1.0, weight_2=0.0)
    assert target.tolist() == [1, 1]
    with pytest.raises(ValueError, match="different sizes"):
        sum_of(2)(np.ones(2), np.ones(3), target, weight_1=1.0, weight_2=1.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_joining_is_concatenating(axis: int) -> None:
    shapes = [[2, 3, 4] for _ in range(3)]
    for k, shape in enumerate(shapes):
        shape[axis] += k
    sources = [image(*shape) + 100 * k for k, shape in enumerate(shapes)]
    wanted = np.concatenate(sources, axis=axis)
    target = np.zeros(wanted.shape, np.float32)
    join_of(3)(*sources, target, outer=int(np.prod([2, 3, 4][:axis])))
    assert target.tolist() == wanted.tolist()


def test_what_cannot_be_joined_or_added() -> None:
    with pytest.raises(ValueError, match="as many elements"):
        join_of(2)(image(2), image(2), np.zeros(5, np.float32), outer=1)
    for outer in (0, 3):
        with pytest.raises(ValueError, match="so many rows"):
            join_of(2)(image(2), image(2), np.zeros(4, np.float32), outer=outer)
    for n in (1, MOST + 1):
        for unit in (join_of, sum_of):
            with pytest.raises(UsageError, match="expected 2 to 16"):
                unit(n)


def test_means_keep_their_digits() -> None:
    for dtypes, wanted in [
        (["uint8"], "float32"),
        (["float32", "uint16"], "float32"),
        (["int32"], "float64"),
        (["float64", "uint8"], "float64"),
        (["complex64", "float32"], "complex64"),
    ]:
        assert mean_dtype(*map(np.dtype, dtypes)) == np.dtype(wanted)


def test_the_clock_counts() -> None:
    ticks = np.zeros(1, np.int64)
    for k in range(1, 4):
        clock(ticks)
        assert ticks[0] == k


@pytest.mark.parametrize("uniform", [False, True])
def test_noise_has_mean_and_deviation(uniform: bool) -> None:
    values, again, other = (np.zeros(20_000) for _ in range(3))
    given = {"mean": 5.0, "sigma": 2.0, "uniform": uniform}
    noise(values, np.zeros(2, np.uint64), **given, seed=1)
    noise(again, np.zeros(2, np.uint64), **given, seed=1)
    noise(other, np.zeros(2, np.uint64), **given, seed=2)
    assert values.tolist() == again.tolist()
    for one in (values, other):
        assert one.mean() == pytest.approx(5.0, abs=0.06)
        assert one.std() == pytest.approx(2.0, abs=0.06)
        assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.03
    assert abs(np.corrcoef(values, other)[0, 1]) < 0.03
    kurtosis = ((values - values.mean()) ** 4).mean() / values.var() ** 2
    assert kurtosis == pytest.approx(1.8 if uniform else 3.0, abs=0.2)


def test_noise_goes_on_from_frame_to_frame_and_begins_anew_with_a_new_seed() -> None:
    state = np.zeros(2, np.uint64)
    frames = []
    for seed in (1, 1, 2, 1):
        frame = np.zeros(4)
        noise(frame, state, mean=0.0, sigma=1.0, uniform=False, seed=seed)
        frames.append(frame.tolist())
    assert frames[0] != frames[1]
    assert frames[3] == frames[0]


def test_whole_noise_stays_within_its_type() -> None:
    values = np.zeros(1000, np.uint8)
    whole_noise(values, np.zeros(2, np.uint64), mean=128.0, sigma=1e4, uniform=False, seed=0)
    assert {0, 255} <= set(values.tolist())
    assert ((values == 0) | (values == 255)).mean() > 0.9
    whole_noise(values, np.zeros(2, np.uint64), mean=128.0, sigma=3.0, uniform=False, seed=0)
    assert values.mean() == pytest.approx(128.0, abs=0.5)
