"""What the tests of sequences share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from typing import Any, TypeVar

from framebus.sequence.inbox import Inbox
from framebus.sequence.session import Session
from framebus.sequence.status import SequenceStatus

T = TypeVar("T")


def do(awaitable: Awaitable[T]) -> T:
    async def within() -> T:
        return await awaitable

    return asyncio.run(within())


def in_session(body: Any) -> Session:
    """Run an async function as a sequence's; gives what it reported."""
    session = Session(SequenceStatus("work", os.getpid()))

    async def within() -> None:
        session.enter()
        await body()

    inbox = session.begin(lambda path: Inbox(path, session.deliver, lambda: None))
    try:
        asyncio.run(within())
    finally:
        inbox.close()
        session.end("done")
    return session
