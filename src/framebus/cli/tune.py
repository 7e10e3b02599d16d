"""``framebus tune``."""

from __future__ import annotations

from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any

import click
from rich.text import Text

from framebus import tuning
from framebus.cli.output import columns, show, show_json
from framebus.cli.signals import signals_end_it
from framebus.cli.text import safe
from framebus.errors import NotFoundError, UsageError
from framebus.process.kernel_files import numbers
from framebus.tuning import Item, Manual, Outcome

_STYLES = {"applied": "green", "restored": "green", "already": "dim", "kept": "yellow", "failed": "bold red"}
_DIGITS = "0123456789,- "


@click.command()
@click.option("--print", "print_them", is_flag=True, help="Print the commands (as without).")
@click.option("--apply", "apply_them", is_flag=True, help="Change the settings; needs root.")
@click.option("--undo", is_flag=True, help="Put back what --apply changed; needs root.")
@click.option(
    "--cpus", metavar="LIST", help="CPUs of loops (2-3,6); interrupts go elsewhere. [isolated ones]"
)
@click.option("--user", metavar="NAME", help="Whose limits are raised (@GROUP for a group). [you]")
@click.option("--huge-pages", type=int, metavar="N", help="Also reserve N explicit huge pages.")
@click.option("--only", multiple=True, metavar="NAME", help="Only these items; a pattern will do ('irq-*').")
@click.option("--force", is_flag=True, help="With --undo: put back what others have changed since, too.")
@click.option("--root", default="/", hidden=True, type=click.Path(exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tune(
    print_them: bool,
    apply_them: bool,
    undo: bool,
    cpus: str | None,
    user: str | None,
    huge_pages: int | None,
    only: tuple[str, ...],
    force: bool,
    root: str,
    as_json: bool,
) -> int:
    """Change settings of this machine that loops fare better with, and put them back.

    Without --apply nothing is changed: the commands are printed. Of each item all is applied or nothing. What settings
    were is kept in /var/lib/framebus/tuning.json before each change, and --undo puts exactly that back. What needs
    another kernel command line or stops a service is only ever printed. Settings in /proc and /sys last until the next
    boot. The exit code is 1 if an item failed.

    Example: sudo framebus tune --apply --cpus 2-3
    """
    asked = {"--print": print_them, "--apply": apply_them, "--undo": undo}
    if len(flags := [flag for flag, given in asked.items() if given]) > 1:
        raise UsageError(f"{' and '.join(flags)} together say nothing; give one of them")
    if force and not undo:
        raise UsageError("--force goes with --undo; it puts back what others have changed since, too")
    if undo:
        if only or cpus or user or huge_pages is not None:
            raise UsageError("--undo puts back all that --apply changed; give it alone, or with --force")
        with signals_end_it():
            outcomes = tuning.undo(root, force=force)
        return _tell(outcomes, as_json, "nothing is to be undone")
    loops = _cpus(cpus)
    found = _chosen(tuning.items(root, cpus=loops, user=user, huge_pages=huge_pages), only)
    if apply_them:
        try:
            with signals_end_it():
                outcomes = tuning.apply(found, root)
        except KeyboardInterrupt:
            click.echo("interrupted: 'framebus tune --undo' puts back what was applied until then", err=True)
            raise
        return _tell(outcomes, as_json, "nothing is to be changed")
    by_hand = tuning.manuals(root, cpus=loops) if not only else []
    if as_json:
        show_json({"items": [_plain(item) for item in found], "by_hand": [asdict(item) for item in by_hand]})
    else:
        _print(found, by_hand)
    return 0


def _cpus(listed: str | None) -> tuple[int, ...]:
    if listed is None:
        return ()
    if not (found := numbers(listed)) or set(listed) - set(_DIGITS):
        raise UsageError(f"--cpus is '{listed}'; expected numbers and ranges, such as 2-3,6")
    return found


def _chosen(found: list[Item], only: tuple[str, ...]) -> list[Item]:
    for pattern in only:
        if not any(fnmatchcase(item.name, pattern) for item in found):
            names = ", ".join(item.name for item in found) or "nothing"
            raise NotFoundError(f"no item '{pattern}' is to be changed; there is: {names}")
    return [i for i in found if not only or any(fnmatchcase(i.name, pattern) for pattern in only)]


def _print(found: list[Item], by_hand: list[Manual]) -> None:
    """A shell's script, as one may keep it."""
    for item in found:
        click.echo(f"# {safe(item.name)}: {safe(item.what)}; {safe(item.why)}")
        for change in item.changes:
            click.echo(safe(change.command()))
        click.echo()
    if by_hand:
        click.echo("# by hand, as it takes a restart or stops what others may need:")
        for manual in by_hand:
            click.echo(f"# {manual.name}: {safe(manual.why)}\n#   {safe(manual.command)}")
    if not found and not by_hand:
        click.echo("# nothing is to be changed")


def _plain(item: Item) -> dict[str, Any]:
    changes = []
    for change in item.changes:
        try:
            now = change.current()
        except OSError:
            now = None
        changes.append(
            {"path": change.path, "now": now, "wanted": change.wanted, "command": change.command()}
        )
    return {"name": item.name, "what": item.what, "why": item.why, "changes": changes}


def _tell(outcomes: list[Outcome], as_json: bool, nothing: str) -> int:
    if as_json:
        show_json([asdict(outcome) for outcome in outcomes])
    elif not outcomes:
        show(Text(nothing))
    else:
        table = columns("item", "result", "", wrapped=("",))
        for outcome in outcomes:
            result = Text(outcome.result, _STYLES[outcome.result])
            table.add_row(Text(safe(outcome.item)), result, Text(safe(outcome.text)))
        show(table)
        if any(outcome.result == "applied" for outcome in outcomes):
            show(Text("'framebus tune --undo' puts all of it back"))
    return int(any(outcome.result == "failed" for outcome in outcomes))
