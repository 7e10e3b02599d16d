"""Pixels as terminals draw them: what is written is read back to the pixels."""

from __future__ import annotations

import base64
import re
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from framebus.ops.graphics import KITTY_CLEAR, chart, half_blocks, kitty, shaded, sixel

Pixels = npt.NDArray[np.uint8]
SIZES = st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))
FEW_COLOURS = arrays(np.uint8, SIZES, elements=st.sampled_from([0, 51, 102, 255]))
ANY_COLOURS = arrays(np.uint8, SIZES)


# ---- readers of the formats, written from their descriptions -------------------------------------------------------


def read_blocks(lines: list[str], height: int) -> Pixels:
    """The pixels of half blocks in 24-bit colours."""
    rows: list[list[list[int]]] = []
    for line in lines:
        upper: list[list[int]] = []
        lower: list[list[int]] = []
        above: list[int] = []
        below: list[int] = []
        assert line.endswith("\x1b[0m")
        for escape, mark in re.findall(r"\x1b\[([\d;]*)m|(.)", line.removesuffix("\x1b[0m")):
            if mark:
                assert mark == "▀"
                upper.append(above)
                lower.append(below)
            else:
                told = re.fullmatch(r"38;2;(\d+);(\d+);(\d+);(?:48;2;(\d+);(\d+);(\d+)|49)", escape)
                assert told is not None
                above = [int(told[i]) for i in (1, 2, 3)]
                below = [int(told[i]) for i in (4, 5, 6)] if told[4] else [0, 0, 0]
        rows += [upper, lower]
    return np.array(rows[:height], np.uint8)


def read_sixel(text: str) -> Pixels:
    """The pixels of a DEC sixel image (VT340 programmer reference, chapter 14)."""
    head = re.match(r'\x1bP0;1;0q"1;1;(\d+);(\d+)', text)
    assert head is not None
    assert text.endswith("\x1b\\")
    width, height = int(head[1]), int(head[2])
    image = np.full((-(-height // 6) * 6, width, 3), 77, np.uint8)
    drawn = np.zeros(image.shape[:2], bool)
    palette: dict[int, list[int]] = {}
    x = y = colour = 0
    for defined, red, green, blue, chosen, times, mark in re.findall(
        r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|(?:!(\d+))?([?-~$\-])", text[head.end() : -2]
    ):
        if defined:
            palette[int(defined)] = [round(int(share) * 2.55) for share in (red, green, blue)]
        elif chosen:
            colour = int(chosen)
        elif mark == "$":
            x = 0
        elif mark == "-":
            x, y = 0, y + 6
        else:
            n = int(times or 1)
            for bit in range(6):
                if (ord(mark) - 63) >> bit & 1:
                    image[y + bit, x : x + n] = palette[colour]
                    drawn[y + bit, x : x + n] = True
            x += n
    assert drawn[:height].all(), "pixels were left out"
    assert not drawn[height:].any(), "pixels below the picture were drawn"
    return image[:height]


def read_kitty(text: str) -> tuple[Pixels, dict[str, str]]:
    """The pixels of kitty's graphics, and the keys of the first command."""
    commands = re.findall(r"\x1b_G([^;\x1b]*);([^\x1b]*)\x1b\\", text)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in commands) == text
    keys = [dict(pair.split("=") for pair in told.split(",")) for told, _ in commands]
    assert [each["m"] for each in keys] == ["1"] * (len(keys) - 1) + ["0"]
    assert all(len(data) <= 4096 for _, data in commands)
    assert all(len(data) % 4 == 0 for _, data in commands[:-1])
    first = keys[0]
    assert (first["a"], first["f"], first["o"]) == ("T", "24", "z")
    raw = zlib.decompress(base64.standard_b64decode("".join(data for _, data in commands)))
    return np.frombuffer(raw, np.uint8).reshape(int(first["v"]), int(first["s"]), 3), first


# ---- there and back --------------------------------------------------------------------------------------------------


@given(ANY_COLOURS)
def test_half_blocks_hold_the_pixels(rgb: Pixels) -> None:
    lines = half_blocks(rgb)
    assert len(lines) == -(-len(rgb) // 2)
    np.testing.assert_array_equal(read_blocks(lines, len(rgb)), rgb)


@given(FEW_COLOURS)
def test_sixels_hold_the_pixels(rgb: Pixels) -> None:
    assert np.abs(read_sixel(sixel(rgb)).astype(int) - rgb).max() <= 2  # percent


@pytest.mark.parametrize("shape", [(1, 1, 3), (6, 400, 3), (121, 97, 3)])
def test_sixels_of_many_colours_lose_the_low_bits_alone(shape: tuple[int, ...]) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    text = sixel(rgb)
    assert len(set(re.findall(r"#(\d+);2;", text))) <= 256
    assert np.abs(read_sixel(text).astype(int) - rgb).max() <= 65
    assert re.search(r"!\d+[?-~]", sixel(np.zeros((6, 50, 3), np.uint8))), "equal sixels are counted"


@given(ANY_COLOURS, st.integers(1, 300), st.integers(1, 100))
def test_kitty_s_graphics_hold_the_pixels(rgb: Pixels, columns: int, rows: int) -> None:
    pixels, keys = read_kitty(kitty(rgb, columns, rows))
    np.testing.assert_array_equal(pixels, rgb)
    assert (keys["c"], keys["r"], keys["q"], keys["C"]) == (str(columns), str(rows), "2", "1")


def test_large_pictures_for_kitty_come_in_pieces_and_can_be_removed() -> None:
    rgb = np.random.default_rng(4).integers(0, 256, (64, 64, 3), np.uint8)
    text = kitty(rgb, 10, 10)
    assert text.count("\x1b_G") > 2
    pixels, keys = read_kitty(text)
    np.testing.assert_array_equal(pixels, rgb)
    assert f"i={keys['i']}," in KITTY_CLEAR


# ---- fewer colours, and none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("colour", "number"),
    [
        ((0, 0, 0), 16),
        ((255, 255, 255), 231),
        ((128, 128, 128), 244),
        ((255, 0, 0), 196),
        ((0, 135, 255), 33),
        ((95, 175, 0), 70),
    ],
)
def test_256_colours_are_the_nearest(colour: tuple[int, int, int], number: int) -> None:
    assert half_blocks(np.array([[colour]], np.uint8), "256") == [f"\x1b[38;5;{number};49m▀\x1b[0m"]


def test_equal_neighbours_are_told_once() -> None:
    line = half_blocks(np.zeros((2, 30, 3), np.uint8))[0]
    assert line == "\x1b[38;2;0;0;0;48;2;0;0;0m" + 30 * "▀" + "\x1b[0m"


def test_without_colours_brighter_is_denser() -> None:
    assert shaded(np.array([[0, 5, 9, -1]]), 10) == [" +@?"]
    assert shaded(np.array([[0, 31]]), 32) == [" @"]


# ---- charts ----------------------------------------------------------------------------------------------------------


def test_chart_fills_its_height_with_the_top() -> None:
    rows = chart(np.array([0.0, 1.0, 2.0, 4.0]), 4, 4.0)
    assert [row[3] for row in rows] == ["█"] * 6
    assert rows[0][:3] == "   "
    assert rows[-1][0] == "▁"


def test_chart_begins_at_its_bottom() -> None:
    assert chart(np.array([-1.0, 0.0, 1.0, 5.0]), 4, 1.0, rows=1, bottom=-1.0) == ["▁▄██"]


def test_chart_of_values_far_from_its_ends() -> None:
    assert chart(np.array([-1.7e308, 1.7e308]), 2, 1.7e308, rows=1, bottom=-1.7e308) == ["▁▁"]  # no such span
    assert chart(np.array([0.0, 1e300]), 2, 1e-320, rows=1) == ["▁█"]
    assert chart(np.full(4, 1.7e308), 2, 1.0, rows=1) == ["  "]  # their sums are infinite


def test_chart_of_few_values_repeats_and_of_many_averages() -> None:
    assert chart(np.array([1.0, 8.0]), 6, 8.0, rows=1) == ["▁▁▁███"]
    assert chart(np.array([0.0, 8.0] * 50), 2, 8.0, rows=1) == ["▄▄"]


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_chart_of_nothing_is_empty(values: list[Any]) -> None:
    assert chart(np.array(values), 3, 1.0, rows=2) == ["   ", "   "]
