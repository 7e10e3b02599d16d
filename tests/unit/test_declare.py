"""What a unit's signature says, every way to get it wrong, and how outputs get their shape."""

# ruff: noqa: B008

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import BindingError, NotFoundError, ParameterError, UsageError
from framebus.unit import (
    Array,
    ArraySpec,
    FunctionUnit,
    In,
    Out,
    Parameter,
    Range,
    Role,
    State,
    Unit,
    load_unit,
    unit,
)


@unit
def reconstruct(
    slopes: Annotated[In, Array(("n_slopes",), dtype="float32"), "x then y slopes"],
    control_matrix: Annotated[In, Array(("n_modes", "n_slopes"), dtype="float32")],
    modes: Annotated[Out, Array(("n_modes",), dtype="float32")],
    sums: State,
    *,
    gain: Annotated[float, Range(0.0, 2.0), "loop gain"] = 1.0,
    delay: int = 2,
    closed: bool = True,
) -> None:
    """Modes = gain * control_matrix @ slopes."""
    sums += slopes
    modes[:] = gain * control_matrix @ slopes if closed else delay


def spec(*shape: int, dtype: str = "float32") -> ArraySpec:
    return ArraySpec(shape, np.dtype(dtype))


class TestDeclaration:
    def test_arguments(self) -> None:
        assert [argument.name for argument in reconstruct.arguments] == [
            "slopes",
            "control_matrix",
            "modes",
            "sums",
        ]
        assert [argument.role for argument in reconstruct.arguments] == [
            Role.IN,
            Role.IN,
            Role.OUT,
            Role.STATE,
        ]
        slopes, *_, sums = reconstruct.arguments
        assert slopes.constraint == Array(("n_slopes",), "float32")
        assert slopes.description == "x then y slopes"
        assert sums.constraint is None

    def test_arguments_by_role(self) -> None:
        assert [argument.name for argument in reconstruct.inputs()] == ["slopes", "control_matrix"]
        assert [argument.name for argument in reconstruct.outputs()] == ["modes"]
        assert [argument.name for argument in reconstruct.states()] == ["sums"]

    def test_parameters(self) -> None:
        assert reconstruct.parameters == (
            Parameter("gain", "float64", 1.0, Range(0.0, 2.0), "loop gain"),
            Parameter("delay", "int64", 2),
            Parameter("closed", "onoff", True),
        )
        assert reconstruct.parameter("delay").default == 2
        with pytest.raises(
            ParameterError, match=r"'reconstruct' has no parameter 'leak'; it has: gain, delay, closed"
        ):
            reconstruct.parameter("leak")

    def test_is_the_function_in_plain_python(self) -> None:
        modes, sums = np.zeros(1, "f4"), np.zeros(2, "f4")
        reconstruct(np.array([1, 2], "f4"), np.array([[3, 4]], "f4"), modes, sums, gain=0.5)
        assert modes[0] == 5.5
        assert reconstruct.__doc__ == "Modes = gain * control_matrix @ slopes."
        assert reconstruct.name == reconstruct.__name__ == "reconstruct"
        assert reconstruct.use == f"{__name__}:reconstruct"
        assert "reconstruct" in repr(reconstruct)

    def test_options(self) -> None:
        @unit(compiled=False, name="wfs-reader.2", fastmath={"contract", "reassoc"})
        def reader(frame: Out, *, path: str = "wfs.fits", size: np.uint32 = np.uint32(4)) -> None: ...

        assert (reader.name, reader.compiled) == ("wfs-reader.2", False)
        assert reader.fastmath == frozenset({"contract", "reassoc"})
        assert [parameter.type for parameter in reader.parameters] == ["string", "uint32"]
        with pytest.raises(UsageError, match=r"'wfs-reader.2' is declared with compiled=False"):
            _ = reader.jit

    def test_annotations_may_name_what_is_local_to_a_function(self) -> None:
        square = Array(("n", "n"))

        @unit
        def local(image: Annotated[In, square], result: Out) -> None: ...

        assert local.arguments[0].constraint is square

    def test_every_parameter_type(self) -> None:
        @unit
        def typed(
            result: Out,
            *,
            a: np.float32 = np.float32(0.1),
            b: np.float64 = np.float64(0.1),
            c: np.int32 = np.int32(-1),
            d: np.int64 = np.int64(-1),
            e: np.uint32 = np.uint32(1),
            f: np.uint64 = np.uint64(2**64 - 1),
            g: np.bool_ = np.True_,
        ) -> None: ...

        kinds = ["float32", "float64", "int32", "int64", "uint32", "uint64", "onoff"]
        assert [parameter.type for parameter in typed.parameters] == kinds
        assert typed.parameters[0].default == float(np.float32(0.1))
        assert typed.parameters[5].default == 2**64 - 1


def no_type(image, result: Out) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001
def no_role(image: np.ndarray[Any, Any], result: Out) -> None: ...
def two_roles(image: Annotated[In, Role.OUT]) -> None: ...
def array_default(image: In, result: Out = None) -> None: ...  # type: ignore[assignment]
def range_on_array(image: Annotated[In, Range(0, 1)]) -> None: ...
def two_arrays(image: Annotated[In, Array(), Array()]) -> None: ...
def array_class(image: Annotated[In, Array]) -> None: ...
def two_descriptions(image: Annotated[In, "one", "two"]) -> None: ...
def bad_array(image: Annotated[In, Array(("n", 0))]) -> None: ...
def unresolved(image: Frame) -> None: ...  # type: ignore[name-defined] # noqa: F821
def untyped_parameter(image: In, *, gain=1.0) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001
def no_default(image: In, *, gain: float) -> None: ...
def out_of_range(image: In, *, gain: Annotated[float, Range(0, 1)] = 2.0) -> None: ...
def wrong_default(image: In, *, count: int = 1.5) -> None: ...  # type: ignore[assignment]
def too_large(image: In, *, count: np.int32 = 2**31) -> None: ...  # type: ignore[assignment]
def list_parameter(image: In, *, gains: list[float] = []) -> None: ...  # noqa: B006
def union_parameter(image: In, *, gain: float | None = None) -> None: ...
def array_parameter(image: In, *, dark: In = 0) -> None: ...  # type: ignore[assignment]
def range_on_bool(image: In, *, on: Annotated[bool, Range(0, 1)] = True) -> None: ...
def range_class(image: In, *, gain: Annotated[float, Range] = 1.0) -> None: ...
def text(image: In, *, path: str = "") -> None: ...
def star(*images: In) -> None: ...
def keywords(image: In, **options: float) -> None: ...
def nothing() -> None: ...
def only_state(sums: State) -> None: ...
async def coroutine(image: In) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (no_type, "'image': it has no type; annotate it with In, Out or State, or put it after"),
        (no_role, "'image': it has no role; annotate it with one of In, Out and State"),
        (two_roles, "'image': it has more than one role"),
        (array_default, "'result': an array has no default; remove '= None'"),
        (range_on_array, "'image': Range is for parameters; an array takes Array"),
        (two_arrays, "'image': say what is demanded of it in one Array"),
        (array_class, "'image': say what is demanded of it in one Array"),
        (two_descriptions, "'image': it has 2 descriptions; write one string"),
        (
            bad_array,
            r"'image': Array\(shape=\('n', 0\)\): 0 is no size; use a positive int, a name, None or ...",
        ),
        (unresolved, "'image': its annotation 'Frame' cannot be resolved: .*not under TYPE_CHECKING"),
        (untyped_parameter, "'gain': it has no type; annotate it with float, int, bool or str"),
        (no_default, "'gain': it has no default; give one, such as 'gain: float = ...'"),
        (out_of_range, r"default of parameter 'gain' = 2.0 is outside Range\(0, 1\); change the default"),
        (wrong_default, r"default of parameter 'count' = 1.5 \(float\): expected an integer"),
        (too_large, "default of parameter 'count' = 2147483648 .*int32"),
        (list_parameter, r"'gains': its type list\[float\] is not supported; use float, int, bool or str"),
        (union_parameter, "'gain': its type .* is not supported"),
        (array_parameter, r"'dark': an array is positional; put it before '\*'"),
        (range_on_bool, r"'on': a bool has no Range; remove Range\(0, 1\)"),
        (range_class, "'gain': give its limits in one Range"),
        (text, r"'path': a compiled unit cannot take a str; .*or @unit\(compiled=False\)"),
        (star, r"'\*images': a unit has a fixed number of arguments"),
        (keywords, r"'\*\*options': a unit has a fixed number of arguments"),
        (nothing, "'nothing' has neither input nor output; annotate an argument with In or Out"),
        (only_state, "'only_state' has neither input nor output"),
        (coroutine, "'coroutine' is a coroutine or a generator"),
    ],
)
def test_wrong_signatures_say_what_to_do(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        unit(function)
    assert repr(function.__name__) in str(caught.value)


class TestWrongUses:
    def test_not_a_function(self) -> None:
        with pytest.raises(UsageError, match=r"stands over a plain function, .*subclass framebus.unit.Unit"):
            unit(int)

    def test_name(self) -> None:
        with pytest.raises(
            UsageError, match=r"'<lambda>' cannot be a unit's name: .*give one with @unit\(name="
        ):
            unit(lambda image: None)
        with pytest.raises(UsageError, match=r"'two words' cannot be a unit's name"):
            unit(name="two words")

    def test_fastmath(self) -> None:
        with pytest.raises(
            UsageError, match=r"'zoom': fastmath has no flag 'quick'; use True, False or a set of"
        ):

            @unit(fastmath={"quick", "nnan"})
            def zoom(image: In) -> None: ...

    @pytest.mark.parametrize("shape", ["n", (), [3], (-1,), (True,), (1.5,), ("2n",), (..., 3, ...)])
    def test_array_shape(self, shape: Any) -> None:
        with pytest.raises(UsageError, match=r"Array\(shape="):
            Array(shape)

    @pytest.mark.parametrize("dtype", ["float33", "object", "bool", ">f4", ("uint8", "U3"), "longdouble"])
    def test_array_dtype(self, dtype: Any) -> None:
        with pytest.raises(UsageError, match=r"uint8, int8, .*complex128"):
            Array(("n",), dtype)

    @pytest.mark.parametrize(("low", "high"), [(2, 1), ("a", 1), (float("nan"), 1), (True, 2)])
    def test_range(self, low: Any, high: Any) -> None:
        with pytest.raises(UsageError, match=r"Range\("):
            Range(low, high)

    @pytest.mark.parametrize("shape", [(), (0,), (3, -1), 5, ("a",)])
    def test_array_spec(self, shape: Any) -> None:
        with pytest.raises((UsageError, ValueError)):
            ArraySpec(shape, np.dtype("f4"))


class TestParameter:
    gain = Parameter("gain", "float64", 1.0, Range(0.0, 2.0))

    def test_accepts(self) -> None:
        assert self.gain.check(2) == 2.0
        assert isinstance(self.gain.check(np.float32(1)), float)
        assert Parameter("on", "onoff", True).check(np.False_) is False
        assert Parameter("g", "float32", 0.0, Range(0.0, 0.1)).check(0.1) == float(np.float32(0.1))

    @pytest.mark.parametrize("value", [2.1, -1, float("nan"), "1", None, True, [1.0]])
    def test_rejects(self, value: Any) -> None:
        with pytest.raises(ParameterError, match=r"parameter 'gain'"):
            self.gain.check(value)

    @pytest.mark.parametrize("limits", [Range(), Range(minimum=1), Range(maximum=5)])
    def test_open_ranges(self, limits: Range) -> None:
        assert 3.0 in limits
        assert (0.0 in limits) is (limits.minimum is None)
        assert (6.0 in limits) is (limits.maximum is None)

    @pytest.mark.parametrize(
        ("kind", "value", "cell"),
        [
            ("float64", 1.0, 0x3FF0000000000000),
            ("float32", 1.0, 0x3F800000),
            ("int64", -1, -1),
            ("int32", -1, 0xFFFFFFFF),
            ("uint32", 2**32 - 1, 0xFFFFFFFF),
            ("uint64", 2**64 - 1, -1),
            ("onoff", True, 1),
        ],
    )
    def test_pack(self, kind: Any, value: Any, cell: int) -> None:
        assert Parameter("p", kind, value).pack(value) == cell


class TestResolve:
    def test_symbols_shape_the_outputs(self) -> None:
        found = reconstruct.resolve({"slopes": spec(14), "control_matrix": spec(3, 14)})
        assert found == {
            "slopes": spec(14),
            "control_matrix": spec(3, 14),
            "modes": spec(3),
            "sums": spec(14),
        }
        assert list(found) == ["slopes", "control_matrix", "modes", "sums"]

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            (
                {"slopes": spec(15), "control_matrix": spec(3, 14)},
                r"'control_matrix' .*\(3, 14\), expected n_slopes = 15 on axis 1, .* axis 0 of 'slopes' \(15,\)",
            ),
            (
                {"slopes": spec(14), "control_matrix": spec(14)},
                r"'control_matrix' \(In\): its shape is \(14,\), expected 2 axes: \(n_modes, n_slopes=14\)",
            ),
            ({"slopes": spec(14, dtype="uint16")}, "'slopes' .*: its dtype is uint16, expected float32"),
            ({"slopes": spec(14)}, "'control_matrix' .*: nothing is bound to it; every input needs a stream"),
            ({"slope": spec(14)}, "has no input 'slope'; it has 'slopes', 'control_matrix'"),
        ],
    )
    def test_inputs_that_do_not_fit(self, inputs: dict[str, ArraySpec], message: str) -> None:
        with pytest.raises(BindingError, match=message):
            reconstruct.resolve(inputs)

    def test_outputs_that_exist(self) -> None:
        inputs = {"slopes": spec(14), "control_matrix": spec(3, 14)}
        assert reconstruct.resolve(inputs, {"modes": spec(3)})["modes"] == spec(3)
        with pytest.raises(
            BindingError, match=r"'modes' \(Out\): .*\(4,\), expected n_modes = 3 .*'control_matrix'"
        ):
            reconstruct.resolve(inputs, {"modes": spec(4)})
        with pytest.raises(BindingError, match=r"'modes' \(Out\): its dtype is float64, expected float32"):
            reconstruct.resolve(inputs, {"modes": spec(3, dtype="float64")})
        with pytest.raises(BindingError, match=r"has no output 'slopes'; it has 'modes'"):
            reconstruct.resolve(inputs, {"slopes": spec(14)})

    def test_undeclared_output_is_as_its_trigger(self) -> None:
        @unit
        def clip(image: In, limit: In, result: Out) -> None: ...

        def result(image: ArraySpec, **given: ArraySpec) -> ArraySpec:
            return clip.resolve({"image": image, "limit": spec(1)}, given)["result"]

        assert result(spec(4, 5)) == spec(4, 5)
        assert result(spec(4, 5, dtype="complex64")) == spec(4, 5, dtype="complex64")
        assert result(spec(4, 5, dtype="uint16")) == spec(4, 5, dtype="float32")
        assert result(spec(4, 5), result=spec(4, 5, dtype="int16")) == spec(4, 5, dtype="int16")
        with pytest.raises(
            BindingError, match=r"the stream that exists is float32 \(4, 6\), expected float32 \(4, 5\)"
        ):
            result(spec(4, 5), result=spec(4, 6))

    def test_dtypes_of_outputs(self) -> None:
        @unit
        def convert(image: In, fixed: Annotated[Out, Array(dtype=("int16", "int32"))]) -> None: ...

        assert convert.resolve({"image": spec(3)})["fixed"].dtype == np.int16
        assert convert.resolve({"image": spec(3, dtype="int32")})["fixed"].dtype == np.int32
        with pytest.raises(BindingError, match=r"its dtype is uint8, expected int16 or int32"):
            convert.resolve({"image": spec(3)}, {"fixed": spec(3, dtype="uint8")})

    def test_open_shapes(self) -> None:
        @unit
        def stack(
            image: Annotated[In, Array((..., "y", 4))],
            any_size: Annotated[In, Array((None, 2))],
            column: Annotated[Out, Array(("y",))],
            like: Annotated[State, Array(...)],
            wide: Annotated[State, Array((None, None))],
        ) -> None: ...

        found = stack.resolve({"image": spec(3, 4), "any_size": spec(7, 2)})
        assert [found[name].shape for name in ("column", "like", "wide")] == [(3,), (3, 4), (3, 4)]
        with pytest.raises(BindingError, match=r"\(4,\), expected at least 2 axes: \(..., y, 4\)"):
            stack.resolve({"image": spec(4), "any_size": spec(7, 2)})
        with pytest.raises(BindingError, match=r"\(3, 5\), expected size 4 on axis 1"):
            stack.resolve({"image": spec(3, 5), "any_size": spec(7, 2)})
        with pytest.raises(BindingError, match=r"\(7, 3\), expected size 2 on axis 1"):
            stack.resolve({"image": spec(3, 4), "any_size": spec(7, 3)})
        with pytest.raises(
            BindingError, match=r"'wide' \(State\): .*\(2, 3, 4\), expected 2 axes: \(any, any\)"
        ):
            stack.resolve({"image": spec(2, 3, 4), "any_size": spec(7, 2)})

    def test_source_without_inputs(self) -> None:
        @unit
        def camera(
            frame: Out, buffer: Annotated[State, Array((4, "w"))], line: Annotated[Out, Array(("w",))]
        ) -> None: ...

        with pytest.raises(
            BindingError, match=r"'frame' .*: its shape is not known.*or create its stream before"
        ):
            camera.resolve({})
        with pytest.raises(
            BindingError, match=r"'buffer' \(State\): its shape is not known: declared is \(4, w\)"
        ):
            camera.resolve({}, {"frame": spec(8, 8)})
        found = camera.resolve({}, {"frame": spec(8, 8), "line": spec(5)})
        assert found["buffer"] == spec(4, 5)

    def test_outputs_may_name_one_anothers_sizes(self) -> None:
        @unit
        def fan(
            image: In, first: Annotated[Out, Array(("n",))], second: Annotated[Out, Array(("n", 2))]
        ) -> None: ...

        assert fan.resolve({"image": spec(3)}, {"second": spec(9, 2)})["first"] == spec(9)


class TestShapesFunction:
    @staticmethod
    def make(function: Callable[..., Any] | None = None) -> FunctionUnit:
        @unit
        def bin_image(image: In, factor: In, small: Out, work: State) -> None: ...

        if function is not None:
            bin_image.shapes(function)
        return bin_image

    def resolve(self, function: Callable[..., Any], **given: ArraySpec) -> dict[str, ArraySpec]:
        return self.make(function).resolve({"image": spec(8, 6), "factor": spec(2)}, given)

    def test_any_subset_of_the_inputs(self) -> None:
        def halve(image: ArraySpec) -> dict[str, Any]:
            return {"small": (tuple(n // 2 for n in image.shape), "float64"), "work": (image.shape, None)}

        found = self.resolve(halve)
        assert found["small"] == spec(4, 3, dtype="float64")
        assert found["work"] == spec(8, 6)
        assert self.make().shapes(halve) is halve
        assert self.resolve(lambda: {"small": spec(2)})["small"] == spec(2)
        assert self.resolve(lambda factor, image: {"small": (factor.shape, image.dtype)})["small"] == spec(2)

    def test_a_stream_that_exists_must_agree(self) -> None:
        with pytest.raises(
            BindingError, match=r"'small' .*exists is float32 \(3,\), expected float32 \(2,\)"
        ):
            self.resolve(lambda: {"small": ((2,), None)}, small=spec(3))
        assert self.resolve(lambda: {"work": ((2,), None)}, small=spec(8, 6))["small"] == spec(8, 6)

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            (
                lambda: {"image": ((2,), None)},
                "names 'image'; the unit's outputs and states are 'small', 'work'",
            ),
            (
                lambda: {"small": (2,)},
                r"'small' .*: the shapes function gave \(2,\), expected \(shape, dtype\)",
            ),
            (lambda: {"small": ((0,), None)}, "'small' .*: the shapes function gave .*size 1 or more"),
            (
                lambda: {"small": ((2,), "str")},
                "'small' .*: the shapes function gave .*cannot be held by a stream",
            ),
            (lambda: 1 / 0, "its shapes function failed: ZeroDivisionError"),
        ],
    )
    def test_wrong_answers(self, function: Callable[..., Any], message: str) -> None:
        with pytest.raises(BindingError, match=message):
            self.resolve(function)

    def test_its_own_complaint_comes_through(self) -> None:
        def complain() -> dict[str, Any]:
            raise BindingError("the factor must divide the image")

        with pytest.raises(BindingError, match=r"^the factor must divide the image$"):
            self.resolve(complain)

    @pytest.mark.parametrize("function", [lambda small: {}, lambda *images: {}, lambda **images: {}])
    def test_it_may_ask_for_inputs_only(self, function: Callable[..., Any]) -> None:
        with pytest.raises(UsageError, match=r"'bin_image': its shapes function takes .*: image, factor"):
            self.make(function)


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), min_size=1, max_size=4), st.data())
def test_shapes_fit_if_and_only_if_every_symbol_has_one_size(
    symbols: list[list[str]], data: st.DataObject
) -> None:
    shapes = [tuple(data.draw(st.integers(1, 2)) for _ in axes) for axes in symbols]
    names = [f"x{index}" for index in range(len(symbols))]
    annotations = {name: Annotated[In, Array(tuple(axes))] for name, axes in zip(names, symbols, strict=True)}
    namespace: dict[str, Any] = {}
    exec(f"def f({', '.join(names)}): pass", namespace)
    namespace["f"].__annotations__ = annotations
    sizes: dict[str, set[int]] = {}
    for axes, shape in zip(symbols, shapes, strict=True):
        for axis, size in zip(axes, shape, strict=True):
            sizes.setdefault(axis, set()).add(size)
    inputs = {name: spec(*shape) for name, shape in zip(names, shapes, strict=True)}
    if all(len(found) == 1 for found in sizes.values()):
        assert unit(namespace["f"]).resolve(inputs) == inputs
    else:
        with pytest.raises(BindingError, match=r"expected [abc] = [12] on axis"):
            unit(namespace["f"]).resolve(inputs)


class Detector(Unit, name="detector"):
    """A device whose frame is known once it is open."""

    def setup(self) -> None:
        self.size = 6

    def step(self, frame: Out, *, exposure: Annotated[float, Range(0, 10), "s"] = 0.001) -> None:
        frame[:] = exposure

    def shapes(self) -> dict[str, Any]:
        return {"frame": ((self.size, self.size), "uint16")}


class TestDevice:
    def test_declaration(self) -> None:
        declaration = Detector.declaration
        assert (declaration.name, declaration.use) == ("detector", f"{__name__}:Detector")
        assert [argument.name for argument in declaration.arguments] == ["frame"]
        assert declaration.parameters == (Parameter("exposure", "float64", 0.001, Range(0, 10), "s"),)

    def test_shapes_are_asked_of_the_open_device(self) -> None:
        detector = Detector()
        detector.setup()
        assert detector.resolve({}) == {"frame": spec(6, 6, dtype="uint16")}
        detector.teardown()

    def test_without_shapes(self) -> None:
        class Mirror(Unit):
            def step(self, command: In, echo: Out) -> None: ...

        assert Mirror.declaration.name == "Mirror"
        assert Mirror().resolve({"command": spec(12, 12)})["echo"] == spec(12, 12)

    def test_shapes_of_a_class_or_none(self) -> None:
        class ByClass(Unit):
            def step(self, a: In, b: Out) -> None: ...
            @classmethod
            def shapes(cls, a: ArraySpec) -> dict[str, Any]:
                return {"b": ((a.shape[0],), None)}

        class Static(Unit):
            def step(self, a: In, b: Out) -> None: ...
            @staticmethod
            def shapes(a: ArraySpec) -> dict[str, Any]:
                return {"b": ((a.shape[0],), None)}

        for kind in (ByClass, Static):
            assert kind().resolve({"a": spec(3, 4)})["b"] == spec(3)

    def test_common_base_and_inherited_step(self) -> None:
        class Base(Unit): ...

        class Special(Detector): ...

        assert not hasattr(Base, "declaration")
        assert Special.declaration.name == "Special"
        assert Special.declaration.arguments == Detector.declaration.arguments

    def test_wrong_classes(self) -> None:
        with pytest.raises(UsageError, match=r"'NoMethod': 'step' must be a method"):
            type("NoMethod", (Unit,), {"step": 3})
        with pytest.raises(UsageError, match=r"'Untyped', argument 'frame': it has no type"):

            class Untyped(Unit):
                def step(self, frame) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001

        with pytest.raises(UsageError, match=r"'BadShapes': its shapes function takes 'frame'"):

            class BadShapes(Unit):
                def step(self, frame: Out) -> None: ...
                def shapes(self, frame: ArraySpec) -> dict[str, Any]:
                    return {}


SCRIPT = """
    from framebus.unit import In, Out, Unit, load_unit, unit
    import neighbour

    @unit
    def invert(image: In, result: Out) -> None: ...

    class Camera(Unit):
        def step(self, frame: Out) -> None: ...

    class Base(Unit): ...

    def maker():
        @unit
        def inner(image: In) -> None: ...
        return inner

    if __name__ == "__main__":
        print(invert.use, load_unit(invert.use) is invert, load_unit(maker.__module__ + ":invert") is invert)
"""


class TestLoading:
    @pytest.fixture
    def script(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        (tmp_path / "neighbour.py").write_text("")
        (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.delitem(sys.modules, "neighbour", raising=False)
        return str(tmp_path / "script.py")

    def test_from_a_module(self) -> None:
        sys.modules.setdefault(__name__, sys.modules[reconstruct.__module__])
        assert load_unit(reconstruct.use) is reconstruct

    def test_from_a_file(self, script: str) -> None:
        found = load_unit(f"{script}:invert")
        assert isinstance(found, FunctionUnit)
        assert found.use == f"{script}:invert"
        assert load_unit(found.use) is found
        camera = load_unit(f"{script}:Camera")
        assert isinstance(camera, type)
        assert camera.declaration.use == f"{script}:Camera"

    def test_from_the_script_that_runs(self, script: str) -> None:
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [f"{script}:invert", "True", "True"]

    @pytest.mark.parametrize("use", ["", "module:", ":name", "some/module"])
    def test_malformed(self, use: str) -> None:
        with pytest.raises(
            UsageError, match=r"expected 'package.module:function' or '/path/file.py:function'"
        ):
            load_unit(use)

    def test_not_there(self, script: str) -> None:
        with pytest.raises(NotFoundError, match=r"there is no module 'framebus_absent' on the Python path"):
            load_unit("framebus_absent.units:f")
        with pytest.raises(NotFoundError, match=r"there is no file .*absent\.py"):
            load_unit(script.replace("script", "absent") + ":f")
        with pytest.raises(NotFoundError, match=r"has no 'revert'; it has the units Camera, invert"):
            load_unit(f"{script}:revert")
        with pytest.raises(NotFoundError, match=r"math has no 'f'; it has no units"):
            load_unit("math:f")

    def test_no_unit(self, script: str) -> None:
        with pytest.raises(UsageError, match=r"no unit: put @unit over the function, or subclass Unit"):
            load_unit(f"{script}:maker")
        with pytest.raises(UsageError, match=r"class Base defines no 'step'"):
            load_unit(f"{script}:Base")
        found = load_unit(f"{script}:invert")
        assert isinstance(found, FunctionUnit)
        with pytest.raises(
            UsageError, match=r"inside a function cannot be imported; move it to module level"
        ):
            load_unit(found.function.__globals__["maker"]().use)

    @pytest.mark.parametrize("content", ["1 / 0", "import framebus_absent", "def broken("])
    def test_fails_on_import(self, tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "framebus_failing.py").write_text(content)
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        with pytest.raises(UsageError, match=r"framebus_failing.* failed on import"):
            load_unit("framebus_failing:f")
        with pytest.raises(UsageError, match=r"framebus_failing.* failed on import"):
            load_unit(f"{tmp_path}/framebus_failing.py:f")

    def test_no_python_file(self, tmp_path: Path) -> None:
        (tmp_path / "units.txt").write_text("")
        with pytest.raises(UsageError, match=r"expected a file that ends in .py"):
            load_unit(f"{tmp_path}/units.txt:f")


def test_declaring_units_does_not_load_numba() -> None:
    code = "import sys, framebus.unit; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
