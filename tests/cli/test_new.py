"""``framebus new``: what it makes is whole, works, and its tests pass; what cannot be made leaves nothing."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from framebus.cli import scaffold
from framebus.errors import UsageError
from support.commands import PROGRAM, answer, error, output


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """The working directory, empty."""
    work = tmp_path / "work"
    work.mkdir()
    with contextlib.chdir(work):
        yield work


def python(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python there; a failure shows all that it said."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def make_pytest_pass(package: Path) -> str:
    """Run the tests of a new package; what pytest said."""
    return python("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", cwd=package).stdout


# ---- what is made ------------------------------------------------------------------------------------------------


def test_a_new_units_tests_pass(elsewhere: Path) -> None:
    output("new", "unit", "denoise")
    assert "3 passed" in make_pytest_pass(elsewhere / "denoise")


def test_a_new_pipelines_tests_pass_and_its_file_is_right(elsewhere: Path) -> None:
    output("new", "pipeline", "my_loop")
    package = elsewhere / "my_loop"
    assert "8 passed" in make_pytest_pass(package)
    done = subprocess.run(
        [*PROGRAM, "check", "my_loop.toml"],
        cwd=package,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_new_unit_is_listed_once_it_is_installed(elsewhere: Path) -> None:
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed, which reads the new package's pyproject.toml")
    output("new", "unit", "denoise")
    package = elsewhere / "denoise"
    python("-c", "import setuptools; setuptools.setup()", "-q", "egg_info", cwd=package)
    listed = python(*PROGRAM[1:], "units", "denoise", cwd=package, PYTHONPATH=str(package / "src"))
    assert "denoise.units:denoise  denoise  denoise  Result = gain * image + offset." in listed.stdout
    helped = python(*PROGRAM[1:], "run", "denoise", "--help", cwd=package, PYTHONPATH=str(package / "src"))
    assert "What every pixel is multiplied by. [float64, default 1, 0 to 100]" in " ".join(
        helped.stdout.split()
    )


@pytest.mark.parametrize("kind", ["unit", "pipeline"])
@pytest.mark.parametrize("name", ["a", "denoise", "x" * 32])
def test_what_is_made_is_good_python_and_toml(kind: scaffold.Kind, name: str) -> None:
    texts = scaffold.render(kind, name)
    assert {Path(f"src/{name}/__init__.py"), Path(f"tests/test_{name}.py"), Path("README.md")} < set(texts)
    for path, text in texts.items():
        assert "$" not in text.replace("$ ", "").replace("${period_s}", ""), path
        if path.suffix == ".py":
            compile(text, str(path), "exec")
        elif path.suffix == ".toml":
            tomllib.loads(text)


@pytest.mark.parametrize("kind", ["unit", "pipeline"])
def test_what_is_made_has_no_fault_that_ruff_finds(kind: str, elsewhere: Path) -> None:
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    output("new", kind, "denoise")
    python("-m", "ruff", "check", "--no-cache", ".", cwd=elsewhere / "denoise")
    python("-m", "ruff", "format", "--no-cache", "--check", ".", cwd=elsewhere / "denoise")


def test_it_tells_what_it_made_and_what_to_try(elsewhere: Path) -> None:
    said = output("new", "unit", "denoise", "deep/in a/place").splitlines()
    assert said[0] == "made deep/in a/place"
    listed = [line.strip() for line in said[1 : said.index("try:")]]
    there = elsewhere / "deep" / "in a" / "place"
    assert listed == sorted(str(p.relative_to(there)) for p in there.rglob("*") if p.is_file())
    assert "  cd 'deep/in a/place' && pip install -e '.[test]' && pytest" in said
    assert "  framebus run denoise --help" in said
    assert "  cd my_loop && framebus up my_loop.toml" in output("new", "pipeline", "my_loop").splitlines()


def test_without_a_command_it_tells_which_there_are() -> None:
    assert output("new") == output("new", "--help")
    assert "unit      Begin a package with one unit." in output("new")
    assert "Example: framebus new pipeline loop" in output("new", "pipeline", "--help")


# ---- what cannot be made -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unit", "pipeline"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "Denoise",
            "'Denoise' cannot be the name of a Python package: small letters, digits and '_' are possible",
        ),
        ("2nd", "cannot be the name of a Python package"),
        ("a-b", "cannot be the name of a Python package"),
        ("../up", "cannot be the name of a Python package"),
        ("_hidden", "cannot be the name of a Python package"),
        ("größe", "cannot be the name of a Python package"),
        ("x" * 33, "has 33 letters; at most 32 are possible"),
        ("class", "'class' is a word of the Python language"),
        ("match", "'match' is a word of the Python language"),
        ("unit", "'unit' is a name that the package itself uses"),
        ("image", "'image' is a name that the package itself uses"),
        ("fb", "'fb' is a name that the package itself uses"),
        ("conftest", "'conftest' is a name that the package itself uses"),
        ("range", "'range' is a name that Python itself uses"),
        ("numpy", "there is a module 'numpy' already ("),
        ("json", "there is a module 'json' already ("),
    ],
)
def test_a_name_that_cannot_be_used(kind: str, name: str, said: str, elsewhere: Path) -> None:
    refusal = error(2, "new", kind, name)
    assert said in refusal
    assert refusal.endswith("nothing was written")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("kind", ["unit", "pipeline"])
def test_no_name_that_the_package_uses_can_be_taken(kind: scaffold.Kind) -> None:
    used: set[str] = set()
    for path, text in scaffold.render(kind, "own_name").items():
        for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            match node:
                case (
                    ast.Name(id=name) | ast.arg(arg=name) | ast.alias(asname=str(name)) | ast.alias(name=name)
                ):
                    used.add(name)
    assert {"np", "image"} <= used
    possible = [name for name in used - {"own_name"} if re.fullmatch("[a-z][a-z0-9_]*", name)]
    assert [name for name in possible if not scaffold.name_problems(name)] == []


def test_a_directory_that_is_there_is_never_touched(elsewhere: Path) -> None:
    (elsewhere / "denoise").mkdir()
    assert "denoise exists already; give another DIR; nothing was written" in error(
        2, "new", "unit", "denoise"
    )
    assert list((elsewhere / "denoise").iterdir()) == []
    (elsewhere / "link").symlink_to("nowhere")
    assert "link exists already" in error(2, "new", "unit", "denoise", "link")
    (elsewhere / "file").write_text("precious")
    assert "file is no directory, so file/below cannot be made" in error(
        2, "new", "unit", "denoise", "file/below"
    )
    assert (elsewhere / "file").read_text() == "precious"


def test_all_problems_are_told_at_once(elsewhere: Path) -> None:
    (elsewhere / "there").mkdir()
    said = error(2, "new", "unit", "numpy", "there")
    assert "there is a module 'numpy' already" in said
    assert "there exists already" in said


def test_a_failure_half_way_leaves_nothing(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, text: str, encoding: str) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    assert "No space left on device" in error(1, "new", "unit", "denoise")
    assert list(elsewhere.iterdir()) == []


def test_the_library_raises_what_the_command_tells(elsewhere: Path) -> None:
    with pytest.raises(UsageError, match="is a word of the Python language"):
        scaffold.write("unit", "class")


def test_json_tells_the_files_and_what_to_try(elsewhere: Path) -> None:
    told = answer("new", "unit", "denoise")
    made = elsewhere / "denoise"
    assert told["directory"] == "denoise"
    assert sorted(told["files"]) == sorted(str(p.relative_to(made)) for p in made.rglob("*") if p.is_file())
    assert told["try"][-1] == "framebus run denoise --help"
