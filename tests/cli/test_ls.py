from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.ops import link
from framebus.stream.rates import _rate, measure_rates
from support.commands import answer, call, output
from support.processes import Spawner

LEAVE_A_DEAD_STREAM = """
    import os, signal
    import framebus as fb
    fb.create("kept", shape=(2,)).write([1.0, 2.0])
    gone = fb.create("gone", shape=(2, 80))
    gone.write([[1.0] * 80] * 2)
    print(os.getpid(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def dead_stream(spawn: Spawner) -> int:
    """Make stream 'gone', whose writer was killed, and 'kept', which it had closed before; its pid."""
    writer = spawn(LEAVE_A_DEAD_STREAM)
    pid = int(writer.expect(""))
    assert writer.wait() == -9
    return pid


def rows(printed: str) -> dict[str, list[str]]:
    """Words of each row of the table by its first one."""
    return {line.split()[0]: line.split() for line in printed.splitlines()}


def test_a_table_tells_what_streams_there_are(spawn: Spawner, shm_dir: Path) -> None:
    dead = dead_stream(spawn)
    (shm_dir / "junk.im.shm").write_bytes(b"x" * 500)
    with (
        fb.create("wfs", shape=(120, 12), dtype="uint16", history=3) as wfs,
        fb.create("new", shape=(7,)) as new,
    ):
        wfs.write(np.ones((120, 12), "uint16"))
        printed = output("ls")
        table = rows(printed)
        pid = str(answer("ls", "wfs")[0]["writer_pid"])
        assert table["NAME"] == [
            "NAME",
            "SHAPE",
            "DTYPE",
            "COUNT",
            "AGE",
            "WRITER",
            "PROCESS",
            "READERS",
            "HISTORY",
            "STATE",
        ]
        assert table["wfs"][:4] == ["wfs", "120x12", "uint16", "1"]
        assert table["wfs"][-1] == "live"
        assert table["wfs"][-2] == "3"
        assert pid in table["wfs"]
        assert table["new"][1:5] == ["7", "float32", "0", "-"]
        assert table["new"][-1] == "empty"
        assert table["gone"][-1] == "dead"
        assert table["gone"][-5:-3] == [str(dead), "gone"]
        assert table["kept"][-1] == "left"
        assert table["junk"] == ["junk", "bad"]
        assert "junk: header field 'version': " in printed
        assert printed.splitlines()[-1] == (f"5 streams in {shm_dir}: 1 live, 1 empty, 1 left, 1 dead, 1 bad")
        assert new.count == 0


def test_json_has_plain_values_for_every_state(spawn: Spawner, shm_dir: Path) -> None:
    dead = dead_stream(spawn)
    (shm_dir / "junk.im.shm").write_bytes(b"")
    with fb.create("wfs", shape=(3, 4), dtype="float32"):
        bad, live, empty = (
            next(s for s in answer("ls") if s["name"] == name) for name in ("junk", "gone", "wfs")
        )
    assert live["age_s"] >= 0
    del live["age_s"]
    assert live == {
        "name": "gone",
        "path": str(shm_dir / "gone.im.shm"),
        "state": "dead",
        "shape": [2, 80],
        "dtype": "float32",
        "count": 1,
        "writer_pid": dead,
        "writer_alive": False,
        "writer_command": "",
        "readers": 0,
        "history": 0,
        "size_bytes": (shm_dir / "gone.im.shm").stat().st_size,
        "dialect": "isio",
        "error": "",
        "link": "",
    }
    assert (empty["state"], empty["age_s"], empty["writer_alive"]) == ("empty", None, True)
    assert (bad["state"], bad["shape"], bad["dtype"], bad["writer_alive"]) == ("bad", None, None, None)
    assert "the file is empty" in bad["error"]


def test_links_are_told(shm_dir: Path) -> None:
    (shm_dir / "nowhere.im.shm").symlink_to("gone.im.shm")
    with fb.create("wfs", shape=(1,)) as wfs:
        wfs.write([1])
        link("wfs", "seen")
        told = {info["name"]: info for info in answer("ls")}
        assert [(told[name]["link"], told[name]["state"]) for name in ("wfs", "seen", "nowhere")] == [
            ("", "live"),
            ("wfs.im.shm", "live"),
            ("gone.im.shm", "bad"),
        ]
        printed = output("ls")
        assert "seen → wfs " in printed
        assert "nowhere → gone " in printed
        assert "a link to gone.im.shm, which is not there" in printed
        assert "a link to wfs.im.shm" in output("info", "seen")
        assert answer("info", "seen")["link"] == "wfs.im.shm"
        assert output("rm", "nowhere") == "removed nowhere (a link)\n"
        assert output("rm", "seen") == "removed seen (a link)\n"
    assert [path.name for path in shm_dir.iterdir()] == ["wfs.im.shm"]


def test_patterns_choose() -> None:
    with fb.create("wfs1", shape=(1,)), fb.create("wfs2", shape=(1,)), fb.create("dm", shape=(1,)):
        assert [s["name"] for s in answer("ls")] == ["dm", "wfs1", "wfs2"]
        assert [s["name"] for s in answer("ls", "wfs*")] == ["wfs1", "wfs2"]
        assert [s["name"] for s in answer("ls", "wfs[2-9]", "dm")] == ["dm", "wfs2"]
        assert answer("ls", "w") == []


def test_a_directory_without_streams_says_where_it_looked_and_what_to_do(shm_dir: Path) -> None:
    printed = output("ls")
    assert f"no streams in {shm_dir} (from MILK_SHM_DIR)" in printed
    assert "framebus demo" in printed
    assert "fb.create(" in printed
    assert answer("ls") == []


@pytest.mark.parametrize(
    ("setting", "why"), [("", "is not set"), ("/no/such\x1bplace", "no directory: /no/such\\x1bplace")]
)
def test_an_empty_listing_says_why_it_looked_there(
    setting: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framebus.stream.streams", list)
    monkeypatch.setenv("MILK_SHM_DIR", setting)
    assert why in call("ls").stdout.splitlines()[0]


def test_a_pattern_without_match_says_how_many_there_are(shm_dir: Path) -> None:
    with fb.create("wfs", shape=(1,)):
        assert output("ls", "dm*") == f"no name matches dm*; there are 1 stream in {shm_dir}\n"


def test_names_from_shared_memory_are_neither_obeyed_nor_cut(shm_dir: Path) -> None:
    long = "a_name_of_a_stream_that_is_longer_than_any_column_" + "x" * 29
    (shm_dir / "evil\x1b[31m[red].im.shm").write_bytes(b"")
    with fb.create(long, shape=(1,)):
        printed = output("ls")
    assert long in printed.split()
    assert "evil\\x1b[31m[red]" in printed.split()
    assert "\x1b" not in printed


def test_rates_are_measured_between_two_looks(monkeypatch: pytest.MonkeyPatch, spawn: Spawner) -> None:
    dead_stream(spawn)
    with fb.create("busy", shape=(1,)) as busy, fb.create("quiet", shape=(1,)) as quiet:
        quiet.write([1.0])
        busy.write([0.0])
        pauses: list[float] = []

        def write_meanwhile(seconds: float) -> None:
            pauses.append(seconds)
            for i in range(5):
                busy.write([float(i)])

        monkeypatch.setattr(time, "sleep", write_meanwhile)
        rates = {s["name"]: s["rate_hz"] for s in answer("ls", "--rate")}
        table = rows(output("ls", "--rate"))
    assert pauses == [0.5, 0.5]
    assert rates["busy"] > 0
    assert rates["quiet"] == 0
    assert rates["gone"] is None
    assert table["NAME"][4] == "RATE"
    assert table["busy"][5] in ("Hz", "kHz", "MHz")
    assert table["quiet"][4:6] == ["0", "Hz"]
    assert table["gone"][4] == "-"


def test_a_rate_is_frames_per_time_between_their_publications() -> None:
    second = 10**9
    assert _rate((10, 5 * second, 0), (20, 7 * second, second // 2)) == 5.0
    assert _rate((10, 0, 0), (20, 0, second // 2)) == 20.0  # a writer that tells no time
    assert _rate((0, 0, 0), (20, 7 * second, second)) == 20.0  # no frame before
    assert _rate((10, 7 * second, 0), (20, 5 * second, second)) == 10.0  # its clock was set back
    assert _rate((10, 5 * second, 0), (10, 5 * second, second)) == 0.0
    assert _rate((10, 5 * second, 0), (2, 6 * second, second)) == 0.0


def test_a_stream_that_goes_away_before_its_rate_is_measured_has_none() -> None:
    stream = fb.create("wfs", shape=(1,))
    infos = fb.streams()
    stream.remove()
    assert measure_rates(infos, interval_s=0.0) == {}


def test_readers_are_counted(spawn: Spawner) -> None:
    with fb.create("wfs", shape=(3, 4), dtype="float32") as wfs:
        wfs.write(np.zeros((3, 4), "float32"))
        assert answer("ls")[0]["readers"] == 0
        readers = [
            spawn('import framebus as fb; held = fb.open("wfs"); print("open"); input()') for _ in range(2)
        ]
        for reader in readers:
            reader.expect("open")
        assert answer("ls")[0]["readers"] == 2
        assert rows(output("ls"))["wfs"][-3] == "2"
