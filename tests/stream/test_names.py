"""Names: what the text says, what is refused and why, and where a name lives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from framebus.errors import NameFormatError
from framebus.stream.names import StreamName, check_name, parse, require, shm_directory, stream_path
from framebus.stream.slices import Slices

CODES = {
    "ui8": "uint8",
    "si8": "int8",
    "ui16": "uint16",
    "si16": "int16",
    "ui32": "uint32",
    "si32": "int32",
    "ui64": "uint64",
    "si64": "int64",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "c64": "complex64",
    "c128": "complex128",
}

bare_names = st.text("abcXYZ019_-.+:é", min_size=1, max_size=30).filter(
    lambda name: not name.startswith(".") and not name.endswith(".im.shm")
)
slice_texts = st.sampled_from(["", "[*]", "[3]", "[10:29,-*,*]", "[::4b,5:]", "[-5:-1:2,*]"])
modifier_texts = st.sampled_from(["", "S", "L", "E", "N", "SE", "SN", "LE", "LN", "ES", "NL"])


def test_a_bare_name_says_nothing_else() -> None:
    parsed = parse("wfs")
    assert parsed == StreamName("wfs")
    assert (parsed.local, parsed.exists, parsed.dtype, parsed.slices, parsed.path) == (
        False,
        None,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("text", "local", "exists"),
    [
        ("@S:wfs", False, None),
        ("@L:wfs", True, None),
        ("@E:wfs", False, True),
        ("@N:wfs", False, False),
        ("@LE:wfs", True, True),
        ("@EL:wfs", True, True),
        ("@NS:wfs", False, False),
        ("@L:@E:wfs", True, True),
    ],
)
def test_modifiers_compose_in_any_order(text: str, local: bool, exists: bool | None) -> None:
    parsed = parse(text)
    assert (parsed.name, parsed.local, parsed.exists) == ("wfs", local, exists)


def test_the_order_of_modifiers_makes_no_difference() -> None:
    assert parse("@EL:wfs") == parse("@LE:wfs") == parse("@E:@L:wfs")
    assert str(parse("@EL:wfs")) == "@LE:wfs"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("@LS:wfs", "'L' and 'S' contradict"),
        ("@SL:wfs", "'S' and 'L' contradict"),
        ("@EN:wfs", "'E' and 'N' contradict"),
        ("@N:@E:wfs", "'N' and 'E' contradict"),
        ("@EE:wfs", "'E' is there twice"),
        ("@S:@S:wfs", "'S' is there twice"),
        ("@X:wfs", "unknown modifier 'X'"),
        ("@e:wfs", "unknown modifier 'e'"),
        ("@F:wfs", "unknown modifier 'F'"),
        ("@:wfs", "without a modifier"),
        ("@wfs", "without a modifier"),
    ],
)
def test_a_bad_modifier_is_named_with_the_legal_ones(text: str, named: str) -> None:
    with pytest.raises(NameFormatError) as caught:
        parse(text)
    message = str(caught.value)
    assert named in message
    assert all(legal in message for legal in ("S (", "L (", "E (", "N (")), message
    assert text in message


def test_a_modifier_behind_the_name_is_explained() -> None:
    with pytest.raises(NameFormatError, match="in front of all else, as in @E:name"):
        parse("myImage@L:")
    with pytest.raises(NameFormatError, match="in front of all else"):
        parse("tf32>@L:myImage")


@pytest.mark.parametrize(("code", "dtype"), CODES.items())
def test_every_type_code(code: str, dtype: str) -> None:
    short = code.replace("ui", "u").replace("si", "i")
    for spelling in (code, short, dtype):
        assert parse(f"t{spelling}>wfs") == StreamName("wfs", dtype=np.dtype(dtype))
    assert str(parse(f"t{dtype}>wfs")) == f"t{code}>wfs"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("s>wfs", r"'s>' was removed.*'@S:'"),
        ("s>tf32>wfs", r"'s>' was removed.*'@S:'"),
        ("k10>wfs", r"'k10>' was removed.*create\(\)"),
        ("c20>wfs", r"'c20>' was removed.*create\(\)"),
        ("tq7>wfs", "unknown prefix 'tq7>'.*ui8, si8"),
        ("f32>wfs", "unknown prefix 'f32>'"),
        (">wfs", "unknown prefix '>'"),
        ("t>wfs", "unknown prefix 't>'"),
        ("tf32>tf64>wfs", "second prefix behind 'tf32>'"),
        ("tf32>", "the name is empty"),
    ],
)
def test_bad_prefixes(text: str, reason: str) -> None:
    with pytest.raises(NameFormatError, match=reason):
        parse(text)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "the name is empty"),
        ("x" * 80, "80 bytes are too many.*holds 79"),
        ("é" * 40, "80 bytes are too many"),
        ("a/b", "'/' is not allowed"),
        ("a]", "']' is not allowed"),
        ("a[1]", r"'\[' is not allowed"),
        ("a>b", "'>' is not allowed"),
        ("a@b", "'@' is not allowed"),
        ("a b", "white space"),
        ("a\tb", "white space"),
        ("a\u00a0b", "white space"),
        ("a\x00", "a control character"),
        ("a\x7f", "a control character"),
        ("a\u200b", "a control character"),
        ("a\ud800", "a control character"),
        (".hidden", "must not begin with '.'"),
        ("wfs.im.shm", "belongs to the file"),
    ],
)
def test_illegal_names(name: str, reason: str) -> None:
    with pytest.raises(NameFormatError, match=reason):
        check_name(name)
    with pytest.raises(NameFormatError, match=reason):
        stream_path(name)


def test_the_longest_legal_name() -> None:
    assert parse("x" * 79).name == "x" * 79
    assert check_name("é" * 39 + "x")


def test_a_name_of_another_type_is_refused() -> None:
    with pytest.raises(NameFormatError, match="is a int; expected a text"):
        parse(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "path", "name"),
    [
        ("/dev/shm/wfs.im.shm", "/dev/shm/wfs.im.shm", "wfs"),
        ("./wfs.im.shm", "wfs.im.shm", "wfs"),
        ("wfs.im.shm", "wfs.im.shm", "wfs"),
        ("../a/wfs.im.shm", "../a/wfs.im.shm", "wfs"),
        ("data/foreign", "data/foreign", "foreign"),
        ("/a [b]>c/my stream@host.im.shm", "/a [b]>c/my stream@host.im.shm", "my stream@host"),
    ],
)
def test_paths(text: str, path: str, name: str) -> None:
    parsed = parse(text)
    assert (parsed.path, parsed.name) == (Path(path), name)
    assert parse(str(parsed)) == parsed
    assert parse(Path(text)) == parsed
    assert stream_path(parsed) == Path(path)


def test_a_path_may_have_modifiers_type_and_slices() -> None:
    parsed = parse("@E:tui16>/tmp/wfs.im.shm[3,*]")
    assert parsed == StreamName(
        "wfs", "E", np.dtype("uint16"), Slices.parse("[3,*]"), Path("/tmp/wfs.im.shm")
    )


def test_nothing_but_the_path_is_looked_for_in_a_path_object() -> None:
    assert parse(Path("a[0].im.shm")) == StreamName("a[0]", path=Path("a[0].im.shm"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dir/", "the name is empty"),
        ("/dev/shm/.im.shm", "the name is empty"),
        ("/dev/shm/..", "is a directory"),
        ("/dev/\0/wfs.im.shm", "NUL"),
        ("/dev/shm/" + "x" * 80 + ".im.shm", "80 bytes are too many"),
        ("/dev/shm/a\nb.im.shm", "white space"),
    ],
)
def test_bad_paths(text: str, reason: str) -> None:
    with pytest.raises(NameFormatError, match=reason):
        parse(text)


def test_slices_come_with_the_name() -> None:
    parsed = parse("@LE:tf32>wfs[10:29,-*,*]")
    assert parsed.name == "wfs"
    assert str(parsed.slices) == "[10:29,-*,*]"


def test_a_bad_slice_is_placed_in_the_whole_text() -> None:
    with pytest.raises(NameFormatError, match=r"'@E:wfs\[1, x\]', character 11: 'x' is not a slice"):
        parse("@E:wfs[1, x]")


@given(modifiers=modifier_texts, code=st.sampled_from(["", *CODES]), name=bare_names, slices=slice_texts)
def test_the_canonical_text_parses_back_equal(modifiers: str, code: str, name: str, slices: str) -> None:
    text = (f"@{modifiers}:" if modifiers else "") + (f"t{code}>" if code else "") + name + slices
    parsed = parse(text)
    assert parsed.name == name
    assert parsed.dtype == (np.dtype(CODES[code]) if code else None)
    assert parse(str(parsed)) == parsed
    assert str(parse(str(parsed))) == str(parsed)


@given(st.one_of(st.text(), st.text("@SLEN:tfui32>ws[]*-0,:b/. \0"), st.text(st.characters(codec=None))))
@example("@" * 9)
@example("wfs[" + "9" * 5000 + "]")
def test_any_text_parses_or_says_why(text: str) -> None:
    try:
        parsed = parse(text)
    except NameFormatError:
        return
    assert parse(str(parsed)) == parsed
    assert 1 <= len(parsed.name.encode()) <= 79


def test_require_lets_through_what_is_allowed() -> None:
    parsed = parse("@SE:tf32>wfs[3]")
    assert require(parsed, allowed=["S", "E", "type", "slices"], context="open()") is parsed
    assert require(parse("wfs"), allowed="", context="anything").name == "wfs"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("@N:wfs", r"modifier '@N:' \(must not exist\)"),
        ("@LE:wfs", r"modifier '@L:' \(in this process only\)"),
        ("tf32>wfs", "type prefix 'tf32>'"),
        ("wfs[3,*]", r"slice '\[3,\*\]'"),
        ("/dev/shm/wfs.im.shm", "path '/dev/shm/wfs.im.shm'"),
    ],
)
def test_require_names_what_is_not_allowed(text: str, named: str) -> None:
    with pytest.raises(NameFormatError, match=f"{named} is not allowed in open.*allowed there: @S:, @E:"):
        require(parse(text), allowed="SE", context="open()")
    with pytest.raises(NameFormatError, match="a bare name is expected"):
        require(parse(text), allowed=[], context="open()")


def test_the_directory_follows_the_environment_at_each_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILK_SHM_DIR", str(tmp_path))
    assert shm_directory() == tmp_path
    assert stream_path("wfs") == stream_path(parse("@E:wfs[3]")) == tmp_path / "wfs.im.shm"
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("MILK_SHM_DIR", str(other))
    assert stream_path("wfs") == other / "wfs.im.shm"


@pytest.mark.parametrize("value", [None, "", "/nonexistent/directory"])
def test_the_directory_falls_back(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("MILK_SHM_DIR", raising=False)
    else:
        monkeypatch.setenv("MILK_SHM_DIR", value)
    there = {"/milk/shm"}
    monkeypatch.setattr(os.path, "isdir", lambda path: path in there)
    assert shm_directory() == Path("/milk/shm")
    there.clear()
    assert shm_directory() == Path("/dev/shm")
