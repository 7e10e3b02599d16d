"""A pipeline: built in Python or read from a file, started, watched, stopped."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy.typing as npt

from framebus.errors import NotFoundError, Problem, UnitError, UsageError
from framebus.params import Params
from framebus.pipeline.hosted import HostedProcess
from framebus.pipeline.nodes import Node, check_place, in_order, loop_json, loops_of
from framebus.process import Limits, ProcessRecord
from framebus.stream.files import replacing
from framebus.unit import Loop, LoopOptions, Stage, load_unit, start
from framebus.unit.load import refuse_while_importing
from framebus.unit.stage import AnyUnit

if TYPE_CHECKING:  # what a pipeline that stays in Python does not need is imported where it is used
    from framebus.pipeline.plan import PipelinePlan, RestartPolicy, SourcePlan, StreamPlan, SupervisionPlan
    from framebus.pipeline.where import Where

START_S = 120.0
"""How long a loop in another process may take to start, compiling its units included, in s."""


@dataclass
class Pipeline:
    """Units that run together.

    ::

        with fb.Pipeline("loop") as pipeline:
            pipeline.add(centroids, streams={"pixels": "wfs", ...})
            pipeline.add(reconstruct, streams={"slopes": "slopes", ...})
            pipeline.start()

    Placement is the two arguments ``process`` and ``fuse`` of ``add``; the units know nothing of it. ``load`` reads a
    pipeline from a file, ``save`` writes one.

    Attributes:
        name: of the pipeline.
        nodes: its units, in the order of addition.
        streams: streams that are there before the units; see ``add_stream``.
        sources: streams that functions compute; see ``add_source``.
        supervision: how ``framebus up`` keeps it; ``None``: as usual.
    """

    name: str = "pipeline"
    nodes: list[Node] = field(default_factory=list)
    streams: dict[str, StreamPlan] = field(default_factory=dict)
    sources: dict[str, SourcePlan] = field(default_factory=dict)
    supervision: SupervisionPlan | None = None
    _made: list[str] = field(default_factory=list, repr=False)
    _where: Where | None = field(default=None, repr=False)
    _processes: dict[str, HostedProcess] = field(default_factory=dict, repr=False)
    _loops: list[Loop] = field(default_factory=list, repr=False)

    def add(
        self,
        unit: AnyUnit | str,
        *,
        streams: Mapping[str, str],
        parameters: Mapping[str, Any] | None = None,
        name: str = "",
        history: int | Mapping[str, int] = 0,
        options: LoopOptions | None = None,
        process: str | None = None,
        fuse: str | None = None,
        depends_on: Sequence[str] = (),
        restart: RestartPolicy = "on-failure",
        limits: Limits | None = None,
    ) -> Self:
        """Add a unit.

        Args:
            unit: the unit, or ``"package.module:function"``.
            streams: stream name for every input and output.
            parameters: values that differ from the declared defaults.
            name: under which it runs; its own name by default. Unique in the pipeline.
            history: how many past frames its output streams keep: a number for all, or one by argument name.
            options: trigger, placement, spinning; of fused units the first one has them.
            process: process that it runs in: its own by default, ``""`` for the one that starts the pipeline.
            fuse: loop that it shares; its own by default.
            depends_on: names of units that start before it, beside those whose outputs it reads.
            restart: what a supervisor does when it ends: ``never``, ``on-failure`` or ``always`` start it again.
            limits: of its period and compute time.

        Raises:
            UsageError: the name is taken, the unit cannot run there, or the pipeline runs.
            NotFoundError: the unit cannot be found.
        """
        self._refuse_while_it_runs("units")
        loaded = load_unit(unit) if isinstance(unit, str) else unit
        stage = Stage(loaded, dict(streams), dict(parameters or {}), name, history, limits)
        if any(node.stage.label == stage.label for node in self.nodes):
            raise UsageError(
                f"pipeline '{self.name}' has a unit '{stage.label}' already; give this one another name"
            )
        where = stage.label if process is None else process
        check_place(stage, where)
        node = Node(stage, options or LoopOptions(), where, fuse, tuple(depends_on), restart)
        if options is not None and any(other.loop == node.loop for other in self.nodes):
            raise UsageError(
                f"unit '{stage.label}' shares loop '{fuse}', whose first unit has the options; leave them out"
            )
        self.nodes.append(node)
        return self

    def add_stream(
        self,
        name: str,
        *,
        shape: Sequence[int] | int | None = None,
        dtype: npt.DTypeLike | None = None,
        history: int = 0,
        fill: float | None = None,
        file: str | os.PathLike[str] | None = None,
        keywords: Mapping[str, int | float | str] | None = None,
        on_down: float | Literal["last"] = "last",
        keep: bool = False,
        dialect: Literal["isio", "dao"] = "isio",
    ) -> Self:
        """Have a stream made before the units start. One that is there and fits stays as it is.

        Args:
            name: of the stream.
            shape: 1 to 3 axes; may be left out with ``file``.
            dtype: of its pixels: float32, or that of ``file``.
            history: how many past frames it keeps.
            fill: value of every pixel of its first frame; without it and without ``file`` it has no frame yet.
            file: FITS or NPY file of its first frame.
            keywords: its keywords.
            on_down: value of every pixel of a frame that is written when the pipeline has stopped; ``"last"``: none is.
            keep: leave it in memory when the pipeline has stopped.
            dialect: its file's format: ``isio`` (ImageStreamIO's) or ``dao`` (DAO's).

        Raises:
            UsageError: the name is taken, the dtype is none, or the pipeline runs.
        """
        from framebus.pipeline.plan import StreamPlan
        from framebus.unit.arrays import stream_dtype

        self._refuse_while_it_runs("streams")
        if name in self.streams:
            raise UsageError(f"pipeline '{self.name}' has a stream '{name}' already")
        self.streams[name] = StreamPlan(
            shape=None if shape is None else (shape,) if isinstance(shape, int) else tuple(map(int, shape)),
            dtype=None if dtype is None else stream_dtype(dtype).name,
            history=history,
            fill=fill,
            file=None if file is None else os.path.abspath(os.path.expanduser(file)),
            keywords=dict(keywords or {}),
            on_down=on_down,
            keep=keep,
            dialect=dialect,
        )
        return self

    def add_source(
        self,
        function: Callable[..., Mapping[str, Any]] | str,
        *,
        name: str = "",
        arguments: Mapping[str, Any] | None = None,
        prefix: str = "",
        history: int = 0,
    ) -> Self:
        """Have streams made, before the units start, of the arrays that a function returns by name.

        Args:
            function: the function, or ``"package.module:function"``; it stands at module level.
            name: of the source; the function's by default.
            arguments: its keyword arguments: texts, numbers, lists and tables of these.
            prefix: put before each of the arrays' names.
            history: how many past frames the streams keep.

        Raises:
            UsageError: the name is taken, nobody can import the function, or the pipeline runs.
        """
        from framebus.pipeline.plan import SourcePlan
        from framebus.unit.declare import use_of

        self._refuse_while_it_runs("sources")
        use = function if isinstance(function, str) else use_of(function)
        name = name or use.rpartition(":")[2]
        if use.startswith("__main__:") or "<" in use:
            raise UsageError(
                f"source '{use}' cannot be imported; put the function into a file, at module level"
            )
        if name in self.sources:
            raise UsageError(
                f"pipeline '{self.name}' has a source '{name}' already; give this one another name"
            )
        self.sources[name] = SourcePlan(
            use=use, arguments=dict(arguments or {}), prefix=prefix, history=history
        )
        return self

    def _refuse_while_it_runs(self, what: str) -> None:
        if self._processes or self._loops:
            raise UsageError(f"pipeline '{self.name}' runs; stop it before adding {what}")

    # ---- as a plan, as a file --------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | os.PathLike[str], variables: Mapping[str, Any] | None = None) -> Self:
        """The pipeline that a TOML file describes.

        Args:
            path: the file.
            variables: values that win over those of the file's ``variables``.

        Raises:
            PipelineError: ``problems`` tells all that is wrong with the file, or the units that cannot be imported.
            NotFoundError: there is no such file.
        """
        from framebus.pipeline.read import read_file

        reading = read_file(path, variables)
        return cls.from_plan(reading.plan, reading.where)

    @classmethod
    def from_plan(cls, plan: PipelinePlan, where: Where | None = None) -> Self:
        """The pipeline that a plan describes. ``where``: the places of the plan's keys, if it was read from a file.

        Raises:
            PipelineError: units that cannot be imported, or be run with these options.
        """
        from framebus.pipeline.convert import fill_pipeline

        pipeline = cls(plan.name or "pipeline")
        fill_pipeline(pipeline, plan, where)
        pipeline._where = where
        return pipeline

    def plan(self) -> PipelinePlan:
        """The pipeline as data: what a file would say."""
        from framebus.pipeline.convert import plan_of

        return plan_of(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the pipeline as a TOML file, which ``load`` and ``framebus up`` take.

        Raises:
            UsageError: a unit cannot be found from a file: it is an object, or stands inside a function.
            OSError: the file cannot be written.
        """
        from framebus.pipeline.text import plan_text

        for node in self.nodes:
            check_place(node.stage, "any")
        text = plan_text(self.plan())
        with replacing(path) as draft:
            draft.write_text(text, encoding="utf-8")

    def validate(self) -> list[Problem]:
        """Everything that would keep the pipeline from starting; an empty list if it can."""
        from framebus.pipeline.check import check_plan

        return check_plan(
            self.plan(), self._where, {node.stage.label: node.stage.unit for node in self.nodes}
        )

    # ---- start and end ---------------------------------------------------------------------------------------------

    def start(self, *, timeout_s: float = START_S) -> Self:
        """Make the streams, then start all units, those that make a stream before those that read it.

        The order of addition breaks ties. If anything cannot start, all is stopped again.

        Raises:
            PipelineError: a stream cannot be made.
            BindingError, ParameterError, UsageError, NotFoundError, UnitError: which unit and why, wherever it runs.
        """
        refuse_while_importing("start a pipeline")
        if self._processes or self._loops:
            raise UsageError(f"pipeline '{self.name}' runs already")
        try:
            self._make_streams()
            for name in dict.fromkeys(node.process for node in self.nodes if node.process):
                self._processes[name] = HostedProcess(name)  # all at once: they load while others start
            for nodes in in_order(self.nodes, self.streams):
                if nodes[0].process:
                    self._processes[nodes[0].process].begin(loop_json(nodes), timeout_s)
                else:
                    self._loops.append(start([node.stage for node in nodes], nodes[0].options))
            for process in self._processes.values():
                process.watch()
        except BaseException:
            self._end()
            raise
        return self

    def _make_streams(self) -> None:
        if self.streams or self.sources:
            from framebus.pipeline.streams import make_streams

            self._made = make_streams(self.plan())

    def _leave_streams(self) -> None:
        """What becomes of the streams that were made: a last frame, then they go unless they are to stay."""
        if self.streams or self.sources:
            from framebus.pipeline.streams import remove_streams, write_on_down

            write_on_down(self.plan())
            remove_streams(
                [name for name in self._made if name not in self.streams or not self.streams[name].keep]
            )
            self._made = []

    def records(self) -> dict[str, ProcessRecord]:
        """Open process records by unit name, but for units that came to a good end; the caller closes them.

        Raises:
            UsageError: the pipeline does not run.
        """
        if not (self._processes or self._loops):
            raise UsageError(f"pipeline '{self.name}' does not run; start it")
        pids = {name: process.pid for name, process in self._processes.items()} | {"": os.getpid()}
        records = {}
        for node in self.nodes:
            with contextlib.suppress(NotFoundError):
                label = node.stage.label
                records[label] = ProcessRecord.open(f"{label}.{pids[node.process]}")
        return records

    def params(self, name: str) -> Params:
        """Open the live parameters of a unit; the caller closes them.

        Raises:
            UsageError: the pipeline has no such unit. NotFoundError: the unit has no parameters, or never ran.
        """
        labels = [node.stage.label for node in self.nodes]
        if name not in labels:
            raise UsageError(f"pipeline '{self.name}' has no unit '{name}'; it has: {', '.join(labels)}")
        return Params.open(name)

    def check(self) -> None:
        """See whether all is well.

        Raises:
            UnitError: a process or loop has ended; says how. Those whose units were to run once may end.
        """
        for name, process in self._processes.items():
            code = process.exit_code
            if code is not None and not (code == 0 and self._may_end(name)):
                raise UnitError(process.fate())
        for loop in self._loops:
            if not loop.running:
                loop.stop()  # raises what ended it
                if not any(n.stage.label == loop.name and n.options.trigger == "once" for n in self.nodes):
                    raise UnitError(f"loop '{loop.name}' has ended")

    def _may_end(self, process: str) -> bool:
        return all(
            nodes[0].options.trigger == "once"
            for nodes in loops_of(self.nodes)
            if nodes[0].process == process
        )

    def stop(self) -> None:
        """Stop everything in reverse order. Streams that units made stay, those that ``start`` made go (see ``keep``).

        Raises:
            UnitError: something had failed; the message says what.
        """
        said = self._end()
        if said:
            raise UnitError("\n".join(said))

    def _end(self) -> list[str]:
        """Stop everything; what had failed."""
        said = []
        ran = bool(self._loops or self._processes or self._made)
        while self._loops:
            try:
                self._loops.pop().stop()
            except UnitError as error:
                said.append(str(error))
        while self._processes:
            _, process = self._processes.popitem()
            if text := process.end():
                said.append(text)
        if ran:
            self._leave_streams()
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
            return
        for text in self._end():
            if text not in str(error):
                error.add_note(text)  # often what the error in the block came from
