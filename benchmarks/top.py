"""`top`: what the dashboard costs, as a share of one core, with 100 streams and 50 units at 5 looks a second.

``python benchmarks/top.py [--tab units] [--size 80x24]`` runs ``framebus top`` in a pseudo-terminal, as a person would,
and reads the CPU time that the kernel has counted for it: a busy machine changes little about that.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

import numpy as np

import framebus as fb
from framebus.process import Event, ProcessRecord
from pairs import scratch_directory

TARGET = 0.05
"""Of a core, at most."""
_SETTLE_S = 6.0
"""What it may take until all is shown and every process was looked at once."""
_TICKS_HZ = os.sysconf("SC_CLK_TCK")
_WRITER = "--write"


def write(streams: int, units: int, rate_hz: float) -> None:
    """Make streams and records, and keep all of them moving until the input ends."""
    opened = [
        fb.create(f"stream{i:03d}", shape=(64, 64), dtype="float32", history=4 * (i % 2))
        for i in range(streams)
    ]
    records = [ProcessRecord.create(f"unit{i:02d}", trigger=f"stream{i:03d}") for i in range(units)]
    for record in records:
        for event in (Event.INIT, Event.ENABLE, Event.RUN):
            record.advance(event)
    frame = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    print("ready", flush=True)
    count = 0
    while not select.select([sys.stdin], [], [], 1.0 / rate_hz)[0]:
        count += 1
        for stream in opened:
            stream.write(frame)
        now_ns = time.time_ns()
        for i, record in enumerate(records):
            record.core.stamp(count, now_ns - 5000, now_ns, now_ns + 20_000 + 500 * i)
    for record in records:
        record.remove()


def spent_s(pid: int) -> float:
    """User and system time of a process, s."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_HZ


def drain(terminal: int, until_s: float) -> bytes:
    """Read what the dashboard writes until then."""
    read = []
    while (left := until_s - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                read.append(os.read(terminal, 65536))
            except OSError:  # it ended, and with it the other side of the terminal
                break
    return b"".join(read)


def measure(
    tab: str, size: tuple[int, int], seconds: float, rate_hz: float, expected: list[str]
) -> tuple[float, float]:
    """Share of a core, and bytes a second to the terminal, of a dashboard that shows all texts that are expected."""
    terminal, side = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    command = [sys.executable, "-m", "framebus", "top", "--tab", tab, "--rate", f"{rate_hz:g}"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    app = subprocess.Popen(
        command, stdin=side, stdout=side, stderr=side, env=environment, start_new_session=True
    )
    os.close(side)
    try:
        if not select.select([terminal], [], [], 60.0)[0]:
            raise SystemExit("framebus top shows nothing")
        shown = drain(terminal, time.monotonic() + _SETTLE_S).decode(errors="replace")
        if missing := [text for text in expected if text not in shown]:
            raise SystemExit(f"framebus top does not show {' and '.join(missing)}")
        before_s, start_s = spent_s(app.pid), time.monotonic()
        read = len(drain(terminal, start_s + seconds))
        taken_s = time.monotonic() - start_s
        share = (spent_s(app.pid) - before_s) / taken_s
        os.write(terminal, b"q")
        drain(terminal, time.monotonic() + 0.5)
        if app.wait(10) != 0:
            raise SystemExit(f"framebus top ended with exit code {app.returncode}")
    finally:
        app.kill()
        app.wait()
        os.close(terminal)
    return share, read / taken_s


def main() -> int:
    """Measure each tab, print a line for each; 1 if one costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tab", action="append", help="only this one; may be given again")
    parser.add_argument("--size", default="140x40", help="columns x lines of the terminal")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure each")
    parser.add_argument("--rate", type=float, default=5.0, help="looks per second")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--units", type=int, default=50)
    parser.add_argument("--writes", type=float, default=50.0, help="frames per second of each stream")
    parser.add_argument(_WRITER, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options.streams, options.units, options.writes)
        return 0
    columns, lines = map(int, options.size.split("x"))
    worst = 0.0
    with scratch_directory() as scratch:
        os.environ["MILK_SHM_DIR"] = str(scratch)
        arguments = [
            "--streams",
            str(options.streams),
            "--units",
            str(options.units),
            "--writes",
            str(options.writes),
        ]
        writer = subprocess.Popen(
            [sys.executable, __file__, _WRITER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        try:
            expected = [f" {options.streams} streams ", f" {options.units} units "]
            for tab in options.tab or ("streams", "units", "graph", "messages"):
                share, rate = measure(tab, (columns, lines), options.seconds, options.rate, expected)
                worst = max(worst, share)
                print(
                    f"{tab:<11} {share:6.2%} of a core   {rate / 1e3:6.1f} kB/s to the terminal", flush=True
                )
        finally:
            writer.communicate()
    print(
        f"{options.streams} streams, {options.units} units, {options.rate:g} Hz, {options.size}: target {TARGET:.0%}"
    )
    return int(worst > TARGET)


if __name__ == "__main__":
    raise SystemExit(main())
