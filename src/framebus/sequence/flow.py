"""How a sequence goes on: again, or after an error."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Literal, ParamSpec, Self, TypeVar

from framebus.errors import UsageError
from framebus.sequence.lines import place_of, told
from framebus.sequence.session import session_or_none
from framebus.sequence.values import ConditionLike, holds

__all__ = ["Attempt", "Policy", "on_error", "repeat"]

P = ParamSpec("P")
T = TypeVar("T")

Policy = Literal["abort", "skip", "retry"]


async def repeat(
    times: int | None = None,
    title: str = "",
    *,
    until: ConditionLike | Callable[[], object] | None = None,
    pause_s: float = 0.0,
) -> AsyncIterator[int]:
    """Do a block again and again: ``async for i in ...`` gives 0, 1, 2 and so on; ``break`` ends it, too.

    Between two passes the sequence can be stopped, also where the block awaits nothing.

    Args:
        times: how often at most; None: for ever.
        title: of the step, if given; its progress is that of the passes.
        until: what ends it as soon as it holds, also before the first pass: a condition on a parameter, or a function.
        pause_s: between two passes, s.

    Raises:
        UsageError: an argument is wrong.
    """
    if times is not None and times < 0:
        raise UsageError(f"repeat({times}): expected 0 or more, or None to repeat for ever")
    session = session_or_none()
    done = 0
    while times is None or done < times:
        if until is not None and (until() if callable(until) else holds(until)):
            break
        if title and session is not None:
            session.update(step=title, progress=None if times is None else done / times)
        yield done
        done += 1
        if times is None or done < times:
            await asyncio.sleep(pause_s)
    if title and session is not None and times is not None:
        session.update(progress=1.0)


class Attempt:
    """One try of a block: ``async with attempt: ...``."""

    def __init__(self, policy: on_error, number: int) -> None:
        self._policy = policy
        self.number = number
        self.failed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.failed = self._policy.passes_over(error, self.number)
        return self.failed


class on_error:  # noqa: N801 - reads as the command it is
    """What becomes of an error: ``abort`` lets it through, ``skip`` goes on behind, ``retry`` tries again.

    Before a function it holds for each call of it; what is skipped gives None::

        @on_error("retry", times=3, pause_s=1.0)
        async def measure(): ...

    Around a block, ``skip`` leaves out the rest of it, and ``abort`` is what a block inside another policy's may want::

        async with on_error("skip"):
            await wait_stream("wfs")

    Python cannot do a block again by itself, so ``retry`` is a loop around it, which ends with the first good try::

        async for attempt in on_error("retry", times=3):
            async with attempt:
                await wait_stream("wfs")

    Whatever is passed over is logged with file and line, and counted in the status' ``errors``. Being stopped is no
    error, and never passed over.

    Args:
        policy: ``abort``, ``skip`` or ``retry``.
        times: for ``retry``: tries in all. The last one's error is let through.
        pause_s: for ``retry``: before another try, s.
        only: classes of errors that it is for; others are let through.

    Raises:
        UsageError: an argument is wrong.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        times: int | None = None,
        pause_s: float = 0.0,
        only: type[Exception] | tuple[type[Exception], ...] = Exception,
    ) -> None:
        if policy not in ("abort", "skip", "retry"):
            raise UsageError(f"on_error({policy!r}): expected 'abort', 'skip' or 'retry'")
        if policy != "retry" and times is not None:
            raise UsageError(f"on_error('{policy}', times={times}): 'times' is for 'retry'")
        if times is not None and times < 1:
            raise UsageError(f"on_error('retry', times={times}): expected 1 or more tries")
        self.policy = policy
        self._times = 3 if times is None and policy == "retry" else (times or 1)
        self._pause_s, self._only = pause_s, only

    def passes_over(self, error: BaseException | None, number: int) -> bool:
        """Whether the sequence goes on after what ended try ``number`` (from 1); if so, that is logged."""
        if not isinstance(error, Exception) or not isinstance(error, self._only) or self.policy == "abort":
            return False
        if self.policy == "retry" and number >= self._times:
            return False
        then = "going on behind it" if self.policy == "skip" else f"try {number + 1} of {self._times}"
        where = place_of(error)
        said = f"{told(error)}; {then}"
        if (session := session_or_none()) is not None:
            session.update(errors=session.status.errors + 1)
            session.log(f"{where}: {said}" if where else said)
        return True

    # ---- before a function ----

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T | None]]:
        """The function with this policy."""
        if not callable(function):
            raise UsageError(f"on_error('{self.policy}') stands before a function; {function!r} is none")

        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
            async for attempt in self:
                async with attempt:
                    return await function(*args, **kwargs)
            return None

        return guarded

    # ---- around a block ----

    async def __aenter__(self) -> Self:
        if self.policy == "retry":
            raise UsageError(
                "a block cannot try itself again; write 'async for attempt in on_error(\"retry\", times=3):' and in "
                "it 'async with attempt:', or put on_error before a function"
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return self.passes_over(error, 1)

    async def __aiter__(self) -> AsyncIterator[Attempt]:
        number = 1
        while True:
            attempt = Attempt(self, number)
            yield attempt
            if not attempt.failed or self.policy == "skip":
                return
            number += 1
            await asyncio.sleep(self._pause_s)
