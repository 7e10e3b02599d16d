"""The shell's objects, in this process: streams, images, parameters, names."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import NotFoundError, ParameterError, StreamNotFound, UsageError
from framebus.params import Params, ParamSpec
from framebus.shell import Image, LiveStream, Session
from framebus.shell.history import History, state_file
from framebus.shell.sessions import startup_file
from framebus.stream.names import stream_path
from support.processes import Spawner

SHAPE = (3, 4)


@pytest.fixture
def shell() -> Iterator[Session]:
    made = Session()
    yield made
    made.close()
    made.namespace.clear()


@pytest.fixture
def im() -> Iterator[fb.Stream]:
    with fb.create("im", shape=SHAPE, dtype="float32") as stream:
        stream.write(np.arange(12).reshape(SHAPE))
        yield stream


def read(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with fb.open(name) as stream:
        return stream.read()


def there(shm_dir: Path) -> list[str]:
    return sorted(path.name.removesuffix(".im.shm") for path in shm_dir.glob("*.im.shm"))


# ---- streams as arrays -----------------------------------------------------------------------------------------------


def test_a_name_is_its_newest_frame(shell: Session, im: fb.Stream) -> None:
    shell.run(
        "a = im.mean(); b = (im + 2)[1, 1]; c = float(im[2, 3]); d = np.median(im); n = len(im); t = im.T.shape"
    )
    names = shell.namespace
    assert [names[name] for name in "abcdn"] == [5.5, 7.0, 11.0, 5.5, 3]
    assert names["t"] == (4, 3)
    im.write(np.full(SHAPE, 1))
    shell.run("a = im.mean()\ndef f():\n    return im.max()\nb = f()")
    assert (names["a"], names["b"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "im + 2",
            "2 - im",
            "-im",
            "im * im",
            "im / 2",
            "im ** 2",
            "abs(im)",
            "im > 3",
            "im == im",
            "im @ im.T",
        ),
        *(
            "sqrt(im)",
            "np.add.accumulate(im)",
            "where(im > 3, im, 0)",
            "np.concatenate([im, im])",
            "im[1:, ::2]",
        ),
        *(
            "fft2(im)",
            "np.clip(im, 2, 3)",
            "im.astype('f8')",
            "mean(im, axis=0)",
            "im.reshape(4, 3)",
            "im[im > 3]",
        ),
        *(
            "np.stack((im, im + 1))",
            "flip(im)",
            "np.maximum(im, im)",
            "percentile(im, [1, 2], axis=1)",
            "im.read()",
        ),
    ],
)
def test_what_arithmetic_gives(shell: Session, im: fb.Stream, expression: str) -> None:
    found = eval(expression, shell.namespace)
    assert type(found) is Image
    plain = eval(expression.replace(".read()", ""), shell.namespace | {"im": np.asarray(read("im"))})
    np.testing.assert_array_equal(found, plain)
    assert found.dtype == plain.dtype


@pytest.mark.parametrize(
    "expression", ["im.mean()", "im[1, 1]", "np.sum(im)", "im.max() + 1", "np.add.reduce(im, None)"]
)
def test_single_numbers_are_no_images(shell: Session, im: fb.Stream, expression: str) -> None:
    found = eval(expression, shell.namespace)
    assert not isinstance(found, np.ndarray)


def test_assigned_images_become_streams(shell: Session, im: fb.Stream) -> None:
    shell.run("im1 = sqrt(im + 2)\nim2 = im1 > 2\nline = im[1]")
    np.testing.assert_allclose(read("im1"), np.sqrt(np.arange(12, dtype=np.float32).reshape(SHAPE) + 2))
    assert read("im2").dtype == np.uint8
    assert read("line").shape == (4,)
    assert "im1" not in dict(shell.namespace)
    assert isinstance(shell.namespace["im1"], LiveStream)
    shell.run("im1 = im * 0")
    assert shell.namespace["im1"].count == 2


def test_what_becomes_no_stream(shell: Session, im: fb.Stream, shm_dir: Path) -> None:
    shell.run(
        "a = 3\nb = np.asarray(im + 1)\nc = im.mean()\n_d = im + 1\ne = [im + 1]\nf = np.zeros(3)\nother = im\n"
        "for i in range(3): pass"
    )
    assert there(shm_dir) == ["im"]
    assert type(shell.namespace["b"]) is np.ndarray
    assert shell.namespace["other"].count == 1
    shell.namespace.publishing = False
    shell.run("g = im + 1")
    assert there(shm_dir) == ["im"]
    assert type(shell.namespace["g"]) is Image
    shell.namespace.publishing = True
    shell.run("g = g")
    assert there(shm_dir) == ["g", "im"]


def test_changes_in_place(shell: Session, im: fb.Stream) -> None:
    shell.run("im += 1\nim[0, 0] = 50\nim[1] *= 0")
    assert im.count == 4
    found = im.read()
    assert found[0].tolist() == [50, 2, 3, 4]
    assert found[1].tolist() == [0] * 4
    assert "im" not in dict(shell.namespace)
    shell.run("s.im -= 1\ns['im'] = np.zeros((3, 4), 'f4')")
    assert im.count == 6
    with pytest.raises(UsageError, match="shape"):
        shell.run("im.write([1, 2])")
    with pytest.raises(UsageError):
        shell.run("np.add(im, 1, out=(im,), casting='unsafe', dtype='c8')")


def test_a_stream_goes_into_arrays(shell: Session, im: fb.Stream) -> None:
    shell.run("acc = np.zeros((3, 4)); acc += im; acc += im; np.multiply(im, 2, out=acc)")
    assert type(shell.namespace["acc"]) is np.ndarray
    assert (shell.namespace["acc"] == 2 * im.read()).all()
    shell.run("q = np.zeros((3, 4)); np.divmod(im, 2, q, None); r = np.zeros(4); np.sum(im, axis=0, out=r)")
    assert (shell.namespace["q"] == im.read() // 2).all()
    assert shell.namespace["r"].tolist() == im.read().sum(axis=0).tolist()
    with pytest.raises(UsageError, match="assign it instead"):
        shell.run("np.divmod(im, 2, im, q)")
    assert im.count == 1


@pytest.mark.parametrize(
    "statement",
    [
        *("im.fill(7)", "im.put([1, 2], -1)", "im[:] = im[::-1]; im.sort(axis=0)", "im.partition(1)"),
        *("np.copyto(im, 3)", "np.put(im, [0], 9)", "np.place(im, im > 3, 0)", "np.putmask(im, im > 3, 0)"),
        *("np.fill_diagonal(im, -5)", "np.put_along_axis(im, im.argmax(0)[None], -1, 0)", "im.flat = 4"),
        *("np.cumsum(im, axis=0, out=im)", "im.real = 6", "np.copyto(dst=im, src=2, where=im > 3)"),
    ],
)
def test_what_changes_an_array_publishes_a_frame(shell: Session, im: fb.Stream, statement: str) -> None:
    plain = im.read()
    exec(statement, {"np": np, "im": plain})
    before = im.count
    shell.run(statement)
    np.testing.assert_array_equal(im.read(), plain)
    assert im.count > before
    assert "im" not in dict(shell.namespace)


def test_changes_that_a_stream_cannot_have(shell: Session, im: fb.Stream) -> None:
    for statement in ("im.resize(2)", "im.setflags(write=False)", "im.shape = (4, 3)", "im.nothing = 3"):
        with pytest.raises(AttributeError, match=r"stream 'im'.*'im\[\.\.\.\] = values'"):
            shell.run(statement)
    assert "resize" not in dir(shell.streams.im)
    assert (im.count, read("im").shape) == (1, SHAPE)


def test_a_slice_may_have_its_streams_name(shell: Session, im: fb.Stream) -> None:
    shell.run("im = s['im[0:1,*]']; a = im.shape")
    assert shell.namespace["a"] == (3, 2)
    shell.run("im += 1; b = im.shape")
    assert shell.namespace["b"] == (3, 2)
    assert im.read()[0].tolist() == [1, 2, 2, 3]


def test_variables_and_functions_go_before_streams(shell: Session, im: fb.Stream) -> None:
    for name in ("mean", "max"):
        with fb.create(name, shape=(2,)) as stream:
            stream.write([1, 2])
    shell.run("a = mean(im); b = max(3, 4); c = s.mean.sum(); im = 5")
    assert (shell.namespace["a"], shell.namespace["b"], shell.namespace["c"]) == (5.5, 4, 3.0)
    assert shell.namespace["im"] == 5
    shell.run("del im")
    shell.run("a = im.mean()")
    assert shell.namespace["a"] == 5.5


def test_names_that_are_the_prompts_own(shell: Session, im: fb.Stream, shm_dir: Path) -> None:
    for name in ("s", "p", "u", "np", "fb"):
        with pytest.raises(UsageError, match=f"'{name}' is the prompt's own"):
            shell.run(f"{name} = im + 1")
    with pytest.raises(
        UsageError, match=r"'sum' is Python's own; take another name, or publish by s\['sum'\]"
    ):
        shell.run("sum = im + 1")
    assert there(shm_dir) == ["im"]
    shell.run("s['s'] = im + 1")
    assert there(shm_dir) == ["im", "s"]


def test_a_stream_of_another_shape_is_not_replaced(shell: Session, im: fb.Stream) -> None:
    with pytest.raises(
        UsageError, match=r"is 3x4 float32, this is 4x3 float32; .* 'im\.stream\.remove\(\)' first$"
    ):
        shell.run("im = im.T")
    assert im.read().shape == SHAPE
    with pytest.raises(UsageError, match=r"this is 3x4 float64; .*astype\('float32'\)"):
        shell.run("s['im'] = np.asarray(im, 'f8')")
    shell.run("im.stream.remove(); im = Image(np.zeros((4, 3)))")
    assert read("im").shape == (4, 3)
    (stream_path("broken")).write_bytes(b"no stream")
    with pytest.raises(UsageError, match=r"'broken'.*; take another name, or '%rm broken' first$"):
        shell.run("s.broken = 3")


def test_a_stream_that_somebody_else_writes(shell: Session, spawn: Spawner) -> None:
    other = spawn(
        """
        import framebus as fb
        with fb.create("cam", shape=(2,)) as cam:
            cam.write([1, 2])
            print("written")
            input()
            cam.remove()
        """
    )
    other.expect("written")
    for statement in (
        *(
            "cam = cam + 1",
            "s.cam = cam + 1",
            "cam = Image(np.zeros(9))",
            "cam[0] = 7",
            "cam += 1",
            "cam.fill(7)",
        ),
        *("cam.real = 7", "np.copyto(cam, [7, 7])", "np.add(cam, 1, out=cam)", "s['cam[0:1]'][0] = 7"),
    ):
        with pytest.raises(UsageError, match=r"is alive; take another name, .*cam.*\.write\(\.\.\.\)'$"):
            shell.run(statement)
    shell.run("cam.write(cam + 1)")
    assert read("cam").tolist() == [2, 3]
    other.send()
    assert other.wait() == 0
    with pytest.raises(NameError, match="cam"):
        shell.run("cam + 1")


def test_a_stream_that_is_made_anew(shell: Session, im: fb.Stream) -> None:
    shell.run("a = im.shape")
    with fb.create("im", shape=(2,), dtype="uint8") as again:
        again.write([4, 5])
        shell.run("a = im.shape; b = im.sum()")
        assert (shell.namespace["a"], shell.namespace["b"]) == ((2,), 9)


def test_what_a_stream_says(shell: Session, im: fb.Stream) -> None:
    live = shell.streams.im
    assert repr(live) == "<stream 'im': 3x4 float32, frame 1, live>"
    assert (live.name, live.shape, live.dtype.name, live.ndim, live.count) == ("im", SHAPE, "float32", 2, 1)
    live.keywords["GAIN"] = 2.0
    assert im.keywords["GAIN"] == 2.0
    assert live.stream.count == 1
    im.write(np.zeros(SHAPE))
    assert live.next(timeout_s=60).count == 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        live.nothing  # noqa: B018
    with pytest.raises(ValueError, match="copy"):
        np.asarray(live, copy=False)
    im.remove()
    assert repr(live) == "<stream 'im', which is not there>"
    with fb.create("empty", shape=(2,)), pytest.raises(StreamNotFound, match="no frame yet"):
        shell.run("empty + 1")


def test_all_streams(shell: Session, im: fb.Stream) -> None:
    with fb.create("wfs.cam-1", shape=(2,)) as other:
        other.write([1, 2])
    streams = shell.streams
    assert list(streams) == ["im", "wfs.cam-1"]
    assert len(streams) == 2
    assert "im" in streams
    assert dir(streams) == ["im"]
    assert "wfs.cam-1" in repr(streams)
    assert streams["wfs.cam-1"].sum() == 3
    assert streams["im[0:1,2]"].shape == (1, 2)
    for kind in (AttributeError, StreamNotFound):
        with pytest.raises(kind, match=r"no stream 'imm'; did you mean 'im'"):
            streams.imm  # noqa: B018
    assert not hasattr(streams, "imm")
    with pytest.raises(StreamNotFound):
        streams["imm"]
    streams.number = 4
    assert read("number").tolist() == [4]


def test_an_image_can_be_copied(im: fb.Stream) -> None:
    image = Image(np.ones(3))
    assert type(copy.copy(image)) is Image
    assert type(image.sum()) is np.float64


# ---- parameters ------------------------------------------------------------------------------------------------------


@pytest.fixture
def loop() -> Iterator[Params]:
    specs = [
        ParamSpec("gain", 0.5, minimum=0.0, maximum=1.0, description="of the integrator"),
        ParamSpec("filter.cut", 3, unit="Hz"),
    ]
    with Params.create("loop", specs) as made:
        yield made
        made.remove()


def test_parameters_are_attributes(shell: Session, loop: Params) -> None:
    shell.run("a = p.loop.gain\np.loop.gain = 0.25\np.loop.filter.cut += 1\nb = p['loop']['filter.cut']")
    assert (shell.namespace["a"], loop.gain, shell.namespace["b"]) == (0.5, 0.25, 4)
    assert repr(shell.parameters) == "<parameter sets: loop>"
    assert repr(shell.parameters.loop).splitlines() == [
        "parameters of 'loop'",
        "  gain        0.25  of the integrator",
        "  filter.cut  4 Hz",
    ]
    assert dir(shell.parameters) == ["loop"]
    assert dir(shell.parameters.loop) == ["filter", "gain"]
    assert len(shell.parameters) == 1


def test_parameters_are_checked(shell: Session, loop: Params) -> None:
    with pytest.raises(ParameterError, match="gain"):
        shell.run("p.loop.gain = 2")
    with pytest.raises(ParameterError):
        shell.run("p.loop.gian = 0.1")
    for code, said in (("p.loop.gian", "did you mean 'gain'"), ("p.lop", "no parameter set 'lop'")):
        for kind in (AttributeError, NotFoundError):
            with pytest.raises(kind, match=said):
                shell.run(code)
    for refused in (AttributeError, UsageError):
        with pytest.raises(refused, match="write one of its entries"):
            shell.run("p.loop = 3")
    assert loop.gain == 0.5
    assert not hasattr(shell.parameters.loop, "gian")


def test_parameters_that_are_gone(shell: Session) -> None:
    with Params.create("brief", [ParamSpec("gain", 0.5)]) as made:
        kept = shell.parameters.brief
        assert kept.gain == 0.5
        made.remove()
    assert not hasattr(kept, "gain")
    assert repr(kept) == "<parameters 'brief', which are not there>"


def test_units_that_do_not_run(shell: Session) -> None:
    for kind in (AttributeError, NotFoundError):
        with pytest.raises(kind, match="'nobody'"):
            shell.run("u.nobody")
    assert not hasattr(shell.units, "nobody")


# ---- completion, startup file, history -------------------------------------------------------------------------------


def test_completion(shell: Session, im: fb.Stream, loop: Params) -> None:
    assert shell.complete("im") == ["im"]
    assert "sqrt" in shell.complete("sq")
    assert shell.complete("s.i") == ["s.im"]
    assert shell.complete("p.loop.g") == ["p.loop.gain"]
    assert shell.complete("p.loop.filter.") == ["p.loop.filter.cut"]
    assert "im.keywords" in shell.complete("im.key")
    assert "im.mean" in shell.complete("im.me")
    assert shell.complete("u.") == []
    assert shell.complete("np.sq") == []
    assert shell.complete("nothing.x") == []


def test_the_startup_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMEBUS_STARTUP", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert startup_file() is None
    (tmp_path / "framebus").mkdir()
    usual = tmp_path / "framebus" / "startup.py"
    usual.touch()
    assert startup_file() == usual
    named = tmp_path / "mine.py"
    monkeypatch.setenv("FRAMEBUS_STARTUP", str(named))
    with pytest.raises(NotFoundError, match="FRAMEBUS_STARTUP"):
        startup_file()
    named.touch()
    assert startup_file() == named


def test_history(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = History(path)
    assert history.search() == []
    history.add(1, "gain = 3\n", ok=True, began_s=1e9)
    history.add(2, "p.loop.Gain = 4", ok=False, began_s=1e9)
    history.add(3, "other", ok=True, began_s=1e9)
    with path.open("a") as file:
        file.write('{"time_s": 1')
    assert [entry.number for entry in history.search("gain")] == [1, 2]
    assert [entry.number for entry in history.search("p.*=", 1)] == [2]
    assert [entry.number for entry in history.search(most=1)] == [3]
    assert str(history.search("Gain = 4")[0]).endswith("failed")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_history_without_a_place_is_known_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept = state_file("a.jsonl")
    assert kept == tmp_path / "framebus" / "a.jsonl"
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_text("what is there stays")
    assert state_file("a.jsonl") == kept
    assert kept.read_text() == "what is there stays"
    monkeypatch.setenv("XDG_STATE_HOME", str(kept))
    history = History(state_file("a.jsonl"))
    history.add(1, "gain = 3\n", ok=True, began_s=1e9)
    history.trim()
    assert [entry.code for entry in history.search("gain")] == ["gain = 3"]
    assert history.path is None


def test_a_long_history_loses_its_older_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framebus.shell.history._MOST_BYTES", 1000)
    path = tmp_path / "history.jsonl"
    history = History(path)
    for number in range(20):
        history.add(number, "x", ok=True, began_s=0.0)
    history.trim()
    assert [entry.number for entry in history.search()] == list(range(10, 20))
    history.trim()
    assert path.stat().st_mode & 0o777 == 0o600
