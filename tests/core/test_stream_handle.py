"""The native handle's own rules, below what `Stream` checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus import _core
from framebus.errors import StreamExists, UsageError


def create(path: Path, **changes: Any) -> _core.StreamHandle:
    request: dict[str, Any] = {
        "path": str(path),
        "name": "image",
        "size": [4, 3],
        "datatype": 9,
        "history": 0,
        "semaphores": 10,
        "keywords": 2,
        "mode": 0o600,
        "huge_pages": False,
        "local": False,
        "must_be_new": False,
        "initial_keywords": [],
    }
    return _core.create_stream(**(request | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": []}, "1 to 3 axes, the shape has 0"),
        ({"size": [1, 1, 1, 1]}, "1 to 3 axes, the shape has 4"),
        ({"size": [3, 0]}, "every axis of a stream needs at least one element"),
        ({"size": [2**32 - 1] * 3}, "more elements than an address space holds"),
        ({"size": [2**30, 2**20], "datatype": 12, "history": 2**32 - 1}, "more bytes than an address holds"),
    ],
)
def test_impossible_streams(changes: dict[str, Any], message: str, shm_dir: Path) -> None:
    with pytest.raises(UsageError, match=message):
        create(shm_dir / "image.im.shm", **changes)
    assert list(shm_dir.iterdir()) == []


def test_a_stream_of_that_name_is_spared_if_it_must_be_new(shm_dir: Path) -> None:
    path = shm_dir / "image.im.shm"
    first = create(path)
    with pytest.raises(StreamExists):
        create(path, must_be_new=True)
    assert first.current
    create(path)
    assert not first.current
    assert [p.name for p in shm_dir.iterdir()] == ["image.im.shm"]


def test_keywords_are_there_from_the_first_moment(shm_dir: Path) -> None:
    handle = create(
        shm_dir / "image.im.shm", initial_keywords=[(b"A", "L", 5, b"five"), (b"B", "S", b"x", None)]
    )
    assert handle.keyword(0) == ("A", "L", 5, 1, "five")
    assert handle.keyword(1) == ("B", "S", "x", 1, "")


def test_write_tells_when_an_array_is_not_a_frame_byte_for_byte(shm_dir: Path) -> None:
    handle = create(shm_dir / "image.im.shm")
    good = np.zeros((3, 4), np.float32)
    assert handle.write(good) == 1
    for bad in (good.T, good.astype(">f4"), good.astype(np.int32), good[:, ::-1], good.ravel(), "text", None):
        assert handle.write(bad) == 0
    assert handle.count == 1


def test_bytes_are_a_frame_of_bytes(shm_dir: Path) -> None:
    handle = create(shm_dir / "image.im.shm", size=[4], datatype=1)
    assert handle.write(b"abcd") == 1
    assert handle.write(bytearray(b"abcd")) == 2
    assert handle.write(memoryview(b"abcd")) == 3
    assert handle.write(b"abc") == 0


@pytest.mark.parametrize("size", [1, 2**14 + 1, 2**18])
def test_views_are_aligned_and_of_the_right_type(size: int, shm_dir: Path) -> None:
    for datatype, dtype in enumerate(
        "u1 i1 u2 i2 u4 i4 u8 i8 f4 f8 c8 c16 f2".split(),
        start=1,
    ):
        handle = create(shm_dir / "image.im.shm", size=[size], datatype=datatype, history=3)
        view = handle.begin_write()
        assert isinstance(view, np.ndarray)
        assert (view.dtype, view.shape, view.flags.aligned, view.flags.writeable) == (
            dtype,
            (size,),
            True,
            True,
        )
        view[:] = 1
        handle.end_write()
        latest = handle.latest(0)
        data: Any = latest.data
        assert (data.dtype, data.flags.aligned, data.flags.writeable) == (dtype, True, False)
        assert (data == 1).all()


def test_a_shared_handle_has_a_cursor_of_its_own(shm_dir: Path) -> None:
    one = create(shm_dir / "image.im.shm")
    two = one.share()
    one.write(np.zeros((3, 4), np.float32))
    two.cursor = 1
    assert (one.cursor, two.cursor, one.inode == two.inode) == (0, 1, True)
    one.close()
    assert (one.closed, two.closed, two.count) == (True, False, 1)


def test_waking_everybody_is_only_a_hint() -> None:
    s = fb.create("image", shape=3)
    s.handle.wake()
    assert s.count == 0
    assert s.header()["sem_values"] == [1] * 10
