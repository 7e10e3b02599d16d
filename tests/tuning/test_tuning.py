"""Settings changed and put back, on stand-ins for a machine: never on this one."""

from __future__ import annotations

import json
import mmap
import os
import stat
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framebus import tuning
from framebus.errors import DataError, UsageError
from framebus.process.findings import Finding, examine_machine, examine_surroundings
from framebus.process.machine import machine
from framebus.process.surroundings import surroundings
from framebus.tuning import Item, Memory
from framebus.tuning.changes import Change, FileMode, KernelFile, MountSize, TextFile
from support import machines
from support.processes import Spawner

HUGE = "sys/kernel/mm/transparent_hugepage"


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    return machines.build(tmp_path / "laptop", machines.laptop())


def content(root: Path) -> dict[str, tuple[str, int]]:
    """Every setting of a machine, and its access mode; not what tuning keeps for itself."""
    return {
        str(path.relative_to(root)): (path.read_text(errors="replace"), stat.S_IMODE(path.stat().st_mode))
        for path in root.rglob("*")
        if path.is_file() and "var/lib/framebus" not in str(path)
    }


def values(root: Path) -> dict[str, str]:
    return {name: text.strip() for name, (text, _) in content(root).items()}


def settled(root: Path) -> dict[str, tuple[str, int]]:
    """As ``content``, with files of choices as the kernel would show them after they are written: the choice alone."""
    files = content(root)
    for name in (f"{HUGE}/enabled", f"{HUGE}/defrag"):
        text, mode = files[name]
        files[name] = (text.partition("[")[2].partition("]")[0] + "\n" if "[" in text else text, mode)
    return files


def results(outcomes: list[tuning.Outcome]) -> dict[str, str]:
    return {outcome.item: outcome.result for outcome in outcomes}


# ---- what there is to tune -------------------------------------------------------------------------------------------


def test_a_laptop_has_much_to_be_tuned(laptop: Path) -> None:
    found = {item.name: item for item in tuning.items(laptop, cpus=(2, 3), user="mara", huge_pages=8)}
    assert set(found) == {
        "governor",
        "idle-states",
        "rt-time",
        "huge-pages",
        "swappiness",
        "numa-balancing",
        "clock",
        "limits",
        "latency-device",
        "irq-default",
        "irq-9",
        "irq-24",
        "explicit-huge-pages",
    }
    assert len(found["governor"].changes) == 4
    deep = {change.path for change in found["idle-states"].changes}
    assert deep == {
        f"/sys/devices/system/cpu/cpu{c}/cpuidle/state{s}/disable" for c in (2, 3) for s in (2, 3)
    }
    assert found["irq-9"].changes[0].wanted == "0-1"
    assert found["irq-24"].changes[0].wanted == "0-1", "it was on a loop's CPU only"
    assert found["irq-default"].changes[0].wanted == "3"


def test_a_tuned_server_has_nothing_to_be_tuned(tmp_path: Path) -> None:
    root = machines.build(tmp_path, machines.server())
    assert tuning.items(root, user="root") == []
    assert tuning.manuals(root) == []


def test_where_little_is_told_little_is_tuned(tmp_path: Path) -> None:
    root = machines.build(tmp_path, machines.container())
    assert [item.name for item in tuning.items(root, user="mara")] == ["limits"]
    assert tuning.items(root, user="root") == []


def test_what_is_left_to_people_is_told(laptop: Path) -> None:
    found = {manual.name: manual for manual in tuning.manuals(laptop, cpus=(3,))}
    assert set(found) == {"isolation", "preemption", "irqbalance", "SMT"}
    assert "isolcpus=managed_irq,domain,3 nohz_full=3 rcu_nocbs=3" in found["isolation"].command
    assert "preempt=full" in found["preemption"].command
    assert "(1,3)" in found["SMT"].why.replace(" ", "")


def test_without_cpus_interrupts_stay_where_they_are(laptop: Path) -> None:
    names = [item.name for item in tuning.items(laptop, user="root")]
    assert not [name for name in names if name.startswith("irq")]
    (laptop / "sys/devices/system/cpu/isolated").write_text("3\n")
    names = [item.name for item in tuning.items(laptop, user="root")]
    assert {"irq-default", "irq-9", "irq-24"} <= set(names), "isolated CPUs are those of loops"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cpus": (2, 9)}, "CPUs 9 do not exist or are offline; choose among 0-3"),
        ({"cpus": (0, 1, 2, 3)}, "leave one at least"),
        ({"user": "a b"}, "no name of a user"),
        ({"user": "x\ny"}, "no name of a user"),
        ({"huge_pages": -1}, "-1 huge pages"),
    ],
)
def test_what_is_not_possible_is_an_error(asked: dict[str, Any], message: str, laptop: Path) -> None:
    with pytest.raises(UsageError, match=message):
        tuning.items(laptop, **{"user": "mara", **asked})


def test_a_mask_of_many_cpus_is_in_words(tmp_path: Path) -> None:
    files = machines.basic(40) | {"proc/irq/default_smp_affinity": "ff,ffffffff\n"}
    root = machines.build(tmp_path, files)
    (item,) = [i for i in tuning.items(root, cpus=(38, 39), user="root") if i.name == "irq-default"]
    assert item.changes[0].wanted == "3f,ffffffff"
    (root / "proc/irq/default_smp_affinity").write_text("0000003f,ffffffff\n")
    assert "irq-default" not in [i.name for i in tuning.items(root, cpus=(38, 39), user="root")]


# ---- what framebus doctor says of the same ---------------------------------------------------------------------------


def doctors(root: Path, subject: str) -> Finding:
    found = [*examine_machine(machine(root)), *examine_surroundings(surroundings(root))]
    return next(finding for finding in found if finding.subject == subject)


@pytest.mark.parametrize("cpus", [1, 2, 3, 4, 5])
def test_the_doctor_proposes_the_same_cpus_for_loops(cpus: int, tmp_path: Path) -> None:
    root = machines.build(tmp_path, machines.basic(cpus))
    commands = [manual.command for manual in tuning.manuals(root) if manual.name == "isolation"]
    finding = doctors(root, "isolated CPUs")
    assert finding.severity == "info"
    assert ([finding.remedy] if "isolcpus" in finding.remedy else []) == commands
    assert bool(commands) == (cpus > 1), "no machine can do with isolated CPUs alone"


@pytest.mark.parametrize(
    "clock", ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "hpet", "acpi_pm"]
)
def test_a_clock_that_the_doctor_likes_is_not_changed(clock: str, laptop: Path) -> None:
    folder = laptop / "sys/devices/system/clocksource/clocksource0"
    (folder / "current_clocksource").write_text(f"{clock}\n")
    changed = "clock" in [item.name for item in tuning.items(laptop, user="root")]
    assert changed == (doctors(laptop, "clock").severity != "ok")


@pytest.mark.parametrize("swappiness", [0, 1, 2, 10, 11, 60, 200])
def test_a_swappiness_that_the_doctor_likes_is_not_changed(swappiness: int, laptop: Path) -> None:
    (laptop / "proc/meminfo").write_text("MemTotal: 9 kB\nSwapTotal: 2097152 kB\nSwapFree: 2097152 kB\n")
    (laptop / "proc/sys/vm/swappiness").write_text(f"{swappiness}\n")
    changed = "swappiness" in [item.name for item in tuning.items(laptop, user="root")]
    assert changed == (doctors(laptop, "swap").severity != "ok")


# ---- applying and undoing --------------------------------------------------------------------------------------------


def test_all_is_applied_and_put_back_exactly(laptop: Path) -> None:
    limits = laptop / "etc/security/limits.d/framebus.conf"
    limits.write_text("# ours\nmara - rtprio 99")
    limits.chmod(0o600)
    before = settled(laptop)
    found = tuning.items(laptop, cpus=(2, 3), user="mara", huge_pages=8)
    outcomes = tuning.apply(found, laptop)
    assert set(results(outcomes).values()) == {"applied"}
    now = values(laptop)
    assert now["sys/devices/system/cpu/cpufreq/policy3/scaling_governor"] == "performance"
    assert now["sys/devices/system/cpu/cpu3/cpuidle/state3/disable"] == "1"
    assert now["sys/devices/system/cpu/cpu1/cpuidle/state3/disable"] == "0", "no loop runs there"
    assert now["proc/sys/kernel/sched_rt_runtime_us"] == "-1"
    assert (now[f"{HUGE}/enabled"], now[f"{HUGE}/defrag"]) == ("madvise", "madvise")
    assert now["proc/irq/24/smp_affinity_list"] == "0-1"
    assert limits.read_text() == "# ours\nmara - rtprio 99\nmara - memlock unlimited\n"
    assert stat.S_IMODE(limits.stat().st_mode) == 0o600
    assert stat.S_IMODE((laptop / "dev/cpu_dma_latency").stat().st_mode) == 0o666
    assert (laptop / "etc/udev/rules.d/99-framebus.rules").exists()
    assert tuning.items(laptop, cpus=(2, 3), user="mara", huge_pages=8) == []

    undone = tuning.undo(laptop)
    assert set(results(undone).values()) == {"restored"}
    assert settled(laptop) == before
    assert not tuning.state_path(laptop).exists()
    assert tuning.undo(laptop) == []


def test_a_text_file_comes_back_byte_for_byte(laptop: Path) -> None:
    limits = laptop / "etc/security/limits.d/framebus.conf"
    limits.write_bytes(b"a\r\n\xff")
    tuning.apply(tuning.items(laptop, user="mara"), laptop)
    assert limits.read_bytes() == b"a\r\n\xff\nmara - rtprio 99\nmara - memlock unlimited\n"
    tuning.undo(laptop)
    assert limits.read_bytes() == b"a\r\n\xff"


@pytest.mark.parametrize("before", [b"# ours\n", None])
def test_a_text_file_behind_a_link_stays_there(before: bytes | None, laptop: Path) -> None:
    link = laptop / "etc/security/limits.d/framebus.conf"
    link.symlink_to("../ours")
    if before is not None:
        (laptop / "etc/security/ours").write_bytes(before)
    tuning.apply(tuning.items(laptop, user="mara"), laptop)
    assert link.is_symlink()
    assert "mara - rtprio 99" in (laptop / "etc/security/ours").read_text()
    tuning.undo(laptop)
    assert link.is_symlink()
    assert (link.read_bytes() if link.exists() else None) == before


def test_a_link_out_of_a_stand_in_is_not_followed(laptop: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("of another machine\n")
    (laptop / "etc/security/limits.d/framebus.conf").symlink_to(outside)
    with pytest.raises(OSError, match="leads out of"):
        tuning.items(laptop, user="mara")
    change = TextFile("/etc/security/limits.d/framebus.conf", "x\n", laptop)
    (outcome,) = tuning.apply([item(change)], laptop)
    assert (outcome.result, "leads out of" in outcome.text) == ("failed", True)
    assert outside.read_text() == "of another machine\n"


def test_a_text_file_stays_its_owners(laptop: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    limits = laptop / "etc/security/limits.d/framebus.conf"
    limits.write_text("# ours\n")
    limits.chmod(0o640)
    os.chown(limits, 1234, 4321)
    tuning.apply(tuning.items(laptop, user="mara"), laptop)
    tuning.undo(laptop)
    now = limits.stat()
    assert (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (1234, 4321, 0o640)


def test_applied_twice_the_first_values_come_back(laptop: Path) -> None:
    before = settled(laptop)
    tuning.apply(tuning.items(laptop, cpus=(3,), user="mara"), laptop)
    again = tuning.items(laptop, cpus=(2, 3), user="mara")
    assert [item.name for item in again] == ["idle-states", "irq-default", "irq-9", "irq-24"]
    tuning.apply(again, laptop)
    assert set(results(tuning.apply(again, laptop)).values()) == {"already"}
    tuning.undo(laptop)
    assert settled(laptop) == before


class _Refusing(KernelFile):
    """A file that the kernel does not let be written, by its errno."""

    number = 1

    def put(self, value: str | None) -> None:
        raise OSError(self.number, os.strerror(self.number), str(self.where))


def item(*changes: Change, **options: Any) -> Item:
    return Item("several", "what", "why", changes, **options)


def test_an_item_of_which_a_part_is_refused_is_not_changed_at_all(laptop: Path) -> None:
    before = content(laptop)
    swap = KernelFile("/proc/sys/vm/swappiness", "1", laptop)
    rule = TextFile("/etc/udev/rules.d/a.rules", "x\n", laptop)
    mode = FileMode("/dev/cpu_dma_latency", "640", laptop)
    gone = KernelFile("/proc/sys/vm/none", "1", laptop)
    (outcome,) = tuning.apply([item(swap, rule, mode, gone)], laptop)
    assert outcome.result == "failed"
    assert "/proc/sys/vm/none: No such file or directory" in outcome.text
    assert content(laptop) == before
    assert tuning.undo(laptop) == []


def test_what_a_driver_keeps_is_no_failure(laptop: Path) -> None:
    class Placed(_Refusing):
        number = 5

    (outcome,) = tuning.apply(
        [item(Placed("/proc/irq/9/smp_affinity_list", "0", laptop, "list"), driver_may_refuse=True)], laptop
    )
    assert (outcome.result, "its driver places it" in outcome.text) == ("kept", True)
    assert tuning.undo(laptop) == []


def test_a_value_that_the_kernel_makes_another_is_put_back(laptop: Path) -> None:
    class Rounding(KernelFile):
        def put(self, value: str | None) -> None:
            super().put("40" if value == "1" else value)
            self._look_again(value, self.current())

    before = content(laptop)
    (outcome,) = tuning.apply([item(Rounding("/proc/sys/vm/swappiness", "1", laptop))], laptop)
    assert outcome.result == "failed"
    assert "made it '40', not '1'" in outcome.text
    assert content(laptop) == before


def test_what_cannot_be_put_back_at_once_stays_remembered(laptop: Path) -> None:
    class Stuck(KernelFile):
        def put(self, value: str | None) -> None:
            if value != self.wanted:
                raise OSError(16, "Device or resource busy")
            super().put(value)

    stuck = Stuck("/proc/sys/vm/swappiness", "1", laptop)
    gone = KernelFile("/proc/sys/vm/none", "1", laptop)
    (outcome,) = tuning.apply([item(stuck, gone)], laptop)
    assert "could not be put back: Device or resource busy" in outcome.text
    assert results(tuning.undo(laptop)) == {"several": "restored"}
    assert values(laptop)["proc/sys/vm/swappiness"] == "60"


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, UnicodeError])
def test_an_item_that_anything_ends_is_not_changed_at_all(raised: type[BaseException], laptop: Path) -> None:
    class Ended(KernelFile):
        def put(self, value: str | None) -> None:
            super().put(value)
            if value == self.wanted:
                raise raised

    before = content(laptop)
    rule = TextFile("/etc/udev/rules.d/a.rules", "x\n", laptop)
    swap = Ended("/proc/sys/vm/swappiness", "1", laptop)
    done = item(KernelFile("/proc/sys/kernel/numa_balancing", "0", laptop))
    with pytest.raises(raised):
        tuning.apply([done, item(rule, swap)], laptop)
    assert values(laptop)["proc/sys/kernel/numa_balancing"] == "0", "an item that is done stays so"
    assert len(tuning.undo(laptop)) == 1
    assert content(laptop) == before


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_where_previous_values_cannot_be_kept_any_more_the_item_is_not_changed(
    written: int, laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes the file, then its folder, for each setting; from one of them on it takes nothing."""

    def full(_file: int) -> None:
        nonlocal written
        written -= 1
        if written < 0:
            raise OSError(28, "No space left on device")

    before = content(laptop)
    found = [
        item(
            KernelFile("/proc/sys/vm/swappiness", "1", laptop),
            KernelFile("/proc/sys/kernel/numa_balancing", "0", laptop),
        )
    ]
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        (outcome,) = tuning.apply(found, laptop)
    assert outcome.result == "failed"
    assert "No space left on device" in outcome.text
    assert content(laptop) == before
    assert [path.name for path in tuning.state_path(laptop).parent.glob(".*")] == []
    assert set(results(tuning.undo(laptop)).values()) <= {"restored"}
    assert content(laptop) == before


@pytest.mark.parametrize("writes", [1, 2, 4, 7, 12])
def test_what_was_interrupted_anywhere_can_be_undone(writes: int, laptop: Path, spawn: Spawner) -> None:
    """The process is killed in the moment before its nth change, whose previous value is on disk already."""
    before = settled(laptop)
    died = spawn(
        """
        import os, signal, sys
        from pathlib import Path
        from framebus import tuning
        from framebus.tuning.changes import KernelFile, TextFile, FileMode

        left = int(sys.argv[2])
        def counted(put):
            def call(self, value):
                global left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                put(self, value)
            return call
        for kind in (KernelFile, TextFile, FileMode):
            kind.put = counted(kind.put)
        root = Path(sys.argv[1])
        tuning.apply(tuning.items(root, cpus=(2, 3), user="mara"), root)
        """,
        str(laptop),
        str(writes),
    )
    assert died.wait() == -9
    assert settled(laptop) != before
    assert set(results(tuning.undo(laptop)).values()) == {"restored"}
    assert settled(laptop) == before


# ---- what happens meanwhile ------------------------------------------------------------------------------------------


def test_what_others_changed_since_is_left_alone(laptop: Path) -> None:
    tuning.apply(tuning.items(laptop, user="root"), laptop)
    (laptop / "proc/sys/vm/swappiness").write_text("33\n")
    outcomes = {outcome.item: outcome for outcome in tuning.undo(laptop)}
    assert outcomes["swappiness"].result == "failed"
    assert "somebody else made it '33' since; --force puts it back to '60'" in outcomes["swappiness"].text
    assert {o.result for name, o in outcomes.items() if name != "swappiness"} == {"restored"}
    assert results(tuning.undo(laptop, force=True)) == {"swappiness": "restored"}
    assert values(laptop)["proc/sys/vm/swappiness"] == "60"


def test_a_restart_undoes_what_the_kernel_forgets(laptop: Path) -> None:
    tuning.apply(tuning.items(laptop, user="mara"), laptop)
    (laptop / "proc/sys/kernel/random/boot_id").write_text("boot-2\n")
    (laptop / "proc/sys/vm/swappiness").write_text("10\n")
    outcomes = tuning.undo(laptop)
    by_item = {outcome.item: outcome for outcome in outcomes}
    assert by_item["swappiness"].result == "kept"
    assert "restarted" in by_item["swappiness"].text
    assert by_item["limits"].result == "restored", "files in /etc outlive it"
    assert values(laptop)["proc/sys/vm/swappiness"] == "10"
    assert not (laptop / "etc/security/limits.d/framebus.conf").exists()
    assert not tuning.state_path(laptop).exists()


@pytest.mark.parametrize("now", [0o666, 0o600])
def test_a_restart_does_not_undo_the_mode_of_a_device(now: int, laptop: Path) -> None:
    """The rule for udev makes it anew; where no udev runs, it is as it was."""
    device = laptop / "dev/cpu_dma_latency"
    device.chmod(0o600)
    before = content(laptop)
    tuning.apply([i for i in tuning.items(laptop, user="root") if i.name == "latency-device"], laptop)
    (laptop / "proc/sys/kernel/random/boot_id").write_text("boot-2\n")
    device.chmod(now)
    outcomes = tuning.undo(laptop)
    assert [(o.item, o.result) for o in outcomes] == [("latency-device", "restored")] * 2
    assert not (laptop / "etc/udev/rules.d/99-framebus.rules").exists()
    assert stat.S_IMODE(device.stat().st_mode) == 0o600
    (laptop / "proc/sys/kernel/random/boot_id").write_text("boot-1\n")
    assert content(laptop) == before
    assert not tuning.state_path(laptop).exists()


def test_after_a_restart_the_new_value_is_the_one_to_come_back(laptop: Path) -> None:
    swap = item(KernelFile("/proc/sys/vm/swappiness", "1", laptop))
    tuning.apply([swap], laptop)
    (laptop / "proc/sys/kernel/random/boot_id").write_text("boot-2\n")
    (laptop / "proc/sys/vm/swappiness").write_text("20\n")
    tuning.apply([swap], laptop)
    tuning.undo(laptop)
    assert values(laptop)["proc/sys/vm/swappiness"] == "20"


def test_a_setting_that_is_gone_is_forgotten(laptop: Path) -> None:
    tuning.apply([i for i in tuning.items(laptop, cpus=(3,), user="root") if i.name == "irq-9"], laptop)
    (laptop / "proc/irq/9/smp_affinity_list").unlink()
    (outcome,) = tuning.undo(laptop)
    assert (outcome.result, "not there any more" in outcome.text) == ("kept", True)
    assert tuning.undo(laptop) == []


def test_only_one_tunes_at_a_time(laptop: Path) -> None:
    with Memory.opened(laptop), pytest.raises(UsageError, match="somebody else tunes"):
        tuning.undo(laptop)


def test_without_a_place_for_previous_values_nothing_is_changed(laptop: Path) -> None:
    before = content(laptop)
    (laptop / "var").write_text("a file is in the way")
    with pytest.raises(
        OSError, match="previous values cannot be kept, so nothing was changed; run it as root"
    ):
        tuning.apply(tuning.items(laptop, user="root"), laptop)
    (laptop / "var").unlink()
    assert content(laptop) == before


ENTRY = {
    "item": "swappiness",
    "kind": "kernel",
    "path": "/proc/sys/vm/swappiness",
    "form": "word",
    "previous": "60",
    "applied": "1",
    "boot": "boot-1",
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be understood"),
        ('{"version": 7}', "version 7"),
        ('{"version": 1, "settings": [{}]}', "understood"),
        (json.dumps({"version": 1, "settings": [{**ENTRY, "path": 7}]}), "path of a setting is 7"),
        (
            json.dumps({"version": 1, "settings": [{**ENTRY, "form": "cloud"}]}),
            "form of a setting is 'cloud'",
        ),
    ],
)
def test_a_file_of_previous_values_that_is_none_is_an_error(text: str, message: str, laptop: Path) -> None:
    path = tuning.state_path(laptop)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        tuning.undo(laptop)
    assert path.read_text() == text


def test_a_setting_of_an_unknown_kind_does_not_keep_others_from_being_undone(laptop: Path) -> None:
    before = content(laptop)
    names = ("vm/swappiness", "kernel/sched_rt_runtime_us", "vm/nr_hugepages")
    tuning.apply(
        [Item(name, "", "", (KernelFile(f"/proc/sys/{name}", "1", laptop),)) for name in names], laptop
    )
    path = tuning.state_path(laptop)
    told = json.loads(path.read_text())
    told["settings"][1]["kind"] = "magic"
    path.write_text(json.dumps(told))
    first, second, third = tuning.undo(laptop)
    assert (first.result, second.result, third.result) == ("restored", "failed", "restored")
    assert "'magic' is no kind of setting that this framebus knows" in second.text
    (kept,) = json.loads(path.read_text())["settings"]
    assert kept == told["settings"][1], "one that knows it can undo it"
    assert results(tuning.undo(laptop)) == {names[1]: "failed"}
    assert {name for name, said in content(laptop).items() if said != before[name]} == {
        f"proc/sys/{names[1]}"
    }


def test_a_user_without_privileges_is_told_to_be_root(spawn: Spawner) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give up its privileges")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are for nobody else to enter
        Path(folder).chmod(0o755)
        root = machines.build(Path(folder), machines.laptop())
        state = tuning.state_path(root).parent
        state.mkdir(parents=True)
        state.chmod(0o777)
        process = spawn(
            """
            import os, sys
            from framebus import tuning
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
            items = [i for i in tuning.items(sys.argv[1], user="root") if i.name == "governor"]
            print(tuning.apply(items, sys.argv[1])[0].text)
            """,
            str(root),
        )
        said = process.expect("/sys/devices")
        assert said.endswith("scaling_governor: Permission denied; run it as root (sudo)")
        assert process.wait() == 0
        assert tuning.undo(root) == []


# ---- single kinds ----------------------------------------------------------------------------------------------------


@pytest.fixture
def mounting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program ``mount`` in the place of the system's."""

    def put(body: str) -> None:
        program = tmp_path / "bin" / "mount"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return put


@pytest.fixture
def shared(laptop: Path, mounting: Callable[[str], None]) -> Path:
    """The table of mounts of a machine whose /dev/shm can be mounted anew; as the kernel does, to whole pages."""
    mounts = laptop / "proc/mounts"
    mounts.write_text(
        f"tmpfs /dev/shm tmpfs rw,size=65536k 0 0\ntmpfs {laptop}/dev/shm tmpfs rw,size=65536k 0 0\n"
    )
    page = mmap.PAGESIZE // 1024
    mounting(
        f"""test "$1" = -o || exit 1
        size=${{2#remount,size=}}
        size=$(( (${{size%k}} + {page - 1}) / {page} * {page} ))
        echo "tmpfs $3 tmpfs rw,size=${{size}}k 0 0" > {mounts}"""
    )
    return mounts


def test_shared_memory_is_mounted_anew_and_back(laptop: Path, shared: Path) -> None:
    memory = laptop / "proc/meminfo"
    memory.write_text("MemTotal: 17592186044422 kB\n")  # its half is no number of pages
    (found,) = [i for i in tuning.items(laptop, user="root") if i.name == "shared-memory"]
    (change,) = found.changes
    assert change.command() == f"sudo mount -o remount,size={change.wanted}k /dev/shm"
    (outcome,) = tuning.apply([found], laptop)
    assert outcome.result == "applied", outcome.text
    assert f"size={change.wanted}k" in shared.read_text()
    tuning.undo(laptop)
    assert "size=65536k" in shared.read_text()


def test_a_mount_that_is_refused_says_why(laptop: Path, mounting: Callable[[str], None]) -> None:
    (laptop / "proc/mounts").write_text("tmpfs /dev/shm tmpfs rw,size=65536k 0 0\n")
    mounting('echo "mount: /dev/shm:\n must be superuser." >&2; exit 32')
    (outcome,) = tuning.apply([item(MountSize("/dev/shm", "131072", laptop))], laptop)
    assert (outcome.result, "must be superuser." in outcome.text) == ("failed", True)


def test_without_a_program_to_mount_with_it_is_told(laptop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    change = MountSize("/dev/shm", "1", laptop)
    assert int(change.current()) > 0
    with pytest.raises(OSError, match="no program 'mount'"):
        change.put("1")


@pytest.mark.usefixtures("shared")
def test_without_a_program_to_mount_with_nothing_is_forgotten(
    laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning.apply([item(MountSize("/dev/shm", "131072", laptop))], laptop)
    monkeypatch.setenv("PATH", "/nowhere")
    (outcome,) = tuning.undo(laptop)
    assert (outcome.result, "no program 'mount'" in outcome.text) == ("failed", True)
    assert tuning.state_path(laptop).exists()


@pytest.mark.parametrize("text", ["a\r\n\udcff\\n%s\n", "no end", "é 'x'\n\n", "", "\t\x0b\u2028\n"])
def test_a_command_writes_a_text_byte_for_byte(text: str, tmp_path: Path) -> None:
    command = TextFile(str(tmp_path / "a file"), text).command()
    assert command.isprintable(), "it is shown in a terminal, and copied from there"
    subprocess.run(["sh", "-e"], input=command.replace("sudo ", "").encode(), check=True, capture_output=True)
    assert (tmp_path / "a file").read_bytes() == text.encode(errors="surrogateescape")


def test_commands_are_a_shells(laptop: Path) -> None:
    rule = TextFile("/etc/a b", "one 'x'\ntwo\n", laptop)
    assert rule.command() == """printf '%s\\n' 'one '"'"'x'"'"'' two | sudo tee '/etc/a b'"""
    assert FileMode("/dev/x", "666").command() == "sudo chmod 666 /dev/x"
    assert KernelFile("/proc/x", "1").command() == "echo 1 | sudo tee /proc/x"
