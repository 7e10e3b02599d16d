"""Waiting for frames, parameters and units; doing something at each frame; a snapshot of everything."""

import threading

import framebus as fb
from framebus.events import Occurrences, query, wait_for

wfs = fb.create("wfs", shape=(4,))
loop = fb.Params.create("loop", {"gain": 0.3}, replace=True)


def work() -> None:
    """Stands for what other processes do."""
    loop.gain = 0.5
    wfs.write([1.0, 2.0, 3.0, 4.0])


threading.Timer(0.1, work).start()

# -- wait
(first,) = wait_for(["stream:wfs>=1", "unit:slopes=running"], timeout_s=5)
print(first.index, first, first.values)

for fired in wait_for(["param:loop.gain>=0.5", "stream:wfs=live"], mode="all", timeout_s=5):
    print(fired)
# -- end of wait

# -- occurrences
with Occurrences("stream:wfs", every_s=0.1) as occurrences:
    for _ in range(100):
        wfs.write([1.0, 2.0, 3.0, 4.0])
    for each in occurrences:
        print(each, f"({each.skipped} skipped)")
        if each.values["count"] == wfs.count:
            break
# -- end of occurrences

# -- query
snapshot = query("streams", "params", "loop.*")
print(snapshot["streams"][0]["count"], snapshot["parameters"][0]["entries"]["gain"]["value"])
# -- end of query

wfs.remove()
loop.remove()
