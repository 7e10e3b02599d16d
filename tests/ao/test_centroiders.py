from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike, NDArray

from framebus.ao import (
    box_flux,
    brightest_centroids,
    centroids,
    correlation_centroids,
    cut_templates,
    find_subapertures,
    fourier_centroids,
    gaussian_weights,
    regular_grid,
    weighted_centroids,
    weighting_gain,
    windowed_centroids,
)
from framebus.errors import BindingError
from framebus.unit import ArraySpec, FunctionUnit
from support.run_unit import Bench

RNG = np.random.default_rng(7)
FLOAT = np.dtype("float32")
UNITS = [
    centroids,
    weighted_centroids,
    windowed_centroids,
    brightest_centroids,
    correlation_centroids,
    fourier_centroids,
]
NAMES = [unit.name for unit in UNITS]


def patterns(unit: FunctionUnit, boxes: NDArray[np.int32], size: int, fwhm: float = 3.0) -> dict[str, Any]:
    """Weights or a template: a Gaussian in the middle of ``size`` pixels."""
    one = gaussian_weights(np.array([[0, 0, size, size]]), fwhm)
    names = {a.name for a in unit.inputs()} & {"weights", "template"}
    return dict.fromkeys(names, one)


def measure(
    unit: FunctionUnit,
    pixels: NDArray[Any],
    boxes: ArrayLike,
    reference: ArrayLike | None = None,
    *,
    compiled: bool = True,
    pattern: NDArray[np.float32] | None = None,
    **parameters: Any,
) -> NDArray[np.float32]:
    places = np.array(boxes, "int32").reshape(-1, 4)
    zero = np.zeros(2 * len(places), "float32") if reference is None else np.array(reference, "float32")
    inputs = {"pixels": pixels, "boxes": places}
    size = int(np.clip(places[0, 2], 3, 32))
    given = patterns(unit, places, size)
    if pattern is not None:
        given = dict.fromkeys(given, pattern)
    bench = Bench(unit, inputs | given | {"reference": zero}, compiled=compiled, **parameters)
    bench.step()
    return bench["slopes"]


def spots(
    boxes: NDArray[np.int32], shifts: NDArray[Any], shape: tuple[int, int], width: float = 1.2
) -> NDArray[np.float32]:
    """Gaussian spots of height 1, one in each box, moved from its middle by (x, y)."""
    y, x = np.indices(shape)
    image = np.zeros(shape)
    for (top, left, height, wide), (dx, dy) in zip(boxes.tolist(), shifts, strict=True):
        at_y, at_x = top + (height - 1) / 2 + dy, left + (wide - 1) / 2 + dx
        mine = (y >= top) & (y < top + height) & (x >= left) & (x < left + wide)
        image += mine * np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / (2 * width**2))
    return image.astype("float32")


# ---- what all of them keep -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=NAMES)
@pytest.mark.parametrize("size", [8, 11, 16])
def test_a_symmetric_spot_in_the_middle_reads_zero(unit: FunctionUnit, size: int) -> None:
    boxes = regular_grid(3, size)
    for width in (0.7, 1.2, 2.0):
        image = 1000 * spots(boxes, np.zeros((9, 2)), (3 * size, 3 * size), width)
        np.testing.assert_allclose(measure(unit, image, boxes), 0.0, atol=2e-5)


@pytest.mark.parametrize("unit", UNITS, ids=NAMES)
def test_a_symmetric_spot_off_the_middle_reads_its_shift_by_whole_and_half_pixels(unit: FunctionUnit) -> None:
    boxes = regular_grid(3, 16)
    shifts = np.array([(x, y) for y in (-1.0, 0.0, 0.5) for x in (-0.5, 1.0, 1.5)])
    image = 1000 * spots(boxes, shifts, (48, 48))
    wide = {"gain": weighting_gain(4.0, 1.2 * 2.3548)} if unit is weighted_centroids else {}
    given = gaussian_weights(np.array([[0, 0, 16, 16]]), 4.0)
    options: dict[str, Any] = {"window": 9.0, "iterations": 10} if unit is windowed_centroids else wide
    if unit is brightest_centroids:
        options = {"n_brightest": 60}
    measured = measure(unit, image, boxes, pattern=given, **options)
    # Truth, not another estimate: the light outside a box of 16 is below 1e-4 of a spot of width 1.2.
    np.testing.assert_allclose(measured, shifts.T.ravel(), atol=2e-3)


@pytest.mark.parametrize("unit", UNITS, ids=NAMES)
def test_any_shift_is_found_within_the_method_s_error(unit: FunctionUnit) -> None:
    boxes = regular_grid(8, 16)
    shifts = RNG.uniform(-1.5, 1.5, (64, 2))
    image = 1000 * spots(boxes, shifts, (128, 128), 1.5)
    options: dict[str, Any] = {}
    if unit is weighted_centroids:
        options = {"gain": weighting_gain(3.0, 1.5 * 2.3548)}
    if unit is windowed_centroids:
        options = {"window": 8.0, "iterations": 10}
    if unit is brightest_centroids:
        options = {"n_brightest": 40}
    measured = measure(unit, image, boxes, **options)
    # A parabola through three points of a Gaussian of variance s^2 is off by at most about 0.03 / s^2; the
    # level of the brightest pixels cuts an uneven edge.
    np.testing.assert_allclose(measured, shifts.T.ravel(), atol=0.03)


@pytest.mark.parametrize("unit", UNITS, ids=NAMES)
def test_the_reference_is_subtracted(unit: FunctionUnit) -> None:
    boxes = regular_grid(2, 8)
    image = 100 * spots(boxes, RNG.uniform(-0.5, 0.5, (4, 2)), (16, 16))
    reference = RNG.normal(size=8)
    plain = measure(unit, image, boxes)
    np.testing.assert_allclose(measure(unit, image, boxes, reference), plain - reference, atol=1e-5)
    reference[3] = np.nan
    assert measure(unit, image, boxes, reference)[3] == 0.0


BAD = {
    "dark": np.zeros((8, 8)),
    "all NaN": np.full((8, 8), np.nan),
    "an infinite pixel": np.where(np.arange(64).reshape(8, 8) == 20, np.inf, 1.0),
    "minus infinity": np.full((8, 8), -np.inf),
    "negative": np.full((8, 8), -5.0),
    "brighter than float32 can sum": np.full((8, 8), 3e38),
    "faint": np.full((8, 8), 1e-3),
}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("unit", UNITS, ids=NAMES)
def test_bad_light_is_never_a_slope_that_is_no_number(unit: FunctionUnit, compiled: bool) -> None:
    image = np.hstack(list(BAD.values())).astype("float32")
    boxes = regular_grid((1, len(BAD)), 8)
    measured = measure(
        unit, image, boxes, np.full(2 * len(BAD), 0.25), min_flux=1.0, compiled=compiled
    ).reshape(2, -1)
    names = list(BAD)
    assert np.isfinite(measured).all()
    zero = [
        i for i, name in enumerate(names) if name != "an infinite pixel" or unit is not weighted_centroids
    ]
    np.testing.assert_array_equal(measured[:, zero], 0.0)


@pytest.mark.parametrize("unit", UNITS, ids=NAMES)
def test_nan_pixels_count_as_dark(unit: FunctionUnit) -> None:
    boxes = regular_grid(1, 8)
    dark = 50 * spots(boxes, np.array([[0.3, -0.2]]), (8, 8))
    dark[:2] = 0.0
    broken = dark.copy()
    broken[:2] = np.nan
    np.testing.assert_allclose(measure(unit, broken, boxes), measure(unit, dark, boxes), atol=1e-6)


@pytest.mark.parametrize("unit", UNITS, ids=NAMES)
def test_camera_counts_do_as_well_as_floats(unit: FunctionUnit) -> None:
    boxes = regular_grid(1, 8)
    counts = RNG.integers(0, 4000, (8, 8)).astype("uint16")
    once = measure(unit, counts, boxes, compiled=False)
    np.testing.assert_allclose(once, measure(unit, counts.astype("float32"), boxes), atol=1e-4)


EXTREMES = st.one_of(
    st.sampled_from([-(2**31), 2**31 - 1, -1, 0, 1, 22, 23]), st.integers(-(2**31), 2**31 - 1)
)


@settings(max_examples=60)
@given(
    boxes=hnp.arrays("int32", st.tuples(st.integers(1, 6), st.just(4)), elements=EXTREMES),
    unit=st.sampled_from([*UNITS[1:], box_flux]),
)
def test_no_content_of_boxes_reaches_outside(boxes: NDArray[np.int32], unit: FunctionUnit) -> None:
    pixels = np.ones((17, 23), "float32")
    arrays = {"pixels": pixels, "boxes": boxes, **patterns(unit, boxes, 5)}
    if unit is not box_flux:
        arrays["reference"] = np.zeros(2 * len(boxes), "float32")
    bench = Bench(unit, arrays)
    bench.step()
    assert np.isfinite(bench["flux" if unit is box_flux else "slopes"]).all()


@pytest.mark.parametrize("unit", UNITS[1:], ids=NAMES[1:])
def test_shapes_are_checked(unit: FunctionUnit) -> None:
    specs = {
        "pixels": ArraySpec((40, 48), np.dtype("uint16")),
        "boxes": ArraySpec((9, 4), np.dtype("int32")),
        "reference": ArraySpec((18,), FLOAT),
    }
    extra = {a.name for a in unit.inputs()} - set(specs)
    specs |= {name: ArraySpec((9, 8, 8), FLOAT) for name in extra}
    specs = {a.name: specs[a.name] for a in unit.inputs()}
    assert unit.resolve(specs)["slopes"] == ArraySpec((18,), FLOAT)
    with pytest.raises(BindingError, match=r"'reference'.*\(17,\).*expected \(18,\)"):
        unit.resolve(specs | {"reference": ArraySpec((17,), FLOAT)})
    with pytest.raises(BindingError, match="'boxes'"):
        unit.resolve(specs | {"boxes": ArraySpec((9, 3), np.dtype("int32"))})
    for name in extra:
        with pytest.raises(BindingError, match=rf"'{name}'.*5 patterns; expected 1 for all boxes, or 9"):
            unit.resolve(specs | {name: ArraySpec((5, 8, 8), FLOAT)})


# ---- each against a plain model, on boxes anywhere -----------------------------------------------------------------

BOXES = hnp.arrays("int32", st.tuples(st.integers(1, 6), st.just(4)), elements=st.integers(-8, 28))
FRAME = np.random.default_rng(3).integers(0, 4000, (17, 23)).astype("float32")


def part_of(box: list[int], frame: NDArray[Any] = FRAME) -> tuple[NDArray[Any], ...]:
    """The light of a box in the frame, and its y and x from the box's first pixel."""
    top, left, height, width = box
    y, x = np.arange(frame.shape[0]) - top, np.arange(frame.shape[1]) - left
    rows, columns = (y >= 0) & (y < height), (x >= 0) & (x < width)
    return frame[np.ix_(rows, columns)].astype(float), y[rows].astype(float), x[columns].astype(float)


def gravity(light: NDArray[Any], y: NDArray[Any], x: NDArray[Any], box: list[int]) -> tuple[float, float]:
    """X and y of the centre of gravity from the middle of the box; 0 without light."""
    if not light.sum() > 0:
        return 0.0, 0.0
    across = (light.sum(0) @ x) / light.sum() - (box[3] - 1) / 2
    down = (light.sum(1) @ y) / light.sum() - (box[2] - 1) / 2
    return float(across), float(down)


def expect(boxes: NDArray[np.int32], model: Any) -> NDArray[np.float64]:
    return np.array([model(k, box) for k, box in enumerate(boxes.tolist())]).T.ravel()


@settings(max_examples=60)
@given(boxes=BOXES)
def test_weighted_agrees_with_its_definition(boxes: NDArray[np.int32]) -> None:
    weights = np.random.default_rng(4).random((len(boxes), 9, 12)).astype("float32")

    def model(k: int, box: list[int]) -> tuple[float, float]:
        light, y, x = part_of(box)
        light, y, x = light[y < 9][:, x < 12], y[y < 9], x[x < 12]
        weighted = weights[k][np.ix_(y.astype(int), x.astype(int))] * (light - 100.0)
        if not weighted.sum() > 50:
            return 0.0, 0.0
        across, down = gravity(weighted, y, x, box)
        return 1.5 * across, 1.5 * down

    measured = measure(
        weighted_centroids, FRAME, boxes, pattern=weights, background=100.0, gain=1.5, min_flux=50.0
    )
    np.testing.assert_allclose(measured, expect(boxes, model), atol=2e-3)


@settings(max_examples=60)
@given(boxes=BOXES, window=st.floats(1.0, 12.0), iterations=st.integers(1, 4))
def test_windowed_agrees_with_its_definition(
    boxes: NDArray[np.int32], window: float, iterations: int
) -> None:
    def model(_: int, box: list[int]) -> tuple[float, float]:
        light, y, x = part_of(box)
        if light.size == 0:
            return 0.0, 0.0
        where = np.argwhere(light == light.max()).mean(0)
        at_y, at_x = where[0] + y[0], where[1] + x[0]
        for _ in range(iterations):
            share_y = np.clip(window / 2 + 0.5 - np.abs(y - at_y), 0, 1)
            share_x = np.clip(window / 2 + 0.5 - np.abs(x - at_x), 0, 1)
            inside = np.clip(light - 300.0, 0, None) * share_y[:, None] * share_x
            if not inside.sum() > 0:
                return 0.0, 0.0
            at_x, at_y = (inside.sum(0) @ x) / inside.sum(), (inside.sum(1) @ y) / inside.sum()
        return at_x - (box[3] - 1) / 2, at_y - (box[2] - 1) / 2

    measured = measure(
        windowed_centroids, FRAME, boxes, threshold=300.0, window=window, iterations=iterations
    )
    np.testing.assert_allclose(measured, expect(boxes, model), atol=2e-3)


@settings(max_examples=60)
@given(boxes=BOXES, n=st.integers(1, 80))
def test_brightest_agrees_with_its_definition(boxes: NDArray[np.int32], n: int) -> None:
    def model(_: int, box: list[int]) -> tuple[float, float]:
        light, y, x = part_of(box)
        ranked = np.sort(light.ravel())[::-1]
        level = max(700.0, float(ranked[n])) if n < ranked.size else 700.0
        return gravity(np.clip(light - level, 0, None), y, x, box)

    measured = measure(brightest_centroids, FRAME, boxes, n_brightest=n, threshold=700.0)
    np.testing.assert_allclose(measured, expect(boxes, model), atol=1e-3)


@settings(max_examples=60)
@given(
    values=hnp.arrays("float32", st.integers(2, 60), elements=st.integers(0, 9).map(float)), data=st.data()
)
def test_brightest_sorts_equal_pixels_well(values: NDArray[np.float32], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, values.size))
    ranked = np.sort(values)[::-1]
    light = np.clip(values - (ranked[n] if n < ranked.size else 0.0), 0, None)
    x = np.arange(values.size) - (values.size - 1) / 2
    expected = light @ x / light.sum() if light.sum() > 0 else 0.0
    measured = measure(brightest_centroids, values[None], [[0, 0, 1, values.size]], n_brightest=n)
    np.testing.assert_allclose(measured, [expected, 0.0], atol=1e-4)


def test_pixels_as_bright_as_the_next_one_do_not_count() -> None:
    pixels = np.array([[9.0, 5.0, 5.0, 5.0, 1.0, 0.0]], "float32")
    np.testing.assert_allclose(
        measure(brightest_centroids, pixels, [[0, 0, 1, 6]], n_brightest=2), [-2.5, 0.0], atol=1e-6
    )


@settings(max_examples=60)
@given(boxes=BOXES)
def test_flux_is_the_light_of_a_box(boxes: NDArray[np.int32]) -> None:
    bench = Bench(box_flux, {"pixels": FRAME, "boxes": boxes}, threshold=900.0)
    bench.step()
    expected = [np.clip(part_of(box)[0] - 900.0, 0, None).sum() for box in boxes.tolist()]
    np.testing.assert_allclose(bench["flux"], expected, rtol=1e-5)


def test_flux_without_light_is_zero() -> None:
    image = np.hstack(list(BAD.values())).astype("float32")
    flux = {}
    for compiled in (True, False):
        bench = Bench(box_flux, {"pixels": image, "boxes": regular_grid((1, len(BAD)), 8)}, compiled=compiled)
        bench.step()
        flux[compiled] = bench["flux"]
    np.testing.assert_array_equal(flux[True][:-1], 0.0)
    np.testing.assert_allclose(flux[True], flux[False], rtol=1e-5)
    assert flux[True][-1] == pytest.approx(0.064, rel=1e-5)


# ---- noise ---------------------------------------------------------------------------------------------------------


def scatter(unit: FunctionUnit, frame: NDArray[Any], size: int, **options: Any) -> float:
    """Variance of the slopes of a frame that is one row of boxes, pixels squared."""
    boxes = regular_grid((frame.shape[0] // size, frame.shape[1] // size), size)
    slopes = measure(unit, frame.astype("float32"), boxes, **options)
    return float(slopes.var())


def many_spots(size: int, width: float) -> NDArray[np.float64]:
    """6400 equal spots of light 1, so that a variance is known to 1.3 %."""
    one = spots(regular_grid(1, size), np.zeros((1, 2)), (size, size), width).astype(float)
    return np.tile(one / one.sum(), (80, 80))


@pytest.mark.parametrize("unit", [centroids, weighted_centroids], ids=["centroids", "weights of 1"])
def test_photon_noise_is_that_of_theory(unit: FunctionUnit) -> None:
    # Rousset 1999, Thomas 2006 eq. 5: a Gaussian spot of width s and N photons scatters by s^2 / N pixels^2.
    width, photons = 1.3, 2000.0
    frame = np.random.default_rng(11).poisson(photons * many_spots(12, width))
    ones = np.ones((1, 12, 12), "float32")
    assert scatter(unit, frame, 12, pattern=ones) == pytest.approx(width**2 / photons, rel=0.10)


@pytest.mark.parametrize("size", [6, 8, 12])
def test_read_noise_is_that_of_theory(size: int) -> None:
    # sigma^2 / N^2 sum(x^2) over the box: sigma^2 n^2 (n^2 - 1) / (12 N^2) for n x n pixels (Rousset 1999).
    photons, noise = 20_000.0, 15.0
    frame = photons * many_spots(size, 1.0) + np.random.default_rng(12).normal(
        0, noise, (80 * size, 80 * size)
    )
    expected = noise**2 * size**2 * (size**2 - 1) / 12 / photons**2
    ones = np.ones((1, size, size), "float32")
    assert scatter(weighted_centroids, frame, size, pattern=ones) == pytest.approx(expected, rel=0.10)


def test_read_noise_of_centroids_over_a_background_that_nothing_clips() -> None:
    # The threshold is far below the noise: sum(x^2) sigma^2 over the whole light, background included.
    photons, noise, background, size = 50_000.0, 15.0, 100.0, 8
    frame = photons * many_spots(size, 1.0) + background
    frame += np.random.default_rng(13).normal(0, noise, frame.shape)
    expected = noise**2 * size**2 * (size**2 - 1) / 12 / (photons + background * size**2) ** 2
    assert scatter(centroids, frame, size) == pytest.approx(expected, rel=0.10)


def test_photon_and_read_noise_add_up() -> None:
    photons, noise, width, size = 3000.0, 5.0, 1.2, 10
    generator = np.random.default_rng(14)
    frame = generator.poisson(photons * many_spots(size, width)) + generator.normal(0, noise, (800, 800))
    expected = width**2 / photons + noise**2 * size**2 * (size**2 - 1) / 12 / photons**2
    ones = np.ones((1, size, size), "float32")
    assert scatter(weighted_centroids, frame, size, pattern=ones) == pytest.approx(expected, rel=0.10)


def test_weights_take_noise_away_as_theory_says() -> None:
    # Gaussian spot and weights of widths s and w, gain g = (w^2 + s^2) / w^2; with 1/v = 1/s^2 + 1/w^2 and
    # 1/u = 1/s^2 + 2/w^2 the signal is N v / s^2 and photon noise g^2 N u^2 / s^2 over its square;
    # read noise sigma^2 pi w^4 / 2 in place of N u^2 / s^2. (Gaussian integrals of Thomas 2006, section 3.)
    photons, noise, s, w, size = 3000.0, 8.0, 1.3, 2.0, 16
    generator = np.random.default_rng(15)
    frame = generator.poisson(photons * many_spots(size, s)) + generator.normal(0, noise, (1280, 1280))
    fwhm, spot = 2.3548 * w, 2.3548 * s
    gain = weighting_gain(fwhm, spot)
    v, u = 1 / (1 / s**2 + 1 / w**2), 1 / (1 / s**2 + 2 / w**2)
    signal = photons * v / s**2
    expected = gain**2 * (photons * u**2 / s**2 + noise**2 * np.pi * w**4 / 2) / signal**2
    weights = gaussian_weights(np.array([[0, 0, size, size]]), fwhm)
    measured = scatter(weighted_centroids, frame, size, pattern=weights, gain=gain)
    assert measured == pytest.approx(expected, rel=0.10)
    plain = scatter(weighted_centroids, frame, size, pattern=np.ones((1, size, size), "float32"))
    assert measured < 0.3 * plain


@pytest.mark.parametrize("unit", UNITS[2:], ids=NAMES[2:])
def test_methods_for_faint_spots_beat_the_plain_one_and_have_no_bias(unit: FunctionUnit) -> None:
    photons, noise, size = 1500.0, 10.0, 16
    generator = np.random.default_rng(16)
    frame = generator.poisson(photons * many_spots(size, 1.2)) + generator.normal(100, noise, (1280, 1280))
    boxes = regular_grid(80, size)
    options: dict[str, Any] = {} if unit is brightest_centroids else {"threshold": 100.0}
    slopes = measure(unit, frame.astype("float32"), boxes, **options)
    plain = measure(centroids, frame.astype("float32"), boxes, threshold=100.0)
    assert slopes.std() < 0.5 * plain.std()
    assert abs(slopes.mean()) < 4 * slopes.std() / np.sqrt(slopes.size)


# ---- measured frames -----------------------------------------------------------------------------------------------


def test_all_agree_on_the_real_aberrated_frame(shared_data: Any) -> None:
    def read(name: str) -> NDArray[np.float64]:
        return np.asarray(fits.getdata(shared_data / "shwfs" / f"{name}.fits"), float)

    dark = read("dark")
    flat, bent = read("reference") - dark, read("aberrated") - dark
    found = find_subapertures(flat)
    assert len(found) == 127
    level = found.background + 10 * found.noise
    side = int(found.boxes[:, 2:].min())
    boxes = found.boxes.copy()
    boxes[:, :2] += (boxes[:, 2:] - side) // 2
    boxes[:, 2:] = side
    templates = cut_templates(flat, boxes, threshold=level)
    small = cut_templates(flat, boxes, 20 + side % 2, threshold=level)
    options: dict[str, dict[str, Any]] = {
        "centroids": {"threshold": level},
        "weighted_centroids": {"background": found.background, "pattern": gaussian_weights(boxes, 20.0)},
        "windowed_centroids": {"threshold": level, "window": 16.0, "iterations": 5},
        "brightest_centroids": {"n_brightest": 60},
        "correlation_centroids": {"threshold": level, "pattern": small, "reach": 8},
        "fourier_centroids": {"threshold": level, "pattern": templates},
    }
    moved = {}
    for unit in UNITS:
        given = options[unit.name]
        rest = measure(unit, flat.astype("float32"), boxes, **given)
        slopes = measure(unit, bent.astype("float32"), boxes, rest, **given)
        assert np.isfinite(slopes).all()
        assert 0.3 < slopes.std() < 1.5
        assert np.abs(slopes).max() < 6.0
        moved[unit.name] = slopes
    usual = np.median(list(moved.values()), axis=0)
    for name, slopes in moved.items():
        assert np.corrcoef(slopes, usual)[0, 1] > 0.95, name
        assert np.polyfit(usual, slopes, 1)[0] == pytest.approx(1.0, abs=0.25), name
