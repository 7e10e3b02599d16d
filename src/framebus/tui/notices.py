"""What keeps the dashboard on the screen, whatever goes wrong in it: an error becomes a notice."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from textual.widget import Widget

__all__ = ["noticed"]

_W = TypeVar("_W", bound=Widget)
_P = ParamSpec("_P")


def noticed(handler: Callable[Concatenate[_W, _P], None]) -> Callable[Concatenate[_W, _P], None]:
    """A widget's handler that ends with a notice where it would raise: textual would end the program."""

    def guarded(self: _W, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            handler(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - see above; the text of the error is what the user can report
            report(self, error)

    functools.update_wrapper(guarded, handler)
    return guarded


def report(widget: Widget, error: Exception) -> None:
    """Tell the dashboard, which shows each error once."""
    app: Any = widget.app
    app.tell_once(error)
