"""Keywords of a stream: a mapping of names to numbers and texts that lives beside the pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

import numpy as np

from framebus import _core
from framebus.errors import UsageError
from framebus.stream.dialects import DIALECTS

KeywordValue = int | float | str
KeywordInput = Mapping[str, KeywordValue | tuple[KeywordValue, str]]
Fields = tuple[bytes, str, int | float | bytes | None, bytes | None]
"""Name, type, value and comment (None: the one there is stays) as they lie in shared memory."""

NAME_BYTES, TEXT_BYTES, COMMENT_BYTES = 16, 16, 80


class Keywords(MutableMapping[str, KeywordValue]):
    """The keywords of one stream, shared with every process that uses it.

    Values are 64-bit integers, double-precision floats, or texts of up to 16 bytes. Names have up to 16 bytes,
    comments up to 80. The stream has a fixed number of slots; a full stream refuses a further keyword.
    """

    def __init__(self, handle: _core.StreamHandle) -> None:
        self._handle = handle

    @property
    def slots(self) -> int:
        """How many keywords the stream can hold."""
        return self._handle.keyword_slots

    def comment(self, name: str) -> str:
        """The comment of a keyword. Raises KeyError if there is none of that name."""
        return self._entry(name)[4]

    def updates(self, name: str) -> int:
        """How often a keyword was written.

        Raises:
            KeyError: there is none of that name.
            UsageError: the stream's dialect does not count that (``dialect.keyword_updates``).
        """
        dialect = DIALECTS[self._handle.dialect]
        dialect.require(dialect.keyword_updates, "no counters of keywords")
        return self._entry(name)[3]

    def set(self, name: str, value: KeywordValue, comment: str | None = None) -> None:
        """Write a keyword; without ``comment`` an existing one is kept.

        Raises:
            UsageError: the name, value or comment does not fit its field, or all slots are taken.
        """
        fields = encode(name, value, comment)
        slot = self._find(name)
        while True:
            if slot is None:
                slot = self._free(name)
                fields = encode(name, value, comment or "")
            self._handle.set_keyword(slot, fields)
            # Another process may have taken the same free slot at the same time: then ours is looked for anew.
            written = self._handle.keyword(slot)
            if written is not None and written[0] == name:
                return
            slot = self._find(name)

    def __getitem__(self, name: str) -> KeywordValue:
        return self._entry(name)[2]

    def __setitem__(self, name: str, value: KeywordValue) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        slot = self._find(name)
        if slot is None:
            raise KeyError(name)
        self._handle.set_keyword(slot, (b"", "N", None, b""))

    def __iter__(self) -> Iterator[str]:
        for slot in range(self.slots):
            entry = self._handle.keyword(slot)
            if entry is not None:
                yield entry[0]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Keywords({dict(self)!r})"

    def _find(self, name: str) -> int | None:
        for slot in range(self.slots):
            entry = self._handle.keyword(slot)
            if entry is not None and entry[0] == name:
                return slot
        return None

    def _free(self, name: str) -> int:
        for slot in range(self.slots):
            if self._handle.keyword(slot) is None:
                return slot
        raise UsageError(
            f"keyword {name!r} does not fit: all {self.slots} slots of the stream are taken; delete one, or create the "
            "stream with more (keyword_slots=...)"
        )

    def _entry(self, name: str) -> tuple[str, str, KeywordValue, int, str]:
        slot = self._find(name)
        entry = None if slot is None else self._handle.keyword(slot)
        if entry is None:
            raise KeyError(name)
        return entry


def encode(name: str, value: object, comment: str | None) -> Fields:
    """A keyword as it is stored.

    Raises:
        UsageError: the name, value or comment is of the wrong type or does not fit its field.
    """
    encoded = _fit(name, NAME_BYTES, "keyword name")
    if not encoded or name != name.strip():
        raise UsageError(
            f"keyword name {name!r}: expected a text that is not empty nor begins or ends with blanks"
        )
    text = None if comment is None else _fit(comment, COMMENT_BYTES, f"comment of keyword {name!r}")
    return encoded, *_encode_value(name, value), text


def encode_all(keywords: KeywordInput) -> list[Fields]:
    """The same for the keywords of a new stream, each a value or a pair of value and comment."""
    fields = []
    for name, given in keywords.items():
        if isinstance(given, tuple) and len(given) != 2:
            raise UsageError(
                f"keyword {name!r}: expected a value or (value, comment), got {len(given)} items"
            )
        value, comment = given if isinstance(given, tuple) else (given, "")
        fields.append(encode(name, value, comment))
    return fields


def fits(name: str, value: KeywordValue, comment: str) -> bool:
    """Whether a keyword has room in a stream."""
    try:
        encode(name, value, comment)
    except UsageError:
        return False
    return True


def _fit(text: str, room: int, what: str) -> bytes:
    if not isinstance(text, str):
        raise UsageError(f"{what} is {text!r}, expected a text")
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} cannot be written as UTF-8: {text!r}") from None
    if len(encoded) > room:
        raise UsageError(f"{what} has {len(encoded)} bytes, at most {room} fit: {text!r}")
    if b"\0" in encoded:
        raise UsageError(f"{what} holds a NUL character: {text!r}")
    return encoded


def _encode_value(name: str, value: object) -> tuple[str, int | float | bytes]:
    if isinstance(value, str):
        return "S", _fit(value, TEXT_BYTES, f"text of keyword {name!r}")
    if isinstance(value, bool | int | np.integer | np.bool_):
        number = int(value)
        if not -(2**63) <= number < 2**63:
            raise UsageError(f"keyword {name!r}: {number} does not fit a signed 64-bit integer")
        return "L", number
    if isinstance(value, float | np.floating):
        return "D", float(value)
    raise UsageError(f"keyword {name!r}: expected an int, a float or a str, got {type(value).__name__}")
