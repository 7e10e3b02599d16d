"""``framebus params [SET...]``."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from framebus.cli import text
from framebus.cli.complete import param_or_set_names
from framebus.cli.get import shown
from framebus.cli.output import columns, make_console, show, show_json
from framebus.cli.processes import command_name
from framebus.events.plain import set_plain
from framebus.params.cells import TEXT_TYPES, limits_of
from framebus.params.listing import SetInfo
from framebus.params.paramset import ParamInfo
from framebus.params.spec import ParamSpec
from framebus.stream.names import shm_directory

_ALWAYS = ("name", "value", "type", "changes")
"""Columns that are there even if nothing stands in them."""

_DROP = ("changes", "type", "flags", "description", "limits", "unit")
"""Columns that a narrow terminal does without, in this order."""


@click.command("list")
@click.argument("names", metavar="[SET]...", nargs=-1, shell_complete=param_or_set_names)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of sets.")
def table(names: tuple[str, ...], as_json: bool) -> None:
    """Show parameter sets: each entry's value, type, unit, limits, flags, number of changes and description.

    SET is a set's name, a parameter's full name or a pattern. Flags: 'fixed' cannot be changed while a unit runs with
    the set, 'restart' takes effect at the unit's next start, 'status' is the unit's own, 'unsaved' stays out of files.

    Example: framebus params list 'loop*'
    """
    from framebus.params.listing import select

    found = select(*names)
    if as_json:
        show_json([set_plain(info) for info in found])
    elif found:
        console = make_console()
        parts = [part for info in found for part in (Text(""), *_parts(info))]
        show(*parts[1:], console=console)
    else:
        where = text.safe(str(shm_directory()))
        show(
            f"no parameter matches {text.safe(' '.join(names))}" if names else f"no parameter sets in {where}"
        )


def _parts(info: SetInfo) -> list[Table | Text]:
    """Heading, entries, and what checks found about their values."""
    if info.error:
        return [Text(text.safe(f"{info.name}: {info.error.removeprefix(f'{info.path}: ')}"), "red")]
    if info.user_pid:
        used = f"process {info.user_pid} ({text.safe(command_name(info.user_pid))}) runs with it"
    else:
        used = "no unit runs with it"
    findings = [
        Text(text.safe(f"{info.name}.{name}: {entry.finding}"), "yellow")
        for name, entry in info.entries.items()
        if entry.finding
    ]
    return [Text.assemble((text.safe(info.name), "bold"), (f": {used}", "dim")), _entries(info), *findings]


def _entries(info: SetInfo) -> Table:
    rows = [_cells(info.name, entry) for entry in info.entries.values()]
    headers = [h for h in rows[0] if h in _ALWAYS or any(row[h] for row in rows)] if rows else []
    found = columns(*headers, right=("value", "changes"), wrapped=("value", "description"), drop=_DROP)
    for row in rows:
        found.add_row(*(Text(row[header]) for header in headers))
    return found


def _cells(owner: str, entry: ParamInfo) -> dict[str, str]:
    spec = entry.spec
    flags = {
        "fixed": not spec.live,
        "restart": spec.restart,
        "status": spec.status,
        "unsaved": not spec.saved,
    }
    return {
        "name": f"{text.safe(owner)}.{spec.name}",
        "value": shown(entry.value),
        "type": spec.type,
        "unit": text.safe(spec.unit),
        "limits": _limits(spec),
        "flags": " ".join(flag for flag, has in flags.items() if has),
        "changes": str(entry.changes),
        "description": text.safe(spec.description),
    }


def _limits(spec: ParamSpec) -> str:
    """Those that are narrower than the type's own."""
    if spec.type in TEXT_TYPES:
        return ""
    low, high = (
        None if own == of_type else own
        for own, of_type in zip((spec.minimum, spec.maximum), limits_of(spec.type), strict=True)
    )
    if low is None:
        return "" if high is None else f"<= {_number(high)}"
    return f">= {_number(low)}" if high is None else f"{_number(low)}..{_number(high)}"


def _number(limit: float | int) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"
