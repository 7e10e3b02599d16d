"""The lines at the top and at the bottom of the screen."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual import events
from textual.message import Message

from framebus.cli.text import safe
from framebus.tui.looks import Snapshot
from framebus.tui.painted import Painted, Span, fit, width_of

__all__ = ["KeyBar", "TabBar", "TitleBar"]


class TitleBar(Painted):
    """Where this is, what there is, what is wrong, and the time."""

    DEFAULT_CSS = "TitleBar { height: 1; }"

    def tell(self, snapshot: Snapshot, folder: str, frozen: bool) -> None:
        """Show how a snapshot stands as a whole."""
        clock = time.strftime("%H:%M:%S", time.localtime(snapshot.time_ns * 1e-9)) if snapshot.time_ns else ""
        right: list[Span] = [(" FROZEN ", "frozen")] if frozen else []
        right.append((f" {clock} ", "bar strong"))
        room = self.size.width - _width(right)
        spans = _summary(snapshot, words=True)
        if _width(spans) > room:
            spans = _summary(snapshot, words=False)
        spans.append((f" {safe(folder)} ", "bar dim"))
        self.paint([(*_cut(spans, room), *right)])

    def on_resize(self) -> None:
        """The next snapshot fills it again."""
        self.refresh()


def _summary(snapshot: Snapshot, words: bool) -> list[Span]:
    """What there is and what is wrong with it; without words that signs can stand for, where there is no room."""
    stale = sum(1 for stream in snapshot.streams.values() if stream.state == "stale")
    spans: list[Span] = [(" framebus top ", "bar strong"), *_counted(len(snapshot.streams), "stream")]
    spans += _flag("✖", snapshot.wrong_streams, "dead or bad", "alarm", words)
    spans += _flag("◐", stale, "stale", "warned", words)
    spans += _counted(len(snapshot.units), "unit")
    spans += _flag("✖", snapshot.wrong_units, "failed", "alarm", words)
    for pipeline in snapshot.pipelines.values():
        lost = not pipeline.supervised or pipeline.suspended_pid
        text = "NO SUPERVISOR" if not pipeline.supervised else "SUSPENDED" if lost else pipeline.phase
        spans += [(f" {safe(pipeline.name)} {text} ", "alarm" if lost else "bar"), (" ", "bar")]
    return spans


def _counted(n: int, what: str) -> list[Span]:
    return [(f" {n} {what}{'' if n == 1 else 's'} ", "bar")]


def _flag(sign: str, n: int, what: str, style: str, words: bool) -> list[Span]:
    return [(f" {sign} {n} {what} " if words else f"{sign}{n}", style), (" ", "bar")] if n else []


def _width(spans: Sequence[Span]) -> int:
    return sum(width_of(text) for text, _ in spans)


def _cut(spans: Sequence[Span], width: int) -> list[Span]:
    """The spans in exactly ``width`` columns."""
    found: list[Span] = []
    left = max(0, width)
    for text, name in spans:
        found.append((fit(text, min(left, width_of(text))), name))
        left -= min(left, width_of(text))
    return [*found, (" " * left, "bar")]


class TabBar(Painted):
    """The tabs: each with its number, and with how much is wrong on it."""

    DEFAULT_CSS = "TabBar { height: 1; }"

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, tabs: Sequence[str]) -> None:
        super().__init__()
        self._tabs = tabs

    def tell(self, active: str, wrong: dict[str, int]) -> None:
        """Show which tab is open, and how many things are wrong on each."""
        spans: list[Span] = []
        for n, tab in enumerate(self._tabs, 1):
            bad = wrong.get(tab, 0)
            spans.append((f" {n} {tab.capitalize()} ", "tab on" if tab == active else "tab"))
            if bad:
                spans.append((f"✖{min(bad, 999)} ", "alarm"))
        self.paint([tuple(_cut(spans, self.size.width))])

    def on_click(self, event: events.Click) -> None:
        """Open the tab that was clicked."""
        x = 0
        line = self.lines[0] if self.lines else ()
        for text, _ in line:
            number = text.strip().partition(" ")[0]
            if x <= event.x < x + width_of(text) and number.isdigit():
                self.post_message(self.Chosen(self._tabs[int(number) - 1]))
            x += width_of(text)


class KeyBar(Painted):
    """The keys that do something here; those that do not fit are in the help."""

    DEFAULT_CSS = "KeyBar { height: 1; }"

    def __init__(self, always: Sequence[tuple[str, str]] = (("?", "help"), ("q", "quit"))) -> None:
        super().__init__()
        self._keys: Sequence[tuple[str, str]] = ()
        self._always = always

    def tell(self, keys: Sequence[tuple[str, str]]) -> None:
        """Show these keys and what they do."""
        self._keys = keys
        always = _key_spans(self._always)
        room = self.size.width - _width(always)
        spans: list[Span] = []
        for key in keys:
            more = _key_spans([key])
            if _width(spans) + _width(more) > room:
                break
            spans += more
        self.paint([(*_cut(spans, room), *always)])

    def on_resize(self) -> None:
        """More or fewer of them fit."""
        self.tell(self._keys)


def _key_spans(keys: Sequence[tuple[str, str]]) -> list[Span]:
    return [span for key, text in keys for span in ((f" {key}", "key"), (f" {text} ", "bar"))]
