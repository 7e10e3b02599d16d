"""``framebus shell`` with code that ends: scripts, ``-c``, standard input."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.cli.root import root
from support.commands import PROGRAM, error
from support.processes import Spawner


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("FRAMEBUS_STARTUP", raising=False)


@pytest.fixture
def im() -> Iterator[fb.Stream]:
    with fb.create("im", shape=(3, 4), dtype="float32") as stream:
        stream.write(np.arange(12).reshape(3, 4))
        yield stream


def shell(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, "shell", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)


def test_code(im: fb.Stream) -> None:
    done = shell("-c", "im1 = sqrt(im + 2); print(im1.shape)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "(3, 4)\n", "")
    with fb.open("im1") as made:
        np.testing.assert_allclose(made.read(), np.sqrt(im.read() + 2))


def test_code_from_standard_input(im: fb.Stream) -> None:
    assert shell(given="x = im.max()\nprint(x)\n").stdout == "11.0\n"


def test_a_script(im: fb.Stream, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("factor = 3\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom beside import factor\n"
        "def work():\n    return im.max() * factor\n"
        "if __name__ == '__main__':\n    print(work(), sys.argv[1:])\n    bright = im * factor\n"
    )
    done = shell(str(script), "a", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "33.0 ['a', '--json']\n", "")
    with fb.open("bright") as made:
        assert made.read().max() == 33


def test_a_script_of_plain_python(im: fb.Stream, spawn: Spawner) -> None:
    script = spawn(
        """
        from framebus.shell import *
        s.im1 = sqrt(s.im + 2)
        session().run("im2 = im1 * 2")
        print("max", (s.im2 / s.im1).max(), calc("max(im1) > 3"))
        """
    )
    assert script.expect("max") == "max 2.0 True"
    assert script.wait() == 0


def test_the_startup_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    startup = tmp_path / "startup.py"
    startup.write_text("offset = 4\n")
    monkeypatch.setenv("FRAMEBUS_STARTUP", str(startup))
    assert shell("-c", "print(offset)").stdout == "4\n"
    assert "NameError" in shell("--no-startup", "-c", "print(offset)").stderr
    startup.write_text("1/0\n")
    failed = shell("-c", "print(3)")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{startup}", line 1, in <module>',
        "    1/0",
        "    ~^~",
        "ZeroDivisionError: division by zero",
    ]
    startup.write_text("x = 3\nif x\n")
    told = shell("-c", "print(3)").stderr
    assert told.splitlines()[0] == f'  File "{startup}", line 2'
    assert "expected ':'" in told
    startup.write_text("\ndef f():\n    s.gone\nf()\n")
    failed = shell("-c", "print(3)")
    assert failed.returncode == 3
    said = f"{startup}:3: no stream 'gone'; there are none"
    assert failed.stderr == f"framebus: error: {said}\n"
    monkeypatch.setenv("FRAMEBUS_STARTUP", str(tmp_path / "gone.py"))
    assert "FRAMEBUS_STARTUP names" in error(3, "shell", "-c", "3")


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit('enough')", 1, "enough\n"),
        ("fb.open('gone')", 3, "framebus: error: no stream 'gone'"),
        ("p.gone", 3, "framebus: error: no parameter set 'gone'"),
        ("u.gone", 3, "framebus: error: no unit 'gone'"),
        ("s.gone.read()", 3, "framebus: error: no stream 'gone'"),
        ("raise KeyboardInterrupt", 130, ""),
    ],
)
def test_how_code_ends(code: str, status: int, said: str) -> None:
    done = shell("-c", code)
    assert done.returncode == status
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr


def test_an_error_shows_the_users_code_alone(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def work():\n    return nothing\nwork()\n")
    done = shell(str(script))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert f'File "{script}", line 3' in lines[1]
    assert lines[-1].startswith("NameError: no variable and no stream 'nothing'")
    assert len(lines) == 7
    assert "framebus/" not in done.stderr
    done = shell("-c", "1 +")
    assert done.returncode == 1
    assert "SyntaxError" in done.stderr
    assert "framebus" not in done.stderr
    script.write_text(
        "s.im = np.zeros(3)\ntry:\n    1/0\nexcept ZeroDivisionError:\n    s.im + np.zeros(2)\n"
    )
    done = shell(str(script))
    assert f'File "{script}", line 3' in done.stderr
    assert f'File "{script}", line 5' in done.stderr
    assert "live.py" not in done.stderr
    assert "live.py" in shell("--debug", str(script)).stderr


def test_command_lines_that_are_wrong(tmp_path: Path) -> None:
    assert "one of them" in error(2, "shell", "-c", "3", "file.py")
    assert "--fifo goes with a prompt" in error(2, "shell", "-c", "3", "--fifo", "x")
    assert "no script" in error(3, "shell", str(tmp_path / "gone.py"))


def test_without_ipython(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "IPython" else found(name, *rest)
    )
    assert "pip install 'framebus[shell]'" in error(1, "shell", "--fifo", str(tmp_path / "commands"))
    assert not (tmp_path / "commands").exists()


def test_the_shell_is_not_loaded_for_other_commands() -> None:
    code = "import sys; from framebus.cli.root import root; print({'IPython', 'framebus.shell'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert "shell" in root.list_commands(None)  # type: ignore[arg-type]
