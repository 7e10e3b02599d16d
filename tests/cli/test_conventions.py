"""What holds for every command, those of groups included: help, examples, completion, ``--json``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest

from framebus.cli.lazy import LazyGroup
from framebus.cli.root import EXAMPLES, SECTIONS, root
from support.commands import output


def _context(command: click.Command, **settings: Any) -> click.Context:
    """One as the command line makes it: a command keeps the help option that its first context asks for."""
    return click.Context(command, **{**root.context_settings, **command.context_settings, **settings})


def _walk(
    group: click.Group, ctx: click.Context, path: tuple[str, ...]
) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from _walk(command, ctx, (*path, name))


EVERY = dict(_walk(root, _context(root), ()))
"""Every command by its full name, groups before what is in them."""
LEAVES = {name: command for name, command in EVERY.items() if not isinstance(command, click.Group)}

NO_JSON = {
    "bench": "benchmarks write JSON into files of their own",
    "completion": "prints a script",
    "pause": "prints nothing",
    "step": "prints nothing",
    "resume": "prints nothing",
    "restart": "says that it was done",
    "replace": "says that it was done",
    "down": "says that it was done",
    "link": "says that it was done",
    "keyword set": "says that it was done",
    "keyword rm": "says that it was done",
    "on": "what is printed is the command's",
    "seq send": "prints nothing",
    "seq stop": "says that it was done",
    "shell": "a prompt",
    "top": "a dashboard",
}
"""Commands that print no data, or have another way to give it; each with the reason."""

FREE_TEXT = {
    "bench: arguments": "options of another program",
    "bin: factors": "numbers",
    "create: name": "a name that is new",
    "keyword set: value": "a value",
    "new pipeline: name": "a name that is new",
    "new unit: name": "a name that is new",
    "on: command": "another program's",
    "poke: index": "numbers",
    "poke: value": "a value",
    "seq run: arguments": "the sequence's own",
    "seq send: message": "a text",
    "shell: arguments": "the script's own",
}
"""Arguments that nothing that is there could complete; each with the reason."""


# ---- the help --------------------------------------------------------------------------------------------------------


def _examples(name: str) -> list[str]:
    """The command lines that a command's help gives as examples."""
    command = EVERY[name]
    return re.findall(r"Example: *(.*(?:\n\S.*)*)", click.unstyle(_docstring(command)))


def _docstring(command: click.Command) -> str:
    return "\n".join(line.strip() for line in (command.help or "").splitlines())


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_one_example_of_itself_that_it_understands(name: str) -> None:
    examples = _examples(name)
    assert len(examples) == 1
    words = shlex.split(examples[0])
    words = words[words[0] == "sudo" :]
    assert words[: 1 + len(name.split())] == ["framebus", *name.split()]
    _parse(words[1:])


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_has_an_example_that_is_understood(section: str) -> None:
    words = shlex.split(EXAMPLES[section])
    assert words[1] in SECTIONS[section]
    _parse(words[1:])
    assert f"\n{section} ({EXAMPLES[section]}):\n" in output("--help")


def _parse(words: list[str]) -> None:
    """Fails for options and commands that are not there, and for arguments too many or too few."""
    end = next((i for i, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))
    words = words[:end]
    group: click.Command = root
    while isinstance(group, click.Group) and words:
        ctx = _context(group, resilient_parsing=True)
        group.parse_args(ctx, list(words))
        words = [*ctx._protected_args, *ctx.args]
        if not words:
            return
        found = group.get_command(ctx, words[0])
        assert found is not None, f"there is no command {words[0]}"
        group, words = found, words[1:]
    values, rest, _ = group.make_parser(_context(group)).parse_args(list(words))
    assert not rest
    missing = [
        parameter.name
        for parameter in group.params
        if parameter.required and not values.get(parameter.name or "")
    ]
    assert not missing


@pytest.mark.parametrize("name", EVERY)
def test_every_help_fits_80_columns_and_tells_the_common_options(name: str) -> None:
    printed = output(*name.split(), "--help")
    example = _examples(name)[0]
    long = [line for line in printed.splitlines() if len(line) > 80]
    assert not long or "".join(long).strip() in example
    assert "--debug" in printed
    assert f"Usage: framebus {name} " in printed
    first = _docstring(EVERY[name]).partition("\n\n")[0]
    assert first[:1].isupper() or first[:1] in "'\""
    assert first.endswith((".", ":"))


@pytest.mark.parametrize("name", [name for name, command in EVERY.items() if command.params])
def test_every_option_is_described(name: str) -> None:
    silent = [
        option.opts[0]
        for option in EVERY[name].params
        if isinstance(option, click.Option) and not option.hidden and not option.help
    ]
    assert not silent


def test_the_list_of_commands_fits_80_columns_without_wrapping() -> None:
    lines = output("--help").splitlines()
    assert max(map(len, lines)) <= 80
    for section in SECTIONS.values():
        for name, entry in section.items():
            assert any(re.fullmatch(rf"  {name} +{re.escape(entry.help)}", line) for line in lines), name


def test_the_lists_of_groups_have_a_line_for_each_command() -> None:
    for name, group in EVERY.items():
        if isinstance(group, LazyGroup):
            lines = output(*name.split(), "--help").splitlines()
            for command in group.list_commands(_context(group)):
                assert sum(line.startswith(f"  {command} ") for line in lines) == 1


# ---- data for programs, names for fingers ----------------------------------------------------------------------------


def test_every_command_that_prints_data_prints_json_too() -> None:
    without = {
        name for name, command in LEAVES.items() if not any("--json" in p.opts for p in command.params)
    }
    assert without - set(NO_JSON) == set(), "these print data and have no --json, or belong into NO_JSON"
    assert set(NO_JSON) & set(LEAVES) <= without, "these have --json by now"


def _completes(parameter: click.Parameter) -> bool:
    """Whether a parameter offers something: by a function of ours, or because its type tells."""
    given = getattr(parameter, "_custom_shell_complete", None)
    plain = (click.types.StringParamType, click.types.UnprocessedParamType)
    return given is not None or not isinstance(parameter.type, plain)


def test_every_argument_is_completed() -> None:
    silent = {
        f"{name}: {parameter.name}"
        for name, command in LEAVES.items()
        for parameter in command.params
        if isinstance(parameter, click.Argument) and not _completes(parameter)
    }
    assert silent - set(FREE_TEXT) == set(), (
        "give these a shell_complete of framebus.cli.complete, or a place in FREE_TEXT"
    )


def test_every_option_that_names_what_is_there_is_completed() -> None:
    named = re.compile(r"\b(STREAM|UNIT|PARAM|PARAMETER|PIPELINE)\b")
    silent = {
        f"{name}: {parameter.opts[0]}"
        for name, command in LEAVES.items()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and named.search(parameter.metavar or "")
        and not _completes(parameter)
    }
    assert silent == set(), "give these a shell_complete of framebus.cli.complete"
