"""What measurements that may be interrupted share: they go on from a partial file, and leave the mirror flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.partial import Partial
from framebus.ao.sampling import FloatArray, Poke, Sampler, resting, sender
from framebus.errors import DataError

Arrays = dict[str, NDArray[Any]]


class Interruptible:
    """A measurement with a mirror and a sensor; a subclass says what it keeps.

    Args:
        poke: the mirror.
        sampler: of the sensor.
        size: actuators.

    Attributes:
        KEPT: names of the attributes, arrays, that a partial file holds.
        send: sends a command.
        rest: float64 (size,): the command that the mirror is left at.
    """

    KEPT: tuple[str, ...] = ()

    def __init__(self, poke: Poke, sampler: Sampler, size: int) -> None:
        self.send: Callable[[FloatArray], object] = sender(poke, size)
        self.sampler = sampler
        self.rest = np.zeros(size)

    def begin(self, keep: Partial, poke: Poke, rest: ArrayLike | None) -> None:
        """Go on from the partial file if there is one, at the flat that it began with; else rest at ``rest``.

        Raises:
            UsageError: the file is of another measurement, or the flat does not fit.
            DataError: the file cannot be read.
        """
        earlier = keep.load()
        if earlier is not None:
            rest = earlier["rest"]
            for name in self.KEPT:
                setattr(self, name, earlier[name])
            self.sampler.span.resume(earlier["span"].astype(np.int64))
        self.rest = resting(poke, rest, self.rest.size)

    def state(self) -> dict[str, object]:
        """What a partial file holds."""
        kept = {name: getattr(self, name) for name in self.KEPT}
        return {**kept, "rest": self.rest, "span": self.sampler.span.as_array()}

    @contextmanager
    def interruptible(self, keep: Partial) -> Iterator[None]:
        """What ends this block early is kept in the partial file; the mirror is flat behind it in any case."""
        try:
            yield
        except BaseException:
            keep.save(self.state(), now=True)
            raise
        finally:
            self.send(self.rest)

    @staticmethod
    def check_length(found: int, expected: int) -> None:
        """A measurement must be as long as those before it.

        Raises:
            DataError: it is not.
        """
        if found != expected:
            raise DataError(
                f"a measurement has {found} elements, those of the partial file {expected}; remove that file to start "
                "anew"
            )
