from __future__ import annotations

import numpy as np
import pytest

from framebus.cli.histograms import bars, duration_us, scale, strip
from framebus.process.histogram import Histogram

FEW = Histogram.of(np.array([500, 3_000, 3_000, 15_000_000, 2_000_000_000]))
NONE = Histogram.of(np.array([], np.int64))


def test_a_strip_is_as_wide_as_its_scale() -> None:
    assert len(strip(FEW)) == len(strip(NONE)) == len(scale()) == 40
    assert strip(NONE).strip() == ""
    assert strip(FEW).count("█") == 2, "the fullest bin alone is full"
    assert strip(FEW)[0] != " "
    assert strip(FEW)[-1] != " "
    assert scale().split() == ["1µs", "10µs", "100µs", "1ms", "10ms", "100ms", "1s"]


def test_bars_have_a_row_for_each_bin_and_fit() -> None:
    lines = bars([FEW, NONE], ["left", "right"], 80)
    assert lines[0].split() == ["left", "right"]
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["<", "1", "µs", lines[1].split()[3], "1"]
    assert lines[-1].split()[:3] == [">=", "1", "s"]
    assert any(line.startswith("      2 - 5 µs") and line.endswith("█ 2") for line in lines)
    assert any(line.strip() == "500 µs - 1 ms" for line in lines), "a bin between that holds nothing"
    assert bars([NONE], ["none"], 80) == []


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1 µs"), (999.4, "999 µs"), (1000.0, "1 ms"), (2.5e5, "250 ms"), (1e6, "1 s")]
)
def test_durations(value: float, text: str) -> None:
    assert duration_us(value) == text
