"""Streams: arrays in shared memory that one process writes and any number read, each frame whole or not at all."""

from framebus.stream.assembly import Assembly, PacketState
from framebus.stream.dialects import Dialect
from framebus.stream.frame import Frame, LatestFrame
from framebus.stream.keywords import Keywords
from framebus.stream.listing import StreamInfo, describe, purge, streams
from framebus.stream.opening import connect, create, open  # noqa: A004
from framebus.stream.rates import measure_rates
from framebus.stream.stream import Stream, StreamStatistics
from framebus.stream.trace import TraceEntry

__all__ = [
    "Assembly",
    "Dialect",
    "Frame",
    "Keywords",
    "LatestFrame",
    "PacketState",
    "Stream",
    "StreamInfo",
    "StreamStatistics",
    "TraceEntry",
    "connect",
    "create",
    "describe",
    "measure_rates",
    "open",
    "purge",
    "streams",
]
