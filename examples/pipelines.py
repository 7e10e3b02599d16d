"""The same units in three placements. Included piece by piece in docs/pipelines.md."""

# -- units
from pathlib import Path
from typing import Annotated

import numpy as np

import framebus as fb
from framebus.errors import BindingError, UnitError
from framebus.unit import Array, Unit


@fb.unit
def remove_mean(image: fb.In, flat: fb.Out) -> None:
    """The image without its mean."""
    mean = image.mean()
    for i in range(image.size):
        flat.flat[i] = image.flat[i] - mean


@fb.unit
def clip(flat: fb.In, clipped: fb.Out, *, limit: float = 1.0) -> None:
    """Values beyond the limit are set to it."""
    for i in range(flat.size):
        clipped.flat[i] = min(max(flat.flat[i], -limit), limit)


# -- end of units


class Camera(Unit):
    """A camera whose frames brighten at one end."""

    def step(self, frame: Annotated[fb.Out, Array((4,), dtype="float32")]) -> None:
        """The next frame."""
        frame[:] = 0, 0, 0, 1 + frame[3]


@fb.unit
def flatten(image: fb.In, field: fb.In, even: fb.Out) -> None:
    """The image over the flat field."""
    for i in range(image.size):
        even.flat[i] = image.flat[i] / field.flat[i]


# -- pipeline
def build(process: str | None, fuse: str | None) -> fb.Pipeline:
    """One pipeline; where its units run is all that differs."""
    pipeline = fb.Pipeline("cleaning")
    pipeline.add(
        remove_mean,
        streams={"image": "image", "flat": "flat"},
        process=process,
        fuse=fuse,
    )
    pipeline.add(
        clip,
        streams={"flat": "flat", "clipped": "clipped"},
        parameters={"limit": 2.0},
        process=process,
        fuse=fuse,
    )
    return pipeline


# -- end of pipeline

# -- run
PLACEMENTS = {
    "a process each": (None, None),
    "threads of this process": ("", None),
    "one loop in this process": ("", "all"),
    "one loop in another process": ("worker", "all"),
}

if __name__ == "__main__":  # other processes import this file for its units
    image = fb.create("image", shape=(4,), dtype="float32")
    for placement, (process, fuse) in PLACEMENTS.items():
        with build(process, fuse).start() as pipeline, fb.open("clipped") as clipped:
            image.write(np.array([0, 0, 0, 8]))
            data = clipped.read_next(timeout_s=10.0).data
            pipeline.check()  # raises UnitError if a process or loop has ended
            print(f"{placement}: {data} of process {pipeline.records()['clip'].pid}")
    # -- end of run

    # -- wrong
    try:
        fb.Pipeline().add(clip, streams={"flat": "flatt", "clipped": "clipped"}).start()
    except BindingError as error:
        print(error)
    # -- end of wrong

    # -- watch
    with build(None, None).start() as pipeline:
        with pipeline.params("clip") as params:
            params.limit = 0.5
        records = pipeline.records()
        print({name: record.state.name for name, record in records.items()})
        try:
            pipeline.check()
        except UnitError as error:
            print(error)
    # -- end of watch

    # -- file
    with fb.Pipeline.load(Path(__file__).with_name("loop.toml")) as pipeline:
        for problem in pipeline.validate():
            print(problem)
        pipeline.start()
        with fb.open("clipped") as clipped:
            print(clipped.read_next(timeout_s=60.0).data)
    # -- end of file
