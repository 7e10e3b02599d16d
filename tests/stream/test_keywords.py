"""Keywords: a mapping in shared memory, beside the pixels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import framebus as fb
from framebus.errors import UsageError
from framebus.stream import Keywords
from support.c_writer import CStream, Keyword
from support.processes import Spawner


@pytest.fixture
def keywords(shm_dir: Path) -> Keywords:
    return fb.create("image", shape=3, keyword_slots=4).keywords


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (0, int),
        (2**63 - 1, int),
        (-(2**63), int),
        (True, int),
        (np.uint8(7), int),
        (np.bool_(True), int),
        (0.1, float),
        (math.inf, float),
        (5e-324, float),
        (np.float32(0.5), float),
        ("", str),
        ("sixteen letters!", str),
        ("Grüße", str),
    ],
)
def test_three_types_come_back(value: Any, kind: type, keywords: Keywords) -> None:
    keywords["A"] = value
    found = fb.open("image").keywords["A"]
    assert (found, type(found)) == (value, kind)


def test_nan_comes_back(keywords: Keywords) -> None:
    keywords["A"] = math.nan
    found = keywords["A"]
    assert isinstance(found, float)
    assert math.isnan(found)


def test_behaves_like_a_dictionary(keywords: Keywords) -> None:
    assert (len(keywords), dict(keywords), keywords.slots) == (0, {}, 4)
    keywords.update(A=1, B=2.5)
    keywords["C"] = "text"
    assert list(keywords) == ["A", "B", "C"]
    assert keywords == {"A": 1, "B": 2.5, "C": "text"}
    assert repr(keywords) == "Keywords({'A': 1, 'B': 2.5, 'C': 'text'})"
    assert "A" in keywords
    assert "a" not in keywords
    assert 5 not in keywords  # type: ignore[comparison-overlap]
    assert keywords.get("D", 9) == 9
    assert keywords.setdefault("D", 4) == 4
    assert keywords.pop("B") == 2.5
    assert list(keywords) == ["A", "C", "D"]
    keywords.clear()
    assert dict(keywords) == {}


def test_a_name_that_is_not_there(keywords: Keywords) -> None:
    for use in (keywords.__getitem__, keywords.__delitem__, keywords.comment, keywords.updates):
        with pytest.raises(KeyError, match="A"):
            use("A")


def test_comments_and_updates(keywords: Keywords) -> None:
    keywords.set("GAIN", 0.5, "loop gain")
    assert (keywords.comment("GAIN"), keywords.updates("GAIN")) == ("loop gain", 1)
    keywords["GAIN"] = 0.25
    assert (keywords.comment("GAIN"), keywords.updates("GAIN")) == ("loop gain", 2)
    keywords.set("GAIN", "high", "x" * 80)
    assert (keywords["GAIN"], keywords.comment("GAIN"), keywords.updates("GAIN")) == ("high", "x" * 80, 3)
    keywords.set("GAIN", 1, "")
    assert keywords.comment("GAIN") == ""
    del keywords["GAIN"]
    keywords["GAIN"] = 2
    assert (keywords.comment("GAIN"), keywords.updates("GAIN")) == ("", 1)


def test_full_slots(keywords: Keywords) -> None:
    for n in range(4):
        keywords[f"K{n}"] = n
    with pytest.raises(
        UsageError, match="'K4' does not fit: all 4 slots of the stream are taken; delete one, or create"
    ):
        keywords["K4"] = 4
    keywords["K0"] = 10
    del keywords["K2"]
    keywords["K4"] = 4
    assert dict(keywords) == {"K0": 10, "K1": 1, "K4": 4, "K3": 3}


def test_stream_without_slots() -> None:
    s = fb.create("image", shape=3, keyword_slots=0)
    assert (dict(s.keywords), s.keywords.slots) == ({}, 0)
    with pytest.raises(UsageError, match="all 0 slots"):
        s.keywords["A"] = 1


@pytest.mark.parametrize(
    ("name", "value", "comment", "message"),
    [
        ("A" * 17, 1, None, "keyword name has 17 bytes, at most 16 fit"),
        ("é" * 9, 1, None, "keyword name has 18 bytes"),
        ("", 1, None, "not empty nor begins or ends with blanks"),
        (" A", 1, None, "not empty nor begins or ends with blanks"),
        ("A\0B", 1, None, "keyword name holds a NUL character"),
        ("\udc80", 1, None, "keyword name cannot be written as UTF-8"),
        (5, 1, None, "keyword name is 5, expected a text"),
        ("A", 2**63, None, "9223372036854775808 does not fit a signed 64-bit integer"),
        ("A", -(2**63) - 1, None, "does not fit a signed 64-bit integer"),
        ("A", "x" * 17, None, "text of keyword 'A' has 17 bytes, at most 16 fit"),
        ("A", "x\0", None, "text of keyword 'A' holds a NUL"),
        ("A", 1, "x" * 81, "comment of keyword 'A' has 81 bytes, at most 80 fit"),
        ("A", 1, 5, "comment of keyword 'A' is 5, expected a text"),
        ("A", None, None, "keyword 'A': expected an int, a float or a str, got NoneType"),
        ("A", 1j, None, "got complex"),
        ("A", b"x", None, "got bytes"),
        ("A", np.zeros(1), None, "got ndarray"),
    ],
)
def test_what_does_not_fit_is_refused(
    name: Any, value: Any, comment: Any, message: str, keywords: Keywords
) -> None:
    keywords["A"] = "before"
    with pytest.raises(UsageError, match=message):
        keywords.set(name, value, comment)
    assert dict(keywords) == {"A": "before"}


def test_slots_that_do_not_exist(keywords: Keywords) -> None:
    handle = fb.open("image").handle
    with pytest.raises(UsageError, match="keyword slot 4 does not exist"):
        handle.keyword(4)
    with pytest.raises(UsageError, match="keyword slot 4 does not exist"):
        handle.set_keyword(4, (b"A", "L", 1, None))


def test_keywords_of_other_programs(shm_dir: Path) -> None:
    """Whatever bytes another program left there: they can be listed, and changed without harm to what is not."""
    written: list[Keyword] = [
        ("GAIN", "D", 0.5, "loop gain"),
        ("NAME", "S", "OCAM", "camera"),
        ("N", "L", -7, ""),
    ]
    with CStream.create(shm_dir / "image.im.shm", (3,), "float32", keywords=written, keyword_slots=5) as c:
        s = fb.open("image")
        assert dict(s.keywords) == {"GAIN": 0.5, "NAME": "OCAM", "N": -7}
        latin = c.blocks.keywords + 48
        c.view[latin : latin + 80] = "ü".encode("latin-1") * 80
        assert s.keywords.comment("GAIN") == "\ufffd" * 80
        s.keywords["GAIN"] = 0.75
        assert bytes(c.view[latin : latin + 80]) == "ü".encode("latin-1") * 80, "kept byte for byte"
        s.keywords["MORE"] = "sixteen letters!"
        assert [k[:2] for k in c.keywords()] == [("GAIN", "D"), ("NAME", "S"), ("N", "L"), ("MORE", "S")]
        assert [k[3] for k in c.keywords()] == [2, 1, 1, 1]
        c.view[c.blocks.keywords + 16] = ord("?")
        assert list(s.keywords) == ["NAME", "N", "MORE"], "a type that nobody knows is no keyword"


def test_seen_by_other_processes_at_once(keywords: Keywords, spawn: Spawner) -> None:
    keywords["GAIN"] = 1
    process = spawn("""
        import framebus as fb
        k = fb.open("image").keywords
        print("sees", dict(k))
        k.set("GAIN", 2.5, "theirs")
        k["MORE"] = "text"
        print("done")
    """)
    assert process.expect("sees") == "sees {'GAIN': 1}"
    process.expect("done")
    assert dict(keywords) == {"GAIN": 2.5, "MORE": "text"}
    assert keywords.comment("GAIN") == "theirs"


NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=16
).filter(lambda t: len(t.encode()) <= 16 and t == t.strip())
VALUES = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=16).filter(
        lambda t: len(t.encode()) <= 16
    )
)


@given(st.lists(st.tuples(st.sampled_from(["set", "delete"]), NAMES, VALUES), max_size=20))
def test_mapping_is_a_mapping(steps: list[tuple[str, str, Any]]) -> None:
    """Any sequence of changes leaves what a dictionary would hold, for us and for another handle."""
    s = fb.create("image", shape=1, keyword_slots=6)
    model: dict[str, Any] = {}
    for what, name, value in steps:
        if what == "delete":
            name = next(iter(model), name)
            if name in model:
                del model[name], s.keywords[name]
        elif name in model or len(model) < 6:
            model[name] = s.keywords[name] = value
    assert dict(s.keywords) == dict(fb.open("image").keywords) == model
    s.close()
