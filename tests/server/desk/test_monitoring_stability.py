"""Stability index, its critical values, sliding windows, and the drift alarm's state machine."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import InputError
from server.desk.monitoring.drift import DriftAlarm, DriftEvent, DriftSettings, Reading
from server.desk.monitoring.settings import drift_settings
from server.desk.monitoring.stability import (
    Standing,
    critical_value,
    mean_without_shift,
    stability_index,
    standing,
)
from server.desk.monitoring.windows import DAY_SECONDS, ClassWindow

histograms = st.integers(2, 12).flatmap(
    lambda classes: st.tuples(
        st.lists(st.integers(0, 500), min_size=classes, max_size=classes),
        st.lists(st.integers(0, 500), min_size=classes, max_size=classes).filter(any),
    )
)


def shares_of(counts: list[int]) -> list[float]:
    """Counts as shares."""
    return [count / sum(counts) for count in counts]


@given(histograms)
def test_the_index_is_never_negative_and_zero_only_for_equal_shares(
    pair: tuple[list[int], list[int]],
) -> None:
    """Zero for the development sample itself, more for anything else."""
    counts, development = pair
    shares = shares_of(development)
    index = stability_index(counts, shares)
    assert math.isfinite(index)
    assert index >= -1e-12
    assert stability_index(development, shares) == pytest.approx(0, abs=1e-12)
    if (
        sum(counts)
        and max(abs(a - b) for a, b in zip(shares_of(counts), shares, strict=True)) > 1e-3
    ):
        assert index > 0


@given(histograms, st.randoms())
def test_the_order_of_classes_does_not_matter(
    pair: tuple[list[int], list[int]], random: object
) -> None:
    """Classes have no order in the index."""
    counts, development = pair
    order = list(range(len(counts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shares = shares_of(development)
    assert stability_index([counts[i] for i in order], [shares[i] for i in order]) == pytest.approx(
        stability_index(counts, shares), abs=1e-9
    )


@given(histograms)
def test_smoothing_only_ever_lowers_the_index(pair: tuple[list[int], list[int]]) -> None:
    """Against the plain sum where no class is empty."""
    counts, development = [c + 1 for c in pair[0]], [d + 1 for d in pair[1]]
    shares, actual = shares_of(development), shares_of(counts)
    plain = sum((a - e) * math.log(a / e) for a, e in zip(actual, shares, strict=True))
    assert stability_index(counts, shares) <= plain + 1e-12


def test_the_index_of_a_known_shift() -> None:
    """By hand: halves that became a quarter and three quarters, of many scores."""
    by_hand = 0.25 * math.log(0.5 / 0.25) + 0.25 * math.log(0.75 / 0.5)
    assert stability_index([250_000, 750_000], [0.5, 0.5]) == pytest.approx(by_hand, rel=1e-4)
    assert stability_index([0, 0], [0.5, 0.5]) == 0
    assert standing(0.05) is Standing.STABLE
    assert standing(0.2) is Standing.WATCH
    assert standing(0.3) is Standing.SHIFTED


def test_wrong_counts_are_refused() -> None:
    """Lengths and signs."""
    for counts, shares in (([1], [0.5, 0.5]), ([-1, 2], [0.5, 0.5]), ([], [])):
        with pytest.raises(ValueError, match="stability"):
            stability_index(counts, shares)


@pytest.mark.parametrize(("scores", "borrowers"), [(2_000, 5_000), (800, None)])
def test_the_critical_value_is_exceeded_as_often_as_it_says(
    scores: int, borrowers: int | None
) -> None:
    """Simulated windows without any shift, against the chi-square approximation."""
    rng = np.random.default_rng(11)
    true = np.array([0.05, 0.1, 0.2, 0.3, 0.2, 0.1, 0.05])
    critical = critical_value(len(true), scores, borrowers, significance=0.05)
    indices = []
    for _ in range(3_000):
        development = true if borrowers is None else rng.multinomial(borrowers, true) / borrowers
        indices.append(stability_index(rng.multinomial(scores, true).tolist(), development))
    # 3,000 draws at 5%: standard deviation 0.4 points.
    assert np.mean(np.array(indices) > critical) == pytest.approx(0.05, abs=0.02)
    assert np.mean(indices) == pytest.approx(
        mean_without_shift(len(true), scores, borrowers), rel=0.1
    )


def test_the_critical_value_falls_with_more_scores_and_rises_with_more_classes() -> None:
    """And a sample that says nothing is refused."""
    assert critical_value(20, 300, significance=0.05) == pytest.approx(30.144 / 300, rel=1e-4)
    assert critical_value(10, 10_000) < critical_value(10, 1_000) < critical_value(20, 1_000)
    assert critical_value(10, 1_000) < critical_value(10, 1_000, 1_000)
    assert critical_value(1, 10) == 0
    for wrong in ((0, 10, None, 0.1), (3, 0, None, 0.1), (3, 9, 0, 0.1), (3, 9, None, 1.0)):
        with pytest.raises(ValueError, match="stability"):
            critical_value(*wrong)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, 4), st.lists(st.integers(0, 4), max_size=150)), max_size=60),
    st.lists(st.floats(0, 5_000), min_size=60, max_size=60),
)
def test_windows_count_what_a_list_would(pushes: list[int | list[int]], steps: list[float]) -> None:
    """Single scores and batches in any order, against slices of the whole history."""
    window = ClassWindow(5, (7, 100))
    history: list[tuple[float, int]] = []
    now = 0.0
    for push, step in zip(pushes, steps, strict=False):
        now += step
        if isinstance(push, int):
            window.push(push, now)
            history.append((now, push))
        else:
            window.extend(np.array(push, dtype=np.uint8), now)
            history += [(now, code) for code in push]
    for length in (7, 100):
        last = [code for _, code in history[-length:]]
        assert window.counts(length) == [last.count(code) for code in range(5)]
    oldest = (now // 900 - DAY_SECONDS // 900 + 1) * 900
    today = [code for time, code in history if time >= oldest]
    assert window.day(now) == [today.count(code) for code in range(5)]
    assert sum(window.day(now + DAY_SECONDS)) == 0


def test_windows_that_cannot_be_are_refused() -> None:
    """Too many classes, lengths out of order, an unknown length."""
    for classes, lengths in ((0, (5,)), (256, (5,)), (3, ()), (3, (9, 5)), (3, (0, 5))):
        with pytest.raises(ValueError, match="window"):
            ClassWindow(classes, lengths)
    with pytest.raises(ValueError, match="no window of 6"):
        ClassWindow(3, (5,)).counts(6)


def alarm_events(indices: list[float], drift: DriftSettings, scores: int = 1_000) -> list[str]:
    """What a run of checks brings about."""
    alarm, events = DriftAlarm(), []
    for index in indices:
        alarm, event = alarm.after(Reading(index, 0.02, scores), drift)
        if event is not None:
            events.append(event.value)
    return events


def test_the_alarm_rings_once_and_clears_once() -> None:
    """Several checks in a row, and nothing between the two thresholds."""
    drift = DriftSettings(checks=2)
    assert alarm_events([0.3] * 9, drift) == ["raised"]
    assert alarm_events([0.3, 0.2] * 9, drift) == []
    assert alarm_events([0.3, 0.3, 0.15, 0.24, 0.26, 0.12], drift) == ["raised"]
    assert alarm_events([0.3, 0.3, 0.05, 0.05, 0.05], drift) == ["raised", "cleared"]
    assert alarm_events([0.3] * 9, drift, scores=499) == []
    alarm, event = DriftAlarm().after(Reading(0.3, 0.31, 1_000), DriftSettings(checks=1))
    assert (alarm.raised, event) == (False, None)  # large, but no more than chance makes it


@given(st.lists(st.floats(0, 1), max_size=80), st.integers(1, 4))
def test_events_of_the_alarm_alternate(indices: list[float], checks: int) -> None:
    """Whatever the readings: raised, cleared, raised, and never faster than the checks allow."""
    events = alarm_events(indices, DriftSettings(checks=checks))
    assert events == [(DriftEvent.RAISED, DriftEvent.CLEARED)[i % 2] for i in range(len(events))]
    assert len(events) * checks <= len(indices)


def test_settings_of_the_alarm() -> None:
    """What is left out keeps its default; what is wrong is named."""
    where = "desk.toml, [monitoring]"
    assert drift_settings({}, where) == DriftSettings()
    assert drift_settings({"raise_at": 0.3, "window": 1000}, where).raise_at == 0.3
    for section, sentence in (
        ({"rise_at": 1}, "'rise_at' is not known"),
        ({"raise_at": "much"}, "must be a number"),
        ({"checks": 2.5}, "must be a whole number"),
        ({"checks": True}, "must be a whole number"),
        ({"raise_at": math.inf}, "must be a number"),
        ({"raise_at": 0.05}, "clear_at <= raise_at"),
        ({"significance": 0}, "between 0 and 1"),
        ({"checks": 0}, "1 or more"),
        ({"window": 500}, "1000 or 10000"),
        ({"window": 1000, "least_scores": 2000}, "no more than it"),
    ):
        with pytest.raises(InputError, match="desk.toml") as error:
            drift_settings(section, where)
        assert sentence in str(error.value)
