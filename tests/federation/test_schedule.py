"""The label party's schedule: the walk down the penalty path, the choice, and when it stops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from federation.additive.schedule import Decision, Schedule
from federation.additive.settings import AdditiveSettings

SETTINGS = AdditiveSettings(smoothness=0.5, ridge=10.0, penalty_path=(4.0, 1.0, 0.25))


def judge(schedule: Schedule, validation: float, fell_by: float = 0.5) -> Decision:
    """One round whose validation borrowers all have this loss."""
    return schedule.judge(0.5, np.full(100, validation), 0.7, 1.0, fell_by)


def test_the_path_is_walked_from_strong_to_weak_while_validation_improves() -> None:
    """A round each; strengths follow the factor; no round stops."""
    schedule = Schedule(SETTINGS, noisy=False, validation=100)
    strengths = []
    for loss in (0.50, 0.45, 0.40):
        strengths.append(schedule.strengths)
        assert not schedule.polishing
        decision = judge(schedule, loss)
        assert not decision.stop
    assert strengths == [(2.0, 40.0), (0.5, 10.0), (0.125, 2.5)]
    assert schedule.polishing
    assert decision.from_round == 3
    assert schedule.strengths == (0.125, 2.5)


def test_the_walk_ends_where_validation_gets_worse_and_goes_back_to_the_best() -> None:
    """The second factor was worse: the first is chosen only if it is clearly better than 1."""
    schedule = Schedule(SETTINGS, noisy=False, validation=100)
    judge(schedule, 0.40)
    decision = judge(schedule, 0.45)
    assert (decision.stop, decision.from_round) == (False, 1)
    assert schedule.strengths == (2.0, 40.0)
    assert schedule.polishing


@pytest.mark.parametrize(("errors", "chosen"), [(1.5, 2), (2.5, 3)])
def test_the_declared_strength_is_kept_within_two_standard_errors(
    errors: float, chosen: int
) -> None:
    """A gain of 1.5 standard errors of the paired difference keeps factor 1; 2.5 leaves it."""
    schedule = Schedule(SETTINGS, noisy=False, validation=400)
    spread = np.random.default_rng(1).normal(size=400)
    spread = (spread - spread.mean()) / spread.std()
    declared = np.full(400, 0.5)
    gain = 0.1 * (spread + errors / math.sqrt(400))
    schedule.judge(0.5, declared + 1, 0.7, 1.0, 0.1)
    schedule.judge(0.5, declared, 0.7, 1.0, 0.1)
    decision = schedule.judge(0.5, declared - gain, 0.7, 1.0, 0.1)
    assert decision.from_round == chosen
    assert schedule.strengths[1] == {2: 10.0, 3: 2.5}[chosen]


def test_polishing_stops_when_a_step_takes_little_off_the_loss() -> None:
    """While the penalty is still being chosen, a small step stops nothing."""
    schedule = Schedule(replace(SETTINGS, tolerance=0.01), noisy=False, validation=100)
    for loss in (0.5, 0.4, 0.3):
        assert not judge(schedule, loss, fell_by=0.001).stop
    assert not judge(schedule, 0.3, fell_by=0.2).stop
    assert not judge(schedule, 0.3, fell_by=0.02).stop
    decision = judge(schedule, 0.3, fell_by=0.005)
    assert decision == Decision(True, 6, "the training loss has settled")
    assert [figures.polishing for figures in schedule.rounds] == [False] * 3 + [True] * 3
    assert [figures.number for figures in schedule.rounds] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7])
def test_the_limit_of_rounds_holds_and_leaves_one_to_polish(limit: int) -> None:
    """Whatever happens, the limit stops it, in a polishing round."""
    schedule = Schedule(replace(SETTINGS, max_rounds=limit), noisy=False, validation=100)
    loss = 1.0
    for number in range(1, limit + 1):
        loss -= 0.05
        assert schedule.polishing or number < limit
        decision = judge(schedule, loss)
    assert decision.stop
    assert decision.from_round == limit
    assert decision.reason == f"the limit of {limit} rounds is reached"


def test_without_validation_borrowers_the_declared_strength_is_used() -> None:
    """Nothing to judge by: polishing from the first round."""
    schedule = Schedule(SETTINGS, noisy=False, validation=0)
    assert schedule.polishing
    assert schedule.strengths == (0.5, 10.0)
    schedule.judge(0.5, np.zeros(0), math.nan, 1.0, 0.1)
    assert math.isnan(schedule.rounds[0].validation_log_loss)


def test_a_path_that_repeats_a_factor_still_ends() -> None:
    """A factor is tried once."""
    schedule = Schedule(
        replace(SETTINGS, penalty_path=(4.0, 4.0, 1.0)), noisy=False, validation=100
    )
    judge(schedule, 0.5)
    assert schedule.strengths == (0.5, 10.0)
    judge(schedule, 0.4)
    assert schedule.polishing


@pytest.mark.parametrize("training", [0.1, 0.9, math.nan])
@pytest.mark.parametrize("validation", [0.0, 3.0, math.nan])
def test_with_label_noise_nothing_depends_on_what_was_measured(
    training: float, validation: float
) -> None:
    """Same strengths, same number of rounds, same verdicts, whatever the losses are."""
    settings = replace(SETTINGS, label_epsilon=2.0, noisy_rounds=3)
    schedule = Schedule(settings, noisy=True, validation=100)
    decisions = []
    for _ in range(3):
        assert schedule.polishing
        assert schedule.strengths == (0.5, 10.0)
        figures = (training, np.full(100, validation), validation, 1.0, training)
        decisions.append(schedule.judge(*figures))
    assert decisions == [
        Decision(number == 3, number, "3 rounds were fixed beforehand") for number in (1, 2, 3)
    ]


def test_the_limit_of_rounds_holds_with_label_noise_too() -> None:
    """The smaller of the two numbers."""
    settings = replace(SETTINGS, label_epsilon=2.0, noisy_rounds=9, max_rounds=2)
    schedule = Schedule(settings, noisy=True, validation=0)
    assert [schedule.judge(0.5, np.zeros(0), math.nan, 1.0, 0.1).stop for _ in range(2)] == [
        False,
        True,
    ]
