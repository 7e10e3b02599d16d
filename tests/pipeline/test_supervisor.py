"""Supervised pipelines as their users see them: up, killed, up again, down, and nothing left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus import _core
from framebus.errors import BindingError, FramebusError, PeerError, PipelineError, UnitError, UsageError
from framebus.params import Params
from framebus.pipeline.control import Controller
from framebus.pipeline.read import read_plan
from framebus.pipeline.running import find_unit, running
from framebus.pipeline.supervisor import Supervisor
from framebus.process import Event, ProcessRecord, State, records
from support.pipelines import CHAIN, COUNT, NEGATIVE, TIMES, Pipelines, all_up, kill, pids, state
from support.waiting import until


def empty(shm_dir: Path) -> bool:
    return not list(shm_dir.iterdir())


def logged(pipelines: Pipelines, process: str, name: str = "chain") -> str:
    return (pipelines.folder / "state" / "framebus" / name / f"{process}.log").read_text()


# ---- up and down ---------------------------------------------------------------------------------------------------


def test_up_and_down(pipelines: Pipelines, shm_dir: Path) -> None:
    up = pipelines.up(CHAIN)
    with fb.open("times") as times:
        frame = times.read_next(timeout_s=60)
        assert frame.data[0] < 0
        assert frame.data[0] % 2 == 0
    status = Controller("chain").status()
    assert status["supervised"]
    assert status["phase"] == "up"
    assert status["supervisor"]["pid"] == up.pid
    assert list(status["processes"]) == ["count", "negative", "times"]
    assert all(process["state"] == "up" for process in status["processes"].values())
    assert [line.split(":")[0] for line in up.lines if ": ready" in line] == ["count", "negative", "times"]
    Controller().down()
    assert up.wait() == 0
    assert up.errors == ""
    assert empty(shm_dir)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_take_it_down_in_reverse_order(pipelines: Pipelines, shm_dir: Path, number: int) -> None:
    device = "[units.{0}]\nuse = 'support.pipeline_units:Logged'\nstreams = {{ frame = '{0}' }}\ntrigger = 'free'\n"
    text = "".join(map(device.format, "abc")).replace("[units.a]", "[units.a]\ndepends_on = ['c']")
    up = pipelines.up(text)
    up.signal(number)
    assert up.wait() == 0
    said = (pipelines.folder / "devices").read_text().split("\n")[:-1]
    opened, closed = [line.split()[1] for line in said[:3]], [line.split()[1] for line in said[3:]]
    assert closed == ["a", "c", "b"]  # b and c need nobody, a needs c
    assert opened.index("c") < opened.index("a")
    assert empty(shm_dir)


def test_what_was_there_before_stays(pipelines: Pipelines, shm_dir: Path) -> None:
    fb.create("count", shape=(1,), dtype="float64").close()
    fb.create("target", shape=(3,)).close()
    text = (
        CHAIN
        + """
[streams.target]
shape = [3]
on_down = 5.0
[streams.gone]
shape = [2]
fill = 1.0
on_down = 2.0
[streams.kept]
shape = [2]
fill = 1.0
on_down = 7.0
keep = true
"""
    )
    up = pipelines.up(text)
    with fb.open("gone") as gone:
        assert gone.read().tolist() == [1, 1]
        Controller("chain").down()
        assert gone.read().tolist() == [2, 2]
    assert up.wait() == 0
    assert sorted(path.name for path in shm_dir.iterdir()) == [
        "count.im.shm",
        "kept.im.shm",
        "target.im.shm",
    ]
    with fb.open("kept") as kept, fb.open("target") as target:
        assert kept.read().tolist() == [7, 7]
        assert target.read().tolist() == [5, 5, 5]


def test_in_this_process(pipelines: Pipelines, shm_dir: Path) -> None:
    """A script may supervise, in a thread of its own too."""
    told: list[str] = []
    ready = threading.Event()
    supervisor = Supervisor(read_plan(pipelines.write(CHAIN)), tell=told.append)
    thread = threading.Thread(target=supervisor.run, kwargs={"on_ready": ready.set})
    thread.start()
    assert ready.wait(60)
    assert all_up()
    supervisor.stop()
    thread.join()
    assert told[0].startswith("starts")
    assert told[-1] == "is down"
    supervisor.stop()  # too late, and harmless
    assert empty(shm_dir)


def test_a_second_one_is_refused(pipelines: Pipelines) -> None:
    up = pipelines.up(COUNT)
    with pytest.raises(UsageError, match="pipeline 'chain' runs already"):
        Supervisor(read_plan(pipelines.write(COUNT))).run()
    assert all_up()
    Controller("chain").down()
    assert up.wait() == 0


def test_of_several_at_once_one_wins(pipelines: Pipelines, shm_dir: Path) -> None:
    ups = [pipelines.start(COUNT) for _ in range(4)]
    until(lambda: sum(up.running for up in ups) == 1)
    (winner,) = [up for up in ups if up.running]
    winner.expect("all is ready")
    assert [up.wait() for up in ups if up is not winner] == [2, 2, 2]
    Controller("chain").down()
    assert winner.wait() == 0
    assert empty(shm_dir)


def test_a_wrong_plan_starts_nothing(pipelines: Pipelines, shm_dir: Path) -> None:
    plan = read_plan(pipelines.write(CHAIN.replace("gain", "pain")))
    with pytest.raises(PipelineError, match="no parameter 'pain'"):
        Supervisor(plan).run()
    assert empty(shm_dir)


def test_what_cannot_start_stops_all(pipelines: Pipelines, shm_dir: Path) -> None:
    text = (
        COUNT
        + """
[units.camera]
use = "support.pipeline_units:Broken"
streams = { frame = "camera" }
trigger = "free"
depends_on = ["count"]
"""
    )
    with pytest.raises(
        UnitError, match=r"'camera' did not start.*setup failed: OSError: no device.*camera\.log"
    ):
        Supervisor(read_plan(pipelines.write(text))).run()
    assert "no device" in logged(pipelines, "camera")
    assert empty(shm_dir)


def test_error_of_the_same_class(pipelines: Pipelines, shm_dir: Path) -> None:
    """What only the process itself finds out is raised here as there."""
    image = fb.create("image", shape=(4,))
    text = """
[units.scale]
use = "support.units:plain_whole_matrix"
streams = { image = "image", matrix = "image", value = "value" }
"""
    with pytest.raises(BindingError, match="no frame yet"):
        Supervisor(read_plan(pipelines.write(text)), checked=True).run()
    image.remove()
    assert empty(shm_dir)


def test_ctrl_c_while_it_starts(pipelines: Pipelines, shm_dir: Path) -> None:
    slow = """
[units.slow]
use = "support.pipeline_units:Slow"
streams = { frame = "slow" }
trigger = "free"
"""
    up = pipelines.start(COUNT + slow)
    until((pipelines.folder / "setting up").exists)
    up.signal(signal.SIGINT)
    assert up.wait() == 130
    assert empty(shm_dir)


def test_takes_too_long_to_start(pipelines: Pipelines, shm_dir: Path) -> None:
    text = (
        """
[supervision]
start_timeout_s = 0.01
"""
        + COUNT
    )
    with pytest.raises(UnitError, match=r"not ready within 0\.01 s"):
        Supervisor(read_plan(pipelines.write(text))).run()
    assert empty(shm_dir)


def test_what_hangs_is_killed(pipelines: Pipelines, shm_dir: Path) -> None:
    text = (
        """
[supervision]
stop_timeout_s = 0.2
"""
        + COUNT
        + """
[units.hang]
use = "support.pipeline_units:hang"
streams = { image = "count", value = "never" }
[units.suspended]
use = "support.pipeline_units:negative"
streams = { image = "count", result = "negative" }
"""
    )
    up = pipelines.up(text)
    until((shm_dir / "hanging").exists)
    os.kill(pids()["suspended"], signal.SIGSTOP)
    Controller("chain").down()
    assert up.wait() == 0
    assert [path.name for path in shm_dir.iterdir()] == ["hanging"]


def test_a_second_ctrl_c_does_not_wait(pipelines: Pipelines, shm_dir: Path) -> None:
    hang = """
[units.hang]
use = "support.pipeline_units:hang"
streams = { image = "count", value = "never" }
"""
    up = pipelines.up("[supervision]\nstop_timeout_s = 10000.0\n" + COUNT + hang)
    until((shm_dir / "hanging").exists)
    up.signal(signal.SIGINT)
    up.expect("goes down")
    up.signal(signal.SIGINT)
    assert up.wait() == 0
    assert [path.name for path in shm_dir.iterdir()] == ["hanging"]


# ---- killed units --------------------------------------------------------------------------------------------------


def test_a_killed_unit_is_started_again(pipelines: Pipelines, shm_dir: Path) -> None:
    up = pipelines.up(CHAIN)
    before = pids()
    with fb.open("times") as times:
        kill(before["negative"])
        up.expect("negative: ready")
        times.skip_to_newest()
        assert times.read_next(timeout_s=60).data[0] < 0  # through the handle that was open before
    after = pids()
    assert {name for name in before if before[name] != after[name]} == {"negative"}
    assert state()["processes"]["negative"]["restarts"] == 1
    assert sorted(record.pid for record in records()) == sorted(after.values())
    Controller("chain").down()
    assert up.wait() == 0
    assert empty(shm_dir)


def test_units_killed_at_any_moment(pipelines: Pipelines, shm_dir: Path, stress: bool) -> None:
    """Ready or just starting: whatever lives is killed, and in the end all is as it was."""
    up = pipelines.up("[supervision]\nrestart_limit = 1000\nbackoff_s = 0.01\nbackoff_max_s = 0.05\n" + CHAIN)
    dice = random.Random(20)
    for _ in range(200 if stress else 12):
        living = [stray.pid for stray in Controller("chain").run_dir.strays()]
        if living:
            kill(dice.choice(living))
        threading.Event().wait(dice.choice([0.0, 0.03, 0.3]))  # to be found in any state, not waited for
    until(all_up)
    with fb.open("times") as times:
        times.skip_to_newest()
        first = times.read_next(timeout_s=60).data[0]
        assert times.read_next(timeout_s=60).data[0] < first
    assert sorted(record.pid for record in records()) == sorted(pids().values())
    Controller("chain").down()
    assert up.wait() == 0
    assert empty(shm_dir)


def test_tuned_values_outlive_a_kill(pipelines: Pipelines) -> None:
    up = pipelines.up(CHAIN)
    with Params.open("times") as params:
        assert params.gain == 2.0
        params.gain = 3.0
        kill(pids()["times"])
        up.expect("times: ready")
        assert params.gain == 3.0
        assert params.user_pid == pids()["times"]
    Controller("chain").down()
    assert up.wait() == 0


def test_given_up_and_tried_again(pipelines: Pipelines, shm_dir: Path) -> None:
    image = fb.create("image", shape=(1,), dtype="float64")
    image.write([1.0])
    text = """
[supervision]
restart_limit = 2
backoff_s = 0.01
[units.fragile]
use = "support.pipeline_units:fragile"
streams = { image = "image", value = "value" }
"""
    up = pipelines.up(text)
    for _ in range(3):
        pid = pids()["fragile"]
        image.write([-1.0])
        until(lambda: pids()["fragile"] != pid)  # noqa: B023 - called in this turn
        until(lambda: state()["processes"]["fragile"]["state"] in ("up", "failed"))
    status = Controller("chain").status()["processes"]["fragile"]
    assert status["state"] == "failed"
    assert (
        "given up after 2 restarts within 60 s: unit 'fragile' failed: ValueError: it is negative"
        in status["message"]
    )
    with ProcessRecord.open("fragile") as record:
        assert record.message == "ValueError: it is negative"
    Controller("chain").restart("fragile")
    assert all_up()
    Controller("chain").down()
    assert up.wait() == 0
    image.remove()
    assert empty(shm_dir)


@pytest.mark.parametrize(("restart", "comes_back"), [("always", True), ("on-failure", False)])
def test_policy_for_a_good_end(pipelines: Pipelines, restart: str, comes_back: bool) -> None:
    up = pipelines.up(COUNT + f'restart = "{restart}"\n')
    pid = pids()["count"]
    with ProcessRecord.open("count") as record:
        record.stop()
    if comes_back:
        until(lambda: pids()["count"] not in (0, pid))
        until(all_up)
    else:
        up.expect("count: all of its units came to their end")
        until(lambda: state()["processes"]["count"]["state"] == "ended")
    Controller("chain").down()
    assert up.wait() == 0


def test_never_stays_in_error_and_recovers(pipelines: Pipelines) -> None:
    image = fb.create("image", shape=(1,), dtype="float64")
    text = """
[units.fragile]
use = "support.pipeline_units:fragile"
streams = { image = "image", value = "value" }
restart = "never"
"""
    up = pipelines.up(text)
    before = pids()
    image.write([-1.0])
    with ProcessRecord.open("fragile") as record:
        until(lambda: record.state is State.ERROR)
        (unit,) = running()
        assert (unit.state, unit.message) == ("error", "ValueError: it is negative")
        for event, state_after in [
            (Event.RECOVER, State.STANDBY),
            (Event.ENABLE, State.IDLE),
            (Event.RUN, State.RUNNING),
        ]:
            record.send(event)
            until(lambda: record.state is state_after)  # noqa: B023 - called in this turn
    with fb.open("value") as value:
        image.write([3.0])
        assert value.read_next(timeout_s=60).data[0] == 3.0
    assert pids() == before
    kill(before["fragile"])
    until(lambda: state()["processes"]["fragile"]["state"] == "failed")
    Controller("chain").down()
    assert up.wait() == 0


def test_logs_that_cannot_be_written(pipelines: Pipelines, shm_dir: Path) -> None:
    text = '[supervision]\nlogs = "/dev/null/logs"\n' + COUNT
    with pytest.raises(UnitError, match=r"could not be started: .*Not a directory: '/dev/null/logs'"):
        Supervisor(read_plan(pipelines.write(text))).run()
    assert empty(shm_dir)


def test_once_is_a_good_end(pipelines: Pipelines) -> None:
    once = NEGATIVE + 'trigger = "once"\n'
    up = pipelines.up(COUNT + once + TIMES)
    until(lambda: state()["processes"]["negative"]["state"] == "ended")
    Controller("chain").down()
    assert up.wait() == 0


def test_last_words_of_who_says_nothing_else(pipelines: Pipelines) -> None:
    text = (
        COUNT
        + """
[units.talk]
use = "support.pipeline_units:talk"
streams = { image = "count", value = "value" }
"""
    )
    up = pipelines.up(text)
    until(lambda: "frame" in logged(pipelines, "talk"))
    kill(pids()["talk"])
    assert "killed by SIGKILL; the last it said: frame " in up.expect("talk: ended")
    up.expect("talk: ready")
    Controller("chain").down()
    assert up.wait() == 0


def test_logs_are_rotated_under_the_writer(pipelines: Pipelines) -> None:
    text = (
        """
[supervision]
log_bytes = 500
log_files = 2
"""
        + COUNT
        + """
[units.talk]
use = "support.pipeline_units:talk"
streams = { image = "count", value = "value" }
"""
    )
    up = pipelines.up(text)
    folder = pipelines.folder / "state" / "framebus" / "chain"
    until((folder / "talk.log.2").exists)
    assert not (folder / "talk.log.3").exists()
    Controller("chain").down()
    assert up.wait() == 0


# ---- killed supervisors --------------------------------------------------------------------------------------------


def test_units_outlive_their_supervisor_and_are_adopted(pipelines: Pipelines, shm_dir: Path) -> None:
    first = pipelines.up(CHAIN)
    before = pids()
    first.kill()
    with fb.open("times") as times:
        times.skip_to_newest()
        times.read_next(timeout_s=60)
    controller = Controller("chain")
    assert not controller.supervised
    assert not controller.status()["supervised"]
    with pytest.raises(PeerError, match="has no supervisor that answers; start one with 'framebus up chain'"):
        controller.restart("times")
    second = pipelines.up(CHAIN)
    assert pids() == before
    assert Controller("chain").supervised
    kill(before["count"])  # who is no child of the second one
    second.expect("count: ready")
    Controller("chain").down()
    assert second.wait() == 0
    assert empty(shm_dir)


def test_what_changed_meanwhile(pipelines: Pipelines, shm_dir: Path) -> None:
    """Another file: what is the same is adopted; the rest is started again, started, or ended."""
    first = pipelines.up(CHAIN)
    before = pids()
    first.kill()
    kill(before["negative"])
    other = """
[units.other]
use = "support.pipeline_units:negative"
streams = { image = "count", result = "other" }
"""
    second = pipelines.up(COUNT.replace("0.002", "0.004") + NEGATIVE + other)
    after = {name: pid for name, pid in pids().items() if pid}
    assert list(after) == ["count", "negative", "other"]
    assert not set(after.values()) & set(before.values())
    assert not _core.process_alive(before["times"])
    third = pipelines.folder / "chain.toml"
    second.kill()
    assert third.exists()
    last = pipelines.up(COUNT.replace("0.002", "0.004") + NEGATIVE + other)
    assert {name: pid for name, pid in pids().items() if pid} == after
    Controller("chain").down()
    assert last.wait() == 0
    assert empty(shm_dir)


def test_down_without_a_supervisor(pipelines: Pipelines, shm_dir: Path) -> None:
    up = pipelines.up(CHAIN)
    up.kill()
    Controller("chain").down()
    assert empty(shm_dir)


def test_hosts_that_the_state_does_not_know(pipelines: Pipelines, shm_dir: Path) -> None:
    """Started in the moment in which the supervisor was killed: found all the same, by adoption and by ``down``."""
    up = pipelines.up(CHAIN)
    before = pids()
    up.kill()
    path = shm_dir / "chain.pipeline.fb" / "state.json"
    path.write_text(path.read_text().replace(f'"pid": {before["negative"]}', '"pid": 0'))
    second = pipelines.up(CHAIN)
    assert pids() == before
    second.kill()
    path.write_text(path.read_text().replace(f'"pid": {before["negative"]}', '"pid": 0'))
    Controller("chain").down()
    assert empty(shm_dir)


def test_supervisor_killed_at_any_moment(pipelines: Pipelines, shm_dir: Path, stress: bool) -> None:
    dice = random.Random(3)
    for _ in range(50 if stress else 5):
        up = pipelines.start(CHAIN)
        if dice.random() < 0.5:
            up.expect("starts" if not (shm_dir / "chain.pipeline.fb" / "state.json").exists() else "goes on")
        threading.Event().wait(dice.uniform(0.0, 1.5))  # to be found in any state, not waited for
        up.kill()
    up = pipelines.up(CHAIN)
    until(all_up)
    assert len(Controller("chain").run_dir.strays()) == 3
    Controller("chain").down()
    assert up.wait() == 0
    assert empty(shm_dir)


# ---- wishes --------------------------------------------------------------------------------------------------------


def test_restart_by_hand(pipelines: Pipelines) -> None:
    up = pipelines.up(CHAIN)
    before = pids()
    Controller("chain").restart("negative")
    after = pids()
    assert after["negative"] != before["negative"]
    assert after["count"] == before["count"]
    assert all_up()
    with pytest.raises(LookupError, match="has no unit 'none'; it has: count, negative, times"):
        Controller("chain").restart("none")
    Controller("chain").down()
    assert up.wait() == 0


def test_counts_go_on_through_a_restart_by_hand(pipelines: Pipelines) -> None:
    """Every frame of the trigger is done or missed, those too that came while the unit was started anew."""
    up = pipelines.up(COUNT + NEGATIVE)

    def seen() -> int:
        unit = find_unit("negative")
        return unit.loops + unit.missed

    with fb.open("count") as count, find_unit("count").record() as source:

        def pause() -> None:
            source.pause()
            until(lambda: source.state is State.IDLE)

        until(lambda: seen() > 10)
        pause()
        with fb.open("negative") as negative:  # it has done the last one
            until(lambda: negative.count and negative.read()[0] == -count.read()[0])
        frames, before = count.count, find_unit("negative")
        source.resume()
        Controller("chain").restart("negative")
        pause()
        until(lambda: seen() - before.loops - before.missed == count.count - frames)
        assert find_unit("negative").loops > before.loops
    Controller("chain").down()
    assert up.wait() == 0


def test_restart_that_fails_says_why(pipelines: Pipelines) -> None:
    there = pipelines.folder / "there"
    there.touch()
    text = """
[units.camera]
use = "support.pipeline_units:Broken"
streams = { frame = "camera" }
trigger = "free"
"""
    up = pipelines.up(text)
    there.unlink()
    with pytest.raises(UnitError, match="did not start: unit 'camera': setup failed: OSError: no device"):
        Controller("chain").restart("camera")
    there.touch()
    until(all_up)  # the policy goes on trying
    Controller("chain").down()
    assert up.wait() == 0


def test_replaced_while_the_rest_runs(pipelines: Pipelines, shm_dir: Path) -> None:
    up = pipelines.up(CHAIN)
    before = pids()
    with fb.open("times") as times:
        Controller("chain").replace("negative", "support.pipeline_units:times", {"gain": 5.0})
        until(lambda: times.read_next(timeout_s=60).data[0] > 0)
        value = times.read_next(timeout_s=60).data[0]
        assert value % 10 == 0
    after = pids()
    assert {name for name in before if before[name] != after[name]} == {"negative"}
    until(lambda: not _core.process_alive(before["negative"]))
    with Params.open("negative") as params:
        assert params.gain == 5.0
    kill(after["negative"])  # what is started again is what was put in
    up.expect("negative: ready")
    with ProcessRecord.open("negative") as record:
        assert record.use == "support.pipeline_units:times"
    Controller("chain").down()
    assert up.wait() == 0
    assert empty(shm_dir)


def test_replacement_that_does_not_fit_changes_nothing(pipelines: Pipelines, shm_dir: Path) -> None:
    (pipelines.folder / "late.py").write_text(
        """
import contextlib
import os
from pathlib import Path
from framebus.unit import In, Out, unit
if "framebus.unit.host" in Path("/proc/self/cmdline").read_text():
    raise OSError("only here")

@unit(compiled=False)
def late(image: In, result: Out): ...
"""
    )
    up = pipelines.up(CHAIN)
    before = pids()
    controller = Controller("chain")
    with pytest.raises(PipelineError, match="no stream is given for output 'value'"):
        controller.replace("negative", "support.pipeline_units:count")
    with pytest.raises(LookupError, match="has no 'nothing'"):
        controller.replace("negative", "support.pipeline_units:nothing")
    with pytest.raises(LookupError, match="has no unit 'none'"):
        controller.replace("none", "support.pipeline_units:negative")
    with pytest.raises(
        (UnitError, UsageError, LookupError), match=r"not replaced \(the old one goes on\).*only here"
    ):
        controller.replace("negative", f"{pipelines.folder}/late.py:late")
    assert pids() == before
    assert all_up()
    with fb.open("times") as times:
        times.skip_to_newest()
        assert times.read_next(timeout_s=60).data[0] < 0
    controller.down()
    assert up.wait() == 0
    assert empty(shm_dir)


def test_a_unit_that_failed_is_replaced(pipelines: Pipelines, shm_dir: Path) -> None:
    broken = NEGATIVE.replace("support.pipeline_units:negative", "support.pipeline_units:surly")
    up = pipelines.up(COUNT + broken + 'restart = "never"\n')
    until(lambda: state()["processes"]["negative"]["pid"] != 0)
    kill(pids()["negative"])
    until(lambda: state()["processes"]["negative"]["state"] == "failed")
    Controller("chain").replace("negative", "support.pipeline_units:negative")
    until(lambda: state()["processes"]["negative"]["state"] == "up")
    assert Controller("chain").run_dir.read_plan().units["negative"].use.endswith(":negative")
    Controller("chain").down()
    assert up.wait() == 0
    assert empty(shm_dir)


def test_a_successor_that_fails_when_it_has_taken_over(pipelines: Pipelines, shm_dir: Path) -> None:
    """Seen as ready before it failed, its code stays, and is started again; else the old one's is."""
    up = pipelines.up(CHAIN)
    with contextlib.suppress(UnitError):
        Controller("chain").replace("negative", "support.pipeline_units:surly")
    if Controller("chain").run_dir.read_plan().units["negative"].use.endswith(":surly"):
        until(lambda: state()["processes"]["negative"]["restarts"] > 0)
    else:
        assert is_sound(pipelines)
    Controller("chain").down()
    assert up.wait() == 0
    assert empty(shm_dir)


@pytest.fixture
def slow_unit(pipelines: Pipelines) -> str:
    """A unit that a host takes long to import: until a file says so."""
    path = pipelines.folder / "slow.py"
    path.write_text(
        """
import os, threading
from pathlib import Path
from framebus.unit import In, Out, unit

folder = Path(os.environ["FRAMEBUS_TEST_FOLDER"])
if "framebus.unit.host" in Path("/proc/self/cmdline").read_text():
    (folder / "importing").touch()
    while not (folder / "go on").exists():
        threading.Event().wait(0.01)

@unit(compiled=False)
def slow(image: In, result: Out):
    result[...] = -image
"""
    )
    return f"{path}:slow"


class Replacing(threading.Thread):
    """A replacement under way, once the successor is about to import its code."""

    def __init__(self, pipelines: Pipelines, use: str) -> None:
        super().__init__()
        self.use = use
        self.error: Exception | None = None
        self.start()
        until((pipelines.folder / "importing").exists)

    def run(self) -> None:
        try:
            Controller("chain").replace("negative", self.use)
        except FramebusError as error:
            self.error = error

    def end(self) -> str:
        self.join()
        return str(self.error)


def others(name: str = "negative") -> list[int]:
    found: list[int] = Controller("chain").status()["processes"][name]["others"]
    return found


def is_sound(pipelines: Pipelines) -> bool:
    """One living host of each process, and frames come through."""
    until(all_up)
    until(
        lambda: sorted(stray.pid for stray in Controller("chain").run_dir.strays()) == sorted(pids().values())
    )
    with fb.open("times") as times:
        times.skip_to_newest()
        return bool(times.read_next(timeout_s=60).data[0] < 0)


def test_successor_killed_before_it_takes_over(pipelines: Pipelines, slow_unit: str, shm_dir: Path) -> None:
    up = pipelines.up(CHAIN)
    before = pids()
    replacing = Replacing(pipelines, slow_unit)
    with pytest.raises(UsageError, match="is just being replaced"):
        Controller("chain").restart("negative")
    (successor,) = others()
    kill(successor)
    assert "was not replaced (the old one goes on): killed by SIGKILL" in replacing.end()
    assert pids() == before
    assert is_sound(pipelines)
    Controller("chain").down()
    assert up.wait() == 0
    assert empty(shm_dir)


def test_predecessor_killed_before_it_is_taken_over(
    pipelines: Pipelines, slow_unit: str, shm_dir: Path
) -> None:
    up = pipelines.up(CHAIN)
    replacing = Replacing(pipelines, slow_unit)
    kill(pids()["negative"])
    (pipelines.folder / "go on").touch()
    replacing.end()  # taken over from the dead, or not: in the end there is one
    assert is_sound(pipelines)
    Controller("chain").down()
    assert up.wait() == 0
    assert empty(shm_dir)


def test_down_while_a_successor_prepares(pipelines: Pipelines, slow_unit: str, shm_dir: Path) -> None:
    up = pipelines.up(CHAIN)
    replacing = Replacing(pipelines, slow_unit)
    Controller("chain").down()
    assert up.wait() == 0
    assert replacing.end() != "None"
    assert empty(shm_dir)


def test_supervisor_killed_while_a_successor_prepares(
    pipelines: Pipelines, slow_unit: str, shm_dir: Path
) -> None:
    up = pipelines.up(CHAIN)
    before = pids()
    replacing = Replacing(pipelines, slow_unit)
    up.kill()
    assert "has no supervisor that answers" in replacing.end()
    up = pipelines.up(CHAIN)
    assert is_sound(pipelines)
    assert pids() == before
    Controller("chain").down()
    assert up.wait() == 0
    assert empty(shm_dir)


def test_parameters_file(pipelines: Pipelines) -> None:
    text = '[supervision]\nparameters_file = "values.toml"\n' + CHAIN
    up = pipelines.up(text)
    with Params.open("times") as params:
        params.gain = 1.0  # the default of the unit, and not of the file
    Controller("chain").down()
    assert up.wait() == 0
    assert "gain = 1.0" in (pipelines.folder / "values.toml").read_text()
    up = pipelines.up(text)
    with Params.open("times") as params:
        assert params.gain == 1.0
    Controller("chain").down()
    assert up.wait() == 0


def test_two_pipelines_side_by_side(pipelines: Pipelines, shm_dir: Path) -> None:
    one = pipelines.up(COUNT)
    two = pipelines.up(NEGATIVE.replace("units.negative", "units.other"), name="two")
    with pytest.raises(UsageError, match="several pipelines run; name one of them: chain, two"):
        Controller()
    Controller("two").down()
    assert two.wait() == 0
    assert all_up()
    Controller("chain").down()
    assert one.wait() == 0
    assert empty(shm_dir)


def test_units_that_share_a_process(pipelines: Pipelines) -> None:
    shared = 'process = "rtc"\n'
    up = pipelines.up(COUNT + NEGATIVE + shared + TIMES + shared)
    assert list(pids()) == ["count", "rtc"]
    pid = pids()["rtc"]
    Controller("chain").restart("times")
    assert pids()["rtc"] != pid
    with fb.open("times") as times:
        assert np.isfinite(times.read_next(timeout_s=60).data).all()
    Controller("chain").down()
    assert up.wait() == 0
