"""Parameters as attributes: ``p.loop.gain`` reads, ``p.loop.gain = 0.4`` writes, with all checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from framebus.errors import NotFoundError
from framebus.params import Params, Value
from framebus.params.place import SUFFIX
from framebus.shell.mistakes import NoSuchName, NotSettable
from framebus.stream.names import near, shm_directory

__all__ = ["Parameters", "SetView", "set_names"]


def set_names() -> list[str]:
    """The names of all parameter sets."""
    return sorted(path.name.removesuffix(SUFFIX) for path in shm_directory().glob(f"*{SUFFIX}"))


def _opened(name: str) -> Params:
    """The set, for who looks at an attribute. Raises NoSuchName."""
    try:
        return Params.open(name)
    except NotFoundError as error:
        raise NoSuchName(str(error)) from None


class SetView:
    """One set, or those of its entries whose names begin with ``prefix``; it is opened for each look.

    It has no methods, which could hide an entry; ``framebus.Params.open`` has them.
    """

    _name: str
    _prefix: str

    def __init__(self, name: str, prefix: str = "") -> None:
        super().__setattr__("_name", name)
        super().__setattr__("_prefix", prefix)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        full = self._prefix + name
        with _opened(self._name) as opened:
            if full in opened:
                return opened[full]
            if any(entry.startswith(f"{full}.") for entry in opened):
                return SetView(self._name, f"{full}.")
            raise NoSuchName(f"parameter set '{self._name}' has no entry '{full}'{near(full, opened)}")

    def __setattr__(self, name: str, value: Value) -> None:
        self[name] = value

    def __getitem__(self, name: str) -> Value:
        with Params.open(self._name) as opened:
            return opened[self._prefix + name]

    def __setitem__(self, name: str, value: Value) -> None:
        with Params.open(self._name) as opened:
            opened[self._prefix + name] = value

    def __iter__(self) -> Iterator[str]:
        with Params.open(self._name) as opened:
            names = [name.removeprefix(self._prefix) for name in opened if name.startswith(self._prefix)]
        return iter(names)

    def __dir__(self) -> list[str]:
        return sorted({name.partition(".")[0] for name in self if name.partition(".")[0].isidentifier()})

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        try:
            with Params.open(self._name) as opened:
                entries = [opened.describe(name) for name in opened if name.startswith(self._prefix)]
        except NotFoundError:
            return f"<parameters '{self._name}', which are not there>"
        width = max((len(entry.spec.name) for entry in entries), default=0)
        lines = [f"parameters of '{self._name}'"]
        for entry in entries:
            unit = f" {entry.spec.unit}" if entry.spec.unit else ""
            lines.append(
                f"  {entry.spec.name:<{width}}  {entry.value!r}{unit}  {entry.spec.description}".rstrip()
            )
        return "\n".join(lines)


class Parameters:
    """All parameter sets by their names: ``p.loop.gain``, ``p["wfs-1"]["gain"]``."""

    def __getattr__(self, name: str) -> SetView:
        if name.startswith("_"):
            raise AttributeError(name)
        _opened(name).close()
        return SetView(name)

    def __getitem__(self, name: str) -> SetView:
        Params.open(name).close()
        return SetView(name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise NotSettable(
            f"'{name}' is a parameter set; write one of its entries, as in p.{name}.gain = {value!r}"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(set_names())

    def __len__(self) -> int:
        return len(set_names())

    def __dir__(self) -> list[str]:
        return [name for name in set_names() if name.isidentifier()]

    def _ipython_key_completions_(self) -> list[str]:
        return set_names()

    def __repr__(self) -> str:
        return f"<parameter sets: {', '.join(self) or 'none'}>"
