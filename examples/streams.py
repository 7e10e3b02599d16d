"""Streams in five minutes: create, write, read, wait, look back. Included piece by piece in docs/streams.md."""

# -- create
import numpy as np

import framebus as fb
from framebus.errors import WaitTimeout

camera = fb.create(
    "tutorial_camera",
    shape=(4, 6),  # NumPy's order: 4 rows (y) of 6 pixels (x)
    dtype="uint16",
    history=8,
    keywords={"FRATE": (1000.0, "frames per second"), "FILTER": "H"},
)
# -- end of create

# -- open
reader = fb.open("tutorial_camera")  # here or in another process
# -- end of open

# -- write
camera.write(np.ones((4, 6), "uint16"))

with camera.writing() as pixels:  # shared memory itself: nothing is copied
    pixels[:] = 2
    pixels[0, 5] = 7
# -- end of write

# -- read
for frame in reader.frames(2):  # in order, out of the history
    print(frame.count, frame.data.mean(), "missed:", frame.missed)

newest = reader.read()  # a copy of the newest whole frame, read before or not
print(newest[0])
# -- end of read

# -- slices
corner = fb.open("tutorial_camera[4:5,0]")  # x from 4 to 5, y 0; both ends are included
print(corner.read())
# -- end of slices

# -- latest
latest = reader.latest()
total = latest.data.sum()
if latest.still_valid():
    print("the sum of frame", latest.count, "is", total)
# -- end of latest

# -- wait
try:
    reader.read_next(timeout_s=0.01)
except WaitTimeout as error:
    print(error)
# -- end of wait

# -- keywords
reader.keywords["FRATE"] = 500.0
reader.keywords.set("EXPTIME", 0.002, "seconds")
for name, value in camera.keywords.items():
    print(name, value, camera.keywords.comment(name))
# -- end of keywords

# -- remove
for info in fb.streams():
    print(info.name, info.state, info.shape, info.dtype, info.count)
camera.remove()
# -- end of remove
