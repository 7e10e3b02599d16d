"""What a loop's heartbeat costs per frame: ``python benchmarks/heartbeat.py``.

The stamp of a loop in its process record (times, counts, the comparison with both limits), as the native loop does it,
a million times in a row; the best and the median of some rounds. The promise is 100 ns at most.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence

from framebus.process import ProcessRecord


def measure(rounds: int, loops: int, *, limits: bool) -> list[float]:
    """Nanoseconds per stamp, of each round."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as scratch:
        record = ProcessRecord.create("heartbeat", directory=scratch)
        if limits:
            record.set_limits(period_us=1e9, compute_us=1e9)
        taken = [record.core.time_stamps(loops) / loops for _ in range(rounds)]
        # The answer: every stamp is there, and none of them was above a limit (the first period of a round is none).
        if (
            record.loop_count != rounds * loops
            or record.alarms
            or record.timings()["loop"][-1] != rounds * loops
        ):
            raise SystemExit(f"wrong: {record.loop_count} loops of {rounds * loops}, {record.alarms} alarms")
        record.close()
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="What a loop's heartbeat costs per frame, in ns.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--loops", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    for limits in (False, True):
        taken = measure(options.rounds, options.loops, limits=limits)
        which = "with limits" if limits else "without limits"
        print(
            f"heartbeat {which:15} best {min(taken):6.1f} ns   median {statistics.median(taken):6.1f} ns   (<= 100 ns)"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
