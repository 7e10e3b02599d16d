"""The file format: where the bytes are, and what damage to them does."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus import _core
from framebus.errors import ParameterError, StreamFormatError, WaitTimeout
from framebus.params import Params, ParamSpec
from support.processes import Spawner

HEADER, DESCRIPTOR, TEXT, FINDING = 384, 320, 256, 160
SPECS = [
    ParamSpec("gain", 0.3, minimum=0, maximum=1, unit="V", description="loop gain", help="How much of it."),
    ParamSpec("label", "first"),
    ParamSpec("count", 7, type="uint32", maximum=9),
    ParamSpec("enabled", True, help="Öffnen"),
    ParamSpec("where", "/tmp", type="path"),
]
HELP = HEADER + 5 * DESCRIPTOR + 2 * TEXT
HELP_SIZE = 15 + 7
BANKS = -(-(HELP + HELP_SIZE) // 64) * 64
TEXTS = 5 * 24
FINDINGS = TEXTS + 2 * TEXT
BANK = -(-(FINDINGS + 5 * FINDING) // 64) * 64


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("valid")
    with Params.create("loop", SPECS, directory=directory) as params:
        params.set_findings({"count": "too many", "gain": "high"})
        params.update(gain=0.5, label="second")
        return params.path.read_bytes()


def test_the_layout_is_the_documented_one(valid: bytes) -> None:
    assert len(valid) == BANKS + 2 * BANK
    assert valid[:8] == b"FBPARAMS"
    assert struct.unpack_from("<IIQIIII", valid, 8) == (2, HEADER, len(valid), 5, 2, DESCRIPTOR, HELP_SIZE)
    assert valid[40:120].rstrip(b"\0") == b"loop"
    assert struct.unpack_from("<i", valid, 128) == (os.getpid(),)
    assert struct.unpack_from("<QQ", valid, 192)[0] == 2, "generation"
    assert struct.unpack_from("<Q", valid, 256) == (0,), "the lock is free"
    first = valid[HEADER : HEADER + DESCRIPTOR]
    assert (first[:64].rstrip(b"\0"), first[64:88].rstrip(b"\0")) == (b"gain", b"V")
    assert first[88:248].rstrip(b"\0") == b"loop gain"
    assert struct.unpack_from("<IIII", first, 248) == (6, 5, 0, 0)
    assert struct.unpack_from("<ddd", first, 264) == (0.0, 1.0, 0.3)
    assert struct.unpack_from("<II", first, 288) == (0, 15)
    assert struct.unpack_from("<II", valid, HEADER + 3 * DESCRIPTOR + 288) == (15, 7)
    assert valid[HELP:BANKS].rstrip(b"\0") == "How much of it.Öffnen".encode()
    new, old = valid[BANKS : BANKS + BANK], valid[BANKS + BANK :]
    assert struct.unpack_from("<dqI4xq", old) == (0.3, 0, 7, 1)
    assert struct.unpack_from("<dqI4xq", new) == (0.5, 0, 7, 1)
    assert struct.unpack_from("<5Q", new, 40) == (1, 1, 0, 0, 0), "change counts"
    assert struct.unpack_from("<5Q", new, 80) == (2, 2, 0, 0, 0), "generations of the last changes"
    assert new[TEXTS:FINDINGS].rstrip(b"\0") == b"second" + bytes(250) + b"/tmp"
    findings = [new[FINDINGS + i * FINDING :][:FINDING].rstrip(b"\0") for i in range(5)]
    assert findings == [b"", b"", b"too many", b"", b""], "that of the entry that was written is gone"
    assert old[FINDINGS:][:FINDING].rstrip(b"\0") == b"high"
    defaults = valid[HEADER + 5 * DESCRIPTOR : HELP]
    assert defaults.rstrip(b"\0") == b"first" + bytes(251) + b"/tmp"


def _damaged(directory: Path, content: bytes, changes: dict[int, bytes]) -> Path:
    data = bytearray(content)
    for offset, new in changes.items():
        data[offset : offset + len(new)] = new
    path = directory / "damaged.params.fb"
    path.write_bytes(data)
    return path


def _use(path: Path) -> None:
    """Everything that one does with a set; damage that got this far must do no harm."""
    with Params.open(path) as params:
        params.snapshot()
        assert [params.describe(name).value for name in params] == list(params.values())
        if "gain" not in params:
            return
        try:
            params["gain"] = 0.25
        except (ParameterError, WaitTimeout):
            return
        assert params["gain"] == 0.25


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


@pytest.mark.parametrize(
    ("field", "offset", "new"),
    [
        ("magic", 0, b"X"),
        ("version", 8, u32(1)),
        ("version", 8, u32(3)),
        ("help_size", 36, u32(5 * 4000 + 1)),
        ("file_size", 36, u32(1000)),
        ("help", HEADER + 288, u32(HELP_SIZE)),
        ("help", HEADER + 292, u32(HELP_SIZE + 1)),
        ("help", HEADER + 292, u32(0xFFFFFFFF)),
        ("header_size", 12, u32(128)),
        ("file_size", 16, u32(4096)),
        ("entry_count", 24, u32(1025)),
        ("text_count", 28, u32(6)),
        ("file_size", 28, u32(1)),
        ("file_size", 24, u32(4)),
        ("descriptor_size", 32, u32(0)),
        ("name", 40, b"\0"),
        ("name", 40, b"x" * 80),
        ("creation_ns", 120, b"\xff" * 8),
        ("creator_pid", 128, u32(0)),
        ("retired", 136, u32(2)),
        ("generation", 192, b"\xff" * 8),
        ("entry name", HEADER, b"1+1"),
        ("entry name", HEADER, b"\0"),
        ("entry name", HEADER, b"a" * 64),
        ("entry name", HEADER, b"label\0"),
        ("unit", HEADER + 64, b"u" * 24),
        ("description", HEADER + 88, b"d" * 160),
        ("type", HEADER + 248, u32(13)),
        ("type", HEADER + 248, u32(0)),
        ("flags", HEADER + 252, u32(16)),
        ("minimum", HEADER + 264, struct.pack("<d", 2.0)),
        ("minimum", HEADER + 264, struct.pack("<d", float("nan"))),
        ("maximum", HEADER + 272, struct.pack("<d", float("nan"))),
        ("default", HEADER + 280, struct.pack("<d", 1.5)),
        ("text_index", HEADER + DESCRIPTOR + 256, u32(2)),
        ("text_index", HEADER + DESCRIPTOR + 256, u32(1)),
        ("text_count", HEADER + DESCRIPTOR + 248, u32(2)),
        ("default", HEADER + 5 * DESCRIPTOR, b"x" * TEXT),
        ("value", BANKS, struct.pack("<d", 1.5)),
        ("value", BANKS + 16, struct.pack("<Q", 10)),
        ("value", BANKS + 16, struct.pack("<Q", 1 << 32)),
        ("value", BANKS + TEXTS, b"x" * TEXT),
        ("finding", BANKS + FINDINGS, b"x" * FINDING),
    ],
)
def test_damage_is_reported_with_its_field(
    valid: bytes, tmp_path: Path, field: str, offset: int, new: bytes
) -> None:
    path = _damaged(tmp_path, valid, {offset: new})
    with pytest.raises(StreamFormatError) as caught:
        Params.open(path)
    # NaN as one limit is found by whichever limit is looked at first.
    assert caught.value.field == field or (field, caught.value.field) == ("maximum", "minimum")
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)


def test_a_file_of_the_layout_before_says_what_to_do(valid: bytes, tmp_path: Path) -> None:
    with pytest.raises(
        StreamFormatError, match=r"layout version 1, .* reads version 2 only; end what uses this file"
    ):
        Params.open(_damaged(tmp_path, valid, {8: u32(1)}))


@pytest.mark.parametrize("size", [0, 1, 8, HEADER - 1, HEADER, HEADER + 100, BANKS, BANKS + 2 * BANK - 1])
def test_a_truncated_file_is_refused(valid: bytes, tmp_path: Path, size: int) -> None:
    path = tmp_path / "short.params.fb"
    path.write_bytes(valid[:size])
    with pytest.raises(StreamFormatError) as caught:
        Params.open(path)
    assert caught.value.field == "file size"


def test_a_file_with_something_behind_it_is_refused(valid: bytes, tmp_path: Path) -> None:
    path = tmp_path / "long.params.fb"
    path.write_bytes(valid + bytes(64))
    with pytest.raises(StreamFormatError, match="file size"):
        Params.open(path)


def test_texts_that_are_not_utf8_are_readable(valid: bytes, tmp_path: Path) -> None:
    path = _damaged(
        tmp_path,
        valid,
        {HEADER + 64: b"\xff\xfe", HELP: b"\xff", BANKS + TEXTS: b"\xc3", BANKS + FINDINGS: b"\xc3"},
    )
    with Params.open(path) as params:
        assert params.describe("gain").spec.unit == "��"
        assert params["label"] == "�econd"
        assert params.describe("gain").spec.help == "�ow much of it."
        assert params.findings == {"gain": "�", "count": "too many"}


@given(
    changes=st.dictionaries(
        st.integers(0, BANKS + 2 * BANK - 1), st.binary(min_size=1, max_size=8), min_size=1, max_size=5
    )
)
def test_random_damage_gives_a_format_error_or_a_usable_set(
    changes: dict[int, bytes], valid: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # The size must stay that of the file: what is cut off has a test of its own.
    kept = {offset: new[: len(valid) - offset] for offset, new in changes.items()}
    path = _damaged(tmp_path_factory.getbasetemp(), valid, kept)
    try:
        _use(path)
    except StreamFormatError as error:
        named = error.field
    else:
        named = "opened"
    assert named


@given(content=st.binary(max_size=4096))
def test_random_bytes_are_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "random.params.fb"
    path.write_bytes(content)
    with pytest.raises(StreamFormatError):
        Params.open(path)


numbers = st.one_of(
    st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.text(max_size=60)
)


@given(
    defaults=st.dictionaries(
        st.from_regex(r"[a-zA-Z_]\w{0,20}(\.\w{1,20})?", fullmatch=True).filter(str.isascii), numbers
    ),
    data=st.data(),
)
def test_whatever_is_written_is_read(
    defaults: dict[str, object], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    defaults = {k: v for k, v in defaults.items() if not isinstance(v, str) or "\0" not in v}
    directory = tmp_path_factory.getbasetemp()
    with Params.create("any", defaults, replace=True, directory=directory) as params:
        assert params.snapshot() == defaults
        chosen = data.draw(st.lists(st.sampled_from(sorted(defaults)), unique=True)) if defaults else []
        same = {bool: st.booleans(), int: st.integers(-(2**63), 2**63 - 1), float: st.floats(allow_nan=False)}
        text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
        new = {name: data.draw(same.get(type(defaults[name]), text)) for name in chosen}
        params.update(new)
        with Params.open("any", directory=directory) as other:
            assert other.snapshot() == {**defaults, **new}
            assert other.changes == {name: int(name in new) for name in defaults}


def _hold_lock(path: Path, pid: int, ticks: int) -> None:
    with path.open("r+b") as file:
        file.seek(256)
        file.write(struct.pack("<Q", pid << 32 | ticks))


def test_the_lock_of_a_dead_writer_is_taken_over(spawn: Spawner) -> None:
    other = spawn(
        "from framebus import _core; import os; print(_core.process_start_ticks(os.getpid())); input()"
    )
    ticks = int(other.expect(""))
    other.kill()
    with Params.create("loop", SPECS) as params:
        _hold_lock(params.path, other.pid, ticks)
        with params.path.open("r+b") as file:  # it died in the middle of writing the other bank
            file.seek(BANKS + BANK)  # generation 0: the first bank is the active one
            file.write(b"\xff" * BANK)
        with Params.open("loop") as reader:
            assert reader["label"] == "first"
        params.update(gain=0.9)
        assert params.snapshot() == {
            "gain": 0.9,
            "label": "first",
            "count": 7,
            "enabled": True,
            "where": "/tmp",
        }
        # The same pid, started at another time, is another process: ours now, in place of the one that died.
        _hold_lock(params.path, os.getpid(), _core.process_start_ticks(os.getpid()) ^ 1)
        params.update(gain=0.8)


def test_a_live_writer_that_does_not_go_on_is_named_and_readers_go_on() -> None:
    with Params.create("loop", SPECS) as params:
        _hold_lock(params.path, os.getpid(), _core.process_start_ticks(os.getpid()))
        with pytest.raises(WaitTimeout, match=f"process {os.getpid()} has held"):
            params.update(gain=0.9)
        assert params["gain"] == 0.3
        _hold_lock(params.path, 0, 0)
        params.update(gain=0.9)
