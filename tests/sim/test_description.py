from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import DataError, NotFoundError
from framebus.sim import read_description

MINIMAL = "[telescope]\ndiameter_m = 2.0\npixels = 80\n"


def read(folder: Path, text: str) -> object:
    (folder / "t.toml").write_text(text)
    return read_description(folder / "t.toml")


def test_a_telescope_is_all_that_is_needed(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(MINIMAL)
    found = read_description(tmp_path / "t.toml")
    assert (found.telescope.diameter_m, found.telescope.pixels) == (2.0, 80)
    assert found.wfs.kind == "shack-hartmann"
    assert len(found.atmosphere.layers) == 1


def test_everything_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(
        "rate_hz = 500\nseed = 7\n" + MINIMAL + "obscuration = 0.3\n"
        "spiders = [{ angle_deg = 90, width_m = 0.05 }, { angle_deg = -90, width_m = 0.05, offset_m = 0.1 }]\n"
        "[atmosphere]\nr0_m = 0.1\nouter_scale_m = 30\n"
        "layers = [{ fraction = 0.6 }, { fraction = 0.4, wind_speed_m_s = 20, wind_direction_deg = 45 }]\n"
        "[mirror]\nkind = 'file'\nfile = 'dm/influence.fits'\nhysteresis_um = 0.01\ndead = [3, 4]\n"
        "[wfs]\nkind = 'pyramid'\npixels = 40\nmodulation = 5\nphotons = 1e4\n"
        "[detector]\nem_gain = 300\nread_noise = 60\ndelay_frames = 1.5\nlost = 0.001\nlose_every = 100\nbits = 14\n"
        "[science]\nwavelength_um = 2.2\npixels = 128\nspot_px = 3\ninterval = 1\nexposure = 1000\n"
    )
    found = read_description(tmp_path / "t.toml")
    assert found.seed == 7
    assert found.telescope.spiders[1].offset_m == 0.1
    assert found.atmosphere.layers[1].wind_speed_m_s == 20.0
    assert found.mirror.file == str(tmp_path / "dm" / "influence.fits")
    assert found.mirror.dead == (3, 4)
    assert found.detector.delay_frames == 1.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "telescope"),
        ("[telescope", "no TOML"),
        (MINIMAL + "focal_length = 3\n", "unknown field `focal_length` - at `$.telescope`"),
        (MINIMAL + "[camera]\n", "unknown field `camera`"),
        (MINIMAL.replace("2.0", "-2.0"), r"> 0.0 - at `$.telescope.diameter_m`"),
        (MINIMAL.replace("80", "'many'"), r"at `$.telescope.pixels`"),
        (MINIMAL.replace("80", "5000"), r"at `$.telescope.pixels`"),
        (MINIMAL + "[wfs]\nkind = 'curvature'\n", r"at `$.wfs.kind`"),
        (MINIMAL + "[atmosphere]\nlayers = []\n", r"at `$.atmosphere.layers`"),
        (MINIMAL + "[[atmosphere.layers]]\nfraction = 0\n", r"at `$.atmosphere.layers[0].fraction`"),
        (MINIMAL + "[detector]\nbits = 17\n", r"at `$.detector.bits`"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, text)
    assert words in str(raised.value)
    assert str(tmp_path / "t.toml") in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(NotFoundError, match="no description of a telescope"):
            read_description(path)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    with pytest.raises(DataError):  # none of them has a telescope
        read_description(path)
