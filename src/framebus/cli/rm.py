"""``framebus rm``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from framebus import stream
from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.ls import as_plain, matches
from framebus.cli.output import show, show_json
from framebus.cli.processes import command_name
from framebus.errors import StreamNotFound, UsageError
from framebus.stream import StreamInfo
from framebus.stream.mappers import mapped_files
from framebus.stream.names import SUFFIX, parse, require, shm_directory, stream_path


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=stream_names)
@click.option(
    "--dead", is_flag=True, help="Remove every stream whose writer is gone and that no process uses."
)
@click.option("--force", is_flag=True, help="Remove streams too whose writer is alive.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of what was removed.")
def rm(names: tuple[str, ...], dead: bool, force: bool, as_json: bool) -> None:
    """Remove the streams of these NAMEs: names, patterns (* ? [a-z], in quotes), or paths of streams' files.

    All or nothing: if one is not there, or is in use and --force was not given, none is removed. Whoever still
    reads a removed stream waits for a new one of that name.

    Example: framebus rm 'sim_*'
    """
    if bool(names) == dead:
        raise UsageError(
            "rm needs the names of streams, or --dead instead of them; 'framebus ls' lists what is there"
        )
    removed = _purge(quiet=as_json) if dead else _remove(names, force)
    if as_json:
        show_json([as_plain(info) for info in removed])
    elif removed:
        show("\n".join(f"removed {text.safe(info.name)} ({_standing(info)})" for info in removed))


def _remove(names: Iterable[str], force: bool) -> list[StreamInfo]:
    infos = _find(names)
    if not force:
        used = [f"{text.safe(info.name)}: {users}" for info in infos if (users := _users(info))]
        if used:
            raise UsageError(
                f"{'; '.join(used)}; nothing was removed; end the process first, or insist with --force"
            )
    for info in infos:
        if info.state == "bad":
            info.path.unlink(missing_ok=True)
        else:
            stream.open(info.path).remove()
    return infos


def _find(names: Iterable[str]) -> list[StreamInfo]:
    """The streams that names, patterns and paths stand for, each once. Raises StreamNotFound, with all missing."""
    found: dict[Path, StreamInfo] = {}
    missing = []
    for name in names:
        infos = _matching(name)
        found |= {info.path: info for info in infos}
        if not infos:
            missing.append(f"'{name}'")
    if missing:
        raise StreamNotFound(
            f"no stream {', '.join(missing)} in {shm_directory()}; nothing was removed; 'framebus ls' lists them all"
        )
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
    """Who would miss the stream; empty if nobody."""
    if info.state in ("live", "empty"):
        does = "writes it" if info.state == "live" else "made it"
        return f"process {info.writer_pid} ({text.safe(command_name(info.writer_pid))}) {does} and is alive"
    if info.state == "bad":  # its header tells nothing: ask the kernel
        pids = _mapping(info)
        return f"it is mapped by process {', '.join(map(str, pids))}" if pids else ""
    return ""


def _mapping(info: StreamInfo) -> list[int]:
    try:
        status = info.path.stat()
    except FileNotFoundError:
        return []
    return sorted(mapped_files()[0].get((status.st_dev, status.st_ino), ()))


def _purge(*, quiet: bool) -> list[StreamInfo]:
    removed = stream.purge()
    if quiet:
        return removed
    for info in stream.streams():
        if info.state == "dead":
            pids = ", ".join(map(str, _mapping(info)))
            why = f"process {pids} uses it" if pids else "another user's; try as root"
            show(f"left {text.safe(info.name)}: {why}")
    if not removed:
        show(f"nothing to remove in {text.safe(str(shm_directory()))}")
    return removed


def _standing(info: StreamInfo) -> str:
    if info.state == "bad":
        return "bad"
    return f"{info.state}, writer {info.writer_pid}" if info.writer_pid > 0 else info.state
