"""Files of /proc that several parts of framebus take apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framebus.process.kernel_files import cpu_times, stat_fields


@pytest.mark.parametrize("name", ["python", "a) S 7 (b", "tab\tand new\nline", ""])
def test_fields_have_their_numbers_whatever_the_program_is_called(name: str, tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text(f"12 ({name}) R {' '.join(map(str, range(4, 53)))}\n")
    fields = stat_fields(stat)
    assert fields[3] == "R"
    assert [int(field) for field in fields[4:]] == list(range(4, 53))


def test_fields_of_this_process() -> None:
    fields = stat_fields(Path("/proc/self/stat"))
    assert fields[3] == "R"
    assert int(fields[4]) == os.getppid()


@pytest.mark.parametrize("said", [None, "", "nonsense", "12 (cut off", "12 (cut) "])
def test_what_is_gone_or_nonsense_has_no_fields(said: str | None, tmp_path: Path) -> None:
    if said is not None:
        (tmp_path / "stat").write_text(said)
    assert stat_fields(tmp_path / "stat") == []


def test_times_of_all_cpus(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    stat = tmp_path / "proc/stat"
    assert cpu_times(tmp_path) == []
    stat.write_text("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 0 0 0 0 0 0 0 0 0 0\n")
    assert cpu_times(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8], "what guests had is in the first two"
    for nonsense in ("cpu 1 2 3\n", "cpu 1 2 3 4 5 6 7 x\n", ""):
        stat.write_text(nonsense)
        assert cpu_times(tmp_path) == []
