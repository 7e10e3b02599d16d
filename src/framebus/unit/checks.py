"""Checks of parameters taken together, which limits of each cannot say."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from framebus.errors import UsageError

CheckFunction: TypeAlias = Callable[..., Mapping[str, str] | str | None]


@dataclass(frozen=True)
class Check:
    """A check of some of a unit's parameters.

    Attributes:
        unit: the unit's name.
        function: takes parameters by keyword; returns ``None``, findings by parameter, or one text.
        takes: the names of those that it takes.
        known: the names of all parameters of the unit.
    """

    unit: str
    function: CheckFunction
    takes: tuple[str, ...]
    known: tuple[str, ...]

    @classmethod
    def of(cls, unit: str, function: CheckFunction, parameters: Sequence[str]) -> Check:
        """The check that ``function`` is.

        Raises:
            UsageError: it takes something that is no parameter of the unit, or nothing at all.
        """
        takes = []
        for item in inspect.signature(function).parameters.values():
            by_name = item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)
            if not by_name or item.name not in parameters:
                raise UsageError(
                    f"unit {unit!r}: its check takes {item.name!r}, but only the unit's parameters can be checked: "
                    f"{', '.join(parameters) or 'it has none'}"
                )
            takes.append(item.name)
        if not takes:
            raise UsageError(f"unit {unit!r}: its check takes no parameter; name those that it is about")
        return cls(unit, function, tuple(takes), tuple(parameters))

    def findings(self, values: Mapping[str, Any]) -> dict[str, str]:
        """What is wrong with ``values``, by parameter. What the check itself gets wrong is a finding, too."""
        try:
            said = self.function(**{name: values[name] for name in self.takes})
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a unit must not run whatever its check raised
            return self._beside_all(f"its check raised {type(error).__name__}: {error}")
        if said is None:
            return {}
        if isinstance(said, str):
            return self._beside_all(said) if said else {}
        if not isinstance(said, Mapping):
            return self._beside_all(
                f"its check returned {said!r}, expected None, a text, or texts by parameter"
            )
        for name in said:
            if name not in self.known:
                return self._beside_all(f"its check speaks of {name!r}, which is no parameter: {said[name]}")
        return {name: str(text) for name, text in said.items() if text}

    def _beside_all(self, text: str) -> dict[str, str]:
        return dict.fromkeys(self.takes, text)
