"""Poke patterns for calibrating a DM: which actuators are pushed together."""

from __future__ import annotations

from itertools import count

import numpy as np
from numpy.typing import NDArray

from framebus.errors import UsageError

FloatArray = NDArray[np.float64]


def zonal_patterns(n: int) -> FloatArray:
    """One actuator at a time: the identity, (n, n)."""
    _check(n)
    return np.eye(n)


def hadamard_patterns(n: int) -> FloatArray:
    """All actuators at once, each pushed or pulled: (N, n) of +1 and -1 with orthogonal columns.

    N is the smallest order >= n that Sylvester's and Paley's constructions give (144 for 144, 192 for 188). The
    noise of a response is sqrt(N) times lower than with one actuator at a time and as many averages, since
    every frame measures every actuator. Source: R. E. A. C. Paley, "On orthogonal matrices", J. Math. Phys. 12
    (1933) 311; for AO, M. Kasper et al., "Fast calibration of high-order adaptive optics systems", J. Opt. Soc.
    Am. A 21 (2004) 1004.
    """
    _check(n)
    for order in count(n):
        matrix = _hadamard(order)
        if matrix is not None:
            return np.ascontiguousarray(matrix[:, :n], dtype=np.float64)
    raise AssertionError("unreachable: every power of two is an order")


def _check(n: int) -> None:
    if n < 1:
        raise UsageError(f"{n} actuators; expected 1 or more")


def _hadamard(order: int) -> NDArray[np.int8] | None:
    """A Hadamard matrix of that order, if one of the two constructions gives it."""
    if order == 1:
        return np.ones((1, 1), np.int8)
    if order % 4 == 0 and _is_prime(order - 1):
        return _paley(order - 1)
    half = _hadamard(order // 2) if order % 2 == 0 else None
    return None if half is None else np.block([[half, half], [half, -half]])


def _paley(q: int) -> NDArray[np.int8]:
    """Order q + 1 for a prime q of the form 4 k + 3: I + S, with S made of the squares modulo q."""
    character = np.full(q, -1, np.int8)
    character[np.arange(1, q) ** 2 % q] = 1
    character[0] = 0
    matrix = np.ones((q + 1, q + 1), np.int8)
    matrix[1:, 0] = -1
    matrix[1:, 1:] = character[np.subtract.outer(np.arange(q), np.arange(q)) % q]
    matrix[np.arange(1, q + 1), np.arange(1, q + 1)] = 1
    return matrix


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
