"""A unit with what it is bound to: what the user says (``Stage``), and what the loop runs (``BoundStage``)."""

from __future__ import annotations

import operator
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from framebus import _core
from framebus.params import Params
from framebus.process import ProcessRecord
from framebus.stream import Stream
from framebus.unit.arrays import ArraySpec, Role
from framebus.unit.declare import Declaration, FunctionUnit
from framebus.unit.device import Unit

AnyUnit = FunctionUnit | type[Unit] | Unit
RAISED = -(2**31)
"""What a kernel or callback returns when the unit raised."""
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
    """

    stage: Stage
    specs: dict[str, ArraySpec] = field(default_factory=dict)
    arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    streams: dict[str, Stream] = field(default_factory=dict)
    device: Unit | None = None
    kernel_address: int = 0
    params: Params | None = None
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

        def step() -> int:
            try:
                return _code(unit(*arrays, **(params.snapshot() if params is not None else {})))
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


def teardown(device: Unit) -> str:
    """Close a device; returns what that raised, or an empty text."""
    try:
        device.teardown()
    except Exception as error:  # noqa: BLE001 - a device's code may raise anything; what follows must be done
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
