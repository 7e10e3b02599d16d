from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framebus.ao.inversion import tikhonov_inverse, truncated_inverse
from framebus.ao.measured_rejection import rejection_from_pair
from framebus.ao.modal_basis import placed_basis
from framebus.ao.modal_gains import optimise_gains
from framebus.ao.pictures import draw_basis, draw_gains, draw_inverse, draw_rejection, draw_spectrum
from framebus.errors import UsageError

RNG = np.random.default_rng(41)
RESPONSE = RNG.normal(size=(9, 20))
PLACES = np.argwhere(np.ones((3, 3))).astype(float)
SERIES = RNG.normal(size=(400, 3))


@pytest.mark.parametrize(
    ("draw", "subject", "options"),
    [
        (draw_inverse, truncated_inverse(RESPONSE, n_modes=1), {}),
        (
            draw_inverse,
            tikhonov_inverse(RESPONSE, 10.0),
            {"places": PLACES},
        ),  # nothing is more than half strong
        (draw_basis, placed_basis("kl", PLACES, 3), {"places": PLACES}),
        (draw_basis, placed_basis("zonal", PLACES), {}),
        (draw_gains, optimise_gains(SERIES, 100.0), {}),
        (draw_rejection, rejection_from_pair(SERIES, SERIES, 100.0), {"channel": 2}),
    ],
)
def test_a_picture_is_drawn(tmp_path: Path, draw: Any, subject: Any, options: dict[str, Any]) -> None:
    draw(subject, path=tmp_path / "a.svg", **options)
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn.startswith("<?xml")
    assert drawn.rstrip().endswith("</svg>")


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"end the name in \.png"):
        draw_spectrum(SERIES, 100.0, tmp_path / "a.txt")
    with pytest.raises(UsageError, match=r"expected \(9, 2\)"):
        draw_inverse(truncated_inverse(RESPONSE), tmp_path / "a.png", PLACES[:4])
    with pytest.raises(UsageError, match="has 0 to 2"):
        draw_rejection(rejection_from_pair(SERIES, SERIES, 100.0), tmp_path / "a.png", 3)
    assert list(tmp_path.iterdir()) == []
