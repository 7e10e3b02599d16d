"""A sequence in a process of its own: ``python -m framebus.sequence.background FD``, what to run as JSON on its input.

It says on the descriptor ``FD`` its process id, and then in one line of JSON how its start went (``{}``, or ``{"error":
class, "message": text}``), and goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

from framebus.errors import FramebusError
from framebus.pipeline.control import failure
from framebus.sequence.runner import Runner, signals_stop
from framebus.sequence.status import SequenceStatus


def main() -> int:
    """Run it; returns the exit code."""
    answer = os.fdopen(int(sys.argv[1]), "w", buffering=1)
    os.set_inheritable(answer.fileno(), False)
    given = json.load(sys.stdin)
    if os.fork():
        os._exit(0)  # whoever started us need not wait for the other one, ever
    answer.write(f"{os.getpid()}\n")

    def say(told: dict[str, str]) -> None:
        if not answer.closed:
            with contextlib.suppress(BrokenPipeError), answer:  # nobody waits any more
                answer.write(f"{json.dumps(told)}\n")

    def on_change(status: SequenceStatus) -> None:
        if status.state == "running":
            say({})

    try:
        runner = Runner(given["file"], given["arguments"], name=given["name"], on_change=on_change)
        with signals_stop(runner):
            runner.run()
    except FramebusError as error:  # the log has it, too
        say(failure(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
