"""Reading pipeline files: what they mean, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from framebus.errors import NotFoundError, PipelineError, UsageError
from framebus.pipeline.plan import LimitsPlan
from framebus.pipeline.read import read_file, read_plan, variable


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return path


def problems(path: Path, **variables: object) -> list[str]:
    """What reading the file tells, without the directory."""
    with pytest.raises(PipelineError) as caught:
        read_plan(path, variables)  # type: ignore[arg-type]
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


def test_every_kind_of_table(tmp_path: Path) -> None:
    plan = read_plan(
        write(
            tmp_path / "loop.toml",
            """
            [streams.dm]
            shape = [11, 11]
            dtype = "float32"
            fill = 0
            on_down = 0.5
            keywords = { RATE = 1000.0, WHO = "me", N = 3 }
            [sources.calibration]
            use = "package.module:function"
            arguments = { modes = 3, names = ["a", "b"], deep = { x = true } }
            [supervision]
            launcher = "tmux"
            backoff_s = 1
            [units.slopes]
            use = "framebus.ao:centroids"
            streams = { pixels = "wfs", slopes = "slopes" }
            parameters = { threshold = 4.0 }
            wait = "spin"
            cpu = [1, 2]
            irqs = [12, "eth0"]
            history = { slopes = 5 }
            limits = { period_us = 2000, action = "pause" }
            depends_on = ["camera"]
            """,
        )
    )
    assert plan.name == "loop"
    dm = plan.streams["dm"]
    assert (dm.shape, dm.dtype, dm.fill, dm.on_down) == ((11, 11), "float32", 0.0, 0.5)
    assert dm.keywords == {"RATE": 1000.0, "WHO": "me", "N": 3}
    arguments = plan.sources["calibration"].arguments
    assert arguments == {"modes": 3, "names": ["a", "b"], "deep": {"x": True}}
    assert (plan.supervision.launcher, plan.supervision.backoff_s) == ("tmux", 1.0)
    unit = plan.units["slopes"]
    assert (unit.cpu, unit.irqs, unit.wait, unit.depends_on) == ((1, 2), (12, "eth0"), "spin", ("camera",))
    assert unit.limits == LimitsPlan(period_us=2000.0, action="pause")
    assert unit.history == {"slopes": 5}


class TestIncludes:
    def test_what_stands_later_goes_over_what_stands_before(self, tmp_path: Path) -> None:
        write(
            tmp_path / "site" / "deep.toml",
            '[units.a]\nuse = "m:a"\npriority = 1\ncpu = 0\nlimits = { period_us = 1.0 }',
        )
        write(
            tmp_path / "site" / "site.toml",
            'include = ["deep.toml"]\nname = "site"\n[units.a]\npriority = 2\nprocess = "p"',
        )
        path = write(
            tmp_path / "loop.toml",
            'include = ["site/site.toml"]\n[units.a]\nprocess = "q"\nlimits = { compute_us = 2.0 }\n'
            '[units.b]\nuse = "m:b"',
        )
        reading = read_file(path)
        unit = reading.plan.units["a"]
        assert (unit.use, unit.cpu, unit.priority, unit.process) == ("m:a", 0, 2, "q")
        assert unit.limits == LimitsPlan(period_us=1.0, compute_us=2.0)
        assert list(reading.plan.units) == ["a", "b"]
        assert reading.plan.name == "site"
        assert reading.plan.include == ()
        places = {key: reading.where.place(("units", "a", key)) for key in ("use", "priority", "process")}
        assert [(Path(place.file).name, place.line) for place in places.values()] == [
            ("deep.toml", 2),
            ("site.toml", 4),
            ("loop.toml", 3),
        ]
        assert [Path(file).name for file in reading.files] == ["deep.toml", "site.toml", "loop.toml"]

    def test_a_value_in_the_place_of_a_table(self, tmp_path: Path) -> None:
        write(tmp_path / "a.toml", '[units.a]\nuse = "m:a"\nhistory = { x = 1 }')
        path = write(tmp_path / "b.toml", 'include = ["a.toml"]\n[units.a]\nhistory = 3')
        reading = read_file(path)
        assert reading.plan.units["a"].history == 3
        assert reading.where.place(("units", "a", "history", "x")).line == 3

    def test_round_in_a_circle(self, tmp_path: Path) -> None:
        write(tmp_path / "b.toml", '\n\ninclude = ["a.toml"]')
        path = write(tmp_path / "a.toml", 'include = [\n  "b.toml",\n]')
        assert problems(path) == [
            "b.toml:3: include[0]: the file includes itself: a.toml includes b.toml includes a.toml"
        ]

    def test_the_same_file_twice_is_no_circle(self, tmp_path: Path) -> None:
        write(tmp_path / "c.toml", '[units.a]\nuse = "m:a"')
        write(tmp_path / "b.toml", 'include = ["c.toml"]')
        path = write(tmp_path / "a.toml", 'include = ["b.toml", "c.toml"]')
        assert list(read_plan(path).units) == ["a"]

    def test_missing(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.toml", 'include = ["none.toml", "${x}"]')
        assert problems(path) == [
            "a.toml:1: include[0]: there is no file none.toml",
            "a.toml:1: include[1]: there is no variable 'x'; there are none",
        ]

    def test_wrong(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.toml", "include = [3]")
        assert problems(path) == ["a.toml:1: include: expected a list of file names"]

    def test_by_a_variable(self, tmp_path: Path) -> None:
        write(tmp_path / "lab.toml", '[units.lab]\nuse = "m:a"')
        write(tmp_path / "sky.toml", '[units.sky]\nuse = "m:a"')
        path = write(tmp_path / "a.toml", 'include = ["${where}.toml"]\n[variables]\nwhere = "lab"')
        assert list(read_plan(path).units) == ["lab"]
        assert list(read_plan(path, {"where": "sky"}).units) == ["sky"]


class TestVariables:
    def test_types_texts_and_literals(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "a.toml",
            """
            [variables]
            rate = 1000.0
            on = true
            cpu = 1
            host = "wfs"
            name = "${host}_${cpu}"
            [units.a]
            use = "m:a"
            streams = { x = "${name}", y = "$${host}${host}$", z = "$$${on}" }
            parameters = { rate = "${rate}", on = "${on}" }
            cpu = ["${cpu}"]
            """,
        )
        unit = read_plan(path).units["a"]
        assert unit.streams == {"x": "wfs_1", "y": "${host}wfs$", "z": "$${on}"}
        assert unit.parameters == {"rate": 1000.0, "on": True}
        assert unit.cpu == (1,)
        assert read_plan(path).variables == {}

    def test_those_of_outside_win_over_those_of_the_file_over_those_of_includes(self, tmp_path: Path) -> None:
        write(
            tmp_path / "in.toml",
            "[variables]\na = 1\nb = 1\nc = 1\n"
            '[units.u]\nuse = "m:a"\nparameters = { a = "${a}", b = "${b}", c = "${c}" }',
        )
        path = write(tmp_path / "out.toml", 'include = ["in.toml"]\n[variables]\nb = 2\nc = 2')
        assert read_plan(path, {"c": 3}).units["u"].parameters == {"a": 1, "b": 2, "c": 3}

    def test_one_that_only_the_caller_knows(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.toml", '[units.u]\nuse = "${package}:a"')
        assert read_plan(path, {"package": "m"}).units["u"].use == "m:a"

    def test_all_that_is_wrong(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "a.toml",
            '[variables]\nrate = 1\nbad = [1]\nlate = "${later}"\nlater = 1\n'
            '[units.u]\nuse = "m:a"\nprocess = "${rat}"\npriority = "${rate}0"\ncpu = "${bad}"\n'
            'fuse = "${"\nnuma_node = "${}"\n',
        )
        assert problems(path, rates=3) == [
            "a.toml: variable 'rates' was given, and no file has it; did you mean 'rate'?",
            "a.toml:3: variables.bad: it is a list, expected a text, a number, true or false",
            "a.toml:4: variables.late: there is no variable 'later'; there are: bad, rate",
            "a.toml:8: units.u.process: there is no variable 'rat'; did you mean 'rate' or 'rates'?",
            "a.toml:9: units.u.priority: it is the text '10', expected a whole number",
            "a.toml:11: units.u.fuse: '${' begins a variable, '${name}'; write '$${' where '${' is meant",
            "a.toml:12: units.u.numa_node: there is no variable ''; there are: bad, late, later, rate, rates",
        ]

    def test_no_table(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.toml", "variables = 3\ndefaults = 4\nunits = 5")
        assert problems(path) == [
            "a.toml:1: variables: it is 3, expected a table",
            "a.toml:2: defaults: it is 4, expected a table",
            "a.toml:3: units: it is 5, expected a table",
        ]

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            *(("a=1", 1), ("a=1.5", 1.5), ("a=true", True), ('a="1"', "1"), ("a=wfs", "wfs"), ("a=", "")),
            *(("a=[1]", "[1]"), ("a=x=y", "x=y"), ("a=1979-05-27", "1979-05-27"), ("a=1\nb=2", "1\nb=2")),
        ],
    )
    def test_as_a_command_line_has_them(self, text: str, value: object) -> None:
        assert variable(text) == ("a", value)

    @pytest.mark.parametrize("text", ["a", "=3", " =3"])
    def test_no_variable(self, text: str) -> None:
        with pytest.raises(UsageError, match="expected NAME=VALUE"):
            variable(text)


class TestDefaults:
    def test_hold_where_a_unit_says_nothing(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "a.toml",
            """
            [defaults]
            priority = 5
            restart = "always"
            limits = { period_us = 3.0, action = "pause" }
            [units.a]
            use = "m:a"
            [units.b]
            use = "m:a"
            priority = 6
            limits = { period_us = 4.0 }
            """,
        )
        reading = read_file(path)
        a, b = reading.plan.units["a"], reading.plan.units["b"]
        assert (a.priority, a.restart, b.priority, b.restart) == (5, "always", 6, "always")
        assert (a.limits, b.limits) == (
            LimitsPlan(period_us=3.0, action="pause"),
            LimitsPlan(period_us=4.0, action="pause"),
        )
        assert reading.plan.defaults == {}
        assert reading.where.place(("units", "a", "priority")).line == 3

    def test_of_fused_units_only_the_first_one_gets_options(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "a.toml",
            '[defaults]\nprocess = "p"\nwait = "spin"\n[units.a]\nuse = "m:a"\nfuse = "f"\nwait = "sleep"\n'
            '[units.b]\nuse = "m:a"\nfuse = "f"\n[units.c]\nuse = "m:c"\n',
        )
        units = read_plan(path).units
        assert [unit.wait for unit in units.values()] == ["sleep", "sleep", "spin"]
        assert [unit.process for unit in units.values()] == ["p", "p", "p"]

    def test_wrong_ones_are_told_once(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "a.toml",
            '[defaults]\nstreams = {}\npriorty = 1\ncpu = "x"\n[units.a]\nuse = "m:a"\n[units.b]\nuse = "m:a"\n',
        )
        assert problems(path) == [
            "a.toml:2: defaults.streams: 'streams' is each unit's own",
            "a.toml:3: defaults.priorty: 'priorty' is no key of a unit; did you mean 'priority'?",
            "a.toml:4: defaults.cpu: it is the text 'x', expected a whole number or a list of whole numbers",
        ]


class TestPaths:
    def test_are_absolute_from_the_file_that_has_them(self, tmp_path: Path) -> None:
        write(
            tmp_path / "site" / "site.toml",
            '[streams.a]\nfile = "a.fits"\n[units.x]\nuse = "code/x.py:f"\n[supervision]\nlogs = "../logs"',
        )
        path = write(
            tmp_path / "loop.toml",
            'include = ["site/site.toml"]\n[streams.b]\nfile = "b.npy"\n[streams.c]\nfile = "/c.npy"\n'
            '[sources.s]\nuse = "s.py:g"\n[units.y]\nuse = "package.module:f"\n'
            '[supervision]\nparameters_file = "~/p.toml"',
        )
        plan = read_plan(path)
        assert [stream.file for stream in plan.streams.values()] == [
            f"{tmp_path}/site/a.fits",
            f"{tmp_path}/b.npy",
            "/c.npy",
        ]
        assert [unit.use for unit in plan.units.values()] == [
            f"{tmp_path}/site/code/x.py:f",
            "package.module:f",
        ]
        assert plan.sources["s"].use == f"{tmp_path}/s.py:g"
        assert plan.supervision.logs == f"{tmp_path}/logs"
        assert plan.supervision.parameters_file == str(Path("~/p.toml").expanduser())

    def test_where_the_file_was_named_relatively(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path / "a.toml", '[streams.a]\nfile = "a.npy"\nbad = 1')
        write(tmp_path / "b.toml", '[streams.a]\nfile = "a.npy"')
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            with pytest.raises(PipelineError) as caught:
                read_plan("a.toml")
            plan = read_plan("b.toml")
        assert str(caught.value).startswith("a.toml:3: streams.a.bad: unknown key; ")
        assert plan.streams["a"].file == f"{tmp_path}/a.npy"


class TestRefused:
    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match=r"there is no pipeline file .*none\.toml"):
            read_plan(tmp_path / "none.toml")

    def test_no_toml(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.toml", 'include = ["b.toml", "c.toml"]')
        write(tmp_path / "b.toml", "[units.a]\nuse = 3 4\n")
        write(tmp_path / "c.toml", 'x = 1\ny = """\n')
        told = problems(path)
        assert told[0].startswith("b.toml:2: this is no TOML: Expected newline or end of document")
        assert told[0].endswith("(column 9)")
        assert told[1].startswith("c.toml:3: this is no TOML: ")
        assert len(told) == 2

    def test_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "a.toml"
        path.write_bytes(b'name = "x"\n# \xff\n')
        assert problems(path) == ["a.toml:2: it is no UTF-8 text"]

    def test_unreadable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(tmp_path / "a.toml", "")

        def refuse(self: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", refuse)
        assert problems(path) == ["a.toml: it cannot be read: Permission denied"]

    def test_everything_at_once(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "a.toml",
            """name = 3
nam = 3
[streams.a]
shap = [1]
shape = [1, "x", 2.5]
keywords = { a = [1] }
on_down = "first"
[units.a]
streams = { x = 3 }
[units.b]
use = 3
trigger = "clock"
every_frame = 1
limits = { perod_us = 1.0, action = "stop" }
parameters = { date = 1979-05-27 }
depends_on = "a"
irqs = [1, [2]]
process = { a = 1 }
[units."my unit"]
use = "m:a"
cpu = true
limits = 3
[supervision]
log_files = 1.5
""",
        )
        dated = (
            "a.toml:15: units.b.parameters.date: it is the date or time 1979-05-27, expected a text, a number, "
            "true, false, a list or a table"
        )
        assert problems(path) == [
            "a.toml:1: name: it is 3, expected a text",
            "a.toml:2: nam: unknown key; did you mean 'name'?",
            "a.toml:4: streams.a.shap: unknown key; did you mean 'shape'?",
            "a.toml:5: streams.a.shape[1]: it is the text 'x', expected a whole number",
            "a.toml:5: streams.a.shape[2]: it is 2.5, expected a whole number",
            "a.toml:6: streams.a.keywords.a: it is a list, expected a whole number, a number or a text",
            "a.toml:7: streams.a.on_down: it is the text 'first', expected a number or 'last'",
            "a.toml:8: units.a: it has no key 'use', which it needs",
            "a.toml:9: units.a.streams.x: it is 3, expected a text",
            "a.toml:11: units.b.use: it is 3, expected a text",
            "a.toml:12: units.b.trigger: it is the text 'clock', expected 'stream', 'delay', 'once' or 'free'",
            "a.toml:13: units.b.every_frame: it is 1, expected true or false",
            "a.toml:14: units.b.limits.perod_us: unknown key; did you mean 'period_us'?",
            "a.toml:14: units.b.limits.action: it is the text 'stop', expected 'alarm' or 'pause'",
            dated,
            "a.toml:16: units.b.depends_on: it is the text 'a', expected a list of texts",
            "a.toml:17: units.b.irqs[1]: it is a list, expected a whole number or a text",
            "a.toml:18: units.b.process: it is a table, expected a text",
            'a.toml:21: units."my unit".cpu: it is true, expected a whole number or a list of whole numbers',
            'a.toml:22: units."my unit".limits: it is 3, expected a table',
            "a.toml:24: supervision.log_files: it is 1.5, expected a whole number",
        ]
