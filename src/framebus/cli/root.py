"""The command ``framebus`` itself: which commands there are, and where each lives."""

from __future__ import annotations

import functools

import click

import framebus
from framebus.cli.lazy import Entry, LazyGroup
from framebus.cli.text import safe
from framebus.places import disregarded, shm_directory

SECTIONS: dict[str, dict[str, Entry]] = {
    "Begin": {
        "demo": Entry(
            "framebus.cli.demo.command:demo", "Close an adaptive-optics loop in front of your eyes."
        ),
        "shell": Entry(
            "framebus.cli.shell:shell", "Work with streams, parameters and units at a Python prompt."
        ),
        "new": Entry("framebus.cli.new:new", "Begin a unit or a pipeline of your own."),
        "completion": Entry(
            "framebus.cli.completion:completion", "Let the shell complete commands and live names."
        ),
    },
    "Streams": {
        "ls": Entry("framebus.cli.ls:ls", "List streams with their state."),
        "info": Entry("framebus.cli.info:info", "Tell everything about one stream."),
        "watch": Entry("framebus.cli.watch:watch", "Show a stream's picture, histogram or values, live."),
        "copy": Entry("framebus.cli.copy:copy", "Hand a stream on to another, of either file format."),
        "calc": Entry("framebus.cli.calc:calc", "Compute with streams, once or for each new frame."),
        "rm": Entry("framebus.cli.rm:rm", "Remove streams."),
        "create": Entry("framebus.cli.streamtools.create:create", "Make a stream."),
        "link": Entry("framebus.cli.streamtools.link:link", "Give a stream a second name."),
        "purge": Entry("framebus.cli.streamtools.purge:purge", "Remove streams that nobody uses any more."),
        "stats": Entry(
            "framebus.cli.streamtools.measure:stats", "Tell mean, scatter and extremes of frames."
        ),
        "rate": Entry(
            "framebus.cli.streamtools.measure:rate", "Measure how often frames come, and how evenly."
        ),
        "poke": Entry("framebus.cli.streamtools.poke:poke", "Change one pixel."),
        "keyword": Entry("framebus.cli.streamtools.keyword:keyword", "Read, write and remove keywords."),
        "load": Entry("framebus.cli.streamtools.files:load", "Publish a file's frames, or load parameters."),
        "save": Entry("framebus.cli.streamtools.files:save", "Write frames, or parameters, into a file."),
        "snapshot": Entry(
            "framebus.cli.streamtools.files:snapshot", "Write the newest frames of several streams."
        ),
        "cube": Entry("framebus.cli.streamtools.cube:cube", "Take consecutive frames into one file."),
    },
    "Streams computed from streams": {
        "crop": Entry("framebus.cli.streamtools.operators:crop", "Hand a window of every frame on."),
        "bin": Entry("framebus.cli.streamtools.operators:bin", "Put pixels together."),
        "average": Entry("framebus.cli.streamtools.operators:average", "Make one frame of every N."),
        "add": Entry("framebus.cli.streamtools.operators:add", "Add streams."),
        "combine": Entry("framebus.cli.streamtools.operators:combine", "Add streams, each times its weight."),
        "concat": Entry("framebus.cli.streamtools.operators:concat", "Join streams."),
        "clock": Entry("framebus.cli.streamtools.sources:clock", "Make a stream that ticks."),
        "random": Entry("framebus.cli.streamtools.sources:random", "Make a stream of noise."),
    },
    "Parameters and events": {
        "get": Entry("framebus.cli.get:get", "Print the values of parameters."),
        "set": Entry("framebus.cli.set:set_", "Change parameters: all that are named, or none."),
        "params": Entry("framebus.cli.params.group:params", "Show parameter sets; keep them in files."),
        "wait": Entry("framebus.cli.wait:wait", "Wait until something happens, and say what did."),
        "on": Entry("framebus.cli.on:on", "Run a command whenever something happens."),
        "query": Entry("framebus.cli.query:query", "Print one snapshot of everything as JSON."),
    },
    "Units and pipelines": {
        "up": Entry("framebus.cli.up:up", "Start a pipeline and keep it running."),
        "down": Entry("framebus.cli.down:down", "End a pipeline."),
        "ps": Entry("framebus.cli.ps:ps", "List running units with their state."),
        "top": Entry("framebus.cli.top:top", "Watch and steer all of it in a dashboard."),
        "restart": Entry("framebus.cli.steer:restart", "Start a unit's process anew."),
        "replace": Entry("framebus.cli.steer:replace", "Put another unit in a running one's place."),
        "pause": Entry("framebus.cli.steer:pause", "Let units wait before their next frame."),
        "step": Entry("framebus.cli.steer:step", "Let paused units do some frames."),
        "resume": Entry("framebus.cli.steer:resume", "Let paused units run again."),
        "send": Entry(
            "framebus.cli.send:send", "Send a unit an event: run, idle, enable, disable, recover ..."
        ),
        "logs": Entry("framebus.cli.steer:logs", "Show what a unit printed."),
        "check": Entry("framebus.cli.check:check", "Tell everything that is wrong with a pipeline file."),
        "graph": Entry("framebus.cli.graph:graph", "Draw a pipeline."),
        "run": Entry("framebus.cli.run:run", "Run one unit."),
        "units": Entry("framebus.cli.units:units", "List the units that are installed."),
        "export": Entry("framebus.cli.export:export", "Write a pipeline for other supervisors."),
    },
    "Sequences": {
        "seq": Entry("framebus.cli.seq.group:seq", "Run sequences, see how far they are, stop them."),
    },
    "Adaptive optics": {
        "ao": Entry(
            "framebus.cli.ao.group:ao", "Calibrate an adaptive-optics loop and tell how well it does."
        ),
    },
    "This machine": {
        "doctor": Entry(
            "framebus.cli.doctor:doctor", "Tell what this machine refuses or lacks for real time."
        ),
        "tune": Entry(
            "framebus.cli.tune:tune", "Change settings of this machine for real time, and undo it."
        ),
        "latency-audit": Entry(
            "framebus.cli.latency_audit:latency_audit", "Tell which units are late, and why."
        ),
        "bench": Entry("framebus.cli.bench:bench", "Measure what this machine reaches."),
    },
}
"""Every command, under what it is about, in the order of the help."""

EXAMPLES = {
    "Begin": "framebus new unit denoise",
    "Streams": "framebus ls --rate 'wfs*'",
    "Streams computed from streams": "framebus average wfs wfs_mean 100",
    "Parameters and events": "framebus set loop.gain=0.5",
    "Units and pipelines": "framebus up loop.toml --detach",
    "Sequences": "framebus seq run calibrate.py",
    "Adaptive optics": "framebus ao dark wfs --output dark.fits",
    "This machine": "framebus doctor",
}
"""For each section a command line that stands beside its heading."""


@click.group(
    cls=LazyGroup,
    sections=SECTIONS,
    examples=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="'framebus COMMAND --help' tells more about a command.",
)
@click.version_option(framebus.__version__, message="%(prog)s %(version)s")
@click.pass_context
def root(ctx: click.Context) -> None:
    """Real-time image streaming for adaptive optics and scientific imaging."""
    if ctx.invoked_subcommand not in (None, "completion"):
        _warn_of(disregarded())


@functools.cache  # a prompt gives many commands in one process
def _warn_of(setting: str) -> None:
    if setting:
        said = f"MILK_SHM_DIR is no directory: {safe(setting)}; {safe(str(shm_directory()))} is used"
        click.echo(f"framebus: warning: {said}", err=True)
