"""A line of text that is being typed."""

from __future__ import annotations

from framebus.tui.painted import Span

__all__ = ["LineEditor"]


class LineEditor:
    """Text and a caret.

    Args:
        text: what is there to begin with; the caret stands behind it.

    Attributes:
        text: as it stands.
        caret: index of the character that the caret stands on.
    """

    def __init__(self, text: str = "") -> None:
        self.text, self.caret = text, len(text)

    def key(self, key: str, character: str | None) -> bool:
        """Take a key; whether it was one of editing."""
        moves = {
            "left": self.caret - 1,
            "right": self.caret + 1,
            "home": 0,
            "ctrl+a": 0,
            "end": len(self.text),
            "ctrl+e": len(self.text),
        }
        if key in moves:
            self.caret = min(len(self.text), max(0, moves[key]))
        elif key == "backspace":
            if self.caret:
                self.text = self.text[: self.caret - 1] + self.text[self.caret :]
                self.caret -= 1
        elif key == "delete":
            self.text = self.text[: self.caret] + self.text[self.caret + 1 :]
        elif key == "ctrl+u":
            self.text, self.caret = self.text[self.caret :], 0
        elif key == "ctrl+k":
            self.text = self.text[: self.caret]
        elif character is not None and character.isprintable():
            self.insert(character)
        else:
            return False
        return True

    def insert(self, text: str) -> None:
        """Put a text in at the caret; of several lines the first."""
        text = "".join(c for c in text.split("\n", maxsplit=1)[0] if c.isprintable())
        self.text = self.text[: self.caret] + text + self.text[self.caret :]
        self.caret += len(text)

    def spans(self, width: int) -> tuple[Span, ...]:
        """The line in exactly ``width`` columns, moved so that the caret is seen.

        What a terminal would obey has a sign in its place.
        """
        start = max(0, self.caret - width + 1)
        shown = self.text if self.text.isprintable() else "".join(map(_sign, self.text))
        shown = (shown + " ")[start : start + width].ljust(width)
        at = self.caret - start
        return ((shown[:at], "edit"), (shown[at], "caret"), (shown[at + 1 :], "edit"))


def _sign(character: str) -> str:
    if character.isprintable():
        return character
    return chr(0x2400 + ord(character)) if character < " " else "�"  # Unicode has pictures of controls
