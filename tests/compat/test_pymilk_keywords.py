"""Keywords by pyMilk's methods, and what cameras say in them."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus.compat.pymilk import SHM
from framebus.errors import DataError, UsageError


@pytest.fixture
def shm() -> SHM:
    return SHM("camera", ((50, 20), np.float32), nbkw=5)


def test_keywords_are_set_beside_others(shm: SHM) -> None:
    reader = SHM("camera")
    shm.set_keywords({"yo": ("lo", "a comment"), "toto": 17, "arthur": 3.1415, "some": ("stuff",)})
    assert reader.get_keywords() == {"yo": "lo", "toto": 17, "arthur": 3.1415, "some": "stuff"}
    assert reader.get_keywords(comments=True)["yo"] == ("lo", "a comment")
    reader.set_keywords({"yo": 2.718, "roger": "three"})
    assert shm.get_keywords(True) == {
        "yo": (2.718, ""),
        "toto": (17, ""),
        "arthur": (3.1415, ""),
        "some": ("stuff", ""),
        "roger": ("three", ""),
    }
    assert dict(fb.open("camera").keywords) == shm.get_keywords()


def test_updating_keeps_the_comment_unless_told(shm: SHM) -> None:
    shm.set_keywords({"yo": (13, "thirteen")})
    shm.update_keyword("yo", 14)
    assert shm.get_keyword("yo", comment=True) == (14, "thirteen")
    shm.update_keyword("yo", "15", "a text")
    assert shm.get_keyword("yo", True) == ("15", "a text")
    with pytest.raises(
        ValueError, match="camera has no keyword 'nothing' to update; make it with set_keywords"
    ):
        shm.update_keyword("nothing", 52)


def test_resetting_leaves_nothing_else(shm: SHM) -> None:
    shm.set_keywords({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5})
    shm.reset_keywords({"new": 1.234, "a": (0, "zero"), "dict": "is set"})
    assert shm.get_keywords(True) == {"new": (1.234, ""), "a": (0, "zero"), "dict": ("is set", "")}


def test_what_does_not_fit_is_refused(shm: SHM) -> None:
    shm.set_keywords(dict.fromkeys("abcde", 0))
    with pytest.raises(UsageError, match="all 5 slots of the stream are taken"):
        shm.set_keywords({"f": 0})
    with pytest.raises(UsageError, match="at most 16 fit"):
        shm.set_keywords({"a": "seventeen letters"})
    assert shm.get_keywords() == dict.fromkeys("abcde", 0)


def test_by_brackets(shm: SHM) -> None:
    reader = SHM("camera")
    reader["new"] = "value"
    shm["new"] = 2.718
    assert (reader["new"], reader.get_keyword("new"), reader.keywords["new"].value) == (2.718, 2.718, 2.718)
    for missing in (reader.__getitem__, reader.get_keyword):
        with pytest.raises(KeyError, match="nothing"):
            missing("nothing")


def test_names_are_texts_that_know_their_keyword(shm: SHM) -> None:
    shm.set_keywords({"FRATE": (1000.0, "frames per second"), "FILTER": "H"})
    names: list[Any] = list(shm.get_keywords())
    records = [(kw["name"], kw["value"], kw["comment"]) for kw in names]
    assert records == [("FRATE", 1000.0, "frames per second"), ("FILTER", "H", "")]
    name = names[0]
    assert (name, hash(name), name[0], name[1:], f"{name}") == ("FRATE", hash("FRATE"), "F", "RATE", "FRATE")
    for same in (pickle.loads(pickle.dumps(name)), copy.deepcopy(name)):
        assert (same, same["value"]) == ("FRATE", 1000.0)
    assert json.loads(json.dumps(shm.get_keywords())) == {"FRATE": 1000.0, "FILTER": "H"}
    with pytest.raises(KeyError, match="'unit'; a keyword has: name, value, comment"):
        name["unit"]


def test_a_keyword_that_goes_while_they_are_listed(shm: SHM, monkeypatch: pytest.MonkeyPatch) -> None:
    shm.set_keywords({"a": 1, "b": 2})
    listed = list(shm.stream.keywords)
    monkeypatch.setattr(type(shm.stream.keywords), "__iter__", lambda self: iter(listed))
    del shm.stream.keywords["a"]
    assert shm.get_keywords() == {"b": 2}


@pytest.mark.parametrize(
    ("call", "default", "older", "newer"),
    [
        ("get_expt", 0.0, "tint", "EXPTIME"),
        ("get_fps", 0.0, "fps", "FRATE"),
        ("get_ndr", 1, "NDR", "DET-NSMP"),
    ],
)
def test_what_cameras_say(call: str, default: float, older: str, newer: str, shm: SHM) -> None:
    get = getattr(shm, call)
    assert get() == default
    shm.reset_keywords({older: 3})
    assert get() == 3
    shm.reset_keywords({older: 3, newer: 12})
    assert get() == 12
    assert type(get()) is type(default)
    shm.reset_keywords({older: 3, newer: "fast"})
    with pytest.raises(DataError, match=f"camera: keyword {newer} is 'fast', expected a number"):
        get()


@pytest.mark.parametrize(
    ("keywords", "crop"),
    [
        ({}, (0, 50, 0, 20)),
        ({"x0": 5, "y0": 10, "x1": 22, "y1": 37}, (5, 26, 10, 46)),
        ({"CROP_OR1": 5, "CROP_EN1": 10, "CROP_OR2": 22, "CROP_EN2": 37}, (5, 10, 22, 37)),
        ({"PRD-MIN1": 5, "PRD-RNG1": 10, "PRD-MIN2": 22, "PRD-RNG2": 37}, (5, 14, 22, 58)),
    ],
)
def test_crops(keywords: dict[str, Any], crop: tuple[int, ...], shm: SHM) -> None:
    shm.set_keywords(keywords)
    assert shm.get_crop() == crop


def test_crops_that_cannot_be_told(shm: SHM) -> None:
    shm.set_keywords({"x0": 5, "x1": 7})
    with pytest.raises(DataError, match="camera has no keyword y0, which belongs to those that are there"):
        shm.get_crop()
    with pytest.raises(
        UsageError, match=r"line has shape \(3,\) and no keywords of a crop; expected an image"
    ):
        SHM("line", ((3,), np.float32)).get_crop()
