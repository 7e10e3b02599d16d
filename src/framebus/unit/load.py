"""Finding a unit by its name: ``package.module:function`` or ``/path/file.py:function``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import threading
from types import ModuleType
from typing import Any

from framebus.errors import NotFoundError, UsageError
from framebus.unit.declare import FILE_MODULE_PREFIX, FunctionUnit
from framebus.unit.device import Unit


class _Importing(threading.local):
    """Files and modules that this thread imports for their units just now."""

    def __init__(self) -> None:
        self.places: list[str] = []


_importing = _Importing()


def refuse_while_importing(what: str) -> None:
    """A script whose units are loaded must not run as a whole: it would start itself again and again.

    Raises:
        UsageError: a module is being imported for its units.
    """
    if _importing.places:
        raise UsageError(
            f"{_importing.places[-1]} tries to {what} while it is imported for its units; put what it does as a script "
            "under if __name__ == '__main__':"
        )


def load_unit(use: str) -> FunctionUnit | type[Unit]:
    """Import the unit that ``use`` names.

    Args:
        use: ``"package.module:name"`` or ``"path/file.py:name"``.

    Raises:
        UsageError: ``use`` has another form, names something that is no unit, or the module fails on import.
        NotFoundError: there is no such module, file or name.
    """
    place, colon, name = use.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(
            f"{use!r} names no unit: expected 'package.module:function' or '/path/file.py:function'"
        )
    if "<" in name:
        raise UsageError(f"{use!r}: a unit inside a function cannot be imported; move it to module level")
    _importing.places.append(place)
    try:
        module = _load_file(place, use) if _is_path(place) else _import(place, use)
    finally:
        _importing.places.pop()
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise NotFoundError(f"{use!r}: {place} has no {name!r}; it has {_units_of(module)}")
        found = getattr(found, part)
    if isinstance(found, FunctionUnit) or (isinstance(found, type) and hasattr(found, "declaration")):
        return found
    if isinstance(found, type) and issubclass(found, Unit):
        raise UsageError(f"{use!r}: class {name} defines no 'step'")
    raise UsageError(f"{use!r} is {found!r}, no unit: put @unit over the function, or subclass Unit")


def _is_path(place: str) -> bool:
    return place.endswith(".py") or os.sep in place


def _import(place: str, use: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        # Only when the module itself, or a package above it, is what is missing.
        if error.name is not None and (place == error.name or place.startswith(error.name + ".")):
            raise NotFoundError(f"{use!r}: there is no module {error.name!r} on the Python path") from None
        raise UsageError(f"{use!r}: module {place!r} failed on import: {error}") from error
    except Exception as error:
        raise UsageError(
            f"{use!r}: module {place!r} failed on import: {type(error).__name__}: {error}"
        ) from error


def _load_file(place: str, use: str) -> ModuleType:
    path = os.path.realpath(os.path.expanduser(place))
    name = FILE_MODULE_PREFIX + hashlib.sha256(path.encode()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    main = sys.modules["__main__"]
    if os.path.realpath(getattr(main, "__file__", None) or "") == path:
        return main  # the script that is running; it must not run a second time
    if not os.path.isfile(path):
        raise NotFoundError(f"{use!r}: there is no file {path}")
    if os.path.dirname(path) not in sys.path:
        sys.path.append(os.path.dirname(path))  # a script finds its neighbours, as when Python runs it
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{use!r}: {path} is no Python source; expected a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: pickling and dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"{use!r}: {path} failed on import: {type(error).__name__}: {error}") from error
    return module


def _units_of(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, FunctionUnit)]
    names += [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and hasattr(value, "declaration")
    ]
    return f"the units {', '.join(sorted(names))}" if names else "no units"
