"""The command line, ``framebus COMMAND``: thin faces over library calls that a script can make too.

Nothing is imported before it is needed: not click and rich without a command line, not NumPy for a help text, not the
libraries of one command for another.
"""

from __future__ import annotations

import io
import os
import sys

__all__ = ["COMPLETE_VARIABLE", "main"]

COMPLETE_VARIABLE = "_FRAMEBUS_COMPLETE"
"""Set by the shells' scripts: what is wanted are completions."""


def main() -> int:
    """Run the command line of this process (``sys.argv``); returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a name may hold what the terminal's encoding does not
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ModuleNotFoundError as missing:
        print(
            f"framebus: error: commands need {missing.name}, which is not installed: pip install 'framebus[cli]'",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
    try:
        from framebus.cli.root import root

        if COMPLETE_VARIABLE in os.environ:
            from framebus.cli.completion import answer

            return answer(root, os.environ[COMPLETE_VARIABLE])
        code: int = root.main(prog_name="framebus", standalone_mode=False)
    except KeyboardInterrupt:  # before the command began
        return 130
    return code
