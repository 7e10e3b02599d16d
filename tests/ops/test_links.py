"""Second names of streams."""

from __future__ import annotations

from pathlib import Path

import pytest

import framebus as fb
from framebus.errors import StreamNotFound, UsageError
from framebus.ops import link
from framebus.stream import purge
from support.processes import Spawner
from support.writers import killed_writer


def test_both_names_are_one_stream(shm_dir: Path) -> None:
    with fb.create("a", shape=2) as a:
        assert link("a", "b") == shm_dir / "b.im.shm"
        with fb.open("b") as b:
            a.write([1, 2])
            assert (b.count, b.read_next().data.tolist()) == (1, [1, 2])
            b.write([3, 4])
            assert a.read().tolist() == [3, 4]
            with fb.create("a", shape=2) as anew:
                anew.write([5, 6])
                assert b.read().tolist() == [5, 6], "the link leads to the new one"


def test_a_link_to_a_link_leads_to_the_stream(shm_dir: Path) -> None:
    with fb.create("a", shape=2):
        link("a", "b")
        assert link("b", "c").readlink() == Path("a.im.shm")
        assert link("c", "b", overwrite=True).readlink() == Path("a.im.shm"), "no circle"


def test_from_elsewhere(tmp_path: Path) -> None:
    with fb.create(str(tmp_path / "a.im.shm"), shape=2) as a:
        a.write([1, 2])
        assert link(str(tmp_path / "a.im.shm"), "b").readlink() == tmp_path / "a.im.shm"
        with fb.open("b") as b:
            assert b.read().tolist() == [1, 2]


def test_what_is_there_is_kept(shm_dir: Path) -> None:
    with fb.create("a", shape=2), fb.create("other", shape=3):
        link("a", "b")
        with pytest.raises(UsageError, match=r"'b' is a link to a\.im\.shm; add --overwrite"):
            link("other", "b")
        link("other", "b", overwrite=True)
        with fb.open("b") as b:
            assert b.shape == (3,)
        for overwrite in (False, True):
            with pytest.raises(UsageError, match="'other' is a stream; choose another name"):
                link("a", "other", overwrite=overwrite)
            with pytest.raises(UsageError, match="is the stream itself"):
                link("a", "a", overwrite=overwrite)
            with pytest.raises(UsageError, match="is the stream itself"):
                link("b", "other", overwrite=overwrite)
    assert sorted(path.name for path in shm_dir.iterdir()) == ["a.im.shm", "b.im.shm", "other.im.shm"]


def test_what_cannot_be(dao_name: str) -> None:
    with pytest.raises(StreamNotFound):
        link("nothing", "b")
    with fb.create(f"{dao_name}a", shape=2, dialect="dao") as a:
        with pytest.raises(UsageError, match=f"DAO's format.*framebus copy {dao_name}a b"):
            link(f"{dao_name}a", "b")
        a.remove()


def test_purging_takes_the_links_along(spawn: Spawner, shm_dir: Path) -> None:
    killed_writer(spawn, ["dead"])
    with fb.create("live", shape=2) as live:
        live.write([1, 2])
        link("dead", "to_dead")
        link("live", "to_live")
        assert [info.name for info in purge()] == ["dead", "to_dead"]
        assert sorted(path.name for path in shm_dir.iterdir()) == ["live.im.shm", "to_live.im.shm"]
