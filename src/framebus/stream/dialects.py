"""The two file formats of streams, and what each has no room for.

One ``Stream`` class serves both. What a format cannot hold is told here, by ``stream.dialect``, and asking for it is an
error that says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from framebus.errors import UsageError
from framebus.stream.datatypes import DTYPES

DialectName = Literal["isio", "dao"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one file format can hold. ``str()`` gives its name.

    Attributes:
        name: ``isio`` (ImageStreamIO 2.00: milk, cacao, pyMilk, MagAO-X, rtimv) or ``dao`` (Durham's DAO).
        float16: whether frames may have that dtype, which is the only one of the 13 that is not in both.
        process_trace: whether a frame carries its ancestry (``Stream.trace``).
        at_count: whether a frame can be for use from a given frame on (``Stream.write(at_count=...)``).
        keyword_updates: whether keywords count how often they were written (``Keywords.updates``).
        separate_times: whether a frame has its time of acquisition beside that of its publication, whoever wrote it;
            without, both are the one that its writer gave.
        writer_identity: whether the file names the process that wrote last, whoever that was; without, only framebus'
            own writers are known, and other writers' death cannot be told.
        packet_counters: of how many packets of a frame the file tells which frame they were last written for
            (``Stream.packets``); 0: only the number of the last packet is kept, in ``cnt1``.
        shared_history: whether the newest frame is one of the history's slots (no second copy, and the slots are
            all there is) instead of a frame beside them.
    """

    name: DialectName
    float16: bool
    process_trace: bool
    at_count: bool
    keyword_updates: bool
    separate_times: bool
    writer_identity: bool
    packet_counters: int
    shared_history: bool

    def __str__(self) -> str:
        return self.name

    def require(self, able: bool, what: str) -> None:
        """Raises UsageError, naming the format and ``what`` it cannot do, unless ``able``."""
        if not able:
            raise UsageError(f"streams of the dialect '{self}' have {what}; see Stream.dialect")


ISIO = Dialect(
    name="isio",
    float16=True,
    process_trace=True,
    at_count=True,
    keyword_updates=True,
    separate_times=True,
    writer_identity=True,
    packet_counters=0,
    shared_history=False,
)
DAO = Dialect(
    name="dao",
    float16=False,
    process_trace=False,
    at_count=False,
    keyword_updates=False,
    separate_times=False,
    writer_identity=False,
    packet_counters=512,
    shared_history=True,
)
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (ISIO, DAO)}


def find_dialect(name: str) -> Dialect:
    """The dialect of that name. Raises UsageError if there is none."""
    if name not in DIALECTS:
        raise UsageError(
            f"dialect {name!r} is unknown; expected 'isio' (ImageStreamIO's format: milk, cacao, pyMilk) or 'dao' "
            "(Durham's DAO)"
        )
    return DIALECTS[name]


def check_datatype(dialect: Dialect, code: int) -> None:
    """Raises UsageError where the dialect has no such datatype."""
    if DTYPES[code] == np.float16:
        dialect.require(dialect.float16, "no float16; use float32, or the dialect 'isio'")
