"""``framebus calc`` as a user calls it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest

import framebus as fb
from framebus.errors import StreamNotFound
from support.commands import PROGRAM, answer, call, error, output

SHAPE = (10, 12)


@pytest.fixture
def im() -> Iterator[fb.Stream]:
    with fb.create("im", shape=SHAPE, dtype="uint16", history=4) as stream:
        stream.write(np.arange(120).reshape(SHAPE), acquisition_ns=11)
        yield stream


def test_values(im: fb.Stream) -> None:
    assert output("calc", "max(im)") == "119\n"
    assert output("calc", "im[0:2, 0:2]") == "[[ 0  1]\n [12 13]]\n"
    assert output("calc", "im * 1.0").splitlines() == [
        "10x12 float64",
        "min 0  mean 59.5  max 119  std 34.6398",
    ]
    assert "; 1 of 120 values are not finite" in output("calc", "log(im)")
    assert output("calc", "im > 3").splitlines()[1].startswith("min 0  mean 0.966667")
    assert output("calc", "im * 1j").splitlines()[1].startswith("magnitude min 0")


def test_assignments(im: fb.Stream) -> None:
    printed = output("calc", "out = im + 0.5")
    assert printed.splitlines()[0] == "out  10x12 float64  frame 1, of frame 1 of im"
    with fb.open("out") as out:
        assert out.read()[0, 0] == 0.5
    assert output("calc", "{one-1} = 3") == "one-1  1 int64  frame 1\n3\n"
    assert "--overwrite" in error(2, "calc", "out = im")
    assert output("calc", "out = im", "--overwrite").startswith("out  10x12 uint16")


def test_json(im: fb.Stream) -> None:
    found = answer("calc", "im[0:1, 0:3] / im[0:1, 0:3]")
    assert (found["value"], found["not_finite"], found["trigger"], found["trigger_frame"]) == (
        [[None, 1.0, 1.0]],
        1,
        "im",
        1,
    )
    assert answer("calc", "im > 3")["dtype"] == "bool"
    assert answer("calc", "im[0, 1] * 1j")["value"] == [0.0, 1.0]
    found = answer("calc", "out = im")
    assert (found["stream"], found["frame"], found["acquisition_ns"], found["max"]) == ("out", 1, 11, 119)
    assert "value" not in found


def test_errors(im: fb.Stream) -> None:
    assert "column 6 of 'im - imm': no stream 'imm'; did you mean 'im'?" in error(3, "calc", "im - imm")
    assert "there are no attributes" in error(2, "calc", "im.T")
    assert "--follow" in error(2, "calc", "im", "--on", "im")
    assert "no stream whose frames could trigger" in error(2, "calc", "random(3)", "--follow")
    assert "at most 1 MB are allowed" in error(2, "calc", "zeros(10**6)", "--memory", "0.001")


def test_the_list_of_functions() -> None:
    printed = output("calc", "--functions")
    assert "where(condition, this, that)" in printed
    assert "percentile(x, q, axis)" in printed


def follow(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "calc", *arguments, "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_results_go_on_until_ctrl_c(im: fb.Stream) -> None:
    with follow("twice = im * 2") as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "twice: for each frame of im\n"
        assert program.stdout.readline() == "Ctrl-C ends it\n"
        im.write(np.full(SHAPE, 1))  # the handles are open by now
        wait_for("twice")
        with fb.open("twice") as twice:
            assert twice.count == 2
            for count in range(3, 6):
                im.write(np.full(SHAPE, count), acquisition_ns=count)
                frame = twice.read_next(timeout_s=60)
                assert (frame.count, frame.acquisition_ns, frame.data[0, 0]) == (count, count, 2 * count)
        program.send_signal(signal.SIGINT)
        said, complaints = program.communicate(timeout=60)
    assert (program.returncode, complaints, said) == (0, "", "twice: 4 results  0 missed\n")


def wait_for(name: str) -> None:
    from support.waiting import until

    def written() -> bool:
        try:
            with fb.open(name) as stream:
                return stream.count > 0
        except StreamNotFound:
            return False

    until(written)


def test_a_warning_for_what_is_not_finite(im: fb.Stream) -> None:
    with follow("out = log(im)", "-n", "2") as program:
        assert program.stdout is not None
        program.stdout.readline()
        program.stdout.readline()
        for _ in range(2):
            im.write(np.arange(120).reshape(SHAPE))
        said, complaints = program.communicate(timeout=60)
    assert program.returncode == 0
    assert said == "out: 2 results  0 missed  2 with values that are not finite\n"
    assert complaints == "framebus: warning: frame 2 of out: 1 of 120 values are not finite\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_for_each_frame(im: fb.Stream, as_json: bool) -> None:
    from support.waiting import once_asleep

    def write() -> None:
        im.write(np.full(SHAPE, 5))
        im.write(np.full(SHAPE, 6))

    writer = once_asleep(im.path, write)
    with follow("mean(im)", "-n", "2", *(["--json"] if as_json else [])) as program:
        said, complaints = program.communicate(timeout=60)
    writer.join()
    assert (program.returncode, complaints) == (0, "2 results  0 missed\n")
    if as_json:
        found = [json.loads(line) for line in said.splitlines()]
        assert [(each["value"], each["trigger_frame"]) for each in found] == [(5.0, 2), (6.0, 3)]
    else:
        assert said == "frame 2  5.0\nframe 3  6.0\n"


def test_it_ends_where_it_cannot_go_on(im: fb.Stream) -> None:
    from support.waiting import once_asleep

    writer = once_asleep(im.path, lambda: im.write(np.zeros(SHAPE, np.uint16)))
    with follow("out = 1 // im") as program:
        _, complaints = program.communicate(timeout=60)
    writer.join()
    assert program.returncode == 2
    assert "whole numbers divided by zero" in complaints


def test_help_names_an_example() -> None:
    assert "framebus calc 'clean = " in call("calc", "--help").stdout
