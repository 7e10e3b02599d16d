"""The text of a pipeline file that says a plan, as people write it: small tables and lists on one line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from framebus.pipeline.plan import PipelinePlan, Plan

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TABLES = ("supervision", "streams", "sources", "units")


def plan_text(plan: PipelinePlan) -> str:
    """The TOML file that says this plan: no key whose value is the default, ``${`` in texts as ``$${``."""
    table = plan_table(plan)
    lines = [f"{key} = {_inline(value)}" for key, value in table.items() if key not in _TABLES]
    for key in _TABLES:
        for path, found in _headed(key, table.get(key, {})):
            lines += ["", f"[{path}]", *(f"{_key(name)} = {_inline(value)}" for name, value in found.items())]
    return "\n".join(lines).lstrip("\n") + "\n"


def plan_table(plan: PipelinePlan) -> dict[str, Any]:
    """The tables of that file."""
    table: dict[str, Any] = _table(plan)
    return table


def _headed(key: str, table: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    if key == "supervision":
        return [(key, table)] if table else []
    return [(f"{key}.{_key(name)}", found) for name, found in table.items()]


def _table(value: Any) -> Any:
    if isinstance(value, Plan):
        found = {}
        for field in msgspec.structs.fields(type(value)):
            item = getattr(value, field.name)
            default = field.default_factory() if callable(field.default_factory) else field.default
            usual = (
                not field.required and item == default and isinstance(item, bool) == isinstance(default, bool)
            )
            if item is not None and not usual:
                found[field.name] = _table(item)
        return found
    if isinstance(value, Mapping):
        return {str(key): _table(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_table(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _inline(name)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {_inline(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    import tomli_w  # knows how every text and number is written

    return tomli_w.dumps({"key": value}).removeprefix("key = ").rstrip("\n")
