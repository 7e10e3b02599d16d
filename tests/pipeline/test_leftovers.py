"""What is removed when a process or a pipeline is gone, and what is not anybody's to remove."""

from __future__ import annotations

import os
from pathlib import Path

import framebus as fb
from framebus.params import Params
from framebus.pipeline.leftovers import (
    Ledger,
    remove_drafts,
    remove_records,
    remove_sets,
    remove_streams,
    there_already,
)
from framebus.process import ProcessRecord, records
from support.processes import Spawner


def test_drafts_of_the_dead(spawn: Spawner, shm_dir: Path) -> None:
    dead = spawn("pass")
    assert dead.wait() == 0
    (shm_dir / f".fb-{dead.pid}-0").touch()
    (shm_dir / f".fb-{os.getpid()}-0").touch()
    (shm_dir / ".fb-strange").touch()
    remove_drafts()
    assert sorted(path.name for path in shm_dir.iterdir()) == [f".fb-{os.getpid()}-0", ".fb-strange"]


def test_records_of_the_dead(spawn: Spawner, shm_dir: Path) -> None:
    owner = spawn(
        """
        from framebus.process import ProcessRecord
        made = [ProcessRecord.create(name) for name in ("mine", "other")]
        print("ready")
        input()
        """
    )
    owner.expect("ready")
    (shm_dir / "strange.1.proc.fb").write_text("no record")
    remove_records(["mine"])
    assert (shm_dir / f"mine.{owner.pid}.proc.fb").exists()
    owner.kill()
    remove_records(["mine"])
    (shm_dir / "strange.1.proc.fb").unlink()
    assert [record.unit for record in records()] == ["other"]
    ProcessRecord.open("other").remove()


def test_streams_good_and_bad(shm_dir: Path) -> None:
    fb.create("good", shape=(2,)).close()
    (shm_dir / "bad.im.shm").write_text("no stream")
    path = shm_dir / "by_path.im.shm"
    fb.create(str(path), shape=(2,)).close()
    remove_streams(["good", "bad", str(path), "none", "@L:local"])
    assert not list(shm_dir.iterdir())


def test_sets_that_nobody_runs_with(spawn: Spawner, shm_dir: Path) -> None:
    Params.create("free", {"gain": 1.0}).close()
    user = spawn(
        """
        from framebus.params import Params
        params = Params.create("used", {"gain": 1.0})
        params.claim()
        print("ready")
        input()
        """
    )
    user.expect("ready")
    (shm_dir / "bad.params.fb").write_text("no set")
    remove_sets(["free", "used", "bad", "none"])
    assert sorted(path.name for path in shm_dir.iterdir()) == ["bad.params.fb", "used.params.fb"]
    user.kill()
    remove_sets(["used"])
    assert [path.name for path in shm_dir.iterdir()] == ["bad.params.fb"]


def test_only_what_was_not_there_before(shm_dir: Path) -> None:
    fb.create("old", shape=(2,)).close()
    Params.create("old", {"gain": 1.0}).close()
    assert there_already(["old", "new"], ["old", "new"]) == (["old"], ["old"])
    ledger = Ledger()
    ledger.plan(["old", "new", "@L:here of x"], ["old", "new"])
    ledger.add(["more", "new"])
    assert ledger == Ledger(["new", "more"], ["new"], ["old", "new"])
    for name in ("new", "more"):
        fb.create(name, shape=(2,)).close()
    Params.create("new", {"gain": 1.0}).close()
    next_one = Ledger.of({"streams": ["new"], "sets": ["new"], "units": ["gone"], "pipeline": "x"})
    next_one.plan(["old", "new", "newest"], ["old", "new"])  # the former's are still its to remove
    assert next_one == Ledger(["new", "newest"], ["new"], ["gone", "old", "new"])
    ledger.clear()
    assert sorted(path.name for path in shm_dir.iterdir()) == ["old.im.shm", "old.params.fb"]
