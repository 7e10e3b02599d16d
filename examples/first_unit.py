"""The unit that README.md shows."""

import numpy as np

import framebus as fb


@fb.unit
def leaky_integrator(error: fb.In, command: fb.Out, *, gain: float = 0.3, leak: float = 0.99) -> None:
    """Leaky integrator: command = leak * command - gain * error."""
    for i in range(command.size):
        command[i] = leak * command[i] - gain * error[i]


if __name__ == "__main__":
    sensor = fb.create("error", shape=(97,), dtype="float32")
    with fb.Pipeline() as pipeline:
        pipeline.add(leaky_integrator, streams={"error": "error", "command": "command"}).start()
        mirror, params = fb.open("command"), fb.Params.open("leaky_integrator")
        for gain in (0.2, 0.5):
            params.gain = gain  # while it runs, from any process
            sensor.write(np.ones(97, dtype="float32"))
            frame = mirror.read_next(timeout_s=1.0)
            print(f"frame {frame.count}: {frame.data[:3]}")
