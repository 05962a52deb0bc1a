"""How often every rule is right: simulated fleets through the real monitor, against the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from iot.codec.sample import Sample
from iot.geofence.fences import Fences
from iot.monitor.monitor import Found, Monitor
from iot.rules.book import default_rules
from iot.rules.settings import RuleSettings
from iot.units import MINUTE, DeviceId, Millis
from simulations.fleet.plan import Plan
from simulations.fleet.population import Population, draw_population
from simulations.fleet.scoring import Alert, Score, score
from simulations.fleet.streams import arrival_stream, run_fleet, truths

BATCH = 500
TICK = 10 * MINUTE
"""How often the clock is run in simulated time; the service does it every second."""


def alerts_of(population: Population, samples: Iterable[Sample], end: Millis) -> list[Alert]:
    """What the monitor raises on an arrival stream, with when it says that it is over."""
    rules = default_rules(RuleSettings())
    monitor = Monitor(population.fleet, rules, Fences(population.fleet))
    open_: dict[tuple[DeviceId, str], int] = {}
    alerts: list[Alert] = []

    def note(found: Iterable[Found]) -> None:
        for device, _, verdict in found:
            key = device, verdict.rule
            if verdict.raised:
                open_.setdefault(key, verdict.at)
            elif key in open_:
                alerts.append(Alert(device, verdict.rule, open_.pop(key), verdict.at))

    batch: list[Sample] = []
    tick = Millis(0)
    for sample in samples:
        batch.append(sample)
        if len(batch) == BATCH or sample.received >= tick:
            note(monitor.take(batch)[1])
            batch.clear()
            if sample.received >= tick:
                note(monitor.advance(sample.received))
                tick = Millis(sample.received + TICK)
    note(monitor.take(batch)[1])
    note(monitor.advance(end))
    alerts += [Alert(device, rule, at, None) for (device, rule), at in open_.items()]
    return alerts


def measure_rules(
    seeds: Iterable[int],
    machines: int = 40,
    days: int = 28,
    interval_s: int = 120,
    say: Callable[[int], None] = lambda _: None,
) -> dict[str, dict[str, Any]]:
    """Precision and recall of every rule over fleets of several seeds.

    Returns:
        by rule: alerts, right, expected, found, precision, recall (None where nothing counts).
    """
    totals: dict[str, list[Score]] = {}
    for seed in seeds:
        plan = Plan(seed=seed, days=days, interval_s=interval_s)
        population = draw_population(seed, machines, start=plan.start)
        runs = run_fleet(population, plan)
        for rule, one in score(
            alerts_of(population, arrival_stream(runs), plan.end), truths(runs)
        ).items():
            totals.setdefault(rule, []).append(one)
        say(seed)
    figures = {}
    for rule, scores in totals.items():
        alerts, right = sum(one.alerts for one in scores), sum(one.right for one in scores)
        expected, found = sum(one.expected for one in scores), sum(one.found for one in scores)
        figures[rule] = {
            "alerts": alerts,
            "right": right,
            "expected": expected,
            "found": found,
            "precision": round(right / alerts, 4) if alerts else None,
            "recall": round(found / expected, 4) if expected else None,
        }
    return figures
