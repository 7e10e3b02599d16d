"""Where threads run and what the kernel grants them. What changes a process is tried in one of its own."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import textwrap
import threading
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus import _core
from framebus.errors import UsageError
from framebus.process import ProcessRecord, findings, kernel_files
from framebus.process.placement import Machine, Placement, examine, huge_array, machine, restore
from support.processes import Spawner

CPUS = sorted(os.sched_getaffinity(0))
ROOT = os.geteuid() == 0
NO_CPU = 8191

WEAK = Machine(
    online=(0, 1, 2, 3),
    allowed=(1,),
    isolated=(),
    numa_nodes=(0, 1),
    rtprio_limit=0,
    memlock_limit=8 << 20,
    may_nice=False,
    may_lock=False,
    rt_runtime_us=950_000,
    huge_page_bytes=2 << 20,
    huge_pages_total=0,
    huge_pages_free=0,
    transparent="never",
    dma_latency="refused",
    governors=("powersave",),
    preemption="voluntary",
    irqbalance=True,
)
"""A machine on which everything is wanting."""

STRONG = replace(
    WEAK,
    allowed=(0, 1, 2, 3),
    isolated=(2, 3),
    numa_nodes=(0,),
    rtprio_limit=99,
    memlock_limit=None,
    rt_runtime_us=-1,
    huge_pages_total=64,
    huge_pages_free=60,
    transparent="madvise",
    dma_latency="writable",
    governors=("performance",),
    preemption="rt",
    irqbalance=False,
)

PRELUDE = """
    import json, os, resource, threading
    from framebus import _core
    from framebus.process.placement import Placement, huge_array, machine, restore

    def status(tid=None):
        lines = open(f"/proc/{os.getpid()}/task/{tid or threading.get_native_id()}/status").read().splitlines()
        return dict(line.split(":\\t", 1) for line in lines)

    def cpus():
        return status()["Cpus_allowed_list"]

    def locked():
        return int(status()["VmLck"].split()[0])

    def latency_requests():
        found = 0
        for fd in os.listdir("/proc/self/fd"):
            try:
                found += os.readlink(f"/proc/self/fd/{fd}") == "/dev/cpu_dma_latency"
            except OSError:
                pass
        return found

    def say(**told):
        print(json.dumps(told))
"""

DROP = """
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (LIMIT, LIMIT))
    except ValueError:
        say(skip="the limit of locked memory cannot be set so high here")
        raise SystemExit
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def told(spawn: Spawner, source: str, memlock: int | None = None) -> dict[str, Any]:
    """What a process says that runs ``source``; with ``memlock``, one without privileges and with that limit."""
    if memlock is not None and not ROOT:
        pytest.skip("only root can give up its privileges")
    drop = "" if memlock is None else DROP.replace("(LIMIT, LIMIT)", f"({memlock}, {memlock})")
    process = spawn("".join(map(textwrap.dedent, (PRELUDE, drop, source))))
    answer: dict[str, Any] = json.loads(process.expect("{"))
    assert process.wait() == 0
    if "skip" in answer:
        pytest.skip(answer["skip"])
    return answer


def in_thread(call: Callable[[], Any]) -> Any:
    """What ``call`` returns in a thread of its own, so that nothing it does lasts."""
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(call()))
    thread.start()
    thread.join()
    return result[0]


def refused(text: str, what: str, why: str, remedy: str) -> bool:
    """Whether ``text`` has the form of a refusal and says these things in their places."""
    asked, _, rest = text.partition(" refused: ")
    reason, _, advice = rest.partition("; ")
    return what in asked and why in reason and remedy in advice and "\n" not in text


# ---- the wishes ------------------------------------------------------------------------------------------------------


def test_one_cpu_or_interrupt_may_be_given_as_such() -> None:
    assert Placement(cpus=2, irqs=7) == Placement(cpus=(2,), irqs=(7,))  # type: ignore[arg-type]
    assert Placement(cpus=[0, 2], irqs="eth0*").irqs == ("eth0*",)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"cpus": (0, -1)}, r"cpus are \(0, -1\); expected CPU numbers from 0"),
        ({"cpus": (True,)}, "expected CPU numbers"),
        ({"cpus": "0-3"}, "expected CPU numbers"),
        ({"cpus": 1.5}, "cpus are 1.5; expected CPU numbers"),
        ({"cpus": (1, 1)}, "expected each CPU once"),
        ({"priority": 100}, "priority is 100; expected 0"),
        ({"priority": -1}, "priority is -1"),
        ({"priority": True}, "priority is True"),
        ({"lock_memory": 1}, "lock_memory is 1; expected True or False"),
        ({"numa_node": -1}, "numa_node is -1; expected a node's number from 0, or None"),
        ({"dma_latency_us": -0.5}, "dma_latency_us is -0.5; expected µs from 0, or None"),
        ({"dma_latency_us": float("nan")}, "dma_latency_us is nan"),
        ({"dma_latency_us": float("inf")}, "dma_latency_us is inf"),
        ({"dma_latency_us": "0"}, "dma_latency_us is '0'"),
        ({"huge_pages": "yes"}, "huge_pages is 'yes'; expected 'none', 'transparent' or 'explicit'"),
        ({"cpus": 0, "irqs": ("",)}, r"irqs are \(''\,\); expected interrupts' numbers or names"),
        ({"cpus": 0, "irqs": 1.0}, "irqs are 1.0; expected"),
        ({"irqs": (7,)}, "irqs without cpus; say to which CPUs"),
    ],
)
def test_what_no_machine_can_do_is_an_error(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Placement(**wish)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError, match=r"cpus are .*; priority is 100.*; huge_pages is"):
        Placement(cpus=(-1,), priority=100, huge_pages="yes")  # type: ignore[arg-type]


def test_what_a_machine_does_not_have_is_a_problem() -> None:
    wish = Placement(cpus=(0, 1, 7), numa_node=2)
    found = wish.problems(WEAK)
    assert found[0] == (
        "CPU 0 is outside the set that this process may use; choose among CPUs 1, "
        "or start it with a larger set (taskset, cgroup)"
    )
    assert found[1:] == [
        "CPU 7 does not exist or is offline; choose among CPUs 1",
        "NUMA node 2 does not exist or has no memory; choose among nodes 0, 1",
    ]
    with pytest.raises(UsageError, match=r"CPU 0 .*; CPU 7 .*; NUMA node 2"):
        wish.check(WEAK)
    Placement(cpus=(1,), numa_node=1).check(WEAK)
    assert Placement(cpus=(NO_CPU,)).problems() == [
        f"CPU {NO_CPU} does not exist or is offline; choose among CPUs {', '.join(map(str, CPUS))}"
    ]
    assert Placement(numa_node=0).problems(replace(WEAK, numa_nodes=())) == []


def test_what_a_machine_may_refuse_is_no_problem() -> None:
    wish = Placement(priority=99, lock_memory=True, dma_latency_us=0.0, huge_pages="explicit")
    assert wish.problems(WEAK) == []


# ---- the machine -----------------------------------------------------------------------------------------------------

FILES = {
    "proc/self/status": "Name:\tx\nCapEff:\t0000000000004000\nCpus_allowed_list:\t0-1,3\n",
    "proc/self/limits": (
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max locked memory         8388608              8388608              bytes     \n"
        "Max realtime priority     20                   20                   \n"
    ),
    "proc/meminfo": "MemTotal: 7 kB\nHugePages_Total:  5\nHugePages_Free:  4\nHugepagesize:  2048 kB\n",
    "proc/version": "Linux version 6.1 #1 SMP PREEMPT_DYNAMIC\n",
    "proc/cmdline": "quiet preempt=none preempt=full\n",
    "proc/sys/kernel/sched_rt_runtime_us": "950000\n",
    "sys/devices/system/cpu/online": "0-3\n",
    "sys/devices/system/cpu/isolated": "2-3\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance\n",
    "sys/devices/system/node/has_memory": "0,2\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "dev/cpu_dma_latency": "",
    "run/irqbalance.pid": "",
}


def stand_in(root: Path, **files: str) -> Path:
    """A directory that stands for a machine; ``proc_version="..."`` and the like replace its files."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files.get(name.replace("/", "_"), text))
    return root


def test_facts_are_read_from_the_kernels_files(tmp_path: Path) -> None:
    assert machine(stand_in(tmp_path)) == Machine(
        online=(0, 1, 2, 3),
        allowed=(0, 1, 3),
        isolated=(2, 3),
        numa_nodes=(0, 2),
        rtprio_limit=20,
        memlock_limit=8388608,
        may_nice=False,
        may_lock=True,
        rt_runtime_us=950_000,
        huge_page_bytes=2 << 20,
        huge_pages_total=5,
        huge_pages_free=4,
        transparent="madvise",
        dma_latency="writable",
        governors=("performance", "powersave"),
        preemption="full",
        irqbalance=True,
    )


def test_limits_may_be_unlimited(tmp_path: Path) -> None:
    limits = FILES["proc/self/limits"].replace("8388608  ", "unlimited").replace("20 ", "unlimited ")
    on = machine(stand_in(tmp_path, proc_self_limits=limits))
    assert (on.rtprio_limit, on.memlock_limit) == (99, None)


def test_what_the_kernel_does_not_tell_is_empty(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("Cpus_allowed_list:\t0\n")
    on = machine(tmp_path)
    assert (on.online, on.allowed, on.isolated, on.numa_nodes) == ((0,), (0,), (), ())
    assert (on.rtprio_limit, on.memlock_limit, on.may_nice, on.may_lock) == (0, 0, False, False)
    assert (on.rt_runtime_us, on.transparent, on.governors, on.preemption) == (None, "", (), "unknown")
    assert (on.huge_page_bytes, on.dma_latency, on.irqbalance) == (0, "absent", False)
    assert all(finding.text for finding in findings.examine_machine(on))


def test_a_machine_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"proc/self/status cannot be read; mount /proc"):
        machine(tmp_path)


@pytest.mark.parametrize(
    ("version", "boot", "kind"),
    [
        ("#1 SMP PREEMPT_RT", "", "rt"),
        ("#1 SMP PREEMPT", "", "full"),
        ("#1 SMP PREEMPT_DYNAMIC", "preempt=lazy", "lazy"),
        ("#1 SMP PREEMPT_DYNAMIC", "preempt=odd", "unknown"),
        ("#1 SMP PREEMPT_DYNAMIC", "quiet", "unknown"),
        ("#1 SMP", "preempt=full", "unknown"),
    ],
)
def test_how_the_kernel_preempts(version: str, boot: str, kind: str, tmp_path: Path) -> None:
    assert machine(stand_in(tmp_path, proc_version=version, proc_cmdline=boot)).preemption == kind


def test_root_may_know_better_how_the_kernel_preempts(tmp_path: Path) -> None:
    stand_in(tmp_path)
    (tmp_path / "sys/kernel/debug/sched").mkdir(parents=True)
    (tmp_path / "sys/kernel/debug/sched/preempt").write_text("none (voluntary) full\n")
    assert machine(tmp_path).preemption == "voluntary"
    (tmp_path / "sys/kernel/realtime").write_text("1\n")
    assert machine(tmp_path).preemption == "rt"


def test_this_machine_is_told_as_it_is() -> None:
    on = machine()
    assert list(on.allowed) == CPUS
    assert set(on.allowed) <= set(on.online)
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    assert on.rtprio_limit == (99 if limit == resource.RLIM_INFINITY else min(limit, 99))


@given(st.sets(st.integers(0, 300)))
def test_lists_are_written_and_read_as_the_kernel_does(values: set[int]) -> None:
    from framebus.process.machine import numbers

    assert numbers(kernel_files.ranges(values)) == tuple(sorted(values))


# ---- what is granted -------------------------------------------------------------------------------------------------


def test_a_thread_runs_where_it_was_placed_and_goes_back(spawn: Spawner) -> None:
    answer = told(
        spawn,
        f"""
        before = cpus()
        refused = Placement(cpus={CPUS[-1]}).apply()
        placed = cpus()
        say(refused=refused, before=before, placed=placed, restored=[restore(), cpus()], again=restore())
        """,
    )
    assert answer["refused"] == []
    assert answer["placed"] == str(CPUS[-1])
    assert answer["restored"] == [[], answer["before"]]
    assert answer["again"] == []


def test_only_the_calling_thread_is_placed(spawn: Spawner) -> None:
    answer = told(
        spawn,
        f"""
        main, seen = threading.get_native_id(), []
        def work():
            Placement(cpus={CPUS[-1]}).apply()
            seen.append((cpus(), status(main)["Cpus_allowed_list"]))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        say(seen=seen[0], before=cpus())
        """,
    )
    assert answer["seen"] == [str(CPUS[-1]), answer["before"]]


def test_a_set_of_cpus_is_used_as_far_as_it_exists() -> None:
    def place() -> tuple[list[str], set[int]]:
        return Placement(cpus=(CPUS[0], NO_CPU)).apply(), os.sched_getaffinity(0)

    (refusal,), now = in_thread(place)
    assert now == {CPUS[0]}
    assert refused(
        refusal, f"CPU {NO_CPU}", "not online or not in the cpuset", f"choose among CPUs {CPUS[0]}"
    )


@pytest.mark.parametrize("cpus", [(NO_CPU,), (NO_CPU - 1, NO_CPU), (2**31 - 1,)])
def test_a_thread_without_any_of_its_cpus_runs_where_it_did(cpus: tuple[int, ...]) -> None:
    def place() -> tuple[list[str], set[int]]:
        return Placement(cpus=cpus).apply(), os.sched_getaffinity(0)

    (refusal,), now = in_thread(place)
    assert now == set(CPUS)
    assert "not online or not in the cpuset" in refusal


@pytest.mark.parametrize("node", [900, 5000])
def test_a_numa_node_that_does_not_exist_is_refused(node: int) -> None:
    (refusal,) = in_thread(Placement(numa_node=node).apply)
    assert refused(refusal, f"NUMA node {node}", "", "")


def test_memory_of_a_node_that_exists_is_preferred(spawn: Spawner) -> None:
    if not machine().numa_nodes:
        pytest.skip("this kernel has no NUMA nodes")
    answer = told(
        spawn,
        """
        def policies():
            return sum(" prefer:0 " in line for line in open("/proc/thread-self/numa_maps"))
        refused = Placement(numa_node=machine().numa_nodes[0]).apply()
        placed = policies()
        say(refused=refused, placed=placed, restored=[restore(), policies()])
        """,
    )
    assert answer["refused"] == []
    assert answer["placed"] > 0
    assert answer["restored"] == [[], 0]


def test_root_gets_priority_locked_memory_and_latency(spawn: Spawner) -> None:
    on = machine()
    if not (ROOT and on.may_nice and on.may_lock and on.dma_latency == "writable"):
        pytest.skip("needs root with all its capabilities, and /dev/cpu_dma_latency")
    answer = told(
        spawn,
        """
        wish = Placement(priority=1, lock_memory=True, dma_latency_us=100)
        refused = wish.apply()
        scheduling = [os.sched_getscheduler(0), os.sched_getparam(0).sched_priority]
        held = [locked() > 0, latency_requests()]
        again = [wish.apply(), latency_requests()]
        say(refused=refused, scheduling=scheduling, held=held, again=again,
            restored=[restore(), os.sched_getscheduler(0), locked(), latency_requests()])
        """,
    )
    assert answer["refused"] == []
    assert answer["scheduling"] == [os.SCHED_FIFO, 1]
    assert answer["held"] == [True, 1]
    assert answer["again"] == [[], 1]
    assert answer["restored"] == [[], os.SCHED_OTHER, 0, 0]


def test_what_a_thread_holds_ends_with_it(spawn: Spawner) -> None:
    on = machine()
    if not (ROOT and on.may_lock and on.dma_latency == "writable"):
        pytest.skip("needs root with all its capabilities, and /dev/cpu_dma_latency")
    answer = told(
        spawn,
        """
        import queue
        placed, leave = queue.Queue(), [threading.Event(), threading.Event()]
        def work(i):
            placed.put(Placement(lock_memory=True, dma_latency_us=100).apply())
            leave[i].wait()
        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        refused = placed.get() + placed.get()
        seen = [[locked() > 0, latency_requests()]]
        for thread, event in zip(threads, leave):
            tid = thread.native_id
            event.set()
            thread.join()
            while os.path.exists(f"/proc/self/task/{tid}"):
                os.sched_yield()  # joined is not yet gone
            seen.append([locked() > 0, latency_requests()])
        say(refused=refused, seen=seen)
        """,
    )
    assert answer["refused"] == []
    assert answer["seen"] == [[True, 2], [True, 1], [False, 0]]


def test_a_forked_child_begins_with_nothing_held(spawn: Spawner) -> None:
    """Locks of memory are not inherited, and what counts them must know; the child's end changes nothing for us."""
    if not (ROOT and machine().may_lock):
        pytest.skip("needs root with its capability to lock memory")
    answer = told(
        spawn,
        """
        refused = Placement(lock_memory=True).apply()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            seen = [locked() > 0]
            Placement(lock_memory=True).apply()
            seen.append(locked() > 0)
            restore()
            seen.append(locked() > 0)
            os.write(writer, json.dumps(seen).encode())
            os._exit(0)
        os.waitpid(child, 0)
        say(refused=refused, child=json.loads(os.read(reader, 100)), held=locked() > 0)
        """,
    )
    assert answer["refused"] == []
    assert answer["child"] == [False, True, False]
    assert answer["held"]


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_a_user_without_privileges_is_told_all_refusals_and_their_remedies(spawn: Spawner) -> None:
    answer = told(
        spawn,
        f"""
        on = machine()
        wish = Placement(cpus={CPUS[-1]}, priority=80, lock_memory=True, dma_latency_us=0, irqs=(1, "*"))
        say(refused=wish.apply(), cpus=cpus(), scheduler=os.sched_getscheduler(0), locked=locked(),
            rtprio=on.rtprio_limit, memlock=on.memlock_limit, capable=[on.may_nice, on.may_lock])
        """,
        memlock=1 << 20,
    )
    by_what = {text.partition(" refused: ")[0]: text for text in answer["refused"]}
    priority = by_what["SCHED_FIFO priority 80"]
    assert refused(priority, "80", "Operation not permitted", "raise RLIMIT_RTPRIO (now 0) in /etc/security/")
    assert "CAP_SYS_NICE" in priority
    assert refused(
        by_what["locked memory"], "", "Cannot allocate memory", "RLIMIT_MEMLOCK (now 1 MiB) to unlimited"
    )
    if Path("/dev/cpu_dma_latency").exists():
        latency = by_what["CPU wake-up latency of 0 us"]
        assert refused(latency, "", "Permission denied", "make /dev/cpu_dma_latency writable")
    assert any(what.startswith("interrupt '1' on CPU ") for what in by_what)
    assert (answer["rtprio"], answer["memlock"], answer["capable"]) == (0, 1 << 20, [False, False])
    assert (answer["cpus"], answer["scheduler"], answer["locked"]) == (str(CPUS[-1]), os.SCHED_OTHER, 0)


def test_no_locked_memory_at_all(spawn: Spawner) -> None:
    answer = told(spawn, "say(refused=Placement(lock_memory=True).apply())", memlock=0)
    (refusal,) = answer["refused"]
    assert refused(refusal, "locked memory", "Operation not permitted", "RLIMIT_MEMLOCK (now 0 MiB)")


def test_under_a_limit_memory_to_come_is_not_locked_and_can_be_had(spawn: Spawner) -> None:
    answer = told(
        spawn,
        """
        refused = Placement(lock_memory=True).apply()
        held = locked()
        array = huge_array(1 << 31, "none")[0]
        say(refused=refused, held=held, later=locked(), bytes=len(array))
        """,
        memlock=2 << 30,
    )
    (refusal,) = answer["refused"]
    assert refused(refusal, "memory allocated from now on", "fail at the limit", "now 2048 MiB) to unlimited")
    assert answer["held"] > 0
    assert answer["later"] - answer["held"] < 1 << 20, "in kB; the array is not locked"


# ---- interrupts ------------------------------------------------------------------------------------------------------

INTERRUPTS = """\
           CPU0       CPU1
  9:          0          4   IO-APIC   9-fasteoi   acpi
 24:          1          0  PCI-MSIX-0000:00:05.0   0-edge      eth0-rx-0
 25:          1          0  PCI-MSIX-0000:00:05.0   1-edge      eth0-rx-1, framegrabber
NMI:          0          0   Non-maskable interrupts
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "interrupts").write_text(INTERRUPTS)
    for number in (9, 24, 25):
        (tmp_path / f"irq/{number}").mkdir(parents=True)
        (tmp_path / f"irq/{number}/smp_affinity_list").write_text("")
    return tmp_path


def moved(proc: Path) -> dict[int, str]:
    texts = {n: (proc / f"irq/{n}/smp_affinity_list").read_text() for n in (9, 24, 25)}
    return {number: text for number, text in texts.items() if text}


@pytest.mark.parametrize(
    ("irqs", "where"),
    [
        (["9"], {9: "1-3,7"}),
        (["eth0-rx-0"], {24: "1-3,7"}),
        (["eth0-*", "acpi"], {9: "1-3,7", 24: "1-3,7", 25: "1-3,7"}),
        (["framegrabber"], {25: "1-3,7"}),
        ([], {}),
    ],
)
def test_interrupts_are_moved_by_number_name_or_pattern(
    irqs: list[str], where: dict[int, str], proc: Path
) -> None:
    assert _core.steer_interrupts(irqs, [3, 1, 2, 7], str(proc)) == []
    assert moved(proc) == where


def test_an_interrupt_that_is_not_there_does_not_keep_others_from_moving(proc: Path) -> None:
    number, name, kernels_own = _core.steer_interrupts(["77", "eth1", "NMI", "acpi"], [0], str(proc))
    assert refused(number, "interrupt '77' on CPU 0", "none of that number", "see /proc/interrupts")
    assert refused(name, "interrupt 'eth1' on CPU 0", "none of that name", "see /proc/interrupts")
    assert "'NMI'" in kernels_own
    assert moved(proc) == {9: "0"}


def test_an_interrupt_that_cannot_be_moved_says_which_and_why(proc: Path) -> None:
    (proc / "irq/25/smp_affinity_list").unlink()
    (proc / "irq/25/smp_affinity_list").mkdir()
    (refusal,) = _core.steer_interrupts(["eth0-*"], [0], str(proc))
    assert refused(refusal, "interrupt 'eth0-*' on CPU 0 (number 25)", "Is a directory", "choose CPUs")
    assert (proc / "irq/24/smp_affinity_list").read_text() == "0"


def test_interrupts_need_cpus_to_go_to(proc: Path) -> None:
    (refusal,) = _core.steer_interrupts(["9"], [], str(proc))
    assert refused(refusal, "interrupt '9' on CPU ?", "no CPU is asked for", "say which")


# ---- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["none", "transparent", "explicit"])
@pytest.mark.parametrize("n_bytes", [0, 1, 4097, 5_000_001])
def test_arrays_are_zeroed_aligned_and_writable(kind: Any, n_bytes: int) -> None:
    array, _ = huge_array(n_bytes, kind)
    assert array.shape == (n_bytes,)
    assert array.dtype == np.uint8
    assert not array.any()
    assert n_bytes == 0 or array.ctypes.data % 64 == 0
    array[:] = 7
    part = array[n_bytes // 2 :]
    del array
    assert (part == 7).all(), "a view keeps the memory"


def test_large_arrays_begin_where_a_huge_page_does() -> None:
    on = machine()
    array, refusal = huge_array(5 << 20, "transparent")
    assert array.ctypes.data % (on.huge_page_bytes or 4096) == 0
    assert (refusal == "") or not on.transparent
    small, refusal = huge_array(4096, "explicit")
    assert (len(small), refusal) == (4096, "")


@pytest.mark.parametrize("n_bytes", [2**64 - 1, 2**64 - 2**21, 2**63, 2**62 + 1])
@pytest.mark.parametrize("explicit", [False, True])
def test_more_memory_than_there_are_addresses_cannot_be_had(n_bytes: int, explicit: bool) -> None:
    with pytest.raises(MemoryError):
        _core.huge_memory(n_bytes, explicit)


def test_explicit_pages_that_are_not_reserved_are_refused_and_replaced() -> None:
    if machine().huge_pages_free:
        pytest.skip("this machine has explicit huge pages free")
    array, refusal = huge_array(5 << 20, "explicit")
    assert refused(refusal, "explicit huge pages", "", "sysctl vm.nr_hugepages=")
    assert array.nbytes == 5 << 20
    assert in_thread(Placement(huge_pages="explicit").apply) in ([refusal], [])


def test_an_array_needs_a_size_that_exists() -> None:
    with pytest.raises(UsageError, match="cannot make an array of -1 bytes"):
        huge_array(-1, "none")
    with pytest.raises(MemoryError):
        huge_array(1 << 60, "transparent")


def test_a_placements_arrays_follow_all_of_it() -> None:
    nodes = machine().numa_nodes
    wish = Placement(
        lock_memory=True, numa_node=nodes[0] if nodes else None, huge_pages="transparent", priority=9
    )
    array, told_refusals = wish.array(3 << 20)
    assert not array.any()
    assert told_refusals == [] or not machine().transparent
    assert Placement().array(0)[0].size == 0
    _, (refusal,) = Placement(numa_node=900).array(1 << 20)
    assert refused(refusal, "memory of NUMA node 900", "", "")


def test_placing_an_array_keeps_its_content() -> None:
    array = np.arange(600_000.0)
    assert _core.place_array(array, lock_memory=True, huge_pages="explicit") == []
    assert (array == np.arange(600_000.0)).all()
    tiny = np.arange(3.0)
    assert _core.place_array(tiny, lock_memory=True, numa_node=0, huge_pages="transparent") == []
    assert tiny.tolist() == [0.0, 1.0, 2.0]


def test_pages_of_a_placed_array_are_present(spawn: Spawner) -> None:
    answer = told(
        spawn,
        """
        def rss():
            return int(status()["VmRSS"].split()[0])
        before = rss()
        array = Placement(lock_memory=True).array(64 << 20)[0]
        say(grown=rss() - before)
        """,
    )
    assert answer["grown"] > 60 << 10, "in kB"


# ---- findings --------------------------------------------------------------------------------------------------------


def test_a_machine_that_lacks_everything_gets_a_remedy_for_each() -> None:
    found = {finding.subject: finding for finding in findings.examine_machine(WEAK)}
    warned = {subject for subject, finding in found.items() if finding.severity == "warn"}
    assert warned == {
        "CPUs",
        "SCHED_FIFO priority",
        "locked memory",
        "wake-up latency",
        "frequency governor",
        "preemption",
    }
    assert all(finding.remedy for finding in found.values() if finding.severity != "ok")
    assert "rtprio 99" in found["SCHED_FIFO priority"].remedy
    assert "memlock unlimited" in found["locked memory"].remedy
    assert found["locked memory"].text == "at most 8 MiB may be locked"
    assert "isolcpus=managed_irq,domain,2-3" in found["isolated CPUs"].remedy
    assert found["SCHED_FIFO time"].text.startswith("95 % of the time")
    assert "0-1" in found["NUMA nodes"].text


def test_a_machine_that_lacks_nothing_is_ok() -> None:
    found = findings.examine_machine(STRONG)
    assert {finding.severity for finding in found} == {"ok"}
    assert {finding.remedy for finding in found} == {""}
    capable = findings.examine_machine(
        replace(WEAK, may_nice=True, may_lock=True, governors=(), preemption="full")
    )
    severities = {finding.subject: finding.severity for finding in capable}
    assert severities["SCHED_FIFO priority"] == severities["locked memory"] == "ok"
    assert (severities["frequency governor"], severities["preemption"]) == ("unknown", "info")


@pytest.mark.parametrize("mode", ["always", "never"])
def test_huge_pages_for_all_or_none_are_told_as_tune_would_have_them(mode: str) -> None:
    found = {f.subject: f for f in findings.examine_machine(replace(STRONG, transparent=mode))}
    assert found["transparent huge pages"].severity == "info"
    assert f"({mode})" in found["transparent huge pages"].text
    assert found["transparent huge pages"].remedy.startswith("echo madvise | sudo tee /sys")


def test_what_running_units_were_refused_is_found() -> None:
    (idle,) = findings.examine_units()
    assert (idle.severity, idle.text) == ("ok", "none run now")
    with ProcessRecord.create("rtc") as record:
        (fine,) = findings.examine_units()
        assert (fine.severity, fine.text) == ("ok", "1, nothing was refused to them")
        record.core.set_refusals("priority 80 refused: no; raise it\nCPU 7 refused: none; choose")
        found = findings.examine_units()
        record.remove()
    name = f"rtc.{os.getpid()}"
    assert [(f.part, f.subject, f.severity) for f in found] == [("units", name, "warn")] * 2
    assert [(f.text, f.remedy) for f in found] == [
        ("priority 80 refused: no", "raise it"),
        ("CPU 7 refused: none", "choose"),
    ]


def test_a_record_that_cannot_be_read_is_a_finding(shm_dir: Path) -> None:
    (shm_dir / "junk.1.proc.fb").write_bytes(b"x" * 100)
    found = findings.examine_units(shm_dir)
    assert found[0].severity == "warn"
    assert "junk.1.proc.fb" in found[0].text


def test_parts_that_are_missing_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "find_spec", lambda name: None if name == "numba" else object())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = {finding.subject: finding for finding in findings.examine_parts()}
    assert found["compute"].remedy == "pip install 'framebus[compute]'"
    assert "not installed (numba)" in found["compute"].text
    assert found["cli"].severity == "ok"
    assert found["tmux program"].remedy == "sudo apt install tmux"
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/tmux")
    assert findings.examine_parts()[-1].severity == "ok"


def test_every_extra_of_the_package_is_a_part_with_all_that_it_brings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    brought = {
        extra: {re.split(r"[<>=\[]", needed)[0].lower().replace("-", "_") for needed in packages}
        - {"framebus"}
        for extra, packages in project["optional-dependencies"].items()
        if extra != "all"
    }
    monkeypatch.setattr(findings, "find_spec", lambda name: None)
    missing = {
        finding.subject: set(finding.text.partition("(")[2].partition(")")[0].lower().split(", "))
        for finding in findings.examine_parts()
        if finding.subject != "tmux program"
    }
    assert missing == brought


def test_everything_is_examined_in_order() -> None:
    parts = [finding.part for finding in examine(STRONG)]
    assert parts == sorted(parts, key=["units", "machine", "parts"].index)
    assert {finding.part for finding in examine()} == {"units", "machine", "parts"}


def test_restore_without_placement_does_nothing() -> None:
    assert in_thread(restore) == []
