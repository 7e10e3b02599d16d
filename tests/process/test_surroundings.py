"""What doctor finds on machines of several kinds, by stand-ins for their files; and what it measures on this one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import UsageError
from framebus.process import kernel_files
from framebus.process.effects import measure_effects, with_effects
from framebus.process.findings import Finding, examine, examine_machine, examine_surroundings
from framebus.process.histogram import EDGES_US, Histogram
from framebus.process.machine import machine
from framebus.process.surroundings import SharedMemory, surroundings
from framebus.process.wakeups import measure_wakeups
from support import machines


def found(root: Path) -> dict[str, Finding]:
    every = examine_machine(machine(root)) + examine_surroundings(surroundings(root))
    assert all(finding.text for finding in every)
    assert all(finding.remedy for finding in every if finding.severity in ("warn", "info"))
    return {finding.subject: finding for finding in every}


def severe(root: Path, severity: str) -> set[str]:
    return {subject for subject, finding in found(root).items() if finding.severity == severity}


def test_a_laptop_that_saves_power(tmp_path: Path) -> None:
    root = machines.build(tmp_path, machines.laptop())
    assert severe(root, "warn") >= {
        "SCHED_FIFO priority",
        "locked memory",
        "frequency governor",
        "preemption",
        "idle states",
        "clock",
        "making huge pages",
        "swap",
        "NUMA balancing",
    }
    told = found(root)
    assert told["preemption"].text.startswith("voluntary"), "as it was built, since the boot says nothing"
    assert "C10 890 µs" in told["idle states"].text
    assert "wakes 890 µs late" in told["idle states"].text
    assert told["idle states"].remedy == "sudo cpupower idle-set --disable-by-latency 10"
    assert (told["SMT"].severity, "0,2 1,3" in told["SMT"].text) == ("info", True)
    assert told["clock"].remedy.startswith("echo tsc")
    assert "1 GiB of 2 GiB used" in told["swap"].text
    assert told["ticks"].severity == "info"
    assert told["ticks"].remedy.endswith(": isolcpus=managed_irq,domain,2-3 nohz_full=2-3 rcu_nocbs=2-3")
    assert told["ticks"].remedy == told["isolated CPUs"].remedy
    assert told["interrupts"].severity == "info"
    assert told["interrupts' CPUs"].text.startswith("1 on CPUs 0, 1 on CPUs 0-3, 1 on CPUs 3")


def test_a_server_that_is_tuned(tmp_path: Path) -> None:
    root = machines.build(tmp_path, machines.server())
    assert severe(root, "ok") | {"shared memory", "wake-up latency"} == set(found(root))
    told = found(root)
    assert "none on CPUs 4-7" in told["ticks"].text
    assert "C6 133 µs (off)" in told["idle states"].text
    assert told["hypervisor"].text == "none"


def test_ticks_are_kept_off_the_cpus_that_are_isolated(tmp_path: Path) -> None:
    root = machines.build(tmp_path, machines.laptop())
    (root / "sys/devices/system/cpu/isolated").write_text("1\n")
    assert found(root)["ticks"].remedy.endswith(": nohz_full=1 rcu_nocbs=1")
    (root / "sys/devices/system/cpu/isolated").write_text("\n")
    (root / "sys/devices/system/cpu/online").write_text("0\n")
    assert found(root)["ticks"].remedy == "use a machine with more CPUs"


def test_a_guest_whose_host_gives_time_to_others(tmp_path: Path) -> None:
    told = found(machines.build(tmp_path, machines.virtual()))
    assert told["hypervisor"].severity == "warn"
    assert "2 % of its time since boot went to others" in told["hypervisor"].text
    assert told["clock"].severity == "warn"
    assert "tsc=reliable" in told["clock"].remedy
    assert told["preemption"].text.startswith("voluntary"), "as it was booted"


def test_a_container_in_which_little_is_told(tmp_path: Path) -> None:
    root = machines.build(tmp_path, machines.container())
    assert severe(root, "unknown") >= {
        "idle states",
        "ticks",
        "timer slack",
        "clock",
        "making huge pages",
        "swap",
        "interrupts' CPUs",
        "hypervisor",
        "frequency governor",
        "preemption",
    }
    assert "in a container (docker)" in found(root)["hypervisor"].text


@pytest.mark.parametrize("make", [machines.laptop, machines.server, machines.virtual])
def test_files_that_say_nonsense_or_cannot_be_read_are_not_told(
    make: Callable[[], dict[str, str]], tmp_path: Path
) -> None:
    files = make()
    for name in files:
        if not name.startswith(("proc/self/status", "proc/self/limits", "dev/shm")):
            files[name] = "\x00 [nonsense: -1,a-b\n"
    found(machines.build(tmp_path / "nonsense", files))
    folders = tmp_path / "folders"
    for name in files:
        if not name.startswith(("proc/self/status", "dev/shm")):
            (folders / name).mkdir(parents=True)
    found(machines.build(folders, {"proc/self/status": files["proc/self/status"], "dev/shm/.keep": ""}))


@pytest.mark.parametrize(
    ("shared", "severity", "said"),
    [
        (None, "warn", "not there"),
        (SharedMemory("/dev/shm", "tmpfs", 64 << 20, 60 << 20), "info", "has 8 GiB of memory"),
        (SharedMemory("/dev/shm", "tmpfs", 4 << 30, 1 << 20), "warn", "does not fit"),
        (SharedMemory("/data", "ext4", 4 << 30, 4 << 30), "warn", "no memory"),
        (SharedMemory("/dev/shm", "tmpfs", 4 << 30, 4 << 30), "ok", "4 GiB of 4 GiB free"),
    ],
)
def test_room_for_streams(shared: SharedMemory | None, severity: str, said: str, tmp_path: Path) -> None:
    around = replace(surroundings(tmp_path), shared_memory=shared, memory_bytes=8 << 30)
    (told,) = [f for f in examine_surroundings(around) if f.subject == "shared memory"]
    assert (told.severity, said in told.text) == (severity, True)


def test_the_file_system_of_streams_is_found_above_them(tmp_path: Path) -> None:
    root = machines.build(tmp_path, machines.laptop())
    (root / "proc/mounts").write_text(f"ext4 / ext4 rw\nx {root}/dev/shm tmpfs rw 0 0\n")
    (root / "dev/shm/below").mkdir()
    shared = surroundings(root, root / "dev/shm/below").shared_memory
    assert shared is not None
    assert (shared.kind, shared.directory) == ("tmpfs", f"{root}/dev/shm/below")
    assert shared.total_bytes > 0
    assert surroundings(root, root / "none").shared_memory is None


def test_swap_that_is_hardly_used_is_ok(tmp_path: Path) -> None:
    around = replace(surroundings(tmp_path), swap_bytes=1 << 30, swap_used_bytes=0)
    for swappiness, severity in ((1, "ok"), (60, "info"), (None, "info")):
        (told,) = [
            f for f in examine_surroundings(replace(around, swappiness=swappiness)) if f.subject == "swap"
        ]
        assert told.severity == severity


@pytest.mark.parametrize("damaged", [b"no gzip", b"\x1f\x8b\x08\x00", b""])
def test_a_configuration_that_is_damaged_is_none(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "boot").mkdir()
    (tmp_path / "proc/config.gz").write_bytes(damaged)
    (tmp_path / "proc/sys/kernel/osrelease").write_text("6.1\n")
    assert kernel_files.kernel_config(tmp_path) == {}
    (tmp_path / "proc/config.gz").unlink()
    (tmp_path / "boot/config-6.1").write_text("CONFIG_HZ=1000\n# CONFIG_X is not set\n")
    assert kernel_files.kernel_config(tmp_path) == {"CONFIG_HZ": "1000"}


# ---- measured on this machine ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(-(10**6), 10**11), max_size=50))
def test_every_time_is_in_the_bin_that_it_belongs_to(times: list[int]) -> None:
    histogram = Histogram.of(np.array(times, np.int64))
    edges = [-np.inf, *EDGES_US, np.inf]
    expected = [sum(low <= t / 1e3 < high for t in times) for low, high in itertools.pairwise(edges)]
    assert list(histogram.counts) == expected
    assert histogram.n == len(times)
    assert not times or histogram.max == max(times) / 1e3
    assert all(histogram.counts[i] == 0 for i in range(len(expected)) if i not in histogram.occupied)


def test_wakeups_are_measured_on_each_cpu_and_never_early() -> None:
    cpus = sorted(os.sched_getaffinity(0))[:2]
    shares: list[float] = []
    measured = measure_wakeups(cpus, 0.2, period_us=2000.0, progress=shares.append)
    assert [wakeups.cpu for wakeups in measured] == cpus
    for wakeups in measured:
        assert 0 < wakeups.late.n <= 100
        assert wakeups.refusals == ()
        assert wakeups.late.p50 > 0
        assert wakeups.late.max >= wakeups.late.p99
    assert shares == sorted(shares)
    assert os.sched_getaffinity(0) >= set(cpus), "only the threads were placed"


def test_a_cpu_that_is_not_there_is_left_out() -> None:
    cpu = min(os.sched_getaffinity(0))
    assert [w.cpu for w in measure_wakeups((cpu, 8191), 0.01)] == [cpu]


@pytest.mark.parametrize(
    ("cpus", "seconds", "period"),
    [((), 1.0, 1000.0), ((0,), 0.0, 1000.0), ((0,), 1.0, 0.0), ((0,), 1e-4, 1e3), ((0,), float("inf"), 1e3)],
)
def test_wakeups_that_cannot_be_measured(cpus: tuple[int, ...], seconds: float, period: float) -> None:
    with pytest.raises(UsageError, match="cannot measure wake-ups"):
        measure_wakeups(cpus, seconds, period_us=period)


def test_effects_are_measured_and_told_with_the_findings() -> None:
    on = machine()
    told: list[str] = []
    effects = measure_effects(0.2, on, progress=lambda what, share: told.append(what))
    assert [wakeups.cpu for wakeups in effects.wakeups] == list(on.allowed)
    assert "timer slack" in [comparison.subject for comparison in effects.comparisons]
    assert effects.first_touch_ns > effects.touch_ns >= 0
    assert effects.clock_ns > 0
    assert effects.ramp > 0
    assert "wake-ups of all CPUs" in told
    findings = with_effects(examine(on), effects)
    measured = {finding.subject: finding.effect for finding in findings if finding.effect}
    assert {"timer slack", "locked memory", "clock", "frequency governor", "noisy neighbours"} <= set(
        measured
    )
    parts = [finding.part for finding in findings]
    assert parts == sorted(parts, key=["units", "machine", "parts"].index)


def test_too_short_a_measurement_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"expected 0\.2 s to a day"):
        measure_effects(0.1)
