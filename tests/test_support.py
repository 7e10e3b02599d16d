"""The tests' own tools: what they find, and what they say."""

from __future__ import annotations

import mmap
import os
import socket
import threading
from pathlib import Path

import pytest

from support import leaks
from support.leaks import Snapshot
from support.processes import Spawner

ECHO = """
    import sys
    print("ready")
    for line in sys.stdin:
        print("heard " + line.strip())
"""


def test_expect_passes_over_other_lines_and_returns_the_whole_line(spawn: Spawner) -> None:
    process = spawn("print('one'); print('two words'); print('three')")
    assert process.expect("two") == "two words"
    assert process.wait() == 0
    assert process.lines == ["one", "two words", "three"]


def test_process_answers_line_by_line(spawn: Spawner) -> None:
    process = spawn(ECHO)
    process.expect("ready")
    for word in ("a", "b"):
        process.send(word)
        assert process.expect("heard") == f"heard {word}"


def test_last_line_without_its_end_counts(spawn: Spawner) -> None:
    assert spawn("import sys; sys.stdout.write('half')").expect("half") == "half"


def test_expect_says_what_an_ended_process_said_instead(spawn: Spawner) -> None:
    process = spawn("import sys; print('no'); sys.exit('because')")
    with pytest.raises(AssertionError, match=r"(?s)ended without saying 'yes'.*no.*because"):
        process.expect("yes")
    assert process.wait() == 1


def test_expect_has_a_deadline(spawn: Spawner) -> None:
    with pytest.raises(AssertionError, match="did not say 'more' within 0 s"):
        spawn(ECHO).expect("more", timeout_s=0)


def test_wait_has_a_deadline(spawn: Spawner) -> None:
    with pytest.raises(AssertionError, match="did not end within 0 s"):
        spawn(ECHO).wait(timeout_s=0)


def test_killed_process_tells_its_signal(spawn: Spawner) -> None:
    process = spawn(ECHO)
    process.expect("ready")
    process.kill()
    assert not process.running
    assert process.wait() == -9


def test_arguments_environment_module_and_command(spawn: Spawner) -> None:
    source = "import os, sys; print(sys.argv[1], os.environ['COLOUR'])"
    assert spawn(source, "very", env={"COLOUR": "red"}).expect("very") == "very red"
    assert spawn(module="platform").expect("Linux")
    assert spawn(command=["echo", "plain"]).expect("plain")
    with pytest.raises(TypeError, match="needs one of"):
        spawn()


def test_the_process_shares_the_scratch_directory(spawn: Spawner, shm_dir: Path) -> None:
    assert spawn("import os; print(os.environ['MILK_SHM_DIR'])").expect(str(shm_dir))


def test_nothing_left_is_no_leak(shm_dir: Path) -> None:
    assert Snapshot.take().leaks(shm_dir) == []


def test_process_left_running_is_found_and_ended(shm_dir: Path) -> None:
    before = Snapshot.take()
    spawner = Spawner()
    process = spawner(ECHO)
    process.expect("ready")
    assert any(f"process left running: {process.pid}" in leak for leak in before.leaks(shm_dir, grace_s=0))
    before.end_processes(shm_dir)
    assert process.wait() == -9
    spawner.close()
    assert before.leaks(shm_dir) == []


def test_grandchild_whose_parent_is_gone_is_found_and_ended(shm_dir: Path, spawn: Spawner) -> None:
    before = Snapshot.take()
    parent = spawn(
        """
        import os, subprocess, sys
        command = [sys.executable, "-c", "import signal; signal.pause()"]
        print(subprocess.Popen(command, stdout=subprocess.DEVNULL).pid)
        sys.stdout.flush()
        os._exit(0)
        """
    )
    assert parent.wait() == 0
    found = before.leaks(shm_dir, grace_s=0)
    assert any(f"process left running: {parent.lines[0]}" in leak for leak in found)
    before.end_processes(shm_dir)
    assert before.leaks(shm_dir) == []


def test_thread_left_running_is_named(shm_dir: Path) -> None:
    before = Snapshot.take()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="straggler")
    thread.start()
    assert any("'straggler'" in leak for leak in before.leaks(shm_dir, grace_s=0))
    stop.set()
    thread.join()
    assert before.leaks(shm_dir) == []


def test_open_socket_is_found(shm_dir: Path) -> None:
    before = Snapshot.take()
    with socket.socket():
        assert any("socket left open" in leak for leak in before.leaks(shm_dir))
    assert before.leaks(shm_dir) == []


def test_file_in_real_shared_memory_is_found(
    shm_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file in /dev/shm itself would be a leak to the tests of the other workers too.
    with monkeypatch.context() as patch:
        patch.setattr(leaks, "SHARED_MEMORY", tmp_path)
        before = Snapshot.take()
        path = tmp_path / "image.im.shm"
        path.touch()
        (tmp_path / "of-another-program").touch()
        assert before.leaks(shm_dir, grace_s=0) == [f"file left in {tmp_path}: image.im.shm"]
        path.unlink()
        assert before.leaks(shm_dir) == []


def test_mapping_is_found_even_when_its_file_is_gone(shm_dir: Path) -> None:
    before = Snapshot.take()
    path = shm_dir / "image.im.shm"
    path.write_bytes(bytes(4096))
    with path.open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 4096)
    path.unlink()
    assert any("still mapped" in leak for leak in before.leaks(shm_dir))
    mapping.close()
    assert before.leaks(shm_dir) == []


def test_changed_working_directory_is_found_and_put_right(shm_dir: Path, tmp_path: Path) -> None:
    before = Snapshot.take()
    here = Path.cwd()
    os.chdir(tmp_path)
    assert any("working directory" in leak for leak in before.leaks(shm_dir))
    assert Path.cwd() == here
