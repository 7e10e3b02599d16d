"""Units for tests of supervised pipelines, which run in processes of their own and are told things by files."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

from framebus.stream.names import shm_directory
from framebus.unit import Array, In, Out, Unit, unit

One = Annotated[Out, Array((1,), dtype="float64")]


def folder() -> Path:
    """Where a test's processes leave each other messages."""
    return Path(os.environ["FRAMEBUS_TEST_FOLDER"])


@unit(compiled=False)
def count(value: One, *, step: float = 1.0) -> None:
    """Counts on from what its stream holds."""
    value[0] += step


@unit(compiled=False)
def negative(image: In, result: Out) -> None:
    """Result = -image."""
    result[...] = -image


@unit(compiled=False)
def times(image: In, result: Out, *, gain: float = 1.0) -> None:
    """Result = gain * image."""
    result[...] = gain * image


@unit(compiled=False)
def talk(image: In, value: One) -> None:
    """Prints every frame."""
    print(f"frame {int(image.flat[0])}")  # noqa: T201 - what it is for
    value[0] = image.flat[0]


@unit(compiled=False)
def fragile(image: In, value: One) -> None:
    """Fails at a negative frame."""
    if image.flat[0] < 0:
        raise ValueError("it is negative")
    value[0] = image.flat[0]


@unit(compiled=False)
def fails(value: One) -> None:
    """Fails at its first frame, and at length."""
    raise ValueError("it always does; " * 100)


@unit(compiled=False)
def surly(image: In, result: Out) -> None:
    """Fails at any frame."""
    raise ValueError("no")


@unit(compiled=False)
def crashes(image: In, result: Out) -> None:
    """Computes nothing: its process dies of it."""


@crashes.on("run")
def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@unit(compiled=False)
def hangs(image: In, result: Out) -> None:
    """Counts its frames, and never comes to the end of the fourth."""
    result[...] += 1
    if result.flat[0] > 3:
        threading.Event().wait()


class Logged(Unit):
    """A device that tells in a file when it is opened and closed, by the name of its stream."""

    def setup(self) -> None:
        """Open it."""
        self._say("open")

    def step(self, frame: Annotated[Out, Array((1,), dtype="float64")]) -> None:
        """A frame every now and then."""
        threading.Event().wait(0.01)
        frame[0] += 1

    def teardown(self) -> None:
        """Close it."""
        self._say("close")

    def _say(self, what: str) -> None:
        with (folder() / "devices").open("a") as file:
            file.write(f"{what} {Path('/proc/self/comm').read_text().strip()}\n")


class Slow(Unit):
    """A device whose setup takes until a file says so."""

    def setup(self) -> None:
        """Wait for it."""
        (folder() / "setting up").touch()
        while not (folder() / "go on").exists():
            threading.Event().wait(0.01)

    def step(self, frame: Annotated[Out, Array((1,), dtype="float64")]) -> None:
        """A frame every now and then."""
        threading.Event().wait(0.01)
        frame[0] += 1


class Broken(Unit):
    """A device that is not there, unless a file says so."""

    def setup(self) -> None:
        """Fail."""
        if not (folder() / "there").exists():
            raise OSError("no device")

    def step(self, frame: Annotated[Out, Array((1,), dtype="float64")]) -> None:
        """A frame every now and then."""
        threading.Event().wait(0.01)
        frame[0] += 1


@unit(compiled=False)
def hang(image: In, value: One) -> None:
    """Never comes back, and says so by a file in the directory of streams."""
    (shm_directory() / "hanging").touch()
    threading.Event().wait()
