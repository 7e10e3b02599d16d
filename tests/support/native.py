"""Native loops without what ``start`` does around them: tests of the loop itself steer every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from framebus import _core
from framebus.process import ProcessRecord
from framebus.unit import FunctionUnit, Stage
from framebus.unit.bind import bind


class Native:
    """A native loop that is built and not started, with its records."""

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        trigger: Any = "stream",
        period_s: float = 0.0,
        spin_ns: int = 0,
        **more: Any,
    ) -> None:
        self.bound = bind(stages, trigger)
        triggered = trigger in ("stream", "once")
        self.records = [
            ProcessRecord.create(stage.label, trigger=stage.trigger_name if triggered else trigger)
            for stage in stages
        ]
        self.loop = _core.Loop()
        for i, (stage, record) in enumerate(zip(self.bound, self.records, strict=True)):
            self.loop.add_stage(
                stage.kernel_address,
                stage.callback(record),
                stage.ports(triggered and i == 0),
                stage.dims(),
                stage.params.core if stage.params is not None and stage.kernel_address else None,
                stage.cells(),
                record.core,
            )
        every_frame = more.pop("every_frame", False)
        self.loop.configure(
            trigger, round(period_s * 1e9), every_frame, spin_ns, [], 0, stages[0].label, **more
        )

    @property
    def record(self) -> ProcessRecord:
        """The first unit's."""
        return self.records[0]

    def succeed(self, *others: Native, **more: Any) -> None:
        """Take over from other loops."""
        self.loop.succeed([record.core for other in others for record in other.records], **more)

    def close(self) -> None:
        """End it and give everything back."""
        self.loop.request_stop()
        self.loop.join()
        for stage in self.bound:
            stage.close()
        for record in self.records:
            record.close()


@contextmanager
def native(
    unit: FunctionUnit | Sequence[Stage],
    streams: dict[str, str] | None = None,
    name: str = "",
    **options: Any,
) -> Iterator[Native]:
    """A loop of one unit, or of these stages; ended with the block."""
    stages = [Stage(unit, streams or {}, name=name)] if isinstance(unit, FunctionUnit) else unit
    made = Native(stages, **options)
    try:
        yield made
    finally:
        made.close()
