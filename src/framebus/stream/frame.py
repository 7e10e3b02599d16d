"""What a read gives: a copy with its count and times, or a view into shared memory that can expire."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

from framebus import _core


class Frame(NamedTuple):
    """One whole frame.

    Attributes:
        data: the pixels, a copy with the stream's shape and dtype.
        count: the stream's frame counter when it was published, from 1.
        acquisition_ns: when it was acquired, integer ns since the epoch; 0 if its writer did not say.
        write_ns: when it was published, integer ns since the epoch; 0 if its writer did not say.
        missed: frames published since this handle's previous read that this handle never gets.
    """

    data: npt.NDArray[Any]
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks of a frame
    acquisition_ns: int
    write_ns: int
    missed: int


class LatestFrame:
    """The newest frame in place: ``data`` is a read-only view of shared memory, no copy.

    The writer goes on. Use the data first, then ask ``still_valid()``: False means that the frame was overwritten
    meanwhile and what was computed from it is void.
    """

    __slots__ = ("_view", "acquisition_ns", "count", "data", "write_ns")

    def __init__(self, view: _core.LatestView) -> None:
        self._view = view
        self.data: npt.NDArray[Any] = view.data  # type: ignore[assignment]
        self.count, self.acquisition_ns, self.write_ns, _ = view.info

    def still_valid(self) -> bool:
        """Whether ``data`` has held this one frame, whole, up to now."""
        return self._view.still_valid()
