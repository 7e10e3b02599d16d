"""Groups of worker processes that set up in step, run one round, and report.

A worker is any program that speaks a few lines: it prints ``loaded``, answers ``make`` with ``made`` and ``go`` with
``done``, and leaves at ``bye``; it may say ``skipped <why>`` or ``wrong <what>`` instead at any time. Making is in
order, the first worker's first; going is in reverse order, so that those who wait are there before who starts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contest import Skipped, WrongAnswer
from machine import HERE, SHM

PATIENCE_S = 180.0


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory in shared memory for one contestant's streams; framebus finds it as ``MILK_SHM_DIR``."""
    path = Path(tempfile.mkdtemp(prefix="framebench-", dir=SHM if SHM.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Worker:
    """One process and the lines exchanged with it."""

    def __init__(self, command: list[str], scratch: Path) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in end()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=scratch,
            env=os.environ | {"MILK_SHM_DIR": str(scratch)},
        )
        # A worker that hangs is ended, which ends the read that waits for it.
        self.watchdog = threading.Timer(PATIENCE_S, self.process.kill)
        self.watchdog.daemon = True
        self.watchdog.start()

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its last line or its standard error says why; expect() reports that

    def expect(self, word: str) -> None:
        """Wait for one line.

        Raises:
            Skipped: the worker says that it cannot run here.
            WrongAnswer: the worker found a wrong value.
            RuntimeError: it died or said something else.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if line == word:
            return
        if line.startswith("skipped "):
            raise Skipped(line.removeprefix("skipped "))
        if line.startswith("wrong "):
            raise WrongAnswer(line.removeprefix("wrong "))
        self.errors.seek(0)
        last = self.errors.read().strip().splitlines()[-1:]
        raise RuntimeError(f"no {word!r} but {line!r} from a worker: {''.join(last)[-300:]}")

    def end(self) -> None:
        self.watchdog.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.errors.close()


def python_worker(script: str, **config: object) -> list[str]:
    """The command that runs ``benchmarks/<script>.py`` with its configuration as JSON."""
    return [sys.executable, str(HERE / f"{script}.py"), json.dumps(config)]


def run_group(commands: list[list[str]], scratch: Path) -> None:
    """Start all, take them through loaded, make, go and done, and end them whatever happens."""
    workers: list[Worker] = []
    try:
        workers += [Worker(command, scratch) for command in commands]
        for worker in workers:
            worker.expect("loaded")
        for worker in workers:
            worker.tell("make")
            worker.expect("made")
        for worker in reversed(workers):
            worker.tell("go")
        for worker in workers:
            worker.expect("done")
        for worker in workers:
            worker.tell("bye")
        for worker in workers:
            worker.process.wait(10)
    finally:
        for worker in workers:
            worker.end()
