"""A simulated telescope, stepped from Python; the documentation shows it."""

from pathlib import Path

import numpy as np

# -- load
from framebus import sim

telescope = sim.load(Path(__file__).with_name("telescope.toml"))
commands = np.zeros(telescope.dm_shape, np.float32)
for _ in range(5):
    frame = telescope.step(commands)  # None if the detector lost it
    # ... the system that you develop makes the next commands of the frame ...
    print(f"{telescope.time_s * 1e3:.0f} ms: {telescope.rms_nm:.0f} nm, Strehl ratio {telescope.strehl:.2f}")
# -- end of load
