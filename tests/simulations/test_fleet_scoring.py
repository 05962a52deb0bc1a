"""Alerts held against the truth."""

from __future__ import annotations

from iot.units import HOUR, DeviceId, Millis
from simulations.fleet.expectations import Expectation
from simulations.fleet.scoring import Alert, Score, score
from simulations.fleet.truth import Happening, Truth

A, B = DeviceId("a"), DeviceId("b")
EXPECTED = {
    "siphon": Expectation({Happening.SIPHONING: 20.0}, frozenset({Happening.FUEL_LEAK}), 0.5, 2.0)
}


def truth(device: DeviceId, start: float, end: float, size: float) -> Truth:
    first, last = Millis(int(start * HOUR)), Millis(int(end * HOUR))
    return Truth(device, Happening.SIPHONING, first, last, size)


def alert(device: DeviceId, opened: float, cleared: float | None = None) -> Alert:
    return Alert(
        device, "siphon", int(opened * HOUR), None if cleared is None else int(cleared * HOUR)
    )


def scored(alerts: list[Alert], truths: list[Truth]) -> Score:
    return score(alerts, truths, EXPECTED)["siphon"]


def test_an_alert_is_right_within_the_tolerance_and_wrong_beyond() -> None:
    truths = [truth(A, 10, 11, 50.0)]
    for opened, right in ((9.4, 0), (9.5, 1), (10.5, 1), (13.0, 1), (13.1, 0)):
        result = scored([alert(A, opened, 20)], truths)
        assert (result.right, result.found) == (right, right)
        assert len(result.wrong) == len(result.missed) == 1 - right


def test_an_alert_on_another_device_finds_nothing() -> None:
    result = scored([alert(B, 10.5)], [truth(A, 10, 11, 50.0)])
    assert (result.precision, result.recall) == (0.0, 0.0)


def test_a_small_happening_need_not_be_found_but_may() -> None:
    small = [truth(A, 10, 11, 5.0)]
    assert scored([], small).recall is None
    found = scored([alert(A, 10.5)], small)
    assert (found.precision, found.expected) == (1.0, 0)


def test_what_merely_explains_an_alert_is_neither_wrong_nor_expected() -> None:
    leak = Truth(A, Happening.FUEL_LEAK, Millis(10 * HOUR), Millis(11 * HOUR), 50.0)
    result = scored([alert(A, 10.5)], [leak])
    assert (result.precision, result.recall) == (1.0, None)


def test_a_right_alert_that_is_still_open_finds_the_next_happening() -> None:
    truths = [truth(A, 10, 11, 50.0), truth(A, 20, 21, 50.0)]
    assert scored([alert(A, 10.5, None)], truths).found == 2
    assert scored([alert(A, 10.5, 19.0)], truths).found == 1


def test_a_wrong_alert_that_never_ends_finds_nothing() -> None:
    result = scored([alert(A, 1.0, None)], [truth(A, 10, 11, 50.0)])
    assert (result.right, result.found) == (0, 0)


def test_without_alerts_there_is_no_precision() -> None:
    result = scored([], [truth(A, 10, 11, 50.0)])
    assert (result.precision, result.recall) == (None, 0.0)


def test_recall_is_drawn_over_size() -> None:
    truths = [truth(A, 10 * n, 10 * n + 1, size) for n, size in enumerate((3.0, 15.0, 20.0, 90.0))]
    result = scored([alert(A, 20.5, 25), alert(A, 30.5, 35)], truths)
    assert result.recall == 1.0
    assert result.recall_by_size([5.0, 20.0, 50.0]) == ((5.0, 1, 0), (20.0, 1, 1), (50.0, 1, 1))
