"""``framebus ao``."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.cli.ao.group import COMMANDS
from support.commands import PROGRAM, error, output

TELESCOPE = """
rate_hz = 2000.0
[telescope]
diameter_m = 0.8
pixels = 32
[mirror]
actuators = 5
[wfs]
kind = "geometric"
subapertures = 4
[science]
interval = 5
exposure = 1
pixels = 16
"""


@pytest.fixture
def telescope(tmp_path: Path) -> str:
    (tmp_path / "telescope.toml").write_text(TELESCOPE)
    return str(tmp_path / "telescope.toml")


@pytest.mark.parametrize("arguments", [["ao"], ["ao", "--help"]])
def test_help_lists_the_commands(arguments: list[str]) -> None:
    printed = output(*arguments)
    for name, entry in COMMANDS.items():
        assert f"  {name} " in printed
        assert entry.help in printed


def test_every_command_has_help_with_an_example() -> None:
    for name in COMMANDS:
        printed = output("ao", name, "--help")
        assert f"Example: framebus ao {name}" in printed
        assert "--debug" in printed


@pytest.mark.parametrize("how", [["--fast"], []])
def test_a_telescope_runs_for_so_many_frames(telescope: str, how: list[str]) -> None:
    printed = output("ao", "sim", telescope, "--frames", "20", *how)
    assert "sim_telescope: dm=sim_dm -> wfs=sim_wfs phase=sim_phase residual=sim_residual" in printed
    with fb.open("sim_wfs") as wfs, fb.open("sim_dm") as dm, fb.open("sim_psf") as psf:
        assert (wfs.count, psf.count, dm.count) == (20, 4, 1)
        assert wfs.shape == (32, 32)
        assert dm.shape == (5, 5)
    with fb.open("sim_residual") as residual:
        assert residual.read()[2] > 0.0


def test_seed_prefix_turbulence_and_mirror_can_be_chosen(telescope: str) -> None:
    with fb.create("mirror", shape=(25,), dtype="float32") as mirror:
        mirror.write(np.zeros(25, np.float32))
        options = ["--frames", "2", "--fast", "--dm", "mirror", "--seed", "4"]
        output("ao", "sim", telescope, *options, "--prefix", "a.")
        output("ao", "sim", telescope, *options, "--prefix", "b.")
        output("ao", "sim", telescope, *options, "--prefix", "c.", "--turbulence", "0")
    with fb.open("a.wfs") as one, fb.open("b.wfs") as same, fb.open("c.residual") as flat:
        np.testing.assert_array_equal(one.read(), same.read())
        np.testing.assert_allclose(flat.read(), [0.0, 1.0, 0.0], atol=1e-5)


def test_ctrl_c_ends_it(telescope: str) -> None:
    with subprocess.Popen(
        [*PROGRAM, "ao", "sim", telescope], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as program:
        assert program.stdout is not None
        assert "sim_wfs" in program.stdout.readline()
        with fb.open("sim_wfs") as wfs:
            wfs.wait_newer(timeout_s=60.0)
        program.send_signal(signal.SIGINT)
        assert program.wait(60.0) == 0


def test_what_is_wrong_is_one_line(telescope: str, tmp_path: Path) -> None:
    assert "no description" in error(3, "ao", "sim", str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("[telescope]\ndiameter_m = 1\n")
    assert "`pixels`" in error(4, "ao", "sim", str(tmp_path / "bad.toml"))
    assert "exclude each other" in error(2, "ao", "sim", telescope, "--fast", "--rate", "100")
    with fb.create("mirror", shape=(4,), dtype="float32") as mirror:
        mirror.write(np.zeros(4, np.float32))
        assert "expected 25 commands" in error(2, "ao", "sim", telescope, "--dm", "mirror")
