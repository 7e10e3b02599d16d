"""Slices against a model that loops over pixels, one at a time, in plain Python."""

from __future__ import annotations

import contextlib
import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from framebus.errors import NameFormatError, UsageError
from framebus.stream.slices import AxisSlice, Slices

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float16", "float32", "float64", "complex64", "complex128"]

indices = st.none() | st.integers(-7, 7)
axis_slices = st.builds(AxisSlice, indices, indices, st.integers(-4, 4).filter(bool), st.booleans())
slices_of_3 = st.lists(axis_slices, min_size=1, max_size=3).map(lambda axes: Slices(tuple(axes)))
shapes = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)


def model_axis(entry: AxisSlice, size: int) -> list[list[int]] | None:
    """The source indices of each output index, or None where the slice does not fit."""
    down = entry.step < 0
    first = entry.first if entry.first is not None else (size - 1 if down else 0)
    last = entry.last if entry.last is not None else (0 if down else size - 1)
    ends = []
    for index in (first, last):
        if index < 0:
            index += size
        if not 0 <= index < size:
            return None
        ends.append(index)
    first, last = ends
    if down and first < last:
        return None
    walk = list(range(first, last + 1)) if first <= last else list(reversed(range(last, first + 1)))
    groups: list[list[int]] = []
    if entry.binned:
        while len(walk) >= abs(entry.step):
            groups.append(walk[: abs(entry.step)])
            walk = walk[abs(entry.step) :]
    else:
        groups = [[index] for number, index in enumerate(walk) if number % abs(entry.step) == 0]
    return groups or None


def model_groups(slices: Slices, shape: tuple[int, ...]) -> list[list[list[int]]] | None:
    """``model_axis`` of every NumPy axis."""
    entries = list(slices.axes) + [AxisSlice()] * (len(shape) - len(slices.axes))
    if len(entries) > len(shape):
        return None
    groups = [model_axis(entry, size) for entry, size in zip(reversed(entries), shape, strict=True)]
    if any(group is None for group in groups):
        return None
    return [group for group in groups if group is not None]


def nearest(value: Fraction) -> int:
    return round(value)  # Python rounds a Fraction exactly, halves to even


def read_model(array: npt.NDArray[Any], groups: list[list[list[int]]]) -> npt.NDArray[Any]:
    out = np.zeros([len(group) for group in groups], array.dtype)
    for place in np.ndindex(*out.shape):
        sources = list(itertools.product(*(group[i] for group, i in zip(groups, place, strict=True))))
        if len(sources) == 1:
            out[place] = array[sources[0]]
        elif array.dtype.kind in "iu":
            out[place] = nearest(Fraction(sum(int(array[source]) for source in sources), len(sources)))
        else:
            out[place] = sum(
                complex(array[s]) if array.dtype.kind == "c" else float(array[s]) for s in sources
            ) / len(sources)
    return out


@st.composite
def arrays(draw: st.DrawFn, dtypes: list[str]) -> npt.NDArray[Any]:
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    elements: st.SearchStrategy[Any] | None = None
    if dtype.kind in "fc":
        elements = st.integers(-1000, 1000)
    return draw(hnp.arrays(dtype, draw(shapes), elements=elements))


@given(arrays(INTEGERS + FLOATS), slices_of_3)
def test_reads_what_the_model_reads(array: npt.NDArray[Any], slices: Slices) -> None:
    before = array.copy()
    groups = model_groups(slices, array.shape)
    if groups is None:
        for refused in (lambda: slices.apply(array), lambda: slices.shape(array.shape)):
            with pytest.raises(NameFormatError):
                refused()
        return
    result = slices.apply(array)
    expected = read_model(array, groups)
    assert result.shape == expected.shape == slices.shape(array.shape)
    assert result.dtype == array.dtype
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, array)
    if array.dtype.kind in "iu":
        np.testing.assert_array_equal(result, expected)
    else:
        np.testing.assert_allclose(result, expected, rtol=2 * float(np.finfo(array.dtype).eps))
    np.testing.assert_array_equal(array, before)


# Of slices drawn apart from the array many do not fit it, and some runs begin with many of those.
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(arrays(INTEGERS + FLOATS), slices_of_3, st.data())
def test_writes_where_the_model_reads(array: npt.NDArray[Any], slices: Slices, data: st.DataObject) -> None:
    groups = model_groups(slices, array.shape)
    assume(groups is not None)
    assert groups is not None
    values = data.draw(
        hnp.arrays(array.dtype, slices.shape(array.shape), elements=st.integers(0, 100)), label="values"
    )
    expected = array.copy()
    for place in np.ndindex(*values.shape):
        for source in itertools.product(*(group[i] for group, i in zip(groups, place, strict=True))):
            expected[source] = values[place]
    slices.assign(array, values)
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(slices.apply(array), values)


@given(slices_of_3)
def test_the_canonical_text_parses_back_equal(slices: Slices) -> None:
    assert Slices.parse(str(slices)) == slices


@given(st.one_of(st.text(), st.text("[]*-0123456789,:bB ").map(lambda inside: f"[{inside}]")))
@example("[" + "1" * 5000 + "]")
@example("[٣]")  # a digit, but not an ASCII one
@example("")
def test_any_text_parses_or_says_why(text: str) -> None:
    try:
        slices = Slices.parse(text)
    except NameFormatError:
        return
    assert Slices.parse(str(slices)) == slices
    with contextlib.suppress(NameFormatError):
        assert slices.apply(np.arange(24).reshape(2, 3, 4)).shape == slices.shape((2, 3, 4))


@given(st.sampled_from(["int64", "uint64", "int8", "uint8"]), st.integers(1, 7), st.data())
def test_integer_means_are_exact_at_the_limits(dtype: str, size: int, data: st.DataObject) -> None:
    limits = np.iinfo(dtype)
    extreme = st.sampled_from([limits.min, limits.min + 1, limits.max - 1, limits.max, 0, 1])
    pixels = data.draw(st.lists(extreme, min_size=size, max_size=size))
    mean = Slices.parse(f"[::{size}b]").apply(np.array(pixels, dtype))
    assert int(mean[0]) == nearest(Fraction(sum(pixels), size))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[*]", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("[-*]", [7, 6, 5, 4, 3, 2, 1, 0]),
        ("[3]", [3]),
        ("[-1]", [7]),
        ("[2:4]", [2, 3, 4]),
        ("[ 2:4 ]", [2, 3, 4]),
        ("[4:2]", [4, 3, 2]),
        ("[-3:-1]", [5, 6, 7]),
        ("[5:]", [5, 6, 7]),
        ("[:2]", [0, 1, 2]),
        ("[:]", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("[::2]", [0, 2, 4, 6]),
        ("[::-1]", [7, 6, 5, 4, 3, 2, 1, 0]),
        ("[1:6:2]", [1, 3, 5]),
        ("[1:6::2]", [1, 3, 5]),
        ("[6:1:2]", [6, 4, 2]),
        ("[6:1:-2]", [6, 4, 2]),
        ("[::4b]", [2, 6]),  # means 1.5 and 5.5, halves to even
        ("[::4B]", [2, 6]),
        ("[1:7:2b]", [2, 4, 6]),  # 1.5, 3.5, 5.5; index 7 alone makes no bin
        ("[7:0:4b]", [6, 2]),
    ],
)
def test_one_axis(text: str, expected: list[int]) -> None:
    assert Slices.parse(text).apply(np.arange(8)).tolist() == expected


def test_the_first_axis_is_x() -> None:
    image = np.arange(6).reshape(2, 3)
    assert Slices.parse("[0]").apply(image).tolist() == [[0], [3]]
    assert Slices.parse("[*,1]").apply(image).tolist() == [[3, 4, 5]]
    assert Slices.parse("[,1]") == Slices.parse("[*,1]")
    assert Slices.parse("[10:29,-*,*]").shape((4, 5, 30)) == (4, 5, 20)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("[:]", "[*]"),
        ("[::-1]", "[-*]"),
        ("[3:3]", "[3]"),
        ("[1:6::2]", "[1:6:2]"),
        ("[0:99::4B, 5:,:7]", "[0:99:4b,5:,:7]"),
        ("[1:2:1]", "[1:2]"),
        ("[,]", "[*,*]"),
    ],
)
def test_canonical_texts(text: str, canonical: str) -> None:
    assert str(Slices.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"character 1: expected '\['"),
        ("1:2", r"character 1: expected '\['"),
        ("[1:2", r"character 4: the slice does not end"),
        ("[", "character 2: empty slice|character 1: the slice does not end"),
        ("[1]x", "character 4: the slice does not end"),
        ("[]", "character 2: empty slice"),
        ("[  ]", "character 2: empty slice"),
        ("[1,2,3,4]", "character 8: a slice for axis 4; expected at most 3"),
        ("[*, a]", r"character 5: 'a' is not a slice of an axis; expected '\*', '-\*', an index"),
        ("[1:2:]", "'1:2:' is not a slice"),
        ("[1:2:3:4]", "is not a slice"),
        ("[1.5]", "is not a slice"),
        ("[+1]", "is not a slice"),
        ("[1 2]", "is not a slice"),
        ("[4b]", "is not a slice"),
        ("[**]", "is not a slice"),
        ("[[1]]", "is not a slice"),
        ("[1:5:0]", "character 2: step 0"),
        ("[*,::0b]", "character 4: step 0"),
        ("[12345678901]", "longer than any axis"),
    ],
)
def test_bad_texts(text: str, reason: str) -> None:
    with pytest.raises(NameFormatError, match=reason):
        Slices.parse(text)


@pytest.mark.parametrize(
    ("text", "shape", "reason"),
    [
        ("[*,*]", (5,), r"\[\*,\*\] has 2 axes.*shape \(5,\) has 1; leave out 1"),
        (
            "[0:20]",
            (20,),
            r"axis 0 \(x\) '0:20': index 20 is outside the axis of 20 pixels; expected 0 to 19",
        ),
        ("[*,-3]", (2, 9), r"axis 1 \(y\) '-3': index -3 is outside.*or -2 to -1"),
        ("[2:5:-1]", (9,), "step of -1 from 2 never comes to 5"),
        ("[0:2:4b]", (9,), "3 pixels hold no bin of 4; expected a bin of at most 3"),
        ("[*]", (0,), "the axis is empty"),
    ],
)
def test_slices_that_do_not_fit(text: str, shape: tuple[int, ...], reason: str) -> None:
    slices = Slices.parse(text)
    for misfit in (
        lambda: slices.shape(shape),
        lambda: slices.apply(np.zeros(shape)),
        lambda: slices.assign(np.zeros(shape), 0),
    ):
        with pytest.raises(NameFormatError, match=reason):
            misfit()


def test_slices_made_by_hand_are_checked() -> None:
    with pytest.raises(NameFormatError, match="step is 0"):
        AxisSlice(step=0)
    with pytest.raises(NameFormatError, match="0 axes"):
        Slices(())


def test_not_a_number_stays_in_its_bin() -> None:
    mean = Slices.parse("[::2b]").apply(np.array([np.nan, 1, 2, 4, np.inf, 1, np.inf, -np.inf], "float32"))
    np.testing.assert_array_equal(mean, np.array([np.nan, 3, np.inf, np.nan], "float32"))


def test_one_number_fills_the_slice() -> None:
    image = np.ones((4, 5), "uint16")
    Slices.parse("[1:3,0:1]").assign(image, 0)
    assert image.tolist() == [[1, 0, 0, 0, 1]] * 2 + [[1] * 5] * 2


def test_a_flipped_copy_onto_itself_is_safe() -> None:
    line = np.arange(6)
    Slices.parse("[-*]").assign(line, line)
    assert line.tolist() == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros(3, "uint8"), r"shape \(3,\) for the slice \[1:2\]; expected \(2,\) or one number"),
        (np.zeros((1, 2), "uint8"), r"shape \(1, 2\)"),
        (np.array([0, 256]), "from 0 to 256 do not fit uint8; expected 0 to 255"),
        (-1, "do not fit"),
        (0.5, "float64 cannot be stored as uint8"),
        (np.zeros(2, "complex64"), "cannot be stored"),
        ("ab", "cannot be stored"),
    ],
)
def test_values_that_cannot_be_written(values: Any, reason: str) -> None:
    line = np.full(4, 7, "uint8")
    with pytest.raises(UsageError, match=reason):
        Slices.parse("[1:2]").assign(line, values)
    assert line.tolist() == [7, 7, 7, 7]
