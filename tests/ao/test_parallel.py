from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import framebus as fb
from framebus.ao import join_parts, reconstruct, reconstruct_part, split_rows
from framebus.errors import BindingError, UsageError
from framebus.unit import ArraySpec, Stage, start

RNG = np.random.default_rng(9)
FLOAT = np.dtype("float32")
Vector = NDArray[np.float32]


def part_of(matrix: Vector, slopes: Vector) -> Vector:
    part = np.zeros(sum(matrix.shape), "float32")
    reconstruct_part.jit(slopes, matrix, part)
    return part


def joined(
    own: Vector, other: Vector, matrix: Vector, compiled: bool = True
) -> tuple[Vector, Vector, list[int]]:
    modes = np.zeros(own.size - matrix.shape[1] + matrix.shape[0], "float32")
    part, status = np.zeros(own.size + matrix.shape[0], "float32"), np.zeros(2, "int64")
    with np.errstate(invalid="ignore"):
        (join_parts.jit if compiled else join_parts)(own, other, matrix, modes, part, status)
    return modes, part, status.tolist()


@pytest.mark.parametrize("compiled", [True, False])
def test_parts_give_what_the_whole_matrix_gives(compiled: bool) -> None:
    matrix = RNG.normal(size=(22, 31)).astype("float32")
    slopes = RNG.normal(size=31).astype("float32")
    first, second, third = split_rows(matrix, [2.0, 1.0, 1.0])
    own, late = part_of(first, slopes), part_of(third, np.roll(slopes, 1))
    modes, own, status = joined(own, part_of(second, slopes), second, compiled)
    assert status == [1, 0]
    np.testing.assert_allclose(modes, (matrix @ slopes)[: len(modes)], rtol=1e-4, atol=1e-5)
    modes, _, status = joined(own, late, third, compiled)
    assert status == [0, 1]
    np.testing.assert_allclose(modes, matrix @ slopes, rtol=1e-4, atol=1e-5)


def test_it_is_the_same_to_the_last_digit_whoever_computes_it() -> None:
    matrix = RNG.normal(size=(101, 257)).astype("float32")
    slopes = RNG.normal(size=257).astype("float32")
    first, second = split_rows(matrix, [0.55, 0.45])
    own = part_of(first, slopes)
    helped, _, with_helper = joined(own, part_of(second, slopes), second)
    alone, _, without = joined(own, np.full(len(second) + 257, np.nan, "float32"), second)
    assert (with_helper, without) == ([1, 0], [0, 1])
    np.testing.assert_array_equal(helped, alone)
    whole = np.zeros(101, "float32")
    reconstruct.jit(slopes, matrix, whole)
    np.testing.assert_allclose(helped, whole, rtol=1e-4, atol=1e-5)


def test_slopes_that_are_no_number_are_never_taken_for_the_same() -> None:
    matrix = np.ones((4, 2), "float32")
    slopes = np.array([np.nan, 1.0], "float32")
    _, _, status = joined(part_of(matrix, slopes), part_of(matrix, slopes), matrix)
    assert status == [0, 1]


def test_rows_are_split_in_whole_groups() -> None:
    matrix = RNG.normal(size=(37, 5)).astype("float32")
    parts = split_rows(matrix, [1.0, 1.0])
    assert [len(part) for part in parts] == [20, 17]
    np.testing.assert_array_equal(np.vstack(parts), matrix)
    assert all(part.flags.c_contiguous and part.dtype == FLOAT for part in parts)
    for bad, shares in (
        (matrix[0], [1.0]),
        (matrix, []),
        (matrix, [1.0, 0.0]),
        (matrix[:4], [1.0, 1.0, 1.0]),
    ):
        with pytest.raises(UsageError):
            split_rows(bad, shares)


def test_sizes_must_fit() -> None:
    specs = {name: ArraySpec((n,), FLOAT) for name, n in (("own", 12), ("other", 11))}
    specs["control_matrix"] = ArraySpec((4, 7), FLOAT)
    found = join_parts.resolve(specs)
    assert (found["modes"].shape, found["part"].shape) == ((9,), (16,))
    with pytest.raises(BindingError, match=r"'other'.*expected 11"):
        join_parts.resolve(specs | {"other": ArraySpec((12,), FLOAT)})
    with pytest.raises(BindingError, match=r"'own'.*more than 7"):
        join_parts.resolve(specs | {"own": ArraySpec((7,), FLOAT)})


def test_two_loops_share_a_matrix(shm_dir: object) -> None:
    matrix = RNG.normal(size=(40, 24)).astype("float32")
    first, second = split_rows(matrix, [0.5, 0.5])
    there = {"first": first, "second": second, "helped": np.full(len(second) + 24, np.nan, "float32")}
    streams = [fb.create("slopes", shape=(24,), dtype="float32")]
    for name, array in there.items():
        streams.append(fb.create(name, shape=array.shape, dtype="float32"))
        streams[-1].write(array)
    helper = Stage(
        reconstruct_part, {"slopes": "slopes", "control_matrix": "second", "part": "helped"}, name="helper"
    )
    main = [
        Stage(reconstruct_part, {"slopes": "slopes", "control_matrix": "first", "part": "part"}),
        Stage(
            join_parts,
            {
                "own": "part",
                "other": "helped",
                "control_matrix": "second",
                "modes": "modes",
                "part": "all",
                "status": "shares",
            },
        ),
    ]
    with start(helper), start(main), fb.open("modes") as modes:
        for _ in range(30):
            slopes = RNG.normal(size=24).astype("float32")
            streams[0].write(slopes)
            found = modes.read_next(timeout_s=10.0).data
            np.testing.assert_allclose(found, matrix @ slopes, rtol=1e-4, atol=1e-4)
    with fb.open("shares") as shares:
        assert shares.read().sum() == 30
    for stream in streams:
        stream.close()
