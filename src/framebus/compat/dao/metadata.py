"""A header as DAO's ``get_meta_data`` gives it: DAO's names, and dictionaries where its C structs are nested."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["metadata_of", "time_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def metadata_of(header: Mapping[str, Any], slot: int, frame_ids: list[int]) -> dict[str, Any]:
    """The metadata of one slot of the FIFO.

    Args:
        header: as ``Stream.header`` gives it.
        slot: which one.
        frame_ids: for which frame each packet of the slot was last written.
    """
    of_slot = header["slots"][slot]
    # DAO's writers put all nanoseconds into the second field, whichever name the union gives it.
    time_ns = of_slot["atime_ns"]
    return {
        "name": os.fsencode(of_slot["name"]),
        "naxis": of_slot["naxis"],
        "size": of_slot["size"],
        "nelement": of_slot["nelement"],
        "atype": of_slot["atype"],
        "creation_time": header["creation_s"],
        "last_access": header["access_s"],
        "atime": {
            "ts": {"tv_sec": 0, "tv_nsec": time_ns},
            "tsfixed": {"firstlong": 0, "secondlong": time_ns},
        },
        "shared": of_slot["shared"],
        "status": of_slot["status"],
        "logflag": of_slot["logflag"],
        "sem": of_slot["sem"],
        "cnt0": of_slot["cnt0"],
        "cnt1": of_slot["cnt1"],
        "cnt2": of_slot["cnt2"],
        "write": of_slot["write"],
        "NBkw": of_slot["nkw"],
        "lastPos": of_slot["last_pos"],
        "lastNb": of_slot["last_nb"],
        "packetNb": of_slot["packet_nb"],
        "packetTotal": of_slot["packet_total"],
        "lastNbArray": frame_ids,
        "fifo_size": len(header["slots"]),
        "fifo_last_written": header["fifo_last_written"],
    }


def time_of(time_ns: int) -> datetime:
    """Local time without a time zone, as DAO gives it, to the microsecond."""
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).astimezone().replace(tzinfo=None)
