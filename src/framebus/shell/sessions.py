"""A session: streams, parameters and units as objects, and code that is run among them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import framebus
from framebus.calc import calc
from framebus.errors import DataError, NotFoundError
from framebus.shell.image import Image
from framebus.shell.live import LiveStream, Streams
from framebus.shell.mistakes import explain
from framebus.shell.namespace import Namespace
from framebus.shell.parameters import Parameters, SetView
from framebus.shell.units import Units, UnitView
from framebus.stream.names import stream_names

__all__ = ["ARRAY_FUNCTIONS", "Session", "session", "startup_file"]

_NUMPY = (
    "sqrt exp log log10 sin cos tan arctan2 hypot where clip mean std median percentile zeros ones arange linspace "
    "transpose flip roll isfinite pi"
)
_FOURIER = "fft2 ifft2 fftshift ifftshift"

ARRAY_FUNCTIONS: dict[str, Any] = {name: getattr(np, name) for name in _NUMPY.split()} | {
    name: getattr(np.fft, name) for name in _FOURIER.split()
}
"""NumPy's functions that a prompt has by their bare names: none that would hide a builtin."""


def startup_file() -> Path | None:
    """The file to run first: ``$FRAMEBUS_STARTUP``, else ``~/.config/framebus/startup.py`` if it is there.

    Raises:
        NotFoundError: the one that the variable names is not there.
    """
    named = os.environ.get("FRAMEBUS_STARTUP")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise NotFoundError(f"there is no startup file {path}, which FRAMEBUS_STARTUP names")
        return path
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    path = Path(folder) / "framebus" / "startup.py"
    return path if path.is_file() else None


class Session:
    """Streams (``s``), parameters (``p``) and units (``u``), and a namespace for code in which streams are names.

    Attributes:
        streams, parameters, units: the objects.
        namespace: what code sees; see ``Namespace``.
    """

    def __init__(self) -> None:
        self.streams, self.parameters, self.units = Streams(), Parameters(), Units()
        own = {"s": self.streams, "p": self.parameters, "u": self.units, "np": np, "fb": framebus}
        functions = {"calc": calc, "Image": Image, **ARRAY_FUNCTIONS}
        self.namespace = Namespace(self.streams, own)
        for name, function in functions.items():
            self.namespace[name] = function

    def run(self, code: str | bytes, filename: str = "<framebus>") -> None:
        """Run Python code in the namespace. What it raises is raised; DataError: it has a NUL character."""
        try:
            compiled = compile(code, filename, "exec", dont_inherit=True)
        except ValueError as error:
            raise DataError(f"{filename}: this is no Python: {error}") from error
        try:
            exec(compiled, self.namespace)
        except NameError as error:
            explain(error, self.namespace)
            raise

    def run_file(self, path: str | os.PathLike[str], *arguments: str) -> None:
        """Run a file as a script: it is ``__main__``, its folder is searched for modules, ``sys.argv`` is set.

        Raises:
            NotFoundError: there is no such file. OSError: it cannot be read. All that the script raises.
        """
        path = Path(path)
        if not path.is_file():
            raise NotFoundError(f"there is no script {path}")
        before = sys.argv, sys.path[:]
        self.namespace.update({"__name__": "__main__", "__file__": str(path)})
        sys.argv = [str(path), *arguments]
        sys.path.insert(0, str(path.resolve().parent))
        try:
            self.run(path.read_bytes(), str(path))
        finally:
            sys.argv, sys.path[:] = before

    def complete(self, text: str) -> list[str]:
        """What a name may go on as: streams, and what lies behind ``s.``, ``p.``, ``u.`` and a stream's name."""
        *path, last = text.split(".")
        if not path:
            known = {*self.namespace, *(name for name in stream_names() if name.isidentifier())}
            return sorted(name for name in known if name.startswith(last) and not name.startswith("_"))
        found: Any = self
        for place, name in enumerate(path):
            try:
                found = self.namespace[name] if place == 0 else getattr(found, name)
            except (KeyError, AttributeError):
                return []
            if not isinstance(found, Streams | Parameters | Units | LiveStream | SetView | UnitView):
                return []  # all else is Python's to complete
        names = [name for name in dir(found) if name.startswith(last) and (last or not name.startswith("_"))]
        return [".".join([*path, name]) for name in names]

    def close(self) -> None:
        """Give up all handles; the session can go on, and opens them again."""
        self.streams._close()


_sessions: list[Session] = []


def session() -> Session:
    """The session of this process, which is made with the first call."""
    if not _sessions:
        _sessions.append(Session())
    return _sessions[0]
