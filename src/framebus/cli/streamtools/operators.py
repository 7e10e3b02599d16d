"""``framebus crop``, ``bin``, ``average``, ``add``, ``combine`` and ``concat``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.output import show, show_json
from framebus.cli.progress import measuring
from framebus.cli.streamtools.arguments import frames as told
from framebus.cli.streamtools.arguments import parse_shape
from framebus.cli.streamtools.operating import label, operator_options, run_operator
from framebus.errors import UsageError


@click.command()
@click.argument("source", metavar="SOURCE[SLICE]", shell_complete=stream_names)
@click.argument("target", shell_complete=stream_names)
@operator_options
def crop(source: str, target: str, **options: Any) -> int:
    """Hand a window of every frame on to TARGET: first to last pixel of each axis, x first, both included.

    '-*' flips an axis, '::2' takes every second pixel. Frames keep their counts, their times, and the stream's
    keywords. While it runs the window can be moved by the parameters x, y and z. Ends at Ctrl-C.

    Example: framebus crop 'wfs[10:29,*]' centre
    """
    from framebus.ops import operators

    stage = operators.crop(source, target, **_making("crop", target, options))
    return run_operator(stage, **_running(options))


@click.command()
@click.argument("source", shell_complete=stream_names)
@click.argument("target", shell_complete=stream_names)
@click.argument("factors", metavar="FACTOR")
@click.option("--sum", "total", is_flag=True, help="Sum the pixels up instead of averaging them.")
@operator_options
def bin(source: str, target: str, factors: str, total: bool, **options: Any) -> int:  # noqa: A001 - the command's name
    """Put the pixels of every frame together in bins of FACTOR pixels: one number for all axes, or 'YxX'.

    TARGET gets their means, float32 or float64. Pixels behind the last whole bin are left out. Frames keep their
    counts, their times, and the stream's keywords. Ends at Ctrl-C.

    Example: framebus bin wfs small 2x4
    """
    from framebus.ops import operators

    sizes = parse_shape(factors)
    stage = operators.bin(
        source,
        target,
        sizes[0] if len(sizes) == 1 else sizes,
        total=total,
        **_making("bin", target, options),
    )
    return run_operator(stage, **_running(options))


@click.command()
@click.argument("source", shell_complete=stream_names)
@click.argument("target", shell_complete=stream_names)
@click.argument("frames", metavar="N", type=click.IntRange(1))
@operator_options
def average(source: str, target: str, frames: int, **options: Any) -> int:
    """Make one frame of every N frames of SOURCE: the mean of each element.

    TARGET is float32, or float64 where the source needs it. With --once the next N frames are taken. The number can be
    changed while it runs: the parameter 'frames'. Ends at Ctrl-C.

    Example: framebus average wfs wfs_mean 100
    """
    from framebus.ops import operators

    making = _making("average", target, options)
    running = _running(options)
    if not running["once"]:
        return run_operator(operators.average(source, target, frames, **making), **running)
    if running["detach"]:
        raise UsageError("--once and --detach exclude each other here")
    del making["name"]
    with measuring(f"frames of {source}") as progress:
        done = operators.average_once(source, target, frames, **making, progress=progress)
    if running["as_json"]:
        show_json({"source": source, "target": target, **asdict(done)})
        return 0
    lost = f", {told(done.missed)} lost between them" if done.missed else ""
    show(f"{text.safe(target)}: the mean of {told(frames)} of {text.safe(source)}{lost}, frame {done.count}")
    return 0


@click.command()
@click.argument("sources", metavar="SOURCE SOURCE...", nargs=-1, required=True, shell_complete=stream_names)
@click.argument("target", shell_complete=stream_names)
@operator_options
def add(sources: tuple[str, ...], target: str, **options: Any) -> int:
    """Add 2 to 16 streams of one shape: TARGET = SOURCE + SOURCE + ...

    Frames of the first one trigger, the others are read as they stand. Ends at Ctrl-C.

    Example: framebus add dm_flat dm_loop dm_total
    """
    _distinct(sources)
    return _combine("add", dict.fromkeys(sources, 1.0), target, options)


@click.command()
@click.argument("sources", metavar="SOURCE[=WEIGHT]...", nargs=-1, required=True, shell_complete=stream_names)
@click.argument("target", shell_complete=stream_names)
@operator_options
def combine(sources: tuple[str, ...], target: str, **options: Any) -> int:
    """Add 2 to 16 streams of one shape, each times its weight (1 if none is given), into TARGET.

    Frames of the first one trigger, the others are read as they stand. While it runs the weights can be changed: the
    parameters weight_1, weight_2 ... Ends at Ctrl-C.

    Example: framebus combine dm_loop dm_offset=0.5 dm_turbulence=-1 dm_total
    """
    weights = {}
    for source in sources:
        name, equals, weight = source.rpartition("=")
        try:
            weights[name if equals else source] = float(weight) if equals else 1.0
        except ValueError:
            raise UsageError(f"'{source}': '{weight}' is no weight; expected a number behind '='") from None
    _distinct([source.rpartition("=")[0] or source for source in sources])
    return _combine("combine", weights, target, options)


@click.command()
@click.argument("sources", metavar="SOURCE SOURCE...", nargs=-1, required=True, shell_complete=stream_names)
@click.argument("target", shell_complete=stream_names)
@click.option("--axis", type=int, default=0, show_default=True, help="Along which they are joined, NumPy's.")
@click.option("--stack", is_flag=True, help="Along a new first axis: images become a cube.")
@operator_options
def concat(sources: tuple[str, ...], target: str, axis: int, stack: bool, **options: Any) -> int:
    """Join 2 to 16 streams of one dtype, one behind the other along an axis, into TARGET.

    Frames of the first one trigger, the others are read as they stand. Ends at Ctrl-C.

    Example: framebus concat slopes_a slopes_b slopes
    """
    from framebus.ops import operators

    stage = operators.concatenate(
        sources, target, axis=None if stack else axis, **_making("concat", target, options)
    )
    return run_operator(stage, **_running(options))


def _combine(command: str, weights: dict[str, float], target: str, options: dict[str, Any]) -> int:
    from framebus.ops import operators

    stage = operators.combine(weights, target, **_making(command, target, options))
    return run_operator(stage, **_running(options))


def _distinct(names: tuple[str, ...] | list[str]) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} is given twice; say 'combine {twice[0]}=2 ...' for a multiple")


def _making(command: str, target: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that say what the target is like, and the unit's name."""
    return {
        "name": label(command, target, options["name"]),
        **{key: options[key] for key in ("history", "dialect", "overwrite", "force")},
    }


def _running(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("once", "newest", "spin", "detach", "as_json")}
