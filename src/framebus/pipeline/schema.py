"""The JSON schema of pipeline files, by which editors complete keys, show what they mean and mark what is wrong.

It is made of the classes of ``plan``: their fields, types and docstrings.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

from framebus.pipeline import plan
from framebus.pipeline.plan import DEFAULT_KEYS, PipelinePlan

_TYPED = ("integer", "number", "boolean")
_VARIABLE = {"type": "string", "pattern": r"^\$\{[^${}]+\}$", "description": "A variable: `${name}`."}
_ATTRIBUTE = re.compile(r"^    (?P<name>\w+): (?P<text>.*(?:\n {8}.*)*)", re.MULTILINE)


def schema() -> dict[str, Any]:
    """The schema, draft 7, which editors' TOML extensions understand."""
    _, components = msgspec.json.schema_components([PipelinePlan], ref_template="#/definitions/{name}")
    definitions = {name: _definition(name, found) for name, found in components.items()}
    whole = definitions.pop(PipelinePlan.__name__)
    unit = definitions["UnitPlan"]
    whole["properties"]["defaults"] |= {
        "properties": {key: unit["properties"][key] for key in DEFAULT_KEYS},
        "additionalProperties": False,
    }
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "framebus pipeline"}
    return head | whole | {"definitions": definitions | {"variable": _VARIABLE}}


def descriptions(kind: type[plan.Plan]) -> dict[str, str]:
    """What each key of a table means, from the docstring of its class."""
    _, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    return {found["name"]: _sentence(found["text"]) for found in _ATTRIBUTE.finditer(attributes)}


def _sentence(text: str) -> str:
    """A docstring's text on one line, as Markdown."""
    line = " ".join(part.strip() for part in text.splitlines()).replace("``", "`")
    return line[:1].upper() + line[1:]


def _definition(name: str, found: dict[str, Any]) -> dict[str, Any]:
    kind: type[plan.Plan] = getattr(plan, name)
    said = descriptions(kind)
    properties = {
        key: _value(value) | {"description": said[key]} for key, value in found["properties"].items()
    }
    # No key is required: a file may change single keys of what it includes.
    return {
        "type": "object",
        "description": _sentence((kind.__doc__ or "").partition("\n\n")[0]),
        "properties": properties,
        "additionalProperties": False,
    }


def _value(value: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value, which may be given by a variable, too. TOML has no null."""
    choices = [choice for choice in value.get("anyOf", [value]) if choice.get("type") != "null"]
    taken = [_choice(choice) for choice in choices]
    any_text = any(choice.get("type") == "string" for choice in taken)
    if not any_text and any(choice.get("type") in _TYPED or "enum" in choice for choice in taken):
        taken.append({"$ref": "#/definitions/variable"})
    # What stands beside a $ref would not be looked at.
    alone = taken[0] if len(taken) == 1 and "$ref" not in taken[0] else {"anyOf": taken}
    default = value.get("default")
    return alone if default is None else alone | {"default": default}


def _choice(value: dict[str, Any]) -> dict[str, Any]:
    found = {key: item for key, item in value.items() if key != "default"}
    for inside in ("items", "additionalProperties"):
        if isinstance(found.get(inside), dict) and found[inside]:
            found[inside] = _value(found[inside])
    return found
