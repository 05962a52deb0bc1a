"""How long a partner is waited for, and how often it is asked twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.desk.partners.hedging import (
    LEAST_DELAY_SECONDS,
    LEAST_KNOWN,
    HedgeBudget,
    Latencies,
    attempt_seconds,
    hedge_delay,
    working_seconds,
)

SECONDS = st.floats(0.0, 10.0)
P95 = st.none() | SECONDS


def test_nothing_is_known_of_a_few_answers() -> None:
    """Then, all of a sudden, it is."""
    latencies = Latencies()
    for _ in range(LEAST_KNOWN - 1):
        latencies.add(0.001)
        assert latencies.p95 is None
    latencies.add(0.001)
    assert latencies.p95 == 0.001


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 5), min_size=64, max_size=200))
def test_the_quantile_is_that_of_the_latest(values: list[float]) -> None:
    """Within the answers that came since it was last taken."""
    latencies = Latencies(kept=64, every=1)
    for value in values:
        latencies.add(value)
    latest = values[-64:]
    assert latencies.p95 == np.quantile(latest, 0.95, method="lower")


def test_it_follows_a_partner_that_becomes_slow() -> None:
    """Old answers are forgotten."""
    latencies = Latencies(kept=64, every=8)
    for seconds in [0.001] * 64 + [0.5] * 64:
        latencies.add(seconds)
    assert latencies.p95 == 0.5


@given(st.lists(st.booleans(), max_size=400), st.floats(0.01, 0.5), st.floats(1, 8))
def test_the_budget_bounds_what_is_asked_twice(
    wanted: list[bool], share: float, most: float
) -> None:
    """Whoever wants it when: no more than its share of the requests, and what was saved up."""
    budget = HedgeBudget(share, most)
    hedges = 0
    for number, want in enumerate(wanted, 1):
        budget.earn()
        hedges += want and budget.spend()
        assert hedges <= most + share * number + 1e-6


def test_a_spent_budget_fills_again() -> None:
    """At its own pace."""
    budget = HedgeBudget(share=0.25, most=1)
    assert budget.spend()
    for _ in range(3):
        budget.earn()
        assert not budget.spend()
    budget.earn()
    assert budget.spend()


@given(P95, SECONDS)
def test_a_hedge_comes_in_time_or_not_at_all(p95: float | None, seconds: float) -> None:
    """Never sooner than the partner usually takes, never when it is too late to be answered."""
    delay = hedge_delay(p95, seconds)
    if delay is not None:
        assert LEAST_DELAY_SECONDS <= delay <= 0.8 * seconds
        assert p95 is None or delay >= p95
    elif p95 is None:
        assert seconds < 2 * LEAST_DELAY_SECONDS


@given(SECONDS, st.booleans(), st.lists(P95, max_size=4))
def test_an_attempt_leaves_time_for_the_next(
    left: float, others: bool, p95: list[float | None]
) -> None:
    """Where there is a next; all of the time is used where there is none."""
    seconds = attempt_seconds(left, others, p95)
    if others:
        assert 0.5 * left - 1e-9 <= seconds <= 0.75 * left + 1e-9
    else:
        assert seconds == left


@pytest.mark.parametrize(("p95", "kept"), [(0.001, 0.25), (0.1, 0.4), (3.0, 0.5)])
def test_slower_partners_need_more_time_for_the_second_attempt(p95: float, kept: float) -> None:
    """Between a quarter and half of what is left."""
    assert attempt_seconds(1.0, True, [p95, None]) == pytest.approx(1 - kept)


@given(st.floats(-1, 100))
def test_a_margin_is_kept(seconds: float) -> None:
    """Never more than there is, and never all."""
    working = working_seconds(seconds)
    assert 0 <= working <= max(seconds, 0)
    if seconds > 0.01:
        assert working >= 0.8 * seconds
        assert seconds - working >= 0.001
