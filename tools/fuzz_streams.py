"""Open damaged stream files without end: each must be refused by the name of a field, or work.

    python tools/fuzz_streams.py --cases 1000000 --seed 1 [--interop ../shared/interop]

Nothing may crash, hang, or raise anything but framebus' own errors. On a failure the file is kept, and its path, the
seed and the case are printed, from which ``--only CASE`` repeats it.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import os
import struct
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

import framebus as fb
from framebus import stream
from framebus.errors import FramebusError, StreamFormatError, UsageError, WaitTimeout

HEADER = 384
# Offset and width of every header field, and of the padding between them.
FIELDS = {
    "version": (0, 32),
    "name": (32, 80),
    "naxis": (112, 1),
    "padding": (113, 3),
    "size0": (116, 4),
    "size1": (120, 4),
    "size2": (124, 4),
    "nelement": (128, 8),
    "datatype": (136, 1),
    "fb_pid": (140, 4),
    "imagetype": (144, 8),
    "times": (152, 64),
    "pids": (216, 8),
    "shared": (224, 1),
    "fb_waiting": (228, 4),
    "inode": (232, 8),
    "location": (240, 1),
    "status": (241, 1),
    "fb_layout": (242, 2),
    "fb_start": (244, 4),
    "flag": (248, 8),
    "logflag": (256, 1),
    "sem": (258, 2),
    "NBproctrace": (260, 2),
    "fb_at": (262, 2),
    "cnt0": (264, 8),
    "cnt1": (272, 8),
    "cnt2": (280, 8),
    "write": (288, 1),
    "fb_retired": (289, 1),
    "NBkw": (290, 2),
    "CBsize": (292, 4),
    "CBindex": (296, 4),
    "fb_count": (300, 4),
    "CBcycle": (304, 8),
    "imdatamemsize": (312, 8),
    "cudaMemHandle": (320, 64),
}
DAO_HEADER = 4304
DAO_FIELDS = {
    "name": (0, 80),
    "naxis": (80, 1),
    "fb_pid": (81, 3),
    "size0": (84, 4),
    "size1": (88, 4),
    "size2": (92, 4),
    "nelement": (96, 8),
    "atype": (104, 1),
    "fb_busy": (105, 1),
    "fb_layout": (106, 1),
    "fb_retired": (107, 1),
    "fb_waiting": (108, 4),
    "creation": (112, 8),
    "access": (120, 8),
    "atime": (128, 16),
    "shared": (144, 4),
    "sem": (148, 2),
    "fb_start": (150, 2),
    "cnt0": (152, 8),
    "cnt1": (160, 8),
    "cnt2": (168, 8),
    "write": (176, 1),
    "padding": (177, 1),
    "NBkw": (178, 2),
    "lastPos": (180, 4),
    "lastNb": (184, 4),
    "packetNb": (188, 4),
    "packetTotal": (192, 4),
    "fb_count": (196, 4),
    "lastNbArray": (200, 4096),
    "fifo_size": (4296, 4),
    "fifo_last_written": (4300, 4),
}
HANG_S = 120.0
NAME = f"fuzz-{os.getpid()}"
"""No other program has semaphores of that name, which DAO's streams would share."""


def is_dao(data: bytes | bytearray) -> bool:
    """Whether a whole file of the corpus is DAO's."""
    return data[:4] != b"2.00"


def header_bytes(data: bytes | bytearray) -> int:
    """Length of a file's header, or of all of DAO's (of a whole file)."""
    if not is_dao(data):
        return HEADER
    if len(data) < DAO_HEADER:
        return len(data)
    slots = int.from_bytes(data[4296:4300], "little")
    return DAO_HEADER * max(1, min(slots, len(data) // DAO_HEADER))


def dao_corpus() -> list[bytes]:
    """Files of DAO's format: ours, and those from before the FIFO, whose headers are short or say nothing of it."""
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{NAME}.im.shm")
        for shape, dtype, history, slots in (
            ((3,), "uint8", 0, 0),
            ((4, 5), "float32", 2, 3),
            ((2, 3, 4), "complex128", 5, 2),
            ((16, 4), "int64", 8, 7),
        ):
            with fb.create(
                path, shape=shape, dtype=dtype, history=history, keyword_slots=slots, dialect="dao"
            ) as s:
                for n in range(history + 2):
                    s.write(np.full(shape, n).astype(dtype))
                for n in range(slots):
                    s.keywords.set(f"K{n}", (1, 2.5, "text")[n % 3], "a comment")
                with s.assemble(2, incomplete="drop") as parts:
                    parts.put(1, np.zeros(2, dtype), position=1)
                files.append(path.read_bytes())
                s.remove()
    for old in files[:1]:
        blank = bytearray(old)
        blank[4296:4304] = bytes(8)
        files += [bytes(blank), old[:4296] + old[4304:]]
    return files


def corpus(interop: Path | None) -> list[bytes]:
    """Whole files: ours, with all there is in them, and those of the C library where they are."""
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.im.shm")
        for shape, dtype, history, semaphores, slots in (
            ((3,), "uint8", 0, 1, 0),
            ((4, 5), "float32", 0, 10, 3),
            ((2, 3, 4), "complex128", 3, 10, 2),
            ((8,), "float16", 5, 64, 1),
            ((16, 4), "int64", 1, 3, 7),
        ):
            with fb.create(
                path, shape=shape, dtype=dtype, history=history, semaphores=semaphores, keyword_slots=slots
            ) as s:
                for n in range(history + 2):
                    s.write(np.full(shape, n).astype(dtype))
                for n in range(slots):
                    s.keywords.set(f"K{n}", (1, 2.5, "text")[n % 3], "a comment")
                if slots > 1:
                    del s.keywords["K0"]
                    s.write(np.zeros(shape, dtype), at_count=9)
            files.append(path.read_bytes())
    files += dao_corpus()
    if interop is not None:
        files += [file.read_bytes() for file in sorted(interop.glob("*/*.im.shm"))]
    return files


def number(random: np.random.Generator, width: int, old: int) -> int:
    """One of the values that break things, or a near one, or any."""
    top = 1 << (8 * width)
    choices = (
        0,
        1,
        2,
        3,
        4,
        top - 1,
        top // 2,
        top // 2 - 1,
        old + 1,
        old - 1,
        old * 2,
        old + 256,
        old ^ (top >> 1),
    )
    pick = int(random.integers(len(choices) + 3))
    value = choices[pick] if pick < len(choices) else int.from_bytes(random.bytes(width), "little")
    return value % top


def damage_field(random: np.random.Generator, data: bytearray) -> None:
    """One header field gets another value."""
    fields = list((DAO_FIELDS if is_dao(data) else FIELDS).values())
    at, width = fields[random.integers(len(fields))]
    if is_dao(data) and random.integers(2):  # of any slot
        at += DAO_HEADER * int(random.integers(max(1, header_bytes(data) // DAO_HEADER)))
    if at + width > len(data):
        return
    if width not in (1, 2, 4, 8):
        n = int(random.integers(1, width + 1))
        data[at : at + n] = random.bytes(n)
        return
    old = int.from_bytes(data[at : at + width], "little")
    data[at : at + width] = number(random, width, old).to_bytes(width, "little")


def flip_bytes(random: np.random.Generator, data: bytearray) -> None:
    """Up to eight bytes, of the header or anywhere."""
    end = min(header_bytes(data), len(data)) if random.integers(2) else len(data)
    for at in random.integers(0, end, random.integers(1, 9)):
        data[at] = random.integers(256)


def resize(random: np.random.Generator, data: bytearray) -> None:
    """The end is cut off, or something is put there."""
    by = int(random.choice([1, 4, 8, 32, 48, 64, 128, 4096, int(random.integers(1, 5000))]))
    if random.integers(2):
        del data[max(0, len(data) - by) :]
    else:
        data += random.bytes(by) if random.integers(2) else bytes(by)


def overwrite_block(random: np.random.Generator, data: bytearray) -> None:
    """Random bytes in pixels, keywords, semaphores, trace or history."""
    first = header_bytes(data)
    if first >= len(data):
        return
    at = int(random.integers(first, len(data)))
    n = min(len(data) - at, int(random.choice([1, 16, 32, 128, 1000])))
    data[at : at + n] = random.bytes(n)


def consistent(random: np.random.Generator) -> bytes:
    """A file whose header agrees with its size, and in which all else is random."""
    axes = int(random.integers(1, 4))
    size = [int(n) for n in random.integers(1, 9, axes)] + [int(n) for n in random.integers(0, 3, 3 - axes)]
    datatype = int(random.integers(1, 14))
    semaphores, traces, keywords, history = (int(n) for n in random.integers(0, 12, 4))
    cube = 0x20001 if random.integers(4) == 0 else 2
    elements = int(np.prod(size[:axes]))
    frame = elements * (0, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 8, 16, 2)[datatype]
    blocks = [frame, 128 * keywords, 32 * semaphores, 32, *[4 * semaphores] * 4, 64 * traces]
    blocks += [size[2] * 40 * (cube != 2), 48 * history, frame * history]
    data = bytearray(random.bytes(HEADER + sum((n + 7) // 8 * 8 for n in blocks)))
    data[:32] = b"2.00".ljust(32, b"\0")
    struct.pack_into("<B", data, 112, axes)
    struct.pack_into("<3IQ", data, 116, *size, elements)
    struct.pack_into("<B", data, 136, datatype)
    struct.pack_into("<Q", data, 144, cube)
    struct.pack_into("<b", data, 240, -1)
    struct.pack_into("<HHQ", data, 258, semaphores, traces, int(random.integers(3 * history + 3)))
    struct.pack_into("<HII", data, 290, keywords, history, int(random.integers(history + 1)))
    struct.pack_into("<QQ", data, 304, int(random.integers(4)), frame)
    first = HEADER + (frame + 7) // 8 * 8 + 128 * keywords
    for i in range(semaphores + 1):  # what the C library keeps there; everything else in them is random
        struct.pack_into("<I", data, first + 32 * i + 8, 128)
    return bytes(data)


def consistent_dao(random: np.random.Generator) -> bytes:
    """The same of DAO's format."""
    axes = int(random.integers(1, 4))
    size = [int(n) for n in random.integers(1, 9, axes)] + [int(n) for n in random.integers(0, 3, 3 - axes)]
    datatype, semaphores = int(random.integers(1, 13)), int(random.integers(0, 101))
    keywords, depth = int(random.integers(0, 12)), int(random.integers(1, 9))
    elements = int(np.prod(size[:axes]))
    frame = elements * (0, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 8, 16)[datatype]
    data = bytearray(random.bytes((DAO_HEADER + frame) * depth + 120 * keywords))
    data[0] = ord("/")
    struct.pack_into("<B", data, 80, axes)
    struct.pack_into("<3IQB", data, 84, *size, elements, datatype)
    struct.pack_into("<H", data, 148, semaphores)
    struct.pack_into("<H", data, 178, keywords)
    struct.pack_into("<II", data, 4296, depth, int(random.integers(depth)))
    return bytes(data)


def damaged(random: np.random.Generator, files: list[bytes]) -> bytes:
    """Random bytes; or a valid file with one field (seldom several) changed, cut, grown, or written over."""
    kind = random.integers(10)
    if kind == 2:
        return consistent(random) if random.integers(2) else consistent_dao(random)
    if kind == 0:
        data = bytearray(random.bytes(int(random.integers(0, 20_000))))
        if random.integers(2):
            data[:32] = b"2.00".ljust(32, b"\0")
        return bytes(data)
    data = bytearray(files[random.integers(len(files))])
    if kind == 1:
        other = files[random.integers(len(files))]
        cut = int(random.integers(0, min(len(data), len(other))))
        return bytes(data[:cut]) + other[cut:]
    steps = (damage_field, damage_field, damage_field, flip_bytes, resize, overwrite_block)
    for _ in range(1 if random.integers(4) else int(random.integers(2, 5))):
        if len(data) > HEADER:
            steps[random.integers(len(steps))](random, data)
    return bytes(data)


def use(s: fb.Stream, random: np.random.Generator) -> None:
    """Everything that can be done with a stream that opened."""
    dao = s.dialect.name == "dao"
    header = s.header()
    slots = header["slots"] if dao else [header]
    assert slots[0]["nelement"] == int(np.prod(s.shape))
    assert dao or header["imdatamemsize"] == slots[0]["nelement"] * s.dtype.itemsize
    assert header["file_size"] == s.path.stat().st_size
    assert repr(s)
    if s.dialect.process_trace:
        s.trace()
    assert len(s.packets().frame_ids) <= s.dialect.packet_counters
    s.statistics()
    s.times()
    s.handle.oldest()
    for name in s.keywords:
        assert s.keywords.comment(name) is not None
        assert not s.dialect.keyword_updates or s.keywords.updates(name) >= 0
    for read in (s.read, s.read_next, s.latest, s.wait_newer):
        with contextlib.suppress(WaitTimeout):
            read(timeout_s=0)
    if random.integers(200) == 0:  # these may take a moment
        assert all(frame.data.shape == s.shape for frame in s.history())
    if random.integers(20) == 0:
        s.wake_mode = ("auto", "futex", "semaphore", "poll")[random.integers(4)]
        with contextlib.suppress(WaitTimeout):
            s.wait_newer(timeout_s=0.0005)
    info = stream.describe(s.path)
    assert info is not None
    assert info.state != "bad"
    if random.integers(3):
        return
    try:
        s.keywords.set("NEW", 5)
    except UsageError:
        assert s.keywords.slots == len(list(s.keywords))
    frame = np.full(s.shape, 7).astype(s.dtype)
    reader = fb.open(s.path)
    with contextlib.suppress(UsageError):  # no slot is free
        s.write(frame, at_count=int(random.integers(1, 20)))
    count = s.write(frame)
    with s.writing() as view:
        view[...] = frame
    assert count == 0 or s.count in (count + 1, 0)
    assert (s.read(timeout_s=5) == frame).all() or s.count == 0
    assert reader.read(timeout_s=5).tobytes() == frame.tobytes() or s.count == 0
    reader.close()


def checked(error: StreamFormatError, path: Path) -> str:
    """The field that a refusal names."""
    assert error.field, "no field is named"
    assert error.path == str(path)
    assert str(path) in str(error)
    info = stream.describe(path)
    assert info is not None
    assert info.state == "bad"
    return error.field


def run_case(path: Path, data: bytes, random: np.random.Generator) -> str:
    """Open one file; returns what came of it."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    try:
        s = fb.open(path)
    except StreamFormatError as error:
        return checked(error, path)
    try:
        use(s, random)
    except FramebusError as error:
        raise AssertionError("an error of a stream that opened") from error
    finally:
        s.close()
    return "opened"


def main() -> int:
    """Run the cases; 0 if all went well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one case of the seed")
    parser.add_argument("--interop", type=Path, help="directory that holds isio/*.im.shm and dao/*.im.shm")
    options = parser.parse_args()
    faulthandler.enable()
    files = corpus(options.interop)
    seen: collections.Counter[str] = collections.Counter()
    started = time.monotonic()
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=os.environ.get("MILK_SHM_DIR", shared)) as folder:
        path = Path(folder, f"{NAME}.im.shm")
        for case in range(options.cases) if options.only is None else [options.only]:
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            random = np.random.default_rng([options.seed, case])
            data = damaged(random, files)
            try:
                seen[run_case(path, data, random)] += 1
            except Exception:  # noqa: BLE001 - anything at all is a finding
                traceback.print_exc()
                kept = Path(tempfile.gettempdir(), f"fuzz-{options.seed}-{case}.im.shm")
                kept.write_bytes(data)
                print(f"failed: --seed {options.seed} --only {case}, kept as {kept}")
                return 1
    faulthandler.cancel_dump_traceback_later()
    took = time.monotonic() - started
    print("fields", " ".join(f"{field.replace(' ', '_')}={n}" for field, n in seen.most_common()))
    print(f"fine: {sum(seen.values())} cases, seed {options.seed}, {took:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
