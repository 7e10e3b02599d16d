"""Every command of ``framebus`` at the prompt: ``%ls``, ``%pause camera``, ``%fb run ...``."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import click

from framebus.errors import UsageError
from framebus.shell.history import History
from framebus.shell.sessions import Session

__all__ = ["completions", "register"]

_NOT_HERE = ("shell",)


def register(shell: Any, session: Session, history: History) -> None:
    """Give an IPython shell the commands, and ``%when`` and ``%publish``.

    A command whose name IPython has for a magic of its own (``%run``) is reached as ``%fb run`` alone; where IPython
    has only an alias for a program (``%ls``, ``%rm``), the command takes its place.
    """
    from framebus.cli.root import root

    for name in ("fb", *root.list_commands(None)):  # type: ignore[arg-type]
        if name not in _NOT_HERE and not _taken(shell, name):
            shell.register_magic_function(_command(name, history), "line", name)
    shell.register_magic_function(_when(history), "line", "when")
    shell.register_magic_function(_publish(session), "line", "publish")


def completions(line: str) -> list[str]:
    """What the last word of a line that begins with a command may go on as: as the command line has it."""
    from click.shell_completion import ShellComplete

    from framebus.cli.root import root

    words = line.lstrip("%").split(" ")
    if words[0] == "fb":
        words = words[1:]
    if not words or (len(words) > 1 and words[0] not in root.list_commands(None)):  # type: ignore[arg-type]
        return []
    complete = ShellComplete(root, {}, "framebus", "")
    return [item.value for item in complete.get_completions(words[:-1], words[-1]) if item.type == "plain"]


def _taken(shell: Any, name: str) -> bool:
    """Whether IPython has a magic of that name, an alias for a program aside."""
    from IPython.core.alias import Alias

    found = shell.find_line_magic(name)
    return found is not None and not isinstance(found, Alias)


def _command(name: str, history: History) -> Callable[[str], None]:
    """The magic of one command; ``fb`` is followed by a command's name."""

    def run(line: str) -> None:
        from framebus.cli.root import root
        from framebus.cli.wait import FIRST, TIMED_OUT

        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"{line!r}: {error}") from None
        words = words if name == "fb" else [name, *words]
        if words[:1] == ["shell"]:
            raise UsageError("this is a shell already")
        code = root.main(words, prog_name="framebus", standalone_mode=False)
        # Between the two stand codes that tell which of several conditions came true.
        history.failed = history.failed or 0 < code < FIRST or code >= TIMED_OUT

    run.__doc__ = f"framebus {'COMMAND' if name == 'fb' else name}: '%{name} --help' tells more."
    return _as_typed(run)


def _when(history: History) -> Callable[[str], None]:
    def when(line: str) -> None:
        """What was entered, with its time: %when [-n MOST] [PATTERN]; * and ? are a shell's."""
        words = line.split()
        most = 50
        if words[:1] == ["-n"]:
            if len(words) < 2 or not words[1].isdigit():
                raise UsageError("%when -n takes a number of lines, as in %when -n 10 gain")
            most, words = int(words[1]), words[2:]
        for entry in history.search(" ".join(words), most):
            click.echo(str(entry))

    return _as_typed(when)


def _publish(session: Session) -> Callable[[str], None]:
    def publish(line: str) -> None:
        """Whether images that are assigned become streams: %publish [on|off]."""
        wanted = line.strip()
        if wanted not in ("", "on", "off"):
            raise UsageError(f"%publish {wanted}: expected 'on' or 'off'")
        if wanted:
            session.namespace.publishing = wanted == "on"
        click.echo(
            f"assigned images {'become streams' if session.namespace.publishing else 'stay variables'}"
        )

    return _as_typed(publish)


def _as_typed(magic: Callable[[str], None]) -> Callable[[str], None]:
    """Let IPython hand the line on as it was typed: braces are ours, for streams' names."""
    from IPython.core.magic import no_var_expand

    function: Callable[[str], None] = no_var_expand(magic)
    return function
