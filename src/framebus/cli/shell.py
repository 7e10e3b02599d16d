"""``framebus shell``."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Callable

import click

from framebus.cli.complete import python_files
from framebus.cli.failures import Settings
from framebus.cli.signals import signals_end_it
from framebus.errors import FramebusError, UsageError


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("script", required=False, metavar="[FILE.py]", shell_complete=python_files)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("-c", "code", metavar="CODE", help="Run this code, and end.")
@click.option("--fifo", metavar="PATH", help="Run the lines that come through this named pipe, too.")
@click.option("--no-startup", is_flag=True, help="Leave the startup file out.")
def shell(
    script: str | None, arguments: tuple[str, ...], code: str | None, fifo: str | None, no_startup: bool
) -> int:
    """Work with streams, parameters and units at a Python prompt, or run FILE.py as it would.

    Streams are arrays by their names, and 'clean = sqrt(wfs - dark)' makes a stream. 's', 'p' and 'u' have streams,
    parameters and units: p.loop.gain = 0.4, u.slopes.pause(). Every command is there too, as in '%ls'.

    Before all else it runs the file that FRAMEBUS_STARTUP names, or ~/.config/framebus/startup.py. Code comes from
    standard input if that is no terminal, and through --fifo; that pipe is made and removed if it is not there.

    Example: framebus shell -c 'print(wfs.mean())'
    """
    if code is not None and script is not None:
        raise UsageError("a file and -c at once; give one of them")
    if fifo is not None and (code is not None or script is not None):
        raise UsageError("--fifo goes with a prompt, not with code that ends")
    from framebus.shell.sessions import session, startup_file

    current = session()
    startup = None if no_startup else startup_file()

    def begin() -> None:
        if startup is not None:
            current.run_file(startup)

    try:
        if code is not None or script is not None or (fifo is None and not sys.stdin.isatty()):

            def work() -> None:
                begin()
                if script is not None:
                    current.run_file(script, *arguments)
                else:
                    current.run(
                        code if code is not None else sys.stdin.read(), "<string>" if code else "<stdin>"
                    )

            return _guarded(work)
        return _prompt(begin, fifo)
    finally:
        current.close()


def _prompt(begin: Callable[[], None], fifo: str | None) -> int:
    if importlib.util.find_spec("IPython") is None:
        raise FramebusError(
            "the prompt needs IPython, which is not installed: pip install 'framebus[shell]'; "
            "'framebus shell FILE.py' and '-c CODE' go without"
        )
    from framebus.shell.pipe import CommandPipe
    from framebus.shell.prompt import interact, serve
    from framebus.shell.sessions import session

    with contextlib.ExitStack() as opened:
        pipe = None if fifo is None else opened.enter_context(CommandPipe(fifo))
        if pipe is None or (sys.stdin.isatty() and sys.stdout.isatty()):
            interact(session(), pipe=pipe, startup=begin)
            return 0
        with signals_end_it() as signals, contextlib.suppress(KeyboardInterrupt):
            if code := _guarded(begin):
                return code
            serve(session(), pipe, lambda: bool(signals.came))
    return 0


def _guarded(work: Callable[[], None]) -> int:
    """Run somebody's code: framebus' own errors go to the command line, others are shown as Python does.

    ``--debug`` shows framebus' lines among the others, too.
    """
    try:
        work()
    except KeyboardInterrupt:
        raise
    except FramebusError as error:
        from framebus.shell.mistakes import place

        error.args = (place(error) + str(error), *error.args[1:])
        raise
    except SystemExit as end:
        if isinstance(end.code, str):
            click.echo(end.code, err=True)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - anything that a user's code may raise
        from framebus.shell.mistakes import traceback_text

        settings = click.get_current_context().find_object(Settings)
        if settings is not None and settings.debug:
            traceback.print_exception(error)
        else:
            click.echo(traceback_text(error), err=True, nl=False)
        return 1
    return 0
