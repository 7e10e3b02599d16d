"""What the commands on streams take: shapes, values, names of several streams, and the options that many have."""

from __future__ import annotations

import cmath
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from framebus.cli import text
from framebus.cli.ls import matches
from framebus.errors import StreamNotFound, UsageError
from framebus.stream import streams
from framebus.stream.names import shm_directory

Command = TypeVar("Command", bound=Callable[..., Any])

NEGATIVE_NUMBERS = {"ignore_unknown_options": True}
"""Settings of a command that takes numbers: ``-0.1`` is one of them, and no option."""

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.0),
    default=5.0,
    show_default=True,
    metavar="S",
    help="How long to wait for a frame.",
)


def target_options(command: Command) -> Command:
    """Options of a command that makes a stream where there is none."""
    for option in (
        click.option(
            "--force", is_flag=True, help="Write to a stream that another living process writes, too."
        ),
        click.option("--overwrite", is_flag=True, help="Replace a stream that is there and does not fit."),
        click.option(
            "--dialect", type=click.Choice(["isio", "dao"]), help="File format of a stream that is made."
        ),
        click.option(
            "--history", type=click.IntRange(0), metavar="N", help="Frames that it keeps, at least."
        ),
    ):
        command = option(command)
    return command


def parse_shape(given: str) -> tuple[int, ...]:
    """``120x120`` or ``120,120``, NumPy's order. Raises UsageError."""
    words = re.split("[x,]", given.strip())
    if not all(word.isdecimal() and len(word) < 11 for word in words):
        raise UsageError(
            f"'{given}' is no shape; expected sizes in NumPy's order (y before x), as in 120x160"
        )
    return tuple(map(int, words))


def parse_number(given: str) -> int | float | complex:
    """A number as it is written in Python. Raises UsageError."""
    readers: tuple[Callable[[str], int | float | complex], ...] = (lambda word: int(word, 0), float, complex)
    for read in readers:
        try:
            number = read(given)
        except ValueError:
            continue
        if cmath.isinf(number) and "inf" not in given.lower():
            raise UsageError(f"'{given}' is too large for a number")
        return number
    raise UsageError(f"'{given}' is no number")


def parse_keyword_value(given: str) -> int | float | str:
    """A whole number, a number, or else a text."""
    for kind in (int, float):
        try:
            return kind(given)
        except ValueError:
            continue
    return given


def parse_keywords(given: Sequence[str], *, as_text: bool = False) -> dict[str, int | float | str]:
    """``KEY=VALUE`` each; ``as_text``: numbers are texts, too. Raises UsageError."""
    found = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key or any(map(str.isspace, key)):
            raise UsageError(f"keyword '{item}': expected KEY=VALUE, and no blanks in KEY")
        found[key] = value if as_text else parse_keyword_value(value)
    return found


def named(names: Sequence[str]) -> list[str]:
    """Streams that names and patterns stand for, each once. Raises StreamNotFound for a pattern without any."""
    found: dict[str, None] = {}
    for name in names:
        if not any(mark in name for mark in "*?") or any(mark in name for mark in "/["):
            found[name] = None
            continue
        matching = [info.name for info in streams() if info.state != "bad" and matches(info.name, [name])]
        if not matching:
            raise StreamNotFound(f"no stream's name matches '{name}' in {text.safe(str(shm_directory()))}")
        found |= dict.fromkeys(matching)
    return list(found)


def left_out(names: Sequence[str], where: str) -> list[str]:
    """A line that tells which keywords found no place, if any did not."""
    if not names:
        return []
    return [text.safe(f"keywords that {where} has no place for: {', '.join(names)}")]


def frames(n: int) -> str:
    """``1 frame``, ``20 frames``."""
    return f"{n} frame{'' if n == 1 else 's'}"
