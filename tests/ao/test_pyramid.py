from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from framebus.ao import (
    circular_pupils,
    intensities,
    load_pupils,
    mask_table,
    pyramid_slopes,
    save_pupils,
)
from framebus.errors import BindingError
from framebus.unit import ArraySpec
from support.run_unit import Bench

FLOAT = np.dtype("float32")
SHAPE = (20, 24)
PUPILS = circular_pupils(SHAPE, [(4, 5), (4, 17), (14, 5), (14, 17)], 7.0)
N = PUPILS.shape[1]


def measure(
    frame: NDArray[Any],
    pupils: NDArray[np.int32] = PUPILS,
    reference: NDArray[Any] | None = None,
    *,
    compiled: bool = True,
    **parameters: Any,
) -> NDArray[np.float32]:
    zero = np.zeros(2 * pupils.shape[1]) if reference is None else reference
    inputs = {"frame": frame, "pupils": pupils, "reference": zero.astype("float32")}
    bench = Bench(pyramid_slopes, inputs, compiled=compiled, **parameters)
    bench.step()
    return bench["slopes"]


def model(frame: NDArray[Any], pupils: NDArray[Any], local: bool, least: float, background: float) -> Any:
    """The definition, in NumPy."""
    flat = np.append(frame.ravel().astype(float) - background, 0.0)
    flat[~np.isfinite(flat)] = 0.0
    inside = (pupils >= 0) & (pupils < frame.size)
    a, b, c, d = flat[np.where(inside, pupils, frame.size)]
    flux = a + b + c + d if local else np.full(a.shape, (a + b + c + d).mean())
    good = flux > least
    scale = np.where(good, flux, 1.0)
    return np.concatenate([good * (b + d - a - c) / scale, good * (c + d - a - b) / scale])


@settings(max_examples=60)
@given(
    frame=hnp.arrays("float32", (5, 6), elements=st.floats(-8, 128, width=16)),
    pupils=hnp.arrays("int32", st.tuples(st.just(4), st.integers(1, 7)), elements=st.integers(-3, 33)),
    local=st.booleans(),
    compiled=st.booleans(),
)
def test_slopes_are_those_of_the_definition(
    frame: NDArray[np.float32], pupils: NDArray[np.int32], local: bool, compiled: bool
) -> None:
    wanted = model(frame, pupils, local, 2.5, -1.0)
    measured = measure(frame, pupils, compiled=compiled, local=local, min_flux=2.5, background=-1.0)
    np.testing.assert_allclose(measured, wanted, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("local", [False, True])
def test_signs_and_sizes(local: bool) -> None:
    frame = np.zeros(SHAPE, "float32")
    for k, light in enumerate((1.0, 3.0, 2.0, 4.0)):
        frame.ravel()[PUPILS[k]] = light
    slopes = measure(frame, local=local)
    np.testing.assert_allclose(slopes[:N], 0.4, rtol=1e-6)  # right less left
    np.testing.assert_allclose(slopes[N:], 0.2, rtol=1e-6)  # bottom less top


@pytest.mark.parametrize("local", [False, True])
def test_slopes_do_not_depend_on_the_flux_and_even_light_reads_zero(local: bool) -> None:
    frame = np.random.default_rng(30).uniform(50, 100, SHAPE).astype("float32")
    once = measure(frame, local=local)
    np.testing.assert_allclose(measure(frame * np.float32(30), local=local), once, atol=1e-5)
    np.testing.assert_allclose(measure(np.full(SHAPE, 7, "float32"), local=local), 0.0, atol=1e-6)
    np.testing.assert_allclose(measure(frame, local=local, reference=once), 0.0, atol=1e-6)


def test_photon_noise_is_that_of_theory() -> None:
    # Four pixels of n photons each: the difference scatters by sqrt(4 n), over 4 n: variance 1 / (4 n).
    pupils = np.arange(4 * 5000, dtype="int32").reshape(4, 5000)
    frame = np.random.default_rng(31).poisson(200.0, 20_000).astype("float32")
    for local in (False, True):
        slopes = measure(frame, pupils, local=local)
        assert slopes.var() == pytest.approx(1 / (4 * 200.0), rel=0.10)


def test_global_normalisation_keeps_noise_low_where_the_pupil_is_dark() -> None:
    frame = np.full(SHAPE, 100.0, "float32")
    dark = PUPILS[:, : N // 4]
    frame.ravel()[dark] = np.random.default_rng(32).uniform(0, 2, dark.shape)
    assert np.abs(measure(frame)[: N // 4]).max() < 0.02
    assert np.abs(measure(frame, local=True)[: N // 4]).max() > 0.1


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("level", [0.0, 0.2, -3.0, np.nan, np.inf, 3e38])
def test_a_frame_without_light_reads_zero(level: float, local: bool, compiled: bool) -> None:
    reference = np.full(2 * N, 0.1)
    frame = np.full(SHAPE, level, "float32")
    np.testing.assert_array_equal(
        measure(frame, reference=reference, local=local, min_flux=2.0, compiled=compiled), 0.0
    )


@pytest.mark.parametrize("local", [False, True])
def test_bad_pixels_and_references_stay_where_they_are(local: bool) -> None:
    frame = np.full(SHAPE, 5.0, "float32")
    frame.ravel()[PUPILS[0, 3]] = np.nan
    frame.ravel()[PUPILS[1, 4]] = np.inf
    reference = np.zeros(2 * N)
    reference[7] = np.nan
    slopes = measure(frame, reference=reference, local=local)
    assert np.isfinite(slopes).all()
    assert np.flatnonzero(slopes).tolist() == [3, 4, N + 3, N + 4]
    assert slopes[7] == 0.0


@given(pupils=hnp.arrays("int32", (4, 3), elements=st.sampled_from([-(2**31), 2**31 - 1, -1, 480, 0])))
def test_no_content_of_pupils_reaches_outside(pupils: NDArray[np.int32]) -> None:
    frame = np.ones(SHAPE, "float32")
    for compiled in (True, False):
        assert np.isfinite(measure(frame, pupils, compiled=compiled)).all()


def test_shapes_are_checked() -> None:
    specs = {
        "frame": ArraySpec(SHAPE, np.dtype("uint16")),
        "pupils": ArraySpec((4, 30), np.dtype("int32")),
        "reference": ArraySpec((60,), FLOAT),
    }
    resolved = pyramid_slopes.resolve(specs)
    assert resolved["slopes"] == ArraySpec((60,), FLOAT)
    with pytest.raises(BindingError, match=r"'reference'.*\(30,\), expected \(60,\)"):
        pyramid_slopes.resolve(specs | {"reference": ArraySpec((30,), FLOAT)})
    with pytest.raises(BindingError, match="'pupils'"):
        pyramid_slopes.resolve(specs | {"pupils": ArraySpec((3, 30), np.dtype("int32"))})


# ---- measured frames -----------------------------------------------------------------------------------------------


def pupil_centres(reference: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Middles, and mean extent, of the bright pixels of each quarter of the frame."""
    bright = reference > 0.4 * np.percentile(reference, 90)
    middle = reference.shape[0] // 2
    corners = np.array([(top, left) for top in (0, middle) for left in (0, middle)])
    parts = [np.argwhere(bright[top : top + middle, left : left + middle]) for top, left in corners]
    low, high = (np.array([np.percentile(part, q, axis=0) for part in parts]) for q in (0.5, 99.5))
    return (low + high) / 2 + corners, float((high - low).mean())


@pytest.mark.parametrize("name", ["scexao", "ao3k"])
def test_real_reference_frames(shared_data: Path, tmp_path: Path, name: str) -> None:
    reference = np.asarray(fits.getdata(shared_data / name / "wfsref.fits"), dtype=np.float64)
    dark = np.asarray(fits.getdata(shared_data / name / "wfsdark.fits"), dtype=np.float64)
    shape = (reference.shape[0], reference.shape[1])
    centres, diameter = pupil_centres(reference)
    save_pupils(tmp_path / "pupils.fits", circular_pupils(shape, centres, diameter, 0.3), shape)
    pupils = load_pupils(tmp_path / "pupils.fits", shape)
    inside = reference.ravel()[pupils]
    outside = np.delete(reference.ravel(), pupils.ravel())
    assert inside.mean() > 3 * outside.mean()  # their edges are blurred, and light is scattered
    assert np.ptp(inside.mean(axis=1)) < 0.5 * inside.mean()
    # A flat wavefront: slopes have no large mean; the same light on a real dark gives the same slopes.
    frame = reference.astype("float32")
    for local in (False, True):
        flat = measure(frame, pupils, local=local)
        assert np.isfinite(flat).all()
        assert np.abs(flat.reshape(2, -1).mean(axis=1)).max() < 0.3
        assert flat.std() < 0.6
        np.testing.assert_allclose(measure(frame, pupils, flat, local=local), 0.0, atol=1e-5)
    raw = np.round(3e7 * reference + dark)
    counts = (raw - dark).astype("float32")
    np.testing.assert_allclose(measure(counts, pupils), measure(frame, pupils), atol=0.02)
    # Full-frame intensities, normalised: the reference reads zero, whatever the flux.
    valid = mask_table(reference > 0)
    zero = (reference.ravel()[valid] / reference.ravel()[valid].sum()).astype("float32")
    bench = Bench(intensities, {"frame": counts, "valid": valid, "reference": zero}, normalise=True)
    bench.step()
    # What rounding to whole counts leaves: half a count, where a mean pixel has thousands.
    np.testing.assert_allclose(bench["measurement"], 0.0, atol=1.0 / counts.ravel()[valid].sum())
