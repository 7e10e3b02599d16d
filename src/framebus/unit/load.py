"""Finding a unit by its name: ``package.module:function``, ``/path/file.py:function`` or that of a plug-in."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from framebus.errors import FramebusError, NotFoundError, UsageError
from framebus.unit.declare import FILE_MODULE_PREFIX, FunctionUnit
from framebus.unit.device import Unit

_NAME = re.compile(r"[\w.-]+")


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
        use: ``"package.module:name"``, ``"path/file.py:name"`` or the short name that a plug-in gives its unit.

    Raises:
        UsageError: ``use`` has another form, names something that is no unit, or the module fails on import; or
            several plug-ins have that name.
        NotFoundError: there is no such module, file, name or plug-in.
    """
    return _load_unit(_plug_in(use) if _NAME.fullmatch(use) else use)


def _load_unit(use: str) -> FunctionUnit | type[Unit]:
    """As ``load_unit``, but for the names of plug-ins."""
    found, name = load_object(use)
    if isinstance(found, FunctionUnit) or (isinstance(found, type) and hasattr(found, "declaration")):
        return found
    if isinstance(found, type) and issubclass(found, Unit):
        raise UsageError(f"{use!r}: class {name} defines no 'step'")
    kind = "a function" if callable(found) and not isinstance(found, type) else repr(found)
    raise UsageError(f"{use!r} is {kind}, no unit: put @unit over the function, or subclass Unit")


def load_object(use: str) -> tuple[Any, str]:
    """Import whatever ``use`` names; it comes with its own name.

    Raises:
        UsageError: ``use`` has another form, or the module fails on import.
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
    return found, name


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
    except (Exception, SystemExit) as error:
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
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"{use!r}: {path} failed on import: {type(error).__name__}: {error}") from error
    return module


def _units_of(module: ModuleType) -> str:
    names = []
    for name in dir(module):  # a module may make its units when they are asked for
        value = getattr(module, name, None)
        if isinstance(value, FunctionUnit) or (isinstance(value, type) and hasattr(value, "declaration")):
            names.append(name)
    return f"the units {', '.join(sorted(names))}" if names else "no units"


# ---- what is installed ---------------------------------------------------------------------------------------------

ENTRY_POINTS = "framebus.units"
"""The group of entry points under which packages offer units by a short name."""

BUILT_IN = (
    "framebus.ao:remap",
    "framebus.ao:calibrate",
    "framebus.ao:replace_bad_pixels",
    "framebus.ao:normalise",
    "framebus.ao:bin_pixels",
    "framebus.ao:centroids",
    "framebus.ao:weighted_centroids",
    "framebus.ao:windowed_centroids",
    "framebus.ao:brightest_centroids",
    "framebus.ao:correlation_centroids",
    "framebus.ao:fourier_centroids",
    "framebus.ao:box_flux",
    "framebus.ao:pyramid_slopes",
    "framebus.ao:intensities",
    "framebus.ao:reconstruct",
    "framebus.ao:reconstruct_int16",
    "framebus.ao:reconstruct_bfloat16",
    "framebus.ao:reconstruct_part",
    "framebus.ao:join_parts",
    "framebus.ao:split_modes",
    "framebus.ao:pseudo_open_loop",
    "framebus.ao:pseudo_open_loop_slopes",
    "framebus.ao:leaky_integrator",
    "framebus.ao:modal_integrator",
    "framebus.ao:map_integrator",
    "framebus.ao:open_loop_integrator",
    "framebus.ao:pid",
    "framebus.ao:iir_filter",
    "framebus.ao:smith_predictor",
    "framebus.ao:predictive_filter",
    "framebus.ao:guard",
    "framebus.ao:offload",
    "framebus.ao:dm_command",
    "framebus.ao:dm_limits",
    "framebus.ao:shortfall",
    "framebus.ao:exponential_statistics",
    "framebus.ao:block_statistics",
    "framebus.ao:frame_rms",
    "framebus.ao:spectrum",
    "framebus.ao:image_quality",
    "framebus.sim:linear_hardware",
    "framebus.sim:shack_hartmann_camera",
    "framebus.sim:SimulatedTelescope",
)
"""The units that come with framebus, in the order of a loop; a list, so that showing them imports none."""


@dataclass(frozen=True)
class InstalledUnit:
    """A unit that is there to be used.

    Attributes:
        name: short name; that of a plug-in may stand for ``use`` everywhere.
        use: where its code is.
        distribution: the package that brought it.
        error: why it cannot be loaded; empty if it can, or if it came with framebus and was not tried.
    """

    name: str
    use: str
    distribution: str
    error: str = ""


def installed_units() -> list[InstalledUnit]:
    """The units of framebus, then those of plug-ins by name; one that cannot be loaded is listed with its error."""
    found = [InstalledUnit(use.rpartition(":")[2], use, "framebus") for use in BUILT_IN]
    for point in sorted(_entry_points(), key=lambda point: (point.name, point.value)):
        error = ""
        try:
            _load_unit(point.value)
        except FramebusError as problem:
            error = str(problem)
        except Exception as problem:  # noqa: BLE001 - whatever looking into a module may raise
            error = f"{type(problem).__name__}: {problem}"
        distribution = point.dist.name if point.dist is not None else ""
        found.append(InstalledUnit(point.name, point.value, distribution, error))
    return found


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=ENTRY_POINTS))


def _plug_in(name: str) -> str:
    """Where the unit is that a plug-in offers as ``name``.

    Raises:
        NotFoundError: none does.
        UsageError: several do.
    """
    found = sorted({point.value for point in _entry_points() if point.name == name})
    if not found:
        names = sorted({point.name for point in _entry_points()})
        raise NotFoundError(
            f"{name!r} names no unit: expected 'package.module:function', '/path/file.py:function' or the name of an "
            f"installed plug-in ({', '.join(names) or 'there is none'})"
        )
    if len(found) > 1:
        raise UsageError(f"{name!r} is offered by several plug-ins; name the one meant: {', '.join(found)}")
    if ":" not in found[0]:
        raise UsageError(
            f"the plug-in {name!r} is said to be {found[0]!r}, which names no unit: its package must say "
            f'{name} = "package.module:function" under [project.entry-points."{ENTRY_POINTS}"]'
        )
    return found[0]
