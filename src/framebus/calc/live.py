"""Expressions over live streams: once, or for each new frame."""

from __future__ import annotations

import ast
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from framebus.calc.arithmetic import Array, Value
from framebus.calc.evaluate import Limits, evaluate
from framebus.calc.grammar import Expression, parse
from framebus.calc.target import Target
from framebus.errors import StreamNotFound, UsageError
from framebus.stream import Frame, Stream
from framebus.stream import open as open_stream
from framebus.stream.names import near_streams, stream_path

__all__ = ["Calculation", "Result", "calc"]

_FRAME_TIMEOUT_S = 1.0
"""How long to wait for a whole frame when a writer is in the middle of one."""


@dataclass(frozen=True)
class Result:
    """What one evaluation gave.

    Attributes:
        value: an array or a number.
        not_finite: how many of its elements are NaN or infinite.
        count: of the triggering frame; 0 if no stream was read.
        acquisition_ns: when that was acquired.
        missed: frames of the trigger that were passed over since the result before.
        written: count of the frame that was published; 0 without an assignment.
    """

    value: Value
    not_finite: int
    count: int = 0
    acquisition_ns: int = 0
    missed: int = 0
    written: int = 0


class Calculation:
    """An expression over live streams, and the stream that it is assigned to.

    Args:
        text: ``expression`` or ``name = expression``.
        on: the stream whose frames trigger; by default the first that the expression names, its target aside.
        overwrite: make the target anew if it has another shape or dtype than the result.
        force: write the target even if another living process writes it.
        limits: what an evaluation may cost.

    Raises:
        ExpressionError: the expression is wrong.
        StreamNotFound: a stream is not there; the message has names that are like it.
        StreamFormatError, NameFormatError: as ``framebus.open``.
    """

    def __init__(
        self,
        text: str,
        *,
        on: str | None = None,
        overwrite: bool = False,
        force: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._expression = parse(text)
        self._limits = limits
        target = self._expression.target
        if on is not None and on == target:
            raise UsageError(f"'{on}' cannot trigger what is written to it; name another stream")
        _refuse_ambiguous(self._expression)
        self.trigger: str | None = on
        if on is None:
            self.trigger = next((name for name in self._expression.streams if name != target), None)
        self._inputs: dict[str, _Input] = {}
        with ExitStack() as opened:
            self._target = (
                None
                if target is None
                else opened.enter_context(Target(target, overwrite=overwrite, force=force))
            )
            for name in dict.fromkeys([*self._expression.streams, *([on] if on else [])]):
                self._inputs[name] = _Input(opened.enter_context(_open(name, self._expression)))
            self._opened = opened.pop_all()

    @property
    def expression(self) -> Expression:
        """What is computed."""
        return self._expression

    @property
    def target(self) -> Stream | None:
        """The stream that was written to; None before."""
        return None if self._target is None else self._target.stream

    def once(self) -> Result:
        """Compute it with the newest frames.

        Raises:
            ExpressionError: it cannot be computed.
            StreamNotFound: a stream has no frame yet.
            UsageError, StreamFormatError: as ``Target.write``.
        """
        return self._result(None if self.trigger is None else self._inputs[self.trigger].newest())

    def follow(
        self, n: int | None = None, *, timeout_s: float | None = None, newest: bool = False
    ) -> Generator[Result, None, None]:
        """Compute it for each new frame of the trigger, ``n`` times or for ever; others are read as they stand.

        Args:
            n: how many results.
            timeout_s: how long to wait for a frame, in s; None: for ever.
            newest: skip to the newest frame where the computation falls behind; those passed over count as missed.

        Raises:
            UsageError: no stream triggers.
            WaitTimeout: no frame came in time. StreamRecreated: a stream was made anew with another shape or dtype.
            ExpressionError, StreamNotFound, StreamFormatError: as ``once``.
        """
        if self.trigger is None:
            raise UsageError(
                f"{self._expression.text!r} reads no stream whose frames could trigger it; name one (--on, on=)"
            )
        for frame in self._inputs[self.trigger].stream.frames(n, timeout_s=timeout_s, newest=newest):
            yield self._result(frame)

    def _result(self, frame: Frame | None) -> Result:
        values = {
            name: frame.data if frame is not None and name == self.trigger else self._inputs[name].standing()
            for name in self._expression.streams
        }
        value = evaluate(self._expression, values, self._limits)
        count, acquired, missed = (
            (0, 0, 0) if frame is None else (frame.count, frame.acquisition_ns, frame.missed)
        )
        written = 0
        if self._target is not None:
            written = self._target.write(value, acquisition_ns=acquired, count=count)
        return Result(value, _not_finite(value), count, acquired, missed, written)

    def close(self) -> None:
        """Give up all streams; they stay."""
        self._opened.close()
        self._inputs.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def calc(text: str, *, overwrite: bool = False, force: bool = False, limits: Limits | None = None) -> Value:
    """The value of an expression over the newest frames of streams; an assignment publishes it, too.

    ``calc("clean = where(im > 100, 100, im) - dark")``. Errors are those of ``Calculation``.
    """
    with Calculation(text, overwrite=overwrite, force=force, limits=limits) as calculation:
        return calculation.once().value


class _Input:
    """A stream that is read."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._seen: Array | None = None
        self._count = 0

    def newest(self) -> Frame:
        """The newest frame, whether or not it was read before."""
        self._need_frame()
        return self.stream.newest(timeout_s=_FRAME_TIMEOUT_S)

    def standing(self) -> Array:
        """The newest frame's data; a frame that is there for long is read once."""
        self._need_frame()
        if self._seen is None or self.stream.count != self._count or not self.stream.handle.current:
            self._seen, self._count, *_ = self.newest()
            self._seen.flags.writeable = False
        return self._seen

    def _need_frame(self) -> None:
        if not self.stream.count:
            raise StreamNotFound(f"stream '{self.stream.name}' has no frame yet")


def _open(name: str, expression: Expression) -> Stream:
    try:
        return open_stream(name)
    except StreamNotFound as error:
        if name not in expression.streams or "/" in name:
            raise
        column = expression.column_of(name)
        said = f"column {column} of {expression.text!r}: no stream '{name}'{near_streams(name)}"
        raise StreamNotFound(said) from error


def _refuse_ambiguous(expression: Expression) -> None:
    """A constant whose name a stream has, too, may be either."""
    named = [node for node in ast.walk(expression.root) if isinstance(node, ast.Name)]
    for node in sorted(named, key=lambda node: node.col_offset):
        if node.id in expression.constants and stream_path(node.id).exists():
            raise expression.error(
                node,
                f"'{node.id}' is a constant, and there is a stream of that name; the stream is written {{{node.id}}}, "
                "the constant as a number",
            )


def _not_finite(value: Any) -> int:
    array = np.asarray(value)
    return 0 if array.dtype.kind in "biu" else int(array.size - np.count_nonzero(np.isfinite(array)))
