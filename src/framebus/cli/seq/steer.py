"""``framebus seq stop``, ``send`` and ``purge``."""

from __future__ import annotations

import click

from framebus.cli import text
from framebus.cli.complete import sequence_names
from framebus.cli.output import show_json
from framebus.cli.seconds import seconds
from framebus.cli.waiting import waiting
from framebus.sequence import control, find
from framebus.sequence import purge as purge_sequences
from framebus.sequence.inbox import post


@click.command()
@click.argument("name", default="", shell_complete=sequence_names)
@click.option("--timeout", "timeout_s", type=seconds, default="10", show_default=True,
              help="How long to wait for its end: 10, 500ms ...")  # fmt: skip
@click.option("--kill", is_flag=True, help="End its process at once: nothing of it is cleaned up.")
def stop(name: str, timeout_s: float, kill: bool) -> None:
    """Stop the sequence NAME, or the only one: what it awaits ends, its 'finally' blocks run.

    One that is stopping already is killed, with the programs that it runs.

    Example: framebus seq stop calibrate
    """
    found = find(name)
    if kill or found.state == "stopping":
        control.kill(found.name)
        click.echo(f"sequence '{text.safe(found.name)}' was killed; it could not clean up")
        return
    with waiting(f"sequence '{text.safe(found.name)}' stops"):
        last = control.stop(found.name, timeout_s)
    click.echo(f"sequence '{text.safe(found.name)}' is {last.state}")


@click.command()
@click.argument("name", shell_complete=sequence_names)
@click.argument("message")
def send(name: str, message: str) -> None:
    """Send the text MESSAGE to the sequence NAME, which takes it by 'await receive()'.

    Example: framebus seq send calibrate continue
    """
    post(name, message)


@click.command()
@click.argument("names", nargs=-1, shell_complete=sequence_names)
@click.option("--json", "as_json", is_flag=True, help="Print the names that are gone as a JSON list.")
def purge(names: tuple[str, ...], as_json: bool) -> None:
    """Forget sequences that ended or were killed: NAMES, or all of them. Their logs stay.

    Example: framebus seq purge
    """
    gone = purge_sequences(*names)
    if as_json:
        show_json(gone)
    else:
        click.echo(f"forgot {', '.join(map(text.safe, gone))}" if gone else "there was nothing to forget")
