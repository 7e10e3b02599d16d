"""Files of other releases of DAO, whose headers have other lengths: opened, read, written, and told apart by size."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import StreamFormatError

OURS, COMMON = 4304, 200
LATER = {"2024 packets": (16400, 16392), "2024 packets and a GPU": (16448, 16392)}
SHAPE = (5, 7)


def of_a_later_release(path: Path, header_bytes: int, fifo_at: int, depth: int) -> None:
    """Give each slot of a file of ours the header that a later release has."""
    data = path.read_bytes()
    headers = b""
    for slot in range(depth):
        old = data[slot * OURS : (slot + 1) * OURS]
        new = bytearray(header_bytes)
        new[:COMMON] = old[:COMMON]
        new[fifo_at : fifo_at + 8] = old[4296:]
        headers += new
    path.write_bytes(headers + data[depth * OURS :])


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("release", LATER.values(), ids=LATER)
def test_is_read_and_written(release: tuple[int, int], depth: int, shm_dir: Path, dao_name: str) -> None:
    with fb.create(
        dao_name, shape=SHAPE, dtype="uint16", dialect="dao", history=depth, keywords={"GAIN": 0.5}
    ) as made:
        for count in range(1, 6):
            made.write(np.full(SHAPE, count))
        path = made.path
    of_a_later_release(path, *release, depth)
    with fb.open(path) as stream:
        assert (stream.dialect.name, stream.shape, stream.count) == ("dao", SHAPE, 5)
        assert dict(stream.keywords) == {"GAIN": 0.5}
        assert [(f.count, f.data[4, 6]) for f in stream.history()] == [(n, n) for n in range(6 - depth, 6)]
        stream.keywords["GAIN"] = 0.75
        with stream.assemble(packets=1000, frame_id=77, incomplete="publish") as frame:
            frame.put(999, [8] * 35, position=0)
            assert stream.packets().frame_ids[999] == 77
        assert [f.count for f in stream.history()] == list(range(7 - depth, 7))
        assert stream.read().tolist() == np.full(SHAPE, 8).tolist()
        assert stream.header()["fifo_size"] == depth
    with fb.open(path) as again:
        assert (again.count, again.keywords["GAIN"]) == (6, 0.75)
        again.remove()


def test_pixels_on_a_gpu_are_refused(shm_dir: Path, dao_name: str) -> None:
    made = fb.create(dao_name, shape=SHAPE, dialect="dao")
    of_a_later_release(made.path, 16448, 16392, 1)
    data = bytearray(made.path.read_bytes())
    struct.pack_into("<I", data, 16400, 0x4750)
    made.path.write_bytes(data)
    with pytest.raises(StreamFormatError, match="in a GPU's memory") as caught:
        fb.open(made.path)
    assert caught.value.field == "gpu_magic"
    made.remove()
