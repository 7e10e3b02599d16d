"""``framebus copy``: a stream handed on as a user would."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.stream.names import stream_path
from support.commands import PROGRAM, error, output
from support.pipelines import Pipelines
from support.waiting import until


@pytest.fixture
def source() -> Iterator[fb.Stream]:
    with fb.create("wfs", shape=(4, 6), dtype="uint16", history=4, keywords={"FRATE": 500.0}) as stream:
        for count in range(1, 4):
            stream.write(np.full((4, 6), count))
        yield stream


def test_frames_go_on_until_ctrl_c(source: fb.Stream, dao_name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{dao_name}.im.shm"
    command = [*PROGRAM, "copy", "wfs", str(path), "--dialect", "dao", "--history", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == f"wfs (isio) -> {path} (dao), 4x6 uint16, history 2\n"
        assert program.stdout.readline().startswith("copy: source=wfs -> target=")
        with fb.open(path) as target:
            assert (target.dialect.name, target.history_length) == ("dao", 2)
            assert dict(target.keywords) == {"FRATE": 500.0}
            for count in range(4, 8):
                source.write(np.full((4, 6), count), acquisition_ns=count)
                frame = target.read_next(timeout_s=60.0)
                assert (frame.count, frame.acquisition_ns, frame.data[3, 5]) == (count, count, count)
            program.send_signal(signal.SIGINT)
            said, complaints = program.communicate(timeout=60.0)
            assert (program.returncode, complaints) == (0, "")
            assert "copy: 4 loops  0 missed" in said
            target.remove()


def test_once(source: fb.Stream) -> None:
    printed = output("copy", "wfs", "twin", "--dialect", "isio", "--once")
    assert printed.startswith("wfs (isio) -> ")
    with fb.open("twin") as twin:
        assert (twin.count, twin.read()[0, 0], twin.history_length) == (3, 3, 4)


def test_in_the_background(source: fb.Stream, pipelines: Pipelines) -> None:
    assert "runs in the background" in output(
        "copy", "wfs", "twin", "--dialect", "isio", "--detach", "--name", "twins"
    )
    with fb.open("twin") as twin:
        until(lambda: source.write(np.full((4, 6), 9)) and twin.count)
        assert twin.read()[0, 0] == 9
    output("down", "twins")


def test_what_cannot_be(source: fb.Stream) -> None:
    assert "no stream 'nothing'" in error(3, "copy", "nothing", "twin")
    assert "is the stream that is to be copied" in error(2, "copy", "wfs", "wfs")
    assert "slice" in error(2, "copy", "wfs", "twin[0]")
    with fb.create("half", shape=2, dtype="float16") as half:
        half.write(np.ones(2))
        assert "half holds float16" in error(2, "copy", "half", "twin", "--once")
        assert not stream_path("twin").exists()
    with fb.create("never", shape=2):
        assert "no frame yet" in error(3, "copy", "never", "twin", "--once")
