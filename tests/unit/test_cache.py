"""Compiled code is reused when, and only when, nothing that it is made of has changed."""

from __future__ import annotations

import collections
import ctypes
import enum
import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.unit import ArraySpec, FunctionUnit, In, Out, cache, unit
from framebus.unit.kernel import compile_kernel
from framebus.unit.object_code import ObjectCode
from framebus.unit.sources import Uncacheable, fingerprint

UNITS = '''
    """Units that reach over to other files."""
    import numpy as np
    import consts
    import package.deep
    from helpers import scale

    LEVEL = 2.0
    TABLE = np.array([1.0, 2.0], np.float32)
    WEIGHTS = (1.0, 0.5)


    def own(x):
        return x * LEVEL


    def unrelated(x):
        return x


    def maker(factor):
        def inner(x):
            return factor * x
        return inner


    times = maker(3)


    def process(image, result, *, gain=1.0):
        """Do it all."""
        # in one loop
        if gain < 0:
            raise ValueError("the gain is negative")
        for i in range(image.size):
            value = own(scale(image[i])) + consts.GAIN + package.deep.OFFSET
            result[i] = value * WEIGHTS[0] + TABLE[1] + times(gain)
'''
FILES = {
    "units.py": UNITS,
    "consts.py": "GAIN = 3.0\nUNUSED = 1\n",
    "helpers.py": "import inner\n\ndef scale(x, power=2):\n    return inner.power(x, power)\n",
    "inner.py": "def power(x, n):\n    return x ** n\n",
    "package/__init__.py": "",
    "package/deep.py": "OFFSET = 10\n",
}
SAME = [
    ("units.py", "# in one loop", "# in a loop over all pixels"),
    ("units.py", "Do it all.", "Do everything, pixel by pixel."),
    ("units.py", "    LEVEL", "\n\n\n    # how much\n    LEVEL"),
    ("units.py", "for i in range(image.size):", "for i in range(\n            image.size\n        ):"),
    ("units.py", "        return x\n", "        return x + 1\n"),
    ("units.py", "def process(image, result, *", "def process(image: 'In', result: 'Out', *"),
    ("units.py", "times = maker(3)", "times = maker(3); more = maker(4)"),
    ("consts.py", "UNUSED = 1", "UNUSED = 2"),
    ("helpers.py", "import inner", "# helpers\nimport inner"),
    ("inner.py", "def power", "def other(x):\n    return x\n\n\ndef power"),
    ("package/deep.py", "OFFSET = 10", "OFFSET = 5 + 5"),
]
CHANGED = [
    ("units.py", "LEVEL = 2.0", "LEVEL = 2.5"),
    ("units.py", "LEVEL = 2.0", "LEVEL = 2"),
    ("units.py", "[1.0, 2.0]", "[1.0, 3.0]"),
    ("units.py", "[1.0, 2.0], np.float32", "[1.0, 2.0], np.float64"),
    ("units.py", "(1.0, 0.5)", "(2.0, 0.5)"),
    ("units.py", "maker(3)", "maker(4)"),
    ("units.py", "factor * x", "factor + x"),
    ("units.py", "gain < 0", "gain <= 0"),
    ("units.py", "gain=1.0", "gain=2.0"),
    ("units.py", "x * LEVEL", "x / LEVEL"),
    ("units.py", "TABLE[1]", "TABLE[0]"),
    ("units.py", "import scale", "import scale_twice as scale"),
    ("consts.py", "GAIN = 3.0", "GAIN = 4.0"),
    ("consts.py", "GAIN = 3.0", "from package.deep import OFFSET as GAIN"),
    ("helpers.py", "power=2", "power=3"),
    ("helpers.py", "inner.power(x, power)", "inner.power(x, n=power)"),
    ("inner.py", "x ** n", "x ** (n + 1)"),
    ("package/deep.py", "OFFSET = 10", "OFFSET = 10.0"),
]


def write(folder: Path, edit: tuple[str, str, str] | None = None) -> None:
    """The files above, one of them edited."""
    for name, content in FILES.items():
        text = textwrap.dedent(content)
        if edit is not None and name == edit[0]:
            before = textwrap.dedent(content) if edit[1] in textwrap.dedent(content) else content
            assert edit[1] in before
            text = textwrap.dedent(before.replace(edit[1], edit[2]))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with (folder / "helpers.py").open("a") as file:
        file.write("\n\ndef scale_twice(x):\n    return scale(scale(x))\n")


def imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module ``units`` of this folder, whatever was imported before."""
    for name in ("units", "consts", "helpers", "inner", "package", "package.deep"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    return importlib.import_module("units")


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Fingerprint of the unedited unit."""
    write(tmp_path / "original")
    return fingerprint(imported(tmp_path / "original", monkeypatch).process)


@pytest.mark.parametrize("edit", SAME, ids=range(len(SAME)))
def test_edits_that_do_not_matter(
    original: str, edit: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "edited", edit)
    assert fingerprint(imported(tmp_path / "edited", monkeypatch).process) == original


@pytest.mark.parametrize("edit", CHANGED, ids=range(len(CHANGED)))
def test_edits_that_matter(
    original: str, edit: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "edited", edit)
    assert fingerprint(imported(tmp_path / "edited", monkeypatch).process) != original


PROGRAM = """
    import json, sys
    import ctypes
    import numpy as np
    from framebus.unit import ArraySpec, In, Out, unit
    from framebus.unit.kernel import compile_kernel
    import units

    units.process.__annotations__ = {"image": In, "result": Out, "gain": float}
    process = unit(units.process)
    image, result = np.array([1.0, 2.0]), np.zeros(2)
    specs = process.resolve({"image": ArraySpec((2,), image.dtype)})
    kernel = compile_kernel(process, specs)
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *3 * [ctypes.c_void_p])(kernel.address)
    arrays = np.array([image.ctypes.data, result.ctypes.data])
    codes = []
    for gain in (1.0, -1.0):
        codes.append(function(arrays.ctypes.data, np.array([2, 2]).ctypes.data, np.array([gain]).ctypes.data))
    print(json.dumps([kernel.from_cache, codes, result.tolist()]))
"""


def run_program(folder: Path, edit: tuple[str, str, str] | None = None) -> Any:
    """Whether another process took the unit from the cache, and what it computed."""
    write(folder, edit)
    environment = {**os.environ, "FRAMEBUS_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def test_other_processes_reuse_the_code_until_a_source_changes(tmp_path: Path) -> None:
    codes = [0, -(2**31)]
    assert run_program(tmp_path) == [False, codes, [20.0, 26.0]]
    assert run_program(tmp_path) == [True, codes, [20.0, 26.0]]
    assert run_program(tmp_path, ("units.py", "# in one loop", "# yes")) == [True, codes, [20.0, 26.0]]
    assert run_program(tmp_path, ("inner.py", "x ** n", "x ** n + 1")) == [False, codes, [22.0, 28.0]]
    assert run_program(tmp_path, ("consts.py", "3.0", "4.0")) == [False, codes, [21.0, 27.0]]
    assert run_program(tmp_path) == [True, codes, [20.0, 26.0]]


def closure(value: Any) -> Callable[..., Any]:
    """A function that uses a constant."""

    def use(image: Any) -> Any:
        return value

    return use


def same(first: Any, second: Any) -> bool:
    return fingerprint(closure(first)) == fingerprint(closure(second))  # type: ignore[arg-type]


class Colour(enum.Enum):
    RED = 1


Point = collections.namedtuple("Point", "x y")
Other = collections.namedtuple("Other", "x y")


class TestFingerprint:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: np.arange(6.0).reshape(2, 3),
            lambda: (1, 2.0, "three", b"four", None, ..., 5j, True),
            lambda: float("nan"),
            lambda: np.float32(0.1),
            lambda: Point(1, 2),
            lambda: Point,
            lambda: frozenset("abcdefgh"),
            lambda: slice(1, 2),
            lambda: range(4),
            lambda: Colour.RED,
            lambda: Colour,
            lambda: np.dtype("f4"),
            lambda: np.float32,
            lambda: np.sin,
            lambda: np.linalg.norm,
            lambda: np.random.normal,
            lambda: len,
            lambda: ValueError,
            lambda: numba.float32,
            lambda: numba.prange,
            lambda: numba.njit(closure(1)),
            lambda: numba.njit(closure(1), fastmath={"nnan", "contract"}, error_model="numpy"),
            lambda: np,
        ],
    )
    def test_is_that_of_the_content(self, make: Callable[[], Any]) -> None:
        assert same(make(), make())

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (1, 1.0),
            (1, True),
            (0.0, -0.0),
            (1.0, np.float64(1.0)),
            (np.float32(1), np.float64(1)),
            ("a", b"a"),
            ((1, 2), (2, 1)),
            ((1, 2), Point(1, 2)),
            (Point(1, 2), Other(1, 2)),
            (np.zeros(3), np.zeros(4)),
            (np.zeros((2, 3)), np.zeros((3, 2))),
            (np.zeros((2, 3)), np.zeros((2, 3), order="F")),
            (np.zeros(3, "i4"), np.zeros(3, "f4")),
            (slice(1), slice(2)),
            (np.sin, np.cos),
            (min, max),
            (np.float32, np.float64),
            (numba.float32, numba.float64),
            (closure(1), closure(2)),
            (numba.njit(closure(1)), numba.njit(closure(2))),
            (numba.njit(closure(1)), numba.njit(closure(1), fastmath=True)),
            (ValueError, TypeError),
        ],
    )
    def test_tells_apart(self, first: Any, second: Any) -> None:
        assert not same(first, second)

    def test_of_other_units_includes_their_options(self) -> None:
        def function(image: In) -> None: ...

        fast = unit(fastmath=True)(function)
        assert same(unit(function), unit(function))
        assert not same(unit(function), fast)

    @pytest.mark.parametrize(
        "value",
        [
            object(),
            [1, 2],
            {"a": 1},
            np.zeros(1_000_000),
            np.array([object()]),
            ctypes.CDLL(None).getpid,
            textwrap,
            FunctionUnit,
            numba.vectorize(closure(1)),  # type: ignore[no-untyped-call]
            numba.cfunc("float64(float64)")(lambda x: x),
        ],
    )
    def test_refuses_what_it_cannot_describe(self, value: Any) -> None:
        with pytest.raises(Uncacheable, match="it "):
            fingerprint(closure(value))  # type: ignore[arg-type]

    def test_refuses_functions_that_numba_compiles_as_others(self) -> None:
        def helper(x: float) -> float:
            return x

        def implementation(x: float) -> Any:
            return lambda x: x + 1

        same(helper, helper)
        numba.extending.overload(helper)(implementation)
        with pytest.raises(Uncacheable):
            fingerprint(closure(helper))  # type: ignore[arg-type]


LARGE = np.ones(200_000)
c_cos = ctypes.CDLL(None).cos
c_cos.argtypes, c_cos.restype = (ctypes.c_double,), ctypes.c_double
SPECS = {"image": ArraySpec((4,), np.dtype("f4")), "result": ArraySpec((4,), np.dtype("f4"))}


def make(text: str, **options: Any) -> FunctionUnit:
    """A unit whose body is ``text``; all are called the same."""
    namespace: dict[str, Any] = {"In": In, "Out": Out, "np": np, "LARGE": LARGE, "c_cos": c_cos}
    exec(f"def same_name(image: In, result: Out, *, gain: float = 1.0):\n    {text}", namespace)
    return unit(**options)(namespace["same_name"])


def call(address: int, image: float = 1.0) -> float:
    """What a kernel makes of one value."""
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *3 * [ctypes.c_void_p])(address)
    images, result = np.full(4, image, np.float32), np.zeros(4, np.float32)
    arrays = np.array([images.ctypes.data, result.ctypes.data])
    dims, cells = np.array([4, 4]), np.array([1.0])
    assert function(arrays.ctypes.data, dims.ctypes.data, cells.ctypes.data) == 0
    return float(result[0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("FRAMEBUS_CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


class TestReuse:
    def test_depends_on_types_and_options(self, folder: Path) -> None:
        wide = {**SPECS, "result": ArraySpec((4, 4), np.dtype("f4"))}
        double = {**SPECS, "result": ArraySpec((4,), np.dtype("f8"))}
        longer = {**SPECS, "image": ArraySpec((9,), np.dtype("f4"))}
        body = "result[0] = gain * image[0]"

        def reused(specs: dict[str, ArraySpec], **options: Any) -> bool:
            return compile_kernel(make(body, **options), specs).from_cache

        assert not reused(SPECS)
        assert reused(SPECS)
        assert reused(longer)
        assert not reused(wide)
        assert not reused(double)
        assert not reused(SPECS, fastmath=True)
        assert not reused(SPECS, fastmath={"nnan", "nsz"})
        assert reused(SPECS, fastmath={"nsz", "nnan"})
        assert reused(SPECS, name="another")

    def test_functions_of_one_name_do_not_mix(self, folder: Path) -> None:
        bodies = [f"result[0] = helper(image[0]) + {number}" for number in range(3)]
        units = [make(body) for body in bodies]
        for number, made in enumerate(units):
            namespace: dict[str, Any] = {}
            exec(f"def helper(x):\n    return x * {number + 10}", namespace)
            made.function.__globals__["helper"] = namespace["helper"]
        fresh = [compile_kernel(made, SPECS) for made in units]
        loaded = [compile_kernel(made, SPECS) for made in units]
        assert [kernel.from_cache for kernel in (*fresh, *loaded)] == [False] * 3 + [True] * 3
        assert [call(kernel.address) for kernel in (*fresh, *loaded)] == [10, 12, 14] * 2

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ("result[0] = np.dot(image, np.linalg.solve(np.eye(4, dtype=np.float32), image))", 4),
            ("a = np.zeros(image.size)\n    a[0] = 2\n    result[0] = a.sum()", 2),
            ("result[0] = np.sort(image * 3)[0] + np.sin(0 * image[0])", 3),
            ("if image[0] < 0:\n        raise ValueError(image[0])\n    result[0] = 5", 5),
        ],
    )
    def test_of_code_that_needs_a_runtime(self, folder: Path, body: str, expected: float) -> None:
        fresh, loaded = (compile_kernel(make(body), SPECS) for _ in range(2))
        assert (fresh.from_cache, loaded.from_cache) == (False, True)
        assert call(fresh.address) == call(loaded.address) == expected

    @pytest.mark.parametrize("body", ["result[0] = LARGE[image.size]", "result[0] = c_cos(image[0] - 1)"])
    def test_never_of_code_with_addresses_in_it(self, folder: Path, body: str) -> None:
        for _ in range(2):
            kernel = compile_kernel(make(body), SPECS)
            assert not kernel.from_cache
            assert call(kernel.address) == 1
        assert not folder.exists()

    def test_never_of_code_that_lacks_a_symbol_here(self, folder: Path) -> None:
        made = make("result[0] = 3")
        compile_kernel(made, SPECS)
        (path,) = folder.iterdir()
        stored = cache.load(path.stem)
        assert stored is not None
        cache.store(path.stem, ObjectCode(stored.entry, ("framebus_no_such_function",), stored.data))
        assert not compile_kernel(made, SPECS).from_cache
        assert compile_kernel(made, SPECS).from_cache

    @pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "foreign", "directory"])
    def test_damaged_files_are_written_anew(self, folder: Path, damage: str) -> None:
        made = make("result[0] = 7")
        compile_kernel(made, SPECS)
        (path,) = folder.iterdir()
        content = path.read_bytes()
        flipped = bytes([*content[:-20], content[-20] ^ 1, *content[-19:]])
        damaged = {
            "truncated": content[:-1],
            "empty": b"",
            "flipped": flipped,
            "foreign": b"\x7fELF" + content,
        }
        if damage == "directory":
            path.unlink()
            path.mkdir()
            with pytest.warns(RuntimeWarning, match="cannot be kept"):
                assert not compile_kernel(made, SPECS).from_cache
            return
        path.write_bytes(damaged[damage])
        kernel = compile_kernel(made, SPECS)
        assert not kernel.from_cache
        assert call(kernel.address) == 7
        assert compile_kernel(made, SPECS).from_cache


CODE = ObjectCode("entry", ("NRT_Free", "sin"), bytes(range(256)))
KEY = "0123456789abcdef"


class TestFiles:
    def test_round_trip(self, folder: Path) -> None:
        assert cache.load(KEY) is None
        cache.store(KEY, CODE)
        assert cache.load(KEY) == CODE
        assert [path.name for path in folder.iterdir()] == [f"{KEY}.kernel"]
        assert folder.stat().st_mode & 0o777 == 0o700

    @given(st.integers(0), st.integers(1, 255), st.booleans())
    def test_no_damage_goes_unnoticed(self, place: int, change: int, cut: bool) -> None:
        content = cache._pack(KEY, CODE)
        assert cache._unpack(content, KEY) == CODE
        place %= len(content)
        damaged = (
            content[:place]
            if cut
            else content[:place] + bytes([content[place] ^ change]) + content[place + 1 :]
        )
        assert cache._unpack(damaged, KEY) is None

    def test_a_file_under_another_key_is_not_taken(self, folder: Path) -> None:
        cache.store(KEY, CODE)
        (folder / f"{KEY}.kernel").rename(folder / "00.kernel")
        assert cache.load("00") is None

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_a_file_of_somebody_else_is_not_taken(self, folder: Path) -> None:
        cache.store(KEY, CODE)
        os.chown(folder / f"{KEY}.kernel", 12345, -1)
        assert cache.load(KEY) is None

    def test_a_directory_that_cannot_be_written_is_named_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("FRAMEBUS_CACHE_DIR", str(tmp_path / "file" / "kernels"))
        made = make("result[0] = 9")
        with pytest.warns(
            RuntimeWarning, match=re.escape(str(tmp_path)) + ".*set FRAMEBUS_CACHE_DIR"
        ) as caught:
            assert call(compile_kernel(made, SPECS).address) == 9
        assert len(caught) == 1
        assert not compile_kernel(made, SPECS).from_cache

    def test_the_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FRAMEBUS_CACHE_DIR", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache.directory() == tmp_path / "framebus" / "kernels"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert cache.directory() == tmp_path / ".cache" / "framebus" / "kernels"

    def test_no_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nowhere() -> Path:
            raise RuntimeError("Could not determine home directory.")

        for name in ("FRAMEBUS_CACHE_DIR", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(Path, "home", nowhere)
        cache.store(KEY, CODE)
        assert cache.load(KEY) is None

    def test_the_least_recently_used_go_first(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(4):
            cache.store(f"{number:04}", CODE)
            os.utime(folder / f"{number:04}.kernel", (number, number))
        (folder / "new-left-over").write_bytes(bytes(100))
        os.utime(folder / "new-left-over", (0, 0))
        (folder / "notes.txt").write_bytes(bytes(10_000))
        assert cache.load("0000") is not None
        size = (folder / "0000.kernel").stat().st_size
        monkeypatch.setattr(cache, "LIMIT_BYTES", 3 * size)
        cache.store("0004", CODE)
        left = sorted(path.name for path in folder.iterdir())
        assert left == ["0000.kernel", "0003.kernel", "0004.kernel", "notes.txt"]

    def test_many_writers_and_readers(self, folder: Path) -> None:
        found: list[ObjectCode | None] = []

        def work() -> None:
            for _ in range(50):
                cache.store(KEY, CODE)
                found.append(cache.load(KEY))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [CODE] * 200
        assert [path.name for path in folder.iterdir()] == [f"{KEY}.kernel"]
