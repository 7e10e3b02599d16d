"""What only the correlating units do; what all centroiders have in common is in test_centroiders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from framebus.ao import correlation_centroids, fourier_centroids
from framebus.errors import BindingError
from framebus.unit import ArraySpec
from support.run_unit import Bench

FLOAT = np.dtype("float32")


def make(unit: Any, pixels: NDArray[Any], boxes: Any, template: NDArray[Any], **parameters: Any) -> Bench:
    places = np.array(boxes, "int32").reshape(-1, 4)
    inputs = {"pixels": pixels.astype("float32"), "boxes": places, "template": template.astype("float32")}
    return Bench(unit, inputs | {"reference": np.zeros(2 * len(places), "float32")}, **parameters)


def measure(unit: Any, pixels: NDArray[Any], boxes: Any, template: NDArray[Any], **parameters: Any) -> Any:
    bench = make(unit, pixels, boxes, template, **parameters)
    bench.step()
    return bench["slopes"]


def parabola(before: float, top: float, after: float) -> float:
    bend = before - 2 * top + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def padded(frame: NDArray[Any], box: list[int], margin: int) -> NDArray[np.float64]:
    """A box with zeros round it; what is outside the frame is zero, too."""
    top, left, height, width = box
    out = np.zeros((max(height, 0) + 2 * margin, max(width, 0) + 2 * margin))
    for y in range(max(height, 0)):
        for x in range(max(width, 0)):
            if 0 <= top + y < frame.shape[0] and 0 <= left + x < frame.shape[1]:
                out[margin + y, margin + x] = frame[top + y, left + x]
    return out


SPECKLE = np.random.default_rng(9).gamma(0.5, 100.0, (30, 34)).round()


@settings(max_examples=40)
@given(
    box=st.tuples(st.integers(-5, 25), st.integers(-5, 28), st.integers(3, 12), st.integers(3, 12)),
    rows=st.integers(2, 9),
    columns=st.integers(2, 9),
    reach=st.integers(1, 4),
)
def test_windowed_correlation_agrees_with_its_definition(
    box: tuple[int, int, int, int], rows: int, columns: int, reach: int
) -> None:
    template = np.random.default_rng(10).random((1, rows, columns)).astype("float32")
    margin = 20
    light = np.clip(
        padded(SPECKLE, list(box), margin) - 5.0 * (padded(SPECKLE * 0 + 1, list(box), margin)), 0, None
    )
    corner = ((box[2] - rows) // 2 + margin, (box[3] - columns) // 2 + margin)
    shifts = range(-reach, reach + 1)
    match = np.array(
        [
            [(template[0] * light[corner[0] + y :, corner[1] + x :][:rows, :columns]).sum() for x in shifts]
            for y in shifts
        ]
    )
    y, x = map(int, np.unravel_index(match.argmax(), match.shape))
    ranked = np.sort(match.ravel())
    if match.max() > 0 and ranked[-1] - ranked[-2] < 1e-3 * ranked[-1]:
        return  # which of two equal ones is found is a matter of rounding
    expected = [0.0, 0.0]
    if match.max() > 0:
        expected = [x - reach + corner[1] - margin - (box[3] - columns) / 2, y - reach + corner[0] - margin]
        expected[1] -= (box[2] - rows) / 2
        if 0 < x < 2 * reach:
            expected[0] += parabola(match[y, x - 1], match[y, x], match[y, x + 1])
        if 0 < y < 2 * reach:
            expected[1] += parabola(match[y - 1, x], match[y, x], match[y + 1, x])
    measured = measure(correlation_centroids, SPECKLE, box, template, reach=reach, threshold=5.0)
    np.testing.assert_allclose(measured, expected, atol=5e-3)


@settings(max_examples=40)
@given(
    box=st.tuples(st.integers(-5, 25), st.integers(-5, 28), st.integers(3, 12), st.integers(3, 12)),
    n=st.integers(3, 17),
)
def test_fourier_correlation_agrees_with_numpy(box: tuple[int, int, int, int], n: int) -> None:
    template = np.random.default_rng(10).random((1, n, n)).astype("float32")
    margin = 20
    light = padded(SPECKLE, list(box), margin)
    y0, x0 = margin - (n - box[2]) // 2, margin - (n - box[3]) // 2
    image = light[y0 : y0 + n, x0 : x0 + n]
    match = np.fft.ifft2(np.fft.fft2(image) * np.conj(np.fft.fft2(template[0] / template.sum()))).real
    y, x = map(int, np.unravel_index(match.argmax(), match.shape))
    expected = [0.0, 0.0]
    if image.sum() > 0:
        ranked = np.sort(match.ravel())
        if ranked[-1] - ranked[-2] < 1e-3 * ranked[-1]:
            return  # which of two equal ones is found is a matter of rounding
        across = parabola(match[y, x - 1], match[y, x], match[y, (x + 1) % n])
        down = parabola(match[y - 1, x], match[y, x], match[(y + 1) % n, x])
        expected = [
            (x if 2 * x < n else x - n) + across + (n - box[3]) / 2 - (n - box[3]) // 2,
            (y if 2 * y < n else y - n) + down + (n - box[2]) / 2 - (n - box[2]) // 2,
        ]
    measured = measure(fourier_centroids, SPECKLE, box, template)
    np.testing.assert_allclose(measured, expected, atol=5e-3)


def test_a_peak_at_the_end_of_the_search_stands_as_it_is() -> None:
    pixels = np.zeros((12, 12))
    pixels[6, 11] = 1.0
    template = np.zeros((1, 3, 3))
    template[0, 1, 1] = 1.0
    slopes = measure(correlation_centroids, pixels, [0, 0, 12, 12], template, reach=2)
    np.testing.assert_array_equal(slopes, 0.0)  # not seen at all
    pixels[6, 7] = 1.0
    slopes = measure(correlation_centroids, pixels, [0, 0, 12, 12], template, reach=2)
    np.testing.assert_allclose(slopes, [1.5, 0.5])


def test_a_template_without_mean_is_blind_to_a_background() -> None:
    y, x = np.indices((16, 16))
    spot = 100 * np.exp(-((y - 8.0) ** 2 + (x - 6.5) ** 2) / 4)
    y, x = np.indices((8, 8)) - 3.5
    template = np.exp(-(y**2 + x**2) / 4)[None]
    template -= template.mean()
    dark = measure(correlation_centroids, spot, [0, 0, 16, 16], template)
    bright = measure(correlation_centroids, spot + 500, [0, 0, 16, 16], template)
    np.testing.assert_allclose(bright, dark, atol=1e-3)
    np.testing.assert_allclose(dark, [-1.0, 0.5], atol=0.02)


def test_an_extended_scene_is_followed() -> None:
    # A scene without any spot, as solar sensors see it: all boxes show the same, shifted.
    scene = np.random.default_rng(12).normal(size=(64, 64))
    fy, fx = np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)
    spectrum = np.fft.fft2(scene) * np.exp(-(fy**2 + fx**2) * 40)
    shifts = np.random.default_rng(13).uniform(-2.5, 2.5, (6, 2))

    def seen(dx: float, dy: float) -> NDArray[np.float64]:
        moved = np.fft.ifft2(spectrum * np.exp(-2j * np.pi * (fx * dx + fy * dy))).real
        return np.asarray(moved[20:44, 20:44] * 1000 + 400)

    pixels = np.hstack([seen(*shift) for shift in shifts])
    boxes = [[0, 24 * k, 24, 24] for k in range(6)]
    template = seen(0.0, 0.0)[5:-5, 5:-5][None]
    template = template - template.mean()
    slopes = measure(correlation_centroids, pixels, boxes, template, reach=5)
    # Brighter parts of the scene draw the peak, where it rests as well as where it moves.
    slopes -= np.repeat(measure(correlation_centroids, seen(0, 0), [0, 0, 24, 24], template, reach=5), 6)
    np.testing.assert_allclose(slopes, shifts.T.ravel(), atol=0.15)


# ---- update of the template ----------------------------------------------------------------------------------------


def elongated(dx: float, dy: float, long: float) -> NDArray[np.float64]:
    y, x = np.indices((16, 16)) - 7.5
    return np.asarray(500 * np.exp(-((x - dx) ** 2) / (2 * long**2) - (y - dy) ** 2 / 2))


@pytest.mark.parametrize("each", [False, True], ids=["one for all", "one for each"])
def test_the_template_learns_the_shape_of_the_spots(each: bool) -> None:
    generator = np.random.default_rng(14)
    boxes = [[0, 0, 16, 16], [0, 16, 16, 16]]
    round_spot = np.repeat(elongated(0, 0, 1.0)[None], 2 if each else 1, axis=0)
    bench = make(fourier_centroids, np.zeros((16, 32)), boxes, round_spot, update=0.05)
    for _ in range(150):
        (ax, ay), (bx, by) = generator.uniform(-0.6, 0.6, (2, 2))
        frame = np.hstack([elongated(ax, ay, 2.5), elongated(bx, by, 2.5)]).astype("float32")
        bench.step(pixels=frame)
        np.testing.assert_allclose(bench["slopes"], [ax, bx, ay, by], atol=0.12)
    wanted = np.fft.fft2(elongated(0, 0, 2.5))[:9] / elongated(0, 0, 2.5).sum()
    for known in bench["known"]:
        # Nothing is forgotten faster than 0.95 per frame; each frame is moved by what is measured to about 0.03 px.
        np.testing.assert_allclose(known[0] + 1j * known[1], wanted, atol=0.03)


def test_without_update_the_template_stays() -> None:
    bench = make(fourier_centroids, elongated(1, 0, 2.5), [0, 0, 16, 16], elongated(0, 0, 1.0)[None])
    bench.step()
    before = bench["known"]
    bench.step()
    np.testing.assert_array_equal(bench["known"], before)


def test_a_new_template_replaces_what_was_learnt() -> None:
    frame = elongated(1.0, 0, 2.5).astype("float32")
    bench = make(fourier_centroids, frame, [0, 0, 16, 16], elongated(0, 0, 1.0)[None], update=0.5)
    for _ in range(5):
        bench.step()
    bench.parameters["update"] = 0.0
    bench.step(template=elongated(-1.0, 0, 2.5)[None].astype("float32"))
    np.testing.assert_allclose(bench["slopes"], [2.0, 0.0], atol=0.02)


@pytest.mark.parametrize("level", [0.0, -1.0, np.nan, np.inf, 1e38])
def test_a_template_without_sense_measures_nothing_until_a_good_one_comes(level: float) -> None:
    frame = elongated(1.0, 0, 1.0)
    bench = make(fourier_centroids, frame, [0, 0, 16, 16], np.full((1, 16, 16), level), update=0.5)
    for _ in range(2):
        bench.step()
        np.testing.assert_array_equal(bench["slopes"], 0.0)
    bench.step(template=elongated(0, 0, 1.0)[None].astype("float32"))
    np.testing.assert_allclose(bench["slopes"], [1.0, 0.0], atol=0.02)


def test_dark_boxes_teach_nothing() -> None:
    bench = make(
        fourier_centroids, np.zeros((16, 16)), [0, 0, 16, 16], elongated(0, 0, 1.0)[None], update=0.5
    )
    bench.step()
    before = bench["known"]
    for bad in (np.nan, np.inf, 3e38, 0.0):
        bench.step(pixels=np.full((16, 16), bad, "float32"))
        np.testing.assert_array_equal(bench["slopes"], 0.0)
    np.testing.assert_array_equal(bench["known"], before)


def test_a_template_needs_neighbours() -> None:
    specs = {
        "pixels": ArraySpec((20, 20), FLOAT),
        "boxes": ArraySpec((1, 4), np.dtype("int32")),
        "template": ArraySpec((1, 2, 2), FLOAT),
        "reference": ArraySpec((2,), FLOAT),
    }
    with pytest.raises(BindingError, match="3 x 3 pixels or more"):
        fourier_centroids.resolve(specs)
    with pytest.raises(BindingError, match="'template'"):
        fourier_centroids.resolve(specs | {"template": ArraySpec((1, 8, 9), FLOAT)})
