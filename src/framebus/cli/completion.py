"""``framebus completion``: the shells' scripts, and the answers to what they ask."""

from __future__ import annotations

import contextlib
import os
import re
import sys

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from framebus.cli import COMPLETE_VARIABLE

__all__ = ["Bash", "answer", "completion"]

_BASH = """\
# framebus in bash (4.4 or later). To have it in every shell, once:
#   framebus completion bash > ~/.local/share/bash-completion/completions/framebus
# (with the package bash-completion), or in ~/.bashrc:
#   eval "$(framebus completion bash)"
%(complete_func)s() {
    local kind value
    COMPREPLY=()
    while IFS=',' read -r kind value; do
        case $kind in
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value == *[/=:] ]] && compopt -o nospace
                ;;
        esac
    done < <(FRAMEBUS_COMP_LINE="${COMP_LINE:0:COMP_POINT}" FRAMEBUS_COMP_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2> /dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH_HINT = """\
# framebus in zsh. To have it in every shell, once (the directory must be in $fpath):
#   framebus completion zsh > "${fpath[1]}/_framebus"
# or in ~/.zshrc, below compinit:
#   eval "$(framebus completion zsh)"
"""

_FISH_HINT = """\
# framebus in fish. To have it in every shell, once:
#   framebus completion fish > ~/.config/fish/completions/framebus.fish
"""

_SPECIAL = re.compile(r"([\s'\"\\$&;|<>()*?\[\]{}!#~`])")
"""What a shell would take for something else than itself."""


class Bash(BashComplete):
    """Bash's answers.

    Bash cuts words at ``=``, ``:``, ``>`` and ``@`` too, and replaces the last piece alone. Here the line is cut as a
    shell reads it, and what bash keeps is left out of the answers.
    """

    source_template = _BASH
    _kept = ""
    _quoted = False

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is typed, and that one."""
        line = os.environ.get("FRAMEBUS_COMP_LINE", "")
        words = split_arg_string(line)
        typed = words.pop() if words and not line[-1:].isspace() else ""
        self._quoted = _in_quotes(line)
        breaks = os.environ.get("FRAMEBUS_COMP_BREAKS", "")
        if not self._quoted:
            ends = [
                i + 1 for i, character in enumerate(typed) if character in breaks and not character.isspace()
            ]
            self._kept = typed[: ends[-1]] if ends else ""
        return words[1:], typed

    def format_completion(self, item: CompletionItem[str]) -> str:
        """``kind,value``."""
        value = str(item.value).removeprefix(self._kept)
        if item.type == "plain" and not self._quoted:
            value = _SPECIAL.sub(r"\\\1", value)
        return f"{item.type},{value}"


def _in_quotes(line: str) -> bool:
    """Whether the end of a line is within quotes, where a shell cuts nothing."""
    quote, escaped = "", False
    for character in line:
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
    return bool(quote)


class Zsh(ZshComplete):
    """Zsh's script with what to do with it."""

    def source(self) -> str:
        """The first line must stay the first: zsh looks there for the command's name."""
        first, _, rest = super().source().partition("\n")
        return f"{first}\n{_ZSH_HINT}{rest}"


class Fish(FishComplete):
    """Fish's script with what to do with it."""

    def source(self) -> str:
        """The script."""
        return _FISH_HINT + super().source()


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def answer(group: click.Group, instruction: str) -> int:
    """Print what a shell asked for: ``bash_source``, ``bash_complete`` ...; returns the exit code.

    Nothing else is printed, whatever goes wrong: it would land in the line that somebody types.
    """
    shell, _, what = instruction.partition("_")
    if shell not in SHELLS:
        return 1
    asked = SHELLS[shell](group, {}, "framebus", COMPLETE_VARIABLE)
    if what == "source":
        click.echo(asked.source(), nl=False)
        return 0
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        try:
            told = asked.complete()
        except Exception:  # noqa: BLE001 - a command whose libraries are missing, a half-typed line: nothing to offer
            return 1
    sys.stdout.write(f"{told}\n" if told else "")
    return 0


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print the script that lets SHELL complete commands, options, and names of live streams, units, parameters.

    The script's first lines say where to put it. For this shell alone: eval "$(framebus completion bash)".

    Example: framebus completion bash > ~/.local/share/bash-completion/completions/framebus
    """
    click.echo(SHELLS[shell](click.Group(), {}, "framebus", COMPLETE_VARIABLE).source(), nl=False)
