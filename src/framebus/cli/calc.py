"""``framebus calc``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click
import numpy as np
from rich.text import Text

from framebus.calc import Calculation, Limits, Result
from framebus.calc.functions import FUNCTIONS
from framebus.cli import text
from framebus.cli.complete import expression_names, stream_names
from framebus.cli.inspection import figures
from framebus.cli.output import make_console, show, show_json
from framebus.cli.signals import signals_end_it
from framebus.errors import UsageError

_SMALL = 64
"""Arrays of up to so many elements are shown whole."""
_LINE_S = 0.2
"""How often the line that tells how it is doing is written anew."""


def _list_functions(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """``--functions``."""
    if not wanted or ctx.resilient_parsing:
        return
    groups: dict[str, list[str]] = {}
    for function in FUNCTIONS.values():
        groups.setdefault(function.group, []).append(function.usage)
    formatter = click.HelpFormatter(width=min(make_console().width, 100))
    for group, usages in groups.items():
        with formatter.section(group):
            formatter.write_text("  ".join(usage.replace(", ", ",\N{NO-BREAK SPACE}") for usage in usages))
    click.echo(formatter.getvalue().replace("\N{NO-BREAK SPACE}", " "), nl=False)
    ctx.exit()


@click.command()
@click.argument("expression", shell_complete=expression_names)
@click.option("-f", "--follow", is_flag=True, help="Compute it for each new frame, until Ctrl-C.")
@click.option(
    "--on",
    metavar="NAME",
    shell_complete=stream_names,
    help="The stream that triggers (default: the first that is named).",
)
@click.option("-n", "results", type=click.IntRange(1), help="End after that many results.")
@click.option("--newest", is_flag=True, help="Skip to the newest frame where it falls behind.")
@click.option("--overwrite", is_flag=True, help="Make the target anew if it has another shape or type.")
@click.option("--force", is_flag=True, help="Write the target even if another process writes it.")
@click.option(
    "--memory",
    "memory_gb",
    type=click.FloatRange(0.0, min_open=True),
    default=Limits().memory_bytes / 1e9,
    show_default="4.3",
    metavar="GB",
    help="Memory that it may need.",
)
@click.option(
    "--functions",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_functions,
    help="List the functions, and end.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --follow an object a line.")
def calc(
    expression: str,
    follow: bool,
    on: str | None,
    results: int | None,
    newest: bool,
    overwrite: bool,
    force: bool,
    memory_gb: float,
    as_json: bool,
) -> None:
    """Compute with streams: print EXPRESSION, or publish it if it is 'name = expression'.

    Streams are arrays by their names; a name that is no word is written {wfs.cam-1}. There are + - * / // % ** @, the
    comparisons, 'and', 'or', 'not', slices as in im[10:20, 3], the numbers pi and e, and functions such as where, clip,
    mean, median, fft2: '--functions' lists them. Whole numbers are computed in 64 bits; u16(x) casts.

    Example: framebus calc 'clean = where(im > 100, 100, im) - dark' --follow
    """
    if not follow and (on or results or newest):
        raise UsageError("--on, -n and --newest go with --follow")
    limits = Limits(memory_bytes=int(memory_gb * 1e9))
    with Calculation(expression, on=on, overwrite=overwrite, force=force, limits=limits) as calculation:
        if not follow:
            _show_one(calculation, calculation.once(), as_json)
        elif calculation.expression.target is None or as_json:
            with signals_end_it():
                done = _print_each(calculation, calculation.follow(results, newest=newest), as_json)
                _refuse_fewer(done, results)
        else:
            with signals_end_it():
                done = _publish_each(calculation, calculation.follow(results, newest=newest))
                _refuse_fewer(done, results)


# ---- once ------------------------------------------------------------------------------------------------------------


def _show_one(calculation: Calculation, result: Result, as_json: bool) -> None:
    if as_json:
        show_json(_as_plain(calculation, result))
        return
    value, target = result.value, calculation.target
    head = ""
    if target is not None:
        of = f", of frame {result.count} of {text.safe(str(calculation.trigger))}" if result.count else ""
        head = f"{text.safe(target.name)}  {text.shape(target.shape)} {target.dtype.name}  frame {result.written}{of}\n"
    elif isinstance(value, np.ndarray) and value.size > _SMALL:
        head = f"{text.shape(value.shape)} {value.dtype.name}\n"
    show(Text(head + _told(value), no_wrap=True, overflow="ignore"))


def _told(value: Any) -> str:
    """A number, the values of a small array, or the figures of a large one."""
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.size <= _SMALL:
        return np.array2string(value, max_line_width=min(make_console().width, 120), separator=" ")
    return _figures(value)


def _figures(value: np.ndarray[Any, Any]) -> str:
    found = figures(value.astype(np.uint8) if value.dtype.kind == "b" else value)
    told = "  ".join(f"{key} {text.figure(found[key])}" for key in ("min", "mean", "max", "std"))
    what = "magnitude " if value.dtype.kind == "c" else ""
    bad = f"; {found['not_finite']} of {value.size} values are not finite" if found["not_finite"] else ""
    return f"{what}{told}{bad}"


# ---- for each frame --------------------------------------------------------------------------------------------------


def _refuse_fewer(done: int, wanted: int | None) -> None:
    """What has an end of its own and did not reach it was interrupted."""
    if wanted is not None and done < wanted:
        raise KeyboardInterrupt


def _print_each(calculation: Calculation, results: Iterator[Result], as_json: bool) -> int:
    """A line for each result; how many there were."""
    told = 0
    missed = 0
    try:
        for result in results:
            told += 1
            missed += result.missed
            if as_json:
                show_json(_as_plain(calculation, result, _SMALL), indent=None)
                continue
            value = result.value
            line = _figures(value) if isinstance(value, np.ndarray) else repr(value)
            gap = f"  ({result.missed} missed)" if result.missed else ""
            show(f"frame {result.count}  {line}{gap}")
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    click.echo(f"{told} results  {missed} missed", err=True)
    return told


def _publish_each(calculation: Calculation, results: Iterator[Result]) -> int:
    """Results go to the stream; a line tells how it is doing. How many there were."""
    name = text.safe(str(calculation.expression.target))
    show(f"{name}: for each frame of {text.safe(str(calculation.trigger))}\nCtrl-C ends it")
    sys.stdout.flush()
    done = missed = spoilt = 0
    looked_s = 0.0
    try:
        for result in results:
            done += 1
            missed += result.missed
            if result.not_finite and not spoilt:
                _line()
                what = f"{result.not_finite} of {np.size(result.value)} values are not finite"
                click.echo(f"framebus: warning: frame {result.written} of {name}: {what}", err=True)
            spoilt += result.not_finite > 0
            if time.monotonic() - looked_s > _LINE_S:
                looked_s = time.monotonic()
                _line(_summary(done, missed, spoilt))
    except KeyboardInterrupt:
        pass
    finally:
        _line()
    if calculation.target is not None:  # Ctrl-C may have come between a result and its counting
        done = max(done, calculation.target.statistics().frames_written)
    show(f"{name}: {_summary(done, missed, spoilt)}")
    return done


def _summary(done: int, missed: int, spoilt: int) -> str:
    bad = f"  {spoilt} with values that are not finite" if spoilt else ""
    return f"{done} results  {missed} missed{bad}"


def _line(words: str = "") -> None:
    """Write the line anew, where somebody sees it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{words}")
        sys.stderr.flush()


def _as_plain(calculation: Calculation, result: Result, most: int = sys.maxsize) -> dict[str, Any]:
    """A result as JSON has it: what is printed with its value, if that has up to ``most`` elements."""
    target, value = calculation.target, np.asarray(result.value)
    array = value.astype(np.uint8) if value.dtype.kind == "b" else value
    found: dict[str, Any] = {
        "stream": None if target is None else target.name,
        "frame": result.written or None,
        "trigger": calculation.trigger,
        "trigger_frame": result.count or None,
        "acquisition_ns": result.acquisition_ns or None,
        "missed": result.missed,
        "dtype": value.dtype.name,
        **figures(array),
    }
    if target is None and value.size <= most:
        complex_ = array.dtype.kind == "c"
        found["value"] = (np.stack([array.real, array.imag], axis=-1) if complex_ else value).tolist()
    return found
