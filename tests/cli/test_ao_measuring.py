"""``framebus ao``: a loop calibrated as an operator would."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

import framebus as fb
from framebus.ao import load_boxes
from framebus.ao.calibration_files import load_calibration, save_calibration
from framebus.ao.partial import Partial
from support.commands import PROGRAM, answer, error, output
from support.waiting import until

Array = NDArray[Any]
RESPONSE = np.random.default_rng(7).normal(size=(6, 10))


class Hardware:
    """Writes a frame of the camera and of the slopes whenever a command comes, and after ``patience_s`` without."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(1)
        self.stop = threading.Event()
        self.made = [
            fb.create("dm", shape=(2, 3), dtype="float32"),
            fb.create("slopes", shape=(10,), dtype="float32", history=64),
            fb.create("camera", shape=(24, 32), dtype="uint16", history=64),
        ]
        self.made[0].write(np.full((2, 3), 0.5, np.float32))
        self.light, self.effect, self.patience_s = 0.0, 1.0, 0.001
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        from framebus.errors import WaitTimeout

        with fb.open("dm") as dm, fb.open("slopes") as slopes, fb.open("camera") as camera:
            before = dm.read().ravel()
            while not self.stop.is_set():
                now = dm.count
                command = dm.read().ravel()
                # Two frames from a command to what shows it: one on its way, one for the exposure.
                values = 1.0 + self.effect * before @ RESPONSE + 0.002 * self.rng.normal(size=10)
                before = command
                slopes.write(values.astype(np.float32))
                frame = 400.0 + self.light + 5.0 * self.rng.normal(size=(24, 32))
                frame[2, 3] += 4600.0
                camera.write(np.rint(frame).astype(np.uint16))
                try:
                    dm.wait_newer(now, timeout_s=self.patience_s)
                except WaitTimeout:
                    continue

    def close(self) -> None:
        self.stop.set()
        self.thread.join()
        for stream in self.made:
            stream.remove()


@pytest.fixture
def hardware(shm_dir: Path) -> Iterator[Hardware]:
    made = Hardware()
    yield made
    made.close()


def test_dark_and_flat(hardware: Hardware, tmp_path: Path) -> None:
    dark, flat, picture = tmp_path / "dark.fits", tmp_path / "flat.fits", tmp_path / "dark.png"
    found = answer("ao", "dark", "camera", "--frames", "60", "--output", str(dark), "--picture", str(picture))
    assert (found["hot"], found["dead"], found["unstable"], found["missed"]) == (1, 0, 0, 0)
    assert found["counts"][1] - found["counts"][0] == 59
    assert found["level"] == pytest.approx(400.0, abs=0.5)
    assert found["noise"] == pytest.approx(5.0, rel=0.05)
    assert found["written"] == [str(dark), str(picture)]
    assert picture.read_bytes().startswith(b"\x89PNG")
    header = load_calibration(dark, "dark").header
    assert (header["STREAM1"], header["NFRAMES"], header["NHOT"]) == ("camera", 60, 1)
    assert "exists" in error(2, "ao", "dark", "camera", "--output", str(dark))
    assert "no light" in error(4, "ao", "flat", "camera", "--dark", str(dark), "--frames", "20")
    hardware.light = 2000.0
    printed = output("ao", "flat", "camera", "--dark", str(dark), "--frames", "20", "--output", str(flat))
    assert "signal" in printed
    assert f"wrote {flat}" in printed
    gain = load_calibration(flat, "flat").array("gain")
    assert gain[2, 3] == 0.0
    assert np.median(gain) == pytest.approx(1.0, abs=0.01)


def test_the_reference_goes_to_its_stream(hardware: Hardware, tmp_path: Path) -> None:
    path = tmp_path / "reference.fits"
    with fb.create("zero", shape=(10,), dtype="float32") as target:
        found = answer("ao", "reference", "slopes", "--frames", "40", "--output", str(path), "--to", "zero")
        truth = 1.0 + 0.5 * RESPONSE.sum(axis=0)
        np.testing.assert_allclose(target.read(), truth, atol=0.003)
        assert found["noise"] == pytest.approx(0.002, rel=0.2)
        target.remove()
    assert load_calibration(path).header["CNTEND1"] >= 40


def test_the_delay(hardware: Hardware, tmp_path: Path) -> None:
    path = tmp_path / "delay.fits"
    hardware.patience_s = 0.1
    found = answer(
        "ao", "delay", "dm", "slopes", "--amplitude", "0.1", "--frames", "300", "--output", str(path)
    )
    assert found["delay_frames"] == pytest.approx(2.0, abs=0.1)
    assert found["correlation"] > 0.99
    assert load_calibration(path, "delay").header["DELAY"] == pytest.approx(2.0, abs=0.1)
    np.testing.assert_array_equal(fb_read("dm"), np.full((2, 3), 0.5, np.float32))


def fb_read(name: str) -> Array:
    with fb.open(name) as stream:
        return stream.read()


@pytest.mark.parametrize("method", ["zonal", "hadamard", "modal", "modulated"])
def test_the_response(hardware: Hardware, tmp_path: Path, method: str) -> None:
    path, picture, modes = tmp_path / "response.fits", tmp_path / "response.png", tmp_path / "modes.fits"
    fits.PrimaryHDU(np.eye(6)[:4].reshape(4, 2, 3)).writeto(modes)
    options = ["--settle", "3", "--averages", "8"]
    if method in ("modal", "modulated"):
        hardware.patience_s = 0.1 if method == "modulated" else 0.001
        options += ["--modes", str(modes), "--at-once", "4", "--frames", "128"]
    found = answer(
        "ao", "response", "dm", "slopes", "--amplitude", "0.1", "--method", method, "--output", str(path),
        "--picture", str(picture), *options,
    )  # fmt: skip
    file = load_calibration(path, "response")
    truth = RESPONSE if method in ("zonal", "hadamard") else RESPONSE[:4]
    np.testing.assert_allclose(file.array("matrix"), truth, atol=0.1 if method == "modulated" else 0.05)
    np.testing.assert_allclose(file.array("rest"), np.full((2, 3), 0.5))
    assert (file.header["METHOD"], file.header["AMPLITUD"], file.header["DM"]) == (method, 0.1, "dm")
    assert found["signal_to_noise_least"] > 20
    assert found["doubts"] == []
    assert picture.exists()
    np.testing.assert_array_equal(fb_read("dm"), np.full((2, 3), 0.5, np.float32))
    assert not (tmp_path / "response.fits.part").exists()


def test_an_interrupted_run_is_told_apart_from_another(hardware: Hardware, tmp_path: Path) -> None:
    path = tmp_path / "response.fits"
    arguments = ["ao", "response", "dm", "slopes", "--amplitude", "0.1", "--output", str(path)]
    Partial(tmp_path / "response.fits.part", {"method": "modal"}).save({"done": np.zeros(1)}, now=True)
    assert "belongs to another measurement" in error(2, *arguments)
    assert "wrote" in output(*arguments, "--fresh")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_mirror_is_at_its_flat_whatever_ends_it_and_the_next_run_goes_on(
    hardware: Hardware, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    path = tmp_path / "response.fits"
    arguments = [
        "ao",
        "response",
        "dm",
        "slopes",
        "--amplitude",
        "0.1",
        "--settle",
        "3",
        "--output",
        str(path),
    ]
    arguments += ["--averages", "40"]
    with (
        fb.open("dm") as dm,
        subprocess.Popen([*PROGRAM, *arguments], stderr=subprocess.PIPE, text=True) as program,
    ):
        until(lambda: dm.count >= 6)
        program.send_signal(number)
        _, complaints = program.communicate(timeout=60.0)
        assert (program.returncode, complaints.strip()) == (code, "")
        np.testing.assert_array_equal(dm.read(), np.full((2, 3), 0.5, np.float32))
        before = dm.count
        assert not path.exists()
        assert (tmp_path / "response.fits.part").exists()
        found = answer(*arguments)
        # Two actuators of six were done: 5 commands and the flat are behind us.
        assert dm.count - before <= 2 * 4 + 1
    assert found["rows"] == 6
    np.testing.assert_allclose(load_calibration(path).array("matrix"), RESPONSE, atol=0.02)


def test_a_silent_stream_and_a_mirror_of_no_effect(hardware: Hardware) -> None:
    with fb.create("still", shape=(10,), dtype="float32") as still:
        assert "still" in error(1, "ao", "reference", "still", "--timeout", "0.05")
        still.write(np.zeros(10, np.float32))
        arguments = ["ao", "response", "dm", "still", "--amplitude", "0.1", "--timeout", "0.05"]
        assert "still" in error(1, *arguments)
        still.remove()
    hardware.effect, hardware.patience_s = 0.0, 0.1
    message = error(4, "ao", "delay", "dm", "slopes", "--amplitude", "0.1", "--frames", "150")
    assert "not found in the measurement" in message
    assert "--amplitude" in error(2, "ao", "delay", "dm", "slopes")


def test_geometry_is_found_in_files_and_actuators_are_registered(tmp_path: Path) -> None:
    places = np.argwhere(np.ones((8, 8))) * 12.0 + 15.0
    y, x = np.indices((115, 115))
    frame = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / 5.0) for a, b in places)
    fits.PrimaryHDU(1000.0 * np.asarray(frame)).writeto(tmp_path / "frame.fits")
    boxes = tmp_path / "boxes.fits"
    found = answer(
        "ao", "find", "subapertures", str(tmp_path / "frame.fits"), "--output", str(boxes), "--picture",
        str(tmp_path / "boxes.png"),
    )  # fmt: skip
    assert (found["subapertures"], found["grid"], found["doubts"]) == (64, "square", [])
    assert len(load_boxes(boxes, (115, 115))) == 64
    spots = load_calibration(boxes).array("centres")
    actuators = np.argwhere(np.ones((7, 7))) * 12.0 + 23.0
    dy, dx = (spots[None] - actuators[:, None]).transpose(2, 0, 1) / 12.0
    bell = np.exp(-(dy**2 + dx**2))
    save_calibration(
        tmp_path / "response.fits",
        "response",
        {"matrix": np.hstack([dx * bell, dy * bell]), "rest": np.zeros((7, 7))},
    )
    found = answer(
        "ao", "register", str(tmp_path / "response.fits"), str(boxes), "--output", str(tmp_path / "map.fits"),
        "--picture", str(tmp_path / "map.png"),
    )  # fmt: skip
    np.testing.assert_allclose(found["shift_px"], [23.0 + 36.0 - 57.0] * 2, atol=0.1)
    np.testing.assert_allclose(found["magnification_px"], 12.0, atol=0.05)
    assert (found["parity"], found["actuators_found"]) == (1, 49)
    assert load_calibration(tmp_path / "map.fits", "registration").header["PARITY"] == 1
    assert "it is a subapertures file; expected a response" in error(
        4, "ao", "register", str(boxes), str(boxes)
    )


def test_what_is_doubtful_about_a_geometry_is_told_drawn_and_saved(tmp_path: Path) -> None:
    places = np.delete(np.argwhere(np.ones((8, 8))) * 12.0 + 15.0, 27, axis=0)
    y, x = np.indices((105, 115))
    frame = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / 5.0) for a, b in places)
    fits.PrimaryHDU(1000.0 * np.asarray(frame)).writeto(tmp_path / "frame.fits")
    boxes = tmp_path / "boxes.fits"
    printed = output(
        "ao", "find", "subapertures", str(tmp_path / "frame.fits"), "--box", "14", "--output", str(boxes)
    )
    assert "doubtful: one is missing at y 51.0, x 51.0" in printed
    assert "cut by the frame's edge" in printed
    header = load_calibration(boxes, "subapertures").header
    assert header[f"DOUBT{header['NDOUBTS']}"] == "one is missing at y 51.0, x 51.0"
    assert len(load_calibration(boxes).array("doubtful")) == header["NDOUBTS"] - 1


def test_pupils_of_a_real_pyramid(shared_data: Path, tmp_path: Path) -> None:
    picture = tmp_path / "pupils.png"
    source = shared_data / "ao3k" / "wfsref.fits"
    found = answer(
        "ao", "find", "pupils", str(source), "--output", str(tmp_path / "p.fits"), "--picture", str(picture)
    )
    assert found["radius_px"] == pytest.approx(34.9, abs=1.0)
    assert picture.exists()
    assert "pupils have none" in error(2, "ao", "find", "pupils", str(source), "--pitch", "3")


def test_a_frame_without_light_and_a_stream_that_is_not_there(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((30, 30))).writeto(tmp_path / "dark.fits")
    assert "is the light on" in error(4, "ao", "find", "pupils", str(tmp_path / "dark.fits"))
    assert "nothere" in error(3, "ao", "dark", "nothere")
    assert "no such file" in error(3, "ao", "register", "none.fits", "none.fits")
    assert "Measure the interaction matrix" in output("ao")
