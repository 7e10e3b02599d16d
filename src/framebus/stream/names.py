"""Stream names: modifiers, type prefix, slices, and where a name lives.

A full text is ``@LE:tf32>wfs[10:29,*]``: modifiers, type, name, slices, in this order, all but the name optional.
Instead of a name it may hold the path of a stream's file: ``/dev/shm/wfs.im.shm``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from framebus.errors import NameFormatError
from framebus.places import STREAM as SUFFIX
from framebus.places import shm_directory
from framebus.stream.slices import Slices, parse_slices

__all__ = [
    "MAX_NAME_BYTES",
    "SUFFIX",
    "StreamName",
    "check_name",
    "near",
    "near_streams",
    "parse",
    "require",
    "shm_directory",
    "stream_names",
    "stream_path",
]

MAX_NAME_BYTES = 79
"""Longest name in UTF-8 bytes: the header's field holds 80, the last of them 0."""

MODIFIERS = {
    "S": "in shared memory (the default)",
    "L": "in this process only",
    "E": "must exist",
    "N": "must not exist",
}
"""The modifier letters and what each says, in the order in which ``str()`` writes them."""

_CONTRARY = {"S": "L", "L": "S", "E": "N", "N": "E"}
_LEGAL = "expected letters out of " + ", ".join(f"{letter} ({says})" for letter, says in MODIFIERS.items())

# milk's codes first (it has the integers, f32 and f64); the codes of the last three types are made alike.
_CODES = {
    "ui8": "uint8",
    "si8": "int8",
    "ui16": "uint16",
    "si16": "int16",
    "ui32": "uint32",
    "si32": "int32",
    "ui64": "uint64",
    "si64": "int64",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "c64": "complex64",
    "c128": "complex128",
}
_CODE_OF = {name: code for code, name in _CODES.items()}
# Also understood: u8, i16 ... (a number is always bits, not bytes as in NumPy's type strings) and NumPy's names.
_SHORT = {code.replace("ui", "u").replace("si", "i"): name for code, name in _CODES.items()}
_DTYPES = _CODES | _SHORT | {name: name for name in _CODES.values()}
_FORBIDDEN = "/[]>@"


@dataclass(frozen=True, slots=True)
class StreamName:
    """What a name's text says. ``str()`` gives the canonical text, which parses back equal.

    Attributes:
        name: the bare name (for a path: the file's name without ``.im.shm``).
        modifiers: the letters given, in the order S, L, E, N.
        dtype: from a type prefix (``tf32>``), else None.
        slices: from ``[...]``, else None.
        path: the file, when a path was given instead of a name, else None.
    """

    name: str
    modifiers: str = ""
    dtype: np.dtype[Any] | None = None
    slices: Slices | None = None
    path: Path | None = None

    @property
    def local(self) -> bool:
        """True with ``@L:``: the stream lives in this process only."""
        return "L" in self.modifiers

    @property
    def exists(self) -> bool | None:
        """True with ``@E:`` (must exist), False with ``@N:`` (must not exist), None with neither."""
        return True if "E" in self.modifiers else False if "N" in self.modifiers else None

    def __str__(self) -> str:
        text = f"@{self.modifiers}:" if self.modifiers else ""
        if self.dtype is not None:
            text += f"t{_CODE_OF[self.dtype.name]}>"
        if self.path is None:
            text += self.name
        else:
            where = str(self.path)
            text += where if where.startswith(("/", "../")) else f"./{where}"
        return text + ("" if self.slices is None else str(self.slices))


def parse(text: str | os.PathLike[str]) -> StreamName:
    """Read a stream's full name.

    Args:
        text: modifiers, type, name or path, slices, as in ``@E:tf32>wfs[0:9,*]``. It holds a path when it has a
            ``/`` or ends in ``.im.shm``; an ``os.PathLike`` always is one, and nothing else is looked for in it.

    Raises:
        NameFormatError: the text breaks a rule; the message says which, where, and what was expected.
    """
    if isinstance(text, os.PathLike):
        path = os.fsdecode(text)
        return _from_path(path, path)
    if not isinstance(text, str):
        raise NameFormatError(f"stream name {text!r} is a {type(text).__name__}; expected a text or a path")
    modifiers, rest = _take_modifiers(text)
    dtype, rest = _take_type(text, rest)
    # A directory may have brackets in its name, a slice never has a '/'.
    bracket = rest.find("[", rest.rfind("/") + 1)
    slices = None
    if bracket >= 0:
        slices = parse_slices(rest[bracket:], text, len(text) - len(rest) + bracket)
        rest = rest[:bracket]
    if "/" in rest or rest.endswith(SUFFIX):
        return replace(_from_path(rest, text), modifiers=modifiers, dtype=dtype, slices=slices)
    return StreamName(check_name(rest, text), modifiers, dtype, slices)


def check_name(name: str, text: str | None = None) -> str:
    """Return ``name`` if a stream may be called so; ``text`` is what errors quote, by default the name.

    Raises:
        NameFormatError: it is empty, longer than 79 bytes, begins with '.', or has white space, a control
            character or one of ``/ [ ] > @`` in it, or ends in ``.im.shm``.
    """
    quoted = repr(name if text is None else text)
    _check_characters(name, quoted, spaces=False)
    for mark in _FORBIDDEN:
        if mark in name:
            hint = "use letters, digits, '_', '-', '.'"
            if mark == "@":
                hint = "modifiers go in front of all else, as in @E:name"
            raise NameFormatError(f"stream name {quoted}: {mark!r} is not allowed in a name; {hint}")
    if name.startswith("."):
        raise NameFormatError(f"stream name {quoted}: a name must not begin with '.', such files stay hidden")
    if name.endswith(SUFFIX):
        raise NameFormatError(
            f"stream name {quoted}: '{SUFFIX}' belongs to the file, not to the name; leave it out"
        )
    return name


def require(parsed: StreamName, *, allowed: Iterable[str], context: str) -> StreamName:
    """Return ``parsed`` if it says no more than ``context`` can obey.

    Args:
        parsed: what ``parse`` gave.
        allowed: modifier letters (``"SE"`` or ``["S", "E"]``) and any of the words ``"type"``, ``"slices"``,
            ``"path"``.
        context: what the name is used for, put into the message: ``"create()"``, ``"the output of a unit"``.

    Raises:
        NameFormatError: names the first modifier (or type, slices, path) that is not allowed, and those that are.
    """
    permitted = list(allowed)
    present = [(letter, f"modifier '@{letter}:' ({MODIFIERS[letter]})") for letter in parsed.modifiers]
    if parsed.dtype is not None:
        present.append(("type", f"type prefix 't{_CODE_OF[parsed.dtype.name]}>'"))
    if parsed.slices is not None:
        present.append(("slices", f"slice '{parsed.slices}'"))
    if parsed.path is not None:
        present.append(("path", f"path '{parsed.path}'"))
    for key, what in present:
        if key not in permitted:
            legal = ", ".join(f"@{word}:" if word in MODIFIERS else word for word in permitted)
            raise NameFormatError(
                f"stream name '{parsed}': the {what} is not allowed in {context}; "
                + (f"allowed there: {legal}" if legal else "a bare name is expected there")
            )
    return parsed


def stream_path(name: str | StreamName) -> Path:
    """File of the stream of that bare name (a parsed name with a path keeps it): ``<directory>/<name>.im.shm``.

    Raises:
        NameFormatError: no stream may have that name.
    """
    if isinstance(name, StreamName):
        if name.path is not None:
            return name.path
        name = name.name
    return shm_directory() / f"{check_name(name)}{SUFFIX}"


def near(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """What to add to a message about a name that is not there: those that may be meant, or ``otherwise``, or all."""
    import difflib  # here: most programs never ask

    names = list(map(str, names))
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.7)
    if not close:  # 'gian' is meant to be 'loop.gain'
        tails = difflib.get_close_matches(str(name), [n.rpartition(".")[2] for n in names], n=3, cutoff=0.7)
        close = [n for n in names if n.rpartition(".")[2] in tails][:3]
    if close:
        return f"; did you mean {' or '.join(repr(n) for n in close)}?"
    if otherwise:
        return f"; {otherwise}"
    return f"; there are: {', '.join(sorted(names)[:20])}" if names else "; there are none"


def stream_names() -> list[str]:
    """The names of all streams, without a look into their files."""
    paths = shm_directory().glob(f"*{SUFFIX}")
    return sorted(path.name.removesuffix(SUFFIX) for path in paths if not path.name.startswith("."))


def near_streams(name: str) -> str:
    """What to add to a message about a stream that is not there."""
    there = stream_names()
    return near(name, there, otherwise="'framebus ls' lists those that are there" if there else "")


def _take_modifiers(text: str) -> tuple[str, str]:
    """Split ``@LE:rest`` (also ``@L:@E:rest``) into the letters in canonical order and the rest."""
    found = ""
    rest = text
    while rest.startswith("@"):
        letters, colon, rest = rest[1:].partition(":")
        if not colon or not letters:
            raise NameFormatError(
                f"stream name {text!r}: '@' without a modifier and ':', as in @E:name; {_LEGAL}"
            )
        for letter in letters:
            if letter not in MODIFIERS:
                raise NameFormatError(f"stream name {text!r}: unknown modifier {letter!r}; {_LEGAL}")
            if letter in found:
                raise NameFormatError(f"stream name {text!r}: modifier {letter!r} is there twice; {_LEGAL}")
            if _CONTRARY[letter] in found:
                both = f"{_CONTRARY[letter]!r} and {letter!r}"
                raise NameFormatError(
                    f"stream name {text!r}: modifiers {both} contradict each other; {_LEGAL}"
                )
            found += letter
    return "".join(letter for letter in MODIFIERS if letter in found), rest


def _take_type(text: str, rest: str) -> tuple[np.dtype[Any] | None, str]:
    """Split ``tf32>rest``; a ``>`` behind a ``/`` belongs to a path."""
    match = re.match(r"([^/\[>]*)>", rest)
    if match is None:
        return None, rest
    prefix = match[1]
    if prefix == "s":
        raise NameFormatError(
            f"stream name {text!r}: the prefix 's>' was removed; shared memory is the default, say '@S:' to insist"
        )
    if re.fullmatch("[kc][0-9]+", prefix):
        raise NameFormatError(
            f"stream name {text!r}: the prefix '{prefix}>' was removed; give keywords and history to create()"
        )
    dtype = _DTYPES.get(prefix[1:]) if prefix.startswith("t") else None
    if dtype is None:
        raise NameFormatError(
            f"stream name {text!r}: unknown prefix {prefix + '>'!r}; expected 't<type>>' with a type out of"
            f" {', '.join(_CODES)} (or NumPy's names)"
        )
    rest = rest[match.end() :]
    if re.match(r"[^/\[>]*>", rest):
        raise NameFormatError(
            f"stream name {text!r}: a second prefix behind '{prefix}>'; expected the name there"
        )
    return np.dtype(dtype), rest


def _from_path(path: str, text: str) -> StreamName:
    """A path may name a file that others made, so only what no header could hold is refused."""
    name = os.path.basename(path).removesuffix(SUFFIX)
    if "\0" in path:
        raise NameFormatError(f"stream name {text!r}: a path cannot have the character NUL in it")
    _check_characters(name, repr(text), spaces=True)
    if name in (".", ".."):
        raise NameFormatError(f"stream name {text!r}: the path is a directory; expected a stream's file")
    return StreamName(name, path=Path(path))


def _check_characters(name: str, quoted: str, *, spaces: bool) -> None:
    if not name:
        raise NameFormatError(
            f"stream name {quoted}: the name is empty; expected 1 to {MAX_NAME_BYTES} bytes"
        )
    for character in name:
        # isprintable() is False for control and format characters, lone surrogates and all white space but ' '.
        if not character.isprintable() or (character == " " and not spaces):
            kind = "white space" if character.isspace() else "a control character"
            raise NameFormatError(f"stream name {quoted}: {character!r} is {kind}; leave it out of the name")
    size = len(name.encode())
    if size > MAX_NAME_BYTES:
        raise NameFormatError(
            f"stream name {quoted}: {size} bytes are too many; a stream's header holds {MAX_NAME_BYTES}"
        )
