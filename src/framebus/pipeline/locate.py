"""On which line of a TOML text each of its keys stands; the standard library's parser does not tell.

The text has been parsed before, so that it is known to be good TOML: what is not a key is skipped, not judged.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]
"""A key in full: the names of tables and keys, and numbers for entries of arrays."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_VOID = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}#\r\n]*")
# Texts, the ones of three quotes first; those may end in up to two quotes of their own.
_TEXT = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"""(?:"{1,2})?'
    r"|'''(?:[^']|'(?!''))*'''(?:'{1,2})?"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


def locate(text: str) -> dict[Path, int]:
    """The line, from 1, of every key, table and entry of an array in ``text``, which is good TOML.

    A table that no header names stands where the first of its keys does; an entry of an array where it begins.
    """
    return _Scanner(text).scan()


class _Scanner:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        # As the parser sees it: one kind of line end.
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.line = 1
        self.counted = 0
        self.lines: dict[Path, int] = {}
        self.lengths: dict[Path, int] = {}  # of arrays of tables

    def scan(self) -> dict[Path, int]:
        """All of it."""
        table: Path = ()
        self.skip(_VOID)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)
            self.skip(_VOID)
        return self.lines

    def header(self) -> Path:
        """``[a.b]`` or ``[[a.b]]``: the table that what follows belongs to."""
        double = self.text.startswith("[[", self.at)
        self.at += 1 + double
        line = self.here()
        names = self.key()
        self.at += 1 + double
        path: Path = ()
        for name in names[:-1]:
            path = self.newest((*path, name))
            self.lines.setdefault(path, line)
        path = (*path, names[-1])
        if double:
            self.lines.setdefault(path, line)
            self.lengths[path] = self.lengths.get(path, 0) + 1
            path = self.newest(path)
        self.lines[path] = line  # a header tells better than the first header of a table below it
        return path

    def newest(self, path: Path) -> Path:
        """What a header's part means: of an array of tables the last one."""
        return (*path, self.lengths[path] - 1) if path in self.lengths else path

    def pair(self, table: Path) -> None:
        """``key = value``."""
        line = self.here()
        path = table
        for name in self.key():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self.at += 1  # the '='
        self.skip(_BLANK)
        self.value(path)

    def key(self) -> list[str]:
        """A dotted key, up to what follows it."""
        names = []
        while True:
            self.skip(_BLANK)
            if self.text[self.at] in "\"'":
                raw = self.take(_TEXT)
                names.append(tomllib.loads(f"key = {raw}")["key"])
            else:
                names.append(self.take(_BARE))
            self.skip(_BLANK)
            if self.text[self.at] != ".":
                return names
            self.at += 1

    def value(self, path: Path) -> None:
        """Any value."""
        first = self.text[self.at]
        if first == "[":
            self.array(path)
        elif first == "{":
            self.inline_table(path)
        else:
            self.take(_TEXT if first in "\"'" else _SCALAR)

    def array(self, path: Path) -> None:
        """``[1, 2]``, over any number of lines."""
        self.at += 1
        number = 0
        while self.on("]"):
            entry = (*path, number)
            self.lines[entry] = self.here()
            self.value(entry)
            number += 1

    def inline_table(self, path: Path) -> None:
        """``{ a = 1 }``."""
        self.at += 1
        while self.on("}"):
            self.pair(path)

    def on(self, end: str) -> bool:
        """Go to the next entry; whether there is one before ``end``, which is passed."""
        self.skip(_VOID)
        if self.text[self.at] == ",":
            self.at += 1
            self.skip(_VOID)
        if self.text[self.at] != end:
            return True
        self.at += 1
        return False

    def here(self) -> int:
        """The line that the scanner is on."""
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Pass what matches, which may be nothing."""
        self.take(pattern)

    def take(self, pattern: re.Pattern[str]) -> str:
        """Pass what matches, and give it."""
        found = pattern.match(self.text, self.at)
        assert found is not None, f"not TOML at character {self.at}"
        self.at = found.end()
        return found[0]
