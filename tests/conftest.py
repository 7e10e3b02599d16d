"""Every test has shared memory of its own, and fails if it leaves something behind."""

from __future__ import annotations

import os

# OpenBLAS ends its threads at every fork and starts them anew at the next product, in whichever test that is.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import gc
import importlib
import itertools
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.leaks import SCRATCH_PREFIX, SHARED_MEMORY, Snapshot
from support.pipelines import Pipelines
from support.processes import TESTS, Spawner

ROOT = Path(__file__).resolve().parent.parent
# No test asserts a time, hypothesis' own limits on it included.
settings.register_profile(
    "framebus", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("framebus")

_numbers = itertools.count()
_failed = pytest.StashKey[bool]()


def pytest_configure() -> None:
    """Let libraries start their pools of threads now, so that no test is blamed for them."""
    # A run in the background may have been started with Ctrl-C or a hangup ignored, and every process of a test would
    # inherit that.
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    for name in ("numpy.linalg", "scipy.linalg"):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    _remove_scratch_of_the_dead()


def _remove_scratch_of_the_dead() -> None:
    """A run that was killed could not clean up."""
    for path in SHARED_MEMORY.glob(f"{SCRATCH_PREFIX}*"):
        pid = path.name.removeprefix(SCRATCH_PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test failed: its traceback keeps its variables alive, and what they map."""
    report = yield
    if report.failed and call.when == "call":
        item.stash[_failed] = True
    return report


def _make_scratch(fallback: Path) -> Path:
    """A new, empty directory for streams: in shared memory where that can be written, else under ``fallback``."""
    base = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else fallback
    path = base / f"{SCRATCH_PREFIX}{os.getpid()}-{next(_numbers)}"
    path.mkdir()
    return path


def _kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled code is kept: of a run that is spread over processes one place for all."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return tmp_path_factory.mktemp("kernels")
    shared = tmp_path_factory.getbasetemp().parent / "kernels"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Kernels are compiled once a run; streams made outside a test's own time have a scratch directory too."""
    scratch = _make_scratch(tmp_path_factory.getbasetemp())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAMEBUS_CACHE_DIR", str(_kernels(tmp_path_factory)))
        patch.setenv("MILK_SHM_DIR", str(scratch))
        patch.setenv("MPLBACKEND", "agg")
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))  # where pipelines log
        yield
    shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def heap() -> None:
    """What lives by now is looked through no more when a test's garbage is collected: most of it is Numba's."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def shm_dir(
    request: pytest.FixtureRequest,
    environment: None,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """The test's own directory of streams, removed after it; leaks make the test fail."""
    scratch = _make_scratch(tmp_path_factory.getbasetemp())
    monkeypatch.setenv("MILK_SHM_DIR", str(scratch))
    os.utime(scratch, ns=(0, 0))  # until a file is made there; the kernel's clock may be too coarse to tell
    before = Snapshot.take()
    yield scratch
    request.node.funcargs.clear()  # the values of fixtures that are done by now
    # Where no file was ever made none can be mapped.
    mappings = not request.node.stash.get(_failed, False) and scratch.stat().st_mtime_ns != 0
    leaks = before.leaks(scratch, mappings=mappings)
    before.end_processes(scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    if leaks:
        pytest.fail("the test left something behind:\n  " + "\n  ".join(leaks), pytrace=False)


@pytest.fixture
def spawn() -> Iterator[Spawner]:
    """Start other Python processes: ``spawn("print('ready')").expect("ready")``; they end with the test."""
    spawner = Spawner()
    yield spawner
    spawner.close()


@pytest.fixture
def pipelines(tmp_path: Path, spawn: Spawner, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipelines]:
    """Pipelines whose files and logs lie in ``tmp_path``; all are down when the test ends."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("FRAMEBUS_TEST_FOLDER", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", TESTS)
    made = Pipelines(tmp_path, spawn)
    yield made
    made.close()


@pytest.fixture
def dao_name(shm_dir: Path) -> Iterator[str]:
    """A name for DAO's streams (or the beginning of several), whose semaphores all programs of the machine share.

    They are removed after the test: a DAO program leaves them.
    """
    name = f"fb-test-{os.getpid()}-{next(_numbers)}-"
    yield name
    for left in SHARED_MEMORY.glob(f"sem.{name}*"):
        left.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The directory of measured instrument data; the test is skipped where it is absent."""
    path = Path(os.environ.get("FRAMEBUS_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(
            f"no measured data: {path} does not exist; set FRAMEBUS_DATA to the directory that has it"
        )
    return path


@pytest.fixture(scope="session")
def interop() -> Path:
    """The directory of files that other systems wrote; the test is skipped where it is absent."""
    path = Path(os.environ.get("FRAMEBUS_INTEROP", ROOT.parent / "shared" / "interop"))
    if not path.is_dir():
        pytest.skip(
            f"no files of other systems: {path} does not exist; set FRAMEBUS_INTEROP to the directory that has them"
        )
    return path


@pytest.fixture(scope="session")
def stress() -> bool:
    """Whether this is the long run (``make stress``)."""
    return os.environ.get("FRAMEBUS_STRESS", "") not in ("", "0")
