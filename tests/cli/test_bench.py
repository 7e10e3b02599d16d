from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import framebus
from framebus.cli.bench import find_benchmarks
from support.commands import call, error

TELL = "import sys; print('called with', sys.argv[1:]); sys.exit({code})"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A source tree in the working directory, and a package that is installed elsewhere."""
    monkeypatch.setattr(framebus, "__file__", str(tmp_path / "site-packages" / "framebus" / "__init__.py"))
    root = tmp_path / "checkout"
    for path in (root / "benchmarks" / "run.py", root / "src" / "framebus" / "__init__.py"):
        path.parent.mkdir(parents=True)
        path.write_text(TELL.format(code=7))
    with contextlib.chdir(root):
        yield root


def test_names_and_options_are_handed_on_and_the_exit_code_comes_back(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = call("bench", "hop", "--quick", "--only", "C", "--", "--help")
    assert result.exit_code == 7
    assert capfd.readouterr().out == "called with ['hop', '--quick', '--only', 'C', '--help']\n"


def test_a_benchmark_that_a_signal_ended_is_reported_as_a_shell_would(checkout: Path) -> None:
    (checkout / "benchmarks" / "run.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert call("bench").exit_code == 137


def test_the_checkout_of_the_package_comes_before_the_working_directory(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_benchmarks() == checkout / "benchmarks" / "run.py"
    monkeypatch.setattr(framebus, "__file__", str(checkout / "src" / "framebus" / "__init__.py"))
    with contextlib.chdir(tmp_path):
        assert find_benchmarks() == checkout / "benchmarks" / "run.py"


def test_without_a_checkout_it_says_where_to_get_them(checkout: Path) -> None:
    (checkout / "src" / "framebus" / "__init__.py").unlink()  # now it is another project's benchmarks
    said = error(3, "bench")
    assert "not installed with the package" in said
    assert str(checkout) in said
    assert "make bench" in said
