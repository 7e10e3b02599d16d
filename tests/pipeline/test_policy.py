"""When a process is started again: a pure function, on a clock that the test sets."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.pipeline.plan import RestartPolicy, SupervisionPlan
from framebus.pipeline.policy import Action, Decision, Policy, strictest

POLICIES: list[RestartPolicy] = ["never", "on-failure", "always"]
policies = st.builds(
    Policy,
    restart=st.sampled_from(POLICIES),
    backoff_s=st.floats(0.0, 10.0),
    backoff_max_s=st.floats(0.0, 100.0),
    limit=st.integers(0, 20),
    window_s=st.floats(0.0, 1000.0),
)
ends = st.lists(st.tuples(st.floats(0.0, 100.0), st.booleans()), max_size=60)


@pytest.mark.parametrize(
    ("restart", "failed", "action"),
    [
        ("never", True, Action.LEAVE),
        ("never", False, Action.LEAVE),
        ("on-failure", True, Action.RESTART),
        ("on-failure", False, Action.LEAVE),
        ("always", True, Action.RESTART),
        ("always", False, Action.RESTART),
    ],
)
def test_which_ends_lead_to_a_restart(restart: RestartPolicy, failed: bool, action: Action) -> None:
    assert Policy(restart).ended(1.0, failed=failed).action is action


def test_delay_doubles_up_to_the_longest_and_then_it_is_given_up() -> None:
    policy = Policy(backoff_s=0.5, backoff_max_s=3.0, limit=5, window_s=1000.0)
    now = 100.0
    delays: list[float] = []
    while (decision := policy.ended(now, failed=True)).action is Action.RESTART:
        delays.append(decision.at_s - now)
        now = decision.at_s
    assert delays == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert decision == Decision(Action.GIVE_UP)
    policy.forget()
    assert policy.ended(now, failed=True) == Decision(Action.RESTART, now + 0.5)


def test_what_ran_well_for_long_begins_anew() -> None:
    policy = Policy(backoff_s=1.0, limit=2, window_s=60.0)
    first = policy.ended(0.0, failed=True).at_s
    second = policy.ended(first, failed=True).at_s
    assert second - first == 2.0
    assert policy.ended(second + 60.0, failed=True).at_s == second + 61.0


def test_the_defaults_give_up_within_the_window() -> None:
    """Ten restarts fit into the window, else the limit would never be reached."""
    policy = Policy.of(SupervisionPlan(), "on-failure")
    now, restarts = 0.0, 0
    while (decision := policy.ended(now, failed=True)).action is Action.RESTART:
        now, restarts = decision.at_s, restarts + 1
        assert restarts < 100
    assert restarts == SupervisionPlan().restart_limit
    assert now < SupervisionPlan().restart_window_s


def rounding(time_s: float) -> float:
    """What sums and differences of such times may be off by."""
    return 4 * math.ulp(time_s)


@given(policies, ends)
def test_never_more_restarts_in_a_window_than_allowed(policy: Policy, ends: list[tuple[float, bool]]) -> None:
    now = 0.0
    restarts = []
    for ran_for, failed in ends:
        now += ran_for
        decision = policy.ended(now, failed=failed)
        if decision.action is not Action.RESTART:
            assert policy.restart != "always" or policy.limit <= len(policy.times_s)
            continue
        assert 0.0 <= decision.at_s - now <= policy.backoff_max_s + rounding(decision.at_s)
        restarts.append(decision.at_s)
        now = decision.at_s
    for at in restarts:
        within = [
            other for other in restarts if at <= other and other - at < policy.window_s - rounding(other)
        ]
        assert len(within) <= max(policy.limit, 1 if policy.window_s == 0 else policy.limit)


@given(policies.filter(lambda policy: policy.restart == "always" and policy.limit > 0))
def test_delays_never_shrink_within_a_window(policy: Policy) -> None:
    delays: list[float] = []
    now = 0.0
    while now < policy.window_s / 2 and len(delays) < policy.limit:
        decision = policy.ended(now, failed=True)
        assert decision.action is Action.RESTART
        delays.append(decision.at_s - now)
        if decision.at_s >= policy.window_s:
            break
        now = decision.at_s
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(delays))


def test_a_process_has_the_policy_of_its_most_insistent_unit() -> None:
    assert strictest(["never", "always", "on-failure"]) == "always"
    assert strictest(["never", "on-failure"]) == "on-failure"
    assert strictest(["never"]) == "never"
    assert strictest([]) == "never"
