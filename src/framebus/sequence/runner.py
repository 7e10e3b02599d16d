"""Running a sequence's file, from its start to its state at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from framebus import _core
from framebus.errors import NameFormatError, NotFoundError, SequenceError
from framebus.sequence.arguments import bind_arguments
from framebus.sequence.inbox import Inbox
from framebus.sequence.lines import place_of, told
from framebus.sequence.load import Sequence, load, run_loaded
from framebus.sequence.session import Session
from framebus.sequence.status import SequenceStatus

__all__ = ["Runner", "run_file", "signals_stop"]


class Runner:
    """One run of a sequence's file.

    Args:
        file: the file.
        arguments: for its function; texts become what its annotations say.
        name: of the sequence; default: the file's name without ``.py``.
        on_change: called with the status when it has changed, from any thread of the sequence.
        on_line: called with each line that it logs, likewise.

    Raises:
        NotFoundError: there is no such file.
        NameFormatError: the name is not possible.

    Attributes:
        result: what the sequence returned.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        arguments: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        on_change: Callable[[SequenceStatus], object] | None = None,
        on_line: Callable[[str], object] | None = None,
    ) -> None:
        self._path = os.path.realpath(file)
        if not os.path.isfile(self._path):
            raise NotFoundError(f"there is no sequence file {file}")
        self._arguments = dict(arguments or {})
        given, name = name, name or Path(file).stem
        first = SequenceStatus(
            name,
            os.getpid(),
            _core.process_start_ticks(os.getpid()),
            self._path,
            {key: str(value) for key, value in self._arguments.items()},
            state="starting",
            started_ns=_core.realtime_ns(),
        )
        try:
            self._session = Session(first, on_change=on_change, on_line=on_line)
        except NameFormatError as error:
            advice = "" if given else "; give it a name"
            raise NameFormatError(f"a sequence is named as a stream is: {error}{advice}") from None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stop_asked = False
        self.result: Any = None

    @property
    def status(self) -> SequenceStatus:
        """As it stands."""
        return self._session.status

    def run(self) -> SequenceStatus:
        """Run it to its end; returns its last status: done or stopped.

        Raises:
            UsageError: a sequence of that name runs, or its arguments are wrong.
            DataError: the file has no sequence, or is no Python.
            SequenceError: it failed.
            KeyboardInterrupt: Ctrl-C stopped it, where no handler of the caller's takes that signal.
        """
        session = self._session
        inbox = session.begin(lambda path: Inbox(path, session.deliver, self.stop))
        try:
            found = load(self._path)
            bind_arguments(found.function, self._arguments, os.path.basename(self._path))
            session.update(state="running")
            state = self._run(found)
        except KeyboardInterrupt:
            self._session.end("stopped")
            raise
        except BaseException as error:
            self._session.end("failed", error=told(error), where=place_of(error))
            raise
        finally:
            inbox.close()
        session.end(state)
        return self.status

    def stop(self) -> None:
        """Stop it: what it awaits is cancelled, its ``finally`` blocks run. From any thread or signal handler."""
        self._stop_asked = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed: the sequence has ended
                self._loop.call_soon_threadsafe(self._cancel)

    def give_up(self) -> None:
        """Say that the process ends before the cleanup is over; then it must do so.

        In the status and the log alone, so that a signal handler can do it whatever it has interrupted.
        """
        self._session.detach()
        self._session.end("stopped", error="the process was ended before the cleanup was over")

    def _run(self, found: Sequence[Any, Any]) -> str:
        """The state at the end."""
        try:
            self.result = asyncio.run(self._main(found))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and self._stop_asked:
                return "stopped"
            raise SequenceError(told(error), place_of(error)) from error
        return "stopped" if self.status.state == "stopping" else "done"

    async def _main(self, found: Sequence[Any, Any]) -> Any:
        self._loop = asyncio.get_running_loop()
        self._session.enter()
        self._task = asyncio.create_task(self._guarded(found))
        if self._stop_asked:
            self._cancel()
        return await self._task

    async def _guarded(self, found: Sequence[Any, Any]) -> Any:
        try:
            return await run_loaded(found, self._path, self._arguments)
        except SystemExit as leaving:  # it would tear the loop down before anything could be cleaned up
            if leaving.code:
                raise SequenceError(f"it called exit({leaving.code!r})", place_of(leaving)) from leaving
            return None

    def _cancel(self) -> None:
        if self._task is None or self._task.done() or self.status.state == "stopping":
            return
        self._task.cancel()  # before it is told: telling may fail
        self._session.update(state="stopping")
        self._session.write_log("told to stop")


@contextmanager
def signals_stop(runner: Runner, abandon: Callable[[], object] = lambda: None) -> Iterator[list[int]]:
    """SIGINT, SIGTERM and SIGHUP stop the sequence; a second one ends the process, with the sequence's programs.

    Those that were ignored before (``nohup``) stay so.

    Args:
        runner: the sequence's.
        abandon: called before the process ends.

    Yields:
        Those that came.
    """
    came: list[int] = []

    def on_signal(number: int, _where: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            runner.stop()
            return
        if number == signal.SIGHUP:
            return  # one terminal that closes sends it twice: by the kernel, and by the shell
        for pid, _ in runner.status.programs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        runner.give_up()
        abandon()
        with contextlib.suppress(OSError):  # past Python's own file, in whose write this may have come
            os.write(2, b"framebus: error: ended before the cleanup was over\n")
        os._exit(128 + number)

    before = {
        number: signal.signal(number, on_signal)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_file(
    file: str | os.PathLike[str], arguments: Mapping[str, Any] | None = None, *, name: str = ""
) -> Any:
    """Run a sequence's file in this process, until it ends; returns what the sequence returns, None if it was stopped.

    Not within a running event loop; from there, ``await asyncio.to_thread(run_file, ...)``.

    Args:
        file: the file.
        arguments: for its function; texts become what its annotations say.
        name: of the sequence; default: the file's name without ``.py``.

    Raises:
        NotFoundError: there is no such file. DataError: it has no sequence.
        UsageError: a sequence of that name runs, or the arguments are wrong.
        SequenceError: it failed; the message begins with file and line.
        KeyboardInterrupt: Ctrl-C stopped it, in the main thread; its ``finally`` blocks have run.
    """
    runner = Runner(file, arguments, name=name)
    runner.run()
    return runner.result
