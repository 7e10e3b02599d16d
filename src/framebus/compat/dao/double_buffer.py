"""DAO's double buffer: the newest of what one thread writes, for another that reads."""

from __future__ import annotations

from typing import Any

__all__ = ["DoubleBuffer"]


class DoubleBuffer:
    """Holds the value that was written last. One thread writes, another reads, without locks.

    What is written is kept as it is, no copy: write an array that nobody changes afterwards.
    """

    def __init__(self) -> None:
        self._value: Any = None
        self._new = False

    def write(self, data: Any) -> None:
        """Put ``data`` in the place of what was there."""
        self._value = data
        self._new = True

    def read(self) -> Any:
        """What was written last; None before the first write."""
        self._new = False  # before the value is taken: a write in between then counts as not read
        return self._value

    def data_available(self) -> bool:
        """Whether something was written since the last ``read``."""
        return self._new
