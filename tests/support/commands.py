"""How the tests of the command line call it: in this process, or as a program of its own."""

from __future__ import annotations

import json
import sys
from typing import Any

from click.testing import CliRunner, Result

from framebus.cli.root import root

PROGRAM = [sys.executable, "-m", "framebus"]


def call(*arguments: str) -> Result:
    """``framebus ARGUMENTS`` in this process, its output no terminal. Exceptions that it lets through are raised."""
    result = CliRunner().invoke(root, arguments, prog_name="framebus")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def output(*arguments: str) -> str:
    """What a call that succeeds prints."""
    result = call(*arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def answer(*arguments: str) -> Any:
    """What a call with ``--json`` that succeeds prints."""
    return json.loads(output(*arguments, "--json"), parse_constant=_refuse)


def error(code: int, *arguments: str) -> str:
    """The one line that a call that fails with ``code`` prints."""
    result = call(*arguments)
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("framebus: error: ")
    return lines[0]


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")
