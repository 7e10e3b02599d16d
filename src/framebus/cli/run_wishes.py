"""What a command line of ``framebus run`` asks for, as a stage and the options of its loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from framebus.errors import FramebusError, ParameterError, UsageError
from framebus.stream.names import parse, stream_path
from framebus.unit import Argument, Declaration, FunctionUnit, LoopOptions, Parameter, Stage, Unit

_ON, _OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")


@dataclass
class Wishes:
    """The options as they were given.

    Attributes:
        use: the unit, as it was named.
        inputs: of ``--in``: ``argument=stream``, or ``stream`` where there is one input only.
        outputs: of ``--out``, likewise.
        values: of ``--set``: ``parameter=value``.
        name: under which the unit is to run; empty: its own.
        history: frames that its outputs keep.
        once, on, every, free: the trigger; one of them at most.
        cpu: numbers and ranges, such as ``1,4-6``.
        priority: SCHED_FIFO priority.
        spin: µs, or ``inf``.
        every_frame: skip no frame.
    """

    use: str
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    values: Sequence[str] = ()
    name: str = ""
    history: int = 0
    once: bool = False
    on: str | None = None
    every: float | None = None
    free: bool = False
    cpu: str | None = None
    priority: int = 0
    spin: float = 0.0
    every_frame: bool = False
    _problems: list[str] = field(default_factory=list, init=False)

    def settle(self, unit: FunctionUnit | type[Unit]) -> tuple[Stage, LoopOptions]:
        """Stage and options for ``unit``, which is the one that ``use`` names.

        Raises:
            UsageError: tells all that is wrong at once.
        """
        declaration = unit if isinstance(unit, FunctionUnit) else unit.declaration
        options = self._options(declaration)
        streams = self._wire("--in", self.inputs, declaration.inputs(), declaration.outputs())
        streams |= self._wire("--out", self.outputs, declaration.outputs(), declaration.inputs())
        self._settle_trigger(declaration, streams)
        self._ask_for_missing(declaration, streams)
        parameters = self._parameters(declaration)
        if self._problems or options is None:
            raise UsageError(f"unit '{declaration.name}': {'; '.join(self._problems)}")
        return Stage(unit, streams, parameters, self.name, self.history), options

    # ---- streams -----------------------------------------------------------------------------------------------

    def _wire(
        self, option: str, given: Iterable[str], wanted: Sequence[Argument], others: Sequence[Argument]
    ) -> dict[str, str]:
        names = [argument.name for argument in wanted]
        found: dict[str, str] = {}
        for text in given:
            name, equals, stream = text.partition("=")
            if name not in names or not equals:
                if len(names) == 1 and not equals:
                    name, stream = names[0], text
                else:
                    self._problems.append(_not_wired(option, text, names, [other.name for other in others]))
                    continue
            if not stream:
                self._problems.append(f"{option} {text} names no stream")
            elif found.setdefault(name, stream) != stream:
                self._problems.append(f"{option} gives '{name}' twice: {found[name]} and {stream}")
        return found

    def _settle_trigger(self, declaration: Declaration, streams: dict[str, str]) -> None:
        """``--on``: the stream of the first input, which it may give, too."""
        inputs = declaration.inputs()
        if self.on is None or not inputs:
            return
        first = inputs[0].name
        given = streams.setdefault(first, self.on)
        if not _same(given, self.on):
            self._problems.append(
                f"--on {self.on}: this unit is started by frames of its first input, '{first}', which --in gives "
                f"{given}; its other inputs are read as they stand"
            )

    def _ask_for_missing(self, declaration: Declaration, streams: dict[str, str]) -> None:
        missing = [f"--in {a.name}=STREAM" for a in declaration.inputs() if a.name not in streams]
        missing += [f"--out {a.name}=STREAM" for a in declaration.outputs() if a.name not in streams]
        if missing:
            self._problems.append(
                f"needs {', '.join(missing)}; for example: {example(self.use, declaration)}"
            )

    # ---- parameters ----------------------------------------------------------------------------------------------

    def _parameters(self, declaration: Declaration) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for text in self.values:
            name, equals, value = text.partition("=")
            try:
                if not equals:
                    raise ParameterError("expected PARAMETER=VALUE")
                found[name] = parse_value(declaration.parameter(name), value)
            except ParameterError as error:
                said = str(error).removeprefix(f"unit {declaration.name!r} ")
                self._problems.append(f"--set {text}: {said}")
        return found

    # ---- the loop --------------------------------------------------------------------------------------------------

    def _options(self, declaration: Declaration) -> LoopOptions | None:
        modes = {"--once": self.once, "--on": self.on, "--every": self.every, "--free": self.free}
        given = [mode for mode, value in modes.items() if value is not None and value is not False]
        if len(given) > 1:
            self._problems.append(f"{' and '.join(given)} exclude each other; give one of them")
            return None
        if not declaration.inputs() and (not given or given == ["--on"]):
            self._problems.append(
                "has no input whose frames could start it; say when with --every SECONDS, --once or --free"
            )
            return None
        kinds = {"--once": "once", "--every": "delay", "--free": "free"}
        try:
            return LoopOptions(
                trigger=kinds.get(given[0], "stream") if given else "stream",  # type: ignore[arg-type]
                period_s=self.every or 0.0,
                every_frame=self.every_frame,
                spin_us=self.spin,
                cpu=None if self.cpu is None else parse_cpus(self.cpu),
                priority=self.priority,
            )
        except UsageError as error:
            self._problems.append(str(error))
            return None


def example(use: str, declaration: Declaration) -> str:
    """A whole command line that runs the unit."""
    words = [f"--in {argument.name}={argument.name}" for argument in declaration.inputs()]
    words += [f"--out {argument.name}={argument.name}" for argument in declaration.outputs()]
    words += [] if declaration.inputs() else ["--every 0.01"]
    return " ".join(["framebus run", use, *words])


def parse_value(parameter: Parameter, text: str) -> Any:
    """A parameter's value as a command line writes it.

    Raises:
        ParameterError: it is none of the parameter's type, or outside its range.
    """
    value: Any = text
    kind = parameter.type
    try:
        if kind.startswith("float"):
            value = float(text)
        elif kind.startswith(("int", "uint")):
            value = int(text, 0)
        elif kind == "onoff":
            value = _onoff(text)
    except ValueError:
        expected = {"f": "a number", "i": "a whole number", "u": "a whole number from 0", "o": "on or off"}
        raise ParameterError(f"'{text}' is no {kind}; expected {expected[kind[0]]}") from None
    return parameter.check(value)


def parse_cpus(text: str) -> int | tuple[int, ...]:
    """``"2"`` is 2, ``"1,4-6"`` is (1, 4, 5, 6).

    Raises:
        UsageError: it is no list of numbers and ranges.
    """
    found: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            found += range(int(first), (int(last) if dash else int(first)) + 1)
    except ValueError:
        found = []
    if not found or len(found) > 4096:
        raise UsageError(f"--cpu {text}: expected CPUs by number, such as 2, or 1,4-6")
    return found[0] if len(found) == 1 else tuple(sorted(set(found)))


def _onoff(text: str) -> bool:
    if text.lower() not in _ON + _OFF:
        raise ValueError(text)
    return text.lower() in _ON


def _same(one: str, other: str) -> bool:
    """Whether two ways to write a name mean the same stream."""
    try:
        first, second = parse(one), parse(other)
        if first.local or second.local:
            return first.local == second.local and first.name == second.name
        return stream_path(first) == stream_path(second)
    except FramebusError:
        return one == other  # binding tells what is wrong with it


def _not_wired(option: str, text: str, names: Sequence[str], others: Sequence[str]) -> str:
    kind = "input" if option == "--in" else "output"
    name = text.partition("=")[0]
    if not names:
        return f"{option} {text}: it has no {kind}"
    if name in others:
        return (
            f"{option} {text}: '{name}' is no {kind}; give it with {'--out' if kind == 'input' else '--in'}"
        )
    there = f"it has {', '.join(names)}"
    return f"{option} {text}: expected {option} {kind.upper()}=STREAM; {there}"
