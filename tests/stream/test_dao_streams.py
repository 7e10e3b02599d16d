"""Streams in DAO's format: making, naming, listing and removing them, their packets, times, and process-local ones."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import DataError, StreamRecreated, UsageError, WaitTimeout
from framebus.stream import connect, describe, purge
from support.commands import answer, error, output
from support.dao_writer import SEMAPHORES, DaoStream, semaphore_file
from support.processes import Spawner


@pytest.fixture
def path(shm_dir: Path, dao_name: str) -> Path:
    return shm_dir / f"{dao_name}.im.shm"


def semaphores_of(path: Path) -> list[str]:
    return sorted(file.name for file in Path("/dev/shm").glob(f"{semaphore_file(path, 0).name[:-2]}*"))


# ---- making them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("history", "depth"), [(0, 1), (1, 1), (2, 2), (7, 7)])
def test_history_is_the_depth_of_the_fifo(history: int, depth: int, path: Path) -> None:
    s = fb.create(path, shape=(2, 3), dtype="uint16", history=history, dialect="dao")
    assert (s.dialect.name, str(s.dialect), s.count) == ("dao", "dao", 0)
    assert s.history_length == (depth if depth > 1 else 0)
    for n in range(10):
        s.write(np.full((2, 3), n, np.uint16))
    assert [f.data[0, 0] for f in s.history()] == list(range(10 - depth, 10))
    assert [f.count for f in s.history(3)] == list(range(11 - min(depth, 3), 11))
    with DaoStream(path) as d:
        assert (d.depth, d.shape, d.count, len(d.semaphores)) == (depth, (2, 3), 10, SEMAPHORES)


def test_unknown_format(path: Path) -> None:
    with pytest.raises(UsageError, match=r"dialect 'cacao' is unknown; expected 'isio' .* or 'dao'"):
        fb.create(path, shape=3, dialect="cacao")


def test_a_stream_of_one_axis_can_be_opened_by_dao(path: Path) -> None:
    """Its library ends the process if the second axis has no length."""
    s = fb.create(path, shape=5, dialect="dao")
    assert s.header()["size"] == [5, 1, 0]
    assert (s.shape, fb.open(path).shape) == ((5,), (5,))


def test_semaphores_are_named_after_the_file_up_to_its_first_dot(shm_dir: Path, dao_name: str) -> None:
    first = fb.create(f"{dao_name}.red", shape=3, dialect="dao")
    second = fb.create(f"{dao_name}.blue", shape=3, dialect="dao")
    assert first.header()["sem_values"] == [0] * SEMAPHORES
    first.write([1, 2, 3])
    assert second.header()["sem_values"] == [1] * SEMAPHORES, "both have the same"
    assert len(semaphores_of(shm_dir / f"{dao_name}.im.shm")) == SEMAPHORES + 1
    reader = fb.open(second.path)
    with pytest.raises(WaitTimeout, match="no frame was ever published"):
        reader.read_next(timeout_s=0.02)


def test_a_file_whose_name_begins_with_a_dot(shm_dir: Path, dao_name: str) -> None:
    """DAO's library passes dots over that come before a name."""
    path = shm_dir / f".{dao_name}.im.shm"
    with DaoStream.create(path, (2,), "int32") as d:
        d.write(np.ones(2))
        s = fb.open(path)
        assert s.read().tolist() == [1, 1]
        assert s.header()["sem_values"] == [1] * SEMAPHORES
        s.remove()
    assert semaphores_of(path) == []


def test_fewer_semaphores_than_the_stream_before(path: Path) -> None:
    fb.create(path, shape=3, semaphores=12, dialect="dao").close()
    s = fb.create(path, shape=3, semaphores=4, dialect="dao")
    assert s.header()["sem"] == 4
    s.remove()
    assert semaphores_of(path) == []


def test_connect_goes_on_in_the_file_that_is_there(path: Path) -> None:
    with DaoStream.create(path, (4,), "int32", depth=3) as d:
        d.write(np.full(4, 7))
        inode = path.stat().st_ino
        for history in (0, 1, 3):
            with connect(path, shape=4, dtype="int32", history=history, dialect="dao") as s:
                assert (s.count, path.stat().st_ino) == (1, inode)
        with connect(path, shape=4, dtype="int32") as s:
            assert (s.dialect.name, path.stat().st_ino) == ("dao", inode)
        with connect(path, shape=4, dtype="int32", history=4, dialect="dao") as s:
            assert (s.count, s.history_length, path.stat().st_ino != inode) == (0, 4, True)
        with connect(path, shape=4, dtype="int32", dialect="isio") as s:
            assert (s.dialect.name, s.count) == ("isio", 0)


def test_repr_tells_the_format(path: Path, dao_name: str) -> None:
    s = fb.create(path, shape=(2, 3), history=4, dialect="dao")
    assert repr(s) == f"<Stream '{dao_name}' (2, 3) float32, history 4, dao, count 0>"


# ---- counts and times --------------------------------------------------------------------------------------


def test_counts_may_be_given_and_jump(path: Path) -> None:
    s = fb.create(path, shape=1, dtype="int32", history=3, dialect="dao")
    reader = fb.open(path)
    assert [s.write([n], count=n) for n in (5, 6, 40)] == [5, 6, 40]
    for count in (40, 39, 0, -1, 2**63):
        with pytest.raises(
            UsageError, match=rf"count is {count}, expected one beyond the newest frame's, 40"
        ):
            s.write([0], count=count)
    assert [(f.count, f.missed, f.data[0]) for f in reader.frames(1)] == [(40, 39, 40)]
    with DaoStream(path) as d:
        assert d.write(np.array([41])) == 41
    assert [(f.count, f.missed, f.data[0]) for f in reader.frames(1)] == [(41, 0, 41)]
    assert [f.count for f in reader.history()] == [40, 41]


def test_times_are_what_each_writer_said(path: Path) -> None:
    """A DAO program gives a frame one time; framebus two, whoever writes before and after it."""
    with DaoStream.create(path, (1,), "int32", depth=6) as d:
        s = fb.open(path)
        reader = fb.open(path)
        told = {}
        for n in range(1, 13):
            if n % 3:
                d.write(np.array([n]))
                told[n] = (d.acquired_ns(d.last_slot), d.acquired_ns(d.last_slot))
                frame = reader.read_next()
                assert (frame.acquisition_ns, frame.write_ns) == told[n]
            else:
                s.write([n], acquisition_ns=1_600_000_000_000_000_000 + n)
                frame = reader.read_next()
                assert frame.acquisition_ns == 1_600_000_000_000_000_000 + n
                assert frame.write_ns > 1_700_000_000_000_000_000
                told[n] = (frame.acquisition_ns, frame.write_ns)
            for held in reader.history():
                assert held.acquisition_ns == told[held.count][0]
                if held.count % 3:  # framebus' own time of publication may be forgotten, DAO's has no other
                    assert (held.count, held.write_ns) == (held.count, told[held.count][1])


# ---- packets -----------------------------------------------------------------------------------------------


def test_frame_from_packets_in_any_order(path: Path) -> None:
    s = fb.create(path, shape=(2, 4), dtype="int16", history=2, dialect="dao")
    reader = fb.open(path)
    frame = np.arange(8, dtype=np.int16)
    with s.assemble(4, frame_id=2**64 - 1, acquisition_ns=77) as parts:
        assert parts.missing == [0, 1, 2, 3]
        for packet in (2, 0, 0, 3):
            parts.put(packet, frame[2 * packet : 2 * packet + 2], position=2 * packet)
        assert (parts.missing, parts.count) == ([1], 0)
        state = reader.packets()
        assert state[:4] == (6, 2, 3, 4)
        assert state.frame_ids.tolist() == [2**64 - 1, 0, 2**64 - 1, 2**64 - 1]
        with pytest.raises(WaitTimeout):
            reader.read_next(timeout_s=0)
        parts.put(1, frame[2:4].astype(np.uint8), position=2)
    assert parts.count == 1
    got = reader.read_next()
    assert (got.count, got.acquisition_ns, got.data.tolist()) == (1, 77, frame.reshape(2, 4).tolist())
    slot = s.header()["slots"][0]
    assert (slot["last_pos"], slot["last_nb"], slot["packet_nb"], slot["packet_total"]) == (2, 2, 1, 4)
    assert slot["cnt2"] == 2**64 - 1


@pytest.mark.parametrize("history", [1, 3])
@pytest.mark.parametrize("incomplete", ["raise", "drop", "publish"])
def test_packets_that_do_not_come(incomplete: str, history: int, path: Path) -> None:
    s = fb.create(path, shape=4, dtype="int32", history=history, dialect="dao")
    reader = fb.open(path)
    s.write([1, 2, 3, 4])
    assert reader.read_next().count == 1

    def assemble() -> int:
        with s.assemble(2, incomplete=incomplete) as parts:  # type: ignore[arg-type]
            parts.put(1, [30, 40], position=2)
        return parts.count

    if incomplete == "raise":
        with pytest.raises(
            DataError, match=r"1 of 2 packets of frame 0 did not come \(0\), and it was not published"
        ):
            assemble()
    elif incomplete == "drop":
        assert assemble() == 0
    else:
        assert assemble() == 2
        assert reader.read_next().data.tolist() == [1, 2, 30, 40]
        return
    assert s.count == 1
    if history > 1:
        assert reader.read().tolist() == [1, 2, 3, 4]
    else:
        with pytest.raises(WaitTimeout, match="a frame was begun and not finished"):
            reader.read(timeout_s=0)
    assert s.write([5, 6, 7, 8]) == 2
    assert (reader.read_next().missed, reader.read().tolist()) == (0, [5, 6, 7, 8])


def test_packets_that_are_none(path: Path) -> None:
    s = fb.create(path, shape=4, dtype="int32", dialect="dao")
    for packets in (0, 65_536):
        with pytest.raises(UsageError, match=rf"packets is {packets}, expected 1 to 65535"):
            s.assemble(packets)
    with pytest.raises(UsageError, match="frame_id is -1"):
        s.assemble(1, frame_id=-1)
    with pytest.raises(UsageError, match="incomplete is 'maybe', expected 'raise', 'drop' or 'publish'"):
        s.assemble(1, incomplete="maybe")  # type: ignore[arg-type]
    with s.assemble(600, incomplete="drop") as parts:
        parts.put(599, [1], position=3)
        for packet, values, position, says in (
            (600, [1], 0, "packet is 600, expected 0 to 599"),
            (-1, [1], 0, "packet is -1, expected 0 to 599"),
            (0, [1], -1, "position is -1, expected 0 or more"),
            (0, [1], 4, "a packet of 1 elements at position 4 does not lie in a frame of 4"),
            (0, [1, 2, 3], 2, "a packet of 3 elements at position 2 does not lie in a frame of 4"),
            (0, [1], 2**63 - 1, "does not lie in a frame of 4"),
            (0, [0.5], 0, "cannot be stored as int32"),
            (0, [2**40], 0, "do not fit int32"),
        ):
            with pytest.raises(UsageError, match=re.escape(says)):
                parts.put(packet, values, position)
        with pytest.raises(UsageError, match="a frame is being written in place"):
            s.write([1, 2, 3, 4])
    assert s.count == 0
    with pytest.raises(UsageError, match="no frame is being put together"):
        parts.put(0, [1], 0)


def test_an_assembly_is_for_one_frame(path: Path) -> None:
    s = fb.create(path, shape=2, dtype="int32", dialect="dao", history=2)
    parts = s.assemble(1)
    with parts:
        parts.put(0, [1, 2], 0)
    try:
        with parts:
            pass
    except (UsageError, DataError):
        pass
    assert s.count == 1, "the packets of the first frame are none of the second"


def test_packets_of_a_dao_program(path: Path) -> None:
    with DaoStream.create(path, (6,), "float32", depth=2) as d:
        reader = fb.open(path)
        for n in range(1, 6):
            for packet in (1, 2, 0):
                d.put_packet(np.full(2, 10 * n + packet), 2 * packet, packet, 3, 100 + n)
                state = reader.packets()
                assert state[:4] == (2 * packet, 2, packet, 3)
                come = [i for i, number in enumerate(state.frame_ids) if number == 100 + n]
                assert come == {1: [1], 2: [1, 2], 0: [0, 1, 2]}[packet]
                assert reader.count == n - 1
            d.finish()
            assert reader.read_next().data.tolist() == [10 * n + packet for packet in (0, 0, 1, 1, 2, 2)]


# ---- keywords ----------------------------------------------------------------------------------------------


def test_keywords_are_shared_with_dao(path: Path) -> None:
    with DaoStream.create(path, (5,), "uint8", depth=3, keyword_slots=3) as d:  # so that none is aligned
        s = fb.open(path)
        s.keywords.set("GAIN", 0.25, "of the loop")
        s.keywords["NAME"] = "sixteen bytes :)"
        assert d.keywords() == [("GAIN", "D", 0.25, "of the loop"), ("NAME", "S", "sixteen bytes :)", "")]
        d.set_keyword(2, ("N", "L", -5, "x" * 80))
        assert dict(s.keywords) == {"GAIN": 0.25, "NAME": "sixteen bytes :)", "N": -5}
        assert s.keywords.comment("N") == "x" * 80
        with pytest.raises(UsageError, match="all 3 slots of the stream are taken"):
            s.keywords["FOURTH"] = 1
        del s.keywords["NAME"]
        s.keywords["FOURTH"] = 4
        assert [k[0] for k in d.keywords()] == ["GAIN", "FOURTH", "N"]
        d.write(np.full(5, 9))
        assert s.read().tolist() == [9] * 5


# ---- in this process alone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("history", [0, 3])
def test_process_local_streams(history: int, dao_name: str) -> None:
    name = f"@L:{dao_name}"
    s = fb.create(name, shape=(2, 2), dtype="int64", history=history, dialect="dao", keywords={"N": 1})
    reader, other = fb.open(name), fb.open(name)
    assert (reader.dialect.name, reader.header()["sem"], semaphores_of(Path(dao_name))) == ("dao", 0, [])
    got: list[int] = []

    def read() -> None:
        got.extend(f.count for f in reader.frames(20, timeout_s=60))

    thread = threading.Thread(target=read)
    thread.start()
    for n in range(1, 21):
        s.write(np.full((2, 2), n))
        while len(got) < n and thread.is_alive():
            pass
    thread.join()
    assert got == list(range(1, 21))
    assert [f.data[0, 0] for f in other.history()] == list(range(21 - max(1, history), 21))
    assert reader.keywords["N"] == 1
    again = fb.create(name, shape=(2, 2), dtype="int64", dialect="dao")
    again.write(np.zeros((2, 2)).astype("int64"))
    assert reader.read_next().count == 1
    again.remove()
    with pytest.raises(StreamRecreated, match=r"process-local stream .* was removed"):
        reader.read_next(timeout_s=60)


# ---- what there is -----------------------------------------------------------------------------------------


def left_dead(spawn: Spawner, path: Path) -> int:
    writer = spawn(
        "import sys, framebus as fb\nfb.create(sys.argv[1], shape=2, dialect='dao', history=3).write([1, 2])",
        str(path),
    )
    assert writer.wait() == 0, writer.errors
    return writer.pid


def test_states(shm_dir: Path, dao_name: str, spawn: Spawner) -> None:
    paths = {
        state: shm_dir / f"{dao_name}{state}.im.shm" for state in ("live", "empty", "unknown", "dead", "bad")
    }
    live = fb.create(paths["live"], shape=2, dialect="dao")
    live.write([1, 2])
    fb.create(paths["empty"], shape=2, dialect="dao").close()
    with DaoStream.create(paths["unknown"], (2,), "float32") as d:
        d.write(np.zeros(2))
    dead = left_dead(spawn, paths["dead"])
    paths["bad"].write_bytes(paths["unknown"].read_bytes()[:-1])
    found = {info.name: info for info in fb.streams()}
    assert {name.removeprefix(dao_name): info.state for name, info in found.items()} == {
        state: state for state in paths
    }
    writers = {state: found[f"{dao_name}{state}"].writer_pid for state in paths}
    assert writers == {"live": os.getpid(), "empty": os.getpid(), "unknown": 0, "dead": dead, "bad": 0}
    assert {info.dialect for info in found.values() if info.state != "bad"} == {"dao"}
    assert found[f"{dao_name}dead"].history == 3
    ages = {state: found[f"{dao_name}{state}"].age_s for state in paths}
    assert ages["empty"] is None
    assert all(
        age is not None and 0 <= age < 60 for state, age in ages.items() if state not in ("empty", "bad")
    )
    # A DAO program goes on where a framebus writer died, and the other way round.
    with DaoStream(paths["dead"]) as d:
        d.write(np.zeros(2))
    with fb.open(paths["unknown"]) as s:
        s.write([1, 2])
    infos = [describe(paths[state]) for state in ("dead", "unknown")]
    assert [info.state for info in infos if info is not None] == ["unknown", "live"]


def test_purge_takes_the_dead_and_their_semaphores(shm_dir: Path, dao_name: str, spawn: Spawner) -> None:
    dead, unknown = (shm_dir / f"{dao_name}{state}.im.shm" for state in ("dead", "unknown"))
    left_dead(spawn, dead)
    DaoStream.create(unknown, (2,), "float32").close()
    assert len(semaphores_of(dead)) == SEMAPHORES + 1
    removed = purge()
    if not removed:
        assert dead.exists()
        pytest.skip("another user's processes run: nobody may know that the stream is not used")
    assert [info.path for info in removed] == [dead]
    assert semaphores_of(dead) == []
    assert len(semaphores_of(unknown)) == SEMAPHORES + 1


def test_command_line(shm_dir: Path, dao_name: str) -> None:
    path = shm_dir / f"{dao_name}.im.shm"
    with DaoStream.create(path, (2, 3), "int16", depth=3, keywords=[("GAIN", "D", 0.5, "of the loop")]) as d:
        for n in range(5):
            d.write(np.full((2, 3), n))
        [listed] = answer("ls")
        assert (listed["name"], listed["dialect"], listed["state"], listed["count"]) == (
            dao_name,
            "dao",
            "unknown",
            5,
        )
        assert (listed["shape"], listed["dtype"], listed["history"]) == ([2, 3], "int16", 3)
        assert (listed["writer_alive"], listed["writer_pid"]) == (None, 0)
        assert "unknown" in output("ls")
        told = answer("info", dao_name)
        assert told["dialect"] == "dao"
        assert told["values"] == [[4, 4, 4], [4, 4, 4]]
        assert told["history"]["length"] == 3
        assert told["history"]["slot"] == d.last_slot
        assert told["keywords"]["each"]["GAIN"]["value"] == 0.5
        assert (
            told["times"]["acquired"]["ns"] == told["times"]["published"]["ns"] == d.acquired_ns(d.last_slot)
        )
        shown = output("info", dao_name)
        for text in ("DAO", "int16", "of the loop", "count"):
            assert text in shown
    assert output("rm", dao_name) == f"removed {dao_name} (unknown)\n"
    assert not path.exists()
    assert semaphores_of(path) == []


def test_command_line_without_semaphores(path: Path, dao_name: str) -> None:
    DaoStream.create(path, (2,), "int16").close()
    for number in (0, 1, 2):
        semaphore_file(path, number).unlink()
    told = answer("info", dao_name)
    assert [each["value"] for each in told["semaphores"]["each"]] == [None] * 3 + [0] * 7
    assert "missing" in output("info", dao_name)


def test_rm_keeps_streams_whose_writer_lives(path: Path, dao_name: str, spawn: Spawner) -> None:
    writer = spawn(
        """
        import sys
        import framebus as fb
        s = fb.create(sys.argv[1], shape=2, dialect="dao")
        s.write([1, 2])
        print("written")
        input()
        """,
        str(path),
    )
    writer.expect("written")
    assert f"process {writer.pid}" in error(2, "rm", dao_name)
    assert path.exists()
    output("rm", "--force", dao_name)
    assert (path.exists(), semaphores_of(path)) == (False, [])
