"""The help of ``framebus run UNIT``: what the unit is, as its code declares it."""

from __future__ import annotations

import re

import click

from framebus.cli.run_wishes import example
from framebus.cli.text import safe
from framebus.unit import FunctionUnit, Role, Unit
from framebus.unit.describe import ArgumentDescription, ParameterDescription, describe

_KINDS = {
    "compiled": "compiled to machine code",
    "interpreted": "run by the interpreter",
    "device": "a device, run by the interpreter",
}
_INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")


def write_unit(unit: FunctionUnit | type[Unit], use: str, formatter: click.HelpFormatter) -> None:
    """Write what ``unit``, which was named as ``use``, does and needs."""
    told = describe(unit)
    formatter.write_usage(f"framebus run {safe(use)}", "[OPTIONS]")
    formatter.write_paragraph()
    with formatter.indentation():
        for paragraph in _paragraphs(told.doc or "It has no docstring."):
            formatter.write_text(paragraph)
            formatter.write_paragraph()
        formatter.write_text(f"Unit '{told.name}' of {safe(told.use)}, {_KINDS[told.kind]}.")
    for title, role in (("Inputs (--in)", Role.IN), ("Outputs (--out)", Role.OUT)):
        rows = [_argument_row(argument) for argument in told.arguments if argument.role is role]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)
    if told.parameters:
        with formatter.section("Parameters (--set)"):
            formatter.write_dl([_parameter_row(parameter) for parameter in told.parameters])
    declaration = unit if isinstance(unit, FunctionUnit) else unit.declaration
    with formatter.section("Example"):
        _write_command(safe(example(use, declaration)), formatter)


def _paragraphs(doc: str) -> list[str]:
    """The docstring's paragraphs; one that is indented or a list keeps its lines."""
    found = []
    for block in safe_lines(doc).split("\n\n"):
        lines = block.split("\n")
        kept = any(line.startswith((" ", "- ", "* ")) for line in lines)
        found.append("\b\n" + block if kept else " ".join(lines))
    return found


def safe_lines(text: str) -> str:
    """``text`` that no terminal chokes on, its lines kept."""
    return "\n".join(map(safe, text.split("\n")))


def _write_command(command: str, formatter: click.HelpFormatter) -> None:
    """Write a command line so that it can be copied: broken between options, as a shell reads it."""
    blank = " " * formatter.current_indent
    lines = [""]
    for part in re.split(r" (?=--)", command):
        if lines[-1] and len(f"{blank}    {lines[-1]} {part} \\") > formatter.width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {part}" if lines[-1] else part
    joined = f" \\\n{blank}    ".join(lines)
    formatter.write(f"{blank}{joined}\n")


def _argument_row(argument: ArgumentDescription) -> tuple[str, str]:
    shape = "any shape" if argument.shape == "any" else f"shape {argument.shape}"
    dtype = _dtypes(argument.dtypes)
    if argument.role is Role.OUT and argument.shape == "any":
        shape = "shape as the unit says, or as the first input"
        dtype = dtype if argument.dtypes else "floating"
    said = [f"{dtype}, {shape}.", argument.description and _sentence(argument.description)]
    if argument.triggers:
        said.append("Its frames start the unit.")
    return argument.name, safe(" ".join(filter(None, said)))


def _dtypes(names: tuple[str, ...]) -> str:
    if not names:
        return "any dtype"
    short = list(names)
    if set(_INTEGERS) <= set(names):
        short = ["any integer", *(name for name in names if name not in _INTEGERS)]
    return " or ".join(filter(None, [", ".join(short[:-1]), short[-1]]))


def _parameter_row(parameter: ParameterDescription) -> tuple[str, str]:
    kind = parameter.type if not parameter.unit else f"{parameter.type} in {parameter.unit}"
    facts = [kind, f"default {_value(parameter)}", parameter.limits]
    if parameter.restart:
        facts.append("takes effect at the next start")
    elif not parameter.live:
        facts.append("fixed while it runs")
    said = [
        parameter.description and _sentence(parameter.description),
        parameter.help and _sentence(" ".join(parameter.help.split())),
        f"[{', '.join(filter(None, facts))}]",
    ]
    return parameter.name, safe(" ".join(filter(None, said)))


def _value(parameter: ParameterDescription) -> str:
    value = parameter.default
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _sentence(text: str) -> str:
    """A description as a sentence: with a capital, if its first word is one, and a full stop."""
    word = re.match(r"[a-z]+(-[a-z]+)*[:,;]?( |$)", text)
    capital = text[:1].upper() + text[1:] if word else text
    return capital if capital.endswith((".", "!", "?")) else f"{capital}."
