"""The stream that results go to."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import UsageError
from framebus.ops.targets import target_stream
from support.processes import Spawner


def test_one_that_fits_is_gone_on_with_and_another_is_made_anew_only_when_told() -> None:
    with target_stream("a", shape=(2, 3), dtype="float32") as made:
        made.write(np.zeros((2, 3)))
    with target_stream("a", shape=(2, 3), dtype="float32") as there:
        assert there.count == 1
    refused = (
        "stream 'a' is there and is 2x3 float32, history 0, isio; expected 2x3 uint8, history 4: choose another name, "
        "or add --overwrite (in Python: overwrite=True)"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(refused)}$"):
        target_stream("a", shape=(2, 3), dtype="uint8", history=4)
    with target_stream("a", shape=(2, 3), dtype="uint8", history=4, overwrite=True) as anew:
        assert (anew.dtype.name, anew.history_length, anew.count) == ("uint8", 4, 0)


def test_one_that_is_replaced_hands_history_and_format_on(dao_name: str) -> None:
    name = f"{dao_name}a"
    fb.create(name, shape=3, history=8, dialect="dao").close()
    with target_stream(name, shape=(4,), dtype="float64", overwrite=True) as anew:
        assert (anew.shape, anew.history_length, anew.dialect.name) == ((4,), 8, "dao")
        with fb.create("b", shape=3, history=2) as like:
            target_stream(name, shape=(5,), dtype="float64", overwrite=True, like=like).close()
        with fb.open(name) as again:
            assert (again.history_length, again.dialect.name) == (2, "isio")
            again.remove()


def test_a_file_that_is_no_stream(shm_dir: Path) -> None:
    (shm_dir / "a.im.shm").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"a\.im\.shm.*; choose another name, or add --overwrite"):
        target_stream("a", shape=(2,), dtype="uint8")
    target_stream("a", shape=(2,), dtype="uint8", overwrite=True).close()


def test_one_that_another_living_process_writes_is_written_by_force_only(spawn: Spawner) -> None:
    writer = spawn(None, "a", module="support.steady_writer")
    writer.expect("writes")
    for overwrite in (False, True):
        with pytest.raises(
            UsageError, match=rf"'a' is written by process {writer.pid}, which is alive; .*--force"
        ):
            target_stream("a", shape=(2, 3), dtype="uint16", overwrite=overwrite)
    with target_stream("a", shape=(2, 3), dtype="uint16", force=True) as shared:
        assert shared.count
    writer.kill()
    with target_stream("a", shape=(2, 3), dtype="uint16") as left:
        assert left.count


def test_nothing_is_loaded_from_conf(tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    (tmp_path / "conf").mkdir()
    fits.PrimaryHDU(np.ones(3, np.float32)).writeto(tmp_path / "conf" / "shmim.a.fits")
    with contextlib.chdir(tmp_path), target_stream("@S:a", shape=(2,), dtype="uint8") as made:
        assert (made.shape, made.count) == ((2,), 0)


def test_streams_of_this_process_alone_and_by_their_paths(tmp_path: Path) -> None:
    with target_stream("@L:a", shape=(2,), dtype="uint8") as own:
        own.write([1, 2])
        with target_stream("@L:a", shape=(2,), dtype="uint8") as again:
            assert again.count == 1
        own.remove()
    path = tmp_path / "b.im.shm"
    for _ in range(2):
        target_stream(str(path), shape=(2,), dtype="uint8").close()
    assert path.exists()
