from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from framebus import tuning
from framebus.tuning.changes import TextFile
from support import machines
from support.commands import answer, call, error, output
from support.processes import Spawner


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    return machines.build(tmp_path / "laptop", machines.laptop())


def on(root: Path, *arguments: str) -> list[str]:
    return ["tune", "--root", str(root), "--user", "mara", *arguments]


def test_commands_are_printed_and_nothing_is_changed(laptop: Path) -> None:
    printed = output(*on(laptop, "--cpus", "2-3"))
    assert printed == output(*on(laptop, "--print", "--cpus", "2,3"))
    lines = printed.splitlines()
    assert "echo 0-1 | sudo tee /proc/irq/9/smp_affinity_list" in lines
    assert (
        "printf '%s\\n' 'mara - rtprio 99' 'mara - memlock unlimited' "
        "| sudo tee /etc/security/limits.d/framebus.conf" in lines
    )
    assert any("isolcpus=managed_irq,domain,2-3" in line for line in lines if line.startswith("#"))
    assert not tuning.state_path(laptop).exists()
    subprocess.run(["sh", "-n"], input=printed, text=True, check=True)  # it is a shell's script


def test_what_is_printed_does_what_is_applied(laptop: Path, tmp_path: Path) -> None:
    """The script, run on the stand-in for the machine, leaves nothing to be applied."""
    script = output(*on(laptop))
    for folder in ("proc", "sys", "dev", "etc"):
        script = script.replace(f" /{folder}/", f" {laptop}/{folder}/")
    subprocess.run(
        ["sh", "-e"], input=script.replace("sudo ", ""), text=True, check=True, capture_output=True
    )
    assert answer(*on(laptop))["items"] == []
    assert "nothing is to be changed" in output(*on(laptop, "--apply"))


def test_settings_are_applied_and_undone(laptop: Path) -> None:
    governor = laptop / "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
    printed = output(*on(laptop, "--apply"))
    assert any(line.split()[:2] == ["governor", "applied"] for line in printed.splitlines())
    assert "'framebus tune --undo' puts all of it back" in printed
    assert governor.read_text() == "performance\n"
    printed = output("tune", "--undo", "--root", str(laptop))
    assert "restored" in printed
    assert governor.read_text() == "powersave\n"
    assert output("tune", "--undo", "--root", str(laptop)) == "nothing is to be undone\n"


def test_only_some_items(laptop: Path) -> None:
    told = answer(*on(laptop, "--cpus", "3", "--only", "irq-*", "--only", "swappiness", "--apply"))
    assert {(item["item"], item["result"]) for item in told} == {
        (name, "applied") for name in ("irq-default", "irq-9", "irq-24", "swappiness")
    }
    assert "no item 'nonsense'" in error(3, *on(laptop, "--only", "nonsense"))


def test_json_tells_what_is_and_what_is_wanted(laptop: Path) -> None:
    told = answer(*on(laptop, "--huge-pages", "4"))
    items = {item["name"]: item for item in told["items"]}
    (change,) = items["explicit-huge-pages"]["changes"]
    assert change == {
        "path": "/proc/sys/vm/nr_hugepages",
        "now": "0",
        "wanted": "4",
        "command": "echo 4 | sudo tee /proc/sys/vm/nr_hugepages",
    }
    assert {manual["name"] for manual in told["by_hand"]} == {"isolation", "preemption", "irqbalance", "SMT"}


def test_a_failed_item_is_an_exit_code(laptop: Path) -> None:
    output(*on(laptop, "--apply", "--only", "swappiness"))
    swappiness = laptop / "proc/sys/vm/swappiness"
    swappiness.write_text("7\n")
    result = call("tune", "--undo", "--root", str(laptop))
    assert result.exit_code == 1
    assert "somebody else made it '7'" in result.stdout
    assert call("tune", "--undo", "--force", "--root", str(laptop)).exit_code == 0
    assert swappiness.read_text() == "60\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
def test_a_signal_leaves_no_item_half_changed(number: int, laptop: Path, spawn: Spawner) -> None:
    """It comes while the second governor is written: all of them are put back."""
    process = spawn(
        """
        import os, sys
        from framebus.cli import main
        from framebus.tuning.changes import KernelFile

        put = KernelFile.put
        def signalled(self, value):
            put(self, value)
            if "policy1" in self.path and value == "performance":
                os.kill(os.getpid(), int(number))
        KernelFile.put = signalled
        root, number = sys.argv[1:]
        sys.argv = ["framebus", "tune", "--apply", "--root", root, "--user", "mara", "--only", "governor"]
        sys.exit(main())
        """,
        str(laptop),
        str(number),
    )
    assert process.wait() == 128 + number
    governors = laptop.glob("sys/devices/system/cpu/cpufreq/policy*/scaling_governor")
    assert {path.read_text() for path in governors} == {"powersave\n"}
    assert output("tune", "--undo", "--root", str(laptop)) == "nothing is to be undone\n"


def test_an_interruption_tells_how_to_put_back_what_was_done(
    laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TextFile, "put", interrupted)
    result = call(*on(laptop, "--apply", "--only", "governor", "--only", "limits"))
    assert result.exit_code == 130
    assert (
        result.stderr.strip() == "interrupted: 'framebus tune --undo' puts back what was applied until then"
    )
    undone = answer("tune", "--undo", "--root", str(laptop))
    assert {outcome["item"] for outcome in undone} == {"governor"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cpus", "two"), "--cpus is 'two'"),
        (("--cpus", "2-x"), "--cpus is '2-x'"),
        (("--cpus", "77"), "CPUs 77 do not exist"),
        (("--force",), "--force goes with --undo"),
        (("--undo",), "--undo puts back all"),
        (("--apply", "--undo"), "--apply and --undo together"),
        (("--print", "--apply"), "--print and --apply together"),
    ],
)
def test_command_lines_that_are_wrong(arguments: tuple[str, ...], message: str, laptop: Path) -> None:
    assert message in error(2, *on(laptop, *arguments))


def test_where_previous_values_cannot_be_kept_it_says_what_to_do(laptop: Path) -> None:
    (laptop / "var").write_text("")
    assert "nothing was changed; run it as root (sudo)" in error(1, *on(laptop, "--apply"))
