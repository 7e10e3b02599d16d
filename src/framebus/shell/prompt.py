"""The prompt: IPython on a session's namespace."""

from __future__ import annotations

import collections
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import click
import IPython
from IPython.core.alias import default_aliases
from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from IPython.terminal.ipapp import TerminalIPythonApp
from traitlets.config import Config

import framebus
from framebus.errors import FramebusError
from framebus.shell.history import History, state_file
from framebus.shell.magics import completions, register
from framebus.shell.mistakes import explain, place, traceback_text
from framebus.shell.pipe import CommandPipe
from framebus.shell.sessions import Session

__all__ = ["configure", "interact", "serve"]

_BANNER = """framebus {version}. Streams are arrays by their names; `clean = wfs - dark` makes a stream.
s.<Tab> streams, p.<Tab> parameters, u.<Tab> units, %ls and every other command, %when PATTERN
"""
_RETRY_S = 0.05
"""How often a line of the pipe that came between two prompts tries again."""


class _Prompt(TerminalInteractiveShell):
    """IPython's prompt, which does lines of a pipe while it waits for keys."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._lines: collections.deque[str] = collections.deque()

    def prompt_for_code(self) -> str:
        """Wait for a cell."""
        self.run_lines()
        return str(super().prompt_for_code())  # type: ignore[no-untyped-call]

    def run_lines(self) -> None:
        """Run what came through the pipe; in the main thread, as what is typed."""
        while self._lines:
            _run_line(self, self._lines.popleft())

    def take(self, line: str, ended: threading.Event) -> None:
        """A line from the pipe, in its thread: have it run, as soon as nothing else does."""
        self._lines.append(line)
        while self._lines and not ended.is_set():
            app = None if self.pt_app is None else self.pt_app.app
            loop = None if app is None or not app.is_running else app.loop
            if loop is not None:
                with contextlib.suppress(RuntimeError):  # the prompt has come to its end just now
                    loop.call_soon_threadsafe(self._between_keys)
            ended.wait(_RETRY_S)

    def _between_keys(self) -> None:
        from prompt_toolkit.application import run_in_terminal

        if self._lines:
            run_in_terminal(self._run_lines_and_leave)

    def _run_lines_and_leave(self) -> None:
        from prompt_toolkit.formatted_text import PygmentsTokens

        self.run_lines()
        prompts: Any = self.prompts
        if self.pt_app is None:
            return
        self.pt_app.message = PygmentsTokens(prompts.in_prompt_tokens())  # with the number of the next cell
        if not self.keep_running and self.pt_app.app.is_running:
            self.pt_app.app.exit(result="")  # a line of the pipe said 'exit'


class _Service(InteractiveShell):
    """A shell without a prompt: its lines come through a pipe."""

    keep_running = True

    def ask_exit(self) -> None:
        """What 'exit' calls."""
        self.keep_running = False


def interact(session: Session, *, pipe: CommandPipe | None = None, startup: Any = None) -> None:
    """Show a prompt on the terminal until it is left.

    Args:
        session: whose namespace it has.
        pipe: a named pipe that commands come through, too.
        startup: called once all is set up, before the prompt.
    """
    app: Any = TerminalIPythonApp.instance(
        config=_config(), user_ns=session.namespace, interactive_shell_class=_Prompt
    )
    try:
        app.initialize([])
        configure(app.shell, session)
        if startup is not None:
            _guarded(startup)
        with _listening(app.shell, pipe):
            app.start()
    finally:
        _Prompt.clear_instance()
        TerminalIPythonApp.clear_instance()


def serve(session: Session, pipe: CommandPipe, ended: Callable[[], bool] = lambda: False) -> None:
    """Run the lines of a pipe, without a terminal, until one of them is ``exit``.

    Args:
        session: whose namespace they have.
        pipe: that they come through.
        ended: asked after every line, whether to end: IPython keeps a KeyboardInterrupt within a line to itself.
    """
    shell: Any = _Service.instance(config=_config(), user_ns=session.namespace)
    try:
        configure(shell, session)
        click.echo(f"commands come through {pipe.path}; 'exit' ends it")
        for line in pipe.lines():
            _run_line(shell, line)
            sys.stdout.flush()
            if ended() or not shell.keep_running:
                return
    finally:
        shell._atexit_once()
        _Service.clear_instance()


def configure(shell: Any, session: Session) -> None:
    """Give an IPython shell a session's completions, framebus' commands, times of what is entered, and short errors."""
    history = History(state_file("shell-history.jsonl"))
    if history.path is None:
        click.echo("no history is kept: $XDG_STATE_HOME or ~/.local/state cannot be written to")
    history.trim()
    register(shell, session, history)
    shell.Completer.custom_matchers.append(_matcher(shell, session))
    shell.set_custom_exc((FramebusError, NameError), partial(_show_error, session))
    began = [time.time()]

    def begin(_info: Any) -> None:
        began[0], history.failed = time.time(), False

    def end(result: Any) -> None:
        code = (result.info.raw_cell or "").strip()
        if code and result.info.store_history:
            ok = bool(result.success) and not history.failed
            history.add(result.execution_count or 0, code, ok=ok, began_s=began[0])

    shell.events.register("pre_run_cell", begin)
    shell.events.register("post_run_cell", end)


def _config() -> Config:
    from framebus.cli.root import root

    config = Config()
    config.TerminalInteractiveShell.banner1 = _BANNER.format(version=framebus.__version__)
    config.TerminalInteractiveShell.banner2 = ""
    config.TerminalInteractiveShell.confirm_exit = False
    config.HistoryManager.hist_file = str(state_file("shell-history.sqlite") or ":memory:")
    # The session knows its objects; Jedi would have to guess.
    config.Completer.use_jedi = False
    commands = set(root.list_commands(None))  # type: ignore[arg-type]
    config.AliasManager.default_aliases = [alias for alias in default_aliases() if alias[0] not in commands]
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        config.InteractiveShell.colors = "nocolor" if IPython.version_info[0] >= 9 else "NoColor"
    return config


def _matcher(shell: Any, session: Session) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """What IPython asks when Tab is pressed: for a command's words no other's are wanted."""

    def match(context: CompletionContext) -> SimpleMatcherResult:
        line, text = context.text_until_cursor, context.token
        name = line.lstrip("%").partition(" ")
        offered: list[str] = []
        if name[1] and (
            line.startswith("%") or (shell.find_line_magic(name[0]) and name[0] not in session.namespace)
        ):
            offered = [word for word in completions(line) if word.startswith(text)]
        found = offered or session.complete(text)
        return {"completions": [SimpleCompletion(word) for word in found], "suppress": bool(offered)}

    matcher: Callable[[CompletionContext], SimpleMatcherResult] = context_matcher()(match)
    return matcher


def _show_error(
    session: Session,
    shell: Any,
    kind: type[Exception],
    error: FramebusError | NameError,
    trace: Any,
    tb_offset: Any = None,
) -> None:
    """An error of framebus says all in its message, as does a wrong name; ``%tb`` shows where it came from."""
    if isinstance(error, NameError):
        explain(error, session.namespace)
        if trace.tb_next is not None and trace.tb_next.tb_next is not None:  # in a function
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)
            return
    click.echo(f"{kind.__name__}: {error}")
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace


def _run_line(shell: Any, line: str) -> None:
    if line.strip():
        click.echo(f"[pipe] {line}")
        shell.run_cell(line, store_history=True)


def _guarded(act: Any) -> None:
    """Errors of the startup file are shown, and the prompt comes all the same."""
    try:
        act()
    except FramebusError as error:
        click.echo(f"{type(error).__name__}: {place(error)}{error}")
    except Exception as error:  # noqa: BLE001 - anything that a user's file may raise
        click.echo(traceback_text(error), nl=False)


@contextlib.contextmanager
def _listening(shell: _Prompt, pipe: CommandPipe | None) -> Iterator[None]:
    if pipe is None:
        yield
        return
    ended = threading.Event()

    def listen() -> None:
        for line in pipe.lines():
            shell.take(line, ended)

    thread = threading.Thread(target=listen, name="framebus-shell-pipe", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        pipe.stop()
        thread.join()
