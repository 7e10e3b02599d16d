"""A unit with what it is bound to: what the user says (``Stage``), and what the loop runs (``BoundStage``)."""

from __future__ import annotations

import ctypes
import operator
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from framebus import _core
from framebus.errors import BindingError, UnitError
from framebus.params import Params
from framebus.process import Event, Limits, ProcessRecord
from framebus.process.placement import Placement
from framebus.stream import Stream
from framebus.stream.names import parse
from framebus.unit.arrays import ArraySpec, Role
from framebus.unit.declare import Declaration, FunctionUnit
from framebus.unit.device import Unit

AnyUnit = FunctionUnit | type[Unit] | Unit
RAISED = -(2**31)
"""What a kernel or callback returns when the unit raised."""
SKIP = 2**30
"""What a unit returns that has nothing to publish for this frame, without an error: units that decimate do."""
_LARGEST_CODE = 2**31 - 1


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
        limits: of its period and compute time.
        overriding: values that hold from the first frame, whatever was tuned before.

    Raises:
        BindingError: ``unit`` is none, or ``limits`` are none.
    """

    unit: AnyUnit
    streams: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    history: int | Mapping[str, int] = 0
    limits: Limits | None = None
    overriding: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.unit, FunctionUnit) and not hasattr(self.unit, "declaration"):
            wanted = "put @unit over the function, or subclass Unit and define 'step'"
            raise BindingError(f"{self.unit!r} is no unit: {wanted}")
        if self.limits is not None and not isinstance(self.limits, Limits):
            raise BindingError(f"unit '{self.label}': limits are {self.limits!r}; expected Limits(...)")

    @property
    def declaration(self) -> Declaration:
        """The unit's arrays and parameters."""
        return self.unit if isinstance(self.unit, FunctionUnit) else self.unit.declaration

    @property
    def label(self) -> str:
        """The name under which it runs."""
        return self.name or self.declaration.name

    def offered(self) -> dict[str, Any]:
        """The values that are given here, and the declared defaults of all other parameters."""
        defaults = {parameter.name: parameter.default for parameter in self.declaration.parameters}
        return defaults | dict(self.parameters)

    @property
    def has_hooks(self) -> bool:
        """Whether the unit does anything itself at an event."""
        if isinstance(self.unit, FunctionUnit):
            return bool(self.unit.hooks)
        cls = self.unit if isinstance(self.unit, type) else type(self.unit)
        names = [f"on_{event.value}" for event in Event]
        return any(getattr(cls, name) is not getattr(Unit, name) for name in names)

    @property
    def trigger_name(self) -> str:
        """The stream of the unit's first input, as its process record shows it; empty if it has none."""
        inputs = self.declaration.inputs()
        if not inputs:
            return ""
        name = parse(self.streams[inputs[0].name])
        return str(name) if name.local or name.path is not None else name.name

    def history_of(self, argument: str) -> int:
        """The history of one output."""
        return self.history.get(argument, 0) if isinstance(self.history, Mapping) else self.history


@dataclass(eq=False)
class BoundStage:
    """A stage with its streams open, its arrays made and its code ready.

    Attributes:
        stage: what was asked for.
        specs: shape and dtype of every array, in the order of the arguments.
        arrays: the arrays, likewise; a linked input's is the output of an earlier stage.
        linked: names of such inputs.
        streams: the open streams of all other inputs and of the outputs.
        device: the device object of a ``Unit``, set up.
        kernel_address: machine code of a compiled unit, else 0.
        params: the live parameters, if it has any.
        placement: what its arrays lie on.
        refused: what the kernel refused of that, a sentence each.
    """

    stage: Stage
    specs: dict[str, ArraySpec] = field(default_factory=dict)
    arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    streams: dict[str, Stream] = field(default_factory=dict)
    device: Unit | None = None
    kernel_address: int = 0
    params: Params | None = None
    placement: Placement = field(default_factory=Placement)
    refused: list[str] = field(default_factory=list)
    _raised: str = ""

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
        if not self.kernel_address:
            return []
        values = self.values()
        return [p.pack(values[p.name]) for p in self.stage.declaration.parameters]

    def ports(self, triggered: bool) -> list[tuple[str, np.ndarray[Any, Any], _core.StreamHandle | None]]:
        """What the native loop takes: kind, array and stream handle of every argument."""
        ports = []
        for argument in self.stage.declaration.arguments:
            kind = {Role.IN: "input", Role.OUT: "output", Role.STATE: "state"}[argument.role]
            if argument.name in self.linked:
                kind = "linked"
            elif kind == "input" and triggered:
                kind, triggered = "trigger", False
            stream = self.streams.get(argument.name)
            ports.append((kind, self.arrays[argument.name], stream.handle if stream is not None else None))
        return ports

    def check(self, values: Mapping[str, Any]) -> dict[str, str]:
        """What the unit's check finds in ``values``, by parameter; nothing if it has no check."""
        checks = self.stage.declaration.checks if self.device is None else self.device.checks()
        return checks.findings(values) if checks is not None else {}

    def run_hook(self, event: Event, message: str = "") -> None:
        """Call the unit's hook on ``event``, if it has one. Whatever that raises comes out."""
        values = self.values() or self.stage.offered()
        call_hook(self.stage, self.device, event, {**self.arrays, **values}, message)

    def warm(self, values: Mapping[str, Any], computed: dict[int, np.ndarray[Any, Any]]) -> None:
        """Compute one frame with a compiled unit on copies of its arrays, if there is a frame to compute.

        Args:
            values: of its parameters.
            computed: the copies of what earlier stages of the loop computed, by the array's identity; gets its own.

        Raises:
            UnitError: it failed.
        """
        trigger = next((argument.name for argument in self.stage.declaration.inputs()), None)
        stream = self.streams.get(trigger) if trigger is not None else None
        linked = trigger in self.linked and id(self.arrays[trigger]) in computed
        fresh = trigger is None or linked or (stream is not None and stream.count > 0)
        if not self.kernel_address or not fresh:
            return
        copies = {name: computed.get(id(array), array).copy() for name, array in self.arrays.items()}
        if stream is not None and trigger is not None:
            stream.read(out=copies[trigger])
        cells = [parameter.pack(values[parameter.name]) for parameter in self.stage.declaration.parameters]
        code = _call_kernel(self.kernel_address, list(copies.values()), self.dims(), cells)
        if code not in (0, SKIP):
            raise UnitError(
                f"unit '{self.label}' failed on the frame there is: {self.describe_failure(code)}"
            )
        computed |= {id(self.arrays[name]): copies[name] for name in self.arrays if name not in self.linked}

    def callback(self, record: ProcessRecord) -> Callable[[], int] | None:
        """The unit as the loop calls it in the interpreter; None for a compiled one.

        It never raises: what the unit raises is told in ``record``.
        """
        if self.kernel_address:
            return None
        unit: Any = self.stage.unit if self.device is None else self.device.step  # type: ignore[attr-defined]
        arrays = [
            self._as_given(argument.name, argument.role) for argument in self.stage.declaration.arguments
        ]
        # A handle of its own: the user may close those that the loop gives away.
        params = Params(self.params.core) if self.params is not None else None
        before = self.values()
        fixed = {p.name: before[p.name] for p in self.stage.declaration.parameters if p.about.restart}

        def step() -> int:
            try:
                values = params.snapshot() if params is not None else {}
                return _code(unit(*arrays, **values) if not fixed else unit(*arrays, **(values | fixed)))
            except BaseException as error:  # noqa: BLE001 - sys.exit() in a unit must not end the loop's thread
                self._raised = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                record.set_message(self._raised, traceback.format_exc())
                return RAISED

        return step

    def _as_given(self, name: str, role: Role) -> np.ndarray[Any, Any]:
        """The array as a unit in the interpreter gets it: what it only reads it cannot change by mistake."""
        view = self.arrays[name].view()
        view.flags.writeable = role is not Role.IN
        return view

    def describe_failure(self, code: int) -> str:
        """What went wrong in a call that gave this code; a compiled unit is called once more to learn it."""
        if code != RAISED:
            return f"returned {code}; units return None or 0 for a good frame"
        if not self._raised and self.kernel_address:
            from framebus.unit.kernel import replay_error

            copies = [array.copy() for array in self.arrays.values()]
            self._raised = replay_error(self.stage.unit, copies, self.values())  # type: ignore[arg-type]
        return self._raised or "raised an exception"

    def close(self) -> str:
        """Give device, streams and parameters back; the streams stay. Closing twice is fine.

        Returns:
            What the device's ``teardown`` raised, if it did; all else is given back all the same.
        """
        said = ""
        if self.device is not None:
            device, self.device = self.device, None
            said = teardown(device)
        for stream in self.streams.values():
            stream.close()
        if self.params is not None:
            params, self.params = self.params, None
            params.release()
            params.close()
        return said


def call_hook(
    stage: Stage, device: Unit | None, event: Event, there: Mapping[str, Any], message: str = ""
) -> None:
    """Call what the unit does on ``event``, if it does anything. Whatever that raises comes out.

    Args:
        stage: of the unit.
        device: its device, if it is one.
        event: what happens.
        there: arrays and parameters that a function's hook may take.
        message: of a failure.
    """
    if device is None:
        hook = stage.declaration.hooks.get(event)
        if hook is not None:
            hook({**there, "message": message})
        return
    method = device.hook(event)
    if method is not None:
        method(*([message] if event is Event.FAIL else []))


def _call_kernel(
    address: int, arrays: Sequence[np.ndarray[Any, Any]], dims: Sequence[int], cells: Sequence[int]
) -> int:
    """One call of a unit's machine code."""
    pointers = (ctypes.c_void_p * max(1, len(arrays)))(*[array.ctypes.data for array in arrays])
    sizes = (ctypes.c_int64 * max(1, len(dims)))(*dims)
    values = (ctypes.c_int64 * max(1, len(cells)))(*cells)
    kernel = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(address)
    return int(kernel(ctypes.addressof(pointers), ctypes.addressof(sizes), ctypes.addressof(values)))


def teardown(device: Unit) -> str:
    """Close a device; returns what that raised, or an empty text."""
    try:
        device.teardown()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it may raise anything; what follows must be done
        return f"teardown failed: {type(error).__name__}: {error}"
    return ""


def _code(returned: Any) -> int:
    """The native loop's code for what a unit returned."""
    if returned is None:
        return 0
    try:
        code = operator.index(returned)
    except TypeError:
        raise TypeError(
            f"the unit returned {returned!r}, expected None or an int: 0 for a good frame"
        ) from None
    return max(-_LARGEST_CODE, min(code, _LARGEST_CODE))  # beyond 32 bits a code must not become 0
