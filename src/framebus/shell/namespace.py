"""The names at a prompt: a dictionary in which streams are found, and images become streams."""

from __future__ import annotations

import builtins
from typing import Any

from framebus.errors import UsageError
from framebus.shell.image import Image
from framebus.shell.live import LiveStream, Streams
from framebus.shell.publishing import publish
from framebus.stream.names import SUFFIX, shm_directory

__all__ = ["Namespace"]


class Namespace(dict[str, Any]):
    """A prompt's variables.

    A name that is no variable and no builtin is the stream of that name. An ``Image`` that is assigned to a name is
    published as the stream of that name, and is no variable; names that begin with ``_`` and the prompt's own
    (``s``, ``p``, ``u``, ``np``, ``fb``) and Python's excepted.

    Attributes:
        publishing: whether images are published; else they are variables as all else.
    """

    def __init__(self, streams: Streams, own: dict[str, Any]) -> None:
        super().__init__(own)
        self._streams = streams
        self._own = frozenset(own)
        self.publishing = True

    def __missing__(self, name: str) -> LiveStream:
        if (
            name.startswith("_")
            or hasattr(builtins, name)
            or not (shm_directory() / f"{name}{SUFFIX}").exists()
        ):
            raise KeyError(name)
        return self._streams[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(value, LiveStream) and value.asked_for == name and name not in self:
            return  # the end of `im += 1`
        if not isinstance(value, Image) or name.startswith("_") or not self.publishing:
            super().__setitem__(name, value)
            return
        if name in self._own or hasattr(builtins, name):
            whose = "the prompt's" if name in self._own else "Python's"
            raise UsageError(f"'{name}' is {whose} own; take another name, or publish by s['{name}'] = ...")
        publish(name, value)
        self.pop(name, None)  # the stream is found from now on
