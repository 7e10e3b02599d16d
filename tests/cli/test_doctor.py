from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from framebus.cli import doctor
from framebus.errors import UsageError
from framebus.process import ProcessRecord
from framebus.process.machine import machine
from framebus.process.placement import Finding
from support.commands import PROGRAM, answer, error, output


def test_units_machine_and_parts_are_told_and_summed_up() -> None:
    with ProcessRecord.create("rtc") as record:
        record.core.set_refusals(
            "SCHED_FIFO priority 80 refused: Operation not permitted; raise RLIMIT_RTPRIO"
        )
        printed = output("doctor")
        record.remove()
    lines = printed.splitlines()
    titles = [lines.index(title) for title in ("running units", "this machine", "optional parts")]
    assert titles == sorted(titles)
    assert f"warn  rtc.{os.getpid()}: SCHED_FIFO priority 80 refused: Operation not permitted" in lines
    assert "      → raise RLIMIT_RTPRIO" in lines
    assert any(line.startswith(("ok    CPUs: ", "warn  CPUs: ")) for line in lines)
    assert "that could be better" in lines[-3]
    assert lines[-2].startswith(f"in the way: rtc.{os.getpid()}")


def test_json_has_findings_and_facts() -> None:
    told = answer("doctor")
    assert {finding["part"] for finding in told["findings"]} == {"units", "machine", "parts"}
    assert set(told["findings"][0]) == {"part", "subject", "severity", "text", "remedy", "effect"}
    assert told["machine"]["allowed"] == list(machine().allowed)


def test_texts_of_others_cannot_command_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    nasty = Finding("units", "a\x1b[2J", "warn", "b\x1b[2J [red]", "c\x1b[2J")
    monkeypatch.setattr(doctor, "examine", lambda facts, around: [nasty])
    printed = output("doctor")
    assert "\x1b" not in printed
    assert "b\\x1b[2J [red]" in printed
    assert "1 in the way of real time, 0 that could be better" in printed


def test_a_machine_that_cannot_be_looked_at_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind() -> None:
        raise UsageError("cannot look at the machine: mount /proc")

    monkeypatch.setattr(doctor, "machine", blind)
    assert "mount /proc" in error(2, "doctor")


def test_in_a_narrow_terminal_texts_wrap_and_commands_stay_whole(shm_dir: Path) -> None:
    long = "sudo " + "x" * 100
    with ProcessRecord.create("rtc") as record:
        record.core.set_refusals(f"{'word ' * 30}refused: no; {long}")
        leader, follower = pty.openpty()
        done = subprocess.Popen(
            [*PROGRAM, "doctor"],
            stdout=follower,
            stdin=follower,
            env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "xterm"},
        )
        os.close(follower)
        said = b""
        try:
            while chunk := os.read(leader, 65536):
                said += chunk
        except OSError:
            pass  # how a terminal says that nobody writes there any more
        finally:
            os.close(leader)
        assert done.wait() == 0
        record.remove()
    lines = said.decode().splitlines()
    assert f"      → {long}" in lines
    assert all(len(line.rstrip()) <= 80 for line in lines if "→" not in line)
    assert sum(line.lstrip().startswith("word") or "rtc." in line for line in lines) > 1


def test_doctor_needs_no_numba() -> None:
    program = "import sys; from framebus.cli.root import root; root(['doctor'], standalone_mode=False); "
    program += "sys.exit('numba' in sys.modules or 'astropy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=False).returncode
        == 0
    )


def test_measured_effects_are_told(shm_dir: Path) -> None:
    lines = output("doctor", "--measure", "0.2").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("wake-ups on the clock, 0.2 s"))
    assert lines[at + 1].split()[0] == "CPU"
    assert len(lines[at + 1]) <= 80
    cpu = str(machine().allowed[0])
    assert lines[at + 2].split()[0] == cpu
    assert any(line.startswith("      measured: wake-up ") for line in lines)


def test_measured_effects_are_in_json() -> None:
    told = answer("doctor", "--measure", "0.2")
    assert [w["cpu"] for w in told["effects"]["wakeups"]] == list(machine().allowed)
    assert any(finding["effect"] for finding in told["findings"])
    assert told["surroundings"]["idle_driver"] is not None


def test_too_short_a_measurement_is_an_error() -> None:
    assert "cannot measure for 0.1 s" in error(2, "doctor", "--measure", "0.1")
