"""Making, finding, listing and clearing away streams."""

from __future__ import annotations

import errno
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus import _core
from framebus.errors import (
    DataError,
    FramebusError,
    NameFormatError,
    StreamExists,
    StreamFormatError,
    StreamNotFound,
    StreamRecreated,
    UsageError,
    WaitTimeout,
)
from framebus.stream import connect, describe, purge, streams
from framebus.stream.conf import load_conf
from framebus.stream.mappers import mapped_files
from support.c_writer import CStream
from support.processes import Spawner
from support.writers import ended_writer, killed_writer

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")


# ---- create ------------------------------------------------------------------------------------------------


def test_create_by_name(shm_dir: Path) -> None:
    s = fb.create(
        "wfs", shape=(3, 4), dtype="uint16", history=2, keywords={"FRATE": (1000.0, "[Hz]"), "N": 3}
    )
    assert [p.name for p in shm_dir.iterdir()] == ["wfs.im.shm"]
    assert (s.shape, s.dtype.name, s.history_length, s.count) == ((3, 4), "uint16", 2, 0)
    assert dict(s.keywords) == {"FRATE": 1000.0, "N": 3}
    assert (s.keywords.comment("FRATE"), s.keywords.slots) == ("[Hz]", 50)


def test_create_by_path(tmp_path: Path) -> None:
    path = tmp_path / "a name with blanks.im.shm"
    s = fb.create(path, shape=3, dtype="float32")
    assert (s.path, s.name) == (path, "a name with blanks")
    assert fb.open(str(path)).shape == (3,)


def test_type_comes_from_the_name_the_argument_or_is_float32() -> None:
    assert fb.create("tui16>a", shape=3).dtype == np.uint16
    assert fb.create("tui16>b", shape=3, dtype=np.uint16).dtype == np.uint16
    assert fb.create("c", shape=3, dtype=float).dtype == np.float64
    assert fb.create("d", shape=3).dtype == np.float32
    with pytest.raises(UsageError, match="'tui16>e' sets dtype uint16, the argument dtype=float32; give one"):
        fb.create("tui16>e", shape=3, dtype="float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": ()}, "expected 1 to 3 axes"),
        ({"shape": (1, 2, 3, 4)}, "expected 1 to 3 axes"),
        ({"shape": (3, 0)}, "at least one element"),
        ({"shape": (3, -1)}, "at least one element"),
        ({"shape": (3.5,)}, "expected a tuple of 1 to 3 whole numbers"),
        ({"shape": "ab"}, "expected a tuple of 1 to 3 whole numbers"),
        ({"shape": None}, "expected a tuple of 1 to 3 whole numbers"),
        ({"shape": 2**32}, "at most 2\\*\\*32 - 1 elements fit an axis"),
        ({"shape": (2**20, 2**20, 2**20)}, "fewer than 2\\*\\*48 a stream"),
        ({"dtype": "text"}, "dtype 'text' is not understood"),
        ({"dtype": "U5"}, "a stream cannot carry dtype <U5; it can carry uint8, int8"),
        ({"dtype": bool}, "a stream cannot carry dtype bool"),
        ({"dtype": ">f4"}, "a stream cannot carry dtype >f4"),
        ({"history": -1}, "history is -1, expected a whole number from 0 to"),
        ({"history": 1.5}, "history is 1.5, expected a whole number"),
        ({"history": 2**31 + 1}, "history is 2147483649"),
        ({"semaphores": 0}, "semaphores is 0, expected a whole number from 1 to 64"),
        ({"semaphores": 65}, "semaphores is 65, expected a whole number from 1 to 64"),
        ({"mode": 0o1777}, "mode is 1023, expected"),
        ({"mode": "rw"}, "mode is 'rw', expected"),
        ({"dialect": "xyz"}, "dialect 'xyz' is unknown; expected 'isio'"),
        ({"keyword_slots": -1}, "keyword_slots is -1"),
        ({"keyword_slots": 65536}, "keyword_slots is 65536, expected a whole number from 0 to 65535"),
        (
            {"keyword_slots": 1, "keywords": {"A": 1, "B": 2}},
            "keyword_slots is 1, expected a whole number from 2",
        ),
        ({"keywords": {"A" * 17: 1}}, "keyword name has 17 bytes, at most 16 fit"),
        (
            {"keywords": {"A": (1, 2, 3)}},
            "keyword 'A': expected a value or \\(value, comment\\), got 3 items",
        ),
        ({"keywords": {"A": (1, 2)}}, "comment of keyword 'A' is 2, expected a text"),
        ({"keywords": {"A": [1]}}, "keyword 'A': expected an int, a float or a str, got list"),
    ],
)
def test_wrong_arguments_of_create(arguments: dict[str, Any], message: str, shm_dir: Path) -> None:
    with pytest.raises(UsageError, match=message):
        fb.create("image", **{"shape": 3, **arguments})
    assert list(shm_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("@E:image", "modifier '@E:' .* is not allowed in create"),
        ("image[0]", r"slice '\[0\]' is not allowed in create"),
        ("", "the name is empty"),
        ("a" * 80, "80 bytes are too many"),
        (".hidden", "must not begin with '.'"),
    ],
)
def test_names_that_create_refuses(name: str, message: str) -> None:
    with pytest.raises(NameFormatError, match=message):
        fb.create(name, shape=3)


def test_longest_name(shm_dir: Path) -> None:
    name = "é" * 39 + "x"
    fb.create(name, shape=3).write([1, 2, 3])
    assert fb.open(name).header()["name"] == name
    assert [info.name for info in streams()] == [name]


def test_must_be_new() -> None:
    first = fb.create("@N:image", shape=3)
    first.write([1, 2, 3])
    with pytest.raises(StreamExists, match="exists already, and it was to be new"):
        fb.create("@N:image", shape=3)
    assert fb.open("image").read().tolist() == [1, 2, 3]
    assert not first.handle.statistics()["recreated"]


def test_access_mode_is_under_the_umask(spawn: Spawner) -> None:
    process = spawn("""
        import os
        import framebus as fb
        for umask, mode in ((0o022, 0o660), (0o007, 0o666), (0, 0o777), (0o777, 0o660)):
            os.umask(umask)
            s = fb.create("image", shape=3, mode=mode)
            print(oct(os.stat(s.path).st_mode & 0o777))
    """)
    assert process.wait() == 0
    assert process.lines == ["0o640", "0o660", "0o777", "0o0"]


def test_default_mode(shm_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    try:
        s = fb.create("image", shape=3)
    finally:
        os.umask(before)
    assert stat.S_IMODE(s.path.stat().st_mode) == 0o660


def test_huge_pages(shm_dir: Path) -> None:
    chosen = HUGE_PAGES.read_text().split("[")[1].split("]")[0] if HUGE_PAGES.exists() else "unknown"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        s = fb.create("image", shape=(1024, 1024), dtype="float32", huge_pages=True)
    assert len(caught) == (chosen in ("never", "deny", "unknown"))
    for warning in caught:
        assert "echo advise > " in str(warning.message)
        assert warning.filename == __file__
    s.write(np.ones((1024, 1024)))
    assert s.read().sum() == 1024 * 1024


def test_no_space_is_an_error_and_not_a_crash(shm_dir: Path) -> None:
    room = os.statvfs(shm_dir)
    too_much = room.f_bavail * room.f_frsize // 2**20 + 1024
    with pytest.raises(OSError, match="cannot reserve") as caught:
        fb.create("image", shape=(too_much, 1024, 1024), dtype="uint8")
    assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert list(shm_dir.iterdir()) == []


def test_sizes_that_overflow_are_refused() -> None:
    with pytest.raises((UsageError, OSError)):
        fb.create("image", shape=(2**30, 2**17), dtype="complex128", history=2**31)


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cannot create"):
        fb.create(tmp_path / "nowhere" / "image.im.shm", shape=3)


def test_address_space_that_is_used_up(spawn: Spawner) -> None:
    process = spawn("""
        import resource
        import numpy as np
        import framebus as fb
        fb.create("image", shape=(64, 1024, 1024), dtype="uint8").close()
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**25, used + 2**25))
        for make in (lambda: fb.open("image"), lambda: fb.create("other", shape=(64, 1024, 1024), dtype="uint8")):
            try:
                make()
            except OSError as error:
                print(error)
    """)
    assert process.wait() == 0
    assert [re.findall(r"cannot map \d+ bytes of shared memory", line) != [] for line in process.lines] == [
        True,
        True,
    ]


# ---- open --------------------------------------------------------------------------------------------------


def test_open_says_where_it_looked(shm_dir: Path) -> None:
    with pytest.raises(StreamNotFound) as caught:
        fb.open("image")
    assert str(shm_dir) in str(caught.value)
    assert "./conf/shmim.image.fits" in str(caught.value)
    with pytest.raises(StreamNotFound, match=r"no stream '/nowhere/image\.im\.shm'"):
        fb.open("/nowhere/image.im.shm")


def test_open_demands_a_type() -> None:
    fb.create("image", shape=3, dtype="uint16")
    assert fb.open("tui16>image").dtype == np.uint16
    with pytest.raises(UsageError, match="stream 'image' has dtype uint16, 'tf32>image' demands float32"):
        fb.open("tf32>image")


def test_open_refuses_what_it_cannot_obey() -> None:
    with pytest.raises(NameFormatError, match=r"modifier '@N:' .* is not allowed in open"):
        fb.open("@N:image")


def test_shared_and_existing_are_the_plain_case() -> None:
    fb.create("@S:image", shape=3)
    assert fb.open("@SE:image").name == fb.open("@S:image").name == "image"


def test_open_what_is_no_stream(shm_dir: Path) -> None:
    (shm_dir / "empty.im.shm").touch()
    (shm_dir / "text.im.shm").write_bytes(b"hello\n" * 100)
    (shm_dir / "folder.im.shm").mkdir()
    (shm_dir / "unfinished.im.shm").write_bytes(bytes(4096))
    os.mkfifo(shm_dir / "pipe.im.shm")
    for name, field, message in (
        ("empty", "file size", "the file is empty"),
        ("text", "version", "this is no ImageStreamIO file"),
        ("folder", "file type", "is a directory"),
        ("unfinished", "version", "the stream is still being made, or its maker died"),
        ("pipe", "file type", "not a regular file"),
    ):
        with pytest.raises(StreamFormatError, match=message) as caught:
            fb.open(name)
        assert (caught.value.field, caught.value.path) == (field, str(shm_dir / f"{name}.im.shm"))
    assert [(info.name, info.state) for info in streams()] == [
        (name, "bad") for name in ("empty", "folder", "pipe", "text", "unfinished")
    ]


def as_nobody(body: str) -> str:
    """A program whose ``body`` runs without root's privileges, on a stream that belongs to root."""
    return f"""
import os, sys
import numpy as np
import framebus as fb
from framebus.errors import *
from framebus.stream import streams
os.umask(0)
os.chmod(os.environ["MILK_SHM_DIR"], 0o777)
s = fb.create("image", shape=(2,), dtype="int32", history=4, mode=int(sys.argv[1], 8), keywords={{"A": 1}})
s.write([1, 2])
if os.geteuid() == 0:
    os.seteuid(65534)
{body}
"""


@pytest.mark.parametrize("mode", ["0444", "0440", "0400"])
def test_files_that_may_only_be_read(mode: str, spawn: Spawner) -> None:
    if os.geteuid() != 0 and mode == "0400":
        pytest.skip("needs root, who can become somebody who may not read the file")
    process = spawn(
        as_nobody("""
try:
    r = fb.open("image")
except OSError as error:
    print("no", error.errno)
    print([info.state for info in streams()])
    sys.exit()
print("yes", r.read().tolist(), dict(r.keywords), r.handle.writable, r.count)
for use in (lambda: r.write([3, 4]), lambda: r.writing().__enter__(), lambda: r.keywords.set("A", 2)):
    try:
        use()
    except UsageError as error:
        print(error)
print("waiting")
for k in range(3):
    frame = r.read_next(timeout_s=60)
    print("frame", frame.count, frame.data.tolist())
"""),
        mode,
    )
    if mode == "0400":
        assert process.expect("no") == "no 13"
        assert process.expect("[") == "['bad']"
        assert process.wait() == 0
        return
    assert process.expect("yes") == "yes [1, 2] {'A': 1} False 1"
    assert "may not write to the stream; check the file's owner and mode" in process.expect("/")
    assert "may not write to the stream" in process.expect("/")
    assert "so not to its keywords" in process.expect("this")
    process.expect("waiting")
    if os.geteuid() != 0:
        return
    writer = fb.open("image")
    for k in range(3):
        writer.write([k, k])
        assert process.expect("frame") == f"frame {k + 2} {[k, k]}"
    assert process.wait() == 0


# ---- process-local streams -------------------------------------------------------------------------------------------


def test_local_stream_is_seen_by_this_process_alone(shm_dir: Path) -> None:
    s = fb.create("@L:image", shape=3, history=2)
    assert list(shm_dir.iterdir()) == []
    r = fb.open("@L:image")
    assert (r.name, r.header()["shared"], streams()) == ("image", 0, [])
    s.write([1, 2, 3])
    assert r.read_next().data.tolist() == [1, 2, 3]
    with pytest.raises(StreamNotFound):
        fb.open("image")
    with pytest.raises(StreamNotFound, match="no process-local stream 'other' in this process"):
        fb.open("@LE:other")
    with pytest.raises(StreamExists, match="process-local stream 'image' exists already"):
        fb.create("@LN:image", shape=3)
    s.close()
    assert fb.open("@L:image").count == 1, "it stays until it is removed"
    r.remove()
    with pytest.raises(StreamNotFound):
        fb.open("@L:image")


def test_local_stream_made_anew() -> None:
    old = fb.create("@L:image", shape=3)
    reader, other = fb.open("@L:image"), fb.open("@L:image")
    new = fb.create("@L:image", shape=3)
    new.write([1, 2, 3])
    assert reader.read_next().data.tolist() == [1, 2, 3]
    assert reader.statistics().recreated == 1
    old.write([4, 5, 6])
    assert new.read().tolist() == [4, 5, 6], "the old handle followed as well"
    fb.create("@L:image", shape=4)
    frame = other.read_next()
    assert (frame.count, frame.missed) == (2, 1), "what was published before it was made anew comes first"
    with pytest.raises(StreamRecreated, match="made anew with another shape or dtype"):
        other.read_next()
    fb.open("@L:image").remove()
    with pytest.raises(StreamRecreated, match="was made anew with another shape"):
        new.write([1, 2, 3])


def test_local_stream_removed() -> None:
    s = fb.create("@L:image", shape=3)
    reader = fb.open("@L:image")
    s.remove()
    with pytest.raises(StreamRecreated, match="process-local stream 'image' was removed"):
        reader.read_next(timeout_s=None)
    with pytest.raises(StreamRecreated, match="was removed"):
        reader.write([1, 2, 3])


# ---- connect -----------------------------------------------------------------------------------------------


def test_connect_makes_or_opens() -> None:
    made = connect("image", shape=(2, 3), dtype="float32")
    made.write(np.ones((2, 3)))
    assert connect("tf32>image", shape=(2, 3)).count == 1
    assert connect("image", shape=[2, 3], dtype="float32").count == 1  # type: ignore[arg-type]
    assert connect("line", shape=3, dtype="uint8").shape == (3,)


@pytest.mark.parametrize(
    ("shape", "dtype", "history"), [((3, 2), "float32", 0), ((2, 3), "int32", 0), ((2, 3), "float32", 2)]
)
def test_connect_replaces_what_does_not_fit(shape: tuple[int, int], dtype: str, history: int) -> None:
    connect("image", shape=(2, 3), dtype="float32").write(np.ones((2, 3)))
    s = connect("image", shape=shape, dtype=dtype, history=history)
    assert (s.count, s.shape, s.dtype.name, s.history_length) == (0, shape, dtype, history)


def test_connect_replaces_what_is_no_stream(shm_dir: Path) -> None:
    (shm_dir / "image.im.shm").write_bytes(b"x" * 1000)
    assert connect("image", shape=3, dtype="float32").count == 0


def test_connect_checks_before_it_replaces_anything(shm_dir: Path) -> None:
    fb.create("image", shape=3).write([1, 2, 3])
    for arguments in ({"shape": 0}, {"shape": 3, "dtype": "text"}, {"shape": 3, "history": -1}):
        with pytest.raises(UsageError):
            connect("image", **arguments)
    with pytest.raises(NameFormatError):
        connect("@E:image", shape=3)
    assert fb.open("image").count == 1


# ---- ./conf ------------------------------------------------------------------------------------------------


@pytest.fixture
def workplace(tmp_path: Path, shm_dir: Path) -> Iterator[Path]:
    """The working directory, where ./conf is."""
    before = os.getcwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def write_fits(folder: Path, name: str, data: Any, **header: Any) -> None:
    fits: Any = pytest.importorskip("astropy.io.fits", reason="needs astropy (the extra framebus[fits])")
    (folder / "conf").mkdir(exist_ok=True)
    fits.writeto(folder / "conf" / f"shmim.{name}.fits", data, fits.Header(header))


def test_stream_that_is_not_in_memory_is_loaded_from_conf(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_fits(workplace, "ref", data, GAIN=0.5, LABEL="a text that is longer than a stream's")
    with pytest.raises(StreamNotFound):
        fb.open("@E:ref")
    with pytest.raises(StreamNotFound):
        fb.open(workplace / "ref.im.shm")
    with pytest.warns(UserWarning, match="too long for a stream's fields were left out: LABEL"):
        s = fb.open("ref[0:1,*]")
    assert s.read().tolist() == data[:, :2].tolist()
    assert dict(s.keywords) == {"GAIN": 0.5}
    with pytest.raises(WaitTimeout):
        s.read_next(timeout_s=0)
    assert fb.open("@E:ref").count == 1, "it is in memory now"
    assert fb.open("ref").handle.inode == s.handle.inode


def test_type_is_demanded_of_a_loaded_stream_too(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fits(workplace, "ref", np.zeros(3, np.int16))
    with pytest.raises(UsageError, match="has dtype int16, 'tf32>ref' demands float32"):
        fb.open("tf32>ref")


def test_loading_never_replaces_a_stream_that_came_meanwhile(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_fits(workplace, "ref", np.zeros(3, np.float32))

    def slow(path: Path) -> Any:
        fb.create("ref", shape=3).write([1, 2, 3])
        return load_conf(path)

    monkeypatch.setattr("framebus.stream.opening.load_conf", slow)
    assert fb.open("ref").read().tolist() == [1, 2, 3]


def test_damaged_conf_file_is_named(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("astropy.io.fits", reason="needs astropy (the extra framebus[fits])")
    (workplace / "conf").mkdir()
    (workplace / "conf" / "shmim.ref.fits").write_bytes(b"no FITS")
    with pytest.raises(DataError, match=r"conf/shmim\.ref\.fits"):
        fb.open("ref")


# ---- streams, purge ----------------------------------------------------------------------------------------


def test_streams_and_their_state(shm_dir: Path, spawn: Spawner) -> None:
    process = spawn(
        """
        import os, signal
        import framebus as fb
        fb.create("left", shape=2).write([1, 2])
        fb.create("unused", shape=2)
        dead = fb.create("dead", shape=2)
        dead.write([1, 2])
        orphan = fb.create("orphan", shape=(2, 3), dtype="int8", history=3)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert process.wait() == -9, process.errors
    dead = process.pid
    fb.create("live", shape=3, dtype="uint16").write([1, 2, 3])
    fb.create("empty", shape=3)
    (shm_dir / "bad.im.shm").write_bytes(b"2.00" + bytes(500))
    (shm_dir / ".hidden.im.shm").touch()
    (shm_dir / "note.txt").touch()
    found = {info.name: info for info in streams()}
    assert list(found) == ["bad", "dead", "empty", "left", "live", "orphan", "unused"]
    assert {name: info.state for name, info in found.items()} == {
        "bad": "bad",
        "dead": "dead",
        "empty": "empty",
        "left": "left",
        "live": "live",
        "orphan": "dead",
        "unused": "empty",
    }
    assert {name: info.writer_alive for name, info in found.items()} == {
        "bad": None,
        "dead": False,
        "empty": True,
        "left": False,
        "live": True,
        "orphan": False,
        "unused": False,
    }
    assert (found["live"].count, found["live"].writer_pid, str(found["live"].dtype)) == (
        1,
        os.getpid(),
        "uint16",
    )
    assert (found["dead"].count, found["dead"].writer_pid) == (1, dead)
    assert (found["orphan"].writer_pid, found["orphan"].history, found["orphan"].shape) == (dead, 3, (2, 3))
    assert found["orphan"].age_s is None
    age = found["live"].age_s
    assert age is not None
    assert age >= 0
    assert "'naxis': is 0, expected 1, 2 or 3" in found["bad"].error
    assert (found["bad"].size_bytes, found["bad"].shape) == (504, None)
    assert all(info.path == shm_dir / f"{info.name}.im.shm" for info in found.values())
    assert [info.name for info in streams(str(shm_dir))] == list(found)
    assert streams(shm_dir / "nowhere") == []


def test_describe_one() -> None:
    s = fb.create("image", shape=3)
    info = describe(s.path)
    assert info is not None
    assert info.state == "empty"
    s.remove()
    assert describe(info.path) is None


def test_state_of_a_stream_that_c_writes(shm_dir: Path) -> None:
    with CStream.create(shm_dir / "image.im.shm", (2,), "int32") as c:
        (info,) = streams()
        assert (info.state, info.writer_pid) == ("empty", os.getpid())
        c.write(bytes(8))
        (info,) = streams()
        assert (info.state, info.writer_pid, info.count) == ("live", os.getpid(), 1)


def test_purge_removes_what_nobody_will_use_again(shm_dir: Path, spawn: Spawner) -> None:
    killed_writer(spawn, ["gone", "mapped", "adopted"])
    ended_writer(spawn, ["left"])
    fb.create("live", shape=2).write([1, 2])
    fb.create("empty", shape=2)
    (shm_dir / "bad.im.shm").write_bytes(b"x")
    held = fb.open("mapped")
    fb.open("adopted").write([3, 4])
    assert [info.name for info in purge()] == ["gone"]
    assert [info.name for info in streams()] == ["adopted", "bad", "empty", "left", "live", "mapped"]
    held.close()
    assert [info.name for info in purge(shm_dir)] == ["mapped"]
    assert purge() == []
    assert [info.name for info in purge(left=True)] == ["left"]


def test_a_writer_that_comes_back_after_it_closed_is_no_longer_one_that_left(spawn: Spawner) -> None:
    again = spawn(
        """
        import framebus as fb
        with fb.create("image", shape=2) as first:
            first.write([1, 2])
        again = fb.open("image")
        again.write([3, 4])
        print("wrote", flush=True)
        input()
        """
    )
    again.expect("wrote")
    assert [info.state for info in streams()] == ["live"]
    again.kill()
    assert [info.state for info in streams()] == ["dead"]


def test_a_reader_in_another_process_does_not_say_that_the_writer_left(spawn: Spawner) -> None:
    killed_writer(spawn, ["image"])
    with fb.open("image") as reader:
        assert reader.read().tolist() == [1, 2]
    assert [info.state for info in streams()] == ["dead"]


def test_purge_leaves_streams_alone_that_another_process_uses(shm_dir: Path, spawn: Spawner) -> None:
    killed_writer(spawn, ["image"])
    reader = spawn("import framebus as fb\ns = fb.open('image')\nprint('open')\ninput()")
    reader.expect("open")
    assert purge() == []
    reader.kill()
    assert [info.name for info in purge()] == ["image"]


def test_who_only_looks_keeps_nothing(shm_dir: Path, spawn: Spawner) -> None:
    killed_writer(spawn, ["image"])
    handle = _core.StreamHandle.open(str(shm_dir / "image.im.shm"), looks_only=True)
    assert (handle.writable, handle.count) == (False, 1)
    with pytest.raises(UsageError, match="may not write to the stream"):
        handle.write(np.zeros(2, np.float32), 0)
    status = (shm_dir / "image.im.shm").stat()
    assert (status.st_dev, status.st_ino) not in mapped_files()[0]
    assert [info.name for info in purge()] == ["image"]
    assert not handle.current
    with fb.create("image", shape=2):
        handle.follow()  # as a look at a stream that was made anew
        assert (handle.current, handle.writable) == (True, False)
    handle.close()


def test_who_maps_a_file(shm_dir: Path) -> None:
    s = fb.create("image", shape=3)
    status = s.path.stat()
    users, _ = mapped_files()
    assert users[status.st_dev, status.st_ino] == {os.getpid()}


# ---- remove ------------------------------------------------------------------------------------------------


def test_remove_spares_a_newer_stream_of_the_name() -> None:
    old = fb.create("image", shape=3)
    new = fb.create("image", shape=4)
    old.remove()
    assert fb.open("image").shape == new.shape


def test_remove_twice(shm_dir: Path) -> None:
    one, two = fb.create("image", shape=3), fb.open("image")
    one.remove()
    two.remove()
    assert list(shm_dir.iterdir()) == []
    with pytest.raises(UsageError, match="closed"):
        one.remove()


@pytest.mark.parametrize(
    "make",
    [
        lambda: fb.create("image", shape=3).write([1, 2, 3]),
        lambda: fb.create("image", shape=3, history=5, keywords={"A": 1}).remove(),
        lambda: fb.create("@N:image", shape=3).close(),
    ],
)
def test_nothing_temporary_is_left(make: Callable[[], object], shm_dir: Path) -> None:
    make()
    assert {p.name for p in shm_dir.iterdir()} <= {"image.im.shm"}
    assert issubclass(StreamExists, FramebusError)
