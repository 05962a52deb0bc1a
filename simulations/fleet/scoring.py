"""Alerts held against what happened: precision and recall of each rule, and recall over size.

An alert is right if it opened while something that its rule is about went on, within the
expectation's tolerance. A happening is found if an alert of the rule opened on it, or if a right
alert from before was still open when it began: one alert per machine and rule is open at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from iot.units import HOUR, DeviceId
from simulations.fleet.expectations import EXPECTATIONS, Expectation
from simulations.fleet.truth import Truth


class Alert(NamedTuple):
    """When a rule said that something is up, and when that it is over; None: it is still up."""

    device: DeviceId
    rule: str
    opened: int
    cleared: int | None


@dataclass(frozen=True)
class Score:
    """How a rule did.

    Attributes:
        alerts, right: how many it raised, and how many of them were on something.
        expected, found: happenings of the sizes that it must find, and those that it found.
        wrong: the alerts that were on nothing.
        missed: the happenings that it must find and did not.
        sizes: size and whether found of every happening that it is about, however small.
    """

    rule: str
    alerts: int
    right: int
    expected: int
    found: int
    wrong: tuple[Alert, ...]
    missed: tuple[Truth, ...]
    sizes: tuple[tuple[Truth, bool], ...]

    @property
    def precision(self) -> float | None:
        """Share of the alerts that were right; None without any."""
        return self.right / self.alerts if self.alerts else None

    @property
    def recall(self) -> float | None:
        """Share of the happenings that were found; None without any."""
        return self.found / self.expected if self.expected else None

    def recall_by_size(self, edges: Sequence[float]) -> tuple[tuple[float, int, int], ...]:
        """The curve of recall over size.

        Args:
            edges: of the bins, rising; a bin holds sizes from its edge on to before the next, the
                last one all that are larger.

        Returns:
            per bin its lower edge, the happenings in it, and those of them that were found.
        """
        count, found = [0] * len(edges), [0] * len(edges)
        for truth, was_found in self.sizes:
            place = bisect_right(edges, truth.size) - 1
            if place >= 0:
                count[place] += 1
                found[place] += was_found
        return tuple(zip(edges, count, found, strict=True))


def score(
    alerts: Iterable[Alert],
    truths: Iterable[Truth],
    expectations: Mapping[str, Expectation] = EXPECTATIONS,
) -> dict[str, Score]:
    """Score every rule of the expectations; alerts of other rules are left out.

    Args:
        alerts: in any order.
        truths: of all devices that could have raised one.
    """
    by_rule: dict[tuple[str, DeviceId], list[Alert]] = defaultdict(list)
    for alert in alerts:
        by_rule[alert.rule, alert.device].append(alert)
    by_device: dict[DeviceId, list[Truth]] = defaultdict(list)
    for truth in truths:
        by_device[truth.device].append(truth)
    scores = {}
    for rule, expectation in expectations.items():
        devices = {device for name, device in by_rule if name == rule} | set(by_device)
        parts = [
            _of_device(expectation, by_rule.get((rule, device), []), by_device.get(device, []))
            for device in sorted(devices)
        ]
        judged = [pair for pairs, _ in parts for pair in pairs]
        sizes = [pair for _, pairs in parts for pair in pairs]
        expected = [
            (truth, found) for truth, found in sizes if truth.size >= expectation.finds[truth.kind]
        ]
        scores[rule] = Score(
            rule,
            len(judged),
            sum(right for _, right in judged),
            len(expected),
            sum(found for _, found in expected),
            tuple(alert for alert, right in judged if not right),
            tuple(truth for truth, found in expected if not found),
            tuple(sizes),
        )
    return scores


def _of_device(
    expectation: Expectation, alerts: list[Alert], truths: list[Truth]
) -> tuple[list[tuple[Alert, bool]], list[tuple[Truth, bool]]]:
    early, late = expectation.early_hours * HOUR, expectation.late_hours * HOUR
    about = [one for one in truths if one.kind in expectation.finds]
    others = [one for one in truths if one.kind in expectation.explains]

    def opened_on(alert: Alert, truth: Truth) -> bool:
        return truth.start - early <= alert.opened <= truth.end + late

    judged = [
        (alert, any(opened_on(alert, truth) for truth in (*about, *others))) for alert in alerts
    ]
    right = [alert for alert, is_right in judged if is_right]
    found = [
        (
            truth,
            any(
                opened_on(alert, truth)
                or (alert.opened <= truth.start and _is_open_at(alert, truth.start))
                for alert in right
            ),
        )
        for truth in about
    ]
    return judged, found


def _is_open_at(alert: Alert, at: int) -> bool:
    return alert.cleared is None or alert.cleared > at
