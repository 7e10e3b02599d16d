"""Compiled units, called as the native loop calls them: through three pointers, without the GIL."""

from __future__ import annotations

import ctypes
import enum
import threading
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numba
import numpy as np
import pytest

from framebus.errors import BindingError
from framebus.unit import Array, ArraySpec, FunctionUnit, In, Out, State, unit
from framebus.unit.kernel import FAILED, Kernel, compile_kernel, replay_error
from support import kernel_helpers
from support.kernel_helpers import scaled

# Numba reads none of these hints; its own types are those of the streams.
Call = Callable[..., int]


def caller(of: FunctionUnit, kernel: Kernel) -> Call:
    """The kernel as a function of arrays and parameters."""
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
        kernel.address
    )

    def call(*arrays: np.ndarray[Any, Any], **values: Any) -> int:
        pointers = np.array([array.ctypes.data for array in arrays], np.uint64)
        dims = np.array([size for array in arrays for size in array.shape], np.int64)
        cells = np.array([p.pack(values.get(p.name, p.default)) for p in of.parameters] + [0], np.int64)
        return int(function(pointers.ctypes.data, dims.ctypes.data, cells.ctypes.data))

    return call


def compiled(of: FunctionUnit, *arrays: np.ndarray[Any, Any]) -> Call:
    """The unit compiled for such arrays."""
    specs = [ArraySpec(array.shape, array.dtype) for array in arrays]
    names = [argument.name for argument in of.arguments]
    return caller(of, compile_kernel(of, dict(zip(names, specs, strict=True))))


def run(function: Callable[..., Any], value: float = 1.5, **values: Any) -> float:
    """What ``function(image: In, result: Out)`` makes of one float32 value."""
    made = unit(function)
    image, result = np.full(4, value, np.float32), np.zeros(1, np.float32)
    assert compiled(made, image, result)(image, result, **values) == 0
    return float(result[0])


def refused(function: Callable[..., Any]) -> str:
    """Why ``function(image: In, result: Out)`` cannot be compiled."""
    made = unit(function)
    with pytest.raises(BindingError) as caught:
        compiled(made, np.zeros(4, np.float32), np.zeros(4, np.float32))
    message = str(caught.value)
    assert message.startswith(f"unit {made.name!r} ")
    assert len(message.splitlines()) <= 3
    return message


class TestCalling:
    def test_code_serves_other_shapes(self) -> None:
        @unit(fastmath=True)
        def project(matrix: In, vector: In, result: Out, calls: State, *, gain: float = 1.0) -> None:
            calls[0] += 1
            for i in range(matrix.shape[0]):
                total = np.float32(0)
                for j in range(matrix.shape[1]):
                    total += matrix[i, j] * vector[j]
                result[i] = gain * total

        call = compiled(project, *(np.zeros(shape, np.float32) for shape in ((2, 2), (2,), (2,), (1,))))
        rng = np.random.default_rng(1)
        calls = np.zeros(1, np.float32)
        for rows, columns in ((3, 4), (1, 17), (40, 33)):
            matrix, vector = rng.random((rows, columns), np.float32), rng.random(columns, np.float32)
            result = np.zeros(rows, np.float32)
            assert call(matrix, vector, result, calls, gain=0.5) == 0
            np.testing.assert_allclose(result, 0.5 * matrix @ vector, rtol=1e-5)
        assert calls[0] == 3

    @pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", "float64", "complex64", "complex128"])
    def test_dtypes(self, dtype: str) -> None:
        @unit
        def copy(image: In, result: Out) -> None:
            for i in range(image.shape[0]):
                for j in range(image.shape[1]):
                    result[i, j] = image[i, j]

        image = (np.arange(6).reshape(2, 3) * (1 + 2j if dtype.startswith("complex") else 1)).astype(dtype)
        result = np.zeros_like(image)
        assert compiled(copy, image, result)(image, result) == 0
        np.testing.assert_array_equal(result, image)

    def test_every_parameter_type(self) -> None:
        @unit
        def gather(
            result: Out,
            *,
            a: float = 0.5,
            b: np.float32 = np.float32(0),  # noqa: B008
            c: int = 0,
            d: np.int32 = np.int32(0),  # noqa: B008
            e: np.uint32 = np.uint32(0),  # noqa: B008
            f: np.uint64 = np.uint64(0),  # noqa: B008
            g: bool = False,
        ) -> None:
            result[0], result[1], result[2], result[3], result[4] = a, b, c, d, e
            result[5] = f // np.uint64(2)
            result[6] = 1 if g else 2

        result = np.zeros(7, np.float64)
        values = {"a": 0.1, "b": 0.25, "c": -(2**40), "d": -5, "e": 2**32 - 1, "f": 2**63, "g": True}
        call = compiled(gather, result)
        assert call(result, **values) == 0
        assert result.tolist() == [0.1, 0.25, -(2**40), -5, 2**32 - 1, 2**62, 1]
        assert call(result) == 0
        assert result.tolist() == [0.5, 0, 0, 0, 0, 0, 2]

    def test_division_by_zero_gives_inf(self) -> None:
        def invert(image: In, result: Out) -> None:
            result[0] = 1 / image[0]

        assert run(invert, 0.0) == np.inf

    def test_in_plain_python_as_compiled(self) -> None:
        @unit
        def smooth(image: In, result: Out, *, weight: float = 0.25) -> None:
            result[:] = weight * image

        image, plain, fast = np.arange(4, dtype=np.float32), np.zeros(4, np.float32), np.zeros(4, np.float32)
        smooth(image, plain, weight=0.5)
        smooth.jit(image, fast, weight=0.5)
        np.testing.assert_array_equal(plain, fast)
        assert smooth.jit is smooth.jit

    def test_from_several_threads(self) -> None:
        def make(factor: int) -> Callable[..., Any]:
            def times(image: In, result: Out) -> None:
                result[0] = factor * image[0]

            return times

        found: dict[int, float] = {}
        threads = [
            threading.Thread(target=lambda factor=factor: found.update({factor: run(make(factor))}))
            for factor in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {factor: 1.5 * factor for factor in range(4)}


class TestReturning:
    @staticmethod
    def call(function: Callable[..., Any], value: float) -> int:
        image, result = np.full(4, value, np.float32), np.zeros(1, np.float32)
        return compiled(unit(function), image, result)(image, result)

    def test_its_own_code(self) -> None:
        def check(image: In, result: Out) -> int:
            return int(image[0])

        assert [self.call(check, value) for value in (0, 7, -3)] == [0, 7, -3]

    @pytest.mark.parametrize("value", [2.0**32, -(2.0**32), -(2.0**31), 2.0**31])
    def test_a_large_code_stays_an_error_of_its_own(self, value: float) -> None:
        def check(image: In, result: Out) -> int:
            return int(image[0])

        assert self.call(check, value) == 2**31 - 1

    def test_sometimes_nothing(self) -> None:
        def check(image: In, result: Out) -> int | None:
            if image[0] > 1:
                return 5
            return None

        assert [self.call(check, value) for value in (0, 2)] == [0, 5]

    def test_raising_is_silent(self, capfd: pytest.CaptureFixture[str]) -> None:
        def inner(value: float) -> float:
            if value < 0:
                raise ValueError("negative flux", value)
            return value

        def check(image: In, result: Out) -> None:
            if image[0] == 0:
                raise RuntimeError("no flux")
            result[0] = inner(image[0])

        assert [self.call(check, value) for value in (1, 0, -1)] == [0, FAILED, FAILED]
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("value", ["image[0]", "True", "'ok'", "(1, 2)"])
    def test_nothing_else(self, value: str) -> None:
        namespace: dict[str, Any] = {"In": In, "Out": Out}
        exec(f"def wrong(image: In, result: Out): return {value}", namespace)
        assert "expected nothing, or an int: 0 to publish" in refused(namespace["wrong"])


class Mode(enum.IntEnum):
    OPEN = 4
    CLOSED = 5


class Limits(NamedTuple):
    low: float
    high: float


LIMITS = Limits(-1.0, 1.0)
OFFSETS = np.array([10.0, 20.0], np.float32)
LARGE = np.ones(300_000)


def even(n: int) -> bool:
    return True if n == 0 else odd(n - 1)


def odd(n: int) -> bool:
    return False if n == 0 else even(n - 1)


def factorial(n: int) -> int:
    return 1 if n <= 1 else n * factorial(n - 1)


@numba.njit
def already_compiled(x: float) -> float:
    return x + 100


@unit
def offset(image: In, result: Out, *, by: float = 2.0) -> None:
    result[0] = image[0] + by


class TestHelpers:
    def test_in_this_and_other_modules(self) -> None:
        def use(image: In, result: Out) -> None:
            result[0] = kernel_helpers.twice(image[0]) + scaled(image[0], offset=0.5) + kernel_helpers.GAIN

        assert run(use) == 3 + (9 + 0.5) + 3

    def test_in_a_closure(self) -> None:
        def square(x: float) -> float:
            return x * x

        factor = 4

        def use(image: In, result: Out) -> None:
            result[0] = factor * square(image[0])

        assert run(use) == 9

    def test_a_module_in_a_closure(self) -> None:
        local = kernel_helpers

        def use(image: In, result: Out) -> None:
            result[0] = local.twice(image[0]) + local.TABLE[2]

        assert run(use) == 7

    def test_that_call_themselves_or_one_another(self) -> None:
        def use(image: In, result: Out) -> None:
            result[0] = factorial(5) + (1 if even(int(image[0])) else 0)

        assert run(use, 4) == 121
        assert run(use, 3) == 120

    def test_compiled_already(self) -> None:
        def use(image: In, result: Out) -> None:
            result[0] = already_compiled(image[0])

        assert run(use) == 101.5

    def test_other_units(self) -> None:
        def use(image: In, result: Out) -> None:
            offset(image, result, by=0.5)
            result[0] *= 2

        assert run(use) == 4

    def test_inner_functions(self) -> None:
        def use(image: In, result: Out) -> None:
            def inner(x: float) -> float:
                return kernel_helpers.twice(x)

            result[0] = inner(image[0])

        assert run(use) == 3

    def test_constants(self) -> None:
        def use(image: In, result: Out, *, mode: int = 4) -> None:
            result[0] = OFFSETS[1] + LIMITS.high + (100 if mode == Mode.OPEN else 200) + LARGE.size

        assert run(use, mode=5) == 20 + 1 + 200 + 300_000
        assert run(use) == 20 + 1 + 100 + 300_000

    def test_the_functions_themselves_are_left_alone(self) -> None:
        def use(image: In, result: Out) -> None:
            result[0] = scaled(image[0])

        run(use)
        assert use.__globals__["scaled"] is scaled
        assert not hasattr(kernel_helpers.twice, "py_func")


class TestRefusing:
    def test_writing_to_an_input(self) -> None:
        def whole(image: In, result: Out) -> None:
            image[:] += result

        def element(image: In, result: Out) -> None:
            part = image[1:]
            part[0] = 1

        for function in (whole, element):
            assert "it writes to an input, but inputs are read-only; make the argument Out" in refused(
                function
            )
        assert "test_kernel.py, line" in refused(element)
        assert "part[0] = 1" in refused(element)

    def test_a_missing_name(self) -> None:
        def use(image: In, result: Out) -> None:
            result[0] = 1
            result[1] = missing(image)  # type: ignore[name-defined] # noqa: F821

        message = refused(use)
        assert "name 'missing' is not defined" in message
        assert "result[1] = missing(image)" in message
        assert "@unit(compiled=False)" in message

    def test_an_attribute(self) -> None:
        def use(image: In, result: Out) -> None:
            result[0] = image.colour  # type: ignore[attr-defined]

        assert "Unknown attribute 'colour' of type readonly array(float32, 1d, C)" in refused(use)

    def test_the_line_in_a_helper(self) -> None:
        def helper(x: Any) -> Any:
            return x.colour

        def use(image: In, result: Out) -> None:
            result[0] = helper(image[0])

        assert "return x.colour" in refused(use)

    def test_a_wrong_index(self) -> None:
        def use(image: In, result: Out) -> None:
            result[0] = image[0, 1]

        assert "cannot index readonly array(float32, 1d, C) with 2 indices" in refused(use)

    def test_an_object(self) -> None:
        thing = object()

        def use(image: In, result: Out) -> None:
            result[0] = hash(thing)

        assert "Cannot determine Numba type of <class 'object'>" in refused(use)

    def test_an_import(self) -> None:
        def use(image: In, result: Out) -> None:
            import math

            result[0] = math.pi

        message = refused(use)
        assert "unsupported opcode (IMPORT_NAME)" in message
        assert "import math" in message

    def test_a_construct(self) -> None:
        def use(image: In, result: Out) -> None:
            with open("file"):
                pass

        assert "'with" in refused(use) or "context manager" in refused(use)

    def test_the_interpreter(self) -> None:
        def prints(image: In, result: Out) -> None:
            print(image[0])  # noqa: T201

        def leaves(image: In, result: Out) -> None:
            with numba.objmode():
                list(image)

        for function in (prints, leaves):
            assert "it calls the interpreter" in refused(function)

    def test_float16(self) -> None:
        @unit
        def copy(image: In, result: Out) -> None:
            result[0] = image[0]

        with pytest.raises(
            BindingError, match=r"'image' \(In\): compiled units cannot compute with float16; use"
        ):
            compiled(copy, np.zeros(4, np.float16), np.zeros(4, np.float32))

    def test_an_array_without_a_spec(self) -> None:
        with pytest.raises(BindingError, match=r"'result' \(Out\): its shape and dtype are not given"):
            compile_kernel(offset, {"image": ArraySpec((4,), np.dtype("f4"))})

    def test_a_numba_that_is_switched_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
        with pytest.raises(BindingError, match="while NUMBA_DISABLE_JIT is set; unset it"):
            compile_kernel(offset, {})


class TestReplaying:
    image, result = np.array([-1.0], np.float32), np.zeros(1, np.float32)

    def test_what_was_raised_and_where(self) -> None:
        @unit
        def check(image: In, result: Annotated[Out, Array(("n",))], *, limit: float = 0.0) -> None:
            if image[0] < limit:
                raise ValueError("flux is negative")

        message = replay_error(check, [self.image, self.result], {"limit": 0.0})
        assert message.startswith("ValueError: flux is negative (test_kernel.py, line ")
        assert message.endswith(': raise ValueError("flux is negative"))')
        assert "no error when called again" in replay_error(check, [self.image, self.result], {"limit": -2.0})

    def test_an_exception_without_words(self) -> None:
        @unit
        def check(image: In, result: Out) -> None:
            raise ValueError

        assert replay_error(check, [self.image, self.result], {}).startswith(
            "ValueError (test_kernel.py, line "
        )

    def test_a_code(self) -> None:
        @unit
        def check(image: In, result: Out) -> int:
            return 7

        assert replay_error(check, [self.image, self.result], {}) == "it returned 7"
