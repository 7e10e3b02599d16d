"""The kernel's small text files in /proc and /sys: read without ever failing, and their usual forms taken apart."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = [
    "chosen",
    "cpu_times",
    "fields",
    "first_number",
    "kernel_config",
    "numbers",
    "options",
    "ranges",
    "stat_fields",
    "text",
    "whole",
]


def text(path: Path) -> str:
    """What a file says, without blanks at its ends; nothing if it is not there or not for us."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def whole(path: Path) -> int | None:
    """The number that a file holds; None if it holds none, or is not there."""
    try:
        return int(text(path))
    except ValueError:
        return None


def fields(path: Path) -> dict[str, str]:
    """Lines of the form ``Name: value``."""
    pairs = (line.partition(":") for line in text(path).splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def stat_fields(path: Path) -> list[str]:
    """The fields of a process's or a thread's ``stat``, by their numbers in proc(5); nothing if it is gone.

    The first three places are empty: the name, in parentheses, may hold anything.
    """
    _, parenthesis, behind = text(path).rpartition(")")
    words = behind.split() if parenthesis else []
    return ["", "", "", *words] if words else []


def cpu_times(base: Path) -> list[int]:
    """CPU time since boot, of all CPUs: user, nice, system, idle, iowait, irq, softirq, steal; nothing if not told."""
    words = text(base / "proc/stat").partition("\n")[0].split()[1:9]
    return [int(word) for word in words] if len(words) == 8 and all(map(str.isdigit, words)) else []


def first_number(words: str | None) -> int:
    """12 of ``"12 kB"``; 0 if there is none."""
    word = (words or "").partition(" ")[0]
    return int(word) if word.isdigit() else 0


def chosen(words: str, brackets: str = "[]") -> str:
    """The marked one of a kernel's choices: ``madvise`` of ``always [madvise] never``."""
    return words.partition(brackets[0])[2].partition(brackets[1])[0]


def options(words: str, name: str) -> list[str]:
    """The values of a boot option, in the order of the command line: the last one holds."""
    return [word.partition("=")[2] for word in words.split() if word.startswith(f"{name}=")]


def numbers(words: str) -> tuple[int, ...]:
    """A kernel's list of numbers: ``"0-3,8"`` is (0, 1, 2, 3, 8). Words that are no numbers are passed over."""
    found: list[int] = []
    for part in words.replace(",", " ").split():
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.extend(range(int(first), int(last or first) + 1))
    return tuple(found)


def ranges(values: Iterable[int]) -> str:
    """(0, 1, 2, 8) as ``0-2,8``."""
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in _runs(values))


def kernel_config(base: Path) -> dict[str, str]:
    """How the running kernel was built, by option (``CONFIG_HZ``); nothing where neither /proc nor /boot tells."""
    release = text(base / "proc/sys/kernel/osrelease")
    try:
        said = gzip.decompress((base / "proc/config.gz").read_bytes()).decode(errors="replace")
    except (OSError, EOFError, zlib.error):
        said = text(base / f"boot/config-{release}") if release else ""
    pairs = (line.partition("=") for line in said.splitlines() if line.startswith("CONFIG_"))
    return {name: value for name, _, value in pairs}


def _runs(values: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for value in sorted(values):
        if first is None or last is None:
            first = last = value
        elif value == last + 1:
            last = value
        else:
            yield first, last
            first = last = value
    if first is not None and last is not None:
        yield first, last
