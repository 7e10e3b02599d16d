"""Shared memory that somebody overwrites while a loop uses it: the loop may fail or end, its process does not."""

from __future__ import annotations

import pytest

from support.processes import Spawner

DAMAGE = """
import contextlib, mmap, random, struct, sys
import numpy as np
import framebus as fb
from framebus.errors import FramebusError
from framebus.process import ProcessRecord
from framebus.unit import LoopOptions, Stage, start
from support import units

WORDS = [0, 1, 2, 3, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
RECORD, STREAM = (512, 8192 + 64 * 1024), (228, 312)
chance = random.Random(int(sys.argv[1]))

@contextlib.contextmanager
def mapped(path):
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as bytes_there:
        yield bytes_there

def damage(path, begin, end):
    with mapped(path) as there:
        at = chance.randrange(begin, min(end, len(there) - 8)) // 8 * 8
        there[at:at + 8] = struct.pack("<Q", chance.choice([*WORDS, chance.getrandbits(64)]))

def attempt(*actions):
    for action in actions:
        with contextlib.suppress(FramebusError):
            action()

def use(record):
    attempt(
        lambda: record.control, lambda: record.state, record.timings, record.statistics, lambda: record.message,
        lambda: record.last_alarm, lambda: record.limits, lambda: record.refusals, record.step,
        lambda: record.core.activity, record.core.take_event, lambda: repr(record),
    )

def once(options, case):
    # A name of its own: a damaged lock would keep the next case waiting for its holder.
    name = f"unit{case}"
    made = chance.choice([units.whole_matrix, units.plain_whole_matrix])
    loop = start(Stage(made, {"image": "image", "matrix": "matrix", "value": "value"}, name=name), options)
    with ProcessRecord.open(loop.record.path) as record:
        for _ in range(20):
            damage(*chance.choice(
                [(record.path, *RECORD), (record.path, 512, 800), (image.path, *STREAM), (matrix.path, *STREAM)]
            ))
            attempt(
                lambda: matrix.write(np.ones((2, 2)), at_count=chance.choice([1, 5, 2**62])),
                lambda: image.write(np.ones(4)),
            )
            use(record)
        attempt(loop.stop)

image, matrix = fb.create("image", shape=(4,), history=4), fb.create("matrix", shape=(2, 2), history=2)
image.write(np.ones(4))
matrix.write(np.ones((2, 2)), at_count=1)
whole = {stream.path: stream.path.read_bytes() for stream in (image, matrix)}
for case in range(int(sys.argv[2])):
    once(chance.choice([
        LoopOptions(), LoopOptions(every_frame=True), LoopOptions(trigger="delay", period_s=1e-4),
    ]), case)
    for path, content in whole.items():
        with mapped(path) as there:
            there[:] = content
    image.skip_to_newest()
print("fine")
"""


@pytest.mark.stress
@pytest.mark.parametrize("seed", [1, 2])
def test_a_process_survives_damage_of_what_its_loop_uses(seed: int, stress: bool, spawn: Spawner) -> None:
    process = spawn(DAMAGE, str(seed), str(3000 if stress else 40))
    process.expect("fine", timeout_s=3600)
    assert process.wait() == 0
