"""What a parameter's annotation says beside its type and limits, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
import pytest

import framebus as fb
from framebus.errors import ParameterError, UsageError
from framebus.params import Params
from framebus.unit import About, Array, In, Out, Range, Stage, start, unit
from framebus.unit.describe import describe
from support import units
from support.waiting import until

Value = Annotated[Out, Array((1,), dtype="float64")]


@unit(compiled=False)
def expose(
    image: Annotated[In, Array(("n", ...), dtype=("uint16", "float32")), "raw frame"],
    dark: In,
    value: Value,
    *,
    exposure: Annotated[
        float, Range(0.001), About(unit="s", help="Longer is brighter.\nAnd slower."), "of one frame"
    ] = 0.1,
    size: Annotated[int, Range(1, 8), About(live=False, saved=False)] = 2,
    mode: Annotated[int, Range(maximum=3), About(restart=True)] = 1,
    flat: Annotated[str, About(kind="stream")] = "flat",
    file: Annotated[str, About(kind="path")] = "/tmp/x.fits",
) -> None:
    """Expose.

    And read out.
    """
    value[0] = mode


@expose.check
def fits(size: int, mode: int) -> None: ...


def test_is_in_the_parameter_set() -> None:
    fb.create("image", shape=(4,)).write(np.ones(4))
    fb.create("dark", shape=(4,)).write(np.ones(4))
    with start(Stage(expose, {name: name for name in ("image", "dark", "value")}), serve=True) as loop:
        specs = {name: loop.params.describe(name).spec for name in loop.params}
        assert specs["exposure"].unit == "s"
        assert specs["exposure"].help == "Longer is brighter.\nAnd slower."
        assert (specs["size"].live, specs["size"].saved, specs["size"].restart) == (False, False, False)
        assert (specs["mode"].live, specs["mode"].saved, specs["mode"].restart) == (True, True, True)
        assert (specs["flat"].kind, specs["file"].kind) == ("stream", "path")


@pytest.mark.parametrize("compiled", [True, False])
def test_that_needs_a_restart_does_not_change_before(compiled: bool) -> None:
    @unit(compiled=compiled)
    def two(
        image: In,
        value: Annotated[Out, Array((2,))],
        *,
        a: float = 1.0,
        b: Annotated[float, About(restart=True)] = 1.0,
    ) -> None:
        value[0] = a
        value[1] = b

    with fb.create("image", shape=(4,)) as image:
        for expected in ([2.0, 1.0], [3.0, 2.0]):
            with start(Stage(two, {"image": "image", "value": "value"})) as loop:
                loop.params.update(a=expected[0], b=expected[0])
                image.write(np.ones(4))
                until(lambda: loop.loops == 1)
                with fb.open("value") as value:
                    assert value.read().tolist() == expected


def test_fixed_while_it_runs_but_given_at_the_start() -> None:
    with fb.create("image", shape=(4,)) as image, fb.create("dark", shape=(4,)) as dark:
        image.write(np.ones(4))
        dark.write(np.ones(4))
        wiring = {name: name for name in ("image", "dark", "value")}
        for size in (3, 4):
            with start(Stage(expose, wiring, {"size": size})) as loop:
                assert loop.params.size == size
                with pytest.raises(ParameterError, match="size"):
                    loop.params.size = 5
        with start(Stage(expose, wiring, {"size": 8}), keep_values=True) as loop:
            assert loop.params.size == 4


def test_values_that_nobody_changed_come_from_the_stage() -> None:
    with fb.create("image", shape=(4,)):
        stage = Stage(units.scale, {"image": "image", "result": "result"}, {"gain": 3.0})
        with start(stage, keep_values=True) as loop:
            assert loop.params.gain == 3.0
            loop.params.gain = 4.0
        with start(stage, keep_values=True) as loop:
            assert loop.params.gain == 4.0
        with start(stage) as loop:
            assert loop.params.gain == 3.0


def test_stream_and_path_are_checked_as_such() -> None:
    with pytest.raises(ParameterError, match="'flat' = 'a b'"):
        expose.parameter("flat").check("a b")
    with pytest.raises(UsageError, match="'flat': a compiled unit cannot take a str"):

        @unit
        def compiled(
            image: In, value: Value, *, flat: Annotated[str, About(kind="stream")] = "x"
        ) -> None: ...


def wrong_kind() -> None:
    def f(image: In, value: Value, *, a: Annotated[str, About(kind="file")] = "") -> None: ...

    unit(f)


def number_as_path() -> None:
    def f(image: In, value: Value, *, a: Annotated[int, About(kind="path")] = 1) -> None: ...

    unit(f)


def twice() -> None:
    def f(image: In, value: Value, *, a: Annotated[int, About(unit="s"), About(live=False)] = 1) -> None: ...

    unit(f)


def long_description() -> None:
    def f(image: In, value: Value, *, a: Annotated[int, "d" * 160] = 1) -> None: ...

    unit(f)


def long_unit() -> None:
    def f(image: In, value: Value, *, a: Annotated[int, About(unit="µ" * 12)] = 1) -> None: ...

    unit(f)


def number_as_help() -> None:
    def f(image: In, value: Value, *, a: Annotated[int, About(help=3)] = 1) -> None: ...

    unit(f)


def foreign_name() -> None:
    def f(image: In, value: Value, *, größe: int = 1) -> None: ...  # noqa: PLC2401

    unit(f)


def of_an_array() -> None:
    def f(image: Annotated[In, About(unit="s")], value: Value) -> None: ...

    unit(f)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (wrong_kind, r"About\(kind='file'\): expected 'text', 'path' or 'stream'"),
        (number_as_path, "parameter 'a': a int is no path; annotate it as str"),
        (twice, r"parameter 'a': say all about it in one About"),
        (
            long_description,
            r"'a': its description has 160 bytes, at most 159 are possible; what is longer goes",
        ),
        (long_unit, "'a': its unit of measure has 24 bytes, at most 23 are possible"),
        (number_as_help, "'a': its help is 3; expected a text"),
        (foreign_name, "'größe': its name must be of letters a to z"),
        (of_an_array, "'image': About is for parameters; an array takes Array"),
    ],
)
def test_declared_wrongly(declare: Callable[[], None], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        declare()


class TestDescription:
    def test_of_a_function(self) -> None:
        found = describe(expose)
        assert (found.name, found.kind, found.has_check) == ("expose", "interpreted", True)
        assert (found.summary, found.doc) == ("Expose.", "Expose.\n\nAnd read out.")
        assert found.use == f"{__name__}:expose"
        image, dark, value = found.arguments
        assert (image.name, image.role.value, image.triggers) == ("image", "In", True)
        assert (image.shape, image.dtypes, image.description) == (
            "(n, ...)",
            ("uint16", "float32"),
            "raw frame",
        )
        assert (dark.triggers, dark.shape, dark.dtypes) == (False, "any", ())
        assert (value.role.value, value.shape) == ("Out", "(1,)")

    def test_of_parameters(self) -> None:
        exposure, size, mode, flat, _ = describe(expose).parameters
        assert (exposure.type, exposure.default, exposure.unit) == ("float64", 0.1, "s")
        assert (exposure.description, exposure.help) == ("of one frame", "Longer is brighter.\nAnd slower.")
        assert [item.limits for item in (exposure, size, mode, flat)] == [
            "at least 0.001",
            "1 to 8",
            "at most 3",
            "",
        ]
        assert (size.live, size.saved, mode.restart, flat.type) == (False, False, True, "stream")

    def test_of_devices_and_compiled_units(self) -> None:
        assert describe(units.scale).kind == "compiled"
        of_class, of_object = describe(units.Counter), describe(units.Counter())
        assert of_class == of_object
        assert (of_class.kind, of_class.summary) == ("device", "A device that makes frames.")
        assert not of_class.has_check


def test_old_set_of_other_entries_is_replaced() -> None:
    stage = Stage(units.scale, {"image": "image", "result": "result"})
    with Params.create("scale", {"other": 1}), fb.create("image", shape=(4,)), start(stage) as loop:
        assert list(loop.params) == ["gain"]
