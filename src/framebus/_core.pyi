"""
Native core of framebus: shared memory, publish, wait, the loop, CPU placement, clocks.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy
from numpy.typing import NDArray


def throw_error(kind: str, message: str) -> None:
    """Throw the core's error of that name (for tests)."""

def realtime_ns() -> int:
    """CLOCK_REALTIME in integer nanoseconds: the clock of stream headers."""

def monotonic_ns() -> int:
    """CLOCK_MONOTONIC in integer nanoseconds."""

def process_alive(pid: int, start_ticks: int = 0) -> bool:
    """
    Whether that very process runs: pid and start time (0: any) agree, and it is no zombie.
    """

def process_start_ticks(pid: int) -> int:
    """
    Start time of a process in clock ticks since boot (low 32 bits); 0 if it does not run.
    """

class LatestView:
    """A frame in shared memory itself: no copy was made."""

    @property
    def data(self) -> object: ...

    @property
    def info(self) -> tuple: ...

    def still_valid(self) -> bool: ...

class StreamHandle:
    """One handle of one stream; see framebus.stream.Stream."""

    @staticmethod
    def open(path: str, looks_only: bool = False) -> StreamHandle: ...

    def share(self) -> StreamHandle:
        """Another handle of the same mapping, with a cursor of its own."""

    def close(self) -> None: ...

    def follow(self) -> None: ...

    def retire(self) -> None: ...

    def retire_for(self, next: StreamHandle) -> None:
        """Of a process-local stream: `next` takes its place."""

    def wake(self) -> None: ...

    @property
    def closed(self) -> bool: ...

    @property
    def path(self) -> str: ...

    @property
    def inode(self) -> int: ...

    @property
    def device(self) -> int: ...

    @property
    def local(self) -> bool: ...

    @property
    def writable(self) -> bool: ...

    @property
    def current(self) -> bool: ...

    @property
    def size(self) -> list[int]: ...

    @property
    def datatype(self) -> int: ...

    @property
    def history(self) -> int: ...

    @property
    def keyword_slots(self) -> int: ...

    @property
    def semaphores(self) -> int: ...

    @property
    def count(self) -> int: ...

    @property
    def dialect(self) -> str: ...

    @property
    def maker(self) -> int: ...

    @property
    def maker_alive(self) -> bool: ...

    @property
    def written_ns(self) -> int: ...

    @property
    def framebus_writes(self) -> bool: ...

    @property
    def last_writer(self) -> int: ...

    @property
    def last_writer_alive(self) -> bool: ...

    @property
    def last_writer_left(self) -> bool: ...

    @property
    def wake_mode(self) -> str: ...

    @wake_mode.setter
    def wake_mode(self, arg: str, /) -> None: ...

    def keyword(self, slot: int) -> tuple[str, str, int | float | str, int, str] | None: ...

    def set_keyword(self, slot: int, fields: tuple[bytes, str, object, bytes | None]) -> None:
        """Name, type, value, comment (None keeps the one there is)."""

    def packet_frame_ids(self, slot: int, packets: int) -> list[int]:
        """Of DAO: for which frame each packet was last written."""

    def header(self) -> dict: ...

    def trace(self) -> list: ...

    def statistics(self) -> dict: ...

    def read_newest(self, out: object, timeout_ns: int, keep_cursor: bool = False) -> tuple: ...

    def read_next(self, out: object, newest: bool, timeout_ns: int, spin_ns: int) -> tuple: ...

    def read_at(self, count: int, out: object) -> tuple[int, int, int, int] | None:
        """A given frame; None if it is gone or has not come yet."""

    def latest(self, timeout_ns: int) -> LatestView: ...

    def times(self, after: int) -> list[tuple[int, int, int]]: ...

    def wait_newer(self, count: int, timeout_ns: int, spin_ns: int) -> int: ...

    def oldest(self) -> int: ...

    @property
    def cursor(self) -> int: ...

    @cursor.setter
    def cursor(self, arg: int, /) -> None: ...

    def write(self, array: object | None, acquisition_ns: int = 0, at_count: int = 0, count: int = 0) -> int:
        """
        Returns the count; 0 when the array is not byte for byte a frame of this stream.
        """

    def begin_write(self) -> object: ...

    def put(self, elements: object, position: int, packet: int, packets: int, frame_id: int) -> None:
        """
        Of a frame that was begun: stores a part of it, which has the stream's dtype.
        """

    def end_write(self, acquisition_ns: int = 0) -> int: ...

    def abandon_write(self) -> None: ...

def create_stream(path: str, name: str, size: Sequence[int], datatype: int, history: int, semaphores: int, keywords: int, mode: int, huge_pages: bool, local: bool, must_be_new: bool, initial_keywords: Sequence[tuple[bytes, str, object, bytes | None]], dialect: str = 'isio') -> StreamHandle: ...

def remove_semaphores(path: str) -> None:
    """Of a DAO stream: its semaphores are files of their own."""

class FrameReader:
    """What Stream.read_next does, in one call."""

    def __init__(self, handle: StreamHandle, frame_type: type, make_array: object, shape: object, dtype: object) -> None: ...

    def __call__(self, out: object | None, timeout_s: object | None, spin_us: float, newest: bool) -> object: ...

class ParamSpec:
    """One entry of a parameter set as its file holds it."""

    def __init__(self, name: str, type: int, flags: int, unit: str, description: str, minimum: int, maximum: int, initial: int, initial_text: str, help: str = '') -> None: ...

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> int: ...

    @property
    def flags(self) -> int: ...

    @property
    def unit(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def minimum(self) -> int: ...

    @property
    def maximum(self) -> int: ...

    @property
    def initial(self) -> int: ...

    @property
    def initial_text(self) -> str: ...

    @property
    def help(self) -> str: ...

class ParamSet:
    """A parameter set in shared memory; framebus.params.Params is its face."""

    never: int = 18446744073709551615

    @staticmethod
    def create(path: str, name: str, specs: Sequence[ParamSpec], mode: int = 432, values: Sequence[tuple[int, int, str]] = [], successor_of: tuple[int, int] = (0, 0)) -> ParamSet:
        """
        A new set, replacing one of that path, with (entry, cell, text) values over its defaults. Raises ParameterError, UsageError (another live process than (pid, start ticks) runs with the old one), WaitTimeout, OSError.
        """

    @staticmethod
    def open(path: str) -> ParamSet:
        """
        An existing set, fully checked. Raises StreamFormatError, StreamNotFound, OSError.
        """

    def values(self) -> tuple[int, list[int], list[int], list[int], list[str], list[str]]:
        """
        Generation, and per entry: cell, number of writes, generation of the last change, text, finding. All of one generation.
        """

    def update(self, changes: Sequence[tuple[int, int, str]], from_unit: bool = False) -> int:
        """
        Apply (entry, cell, text) changes in one generation, or none; returns the generation.
        """

    def refresh(self, seen: int, cells: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu')]) -> int:
        """
        What the native loop does before a frame: if the set changed since the generation `seen`, copy all cells (int64, one per entry) and return the generation they are of; else return `seen`.
        """

    def problems(self, changes: Sequence[tuple[int, int, str]], from_unit: bool = False) -> list[str]:
        """
        Per (entry, cell, text) change: why update() would refuse it now, or ''.
        """

    def set_findings(self, findings: Sequence[str]) -> int:
        """
        What a check found, one text per entry (cut to 159 bytes), '' for nothing; returns the generation.
        """

    def wait(self, seen: int, sleep_ns: int) -> int:
        """
        Sleep until the generation is not `seen`, the time is over or a signal came; the generation. Raises StreamRecreated.
        """

    def claim(self, from_process: tuple[int, int] = (0, 0)) -> None:
        """
        This process runs a unit with the set, taking over from (pid, start ticks) if that one does.
        """

    def release(self) -> None:
        """This process no longer does."""

    def retire(self) -> None:
        """Tell all handles that this file is no longer the set of that name."""

    @property
    def retired(self) -> bool: ...

    @property
    def user_pid(self) -> int: ...

    @property
    def user(self) -> tuple[int, int]: ...

    @property
    def generation(self) -> int: ...

    @property
    def writable(self) -> bool: ...

    @property
    def inode(self) -> int: ...

    @property
    def specs(self) -> list[ParamSpec]: ...

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def creation_ns(self) -> int: ...

    @property
    def creator_pid(self) -> int: ...

class ProcessRecord:
    """
    A process record in shared memory; framebus.process.ProcessRecord is its face.
    """

    @staticmethod
    def create(path: str, unit: str, use: str = '', trigger: str = '', cpu: int = -1, priority: int = 0, mode: int = 432) -> ProcessRecord:
        """The record of a unit in this process."""

    @staticmethod
    def open(path: str) -> ProcessRecord:
        """
        An existing record, fully checked. Raises StreamFormatError, StreamNotFound, OSError.
        """

    def stamp(self, trigger_count: int, trigger_ns: int, start_ns: int, end_ns: int, missed: int = 0, trigger_inode: int = 0, tick_ns: int = 0) -> None:
        """One loop was done. Of the loop's thread only."""

    def time_stamps(self, loops: int) -> int:
        """Stamp so many loops in a row; the ns that took, for benchmarks."""

    def note_skipped(self) -> None: ...

    def set_state(self, state: int) -> None: ...

    def set_thread(self, thread_id: int) -> None: ...

    def set_placement(self, cpu: int, priority: int) -> None: ...

    def set_refusals(self, text: str) -> None: ...

    def reset_control(self) -> None:
        """The unit starts anew: the control word says run."""

    def serve_events(self, serves: bool) -> None: ...

    def take_event(self) -> int:
        """Remove the event that waits and return its number; 0 if there is none."""

    def set_message(self, message: str, traceback: str = '') -> None: ...

    def fail(self, code: int, message: str, traceback: str = '') -> None:
        """
        Counts an error, keeps its message and traceback, sets the state error.
        """

    def take_step(self) -> bool:
        """Use up one frame of a step request; False if there is none."""

    @property
    def unit(self) -> str: ...

    @property
    def use(self) -> str: ...

    @property
    def trigger(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def pid(self) -> int: ...

    @property
    def start_ticks(self) -> int: ...

    @property
    def thread_id(self) -> int: ...

    @property
    def cpu(self) -> int: ...

    @property
    def priority(self) -> int: ...

    @property
    def creation_ns(self) -> int: ...

    @property
    def alive(self) -> bool: ...

    @property
    def writable(self) -> bool: ...

    @property
    def inode(self) -> int: ...

    def set_limits(self, period_ns: int, compute_ns: int, pause: bool) -> None:
        """0: no limit."""

    def limits(self) -> tuple[int, int, bool]:
        """Period and compute time in ns, whether they pause."""

    @property
    def alarms(self) -> int: ...

    def last_alarm(self) -> tuple[int, str]:
        """When (0: never) and what."""

    def post_event(self, event: int) -> None:
        """Leave an event for whoever serves them."""

    @property
    def serves_events(self) -> bool: ...

    @property
    def activity(self) -> int: ...

    def wait_activity(self, seen: int, timeout_ns: int) -> bool:
        """
        Sleep while control, event and state stay as they were when activity was `seen`; whether one changed.
        """

    def request(self, command: int, steps: int = 1) -> None:
        """0 run, 1 pause, 2 step, 3 stop."""

    @property
    def control_word(self) -> int: ...

    def wait_control_change(self, seen: int, timeout_ns: int) -> bool:
        """Sleep while the control word is `seen`; whether it changed."""

    @property
    def state(self) -> int: ...

    @property
    def loop_count(self) -> int: ...

    @property
    def missed(self) -> int: ...

    @property
    def last_missed(self) -> int: ...

    @property
    def skipped(self) -> int: ...

    @property
    def refusals(self) -> str: ...

    @property
    def error_code(self) -> int: ...

    @property
    def errors(self) -> int: ...

    def texts(self) -> tuple[str, str]:
        """Message and traceback."""

    def read_timings(self, to: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu')]) -> int:
        """
        Fill `to` (uint8, 64 bytes per loop) with the newest loops, oldest first; how many.
        """

class Barrier:
    """
    Where the loops of a process wait for one another; given to Loop.start.
    """

    def __init__(self, parties: int) -> None: ...

    @property
    def missing(self) -> int:
        """How many loops have not come yet."""

    def abort(self) -> None:
        """Not all will come: those that wait end without having begun."""

class Loop:
    """
    A native thread that runs one unit, or several fused; see framebus.unit.
    """

    def __init__(self) -> None: ...

    def add_stage(self, kernel: int, callback: object | None, ports: list, dims: Sequence[int], parameters: ParamSet | None, cells: Sequence[int], record: ProcessRecord, carries: bool = False) -> None: ...

    def configure(self, trigger: str, period_ns: int, every_frame: bool, spin_ns: int, cpus: Sequence[int], priority: int, name: str, lock_memory: bool = False, numa_node: int = -1, dma_latency_us: float = -1.0, huge_pages: str = '', irqs: Sequence[str] = []) -> None: ...

    def succeed(self, records: Sequence[ProcessRecord], patience_ns: int = 10000000000) -> None:
        """
        Before start: take over from the loop that these records are of, its first unit's first.
        """

    def hold_gate(self, holds: bool) -> None:
        """
        Before start: whenever the loop became idle, it runs again only after open_gate.
        """

    def open_gate(self) -> None: ...

    @property
    def gate_closed(self) -> bool: ...

    def start(self, barrier: Barrier | None = None) -> None:
        """
        Returns when the loop waits for its first frame; with a barrier, when it stands before it.
        """

    def wait_ready(self, timeout_ns: int) -> bool:
        """
        Whether the loop waits for its first frame, or did. Raises UnitError: it could not begin.
        """

    def request_stop(self) -> None: ...

    def wait_end(self, timeout_ns: int) -> bool: ...

    def join(self) -> None: ...

    @property
    def state(self) -> int: ...

    @property
    def loops(self) -> int: ...

    @property
    def refusals(self) -> list[str]: ...

    @property
    def failure(self) -> tuple[int, int, str] | None: ...

def place_thread(*, cpus: Sequence[int] = [], priority: int = 0, lock_memory: bool = False, numa_node: int = -1, dma_latency_us: float = -1.0, huge_pages: str = '', irqs: Sequence[str] = []) -> list[str]:
    """
    Place the calling thread. Everything is tried; returns what the kernel refused, a sentence each. What is held for the thread is given back when it ends.
    """

def restore_thread() -> list[str]:
    """
    Put the calling thread back to where place_thread found it. Returns what was refused, a sentence each.
    """

def steer_interrupts(irqs: Sequence[str], cpus: Sequence[int], proc: str = '/proc') -> list[str]:
    """
    Move interrupts (numbers, names, shell patterns) to CPUs. Returns what was refused, a sentence each.
    """

def place_array(array: Annotated[NDArray, dict(order='C', device='cpu')], *, lock_memory: bool = False, numa_node: int = -1, huge_pages: str = '') -> list[str]:
    """
    Place an array that no other process maps: its pages huge, on a NUMA node, present. Its content stays. Returns what was refused, a sentence each.
    """

def huge_memory(bytes: int, explicit_pages: bool) -> tuple[Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C')], str]:
    """
    Zeroed memory on huge pages, and why it has not the explicit ones that were asked for ("": it has).
    """
