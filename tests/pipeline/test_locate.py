"""The line of every key of a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from framebus.pipeline.locate import Path, locate

Placed = tuple[str, dict[Path, int]]
"""A piece of TOML, and on which of its lines, from 0, each key in it stands."""

SCALARS = st.sampled_from(
    [
        *("1", "0x1F", "1_000.5e3", "inf", "true", "1979-05-27 07:32:00", "1979-05-27T07:32:00Z"),
        *('""', "''", '"a # b"', "'[no] = 1'", r'"\" ] } , \\"', '"ü ${x}"', "'\\'"),
    ]
)
# What looks like keys and headers, but is in a text of several lines.
TEXTS = st.sampled_from(
    [
        '"""\n[fake]\nkey = 1\n"""',
        "'''\n[fake]\nkey = \"\"\" \\'''",
        '"""one line"""',
        '""""quoted" \\""" \n ""\n\\\\"""""',
        "'''a '' b\n''''",
        '"""\\\n   folded\n"""',
    ]
)
BLANKS = st.sampled_from(["", " ", "\n", "\n# [comment] = 'x\n", "  # '''\n\n\t"])


def joined(pieces: list[Placed]) -> Placed:
    text = ""
    lines: dict[Path, int] = {}
    for piece, found in pieces:
        line = text.count("\n")
        lines |= {path: line + offset for path, offset in found.items()}
        text += piece
    return text, lines


def below(path: Path, lines: dict[Path, int]) -> dict[Path, int]:
    return {path + rest: line for rest, line in lines.items()}


@st.composite
def keys(draw: st.DrawFn, number: int) -> tuple[str, Path]:
    """The text of a key that no other has, and what it names."""
    kind = draw(st.sampled_from(["bare", "quoted", "literal", "dotted", "spaced"]))
    name = f"key-{number}"
    if kind == "quoted":
        return rf'"{name} \"=\u0041"', (f'{name} "=A',)
    if kind == "literal":
        return f"'{name}.#\\'", (f"{name}.#\\",)
    if kind == "dotted":
        return f'{name}."x y".2', (name, "x y", "2")
    if kind == "spaced":
        return f"{name} . z", (name, "z")
    return name, (name,)


@st.composite
def values(draw: st.DrawFn, depth: int = 2) -> Placed:
    kind = draw(st.sampled_from(["scalar", "text", "array", "table"] if depth else ["scalar", "text"]))
    if kind == "scalar":
        return draw(SCALARS), {}
    if kind == "text":
        return draw(TEXTS), {}
    pieces: list[Placed] = []
    count = draw(st.integers(0, 3))
    for i in range(count):
        if kind == "array":
            text, lines = draw(values(depth=depth - 1))
            entry: Placed = text, {(i,): 0} | below((i,), lines)
            pieces += [(draw(BLANKS), {}), entry, (draw(BLANKS), {})]
            pieces.append(("," if i < count - 1 or draw(st.booleans()) else "", {}))
        else:
            pieces += [(" ", {}), draw(pairs(i, depth - 1)), ("," if i < count - 1 else " ", {})]
    opened, closed = ("[", "]") if kind == "array" else ("{", "}")
    return joined([(opened, {}), *pieces, (draw(BLANKS) if kind == "array" else "", {}), (closed, {})])


@st.composite
def pairs(draw: st.DrawFn, number: int, depth: int = 2) -> Placed:
    key, path = draw(keys(number))
    value, lines = draw(values(depth=depth))
    here = {path[:length]: 0 for length in range(1, len(path) + 1)}
    return f"{key} = {value}", here | below(path, lines)


@st.composite
def documents(draw: st.DrawFn) -> Placed:
    pieces: list[Placed] = []
    table: Path = ()
    entries = 0
    for number in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["pair", "pair", "pair", "header", "entry", "void"]))
        if kind == "pair":
            text, lines = draw(pairs(number))
            pieces.append((text + draw(st.sampled_from(["\n", " # x\n", "\t\n"])), below(table, lines)))
        elif kind == "header":
            text, name = draw(keys(number))
            within: Path = ("entries", entries - 1) if entries and draw(st.booleans()) else ()
            table = (*within, *name)
            pieces.append((f"[{'entries.' if within else ''}{text}] # [x]\n", {table: 0}))
        elif kind == "entry":
            table = ("entries", entries)
            entries += 1
            pieces.append(("[[ entries ]]\n", {table: 0}))
        else:
            pieces.append((f"{draw(BLANKS)}\n", {}))
    return joined(pieces)


def paths_of(value: Any, path: Path = ()) -> set[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {path} if path else set()
    return found.union(*(paths_of(item, (*path, key)) for key, item in items))


@given(documents(), st.sampled_from(["\n", "\r\n"]))
def test_every_key_is_found_on_its_line(document: Placed, end: str) -> None:
    text, lines = document
    text = text.replace("\n", end)
    parsed = tomllib.loads(text)
    found = locate(text)
    assert {path: found.get(path) for path in lines} == {path: line + 1 for path, line in lines.items()}
    assert set(found) == paths_of(parsed)


def test_tables_that_come_later_than_what_is_in_them() -> None:
    found = locate("[a.b]\nx = 1\n\n[a]\ny.z = 2\n")
    assert found == {("a",): 4, ("a", "b"): 1, ("a", "b", "x"): 2, ("a", "y"): 5, ("a", "y", "z"): 5}


def test_tables_below_arrays_of_tables() -> None:
    text = "[[a]]\n[a.b]\nx = 1\n[[a.c]]\n[[a]]\n[[a.c]]\n[[a.c]]\ny = 1\n"
    found = locate(text)
    assert set(found) == paths_of(tomllib.loads(text))
    assert found[("a", 1, "c", 1, "y")] == 8
