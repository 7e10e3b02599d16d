from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from framebus.ao.transfer import integrator, rejection
from framebus.ao.turbulence_statistics import zernike_covariance
from framebus.cli.ao.group import COMMANDS
from support.commands import answer, error, output

Array = NDArray[Any]
RNG = np.random.default_rng(31)


@pytest.fixture(autouse=True)
def here(shm_dir: Path, tmp_path: Path) -> Iterator[None]:
    """Commands run in a directory of their own, which is left before leaks are looked for."""
    with contextlib.chdir(tmp_path):
        yield


def save(name: str, data: Any) -> str:
    fits.PrimaryHDU(np.asarray(data)).writeto(name, overwrite=True)
    return name


def grid(n: int) -> Array:
    axis = np.linspace(-1, 1, n)
    return np.column_stack([each.ravel() for each in np.meshgrid(axis, axis)])


def is_picture(name: str) -> bool:
    return Path(name).read_bytes().startswith(b"\x89PNG")


def loop(gain: float = 0.4, n: int = 8000) -> tuple[str, str, str]:
    """Files of residuals and commands of an integrator with 2 frames of delay, and of another open loop."""
    open_loop = RNG.normal(size=(2 * n, 3))
    for k in range(1, 2 * n):
        open_loop[k] += 0.95 * open_loop[k - 1]
    residual, command = np.zeros((n, 3)), np.zeros((n, 3))
    for k in range(n):
        residual[k] = open_loop[k] - (command[k - 2] if k >= 2 else 0)
        command[k] = (command[k - 1] if k else 0) + gain * residual[k]
    return save("closed.fits", residual), save("commands.fits", command), save("open.fits", open_loop[n:])


def test_the_group_lists_its_commands() -> None:
    printed = output("ao", "--help")
    for name, entry in COMMANDS.items():
        assert name in printed
        assert entry.help.split()[0] in printed
        assert "Example: framebus ao" in output("ao", name, "--help")


def test_modes_from_places_are_written_and_drawn() -> None:
    Path("places.txt").write_text("".join(f"{k} {x:.6f} {y:.6f}\n" for k, (x, y) in enumerate(grid(6))))
    told = answer(
        *("ao", "modes", "--positions", "places.txt", "--number", "8", "--diameter", "8", "--r0", "0.8"),
        *("-o", "kl.fits", "--picture", "kl.png"),
    )
    assert (told["kind"], told["actuators"], told["modes"]) == ("kl", 36, 8)
    assert told["written"] == ["kl.fits", "kl.png"]
    assert is_picture("kl.png")
    modes = fits.getdata("kl.fits")
    np.testing.assert_allclose(modes.T @ modes, np.eye(8), atol=1e-9)
    # The first is tip or tilt.
    places = grid(6) / np.linalg.norm(grid(6)[:, 0])
    assert np.linalg.norm(places.T @ modes[:, 0]) > 0.95


def test_modes_from_influence_functions() -> None:
    axis = np.arange(16)
    profile = np.exp(-(((axis - np.linspace(2, 13, 4)[:, None]) / 3.0) ** 2))
    save("influence.fits", np.einsum("ay,bx->abyx", profile, profile).reshape(16, 16, 16))
    told = answer("ao", "modes", "--kind", "influence", "--influence", "influence.fits", "--diameter", "1")
    assert told["kind"] == "influence-kl"
    assert told["variances_rad2"] == sorted(told["variances_rad2"], reverse=True)
    assert "influence" in output("ao", "modes", "--kind", "influence", "--influence", "influence.fits")


def test_a_control_matrix_by_every_method() -> None:
    places = grid(5)
    truth = RNG.normal(size=(25, 60))
    save("respM.fits", truth.reshape(25, 6, 10).astype("float32"))
    save("places.fits", places)
    output("ao", "modes", "--positions", "places.fits", "--number", "10", "-o", "kl.fits")
    gains = save("gains.fits", np.full(10, 0.5))
    for method, options in {
        "tsvd": ["--condition", "50"],
        "tikhonov": ["--regularisation", "0.01"],
        "mmse": ["--modes", "kl.fits", "--noise", "0.0001"],
        "modal": ["--modes", "kl.fits", "--gains", gains],
    }.items():
        told = answer(
            *(
                "ao",
                "control-matrix",
                "respM.fits",
                "--method",
                method,
                *options,
                "--positions",
                "places.fits",
            ),
            *("-o", "control.fits", *(["--picture", "control.png"] if method == "mmse" else [])),
        )
        assert (told["actuators"], told["measurements"], told["method"]) == (25, 60, method)
        product = fits.getdata("control.fits") @ truth.T
        modes = fits.getdata("kl.fits")
        expected = {"mmse": modes @ modes.T, "modal": 0.5 * modes @ modes.T}.get(method, np.eye(25))
        seen = product if method in ("tsvd", "tikhonov") else product @ modes @ modes.T
        np.testing.assert_allclose(seen, expected, atol=0.02)
    assert is_picture("control.png")


def test_an_instrument_s_masks_hold() -> None:
    Path("instrument").mkdir()
    save("instrument/respM.fits", RNG.normal(size=(9, 4, 5)).astype("float32"))
    save("instrument/DMmaskCTRL.fits", np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], "float32"))
    save("instrument/WFSmask.fits", (np.arange(20).reshape(4, 5) > 2).astype("float32"))
    told = answer("ao", "control-matrix", "instrument", "-o", "c.fits")
    assert told["dead_actuators"] == [4]
    matrix = fits.getdata("c.fits")
    assert np.abs(matrix[4]).max() < 1e-6
    assert np.abs(matrix[:, :3]).max() < 1e-6


def test_gains_are_found_from_a_closed_loop() -> None:
    closed, commands, _ = loop()
    told = answer(
        *("ao", "gains", closed, "--commands", commands, "--rate", "500", "--delay", "2"),
        *("-o", "gains.fits", "--picture", "gains.png"),
    )
    assert told["limit"] == pytest.approx(0.5, rel=1e-3)
    assert told["gains"] == pytest.approx(fits.getdata("gains.fits"))
    assert is_picture("gains.png")
    assert fits.getheader("gains.fits")["DELAY"] == 2.0


def test_rejection_is_measured_both_ways_and_compared() -> None:
    closed, commands, open_ = loop()
    told = answer(
        *(
            "ao",
            "rejection",
            closed,
            "--commands",
            commands,
            "--rate",
            "500",
            "--gain",
            "0.4",
            "--segment",
            "500",
        ),
        *("-o", "r.fits", "--picture", "r.png"),
    )
    assert max(told["rms_difference_db"]) < 1.0
    assert is_picture("r.png")
    with fits.open("r.fits") as hdus:
        theory = np.abs(rejection(hdus["FREQ"].data, 500.0, 2.0, integrator(0.4)))
        np.testing.assert_allclose(hdus["PREDICT"].data[:, 0], 20 * np.log10(theory))
        assert np.abs(hdus[0].data[3:, 0] - 20 * np.log10(theory)[3:]).max() < 1.0
    pair = answer(
        "ao", "rejection", closed, "--open", open_, "--rate", "500", "--gain", "0.4", "--segment", "500"
    )
    assert max(pair["rms_difference_db"]) < 2.5
    assert pair["bandwidth_hz"] == pytest.approx(told["bandwidth_hz"], rel=0.2)


def test_seeing_is_told_from_modes_and_slopes() -> None:
    root = np.linalg.cholesky(zernike_covariance(9, 10.0) * (2.0 / 0.2) ** (5 / 3))
    states = RNG.normal(size=(4000, 9))
    for k in range(1, 4000):
        states[k] = 0.9 * states[k - 1] + np.sqrt(0.19) * states[k]
    save("modes.fits", states @ root.T)
    told = answer(
        *("ao", "seeing", "modes.fits", "--kind", "zernikes", "--rate", "500", "--diameter", "2"),
        *("--outer-scale", "20", "-o", "s.fits", "--picture", "s.png"),
    )
    # These modes are no frozen flow; what the fastest part of them has in white noise is taken for noise.
    assert told["r0_m"]["value"] == pytest.approx(0.2, abs=3 * told["r0_m"]["sigma"] + 0.02)
    assert is_picture("s.png")
    values = fits.getdata("s.fits")
    assert values[2, 0] == pytest.approx(0.314 * values[0, 0] / values[1, 0])
    printed = output(
        "ao", "seeing", save("slopes.fits", 1e-6 * states), "--rate", "500", "--subaperture", "0.2"
    )
    assert "±" in printed


def test_zernikes_of_the_laboratory_s_frames(shared_data: Path) -> None:
    frames = [str(shared_data / "shwfs" / f"{name}.fits") for name in ("reference", "aberrated")]
    told = answer(
        *("ao", "zernike", *frames, "--dark", str(shared_data / "shwfs" / "dark.fits")),
        *("--pixel", "7.4e-6", "--focal-length", "18e-3", "--pitch", "3e-4", "--wavelength", "632.8e-9"),
        *("-o", "z.fits", "--picture", "z.png"),
    )
    assert told["lenslets"] == 127
    assert told["rms_waves"] == pytest.approx(1e-9 * told["rms_nm"] / 632.8e-9)
    assert len(told["coefficients_nm"]) == 20
    assert is_picture("z.png")
    np.testing.assert_allclose(1e9 * fits.getdata("z.fits"), told["coefficients_nm"], atol=1e-3)


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ["modes"], "needs --positions FILE"),
        (2, ["modes", "--kind", "influence"], "needs --influence FILE"),
        (3, ["modes", "--positions", "none.txt"], "no such file"),
        (4, ["modes", "--positions", "words.txt"], "no table of numbers"),
        (4, ["modes", "--positions", "column.txt"], "ending in x and y"),
        (3, ["control-matrix", "none.fits"], "no such file"),
        (4, ["control-matrix", "zeros.fits"], "all zeros"),
        (2, ["control-matrix", "eye.fits", "--method", "modal"], "needs --modes FILE"),
        (2, ["control-matrix", "eye.fits", "--method", "mmse", "--modes", "eye.fits"], "no variances"),
        (2, ["control-matrix", "eye.fits", "-o", "out.npy"], "ends in .fits"),
        (2, ["control-matrix", "eye.fits", "--picture", "out.xyz"], ".png, .pdf or .svg"),
        (2, ["control-matrix", "eye.fits", "--picture", "o.png", "--positions", "two.txt"], "places"),
        (2, ["gains", "eye.fits", "--rate", "100"], "Record more"),
        (2, ["rejection", "eye.fits", "--rate", "100"], "either --commands"),
        (
            2,
            [
                "rejection",
                "long.fits",
                "--open",
                "long.fits",
                "--rate",
                "9",
                "--channel",
                "7",
                "--picture",
                "o.png",
            ],
            "channel 7",
        ),
        (2, ["seeing", "eye.fits", "--rate", "100"], "needs --subaperture"),
        (2, ["seeing", "eye.fits", "--rate", "100", "--kind", "zernikes"], "needs --diameter"),
        (4, ["zernike", "zeros.fits", "zeros.fits", "--pixel", "1e-5", "--focal-length", "0.01"], "framebus"),
    ],
)
def test_errors_are_one_line(code: int, arguments: list[str], message: str) -> None:
    Path("words.txt").write_text("no numbers\n")
    Path("column.txt").write_text("1\n2\n")
    Path("two.txt").write_text("1 2\n3 4\n")
    save("zeros.fits", np.zeros((32, 32)))
    save("eye.fits", np.eye(4))
    save("long.fits", RNG.normal(size=(400, 2)))
    assert message in error(code, "ao", *arguments)


def test_output_without_json_is_for_eyes() -> None:
    printed = output("ao", "control-matrix", save("eye.fits", np.eye(40)), "-o", "c.fits")
    assert "why" in printed
    assert "31 more" in printed
    assert printed.rstrip().endswith("wrote c.fits")
    with pytest.raises(json.JSONDecodeError):
        json.loads(printed)
