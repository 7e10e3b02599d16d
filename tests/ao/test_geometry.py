from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from framebus.ao import (
    Doubt,
    Pupils,
    Subapertures,
    check_boxes,
    check_pupils,
    circular_pupils,
    load_boxes,
    load_calibration,
    load_pupils,
    regular_grid,
    save_boxes,
    save_pupils,
)
from framebus.errors import DataError, NotFoundError, UsageError

SHAPE = (40, 50)
CENTRES = [(9.5, 9.5), (9.5, 34.5), (29.5, 9.5), (29.5, 34.5)]


@given(
    boxes=hnp.arrays("int32", st.tuples(st.integers(1, 9), st.just(4)), elements=st.integers(-10, 30)),
)
def test_boxes_come_back_as_they_were(
    boxes: NDArray[np.int32], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("boxes") / "boxes.fits"
    boxes[:, 2:] = np.abs(boxes[:, 2:]) + 11
    save_boxes(path, boxes, SHAPE)
    for shape in (SHAPE, None):
        loaded = load_boxes(path, shape)
        assert loaded.dtype == np.int32
        assert loaded.flags.c_contiguous
        np.testing.assert_array_equal(loaded, boxes)


def test_pupils_come_back_as_they_were(tmp_path: Path) -> None:
    pupils = circular_pupils(SHAPE, CENTRES, 14.0, 0.3)
    save_pupils(tmp_path / "pupils.fits", pupils, SHAPE)
    loaded = load_pupils(str(tmp_path / "pupils.fits"), SHAPE)
    assert loaded.dtype == np.int32
    np.testing.assert_array_equal(loaded, pupils)
    np.testing.assert_array_equal(load_pupils(tmp_path / "pupils.fits"), pupils)
    assert [path.name for path in tmp_path.iterdir()] == ["pupils.fits"]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "boxes.fits"
    save_boxes(path, regular_grid(2, 8), SHAPE)
    with pytest.raises(UsageError, match="exists; choose another name"):
        save_boxes(path, regular_grid(3, 8), SHAPE)
    assert len(load_boxes(path)) == 4
    save_boxes(path, regular_grid(3, 8), SHAPE, overwrite=True)
    assert len(load_boxes(path)) == 9
    with pytest.raises(FileNotFoundError):
        save_boxes(tmp_path / "absent" / "boxes.fits", regular_grid(2, 8), SHAPE)


@pytest.mark.parametrize("doubtful", [(), (Doubt(0, "it is dim"), Doubt(1, "it is cut"))])
def test_what_was_found_is_written_whole(tmp_path: Path, doubtful: tuple[Doubt, ...]) -> None:
    rng = np.random.default_rng(1)
    boxes = regular_grid(2, 8)
    found = Subapertures(boxes, rng.random((4, 2)), rng.random(4), 8.25, 3.5, 0.25, doubtful)
    save_boxes(tmp_path / "boxes.fits", found, SHAPE, {"NOTE": "mine"}, doubts=["one is missing"])
    np.testing.assert_array_equal(load_boxes(tmp_path / "boxes.fits", SHAPE), boxes)
    file = load_calibration(tmp_path / "boxes.fits", "subapertures")
    for name in ("centres", "flux"):
        np.testing.assert_array_equal(file.array(name), getattr(found, name))
    assert file.array("doubtful").tolist() == ([doubt.index for doubt in doubtful] or [-1])
    told = [file.header[key] for key in ("PITCH", "BACKGND", "NOISE", "NOTE", "FRAMEH", "FRAMEW")]
    assert told == [8.25, 3.5, 0.25, "mine", *SHAPE]
    doubts = [file.header[f"DOUBT{k}"] for k in range(1, file.header["NDOUBTS"] + 1)]
    assert doubts == [*(doubt.reason for doubt in doubtful), "one is missing"]


def test_pupils_that_were_found_are_written_whole(tmp_path: Path) -> None:
    masks = np.zeros((4, *SHAPE), bool)
    for mask, indices in zip(masks, circular_pupils(SHAPE, CENTRES, 13.0), strict=True):
        mask.ravel()[indices] = True
    found = Pupils(
        np.array(CENTRES),
        np.full(4, 6.5),
        6.5,
        np.arange(8).reshape(4, 2),
        1.5,
        masks,
        np.ones(4),
        ("x", "y"),
    )
    save_pupils(tmp_path / "pupils.fits", found, SHAPE)
    np.testing.assert_array_equal(load_pupils(tmp_path / "pupils.fits"), check_pupils(masks, SHAPE))
    file = load_calibration(tmp_path / "pupils.fits", "pupils")
    for name in ("centres", "radii", "shifts", "flux", "mask"):
        np.testing.assert_array_equal(file.array(name), getattr(found, name))
    assert [file.header[key] for key in ("RADIUS", "INNER", "DOUBT1", "DOUBT2")] == [6.5, 1.5, "x", "y"]


def test_masks_are_pupils_too(tmp_path: Path) -> None:
    pupils = circular_pupils(SHAPE, CENTRES, 13.0)
    masks = np.zeros((4, *SHAPE), np.uint8)
    for mask, indices in zip(masks, pupils, strict=True):
        mask.ravel()[indices] = 1
    np.testing.assert_array_equal(check_pupils(masks, SHAPE), pupils)
    fits.PrimaryHDU(masks).writeto(tmp_path / "masks.fits")
    np.testing.assert_array_equal(load_pupils(tmp_path / "masks.fits"), pupils)


def test_files_of_others_need_no_keywords(tmp_path: Path) -> None:
    fits.PrimaryHDU(regular_grid(2, 8).astype("float32")).writeto(tmp_path / "boxes.fits")
    np.testing.assert_array_equal(load_boxes(tmp_path / "boxes.fits"), regular_grid(2, 8))
    fits.PrimaryHDU(circular_pupils(SHAPE, CENTRES, 9.0)).writeto(tmp_path / "pupils.fits")
    assert load_pupils(tmp_path / "pupils.fits", SHAPE).shape[0] == 4
    with pytest.raises(DataError, match=r"pupils\.fits.*FRAMEH, FRAMEW.*give frame_shape"):
        load_pupils(tmp_path / "pupils.fits")


def test_discs_are_the_pixels_within_their_radius() -> None:
    pupils = circular_pupils(SHAPE, CENTRES, 12.0, 0.25)
    y, x = np.indices(SHAPE)
    for indices, (middle_y, middle_x) in zip(pupils, CENTRES, strict=True):
        radius = np.hypot(y - middle_y, x - middle_x)
        expected = np.flatnonzero((radius <= 6.0) & (radius >= 1.5))
        assert indices.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((CENTRES[:3], 8.0), UsageError, r"\(3, 2\)"),
        ((np.full((4, 2), np.nan), 8.0), UsageError, "finite"),
        ((CENTRES, 0.5), UsageError, "diameter 0.5"),
        ((CENTRES, np.nan), UsageError, "diameter nan"),
        ((CENTRES, 8.0, 1.0), UsageError, "obscuration 1.0"),
        ((CENTRES, 2.0, 0.99), UsageError, "holds no pixel"),
        ((CENTRES, 26.0), DataError, "leaves the frame"),
        (([(9, 9), (9, 12), (29, 9), (29, 12)], 8.0), DataError, "twice"),
    ],
)
def test_discs_refuse_what_makes_no_sense(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        circular_pupils(SHAPE, *arguments)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.zeros((3, 3), int), r"\(3, 3\)"),
        (np.zeros((0, 4), int), r"\(0, 4\)"),
        ([[0, 0, 8, 8], [0, 0, 0, 8]], r"box 1 is \[0, 0, 0, 8\]"),
        ([[0.5, 0, 8, 8]], "whole numbers"),
        ([[np.nan, 0, 8, 8]], "whole numbers"),
        ([[2**31, 0, 8, 8]], "32-bit"),
        (np.full((1, 4), "a"), "whole numbers"),
        ([[0, 0, 8, 8], [-8, 0, 8, 8], [0, 50, 8, 8]], r"box 1 .*outside.*\(2 boxes have none\)"),
    ],
)
def test_boxes_are_checked(boxes: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_boxes(boxes, SHAPE)


GOOD = [[0, 1], [5, 6], [100, 101], [105, 106]]


@pytest.mark.parametrize(
    ("pupils", "message"),
    [
        ([GOOD[0]] * 3, r"\(3, 2\)"),
        (np.zeros((4, 0), int), r"\(4, 0\)"),
        ([[0, 1], [5, 6], [100, 101], [105, 2000]], "1 indices.*such as 2000; expected 0 to 1999"),
        ([[0, -1], [5, 6], [100, 101], [105, 106]], "such as -1"),
        ([[0, 1], [1, 2], [100, 101], [105, 106]], "twice"),
        ([[0, 1], [5, 6], [100, 102], [105, 106]], "bottom left pupil has another form.*1 of 2"),
        ([[0, 1], [6, 5], [100, 101], [105, 106]], "top right pupil has another form"),
        ([[0.5, 1], [5, 6], [100, 101], [105, 106]], "whole numbers"),
        (np.ones((4, 3, 3)), r"\(4, 3, 3\), expected \(4, 40, 50\)"),
        (np.stack([np.eye(*SHAPE, k) > 0 for k in range(4)][::-1]) * np.arange(50), "same number"),
    ],
)
def test_pupils_are_checked(pupils: Any, message: str) -> None:
    check_pupils(GOOD, SHAPE)
    with pytest.raises(DataError, match=message):
        check_pupils(pupils, SHAPE)


def test_files_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "boxes.fits"
    with pytest.raises(NotFoundError, match="no such file"):
        load_boxes(path)
    path.write_bytes(b"not FITS at all")
    with pytest.raises(DataError, match=r"boxes\.fits: it cannot be read as FITS"):
        load_boxes(path)
    fits.PrimaryHDU().writeto(path, overwrite=True)
    with pytest.raises(DataError, match="holds no image"):
        load_pupils(path)
    fits.PrimaryHDU(np.full((3, 4), np.nan)).writeto(path, overwrite=True)
    with pytest.raises(DataError, match="not finite"):
        load_boxes(path)
    save_boxes(path, regular_grid(2, 8), SHAPE, overwrite=True)
    with pytest.raises(DataError, match=r"it is a subapertures file; expected pupils"):
        load_pupils(path, SHAPE)
    with pytest.raises(DataError, match=r"for frames of \(40, 50\), expected \(50, 40\)"):
        load_boxes(path, (50, 40))
    with pytest.raises(DataError, match="outside the frame"):
        save_boxes(path, [[90, 0, 8, 8]], SHAPE)
    fits.setval(path, "FRAMEH", value=-1)
    with pytest.raises(DataError, match=r"FRAMEH and FRAMEW are \(-1, 50\)"):
        load_boxes(path)
    fits.PrimaryHDU(regular_grid(2, 8) * 0.3).writeto(path, overwrite=True)
    with pytest.raises(DataError, match=r"boxes\.fits: boxes hold"):
        load_boxes(path)
