"""Saving to TOML and loading: types and names survive, and a bad file changes nothing and says all that is wrong."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import NotFoundError, ParameterError, StreamRecreated, UsageError
from framebus.params import Params, ParamSpec, load_sets, read_sets, save_sets, toml
from support.processes import Spawner

SPECS = [
    ParamSpec("loop.gain", 0.3, minimum=0, maximum=1),
    ParamSpec("loop.limit", math.inf),
    ParamSpec("leak", 0.99, type="float32"),
    ParamSpec("key", 1, type="uint64"),
    ParamSpec("enabled", True),
    ParamSpec("label", "first"),
    ParamSpec("loop.order", 3, minimum=0, maximum=9, live=False),
    ParamSpec("scratch", 0, saved=False),
    ParamSpec("seeing", 0.0, status=True),
]


@pytest.fixture
def params() -> Iterator[Params]:
    with Params.create("loop", SPECS) as made:
        yield made


def _write(directory: Path, text: str) -> Path:
    path = directory / "values.toml"
    path.write_text(text)
    return path


def test_what_changed_is_saved_with_its_type_and_loaded_again(params: Params, tmp_path: Path) -> None:
    path = tmp_path / "values.toml"
    params.update({"loop.gain": 1, "loop.limit": -math.inf, "label": 'a "b"\n\\ é', "key": 2**64 - 1})
    params.update(enabled=False, scratch=5)
    params.set_status(seeing=1.0)
    params.save(path)
    assert path.read_text() == (
        'key = 18446744073709551615\nenabled = false\nlabel = "a \\"b\\"\\n\\\\ é"\n'
        "\n[loop]\ngain = 1.0\nlimit = -inf\n"
    )
    assert os.listdir(tmp_path) == ["values.toml"], "no temporary file stays"
    saved = params.snapshot()
    with Params.create("loop", SPECS, replace=True) as fresh:
        assert fresh.load(path) == 1, "one step"
        assert fresh.snapshot() == {**saved, "scratch": 0, "seeing": 0.0}


def test_all_values_are_saved_on_demand_but_no_status(params: Params, tmp_path: Path) -> None:
    path = tmp_path / "values.toml"
    params.save(path)
    assert path.read_text() == ""
    assert params.load(path) == 0
    params.save(path, changed_only=False)
    content, _ = toml.read(path)
    assert content == {
        "loop": {"gain": 0.3, "limit": math.inf, "order": 3},
        "leak": params.leak,
        "key": 1,
        "enabled": True,
        "label": "first",
    }


def test_every_problem_of_a_file_is_told_at_once_with_its_line(params: Params, tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        """# values
labl = "x"
enabled = "on"
label = '''
two
lines'''
seeing = 1.0
key = -1

[loop]  # of the controller
gain = 3
order = 4
limit = [
  1,
]
when = 2026-11-20
""",
    )
    params.claim()
    before = params.snapshot()
    with pytest.raises(ParameterError) as caught:
        params.load(path)
    params.release()
    state = f"unit 'loop' of process {os.getpid()} runs"
    assert caught.value.problems == [
        f"{path}:2: no entry 'labl'; did you mean 'label'?",
        f"{path}:3: enabled = 'on' (str): expected True or False (or 1 or 0)",
        f"{path}:7: seeing = 1 (float64): seeing is a status value, only the unit itself writes it",
        f"{path}:8: key = -1 (int): expected an integer (uint64, 0 to 18446744073709551615)",
        f"{path}:11: loop.gain = 3 is outside its limits [0, 1] (float64); {state} with it",
        f"{path}:12: loop.order = 4 (int64, 0 to 9): loop.order is fixed while {state}; stop it first",
        f"{path}:13: loop.limit = [1] (list): expected a number (float64)",
        f"{path}:16: no entry 'loop.when'; there are: {', '.join(sorted(params))}",
    ]
    assert str(caught.value).startswith(f"8 problems in {path}, nothing was changed:\n  {path}:2: no entry")
    assert params.snapshot() == before
    assert params.generation == 0


def test_a_fixed_value_that_stays_is_no_problem(params: Params, tmp_path: Path) -> None:
    path = _write(tmp_path, "loop.order = 3\nloop.gain = 0.5\n")
    params.claim()
    params.load(path)
    assert params["loop.gain"] == 0.5
    params.release()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a = 1\nb = = 2\n", ":2: not TOML: Invalid value"),
        (b"a = 1\na = 2\n", ":2: not TOML: Cannot overwrite a value"),
        (b"a = 1\nb = 'x", ":2: not TOML: "),
        (b"a = 1\nb = '\xff'\n", ":2: not UTF-8: "),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(
    params: Params, tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "values.toml"
    path.write_bytes(content)
    with pytest.raises(ParameterError) as caught:
        params.load(path)
    assert caught.value.problems[0].startswith(f"{path}{problem}")
    with pytest.raises(ParameterError, match="nothing was changed"):
        load_sets(path)


def test_one_name_written_in_two_ways_is_told(params: Params, tmp_path: Path) -> None:
    path = _write(tmp_path, '"loop.gain" = 0.5\n[loop]\ngain = 0.6\n')
    with pytest.raises(ParameterError, match=r"values.toml:3: loop.gain is given twice"):
        params.load(path)


def test_files_that_cannot_be_read_or_written_are_the_systems_errors(params: Params, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        params.load(tmp_path / "none.toml")
    with pytest.raises(FileNotFoundError):
        params.save(tmp_path / "none" / "values.toml")
    (tmp_path / "values.toml").mkdir()
    with pytest.raises(IsADirectoryError):
        params.save(tmp_path / "values.toml")
    assert os.listdir(tmp_path) == ["values.toml"], "no temporary file stays"


def test_a_link_to_a_file_stays_a_link(params: Params, tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to("values.toml")
    params.save(tmp_path / "link.toml", changed_only=False)
    assert (tmp_path / "link.toml").is_symlink()
    assert (tmp_path / "values.toml").stat().st_size > 0


def test_saving_without_its_package_says_what_to_install(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tomli_w", None)
    with pytest.raises(UsageError, match="pip install 'framebus"):
        params.save(tmp_path / "values.toml")


def test_a_set_that_was_replaced_loads_nothing(params: Params, tmp_path: Path) -> None:
    path = _write(tmp_path, "key = 2\n")
    Params.create("loop", SPECS, replace=True).close()
    with pytest.raises(StreamRecreated):
        params.load(path)


def test_check_values_says_what_an_update_would_be_refused_for(params: Params) -> None:
    assert params.check_values({"loop.gain": 0.5, "label": "x"}) == []
    problems = params.check_values({"loop.gain": 2, "gian": 1, "key": "x", "leak": 0.5, "label": "y" * 256})
    assert [text.partition(" ")[0] for text in problems] == ["loop.gain", "no", "key", "label"]
    for name, value in {"loop.gain": 2, "key": "x"}.items():
        with pytest.raises(ParameterError) as caught:
            params.update({name: value})
        assert str(caught.value) in [f"parameter set 'loop': {text}" for text in problems]
        assert caught.value.problems == [str(caught.value)]
    assert params.generation == 0


# ---- several sets in one file ------------------------------------------------------------------------------------


def test_several_sets_in_one_file(params: Params, tmp_path: Path) -> None:
    path = tmp_path / "values.toml"
    with Params.create("cam.1", {"exposure": 0.1, "roi.x": 3}) as camera:
        params.update({"loop.gain": 0.7})
        camera.update({"exposure": 0.2, "roi.x": 4})
        save_sets(path, ["loop", "cam.1"])
        assert path.read_text() == (
            '[loop.loop]\ngain = 0.7\n\n["cam.1"]\nexposure = 0.2\n\n["cam.1".roi]\nx = 4\n'
        )
        assert read_sets(path) == {"loop": {"loop.gain": 0.7}, "cam.1": {"exposure": 0.2, "roi.x": 4}}
        params.update({"loop.gain": 0.1})
        camera.update({"roi.x": 1})
        assert load_sets(path) == {"loop": 3, "cam.1": 3}
        assert (params["loop.gain"], camera["roi.x"]) == (0.7, 4)
        save_sets(path, ["cam.1"], changed_only=False)
        assert read_sets(path) == {"cam.1": {"exposure": 0.2, "roi.x": 4}}
    with pytest.raises(NotFoundError, match="did you mean 'loop'"):
        save_sets(path, ["lop"])
    assert read_sets(path) == {"cam.1": {"exposure": 0.2, "roi.x": 4}}, "the old file stays"


def test_a_bad_file_of_several_sets_changes_none(params: Params, tmp_path: Path) -> None:
    with Params.create("camera", {"exposure": 0.1}) as camera:
        path = _write(
            tmp_path, "x = 1\n[camera]\nexposure = 0.5\n[loop.loop]\ngain = 2\n[camra]\na = 1\n['a/b']\n"
        )
        with pytest.raises(ParameterError) as caught:
            load_sets(path)
        stands = f"{path}:1: x stands outside of a table; expected a table [name] for each parameter set"
        assert caught.value.problems[:2] == [
            stands,
            f"{path}:5: [loop] loop.gain = 2 is outside its limits [0, 1] (float64); no unit runs with it",
        ]
        assert caught.value.problems[2].startswith(f"{path}:6: [camra] no parameter set 'camra'")
        assert caught.value.problems[3].startswith(f"{path}:8: [a/b] ")
        assert camera["exposure"] == 0.1
        with pytest.raises(ParameterError) as caught:
            read_sets(path)
        assert caught.value.problems == [stands]


def test_the_tutorials_code_runs(spawn: Spawner) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "tuning.py"
    process = spawn(command=[sys.executable, "-W", "error", str(example)])
    assert process.wait() == 0, process.errors
    assert process.lines[:2] == ["{'loop.gain': (0.3, 0.4)}", "now {'loop.gain': (0.4, 0.5)}"]
    refused = "loop.gain = 7 is outside its limits [0, 1] (float64); no unit runs with it"
    assert any(line.endswith(f"bad.toml:2: {refused}") for line in process.lines)


# ---- the format ----------------------------------------------------------------------------------------------------


def test_lines_of_keys_are_found_in_every_way_of_writing() -> None:
    text = """\
# [no.table]
a = 1  # b = 2
"c.d" = '''
[not.a.table]
x = 3
'''
e.f = [
  1, # ]
  2,
]
g = { h = 1, i.j = 2 }

[ k . "l m" ]
n = \"\"\"
o = 1\"\"\"

p = 5
[k]
q = 6
[[r]]
s = 1
[[r]]
s = 2
"""
    assert toml.key_lines(text) == {
        ("a",): 2,
        ("c.d",): 3,
        ("e",): 7,
        ("e", "f"): 7,
        ("g",): 11,
        ("g", "h"): 11,
        ("g", "i"): 11,
        ("g", "i", "j"): 11,
        ("k",): 18,
        ("k", "l m"): 13,
        ("k", "l m", "n"): 14,
        ("k", "l m", "p"): 17,
        ("k", "q"): 19,
        ("r",): 20,
        ("r", "s"): 21,
    }


names = st.from_regex(r"[a-c]{1,2}(\.[a-c]{1,2}){0,2}", fullmatch=True)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
numbers: dict[str, st.SearchStrategy[Any]] = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "float64": st.floats(allow_nan=False),
    "float32": st.floats(width=32, allow_nan=False),
    "onoff": st.booleans(),
    "string": texts,
    "path": texts,
    "timestamp": st.integers(0, 2**63 - 1),
}


@given(
    kinds=st.dictionaries(names, st.sampled_from(sorted(numbers)), max_size=8),
    data=st.data(),
    changed_only=st.booleans(),
)
def test_whatever_is_saved_is_loaded(
    kinds: dict[str, str], data: st.DataObject, changed_only: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.getbasetemp()
    specs = [ParamSpec(name, data.draw(numbers[kind]), type=kind) for name, kind in kinds.items()]
    path = directory / "any.toml"
    with Params.create("any", specs, replace=True, directory=directory) as params:
        params.update({name: data.draw(numbers[kind]) for name, kind in kinds.items()})
        params.save(path, changed_only=changed_only)
        save_sets(directory / "sets.toml", ["any"], changed_only=changed_only, directory=directory)
        saved = params.snapshot()
        params.update({spec.name: spec.default for spec in specs})
        params.load(path)
        assert _exact(params.snapshot()) == _exact(saved)
        params.update({spec.name: spec.default for spec in specs})
        load_sets(directory / "sets.toml", directory=directory)
        assert _exact(params.snapshot()) == _exact(saved)


def _exact(values: dict[str, Any]) -> dict[str, tuple[type, Any]]:
    return {name: (type(value), value) for name, value in values.items()}


keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
leaves = st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
trees = st.recursive(
    leaves,
    lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(content=st.dictionaries(keys, trees, max_size=4))
def test_every_key_has_a_line_that_begins_with_it(
    content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "lines.toml"
    toml.write(file, content)
    read, lines = toml.read(file)
    assert read == content
    rows = file.read_text().split("\n")
    for path_of_key, _ in toml.flatten(content):
        row = rows[lines[path_of_key] - 1]
        assert row.startswith((path_of_key[-1], '"', "[[")), (
            "bare, quoted and perhaps escaped, list of tables"
        )
