"""Functions that compute the first frames of streams, for tests of pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np

VALUE = 3


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    """One stream."""
    return {"wide": np.zeros(6)}


def fails(why: str) -> None:
    """Gives nothing."""
    raise RuntimeError(why)


def gives_a_list() -> list[int]:
    """No arrays by name."""
    return [3]


def gives_text() -> dict[str, Any]:
    """What no stream can hold."""
    return {"text": np.array(["x"])}
