"""Stand-ins for machines: directories with the files of /proc, /sys, /dev and /etc that tell what they are like."""

from __future__ import annotations

import gzip
from pathlib import Path

Files = dict[str, str]

_LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max locked memory         {memlock}              {memlock}              bytes
Max realtime priority     {rtprio}                    {rtprio}
"""


def build(root: Path, files: Files) -> Path:
    """Write the files below ``root``; a text that begins with ``gzip:`` is compressed."""
    for name, said in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if said.startswith("gzip:"):
            path.write_bytes(gzip.compress(said.removeprefix("gzip:").encode()))
        else:
            path.write_text(said)
    return root


def basic(cpus: int, *, rtprio: int = 0, memlock: str = "8388608", capabilities: str = "0") -> Files:
    """What every kernel tells."""
    return {
        "proc/self/status": f"CapEff:\t{capabilities}\nCpus_allowed_list:\t0-{cpus - 1}\n",
        "proc/self/limits": _LIMITS.format(rtprio=rtprio, memlock=memlock),
        "proc/sys/kernel/random/boot_id": "boot-1\n",
        "sys/devices/system/cpu/online": f"0-{cpus - 1}\n",
        "sys/devices/system/cpu/isolated": "\n",
        "dev/shm/.keep": "",
        "etc/security/limits.d/.keep": "",
    }


def idle_states(cpus: int, *states: tuple[str, int], disabled: bool = False) -> Files:
    """Those of every CPU: name and latency, µs."""
    files: Files = {}
    for cpu in range(cpus):
        for number, (name, latency) in enumerate(states):
            folder = f"sys/devices/system/cpu/cpu{cpu}/cpuidle/state{number}"
            switch = "1" if disabled and latency > 10 else "0"
            files |= {
                f"{folder}/name": name,
                f"{folder}/latency": f"{latency}\n",
                f"{folder}/disable": f"{switch}\n",
            }
    return files


def laptop() -> Files:
    """Four threads on two cores, everything set for a long life of the battery."""
    files = basic(4) | idle_states(4, ("POLL", 0), ("C1", 2), ("C6", 85), ("C10", 890))
    for number in range(4):
        files |= {
            f"sys/devices/system/cpu/cpufreq/policy{number}/scaling_governor": "powersave\n",
            f"sys/devices/system/cpu/cpufreq/policy{number}/scaling_available_governors": "performance powersave\n",
            f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_governor": "powersave\n",
            f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list": f"{number % 2},{number % 2 + 2}\n",
        }
    return files | {
        "proc/version": "Linux version 6.8.0 SMP PREEMPT_DYNAMIC\n",
        "proc/cmdline": "quiet splash\n",
        "proc/config.gz": "gzip:CONFIG_PREEMPT_VOLUNTARY=y\nCONFIG_PREEMPT_DYNAMIC=y\n# CONFIG_PREEMPT is not set\n",
        "proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu tsc\n",
        "proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\n",
        "proc/self/timerslack_ns": "50000\n",
        "proc/meminfo": "MemTotal: 16777216 kB\nSwapTotal: 2097152 kB\nSwapFree: 1048576 kB\n"
        "HugePages_Total: 0\nHugePages_Free: 0\nHugepagesize: 2048 kB\n",
        "proc/sys/vm/swappiness": "60\n",
        "proc/sys/vm/nr_hugepages": "0\n",
        "proc/sys/kernel/sched_rt_runtime_us": "950000\n",
        "proc/sys/kernel/numa_balancing": "1\n",
        "proc/irq/default_smp_affinity": "f\n",
        "proc/irq/9/smp_affinity_list": "0-3\n",
        "proc/irq/24/smp_affinity_list": "3\n",
        "proc/irq/25/smp_affinity_list": "0\n",
        "run/irqbalance/socket": "",
        "sys/devices/system/cpu/smt/control": "on\n",
        "sys/devices/system/cpu/cpuidle/current_driver": "intel_idle\n",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n",
        "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
        "sys/kernel/mm/transparent_hugepage/defrag": "[always] defer defer+madvise madvise never\n",
        "dev/cpu_dma_latency": "",
        "etc/udev/rules.d/.keep": "",
    }


def server() -> Files:
    """Eight CPUs, tuned for real time by somebody who knows how."""
    return (
        basic(8, rtprio=99, memlock="unlimited")
        | idle_states(8, ("POLL", 0), ("C1", 2), ("C6", 133), disabled=True)
        | {
            "sys/devices/system/cpu/isolated": "4-7\n",
            "sys/devices/system/cpu/nohz_full": "4-7\n",
            "sys/kernel/realtime": "1\n",
            "sys/devices/system/node/has_memory": "0\n",
            "sys/devices/system/cpu/smt/control": "off\n",
            "sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
            "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
            "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet\n",
            "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
            "sys/kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never\n",
            "proc/version": "Linux version 6.12.0-rt SMP PREEMPT_RT\n",
            "proc/cmdline": "isolcpus=managed_irq,domain,4-7 nohz_full=4-7 rcu_nocbs=4-7\n",
            "proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu tsc\n",
            "proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\n",
            "proc/self/timerslack_ns": "50000\n",
            "proc/meminfo": "MemTotal: 1024 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
            "HugePages_Total: 64\nHugePages_Free: 64\nHugepagesize: 2048 kB\n",
            "proc/sys/kernel/sched_rt_runtime_us": "-1\n",
            "proc/sys/kernel/numa_balancing": "0\n",
            "proc/irq/24/smp_affinity_list": "0-3\n",
        }
    )


def virtual() -> Files:
    """A guest whose host gives time to others."""
    return basic(2) | {
        "proc/version": "Linux version 6.1.0 SMP PREEMPT_DYNAMIC\n",
        "proc/cmdline": "preempt=voluntary\n",
        "proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu tsc hypervisor\n",
        "proc/stat": "cpu  100 0 100 780 0 0 0 20 0 0\n",
        "proc/meminfo": "MemTotal: 2048 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "acpi_pm\n",
        "sys/devices/system/clocksource/clocksource0/available_clocksource": "acpi_pm\n",
    }


def container() -> Files:
    """Little is told here: no /sys, and a /proc of which most is hidden."""
    return basic(1) | {".dockerenv": "", "sys/devices/system/cpu/online": ""}
