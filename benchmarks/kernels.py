"""`kernels`: every AO unit against the time to move its bytes at this machine's bandwidth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from contest import Case, Contestant, Skipped, Target, Times, WrongAnswer, alternate
from hop_endpoints import importable
from machine import bandwidth, l2_bytes, two_cpus
from sensing import rows
from system import BOX, System
from units import Call, pinned, time_calls

SHARE = 0.8


@dataclass
class Work:
    """A unit with arrays, the bytes that it must read and write, and the answer that it must give."""

    label: str
    unit: Any
    arrays: dict[str, npt.NDArray[Any]]
    read: int
    written: int
    answer: tuple[str, npt.NDArray[Any]]
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return self.read + self.written


def works(size: int) -> list[Work]:
    """Every unit with about ``size`` bytes of data."""
    from framebus import ao

    rng = np.random.default_rng(5)
    return [
        *_pixels(ao, rng, size),
        *_vectors(ao, rng, size),
        *_controllers(ao, rng, size),
        *_mirror(ao, rng, size),
        *_matrices(ao, rng, size),
        *(_work(*row) for row in rows(ao, size)),
    ]


def _work(
    label: str,
    unit: Any,
    arrays: dict[str, npt.NDArray[Any]],
    answer: tuple[str, npt.NDArray[Any]],
    params: Mapping[str, Any],
    state: int,
) -> Work:
    """Reads every input once, writes the output that is checked, reads and writes its state."""
    names = {argument.name for argument in unit.inputs()}
    read = sum(array.nbytes for name, array in arrays.items() if name in names)
    return Work(label, unit, arrays, read + state, 4 * answer[1].size + state, answer, params)


def _pixels(ao: Any, rng: np.random.Generator, size: int) -> list[Work]:
    side = BOX * max(2, round(math.sqrt(size / 14) / BOX))
    raw = rng.integers(0, 4000, (side, side)).astype(np.uint16)
    dark = rng.uniform(90, 110, raw.shape).astype(np.float32)
    gain = rng.uniform(0.9, 1.1, raw.shape).astype(np.float32)
    calibrate = Work(
        f"calibrate {side}x{side} uint16",
        ao.calibrate,
        {"raw": raw, "dark": dark, "gain": gain},
        10 * raw.size,
        4 * raw.size,
        ("pixels", (raw - dark) * gain),
    )
    valid = np.arange(raw.size, dtype=np.int32)
    reference = rng.uniform(0, 10, raw.size).astype(np.float32)
    frame = gain * np.float32(1000)
    intensities = Work(
        f"intensities {side}x{side} float32",
        ao.intensities,
        {"frame": frame, "valid": valid, "reference": reference},
        12 * raw.size,
        4 * raw.size,
        ("measurement", frame.ravel() - reference),
    )
    return [calibrate, intensities, _centroids(ao, size)]


def _centroids(ao: Any, size: int) -> Work:
    across = max(2, round(math.sqrt(size / 4) / BOX))
    s = System(across)
    light = np.abs(s.frames[0].astype(np.float32) - 100)
    axis = np.arange(BOX) - (BOX - 1) / 2
    boxes = light.reshape(across, BOX, across, BOX).transpose(0, 2, 1, 3).astype(np.float64)
    flux = boxes.sum((2, 3))
    slopes = [(boxes.sum(2) * axis).sum(-1) / flux, (boxes.sum(3) * axis).sum(-1) / flux]
    answer = np.concatenate([v.ravel() for v in slopes]) - s.arrays["reference"]
    arrays = {"pixels": light, "boxes": s.arrays["boxes"], "reference": s.arrays["reference"]}
    read = sum(v.nbytes for v in arrays.values())
    label = f"centroids {across}x{across} of 8x8 float32"
    return Work(label, ao.centroids, arrays, read, 4 * s.slopes, ("slopes", answer))


def _vectors(ao: Any, rng: np.random.Generator, size: int) -> list[Work]:
    n = max(16, size // 16)
    error, gains = (rng.uniform(-1, 1, n).astype(np.float32) for _ in range(2))
    flat = rng.uniform(-0.3, 0.3, n).astype(np.float32)
    ones = np.zeros(n, np.float32)
    return [
        Work(
            f"leaky_integrator {n}",
            ao.leaky_integrator,
            {"error": error, "command": ones.copy()},
            8 * n,
            4 * n,
            ("command", -np.float32(0.3) * error),
        ),
        Work(
            f"modal_integrator {n}",
            ao.modal_integrator,
            {"error": error, "mode_gains": gains, "command": ones.copy()},
            12 * n,
            4 * n,
            ("command", -np.float32(0.3) * gains * error),
        ),
        Work(
            f"dm_command {n}",
            ao.dm_command,
            {"command": error, "flat": flat},
            8 * n,
            4 * n,
            ("dm", np.clip(error + flat, -1, 1)),
        ),
    ]


def _controllers(ao: Any, rng: np.random.Generator, size: int) -> list[Work]:
    """Controllers with a memory; ``read`` and ``written`` are what one frame touches of it."""
    n = max(16, size // 64)
    error = rng.uniform(-1, 1, n).astype(np.float32)
    none, ones = np.zeros(n, np.float32), np.ones(n, np.float32)
    gains = np.full((1, n), 0.3)
    taps = rng.uniform(-0.5, 0.5, (4, n)).astype(np.float32)
    given = {"error": error, "excess": none}
    third = -np.float32(0.3) * error

    def work(unit: Any, arrays: dict[str, Any], read: int, written: int, answer: Any) -> Work:
        name = unit.outputs()[0].name
        return Work(f"{unit.name} {n}", unit, dict(arrays), read * n, written * n, (name, answer))

    recursive = np.vstack([gains, np.zeros((2, n))]), np.vstack([np.ones((1, n)), np.zeros((2, n))])
    return [
        work(ao.map_integrator, given | {"gains": ones, "leaks": ones}, 20, 4, third),
        work(ao.open_loop_integrator, {"turbulence": error, "excess": none}, 12, 4, -np.float32(0.5) * error),
        work(ao.pid, given, 20, 12, third),
        work(ao.smith_predictor, given, 20, 12, third),
        work(ao.pseudo_open_loop, {"error": error, "command": none}, 20, 8, error),
        work(
            ao.iir_filter,
            given | {"numerator": recursive[0], "denominator": recursive[1]},
            8 + 12 * 8,
            4 + 4 * 8,
            third,
        ),
        work(
            ao.predictive_filter,
            given | {"coefficients": taps},
            8 + 12 + 8 * 4,
            16,
            -taps.sum(axis=0) * error,
        ),
    ]


def _mirror(ao: Any, rng: np.random.Generator, size: int) -> list[Work]:
    """What stands between controller and mirror; no limit is reached, as in a loop that is well."""
    from framebus.ao.channels import channel_sum

    n = max(16, size // 32)
    side = math.isqrt(n)
    command, error = (rng.uniform(-0.5, 0.5, side * side).astype(np.float32) for _ in range(2))
    channels = {f"channel_{k}": command for k in range(1, 5)}
    there = np.ones((side, side), np.uint8)
    status = np.zeros(len(ao.DM_STATUS), np.int64)
    wanted = command.reshape(side, side)
    four = np.full((2, command.size), 0.5, np.float32)
    bytes_of = command.nbytes
    return [
        Work(f"sum_4 {n}", channel_sum(4), channels, 4 * bytes_of, bytes_of, ("wanted", 4 * command)),
        Work(
            f"dm_limits {side}x{side}",
            ao.dm_limits,
            {"wanted": wanted, "actuators": there, "slaves": np.full((1, 5), -1, np.int32)},
            9 * command.size,
            13 * command.size,
            ("dm", wanted),
        ),
        Work(
            f"guard {n}",
            ao.guard,
            {"command": command, "error": error, "flux": command, "dm_status": status},
            3 * bytes_of,
            bytes_of,
            ("safe", command),
        ),
        Work(
            f"shortfall {n}",
            ao.shortfall,
            {"command": command, "passed": command, "wanted": command, "dm": error},
            4 * bytes_of,
            bytes_of,
            ("excess", command - error),
        ),
        Work(
            f"offload 2x{n}",
            ao.offload,
            {"command": command, "projector": four},
            3 * bytes_of,
            8,
            ("slow", np.clip(0.01 * 0.5 * np.full(2, command.astype(np.float64).sum()), -1, 1)),
        ),
    ]


def _matrices(ao: Any, rng: np.random.Generator, size: int) -> list[Work]:
    rows = max(8, round(math.sqrt(size / 8)))
    few, n = 4, max(64, size // 32)
    vector = rng.standard_normal(n).astype(np.float32)
    basis = np.ascontiguousarray(np.linalg.qr(rng.standard_normal((n, few)))[0].T, np.float32)
    split = Work(
        f"split_modes {few}x{n}",
        ao.split_modes,
        {"vector": vector, "modes": basis, "projector": basis},
        2 * basis.nbytes + vector.nbytes,
        vector.nbytes,
        ("amplitudes", basis.astype(np.float64) @ vector),
    )
    return [*products(rows, 2 * rows), split]


def products(rows: int, columns: int) -> list[Work]:
    """Every unit that multiplies a matrix of that shape, which is what a frame costs most memory traffic for."""
    from framebus import ao

    rng = np.random.default_rng(6)
    matrix = rng.standard_normal((rows, columns)).astype(np.float32)
    slopes = rng.standard_normal(columns).astype(np.float32)
    command = rng.standard_normal(rows).astype(np.float32)
    shape = f"{rows}x{columns}"
    modes = matrix.astype(np.float64) @ slopes
    integers, scales = ao.to_int16(matrix)
    halves = ao.to_bfloat16(matrix)

    def product(unit: Any, arrays: dict[str, Any], answer: Any) -> Work:
        read = sum(array.nbytes for array in arrays.values())
        given = {"slopes": slopes, **arrays}
        name = unit.outputs()[0].name
        return Work(
            f"{unit.name} {shape}", unit, given, read + slopes.nbytes, answer.size * 4, (name, answer)
        )

    return [
        product(ao.reconstruct, {"control_matrix": matrix}, modes),
        product(
            ao.reconstruct_int16,
            {"control_matrix": integers, "scales": scales},
            (scales[:, None] * integers.astype(np.float64)) @ slopes,
        ),
        product(
            ao.reconstruct_bfloat16,
            {"control_matrix": halves},
            ao.from_bfloat16(halves).astype(np.float64) @ slopes,
        ),
        product(
            ao.pseudo_open_loop_slopes,
            {"interaction_matrix": matrix, "command": command},
            slopes - command.astype(np.float64) @ matrix,
        ),
    ]


def kernel(work: Work) -> Callable[[int], Times]:
    """The compiled unit, called by address on one CPU; its first answer is checked."""
    call: Call | None = None

    def run(trips: int) -> Times:
        nonlocal call
        if call is None:
            call = Call(work.unit, work.arrays, work.params)
            with pinned(two_cpus()[0]):
                time_calls([call], 1)
            name, expected = work.answer
            error = float(np.abs(call.arrays[name] - expected).max())
            if not error <= 1e-3 * max(1.0, float(np.abs(expected).max())):
                raise WrongAnswer(f"{work.label}: {name} is off by {error}")
        with pinned(two_cpus()[0]):
            return time_calls([call], trips, repeat=max(1, (1 << 18) // work.bytes))

    return run


def move(work: Work, seconds: float) -> Callable[[int], Times]:
    """The time to read and write as many bytes, at the bandwidth of buffers of that size."""

    def run(trips: int) -> Times:
        del trips
        total = work.bytes // 64 * 64
        read_ns = 1e9 / bandwidth("read", [total], seconds=seconds)[total]
        half = total // 128 * 64
        copied_ns = 1e9 / bandwidth("copy", [half], seconds=seconds)[half]  # one byte read, one written
        return np.array([work.written * copied_ns + (work.read - work.written) * read_ns], np.int64)

    return run


def from_cache(work: Work, small: Case) -> Callable[[Case], str]:
    """Whether it is the arithmetic that takes the time: the speed of the same unit with its data in the cache."""

    def why(case: Case) -> str:
        name = work.label.split()[0]
        near = next((x for x in small.times if x.split()[0] == name), None)
        if near is None:
            return ""
        per_byte = small.summary(near)["p50"] / small.summary(f"bytes of {name}")["p50"]
        slower = case.summary(work.label)["p50"] / work.bytes * 1e3
        return (
            f"{1 / slower:.1f} GB/s from memory; with its data in the cache it takes {per_byte:.1f} times as long as "
            f"moving them, so the arithmetic limits it, not the memory"
            if per_byte > 1.25
            else f"{1 / slower:.1f} GB/s from memory; with its data in the cache it keeps up"
        )

    return why


def run(options: Any, machine: dict[str, Any]) -> list[Case]:
    """Units in L1/L2 (for information), beyond L2, and with the matrix of a large instrument (with a target)."""
    del machine
    rounds, trips = (
        options.rounds or (3 if options.quick else 10),
        options.trips or (30 if options.quick else 200),
    )
    seconds = 0.03 if options.quick else 0.1
    cases = []
    small, large = l2_bytes() // 4, 8 * l2_bytes()
    sizes: list[tuple[str, Callable[[], list[Work]], bool]] = [
        (f"data in a quarter of L2 ({small / 2**20:.3g} MiB)", lambda: works(small), False),
        (f"data 8 times L2 ({large / 2**20:.3g} MiB)", lambda: works(large), True),
        ("AO3000's pyramid: 25600 pixels, 188 actuators", lambda: products(188, 25_600), True),
    ]
    for name, make, beyond in sizes:
        case = Case(f"kernels, {name}")
        try:
            importable("framebus.ao", "pip install -e .")
            found = make()
        except Skipped as error:
            case.skipped["all units"] = str(error)
            cases.append(case)
            continue
        contestants = []
        for w in found:
            bytes_label = f"bytes of {w.label.split()[0]}"
            contestants += [
                Contestant(w.label, kernel(w), bytes_label, "framebus"),
                Contestant(bytes_label, move(w, seconds), None, "reference"),
            ]
            if beyond:
                case.targets.append(
                    Target(w.label, bytes_label, SHARE, kind="share", why=from_cache(w, cases[0]))
                )
        cases.append(alternate(case, options.chosen(contestants), rounds=rounds, trips=trips))
    return cases
