"""``framebus rm``."""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from pathlib import Path

import click

from framebus import stream
from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.ls import matches
from framebus.cli.processes import command_name
from framebus.cli.streamtools.purge import mapping, purge_dead, tell_removed
from framebus.errors import StreamNotFound, UsageError
from framebus.stream import StreamInfo
from framebus.stream.names import SUFFIX, near_streams, parse, require, shm_directory, stream_path


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=stream_names)
@click.option(
    "--dead", is_flag=True, help="Remove every stream whose writer was killed and that no process uses."
)
@click.option("--force", is_flag=True, help="Remove streams too whose writer is alive.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of what was removed.")
def rm(names: tuple[str, ...], dead: bool, force: bool, as_json: bool) -> None:
    """Remove the streams of these NAMEs: names, patterns (* ? [a-z], in quotes), or paths of streams' files.

    All or nothing: if one is not there, or is in use and --force was not given, none is removed. Whoever still
    reads a removed stream waits for a new one of that name. Of a link the link alone goes.

    Example: framebus rm 'sim_*'
    """
    if bool(names) == dead:
        raise UsageError(
            "rm needs the names of streams, or --dead instead of them; 'framebus ls' lists what is there"
        )
    if dead:
        tell_removed(purge_dead(quiet=as_json), as_json=as_json)
        return
    found = _find(names)
    links = {info.path for info in found if info.path.is_symlink()}
    _remove(found, links, force)
    tell_removed(found, links, as_json=as_json)


def _remove(infos: Sequence[StreamInfo], links: Set[Path], force: bool) -> None:
    if not force:
        used = [
            f"{text.safe(info.name)}: {users}"
            for info in infos
            if info.path not in links and (users := _users(info))
        ]
        if used:
            raise UsageError(
                f"{'; '.join(used)}; nothing was removed; end the process first, or insist with --force"
            )
    for info in infos:
        if info.state == "bad" or info.path in links:  # what a link leads to stays
            info.path.unlink(missing_ok=True)
        else:
            stream.open(info.path).remove()


def _find(names: Sequence[str]) -> list[StreamInfo]:
    """The streams that names, patterns and paths stand for, each once. Raises StreamNotFound, with all missing."""
    found: dict[Path, StreamInfo] = {}
    missing: list[str] = []
    for name in names:
        infos = _matching(name)
        found |= {info.path: info for info in infos}
        if not infos:
            missing.append(name)
    if missing:
        hint = near_streams(missing[0]) if len(missing) == 1 else "; 'framebus ls' lists them all"
        listed = ", ".join(f"'{name}'" for name in missing)
        raise StreamNotFound(f"no stream {listed} in {shm_directory()}; nothing was removed{hint}")
    return list(found.values())


def _matching(name: str) -> Sequence[StreamInfo]:
    if any(mark in name for mark in "*?[") and "/" not in name:
        return [info for info in stream.streams() if matches(info.name, [name])]
    parsed = require(parse(name), allowed=["S", "E", "path"], context="framebus rm")
    path = stream_path(parsed)
    if not path.name.endswith(SUFFIX):  # any other file would pass for a bad stream
        raise UsageError(f"'{path}' is no stream's file: those end in '{SUFFIX}'; nothing was removed")
    info = stream.describe(path)
    return [] if info is None else [info]


def _users(info: StreamInfo) -> str:
    """Who else would miss the stream; empty if nobody."""
    if info.writer_pid == os.getpid():  # a shell's own
        return ""
    if info.state in ("live", "empty"):
        does = "writes it" if info.state == "live" else "made it"
        return f"process {info.writer_pid} ({text.safe(command_name(info.writer_pid))}) {does} and is alive"
    if info.state == "bad":  # its header tells nothing: ask the kernel
        pids = mapping(info.path)
        return f"it is mapped by process {', '.join(map(str, pids))}" if pids else ""
    return ""
