"""The line in which something is asked: what to filter by, what to replace a unit with, whether to stop it."""

from __future__ import annotations

from collections.abc import Callable

from textual import events

from framebus.tui.line_editor import LineEditor
from framebus.tui.painted import Line, Painted, fit, width_of

__all__ = ["Prompt"]


class Prompt(Painted, can_focus=True):
    """Asks for a line of text, or for yes or no; it is seen only while it asks.

    Args:
        done: called when it asks no more: the keys go elsewhere again.
    """

    DEFAULT_CSS = "Prompt { height: 1; display: none; }"

    def __init__(self, done: Callable[[], None]) -> None:
        super().__init__()
        self._done = done
        self._question, self._editor = "", LineEditor()
        self._yes_no = False
        self._answer: Callable[[str], None] = lambda _text: None
        self._changed: Callable[[str], None] | None = None
        self._cancelled: Callable[[], None] | None = None

    def ask(
        self,
        question: str,
        text: str,
        answer: Callable[[str], None],
        *,
        changed: Callable[[str], None] | None = None,
        cancelled: Callable[[], None] | None = None,
    ) -> None:
        """Ask for a line.

        Args:
            question: what stands before it.
            text: what is there to begin with.
            answer: called with what was typed, at Enter.
            changed: called with the text whenever it changes.
            cancelled: called at Escape.
        """
        self._question, self._editor, self._yes_no = question, LineEditor(text), False
        self._answer, self._changed, self._cancelled = answer, changed, cancelled
        self._begin()

    def confirm(self, question: str, yes: Callable[[], None]) -> None:
        """Ask for y or n; ``yes`` is called at y."""
        self._question, self._editor, self._yes_no = question, LineEditor(), True
        self._answer, self._changed, self._cancelled = lambda _text: yes(), None, None
        self._begin()

    def _begin(self) -> None:
        self.app.clear_notifications()
        self.screen.add_class("asking")  # notices that come meanwhile stand above the question
        self.display = True
        self.screen.set_focus(self)  # now, not later: keys may be waiting
        self._draw()
        self.refresh()

    def _draw(self) -> None:
        question = f" {self._question} "
        if self._yes_no:
            answers: Line = ((" y", "key"), (" yes ", "bar"), (" n", "key"), (" no ", "bar"))
            room = self.app.size.width - sum(len(text) for text, _ in answers)
            self.paint([((fit(question, min(room, width_of(question))), "warned"), *answers)])
            return
        width = max(8, self.app.size.width - width_of(question))
        self.paint([((question, "tab on"), *self._editor.spans(width))])

    def take(self, event: events.Key) -> bool:
        """Take a key; all are its own while it asks."""
        if not self.display:
            return False
        if self._yes_no:
            self._end()
            if event.key == "y":
                self._answer("y")
        elif event.key == "enter":
            self._end()
            self._answer(self._editor.text)
        elif event.key == "escape":
            self._end()
            if self._cancelled is not None:
                self._cancelled()
        elif self._editor.key(event.key, event.character):
            self._edited()
        return True

    def on_paste(self, event: events.Paste) -> None:
        """A text that is pasted goes into the line."""
        event.stop()
        if not self._yes_no:
            self._editor.insert(event.text)
            self._edited()

    def _edited(self) -> None:
        self._draw()
        if self._changed is not None:
            self._changed(self._editor.text)

    def _end(self) -> None:
        self.display = False
        self.screen.remove_class("asking")
        self._done()

    def on_resize(self) -> None:
        """The line has the width of the screen."""
        if self.display:
            self._draw()
