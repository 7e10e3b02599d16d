"""A sequence in a process of its own: ``python -m framebus.sequence.background``, what to run as JSON on its input."""

from __future__ import annotations

import json
import sys

from framebus.errors import FramebusError
from framebus.pipeline.control import failure
from framebus.pipeline.detached import become_detached
from framebus.sequence.runner import Runner, signals_stop
from framebus.sequence.status import SequenceStatus


def main() -> int:
    """Run it; returns the exit code."""
    data, say = become_detached()
    given = json.loads(data)

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
