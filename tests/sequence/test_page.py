"""What the page of sequences shows works as it stands there, with ``from framebus.sequence import *``."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from pathlib import Path

import pytest

import framebus.errors
import framebus.sequence
from framebus.sequence import run_file

PAGE = (Path(__file__).parents[2] / "docs" / "sequences.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS)
def test_names_in_the_examples_are_there(block: str) -> None:
    tree = ast.parse("async def page():\n" + textwrap.indent(block, "    "))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    known = own | set(dir(builtins)) | set(framebus.sequence.__all__)
    assert {node.id for node in names} <= known


def test_errors_that_the_page_names_are_there() -> None:
    named = {
        word
        for word in re.findall(r"[A-Z]\w+", PAGE)
        if word == "Interrupted" or word in dir(framebus.errors)
    }
    assert {"WaitTimeout", "Interrupted"} <= named <= set(framebus.sequence.__all__)


def test_only_an_error_of_the_kind_that_is_named_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "work.py"
    path.write_text(
        "from framebus.sequence import *\n"
        "@sequence\n"
        "async def main():\n"
        "    async with on_error('skip', only=WaitTimeout):\n"
        "        await wait_stream('science_camera', timeout_s=0)\n"
        "    return 'went on'\n"
    )
    assert run_file(path) == "went on"
