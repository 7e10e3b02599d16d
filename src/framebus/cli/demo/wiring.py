"""Where the demonstration's units run, and by which names an operator finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from framebus.cli.demo.rig import PREFIX

if TYPE_CHECKING:
    from framebus.pipeline.plan import PipelinePlan

Placement = Literal["processes", "threads", "fused"]

CAMERA = PREFIX + "simulator"
CONTROLLER = PREFIX + "controller"
MIRROR = PREFIX + "mirror"


def place(plan: PipelinePlan, placement: Placement) -> PipelinePlan:
    """The same pipeline with its units elsewhere.

    ``processes``: each in its own; ``threads``: all in one process, each in a thread; ``fused``: in one process, the
    camera in a thread, and everything from its frame to the mirror's command in one loop.
    """
    if placement == "processes":
        return plan
    loop = PREFIX + "rtc" if placement == "fused" else None
    units = {
        name: msgspec.structs.replace(unit, process=PREFIX + "rtc", fuse=None if name == CAMERA else loop)
        for name, unit in plan.units.items()
    }
    return msgspec.structs.replace(plan, units=units)
