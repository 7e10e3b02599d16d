"""Log files that are rotated while somebody writes to them, read from their end, and followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.pipeline.logs import Added, LogFile, follow, tail


def test_rotated_under_an_open_descriptor(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "logs" / "unit.log", max_bytes=10, keep=2)
    assert not log.rotate()
    writer = log.open()
    for number in range(4):
        os.write(writer, b"short")
        assert not log.rotate()
        os.write(writer, f"-long {number}".encode())
        assert log.rotate()
        assert log.path.read_bytes() == b""
    os.write(writer, b"last")
    os.close(writer)
    assert {path.name: path.read_text() for path in log.path.parent.iterdir()} == {
        "unit.log": "last",
        "unit.log.1": "short-long 3",
        "unit.log.2": "short-long 2",
    }


@pytest.mark.parametrize("keep", [0, 1])
def test_keeps_as_many_as_asked(tmp_path: Path, keep: int) -> None:
    log = LogFile(tmp_path / "unit.log", max_bytes=1, keep=keep)
    for number in range(3):
        log.write(f"line {number}")
        assert log.rotate()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["unit.log", "unit.log.1"][: keep + 1]


def test_names_with_slashes(tmp_path: Path) -> None:
    assert LogFile.of(tmp_path, "a/b", 1, 1).path == tmp_path / "a%2Fb.log"


@given(
    st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=30), max_size=20),
    st.integers(0, 25),
)
def test_tail(tmp_path_factory: pytest.TempPathFactory, lines: list[str], n: int) -> None:
    path = tmp_path_factory.mktemp("tail") / "log"
    path.write_text("".join(f"{line}\n" for line in lines))
    assert tail(path, n) == "".join(f"{line}\n" for line in lines[max(0, len(lines) - n) :])


def test_tail_of_much_and_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert tail(path, 3) == ""
    path.write_text("".join(f"{number:0100d}\n" for number in range(5000)))
    assert [int(line) for line in tail(path, 2000).splitlines()] == list(range(3000, 5000))


def test_follow(tmp_path: Path) -> None:
    """What comes after the call, over a rotation, until there is no more to come."""
    log = LogFile(tmp_path / "log", max_bytes=1)
    steps = iter([*(f"line {number}" for number in range(3)), None, "after the rotation"])

    def go_on() -> bool:
        try:
            step = next(steps)
        except StopIteration:
            return False
        if step is None:
            assert log.rotate()
        else:
            log.write(step)
        return True

    log.write("before")
    assert "".join(follow(log.path, go_on)) == "line 0\nline 1\nline 2\nafter the rotation\n"
    assert list(follow(tmp_path / "none", lambda: False)) == []


def test_following_loses_nothing_between_the_last_lines_and_the_first_look(tmp_path: Path) -> None:
    path = tmp_path / "unit.log"
    path.write_text("one\ntwo\nthree\n")

    def ends() -> bool:
        with path.open("a") as file:
            file.write("between\nhalf")
        return False

    assert "".join(follow(path, ends, 2)) == "two\nthree\nbetween\nhalf"


@given(st.binary(max_size=300).map(lambda data: data.replace(b"\r", b"")), st.lists(st.integers(0, 300)))
def test_added_in_any_pieces(tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int]) -> None:
    path = tmp_path_factory.mktemp("added") / "log"
    texts, lines = Added(path), Added(path)
    text, found = "", []
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    with path.open("ab", buffering=0) as file:
        for start, end in zip([0, *ends], ends, strict=False):
            file.write(data[start:end])
            text += texts.text()
            found += lines.lines()
        file.write(b"\nend\n")
    text += texts.text()
    found += lines.lines()
    assert text == data.decode(errors="replace") + "\nend\n"
    assert found == text.split("\n")[:-1]
    assert texts.text() == ""
    assert lines.lines() == []


def test_added_counts_the_last_lines_and_goes_on_over_a_rotation(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", max_bytes=1)
    for number in range(5):
        log.write(f"line {number}")
    added = Added(log.path, 2)
    log.write("line 5")
    assert added.lines() == ["line 3", "line 4", "line 5"]
    with log.path.open("a") as file:
        file.write("half a li")
    assert added.lines() == []
    assert log.rotate()
    log.write("new")
    assert added.lines() == ["new"]
    log.path.unlink()
    assert added.lines() == []


def test_a_log_that_grows_meanwhile_has_no_more_lines_than_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthree\n")
    text = Added.text

    def late(self: Added) -> str:
        with path.open("a") as file:
            file.write("four\nfi")
        return text(self)

    monkeypatch.setattr(Added, "text", late)
    assert tail(path, 2) == "four\nfi"
    assert tail(path, 0) == ""
