"""Parameters' values as people write and read them: ``0.5``, ``on``, ``2026-01-31T12:00:00Z``."""

from __future__ import annotations

from datetime import UTC, datetime

from framebus.errors import ParameterError
from framebus.params.cells import Value

__all__ = ["expected", "from_text", "to_text"]

_SWITCH = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}
_EXPECTED = {
    "onoff": "on or off",
    "timestamp": "nanoseconds since 1970, or a time as 2026-01-31T12:00:00Z",
    "float32": "a number",
    "float64": "a number",
    "pid": "a process id",
}


def from_text(kind: str, text: str) -> Value:
    """What ``text`` means as a value of the type ``kind``; whether it is inside the limits is for the set to say.

    Numbers may have a prefix ``0x``, ``0o`` or ``0b`` where they are whole; on/off is also true/false, yes/no, 1/0; a
    timestamp is in ns since 1970, or ISO 8601 (of UTC, where it names no zone). Texts are taken as they stand.

    Raises:
        ParameterError: it means none; the message begins with ``=`` and wants the parameter's name before it.
    """
    if kind in ("string", "path", "stream"):
        return text
    said = text.strip()
    try:
        if kind in ("float32", "float64"):
            return float(said)
        if kind == "onoff":
            return _SWITCH[said.lower()]
        if kind == "timestamp" and not said.lstrip("-").isdecimal():
            return _nanoseconds(said)
        return int(said, 0)
    except (ValueError, KeyError, OverflowError):
        raise ParameterError(f"= {text!r}: expected {expected(kind)} ({kind})") from None


def expected(kind: str) -> str:
    """What a text of the type ``kind`` must be."""
    return _EXPECTED.get(kind, "a whole number")


def to_text(value: Value) -> str:
    """A value as ``from_text`` reads it back."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else repr(value)


def _nanoseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    since = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - datetime(
        1970, 1, 1, tzinfo=UTC
    )
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
