"""The run directory: one owner at a time, files that are whole, and what is found in it afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from framebus.errors import DataError, NameFormatError, NotFoundError, UsageError
from framebus.pipeline.plan import PipelinePlan, UnitPlan
from framebus.pipeline.rundir import RunDir, Stray, default_logs, one_run_dir, run_dirs
from support.processes import Spawner


def made(name: str) -> RunDir:
    run_dir = RunDir(name)
    assert run_dir.acquire()
    run_dir.write_state({"processes": {}})
    return run_dir


def test_one_owner_at_a_time(shm_dir: Path) -> None:
    first, second = RunDir("loop"), RunDir("loop")
    assert not first.held
    assert first.acquire()
    assert first.path == shm_dir / "loop.pipeline.fb"
    assert first.path.stat().st_mode & 0o777 == 0o700
    assert first.held
    assert second.held
    assert not second.acquire()
    first.release()
    first.release()
    assert not first.held
    assert second.acquire()
    second.remove()
    assert not list(shm_dir.iterdir())


def test_the_lock_goes_with_its_owner(spawn: Spawner) -> None:
    owner = spawn(
        """
        from framebus.pipeline.rundir import RunDir
        run_dir = RunDir("loop")
        print(run_dir.acquire())
        input()
        """
    )
    owner.expect("True")
    run_dir = RunDir("loop")
    assert not run_dir.acquire()
    owner.kill()
    assert run_dir.acquire()
    run_dir.remove()


def test_of_many_that_come_and_go_one_has_it(spawn: Spawner, shm_dir: Path) -> None:
    """The directory is removed under those who wait for it: none of them may own what is no more."""
    source = """
        import os
        from pathlib import Path
        from framebus.pipeline.rundir import RunDir
        got = 0
        while got < 100:
            run_dir = RunDir("loop")
            if run_dir.acquire():
                with open(run_dir.path / "owner", "x") as file:
                    file.write(str(os.getpid()))
                run_dir.remove()
                got += 1
        print("done")
    """
    for process in [spawn(source) for _ in range(3)]:
        process.expect("done")
        assert process.wait() == 0
    assert not list(shm_dir.iterdir())


def test_state_and_plan_come_back() -> None:
    run_dir = RunDir("loop")
    assert not run_dir.exists
    with pytest.raises(NotFoundError, match="no pipeline 'loop' runs"):
        run_dir.read_state()
    with pytest.raises(NotFoundError, match="'framebus ps' lists"):
        run_dir.read_plan()
    assert run_dir.acquire()
    plan = PipelinePlan(
        name="loop", units={"a": UnitPlan(use="x:y", cpu=(0, 1), wait="spin", parameters={"n": 1})}
    )
    run_dir.write_plan(plan)
    assert run_dir.read_plan() == plan
    run_dir.write_state({"pipeline": "loop"})
    assert run_dir.read_state() == {"pipeline": "loop"}
    assert run_dir.exists
    assert not [path for path in run_dir.path.iterdir() if path.name.startswith(".")]
    run_dir.remove()
    assert not run_dir.exists


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read"), ("[]", "cannot be read"), ('{"version": 9}', "of version 9")],
)
def test_bad_state(text: str, message: str) -> None:
    run_dir = made("loop")
    (run_dir.path / "state.json").write_text(text)
    with pytest.raises(DataError, match=message):
        run_dir.read_state()
    (run_dir.path / "plan.json").write_text(text)
    with pytest.raises(DataError, match=r"plan\.json cannot be read"):
        run_dir.read_plan()
    run_dir.remove()


def test_which_pipelines_run(shm_dir: Path) -> None:
    with pytest.raises(NotFoundError, match="no pipeline runs"):
        one_run_dir()
    with pytest.raises(NotFoundError, match="no pipeline 'a' runs; none is in"):
        one_run_dir("a")
    one = made("a")
    assert one_run_dir().name == "a"
    two = made("b")
    (shm_dir / "c.pipeline.fb").mkdir()  # its supervisor was killed before it had done anything
    assert [found.name for found in run_dirs()] == ["a", "b"]
    assert one_run_dir("b").path == two.path
    with pytest.raises(UsageError, match="several pipelines run; name one of them: a, b"):
        one_run_dir()
    with pytest.raises(NotFoundError, match="no pipeline 'c' runs; there are: a, b"):
        one_run_dir("c")
    assert RunDir("c").remove_stale()
    assert not RunDir("c").remove_stale()
    assert not one.remove_stale()
    one.remove()
    two.remove()
    assert not list(shm_dir.iterdir())


def test_stale_only_if_nobody_has_it() -> None:
    starting, other = RunDir("loop"), RunDir("loop")
    assert starting.acquire()
    assert not other.remove_stale()
    assert starting.path.exists()
    starting.remove()


def test_files_of_a_start() -> None:
    run_dir = made("loop")
    assert run_dir.last_serial() == 0
    plan, report = run_dir.start_files("a/b.*", 12)
    assert plan.parent == report.parent == run_dir.path
    plan.write_text("{}")
    report.write_text("{}")
    others = [run_dir.start_files(name, 3)[0] for name in ("a/bc", "a/b.*.12", "a/b")]
    for other in others:
        other.write_text("{}")
    assert run_dir.last_serial() == 12
    run_dir.drop_start("a/b.*", 12)
    assert not plan.exists()
    assert not report.exists()
    assert all(other.exists() for other in others)
    run_dir.remove()


def test_strays_are_known_by_their_command_line(spawn: Spawner) -> None:
    run_dir = made("loop")
    plans = [run_dir.start_files(name, serial)[0] for name, serial in [("b", 10), ("b", 9), ("a b/ä.1", 2)]]
    foreign = made("loop2").start_files("b", 1)[0]
    source = "print('ready'); input()"
    processes = [spawn(source, str(plan)) for plan in [*plans, foreign]]
    for process in processes:
        process.expect("ready")
    pids = [process.pid for process in processes]
    assert run_dir.strays() == [Stray(pids[2], "a b/ä.1", 2), Stray(pids[1], "b", 9), Stray(pids[0], "b", 10)]
    for process in processes:
        process.kill()
    assert run_dir.strays() == []
    run_dir.remove()
    RunDir("loop2").remove()


def test_names_are_those_of_streams() -> None:
    with pytest.raises(NameFormatError):
        RunDir("a/b")


def test_where_logs_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_logs("loop") == tmp_path / "framebus" / "loop"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_logs("loop") == Path("/home/somebody/.local/state/framebus/loop")
