"""A unit in this process, with a line that tells how it is doing."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import click
import numpy as np

from framebus import stream
from framebus.cli import text
from framebus.cli.inspection import figures, listed
from framebus.cli.output import show, show_json
from framebus.cli.signals import signals_end_it
from framebus.errors import FramebusError, WaitTimeout
from framebus.process import ProcessRecord
from framebus.stream import Stream
from framebus.stream.names import parse
from framebus.unit import Loop, LoopOptions, Stage, start

LOOK_S = 0.2
"""How often the line is written anew."""

_SMALL = 64
"""Frames of up to so many elements are shown whole."""


def run_here(stage: Stage, options: LoopOptions, *, as_json: bool = False) -> int:
    """Run ``stage`` until it ends or is told to; returns the exit code.

    Ctrl-C, SIGTERM and SIGHUP end it after its frame, or while it starts; a second one kills it. That is its good end
    unless it was to compute once.

    Args:
        stage: what is run.
        options: of its loop.
        as_json: print how it went as one JSON object at the end, and nothing before.

    Raises:
        BindingError, ParameterError, UsageError, UnitError: as ``framebus.unit.start``; and when the unit fails.
    """
    once = options.trigger == "once"
    with signals_end_it(), ExitStack() as opened:
        try:
            loop = opened.enter_context(start(stage, options))
        except KeyboardInterrupt:
            if once:
                raise
            said = "it was ended while it started"
            if as_json:
                show_json({"unit": stage.label, "loops": None, "missed": None, "message": said})
            else:
                show(f"{stage.label}: {said}")
            return 0
        try:
            record, outputs = _handles(stage, loop, opened)
            if not once and not as_json:
                show(f"{_wiring(stage)}\nCtrl-C ends it")
                sys.stdout.flush()
            _watch(loop, record)
        except KeyboardInterrupt:
            if once:
                raise
            record, outputs = _handles(stage, loop, opened)  # it may have come before they were there
            loop.stop()
        if as_json:
            show_json(_as_plain(stage, record, outputs, once=once))
        elif once and record.loop_count:
            show("\n\n".join(map(_published, outputs)))
        else:
            show(f"{stage.label}: {_figures(record)}")
    return 0


def _handles(stage: Stage, loop: Loop, opened: ExitStack) -> tuple[ProcessRecord, list[Stream]]:
    """Handles of our own: they can be read when the loop has given up its own."""
    record = opened.enter_context(ProcessRecord.open(loop.record.path))
    return record, [opened.enter_context(output) for output in _outputs(stage)]


def _watch(loop: Loop, record: ProcessRecord) -> None:
    """Wait for the end of the loop; its failure is raised."""
    refused: list[str] = []
    try:
        while True:
            try:
                loop.wait(LOOK_S)
                return
            except WaitTimeout:
                for refusal in loop.refusals[len(refused) :]:
                    refused.append(refusal)
                    _line()
                    click.echo(f"framebus: warning: {text.safe(refusal)}", err=True)
                _line(f"{record.state.name.lower()}  {text.rate(record.rate_hz)}  {_figures(record)}")
    finally:
        _line()


def _line(words: str = "") -> None:
    """Write the line anew, where somebody sees it."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{words[:width]}")
        sys.stderr.flush()


def _figures(record: ProcessRecord) -> str:
    message = f"  {text.safe(record.message)}" if record.message else ""
    return f"{record.loop_count} loops  {record.missed} missed{message}"


def _wiring(stage: Stage) -> str:
    """``scale: image=wfs -> result=slopes``."""
    declaration = stage.declaration
    sides = [
        " ".join(f"{a.name}={text.safe(stage.streams[a.name])}" for a in arguments)
        for arguments in (declaration.inputs(), declaration.outputs())
    ]
    return f"{stage.label}: {' -> '.join(filter(None, sides))}"


def _outputs(stage: Stage) -> list[Stream]:
    """The output streams, which are there by now whatever their modifiers demanded before."""
    names = [parse(stage.streams[argument.name]) for argument in stage.declaration.outputs()]
    return [stream.open(str(replace(name, modifiers=name.modifiers.replace("N", "")))) for name in names]


def _as_plain(stage: Stage, record: ProcessRecord, outputs: list[Stream], *, once: bool) -> dict[str, Any]:
    """How it went, and of a single loop what it put out: the values where they are few, else their figures."""
    told: dict[str, Any] = {
        "unit": stage.label,
        "loops": record.loop_count,
        "missed": record.missed,
        "message": record.message,
    }
    if once:
        told["outputs"] = [_output(output) for output in outputs if output.count]
    return told


def _output(output: Stream) -> dict[str, Any]:
    frame = output.read()
    told = {"stream": output.name, "count": output.count, "dtype": output.dtype.name, **figures(frame)}
    return told | ({"values": listed(frame)} if frame.size <= _SMALL else {})


def _published(output: Stream) -> str:
    """What an output holds now: its values if they are few, else their figures."""
    try:
        frame = output.read()
    except FramebusError as error:
        return f"{text.safe(output.name)}: {text.safe(str(error))}"
    head = f"{text.safe(output.name)}  {text.shape(output.shape)} {output.dtype.name}  frame {output.count}"
    if frame.size <= _SMALL:
        return f"{head}\n{np.array2string(frame, max_line_width=100)}"
    found = figures(frame)
    values = "  ".join(f"{key} {text.figure(found[key])}" for key in ("min", "mean", "max", "std"))
    return f"{head}\n{values}"
