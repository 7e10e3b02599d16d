"""Binding a unit to streams and parameters: everything that can be wrong is said here, before anything runs."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from framebus import _core
from framebus.errors import BindingError, FramebusError, StreamNotFound
from framebus.params import Params, ParamSpec
from framebus.stream import Stream, connect, create
from framebus.stream import open as open_stream
from framebus.unit.arrays import ArraySpec, Role
from framebus.unit.declare import Declaration, FunctionUnit, Parameter
from framebus.unit.device import Unit

AnyUnit = FunctionUnit | type[Unit] | Unit
RAISED = -(2**31)
"""What a kernel or callback returns when the unit raised."""


@dataclass
class Stage:
    """One unit and what it is bound to.

    Attributes:
        unit: a ``@unit`` function, or a ``Unit`` subclass or object.
        streams: stream names by argument name, for every ``In`` and ``Out``.
        parameters: initial values that differ from the declared defaults.
        name: names the parameter set and the process record; the unit's own name by default.
        history: how many past frames output streams keep when they are made here: a number for all of them, or one
            by argument name.
    """

    unit: AnyUnit
    streams: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    history: int | Mapping[str, int] = 0

    @property
    def declaration(self) -> Declaration:
        """The unit's arrays and parameters."""
        return self.unit if isinstance(self.unit, FunctionUnit) else self.unit.declaration

    @property
    def label(self) -> str:
        """The name under which it runs."""
        return self.name or self.declaration.name

    def history_of(self, argument: str) -> int:
        """The history of one output."""
        return self.history.get(argument, 0) if isinstance(self.history, Mapping) else self.history


@dataclass
class BoundStage:
    """A stage with its streams open, its arrays made and its code ready."""

    stage: Stage
    specs: dict[str, ArraySpec]
    streams: dict[str, Stream]
    arrays: dict[str, np.ndarray[Any, Any]]
    linked: set[str]
    params: Params | None
    kernel_address: int
    device: Unit | None
    error: str = ""
    error_traceback: str = ""

    @property
    def label(self) -> str:
        """The name under which it runs."""
        return self.stage.label

    def values(self) -> dict[str, Any]:
        """The live parameters as they stand."""
        return self.params.snapshot() if self.params is not None else {}

    def dims(self) -> list[int]:
        """All shapes, in the order of the arguments: what a kernel takes."""
        return [size for spec in self.specs.values() for size in spec.shape]

    def cells(self) -> list[int]:
        """The parameters' cells, in declared order: what a kernel takes."""
        values = self.values()
        return [p.pack(values[p.name]) for p in self.stage.declaration.parameters if p.type != "string"]

    def ports(self, triggered: bool) -> list[tuple[str, np.ndarray[Any, Any], _core.StreamHandle | None]]:
        """What the native loop takes: kind, array and stream handle of every argument."""
        ports = []
        for argument in self.stage.declaration.arguments:
            kind = {Role.IN: "input", Role.OUT: "output", Role.STATE: "state"}[argument.role]
            if argument.name in self.linked:
                kind = "linked"
            elif kind == "input" and triggered:
                kind, triggered = "trigger", False
            stream = self.streams.get(argument.name) if kind != "linked" else None
            ports.append((kind, self.arrays[argument.name], stream.handle if stream is not None else None))
        return ports

    def callback(self) -> Callable[[], int] | None:
        """The unit as the loop calls it in the interpreter; None for a compiled one."""
        if self.kernel_address:
            return None
        function = self.device.step if self.device is not None else self.stage.unit  # type: ignore[attr-defined]
        arrays = list(self.arrays.values())
        core = self.params.core if self.params is not None else None
        values, seen = self.values(), core.generation if core is not None else 0

        def step() -> int:
            nonlocal values, seen
            try:
                if core is not None and core.generation != seen:
                    seen, values = core.generation, self.values()
                return int(function(*arrays, **values) or 0)
            except Exception as error:  # whatever a user's code raises: the loop stops and its record tells
                self.error = f"{type(error).__name__}: {error}"
                self.error_traceback = traceback.format_exc()
                return RAISED

        return step

    def describe_failure(self, code: int) -> tuple[str, str]:
        """Message and traceback of a failed call; a compiled unit is called once more to learn what it raised."""
        if code != RAISED:
            return f"returned {code}; units return None or 0 for a good frame", ""
        if not self.error and self.kernel_address:
            from framebus.unit.kernel import replay_error

            copies = [array.copy() for array in self.arrays.values()]
            self.error = replay_error(self.stage.unit, copies, self.values())  # type: ignore[arg-type]
        return self.error or "raised", self.error_traceback

    def close(self) -> None:
        """Give streams and parameters back; the streams stay."""
        for stream in self.streams.values():
            stream.close()
        if self.params is not None:
            self.params.release()
            self.params.close()


def bind(stages: Sequence[Stage], triggered: bool = True) -> list[BoundStage]:
    """Bind the stages of one loop, in order. Inputs that an earlier stage puts out are linked to its array.

    Raises:
        BindingError: says which argument of which unit, what it got and what was expected.
        StreamNotFound, StreamFormatError, ParameterError, UsageError: likewise.
    """
    bound: list[BoundStage] = []
    try:
        for stage in stages:
            bound.append(_bind(stage, bound, triggered and not bound))
    except BaseException:
        for done in bound:
            close_device(done)
            done.close()
        raise
    return bound


def close_device(bound: BoundStage) -> None:
    """Run a device's ``teardown``, if the stage has one."""
    if bound.device is not None:
        device, bound.device = bound.device, None
        device.teardown()


def _bind(stage: Stage, before: Sequence[BoundStage], triggered: bool) -> BoundStage:
    _check_names(stage)
    declaration = stage.declaration
    produced = {
        done.stage.streams[a.name]: (done, a.name)
        for done in before
        for a in done.stage.declaration.outputs()
    }
    device = _device(stage)
    streams: dict[str, Stream] = {}
    params: Params | None = None
    try:
        inputs: dict[str, ArraySpec] = {}
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        linked: set[str] = set()
        for i, argument in enumerate(declaration.inputs()):
            name = stage.streams[argument.name]
            if name in produced:
                source, output = produced[name]
                inputs[argument.name], arrays[argument.name] = source.specs[output], source.arrays[output]
                linked.add(argument.name)
            else:
                stream = _input(stage, argument.name, name, must_have_frame=not (triggered and i == 0))
                streams[argument.name] = stream
                inputs[argument.name] = ArraySpec(stream.shape, stream.dtype)
        resolver = device if device is not None else declaration
        specs = resolver.resolve(inputs, _existing_outputs(stage))
        for argument in declaration.outputs():
            streams[argument.name] = _output(stage, argument.name, specs[argument.name])
        for argument in declaration.arguments:
            if argument.name not in linked:
                arrays[argument.name] = _array(specs[argument.name])
        _start_from_last_frame(stage, streams, arrays)
        ordered = {argument.name: arrays[argument.name] for argument in declaration.arguments}
        address = 0
        if isinstance(stage.unit, FunctionUnit) and stage.unit.compiled:
            from framebus.unit.kernel import compile_kernel

            address = compile_kernel(stage.unit, specs).address
        params = _params(stage)
        return BoundStage(stage, dict(specs), streams, ordered, linked, params, address, device)
    except BaseException:
        for stream in streams.values():
            stream.close()
        if device is not None:
            device.teardown()
        raise


def _check_names(stage: Stage) -> None:
    declaration = stage.declaration
    arguments = [a.name for a in (*declaration.inputs(), *declaration.outputs())]
    for name in arguments:
        if name not in stage.streams:
            raise BindingError(f"unit '{stage.label}': no stream is given for argument '{name}'")
    parameters = {p.name for p in declaration.parameters}
    for name in stage.streams:
        if name not in arguments:
            hint = ", ".join([*arguments, *sorted(parameters)])
            raise BindingError(f"unit '{stage.label}' has no stream argument '{name}'; it has: {hint}")
    for name in stage.parameters:
        declaration.parameter(name)


def _device(stage: Stage) -> Unit | None:
    if isinstance(stage.unit, FunctionUnit):
        return None
    device = stage.unit() if isinstance(stage.unit, type) else stage.unit
    try:
        device.setup()
    except BaseException:
        device.teardown()
        raise
    return device


def _input(stage: Stage, argument: str, name: str, *, must_have_frame: bool) -> Stream:
    try:
        stream = open_stream(name)
    except StreamNotFound as error:
        raise BindingError(f"unit '{stage.label}', argument '{argument}': {error}") from None
    if must_have_frame and stream.count == 0:
        stream.close()
        raise BindingError(
            f"unit '{stage.label}', argument '{argument}': stream '{name}' has no frame yet, and it is read as it stands; "
            "write a first frame to it"
        )
    if "[" in name:
        stream.close()
        raise BindingError(
            f"unit '{stage.label}', argument '{argument}': a unit reads whole streams, '{name}' is a slice"
        )
    return stream


def _existing_outputs(stage: Stage) -> dict[str, ArraySpec]:
    """Output streams that are there and in use; what a dead process left behind does not bind anybody."""
    found = {}
    for argument in stage.declaration.outputs():
        try:
            stream = open_stream(stage.streams[argument.name])
        except FramebusError:
            continue
        header = stream.header()
        alive = (
            stream.handle.last_writer_alive
            if stream.handle.last_writer
            else _core.process_alive(header["creator_pid"])
        )
        if alive:
            found[argument.name] = ArraySpec(stream.shape, stream.dtype)
        stream.close()
    return found


def _output(stage: Stage, argument: str, spec: ArraySpec) -> Stream:
    name = stage.streams[argument]
    if "[" in name:
        raise BindingError(
            f"unit '{stage.label}', argument '{argument}': a unit writes whole streams, '{name}' is a slice"
        )
    if name.startswith("@"):
        return create(name, shape=spec.shape, dtype=spec.dtype, history=stage.history_of(argument))
    return connect(name, shape=spec.shape, dtype=spec.dtype, history=stage.history_of(argument))


def _array(spec: ArraySpec) -> np.ndarray[Any, Any]:
    """Zeros, aligned to a cache line as vector code likes it."""
    size = int(np.prod(spec.shape)) * spec.dtype.itemsize
    room = np.zeros(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(spec.dtype).reshape(spec.shape)


def _start_from_last_frame(
    stage: Stage, streams: Mapping[str, Stream], arrays: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    """An output goes on from what its stream holds: a restarted controller does not make the mirror jump."""
    for argument in stage.declaration.outputs():
        stream = streams[argument.name]
        frames = stream.history(1) if stream.count else []
        if frames:
            arrays[argument.name][...] = frames[-1].data


def _params(stage: Stage) -> Params | None:
    declared = stage.declaration.parameters
    if not declared:
        return None
    specs = [_param_spec(parameter) for parameter in declared]
    params = Params.open_or_create(stage.label, specs)
    try:
        checked = {
            name: stage.declaration.parameter(name).check(value) for name, value in stage.parameters.items()
        }
        params.claim()
        if checked:
            params.update(checked)
    except BaseException:
        params.close()
        raise
    return params


def _param_spec(parameter: Parameter) -> ParamSpec:
    limits = parameter.range
    return ParamSpec(
        parameter.name,
        parameter.default,
        type=parameter.type,
        minimum=limits.minimum if limits is not None else None,
        maximum=limits.maximum if limits is not None else None,
        description=parameter.description,
    )
