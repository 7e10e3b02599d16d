"""A pipeline as data: what its file says, and what Python code says with the same words.

Every class is one table of the file and every attribute one key, so the docstrings here are also the help that
editors show (``schema`` makes the JSON schema of them). What may be wrong beyond types is told by ``check``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Trigger = Literal["stream", "delay", "once", "free"]
RestartPolicy = Literal["never", "on-failure", "always"]
LimitAction = Literal["alarm", "pause"]
Launcher = Literal["subprocess", "tmux"]
Dialect = Literal["isio", "dao"]


class Plan(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One table of a pipeline file."""


class StreamPlan(Plan):
    """A stream that is there before any unit starts.

    Attributes:
        shape: sizes of its axes, as NumPy has them; may be left out with ``file``.
        dtype: of its pixels; may be left out with ``file``.
        history: how many past frames it keeps.
        fill: value of every pixel of its first frame; without it and without ``file`` the stream has no frame yet.
        file: FITS or NPY file of its first frame, relative to the pipeline file.
        keywords: its keywords.
        on_down: last frame that is written when the pipeline goes down: ``"last"`` (nothing is written), or a value
            for every pixel (a mirror's safe position).
        keep: leave it in memory when the pipeline goes down.
        dialect: its file's format: ``isio`` (ImageStreamIO's) or ``dao`` (DAO's).
    """

    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    history: int = 0
    fill: float | None = None
    file: str | None = None
    keywords: dict[str, int | float | str] = {}
    on_down: float | Literal["last"] = "last"
    keep: bool = False
    dialect: Dialect = "isio"


class SourcePlan(Plan):
    """Streams whose first frames a Python function computes.

    Attributes:
        use: the function, ``"package.module:function"``; it returns arrays by name.
        arguments: its keyword arguments.
        prefix: put before each of the names.
        history: how many past frames the streams keep.
    """

    use: str
    arguments: dict[str, Any] = {}
    prefix: str = ""
    history: int = 0


class LimitsPlan(Plan):
    """What a unit's times may be at most.

    Attributes:
        period_us: from the start of one frame to the start of the next, µs.
        compute_us: from start to end of one frame, µs.
        action: ``alarm`` (counted, told in the record) or ``pause`` (the unit pauses, too).
    """

    period_us: float | None = None
    compute_us: float | None = None
    action: LimitAction = "alarm"


class UnitPlan(Plan):
    """One unit: its code, its streams and parameters, and where it runs.

    Attributes:
        use: its code: ``"package.module:function"``, ``"/path/file.py:function"`` (relative to the pipeline file) or
            the name of an installed plug-in.
        streams: stream by argument, for every ``In`` and ``Out``.
        parameters: values that differ from the defaults, by name.
        trigger: ``stream`` (a frame of the first input), ``delay`` (every ``period_s``), ``once`` or ``free``.
        period_s: of the trigger ``delay``, s.
        every_frame: read every frame through the trigger's history instead of skipping to the newest.
        wait: ``"sleep"``, ``"spin"`` (never sleep), or for how many µs to look before sleeping.
        history: how many past frames its output streams keep: one number, or one by argument.
        process: units of the same process name share a process, each in a thread; default: a process of its own.
        fuse: units of one process with the same name here run in one loop, in the order of the file.
        cpu: CPU, or set of CPUs, that its thread may run on.
        priority: SCHED_FIFO priority, 1 to 99; 0 is normal scheduling.
        lock_memory: keep the process' memory from being paged out.
        numa_node: take memory from this node.
        dma_latency_us: keep CPUs from sleeping deeper than this wake-up latency while it runs, µs.
        huge_pages: ``"transparent"`` or ``"explicit"`` huge pages for its arrays.
        irqs: interrupts to move to the unit's CPUs, by number or by the name of their device.
        limits: of its period and compute time.
        depends_on: units that must be ready before it starts, beside those that the streams say.
        restart: what to do when it ends: ``never``, ``on-failure`` or ``always`` start it again; of units that share a
            process, the one that says most holds.
    """

    use: str
    streams: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    trigger: Trigger = "stream"
    period_s: float = 0.0
    every_frame: bool = False
    wait: float | Literal["sleep", "spin"] = "sleep"
    history: int | dict[str, int] = 0
    process: str | None = None
    fuse: str | None = None
    cpu: int | tuple[int, ...] | None = None
    priority: int = 0
    lock_memory: bool = False
    numa_node: int | None = None
    dma_latency_us: float | None = None
    huge_pages: Literal["none", "transparent", "explicit"] = "none"
    irqs: tuple[int | str, ...] = ()
    limits: LimitsPlan | None = None
    depends_on: tuple[str, ...] = ()
    restart: RestartPolicy = "on-failure"


OPTION_KEYS = (
    *("trigger", "period_s", "every_frame", "wait", "cpu", "priority", "lock_memory", "numa_node"),
    *("dma_latency_us", "huge_pages", "irqs"),
)
"""Keys of a unit that are its loop's; of fused units the first one has them."""

DEFAULT_KEYS = (*OPTION_KEYS, "history", "process", "limits", "restart")
"""Keys of a unit that ``defaults`` may have."""


class SupervisionPlan(Plan):
    """How processes are started, ended and started again.

    Attributes:
        launcher: ``subprocess``, or ``tmux``: one window for each process, in a session with the pipeline's name.
        backoff_s: time before the first restart; doubles with each, s.
        backoff_max_s: the longest time before a restart, s.
        restart_limit: restarts within ``restart_window_s`` after which a unit is given up.
        restart_window_s: see above, s.
        start_timeout_s: how long a process may take to be ready, compiling included, s.
        stop_timeout_s: how long all processes together may take to end before they are killed, s.
        logs: directory of the log files, relative to the pipeline file.
        log_bytes: size from which a log file is rotated.
        log_files: rotated files to keep of each.
        parameters_file: TOML file whose parameters are loaded at the start, if it is there, and saved at the end.
    """

    launcher: Launcher = "subprocess"
    backoff_s: float = 0.1
    backoff_max_s: float = 10.0
    restart_limit: int = 10
    restart_window_s: float = 60.0
    start_timeout_s: float = 120.0
    stop_timeout_s: float = 5.0
    logs: str | None = None
    log_bytes: int = 10_000_000
    log_files: int = 3
    parameters_file: str | None = None


class PipelinePlan(Plan):
    """A whole pipeline.

    Attributes:
        name: of the pipeline; default: the file's name.
        include: pipeline files that are read first, relative to this one; what stands here goes over what they say.
        variables: values that ``${name}`` stands for in any text of the file, the includes' too.
        supervision: how its processes are kept.
        defaults: keys that hold for every unit that does not say otherwise.
        streams: streams that are there before the units, by name.
        sources: streams that a function computes, by any name.
        units: the units by the name under which they run, in the order of the file.
    """

    name: str = ""
    include: tuple[str, ...] = ()
    variables: dict[str, str | int | float | bool] = {}
    supervision: SupervisionPlan = msgspec.field(default_factory=SupervisionPlan)
    defaults: dict[str, Any] = {}
    streams: dict[str, StreamPlan] = {}
    sources: dict[str, SourcePlan] = {}
    units: dict[str, UnitPlan] = {}
