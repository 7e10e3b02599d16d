"""Binding units to streams and parameters: everything that can be wrong is said here, before anything runs.

Nothing is made in shared memory before every unit of the loop is known to fit: names and values are checked first,
inputs opened, devices set up, shapes settled, code compiled. Then come parameter sets and output streams.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from framebus.errors import BindingError, FramebusError, NotFoundError, ParameterError, UnitError
from framebus.params import Params
from framebus.process.placement import Placement
from framebus.stream import Stream, connect, create
from framebus.stream import open as open_stream
from framebus.stream.names import StreamName, check_name, parse, require, stream_path
from framebus.unit.arrays import Argument, ArraySpec, Role
from framebus.unit.declare import Declaration, FunctionUnit
from framebus.unit.device import Unit
from framebus.unit.options import Trigger
from framebus.unit.stage import BoundStage, Stage, teardown

ANYWHERE = Placement()
_INPUT_NAMES = ["S", "L", "E", "type", "path"]
_OUTPUT_NAMES = ["S", "L", "E", "N", "path"]


@dataclass(frozen=True, eq=False)
class _Made:
    """An output of a stage of the loop."""

    stage: BoundStage
    argument: str


@dataclass(frozen=True)
class Taking:
    """Whose parameters a loop starts with.

    Attributes:
        keep_values: values that were tuned stay; those that the stage gives are for entries that nobody changed.
        predecessor: pid and start time of the live process whose units are taken over, if any.
        resume: counts and frames go on from where a dead process of the same units, whose record is still there, left
            off: frames that nobody took meanwhile are read or counted as missed.
    """

    keep_values: bool = False
    predecessor: tuple[int, int] | None = None
    resume: bool = False


def check_stages(stages: Sequence[Stage]) -> None:
    """Look at everything that needs no stream: names, arguments, values.

    Raises:
        BindingError, ParameterError: as ``bind``.
    """
    for i, stage in enumerate(stages):
        _check(stage, [done.label for done in stages[:i]])


def bind(
    stages: Sequence[Stage],
    trigger: Trigger = "stream",
    *,
    devices: Sequence[Unit | None] | None = None,
    taking: Taking = Taking(),
    placement: Placement = ANYWHERE,
) -> list[BoundStage]:
    """Bind the stages of one loop, in order. Inputs that an earlier stage puts out are linked to its array.

    Args:
        stages: of the loop.
        trigger: of the loop.
        devices: the devices of those stages that are for one, made by ``make_device``; made here if not given.
        taking: whose parameters it goes on with. With a predecessor, ``take_params`` is still to be called.
        placement: what its arrays lie on.

    Raises:
        BindingError: says which argument of which unit, what it got and what was expected.
        ParameterError: a parameter is unknown, its value is outside its range, or the unit's check found something.
        UsageError: another process runs a unit of that name with live parameters.
        UnitError: a device could not be set up.
    """
    bound: list[BoundStage] = []
    made: dict[str, _Made] = {}
    try:
        check_stages(stages)
        for i, stage in enumerate(stages):
            bound.append(BoundStage(stage, placement=placement))
            device = devices[i] if devices is not None else make_device(stage)
            _prepare(bound[-1], made, trigger if i == 0 else None, device)
            _note_outputs(bound[-1], made)
        _check_feedback(bound, made, trigger)
        if taking.predecessor is None:
            take_params(bound, taking)
        for done in bound:
            _open_outputs(done)
    except BaseException as error:
        for done in reversed(bound):
            if said := done.close():
                error.add_note(f"unit '{done.label}': {said}")
        raise
    return bound


# ---- what needs no stream ------------------------------------------------------------------------------------------


def _check(stage: Stage, labels: Sequence[str]) -> None:
    label, declaration = stage.label, stage.declaration
    with _about(f"unit '{label}': the name under which it runs"):
        check_name(label)
    if label in labels:
        raise BindingError(f"two units of this loop are called '{label}'; give one of them another name")
    arguments = [argument.name for argument in (*declaration.inputs(), *declaration.outputs())]
    for name in arguments:
        if name not in stage.streams:
            raise BindingError(f"unit '{label}': no stream is given for argument '{name}'")
    for name in stage.streams:
        if name not in arguments:
            raise BindingError(
                f"unit '{label}' has no stream argument '{name}'; it has: {', '.join(arguments)}"
            )
    outputs = [argument.name for argument in declaration.outputs()]
    lengths = stage.history if isinstance(stage.history, Mapping) else dict.fromkeys(outputs, stage.history)
    for name, length in lengths.items():
        if name not in outputs:
            raise BindingError(
                f"unit '{label}': history is given for '{name}', which is no output; it has: {', '.join(outputs)}"
            )
        if not isinstance(length, int) or length < 0:
            raise BindingError(
                f"unit '{label}', argument '{name}': history is {length!r}, expected 0 or more"
            )
    initial_values(stage)
    for argument in (*declaration.inputs(), *declaration.outputs()):
        _name(stage, argument)


def initial_values(stage: Stage) -> dict[str, Any]:
    """The parameters given, as their types hold them.

    Raises:
        ParameterError: the unit has no such parameter, or the value is outside its range.
    """
    return _checked(stage, stage.parameters)


def _checked(stage: Stage, values: Mapping[str, Any]) -> dict[str, Any]:
    checked = {}
    for name, value in values.items():
        parameter = stage.declaration.parameter(name)
        try:
            checked[name] = parameter.check(value)
        except ParameterError as error:
            raise ParameterError(f"unit '{stage.label}': {error}") from None
    return checked


def _name(stage: Stage, argument: Argument) -> StreamName:
    """The stream's name, which must be that of a whole stream."""
    allowed = _INPUT_NAMES if argument.role is Role.IN else _OUTPUT_NAMES
    with _about(_where(stage, argument.name)):
        parsed = parse(stage.streams[argument.name])
        return require(parsed, allowed=allowed, context=f"{argument.role.value} of a unit")


def _key(name: StreamName) -> str:
    """The same for every way to write the name of one stream."""
    return f"@L:{name.name}" if name.local else os.path.realpath(stream_path(name))


# ---- one stage: inputs, device, shapes, code -----------------------------------------------------------------------


def _prepare(
    bound: BoundStage, made: Mapping[str, _Made], trigger: Trigger | None, device: Unit | None
) -> None:
    """Everything but what is made in shared memory. ``trigger`` is None for stages after the first."""
    stage = bound.stage
    declaration = stage.declaration
    inputs: dict[str, ArraySpec] = {}
    for i, argument in enumerate(declaration.inputs()):
        name = _name(stage, argument)
        source = made.get(_key(name))
        if source is not None:
            bound.linked.add(argument.name)
            inputs[argument.name] = source.stage.specs[source.argument]
            bound.arrays[argument.name] = source.stage.arrays[source.argument]
            continue
        if trigger is None and i == 0:
            raise BindingError(
                f"{_where(stage, argument.name)}: stream '{name}' is no output of an earlier unit of this loop, so its "
                "frames could not trigger the unit; fuse units in the order in which they feed each other"
            )
        stream = bound.streams[argument.name] = _open_input(stage, argument.name, name)
        inputs[argument.name] = ArraySpec(stream.shape, stream.dtype)
        triggers = i == 0 and trigger in ("stream", "once")
        bound.arrays[argument.name] = _array(bound, inputs[argument.name])
        if not triggers:
            _read_as_it_stands(stage, argument.name, stream, bound.arrays[argument.name])
    if device is not None:
        _set_up(stage, device)
        bound.device = device
    try:
        resolver = declaration if bound.device is None else bound.device
        bound.specs = _resolve(stage, resolver, inputs)
        if isinstance(stage.unit, FunctionUnit) and stage.unit.compiled:
            from framebus.unit.kernel import compile_kernel

            bound.kernel_address = compile_kernel(stage.unit, bound.specs).address
    except BindingError as error:
        if stage.label != declaration.name:
            raise BindingError(f"{error} (it runs as '{stage.label}')") from error
        raise
    bound.arrays = {
        argument.name: bound.arrays[argument.name]
        if argument.role is Role.IN
        else _array(bound, bound.specs[argument.name])
        for argument in declaration.arguments
    }


def _open_input(stage: Stage, argument: str, name: StreamName) -> Stream:
    with _about(_where(stage, argument)):
        return open_stream(str(name))


def _read_as_it_stands(stage: Stage, argument: str, stream: Stream, array: np.ndarray[Any, Any]) -> None:
    if stream.count == 0:
        raise BindingError(
            f"{_where(stage, argument)}: stream '{stream.name}' has no frame yet, and it is read as it stands; "
            "write a first frame to it"
        )
    with _about(_where(stage, argument)):
        stream.read(out=array)


def make_device(stage: Stage) -> Unit | None:
    """The device that the stage is for; ``None`` for a function.

    Raises:
        UnitError: it could not be made.
    """
    if not isinstance(stage.unit, type):
        return None if isinstance(stage.unit, FunctionUnit) else stage.unit
    try:
        return stage.unit()
    except (Exception, SystemExit) as error:
        raise UnitError(f"unit '{stage.label}' could not be made: {type(error).__name__}: {error}") from error


def _set_up(stage: Stage, device: Unit) -> None:
    try:
        device.setup()
    except BaseException as error:
        said = teardown(device)
        if not isinstance(error, Exception | SystemExit):
            raise
        text = f"unit '{stage.label}': setup failed: {type(error).__name__}: {error}"
        raise UnitError(f"{text}; {said}" if said else text) from error


def _array(bound: BoundStage, spec: ArraySpec) -> np.ndarray[Any, Any]:
    """Zeros, aligned to a cache line as vector code likes it, on the pages that the placement asks for."""
    room, refused = bound.placement.array(int(np.prod(spec.shape)) * spec.dtype.itemsize)
    bound.refused += refused
    return room.view(spec.dtype).reshape(spec.shape)


# ---- outputs and parameters ----------------------------------------------------------------------------------------


def _note_outputs(bound: BoundStage, made: dict[str, _Made]) -> None:
    for argument in bound.stage.declaration.outputs():
        name = _name(bound.stage, argument)
        other = made.setdefault(_key(name), _Made(bound, argument.name))
        if other.stage is not bound or other.argument != argument.name:
            raise BindingError(
                f"{_where(bound.stage, argument.name)}: stream '{name}' is output '{other.argument}' of unit "
                f"'{other.stage.label}' already; a stream has one writer"
            )


def _check_feedback(bound: Sequence[BoundStage], made: Mapping[str, _Made], trigger: Trigger) -> None:
    """Inputs that a later unit of the same loop, or the unit itself, puts out: read as they stand."""
    for i, done in enumerate(bound):
        for j, argument in enumerate(done.stage.declaration.inputs()):
            name = _name(done.stage, argument)
            own = made.get(_key(name))
            if own is None or argument.name in done.linked:
                continue
            what = f"output '{own.argument}' of unit '{own.stage.label}'"
            if i == j == 0 and trigger == "stream":
                raise BindingError(
                    f"{_where(done.stage, argument.name)}: stream '{name}' is also {what}: the loop would trigger "
                    "itself without end"
                )
            found, expected = done.specs[argument.name], own.stage.specs[own.argument]
            if found != expected:
                raise BindingError(
                    f"{_where(done.stage, argument.name)}: stream '{name}' is {found}, expected {expected}, which is "
                    f"{what}"
                )


def _resolve(
    stage: Stage, resolver: Declaration | Unit, inputs: Mapping[str, ArraySpec]
) -> dict[str, ArraySpec]:
    """Shapes and dtypes of all arrays.

    What a dead process left behind binds nobody, unless an output's shape can be known from nothing else.
    """
    try:
        return resolver.resolve(inputs, _existing_outputs(stage))
    except BindingError as error:
        left = _existing_outputs(stage, dead=True)
        try:
            return resolver.resolve(inputs, left)
        except BindingError:
            raise error from None


def _existing_outputs(stage: Stage, *, dead: bool = False) -> dict[str, ArraySpec]:
    """Output streams that are there and in use, or with ``dead`` all that are there."""
    found = {}
    for argument in stage.declaration.outputs():
        name = _name(stage, argument)
        if name.exists is False and not name.local and stream_path(name).exists():
            raise BindingError(
                f"{_where(stage, argument.name)}: '{name}' was to be new, and it exists already"
            )
        try:
            stream = open_stream(str(replace(name, modifiers=name.modifiers.replace("N", ""))))
        except (FramebusError, OSError) as error:
            if name.exists:
                raise BindingError(f"{_where(stage, argument.name)}: {error}") from error
            continue
        with stream:
            handle = stream.handle
            used = handle.last_writer_alive if handle.last_writer else handle.maker_alive
            used = used or not (handle.last_writer or stream.dialect.writer_identity)  # nobody can tell
            if used or dead:
                found[argument.name] = ArraySpec(stream.shape, stream.dtype)
    return found


def _open_outputs(bound: BoundStage) -> None:
    stage = bound.stage
    for argument in stage.declaration.outputs():
        with _about(_where(stage, argument.name)):
            stream = bound.streams[argument.name] = _output(stage, argument, bound.specs[argument.name])
            if not stream.handle.writable:
                raise BindingError(
                    f"this process may not write to {stream.path}; check the file's owner and mode"
                )
        # It goes on from what its stream holds: a restarted controller does not make the mirror jump.
        frames = stream.history(1) if stream.count else []
        if frames:
            bound.arrays[argument.name][...] = frames[-1].data


def _output(stage: Stage, argument: Argument, spec: ArraySpec) -> Stream:
    name, history = _name(stage, argument), stage.history_of(argument.name)
    if name.exists is False:
        return create(str(name), shape=spec.shape, dtype=spec.dtype, history=history)
    if name.exists is None:
        return connect(str(name), shape=spec.shape, dtype=spec.dtype, history=history)
    stream = open_stream(str(name))
    found = ArraySpec(stream.shape, stream.dtype)
    if found != spec:
        stream.close()
        raise BindingError(f"the stream that exists is {found}, expected {spec}, which the unit makes")
    return stream


def take_params(bound: Sequence[BoundStage], taking: Taking) -> None:
    """Open or make the parameter sets of a loop, claim them for this process, and put in the values to start with.

    Raises:
        UsageError: another process, which is not the predecessor, runs a unit of that name.
        ParameterError: a unit's check found something; it stands beside the parameters, too.
    """
    for done in bound:
        if done.stage.declaration.parameters:
            done.params = _params(done.stage, taking)
            findings = done.check(done.values())
            done.params.set_findings(findings)
            refuse_findings(done.label, findings, done.values())


def _params(stage: Stage, taking: Taking) -> Params:
    declared = [parameter.spec() for parameter in stage.declaration.parameters]
    before = taking.predecessor
    params = Params.open_or_create(stage.label, declared, successor_of=before)
    try:
        params.claim(from_process=before)
        changes = params.changes
        values = initial_values(stage)
        if taking.keep_values:
            values = {name: value for name, value in values.items() if changes[name] == 0}
        values |= _checked(stage, stage.overriding)
        params.set_status(values)  # as the unit itself: also what is fixed while it runs
    except BaseException:
        params.release()  # only if it is ours
        params.close()
        raise
    return params


def refuse_findings(label: str, findings: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Raise what a check found.

    Raises:
        ParameterError: there are findings; it lists them all.
    """
    if findings:
        said = "; ".join(f"{name} = {values[name]!r}: {text}" for name, text in findings.items())
        raise ParameterError(f"unit '{label}' cannot run with these parameters: {said}")


def rehearse(bound: Sequence[BoundStage], taking: Taking) -> None:
    """See whether units that take over would run: check the values that they will have, and compute one frame.

    Compiled units compute it on copies of their arrays, where the trigger has a frame; nothing is published.

    Raises:
        ParameterError: a unit's check found something.
        UnitError: a unit failed.
    """
    computed: dict[int, np.ndarray[Any, Any]] = {}
    for done in bound:
        values = _values_to_come(done.stage, taking)
        refuse_findings(done.label, done.check(values), values)
        done.warm(values, computed)


def _values_to_come(stage: Stage, taking: Taking) -> dict[str, Any]:
    """What ``take_params`` will start with."""
    values = {parameter.name: parameter.default for parameter in stage.declaration.parameters}
    given = initial_values(stage)
    with suppress(NotFoundError), Params.open(stage.label) as params:
        for name, value in params.snapshot().items():
            with suppress(ParameterError):  # of another type or range than ours: not carried over
                if name in values:
                    values[name] = stage.declaration.parameter(name).check(value)
        changes = params.changes
        if taking.keep_values:
            given = {name: value for name, value in given.items() if changes.get(name, 0) == 0}
    return values | given | _checked(stage, stage.overriding)


# ---- messages ------------------------------------------------------------------------------------------------------


def _where(stage: Stage, argument: str) -> str:
    return f"unit '{stage.label}', argument '{argument}'"


@contextmanager
def _about(where: str) -> Iterator[None]:
    """Errors of streams and of the system become a BindingError that says ``where``."""
    try:
        yield
    except (FramebusError, OSError) as error:
        raise BindingError(f"{where}: {error}") from error
