"""The data behind the tab of parameters: what a look at the sets sees."""

from __future__ import annotations

import os
from pathlib import Path

from framebus.params import Params, ParamSpec
from framebus.tui.param_watch import ParamWatch
from support.processes import Spawner
from support.waiting import until


def inodes(shm_dir: Path) -> dict[str, int]:
    return {path.name.removesuffix(".params.fb"): path.stat().st_ino for path in shm_dir.glob("*.params.fb")}


def test_what_a_set_tells(shm_dir: Path) -> None:
    watch = ParamWatch(shm_dir)
    with Params.create("ao", [ParamSpec("gain", 0.5, minimum=0.0), ParamSpec("label", "a")]) as ao:
        first = watch.look(inodes(shm_dir))["ao"]
        assert {name: entry.value for name, entry in first.entries.items()} == {"gain": 0.5, "label": "a"}
        assert watch.look(inodes(shm_dir))["ao"] is first
        ao.set_findings({"gain": "it is large"})
        second = watch.look(inodes(shm_dir))["ao"]
        assert second.entries["gain"].finding == "it is large"
        watch.write("ao", "gain", 0.25)
        third = watch.look(inodes(shm_dir))["ao"]
        assert (third.entries["gain"].value, third.entries["gain"].changes) == (0.25, 1)
        assert first.user_pid in (0, os.getpid())
        ao.remove()
    assert watch.look(inodes(shm_dir)) == {}
    watch.close()


WRITER = """
from framebus.params import Params
with Params.open("ao") as ao:
    print("open")
    names, count = list(ao), 0
    while True:
        count += 1
        ao.update(dict.fromkeys(names, count))
"""


def test_a_look_is_of_one_moment(spawn: Spawner, shm_dir: Path) -> None:
    watch = ParamWatch(shm_dir)
    with Params.create("ao", [ParamSpec(f"entry{i}", 0) for i in range(40)]) as ao:
        writer = spawn(WRITER)
        writer.expect("open")
        seen: set[object] = set()

        def look() -> bool:
            values = {entry.value for entry in watch.look(inodes(shm_dir))["ao"].entries.values()}
            assert len(values) == 1
            seen.update(values)
            return len(seen) > 20

        until(look)
        writer.kill()
        ao.remove()
    watch.close()
