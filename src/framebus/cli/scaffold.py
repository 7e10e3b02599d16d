"""New packages out of templates: all of one, or, if anything is wrong, nothing."""

from __future__ import annotations

import builtins
import importlib.resources
import importlib.util
import keyword
import re
import shutil
import string
import tempfile
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from framebus.errors import UsageError

Kind = Literal["unit", "pipeline"]

SUFFIX = ".tmpl"
_LONGEST = 32
# Names that the templates themselves give to something: a unit called so would hide it.
_TAKEN = frozenset(
    """
    annotated annotations array average background base camera clean compiled conftest directory expected fb frame
    framebus function gain image level mean monkeypatch np number offset peak pipeline result
    shared_memory start subtract test tests unit units weight x y
    """.split()
)


@dataclass(frozen=True)
class Made:
    """A package that was written.

    Attributes:
        directory: as it was asked for.
        files: paths of its files in there, sorted.
    """

    directory: Path
    files: list[Path]


def write(kind: Kind, name: str, directory: Path | None = None) -> Made:
    """Write the package ``name`` into ``directory``, by default one of that name in the working directory.

    Raises:
        UsageError: the name cannot be used, or the directory is there already; all that is wrong is said at once, and
            nothing is written.
        OSError: it could not be written; nothing is left of it.
    """
    target = Path(name) if directory is None else directory
    problems = [*name_problems(name), *_place_problems(target, name if directory is None else "")]
    if problems:
        raise UsageError(f"{'; '.join(problems)}; nothing was written")
    texts = render(kind, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".framebus-new-", dir=target.parent))
    try:
        root = draft / "package"
        for path, text in texts.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        root.rename(target)
    finally:
        shutil.rmtree(draft)
    return Made(target, sorted(texts))


def render(kind: Kind, name: str) -> dict[Path, str]:
    """Text of every file of the package, by its path."""
    top = importlib.resources.files("framebus.cli") / "templates" / kind
    texts = {}
    for path, template in _templates(top, Path()):
        place = Path(*(part.replace("package", name) for part in path.parts))
        texts[place] = string.Template(template.read_text(encoding="utf-8")).substitute(name=name)
    return texts


def name_problems(name: str) -> list[str]:
    """Why ``name`` cannot be that of a new package; empty if it can."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        said = "cannot be the name of a Python package: small letters, digits and '_' are possible, a letter first"
        return [f"{name!r} {said}"]
    if len(name) > _LONGEST:
        return [f"name '{name}' has {len(name)} letters; at most {_LONGEST} are possible"]
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return [f"'{name}' is a word of the Python language; take another name"]
    if name in _TAKEN:
        return [f"'{name}' is a name that the package itself uses; take another one"]
    if hasattr(builtins, name):
        return [f"'{name}' is a name that Python itself uses; take another one"]
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin is not None:
        return [f"there is a module '{name}' already ({spec.origin}); take another name"]
    return []


def _place_problems(target: Path, name: str) -> list[str]:
    if name and name_problems(name):
        return []  # such a name makes no directory either
    if target.exists() or target.is_symlink():
        return [f"{target} exists already; give another DIR"]
    parent = next(parent for parent in target.absolute().parents if parent.exists())
    return [] if parent.is_dir() else [f"{parent} is no directory, so {target} cannot be made"]


def _templates(directory: Traversable, path: Path) -> list[tuple[Path, Traversable]]:
    """Every template under ``directory``, with the path of what it becomes."""
    found = []
    for entry in directory.iterdir():
        if entry.is_dir():
            found += _templates(entry, path / entry.name)
        elif entry.name.endswith(SUFFIX):
            found.append((path / entry.name.removesuffix(SUFFIX), entry))
    return found
