"""A partner's breaker: when it opens, when it probes, and what it passes over."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.desk.partners.breaker import Breaker, BreakerSettings, BreakerState

SMALL = BreakerSettings(
    failures_in_a_row=3,
    window=8,
    failing_share=0.5,
    failing_seconds=0.0,
    first_pause_seconds=1.0,
    longest_pause_seconds=4.0,
    successes_to_forget=5,
)


def failing(breaker: Breaker, times: int, now: float = 0.0) -> None:
    """So many failures, each with leave of its own."""
    for _ in range(times):
        permit = breaker.permit()
        assert permit is not None
        breaker.record(permit, False, now)


def test_it_opens_after_failures_in_a_row() -> None:
    """Not one earlier, and a success begins the row anew."""
    breaker = Breaker(SMALL)
    failing(breaker, 2)
    permit = breaker.permit()
    assert permit is not None
    breaker.record(permit, True, 0.0)
    failing(breaker, 2)
    assert breaker.state is BreakerState.CLOSED
    failing(breaker, 1)
    assert breaker.state is BreakerState.OPEN
    assert breaker.permit() is None


def test_it_opens_where_every_other_answer_fails() -> None:
    """Though no row of failures is long enough."""
    breaker = Breaker(SMALL)
    for number in range(SMALL.window):
        assert breaker.state is BreakerState.CLOSED
        permit = breaker.permit()
        assert permit is not None
        breaker.record(permit, number % 2 == 0, 0.0)
    assert breaker.state is BreakerState.OPEN


def test_a_standstill_of_a_moment_opens_nothing() -> None:
    """However many fail in it; once failures go on for longer, the next one opens it."""
    breaker = Breaker(replace(SMALL, failing_seconds=0.5))
    failing(breaker, 30, now=10.0)
    failing(breaker, 1, now=10.4)
    assert breaker.state is BreakerState.CLOSED
    failing(breaker, 1, now=10.5)
    assert breaker.state is BreakerState.OPEN


def test_one_probe_at_a_time() -> None:
    """Due after the pause, never a second beside it; nobody else is let through meanwhile."""
    breaker = Breaker(SMALL)
    failing(breaker, 3, now=10.0)
    assert breaker.probe_at == 11.0
    assert not breaker.begin_probe(10.9)
    assert breaker.begin_probe(11.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.begin_probe(99.0)
    assert breaker.permit() is None
    breaker.end_probe(True, 11.1)
    assert breaker.state is BreakerState.CLOSED


def test_pauses_grow_until_the_partner_has_answered_for_a_while() -> None:
    """One that passes each probe and then fails is asked ever more seldom."""
    breaker = Breaker(SMALL)
    pauses = []
    now = 0.0
    for _ in range(4):
        failing(breaker, 3, now)
        assert breaker.probe_at is not None
        pauses.append(breaker.probe_at - now)
        now = breaker.probe_at
        assert breaker.begin_probe(now)
        breaker.end_probe(True, now)
    assert pauses == [1.0, 2.0, 4.0, 4.0]
    for _ in range(SMALL.successes_to_forget):
        permit = breaker.permit()
        assert permit is not None
        breaker.record(permit, True, now)
    failing(breaker, 3, now)
    assert breaker.probe_at == now + 1.0


def test_late_failures_do_not_open_it_again() -> None:
    """What was asked before the break says nothing about the partner after the probe."""
    breaker = Breaker(SMALL)
    before = breaker.permit()
    assert before is not None
    failing(breaker, 3)
    assert breaker.begin_probe(5.0)
    breaker.end_probe(True, 5.0)
    for _ in range(10):
        breaker.record(before, False, 6.0)
    assert breaker.state is BreakerState.CLOSED


class Breaks(RuleBasedStateMachine):
    """Any order of askings, answers, probes and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(SMALL)
        self.now = 0.0
        self.held: list[tuple[int, int]] = []  # permits, and the period that they are of
        self.period = 0
        self.counted: deque[bool] = deque(maxlen=SMALL.window)
        self.row = 0
        self.probing = False

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        permit = self.breaker.permit()
        assert (permit is not None) == (self.breaker.state is BreakerState.CLOSED)
        if permit is not None:
            self.held.append((permit, self.period))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), succeeded=st.booleans())
    def answer(self, data: st.DataObject, succeeded: bool) -> None:
        number = data.draw(st.integers(0, len(self.held) - 1))
        permit, period = self.held.pop(number)
        before = self.breaker.state
        self.breaker.record(permit, succeeded, self.now)
        if period != self.period or before is not BreakerState.CLOSED:
            assert self.breaker.state is before
            return
        self.counted.append(succeeded)
        self.row = 0 if succeeded else self.row + 1
        failures = self.counted.count(False)
        opens = self.row >= SMALL.failures_in_a_row or (
            not succeeded and len(self.counted) == SMALL.window and 2 * failures >= SMALL.window
        )
        assert (self.breaker.state is BreakerState.OPEN) == opens
        if opens:
            assert self.breaker.probe_at is not None
            pause = self.breaker.probe_at - self.now
            assert SMALL.first_pause_seconds - 1e-9 <= pause
            assert pause <= SMALL.longest_pause_seconds + 1e-9

    @rule()
    def begin(self) -> None:
        due = self.breaker.probe_at
        begun = self.breaker.begin_probe(self.now)
        assert begun == (due is not None and self.now >= due and not self.probing)
        self.probing |= begun

    @precondition(lambda self: self.probing)
    @rule(succeeded=st.booleans())
    def end(self, succeeded: bool) -> None:
        self.breaker.end_probe(succeeded, self.now)
        self.probing = False
        if succeeded:
            self.period += 1
            self.counted.clear()
            self.row = 0
        assert self.breaker.state is (BreakerState.CLOSED if succeeded else BreakerState.OPEN)

    @invariant()
    def a_probe_is_planned_only_while_it_is_open(self) -> None:
        assert (self.breaker.probe_at is not None) == (self.breaker.state is BreakerState.OPEN)
        assert (self.breaker.state is BreakerState.HALF_OPEN) == self.probing


TestBreaks = Breaks.TestCase
TestBreaks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
