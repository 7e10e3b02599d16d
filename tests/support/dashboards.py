"""The dashboard under a test's control, without a terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from textual.events import Key
from textual.pilot import Pilot

from framebus.tui.app import Dashboard

TIMEOUT_S = 60.0
"""Far longer than anything takes, so that only a hang fails."""

Use = Callable[["Screen"], Awaitable[None]]

_NAMES = {
    " ": "space",
    ".": "full_stop",
    "-": "minus",
    "=": "equals_sign",
    ":": "colon",
    "/": "slash",
    "_": "underscore",
    "?": "question_mark",
}
"""What textual calls characters that are no letters."""


class Screen:
    """A dashboard that runs, its keys and what it shows."""

    def __init__(self, app: Dashboard, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    def text(self) -> str:
        """All characters on the screen, a line each."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line).rstrip() for line in strips)

    def line(self, word: str) -> str:
        """The first line that has the word; empty if none has."""
        return next((line for line in self.text().splitlines() if word in line), "")

    async def press(self, *keys: str) -> None:
        """Press keys, one after another; a text of several characters that is no key is typed."""
        for key in keys:
            await self.pilot.press(key)

    def burst(self, *keys: str) -> None:
        """Keys that come all at once: none is waited for; a text of one character is typed."""
        for key in keys:
            character = key if len(key) == 1 else None
            name = _NAMES.get(key, key)
            self.app.post_message(Key(name, character))

    async def type(self, text: str) -> None:
        """Type a text."""
        await self.pilot.press(*(_NAMES.get(character, character) for character in text))

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once ``condition()`` is true; AssertionError with the screen if it does not become so."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, f"it does not come to that; the screen:\n{self.text()}"
            await self.pilot.pause(0.01)

    async def shows(self, *words: str) -> None:
        """Return once all of the words are on the screen."""
        await self.until(lambda: all(word in self.text() for word in words))

    async def noticed(self, words: str) -> None:
        """Return once a notice has the words; on the screen it may be wrapped anywhere between them."""
        await self.until(lambda: any(words in notice.message for notice in self.app._notifications))


def use(act: Use, *, tab: str = "streams", size: tuple[int, int] = (80, 24)) -> None:
    """Run the dashboard and do something with it."""

    async def run() -> None:
        app = Dashboard(rate_hz=30.0, tab=tab)
        async with app.run_test(size=size, notifications=True) as pilot:
            await act(Screen(app, pilot))

    asyncio.run(run())
