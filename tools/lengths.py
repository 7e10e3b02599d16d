"""Check that modules and functions stay short: 500 lines a module, 60 lines of code a function."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 500
FUNCTION_LINES = 60


def too_long(path: Path) -> Iterator[str]:
    """Yield a message for the module at ``path`` if it is too long, and for each function in it that is.

    A function's docstring does not count: saying more about it must not be a reason to say less.
    """
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines > MODULE_LINES:
        yield f"{path}: {lines} lines, at most {MODULE_LINES}: it holds two ideas, give each its module"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body[1] if len(node.body) > 1 else node.body[0]
        length = (node.end_lineno or first.lineno) - first.lineno + 1
        if length > FUNCTION_LINES:
            yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}: split it"


def main(roots: list[str]) -> int:
    """Check every Python file under ``roots``; return 1 if one is too long, else 0."""
    messages = [
        message for root in roots for path in sorted(Path(root).rglob("*.py")) for message in too_long(path)
    ]
    for message in messages:
        print(message)
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
