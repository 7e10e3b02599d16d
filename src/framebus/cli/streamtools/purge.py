"""``framebus purge``, which is ``framebus rm --dead`` too."""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from pathlib import Path

import click

from framebus import stream
from framebus.cli import text
from framebus.cli.output import show, show_json
from framebus.cli.processes import command_name
from framebus.cli.streamtools.arguments import as_json_option
from framebus.stream import StreamInfo
from framebus.stream.listing import stream_plain
from framebus.stream.mappers import mapped_files
from framebus.stream.names import shm_directory


@click.command()
@click.option(
    "--left", is_flag=True, help="Remove also those whose writer ended in order: calibrations, results."
)
@as_json_option
def purge(left: bool, as_json: bool) -> None:
    """Remove every stream whose writer was killed and that no process uses; the same as 'framebus rm --dead'.

    Says why it kept others that are dead.

    Example: framebus purge
    """
    tell_removed(purge_dead(quiet=as_json, left=left), as_json=as_json)


def purge_dead(*, quiet: bool, left: bool = False) -> list[StreamInfo]:
    """Remove what is dead (or was left) and unused; say why others were kept, unless ``quiet``."""
    removed = stream.purge(left=left)
    if quiet:
        return removed
    for info in stream.streams():
        if info.state == "dead" or (left and info.writer_alive is False):
            show(f"kept {text.safe(info.name)}: {_why_kept(info)}")
    if not removed:
        show(f"nothing to remove in {text.safe(str(shm_directory()))}")
    return removed


def tell_removed(removed: Sequence[StreamInfo], links: Set[Path] = frozenset(), *, as_json: bool) -> None:
    """Print what was removed, and which of these were links."""
    if as_json:
        show_json([stream_plain(info) for info in removed])
    elif removed:
        show("\n".join(f"removed {text.safe(info.name)} ({_standing(info, links)})" for info in removed))


def mapping(path: Path) -> list[int]:
    """Processes that use a file, of those that we may look into."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return []
    return sorted(mapped_files()[0].get((status.st_dev, status.st_ino), ()))


def _why_kept(info: StreamInfo) -> str:
    if info.path.is_symlink():
        return f"it is a link to {text.safe(os.readlink(info.path))}, which stays"
    users = [f"{pid} ({text.safe(command_name(pid))})" for pid in mapping(info.path)]
    if not users:
        return "another user's; try as root"
    return f"process {users[0]} uses it" if len(users) == 1 else f"processes {', '.join(users)} use it"


def _standing(info: StreamInfo, links: Set[Path]) -> str:
    if info.path in links:
        return "a link"
    if info.state == "bad":
        return "bad"
    return f"{info.state}, writer {info.writer_pid}" if info.writer_pid > 0 else info.state
