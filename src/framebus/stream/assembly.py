"""A frame that arrives in packets, as cameras deliver it over a network: put together in shared memory itself."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from framebus import _core
from framebus.errors import DataError, UsageError
from framebus.stream.slices import check_storable

Incomplete = Literal["raise", "drop", "publish"]
_MOST_PACKETS = 65_535


class PacketState(NamedTuple):
    """How far the frame that comes next has come, as the stream's file tells it.

    Attributes:
        position, elements: of the last packet: its first element in the frame, and how many it had.
        packet, packets: its number, from 0, and how many make a frame.
        frame_ids: uint64 (packets,): for which frame each packet was last written; empty where the format keeps none
            (``stream.dialect.packet_counters``).
    """

    position: int
    elements: int
    packet: int
    packets: int
    frame_ids: npt.NDArray[np.uint64]


class Assembly:
    """One frame being put together from packets; see ``Stream.assemble``.

    Attributes:
        count: the frame's count once it is published; 0 until then, and if it was dropped.
        frame_id, packets: as given.
    """

    def __init__(
        self,
        handle: _core.StreamHandle,
        dtype: np.dtype[Any],
        packets: int,
        frame_id: int,
        incomplete: Incomplete,
        acquisition_ns: int,
    ) -> None:
        if not 1 <= packets <= _MOST_PACKETS:
            raise UsageError(f"packets is {packets!r}, expected 1 to {_MOST_PACKETS}")
        if not 0 <= frame_id < 2**64:
            raise UsageError(f"frame_id is {frame_id!r}, expected a whole number from 0 to 2**64 - 1")
        if incomplete not in ("raise", "drop", "publish"):
            raise UsageError(f"incomplete is {incomplete!r}, expected 'raise', 'drop' or 'publish'")
        self.count = 0
        self.frame_id = frame_id
        self.packets = packets
        self._handle = handle
        self._dtype = dtype
        self._incomplete = incomplete
        self._acquisition_ns = acquisition_ns
        self._come = np.zeros(packets, np.bool_)
        self._used = False

    @property
    def missing(self) -> list[int]:
        """Numbers of the packets that have not come, ascending."""
        return np.flatnonzero(~self._come).tolist()

    def put(self, packet: int, values: npt.ArrayLike, position: int) -> None:
        """Store one packet. Packets may come in any order, and again.

        Args:
            packet: its number, from 0.
            values: its elements, of any shape; of the stream's dtype, or one that converts to it as in ``write``.
            position: of its first element in the frame, counted along the flattened frame in C order.

        Raises:
            UsageError: it is no packet of this frame, or does not lie in it.
        """
        if not 0 <= packet < self.packets:
            raise UsageError(
                f"packet is {packet!r}, expected 0 to {self.packets - 1}: the frame has {self.packets}"
            )
        if position < 0:
            raise UsageError(f"position is {position!r}, expected 0 or more")
        elements = np.asarray(values)
        check_storable(elements, self._dtype)
        elements = np.ascontiguousarray(elements, dtype=self._dtype)
        self._handle.put(elements, position, packet, self.packets, self.frame_id)
        self._come[packet] = True

    def __enter__(self) -> Self:
        if self._used:
            raise UsageError("an assembly is for one frame; call assemble() for each")
        self._used = True
        self._handle.begin_write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        missing = self.missing
        if kind is not None or (missing and self._incomplete != "publish"):
            self._handle.abandon_write()
        else:
            self.count = self._handle.end_write(self._acquisition_ns)
        if kind is None and missing and self._incomplete == "raise":
            shown = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
            raise DataError(
                f"{self._handle.path}: {len(missing)} of {self.packets} packets of frame {self.frame_id} did not come "
                f"({shown}), and it was not published; incomplete='drop' or 'publish' takes that in its stride"
            )


def packet_state(handle: _core.StreamHandle) -> PacketState:
    """The counters of the frame that comes next."""
    header = handle.header()
    if handle.dialect == "isio":
        return PacketState(0, 0, header["cnt1"], 0, np.zeros(0, np.uint64))
    slots = header["slots"]
    coming = (header["fifo_last_written"] + 1) % len(slots)
    slot = slots[coming]
    ids = np.array(handle.packet_frame_ids(coming, slot["packet_total"]), np.uint64)
    return PacketState(slot["last_pos"], slot["last_nb"], slot["packet_nb"], slot["packet_total"], ids)
