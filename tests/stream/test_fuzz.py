"""Damaged files: refused by the name of a field, or usable; never a crash, a hang, or a look outside the mapping."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from support.processes import Spawner

ROOT = Path(__file__).resolve().parents[2]
FUZZER = ROOT / "tools" / "fuzz_streams.py"
FIELDS = "version naxis size nelement datatype imdatamemsize location file_size CBindex semaphores".split()
DAO_FIELDS = "naxis size nelement atype sem file_size fifo_last_written".split()


@pytest.mark.stress
@pytest.mark.parametrize("seed", [11, 12])
def test_damaged_files(seed: int, stress: bool, spawn: Spawner) -> None:
    cases = 200_000 if stress else 3_000
    interop = Path(os.environ.get("FRAMEBUS_INTEROP", ROOT.parent / "shared" / "interop"))
    options = [
        "--cases",
        str(cases),
        "--seed",
        str(seed),
        *(["--interop", str(interop)] if interop.is_dir() else []),
    ]
    # In a process of its own: a crash is a failed test, not the end of all tests.
    process = spawn(command=[sys.executable, str(FUZZER), *options])
    assert process.wait(timeout_s=3600) == 0, f"{process.lines[-1:]}\n{process.errors}"
    assert process.expect("fine").startswith(f"fine: {cases} cases")
    counts = {field: int(n) for field, n in re.findall(r"(\S+)=(\d+)", "\n".join(process.lines))}
    # Each check has been seen to refuse something, and files have opened.
    assert counts.keys() == {*FIELDS, *DAO_FIELDS, "opened"}


def test_what_is_found_can_be_repeated(spawn: Spawner) -> None:
    process = spawn(command=[sys.executable, str(FUZZER), "--seed", "11", "--only", "5"])
    assert process.wait() == 0, process.errors
    assert process.expect("fine").startswith("fine: 1 cases, seed 11")
