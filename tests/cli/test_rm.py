from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

import pytest

import framebus as fb
from framebus.errors import WaitTimeout
from support.commands import answer, call, error, output
from support.processes import Spawner
from support.writers import ended_writer, killed_writer


def leave_dead(spawn: Spawner, *names: str) -> int:
    """Make streams whose writer was killed; its pid."""
    return killed_writer(spawn, names)


def names() -> list[str]:
    return [info.name for info in fb.streams()]


def test_streams_of_the_dead_go(spawn: Spawner) -> None:
    pid = leave_dead(spawn, "a1", "a2", "b", "c")
    assert output("rm", "a*", "b", "a1") == "".join(
        f"removed {name} (dead, writer {pid})\n" for name in ("a1", "a2", "b")
    )
    assert names() == ["c"]


def test_json_lists_what_was_removed(spawn: Spawner, shm_dir: Path) -> None:
    pid = leave_dead(spawn, "a")
    [removed] = answer("rm", "a")
    assert (removed["name"], removed["path"], removed["writer_pid"]) == ("a", str(shm_dir / "a.im.shm"), pid)
    assert removed["state"] == "dead"


def test_a_living_writer_keeps_its_streams_unless_forced(spawn: Spawner) -> None:
    leave_dead(spawn, "dead")
    writer = spawn(
        """
        import framebus as fb
        live, empty = fb.create("live", shape=(1,)), fb.create("empty", shape=(1,))
        live.write([1.0])
        print("made")
        input()
        """
    )
    writer.expect("made")
    said = error(2, "rm", "live", "empty", "dead")
    assert f"live: process {writer.pid} (" in said
    assert "writes it and is alive" in said
    assert f"empty: process {writer.pid} (" in said
    assert "made it and is alive" in said
    assert "--force" in said
    assert names() == ["dead", "empty", "live"]
    assert "removed live (live, writer " in output("rm", "--force", "live", "empty", "dead")
    assert names() == []


def test_what_this_process_writes_it_may_remove() -> None:
    with fb.create("own", shape=(1,)) as own, fb.create("empty", shape=(1,)):
        own.write([1.0])
        assert "removed own (live, writer " in output("rm", "own", "empty")
        assert names() == []


def test_a_reader_of_a_removed_stream_is_told(spawn: Spawner) -> None:
    leave_dead(spawn, "wfs")
    with fb.open("wfs") as reader:
        output("rm", "wfs")
        with pytest.raises(WaitTimeout, match="the stream was removed"):
            reader.read_next(timeout_s=0.01)


def test_all_or_nothing(spawn: Spawner, shm_dir: Path) -> None:
    leave_dead(spawn, "a")
    said = error(3, "rm", "a", "nope", "x*")
    assert f"no stream 'nope', 'x*' in {shm_dir}; nothing was removed" in said
    assert names() == ["a"]


def test_a_path_will_do_for_a_name(spawn: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.im.shm"
    leave_dead(spawn, str(path))
    output("rm", str(path))
    assert not path.exists()


def test_no_other_file_is_ever_removed(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("letters")
    assert "is no stream's file: those end in '.im.shm'" in error(2, "rm", str(precious))
    assert precious.exists()


def test_a_bad_file_goes_unless_somebody_maps_it(shm_dir: Path) -> None:
    path = shm_dir / "junk.im.shm"
    path.write_bytes(b"x" * 500)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert f"junk: it is mapped by process {os.getpid()}" in error(2, "rm", "junk")
    assert output("rm", "junk") == "removed junk (bad)\n"
    assert not path.exists()


def test_a_bad_file_that_is_gone_by_then_is_no_error(shm_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shm_dir / "junk.im.shm"
    path.write_bytes(b"")
    infos = fb.streams()
    path.unlink()
    monkeypatch.setattr("framebus.stream.streams", lambda: infos)
    assert output("rm", "junk*") == "removed junk (bad)\n"


def test_a_directory_that_is_called_like_a_stream_stays(shm_dir: Path) -> None:
    (shm_dir / "folder.im.shm").mkdir()
    said = error(1, "rm", "folder")
    assert "folder.im.shm" in said


@pytest.mark.parametrize("arguments", [[], ["--dead", "a"]])
def test_names_or_dead_one_of_them(arguments: list[str]) -> None:
    assert "rm needs the names of streams, or --dead instead of them" in error(2, "rm", *arguments)


@pytest.mark.parametrize("name", ["@L:a", "@N:a", "tf32>a", "bad name"])
def test_a_name_that_says_more_is_an_error(name: str) -> None:
    assert "stream name" in error(2, "rm", name)


def test_purging_removes_the_dead_and_says_what_it_left(
    spawn: Spawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_dead(spawn, "dead", "used")
    used = fb.open("used")
    with used, fb.create("live", shape=(1,)) as live:
        live.write([1.0])
        infos = {info.name: info for info in fb.streams()}
        monkeypatch.setattr("framebus.stream.purge", lambda left: [infos["dead"]])
        printed = output("rm", "--dead").splitlines()
        assert answer("rm", "--dead")[0]["name"] == "dead"
    assert any(re.fullmatch(rf"kept used: process {os.getpid()} \(.+\) uses it", line) for line in printed)
    assert printed[-1].startswith("removed dead (dead, writer ")


def test_purging_goes_through_the_library(spawn: Spawner) -> None:
    leave_dead(spawn, "a")
    result = call("rm", "--dead")
    assert result.exit_code == 0
    # Where other users' processes run, nobody may know that the stream is not used.
    assert (
        "removed a (dead" in result.stdout and names() == []
    ) or "kept a: some processes may not" in result.stdout


def test_what_was_left_in_order_goes_only_when_that_is_said(spawn: Spawner) -> None:
    ended_writer(spawn, ["dark", "flat"])
    assert output("rm", "--dead").startswith("nothing to remove in ")
    assert output("purge").startswith("nothing to remove in ")
    with fb.open("flat"):
        printed = output("purge", "--left")
    assert f"kept flat: process {os.getpid()} (" in printed
    assert "removed dark (left, writer " in printed
    assert names() == ["flat"]


def test_purging_where_nothing_is_dead_says_so(shm_dir: Path) -> None:
    assert output("rm", "--dead") == f"nothing to remove in {shm_dir}\n"
    assert answer("rm", "--dead") == []
