"""How a command line ends: one line for an error, and an exit code that a script can use."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

import click

from framebus.cli.text import safe
from framebus.errors import (
    DataError,
    FramebusError,
    NotFoundError,
    ParameterError,
    PipelineError,
    UsageError,
)

FAILED, WRONG_USAGE, NOT_FOUND, BAD_DATA = 1, 2, 3, 4
INTERRUPTED = 130
"""As a shell reports a program that SIGINT ended."""


@dataclass
class Settings:
    """What holds for a whole command line.

    Attributes:
        debug: show an error's traceback.
    """

    debug: bool = False


def exit_code(error: Exception) -> int:
    """The exit code that tells this error's kind."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, PipelineError):
        return BAD_DATA  # what is wrong stands in a file, not in the command line
    kinds = ((UsageError, WRONG_USAGE), (NotFoundError, NOT_FOUND), (DataError, BAD_DATA))
    return next((code for kind, code in kinds if isinstance(error, kind)), FAILED)


def message(error: Exception) -> str:
    """What to tell about an error, in one line that no terminal chokes on; several problems have a line each."""
    if isinstance(error, PipelineError) and len(error.problems) > 1:
        listed = [safe(str(problem)) for problem in error.problems]
        return "\n".join([f"the pipeline has {len(listed)} problems", *listed])
    text = str(error) or type(error).__name__
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx is not None else "framebus"
        said = error.format_message().rstrip(".?")
        for kind, expected in (("float", "number"), ("integer", "whole number")):
            said = said.replace(f"is not a valid {kind} range", f"is no {expected}")
        text = f"{said[:1].lower()}{said[1:]}; '{where} --help' tells what there is"
    elif isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, ParameterError) and len(error.problems) > 1:
        return "\n".join(map(safe, str(error).splitlines()))
    elif isinstance(error, ModuleNotFoundError):
        text = f"this command needs {error.name}, which is not installed: pip install 'framebus[all]'"
    return safe(" ".join(line.strip() for line in text.splitlines()))


def guarded(run: Callable[[], Any], settings: Settings) -> int:
    """Call ``run``; returns the exit code: what it returns if that is one, or what its exception means.

    An exception that nobody raised on purpose is let through: it is a bug, and its traceback is what helps.
    """
    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (FramebusError, click.ClickException, ModuleNotFoundError, OSError) as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "framebus":
            raise
        if settings.debug and not isinstance(error, click.ClickException):
            traceback.print_exception(error)
        click.echo(f"framebus: error: {message(error)}", err=True)
        return exit_code(error)
    return code if isinstance(code, int) else 0


def silence(output: TextIO) -> None:
    """Nobody reads it any more: let what is left in the buffer vanish too, else the interpreter complains."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, output.fileno())
    os.close(nowhere)
