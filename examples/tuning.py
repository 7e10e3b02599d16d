"""Parameters from a second program: waiting for changes, being told of them, saving and loading."""

import shutil
import tempfile
from pathlib import Path

from framebus.params import Params, ParamSpec, load_sets, save_sets

params = Params.create(
    "controller",
    [
        ParamSpec(
            "loop.gain",
            0.3,
            minimum=0.0,
            maximum=1.0,
            help="Per frame. Above 0.5 the loop rings in bad seeing.",
        ),
        ParamSpec("loop.leak", 0.99, minimum=0.0, maximum=1.0),
        ParamSpec("closed", False, saved=False),
    ],
)
directory = Path(tempfile.mkdtemp())  # of your own

# -- wait
tuning = Params.open("controller")  # in any process
seen = params.generation
tuning["loop.gain"] = 0.4
changes = params.wait_changed("loop.gain", "closed", since=seen, timeout_s=1.0)
print(dict(changes))  # {'loop.gain': (0.3, 0.4)}
# -- end of wait

# -- subscribe
with params.subscribe(lambda changed: print("now", dict(changed)), "loop.gain"):
    tuning["loop.gain"] = 0.5
# -- end of subscribe

# -- diff
before = tuning.snapshot()
tuning.update({"loop.gain": 0.6, "loop.leak": 0.9})
print(tuning.diff(before))  # {'loop.gain': (0.5, 0.6), 'loop.leak': (0.99, 0.9)}
print(tuning.diff())  # what is not as declared
# -- end of diff

# -- file
tuning.save(directory / "controller.toml")  # what changed; changed_only=False: everything
tuning.update({"loop.gain": 0.1, "loop.leak": 0.5})
tuning.load(directory / "controller.toml")
print(tuning.snapshot())

save_sets(directory / "all.toml", ["controller"])
load_sets(directory / "all.toml")
# -- end of file

# -- refused
(directory / "bad.toml").write_text("[loop]\ngain = 7\nlaek = 0.9\n")
try:
    tuning.load(directory / "bad.toml")
except ValueError as error:
    print(error)
# -- end of refused

# -- findings
params.set_findings({"loop.gain": "high for a leak of 0.9: the loop may ring"})  # the unit's check says so
print(tuning.findings)
print(tuning.describe("loop.gain").finding)
# -- end of findings

shutil.rmtree(directory)
tuning.close()
params.remove()
