from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from framebus.ao import Subapertures, find_subapertures, measure_centroids, regular_grid
from framebus.errors import DataError, UsageError

Image = NDArray[np.float64]


def spots_at(centres: NDArray[Any], shape: tuple[int, int], width: float = 1.5) -> Image:
    """Gaussian spots of height 1 about centres (n, 2) of y and x."""
    y, x = np.indices(shape)
    image = np.zeros(shape)
    for centre_y, centre_x in centres:
        image += np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / (2 * width**2))
    return image


def square_grid(n: int, pitch: float, start: float) -> NDArray[np.float64]:
    y, x = np.mgrid[:n, :n] * pitch + start
    return np.stack([y.ravel(), x.ravel()], axis=1)


def noisy(image: Image, level: float, seed: int = 0) -> Image:
    return image + np.random.default_rng(seed).normal(5.0, level, image.shape)


def read(shared_data: Path, name: str) -> Image:
    return np.asarray(fits.getdata(shared_data / "shwfs" / f"{name}.fits"), dtype=np.float64)


@pytest.mark.parametrize("pitch", [8.0, 12.5, 20.0])
def test_a_square_grid_is_found(pitch: float) -> None:
    centres = square_grid(9, pitch, 14.3)
    size = int(8 * pitch + 30)
    found = find_subapertures(noisy(100 * spots_at(centres, (size, size)), 1.0))
    assert len(found) == 81
    assert found.doubtful == ()
    assert found.pitch == pytest.approx(pitch, rel=0.01)
    if pitch == 20.0:
        assert found.background == pytest.approx(5.0, abs=0.4)
        assert found.noise == pytest.approx(1.0, abs=0.4)
    np.testing.assert_allclose(found.centres, centres, atol=0.2)
    # Boxes touch: as large as the pitch allows.
    assert (found.boxes[:, 2:] == int(found.boxes[0, 2])).all()
    assert pitch - 1.5 <= found.boxes[0, 2] <= pitch
    middle = found.boxes[:, :2] + (found.boxes[:, 2:] - 1) / 2
    assert np.abs(middle - found.centres).max() <= 0.5


def test_a_spot_midway_between_pixels_is_one_even_without_noise() -> None:
    centres = square_grid(8, 8.0, 7.5)
    found = find_subapertures(100 * spots_at(centres, (72, 72)), box_size=8)
    np.testing.assert_allclose(found.centres, centres, atol=0.01)
    assert found.doubtful == ()


@pytest.mark.parametrize("noise", [0.5, 5.0])
def test_spots_that_nearly_touch_are_found(noise: float) -> None:
    centres = square_grid(12, 6.0, 5.4)
    found = find_subapertures(noisy(100 * spots_at(centres, (78, 78)), noise))
    assert len(found) == 144
    np.testing.assert_allclose(found.centres, centres, atol=0.5)


def test_a_rotated_grid_and_hot_pixels_are_told_apart() -> None:
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    image = noisy(100 * spots_at(square_grid(9, 14.0, -56.0) @ turn + 90.0, (180, 180)), 2.0)
    image[3, 3] = 3000.0
    found = find_subapertures(image)
    assert len(found) == 82
    assert {doubt.index for doubt in found.doubtful} == {0}


def test_a_pupil_with_an_obscuration_and_unequal_light_is_found() -> None:
    grid = square_grid(15, 12.0, 10.0)
    radius = np.hypot(*(grid - 94.0).T)
    centres = grid[(radius < 92) & (radius > 25)]
    light = 1.0 + 0.5 * np.sin(np.arange(len(centres)))
    image = sum(
        level * spots_at(centre[None], (190, 190)) for level, centre in zip(light, centres, strict=True)
    )
    found = find_subapertures(noisy(100 * np.asarray(image), 2.0))
    np.testing.assert_allclose(found.centres, centres, atol=0.4)


def test_few_photons_are_enough() -> None:
    centres = square_grid(10, 10.0, 8.0)
    frame = np.random.default_rng(1).poisson(0.5 + 20 * spots_at(centres, (106, 106))).astype("uint16")
    found = find_subapertures(frame)
    assert len(found) == 100
    np.testing.assert_allclose(found.centres, centres, atol=0.9)


def test_the_real_hexagonal_sensor_has_127_lenslets(shared_data: Path) -> None:
    found = find_subapertures(read(shared_data, "reference"), read(shared_data, "dark"))
    assert len(found) == 127
    assert found.doubtful == ()
    # 300 um over 7.4 um pixels.
    assert found.pitch == pytest.approx(300 / 7.4, rel=0.01)
    rows = np.flatnonzero(np.diff(found.centres[:, 0], prepend=-np.inf) > 20)
    assert np.diff([*rows, 127]).tolist() == [7, 8, 9, 10, 11, 12, 13, 12, 11, 10, 9, 8, 7]
    assert _overlap(found) < 0.02


def _overlap(found: Subapertures) -> float:
    """Share of the pixels in boxes that are in more than one."""
    cover = np.zeros((492, 648), int)
    for y, x, height, width in found.boxes:
        cover[y : y + height, x : x + width] += 1
    return float((cover > 1).sum() / (cover > 0).sum())


def test_a_dark_is_not_needed(shared_data: Path) -> None:
    assert len(find_subapertures(read(shared_data, "reference"))) == 127
    assert len(find_subapertures(read(shared_data, "aberrated"))) == 127


def test_slopes_of_the_real_aberrated_frame_are_how_far_its_spots_moved(shared_data: Path) -> None:
    dark = read(shared_data, "dark")
    flat = find_subapertures(read(shared_data, "reference"), dark)
    bent = find_subapertures(read(shared_data, "aberrated"), dark)
    options: dict[str, Any] = {"dark": dark, "threshold": flat.background + 10 * flat.noise}
    zero = measure_centroids(read(shared_data, "reference"), flat.boxes, **options)
    slopes = measure_centroids(read(shared_data, "aberrated"), flat.boxes, zero, **options)
    moved = (bent.centres - flat.centres)[:, ::-1].T.ravel()
    assert np.corrcoef(slopes, moved)[0, 1] > 0.97
    assert 0.5 < np.sqrt(np.mean(slopes**2)) < 1.0


def test_doubtful_ones_are_named() -> None:
    centres = square_grid(7, 16.0, 20.0)
    centres[24] += [0.0, 5.0]  # the middle one, off the grid
    image = spots_at(np.delete(centres, 48, axis=0), (136, 136))
    image += 0.25 * spots_at(centres[48:], (136, 136)) + spots_at(np.array([[4.0, 68.0]]), (136, 136))
    found = find_subapertures(100 * image, box_size=14)
    assert len(found) == 50
    reasons = {doubt.index: doubt.reason for doubt in found.doubtful}
    assert "edge" in reasons[0]
    assert "% of the usual light" in reasons[49]
    assert any("pitches away" in doubt.reason for doubt in found.doubtful)
    assert found.boxes[0].tolist() == [0, 62, 12, 14]


def test_one_spot_needs_the_pitch() -> None:
    image = 100 * spots_at(np.array([[20.0, 30.0]]), (50, 60))
    found = find_subapertures(image, pitch=12)
    np.testing.assert_allclose(found.centres, [[20.0, 30.0]], atol=0.05)
    assert found.boxes.tolist() == [[14, 24, 12, 12]]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64)),
        np.ones((64, 64)),
        np.random.default_rng(2).normal(size=(128, 128)),
        np.hypot(*np.indices((64, 64))),
    ],
    ids=["dark", "flat", "noise", "ramp"],
)
def test_a_frame_without_spots_is_refused(image: Image) -> None:
    with pytest.raises(DataError, match=r"spot|pattern"):
        find_subapertures(image)


def test_noise_alone_has_no_spots_even_with_a_pitch() -> None:
    with pytest.raises(DataError, match="no spot stands out"):
        find_subapertures(np.random.default_rng(3).normal(size=(128, 128)), pitch=12)


def test_bad_frames_are_refused() -> None:
    frame = np.zeros((40, 40))
    with pytest.raises(DataError, match=r"\(40,\)"):
        find_subapertures(frame[0])
    with pytest.raises(UsageError, match=r"dark.*\(30, 40\), expected \(40, 40\)"):
        find_subapertures(frame, frame[:30])
    frame[3, 3] = np.nan
    with pytest.raises(DataError, match="not finite"):
        find_subapertures(frame)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pitch": 1.0}, "pitch"),
        ({"pitch": 99.0}, "pitch"),
        ({"min_peak": 0.0}, "min_peak"),
        ({"box_size": 0}, "box_size"),
    ],
)
def test_arguments_have_limits(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_subapertures(np.zeros((40, 40)), **options)


def test_a_regular_grid_runs_row_by_row() -> None:
    boxes = regular_grid((2, 3), 8, origin=(1, 2))
    assert boxes.dtype == np.int32
    assert boxes.tolist() == [[y, x, 8, 8] for y in (1, 9) for x in (2, 10, 18)]
    masked = regular_grid(2, 4, np.array([[1, 0], [0, 1]]))
    assert masked.tolist() == [[0, 0, 4, 4], [4, 4, 4, 4]]


def test_a_regular_grid_must_have_boxes() -> None:
    with pytest.raises(UsageError, match="1 or more"):
        regular_grid(0, 8)
    with pytest.raises(UsageError, match="1 or more"):
        regular_grid(4, 0)
    with pytest.raises(UsageError, match=r"\(2, 2\), expected \(3, 3\)"):
        regular_grid(3, 8, np.ones((2, 2)))
    with pytest.raises(UsageError, match="no sub-aperture"):
        regular_grid(2, 8, np.zeros((2, 2)))


def test_measure_centroids_says_what_does_not_fit() -> None:
    frame = np.ones((16, 16))
    boxes = regular_grid(2, 8)
    with pytest.raises(UsageError, match=r"expected integers \(n, 4\)"):
        measure_centroids(frame, boxes[:, :3])
    with pytest.raises(UsageError, match=r"expected integers \(n, 4\)"):
        measure_centroids(frame, boxes.astype(float))
    with pytest.raises(UsageError, match=r"\(4,\), expected \(8,\)"):
        measure_centroids(frame, boxes, np.zeros(4))
    with pytest.raises(DataError, match="not finite"):
        measure_centroids(frame * np.inf, boxes)
    assert measure_centroids(frame, boxes, min_flux=65.0).tolist() == [0.0] * 8
