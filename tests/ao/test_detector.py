from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from framebus.ao import Amplifier, calibrate, descrambling_table, gain_map, mask_table, neighbour_table, remap
from framebus.errors import DataError, UsageError
from support.run_unit import Bench

RNG = np.random.default_rng(22)


def test_gain_makes_an_even_detector_of_an_uneven_one() -> None:
    response = RNG.uniform(0.6, 1.4, (8, 9))
    dark = RNG.uniform(90, 110, (8, 9))
    gain = gain_map(2000 * response + dark, dark)
    assert gain.dtype == np.float32
    light = 500 * response * gain
    np.testing.assert_allclose(light, 500 * np.median(response), rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, -5.0, np.nan, np.inf, -np.inf, 1e-3, 1e-300])
def test_a_pixel_that_does_not_respond_is_bad(value: float) -> None:
    flat = np.full((4, 4), 100.0)
    flat[1, 2] = value
    gain = gain_map(flat)
    assert gain[1, 2] == 0.0
    assert (np.delete(gain.ravel(), 6) == 1.0).all()


def test_a_dark_above_the_flat_makes_a_pixel_bad() -> None:
    dark = np.zeros((3, 3))
    dark[0, 0], dark[2, 2] = 101.0, np.nan
    gain = gain_map(np.full((3, 3), 100.0), dark, bad=np.eye(3))
    np.testing.assert_array_equal(gain == 0, np.eye(3, dtype=bool))


@given(
    flat=hnp.arrays("float64", (3, 4), elements=st.floats(allow_nan=True, allow_infinity=True)),
    dark=hnp.arrays("float64", (3, 4), elements=st.floats(-1e3, 1e3)),
    raw=hnp.arrays("float32", (3, 4), elements=st.floats(width=32)),
)
def test_whatever_the_flat_nothing_comes_out_that_is_no_number(
    flat: NDArray[Any], dark: NDArray[Any], raw: NDArray[Any]
) -> None:
    try:
        gain = gain_map(flat, dark, least=0.0)
    except DataError:
        assert not (np.isfinite(flat - dark) & (flat > dark)).any()
        return
    assert np.isfinite(gain).all()
    assert (gain >= 0).all()
    bench = Bench(calibrate, {"raw": raw, "dark": dark.astype("float32"), "gain": gain})
    bench.step()
    assert np.isfinite(bench["pixels"]).all()


@pytest.mark.parametrize("flat", [np.zeros((3, 3)), np.full((3, 3), -1.0), np.full((3, 3), np.nan)])
def test_a_flat_without_light_is_refused(flat: NDArray[Any]) -> None:
    with pytest.raises(DataError, match="no pixel of the flat field responds"):
        gain_map(flat)


def test_gain_refuses_other_shapes_and_shares() -> None:
    flat = np.ones((3, 4))
    with pytest.raises(UsageError, match=r"dark has shape \(4, 3\), expected \(3, 4\)"):
        gain_map(flat, flat.T)
    with pytest.raises(UsageError, match=r"map of bad pixels has shape \(4, 3\)"):
        gain_map(flat, bad=flat.T)
    for least in (-0.1, 1.0, np.nan):
        with pytest.raises(UsageError, match="least is"):
            gain_map(flat, least=least)


def test_the_neighbours_of_a_lone_bad_pixel_are_all_eight() -> None:
    bad = np.zeros((5, 6), bool)
    bad[2, 3] = True
    assert neighbour_table(bad).tolist() == [[15, 8, 9, 10, 14, 16, 20, 21, 22]]


def test_in_a_corner_and_in_a_cluster_the_square_grows_until_it_holds_enough() -> None:
    bad = np.zeros((6, 6), bool)
    bad[:2, :2] = True
    table = neighbour_table(bad)
    assert table.shape == (4, 9)
    rows = {row[0]: {i for i in row[1:] if i >= 0} for row in table.tolist()}
    assert rows[0] == {2, 8, 12, 13, 14}
    assert rows[7] == {2, 8, 14, 13, 12}
    assert neighbour_table(bad, least=1)[1].tolist() == [1, 2, 8, -1, -1, -1]


@given(bad=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)), least=st.integers(1, 9))
def test_neighbours_are_good_and_near(bad: NDArray[np.bool_], least: int) -> None:
    if bad.all():
        with pytest.raises(DataError, match="are bad"):
            neighbour_table(bad)
        return
    table = neighbour_table(bad, least=least)
    if not bad.any():
        assert table.tolist() == [[-1, -1]]
        return
    assert table[:, 0].tolist() == np.flatnonzero(bad).tolist()
    good = np.argwhere(~bad)
    for pixel, *near in table.tolist():
        found = [i for i in near if i >= 0]
        assert len(set(found)) == len(found)
        y, x = divmod(pixel, bad.shape[1])
        distance = np.abs(good - [y, x]).max(axis=1)
        reach = sorted(distance)[min(least, len(good)) - 1]
        assert sorted(found) == sorted((good[distance <= reach] @ [bad.shape[1], 1]).tolist())


def test_neighbours_want_a_picture() -> None:
    with pytest.raises(UsageError, match=r"\(3,\); expected \(height, width\)"):
        neighbour_table(np.zeros(3))
    with pytest.raises(UsageError, match="least is 0"):
        neighbour_table(np.zeros((3, 3)), least=0)


def test_a_mask_becomes_the_indices_of_its_pixels() -> None:
    table = mask_table([[0, 1, 0], [1, 0, 1]])
    assert table.dtype == np.int32
    assert table.tolist() == [1, 3, 5]
    with pytest.raises(UsageError, match="chooses no pixel"):
        mask_table(np.zeros((2, 2)))


@given(
    rows=st.integers(1, 3),
    columns=st.integers(1, 4),
    height=st.integers(1, 4),
    width=st.integers(1, 5),
    skipped=st.integers(0, 3),
    flips=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=12, max_size=12),
)
def test_a_scrambled_readout_becomes_the_picture(
    rows: int, columns: int, height: int, width: int, skipped: int, flips: list[tuple[bool, bool]]
) -> None:
    picture = RNG.integers(0, 60000, (rows * height, columns * width)).astype("uint16")
    places = [(r * height, c * width) for r in range(rows) for c in range(columns)]
    parts = [
        Amplifier(y, x, height, width, *flip)
        for (y, x), flip in zip(places, flips[: len(places)], strict=True)
    ]
    # The readout, sample by sample.
    sent = []
    for row in range(height):
        for sample in range(-skipped, width):
            for part in parts:
                y = part.y0 + (height - 1 - row if part.upwards else row)
                x = part.x0 + (width - 1 - sample if part.leftwards else sample)
                sent.append(0 if sample < 0 else picture[y, x])
    table = descrambling_table(parts, skipped=skipped)
    raw = np.array(sent, "uint16")
    bench = Bench(remap, {"frame": raw, "table": table}, compiled=False)
    bench.step()
    np.testing.assert_array_equal(bench["pixels"], picture)


@pytest.mark.parametrize(
    ("amplifiers", "message"),
    [
        ([], "0 amplifiers"),
        ([Amplifier(0, 0, 2, 2), Amplifier(0, 2, 2, 3)], "one size for all"),
        ([Amplifier(0, 0, 0, 2)], "one size for all"),
        ([Amplifier(-1, 0, 2, 2)], "outside the detector"),
        ([Amplifier(0, 0, 2, 2), Amplifier(0, 4, 2, 2)], "no gap and no overlap"),
        (
            [Amplifier(0, 0, 2, 2), Amplifier(0, 1, 2, 2), Amplifier(2, 2, 2, 2), Amplifier(2, 0, 2, 2)],
            "leave 2 pixels out",
        ),
    ],
)
def test_amplifiers_cover_the_detector_once(amplifiers: list[Amplifier], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        descrambling_table(amplifiers)
    with pytest.raises(UsageError, match="skipped"):
        descrambling_table([Amplifier(0, 0, 2, 2)], skipped=-1)
