"""Screens that are kept as text, in which figures are masked: what is compared is the layout, character by character.

In a kept screen these stand for others: ``#`` for a character of a figure with its unit, or a blank; ``▒`` for a bar of
a small curve, or a blank; ``¤`` for any character; ``{}`` for a whole number of any length, behind which blanks and
rules of the same line may be longer or shorter; ``⋯`` for whatever the rest of the line is.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["differences", "kept"]

_SIGNS = {"#": r"[-0-9 .,:<~µmskHzM]", "▒": "[ ▁▂▃▄▅▆▇█]", "¤": ".", "⋯": ".*"}


def kept(path: Path) -> str:
    """A kept screen."""
    return path.read_text(encoding="utf-8").removesuffix("\n")


def differences(expected: str, screen: str) -> list[str]:
    """What of a screen is not as a kept one has it: for each such line both, one above the other."""
    wanted, found = expected.split("\n"), screen.split("\n")
    wanted += [""] * (len(found) - len(wanted))
    found += [""] * (len(wanted) - len(found))
    return [
        f"{number:2}: {line}\n  : {seen}"
        for number, (line, seen) in enumerate(zip(wanted, found, strict=True), 1)
        if not re.fullmatch(_pattern(line), seen.ljust(len(line)) if "{}" not in line else seen)
    ]


def _pattern(line: str) -> str:
    head, number, rest = line.partition("{}")
    pattern = _exactly(head)
    if number:
        loose = re.split(r"({}|  +|──+)", rest)
        pattern += r"\d+" + "".join(_loosely(part) for part in loose)
    return pattern


def _loosely(part: str) -> str:
    if part == "{}":
        return r"\d+"
    if part[:2] in ("  ", "──"):
        return f"{part[0]}+"
    return _exactly(part)


def _exactly(text: str) -> str:
    return "".join(_SIGNS.get(character, re.escape(character)) for character in text)
