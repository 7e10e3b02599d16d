"""Live parameters and process records: what a unit's process does, and what any other process does with it."""

from framebus.params import Params, ParamSpec
from framebus.process import Event, ProcessRecord, records

# -- create
params = Params.create(
    "loop",
    [
        ParamSpec("gain", 0.3, minimum=0.0, maximum=1.0, description="integrator gain"),
        ParamSpec("leak", 0.99, minimum=0.0, maximum=1.0),
        ParamSpec("wfs", "wfs1", type="stream", live=False),
    ],
)
# -- end of create

# -- use
other = Params.open("loop")  # in any process
other["gain"] = 0.4
other.leak = 0.95
other.update(gain=0.5, leak=0.9)  # both or none: no reader sees half of it
print(params.snapshot())
print(params.describe("gain").changes, "changes of gain")
# -- end of use

# -- refused
try:
    other["gain"] = 3.0
except ValueError as error:
    print(error)
# -- end of refused

# -- record
record = ProcessRecord.create("integrator", use="my_package.units:integrator", trigger="wfs1")
for event in (Event.INIT, Event.ENABLE, Event.RUN):
    record.advance(event)
# -- end of record

# -- watch
for seen in records():
    print(seen.unit, seen.pid, seen.state.name, seen.alive, seen.loop_count, seen.missed)
    print(seen.statistics().latency_us.p99, "us from frame to result in 99 of 100 loops")
    seen.pause()
    seen.step(10)
    seen.resume()
    seen.close()
# -- end of watch

record.remove()
other.close()
params.remove()
