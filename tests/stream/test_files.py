"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from framebus.stream.files import printable, replacing


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    path.write_text("old")
    with replacing(path) as draft:
        assert (draft.parent, draft.name.endswith(".a.fits.gz")) == (tmp_path, True)
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fail() -> None:
        with replacing(str(path)) as draft:
            draft.write_text("half")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fail()
    assert path.read_text() == "old"
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "b"):
        pass  # nothing was written
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "none" / "c") as draft:
        draft.write_text("new")
    assert caught.value.filename == str(tmp_path / "none" / "c"), "not the name of the draft"
    with pytest.raises(FileNotFoundError) as caught, replacing(path):
        Path(tmp_path / "other").read_text()
    assert caught.value.filename == str(tmp_path / "other")
    assert list(tmp_path.iterdir()) == [path]


def test_texts_of_a_header_are_ascii() -> None:
    assert printable("2 µm\n~ é") == r"2 \xb5m\n~ \xe9"
