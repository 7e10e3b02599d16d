"""A script as people write them for pyMilk; its import is the only line that was changed."""

import threading

import numpy as np

# was: from pyMilk.interfacing.isio_shmlib import SHM
from framebus.compat.pymilk import SHM

# A camera, as another process would have it.
camera = SHM("ocam2d", ((120, 120), np.uint16), nbkw=10)
camera.set_keywords({"EXPTIME": (0.0005, "exposure time, s"), "FRATE": 2000.0, "FILTER": "H"})
over = threading.Event()


def expose() -> None:
    """Publish noise until it is over."""
    rng = np.random.default_rng(1)
    while not over.wait(0.0005):
        camera.set_data(rng.poisson(100.0, camera.shape), check_dt=True)


exposing = threading.Thread(target=expose)
exposing.start()

# -- read
shm = SHM("ocam2d")
data = shm.get_data(check=False)  # just read
data = shm.get_data(check=True)  # wait for an update, then read
print(data.shape, data.dtype, "frame", shm.get_counter())
# -- end of read

# -- several
output = shm.multi_recv_data(
    100,
    outputFormat=1,  # puts everything in a 3D np.array
    monitorCount=True,
)
print(output.shape, output.dtype)
# -- end of several

# -- keywords
print(shm.get_expt(), "s", shm.get_fps(), "Hz", shm.get_crop())
for name, (value, comment) in shm.get_keywords(comments=True).items():
    print(name, value, comment)
# -- end of keywords

# -- write
dark = output.mean(axis=0)
with SHM("ocam_dark", ((120, 120), np.float32), location=-1, shared=True) as shm_wr:
    shm_wr.set_data(dark.astype(shm_wr.nptype))
    print("dark:", round(float(shm_wr.get_data().mean())))
    shm_wr.destroy()
# -- end of write

# -- timeout
over.set()
exposing.join()
last = shm.get_data(check=True, timeout=0.01, return_none_on_timeout=True)
print("no frame came" if last is None else "a frame came")
# -- end of timeout
camera.destroy()
