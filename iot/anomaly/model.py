"""The online model: how far a machine-day is from what its equipment model usually does.

Per equipment model and figure a robust distance, (value - median) / spread, over the last 512
machine-days; the score is their Euclidean length, so it is read in spreads. A day is scored before
it is learnt from. A verdict is raised above a threshold out of the model's own recent scores: their
median plus `REACH` times the way from there to their 90% quantile, and never below `LEAST_SCORE`. A
quantile far out (99.5%) would be one of the bad days themselves as soon as one in 200 is bad, and
would hide them; up to a tenth of the days move this one little.

Why not river's half-space trees (Tan, Ting & Liu 2011): on 5 x 4,000 made machine-days with 2% bad
ones of six kinds they separate worse (area under the curve 0.915 with scaled inputs and 0.822 with
fixed limits, against 0.986; of as many days as were bad, 38% and 40% against 69% were right), don't
say which figure it was, and can be stored by pickle only. What is here is a few lists of numbers,
stored as JSON or MessagePack, the same on every machine: there is no seed since there is no chance.
A day takes about 0.2 ms. At the threshold 92% of what was raised on those days was bad, and 45% of
what was bad was raised, all the night work among it and hardly a fuel rate that is high for its own
machine only: a hint beside the rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import msgspec

from iot.anomaly.machine_day import FIGURES, MachineDay
from iot.anomaly.spread import RecentValues
from iot.rules.rule import Severity, Verdict
from iot.units import DAY, DeviceId, Millis, ModelId

RULE: Final = "unusual-day"
"""The name of this model's verdicts."""

WARM_UP_DAYS: Final = 60
"""Machine-days of a model before any of its days is scored."""

LEAST_SCORE: Final = 5.0
"""In spreads; below it nothing is raised."""

HIGH: Final = 0.9
"""The quantile of recent scores that says how far usual days spread."""

REACH: Final = 3.0
"""How often the way from the median to `HIGH` a day must be beyond the median to be unusual.
Normal figures would pass 2.5 on one day in 1,000; real ones have longer tails."""

CLEARS_BELOW: Final = 0.75
"""Of the threshold: a machine's alert is cleared by a day below it."""

_SAID: Final = 0.1
"""A figure is named from this share of the squared score on."""


class ModelMemory(msgspec.Struct):
    """What is remembered of one equipment model.

    Attributes:
        figures: the last values of each figure.
        scores: the last scores.
    """

    figures: dict[str, RecentValues] = {}
    scores: RecentValues = msgspec.field(default_factory=RecentValues)


class AnomalyMemory(msgspec.Struct):
    """All that the model remembers. Plain values: `msgspec.json.encode` stores it.

    Attributes:
        models: by equipment model.
        raised: machines whose alert was raised and not cleared since.
    """

    models: dict[ModelId, ModelMemory] = {}
    raised: set[DeviceId] = set()


@dataclass(frozen=True)
class Contribution:
    """What one figure adds to a score.

    Attributes:
        figure: its name in `FIGURES`.
        value: of this day.
        low, high: between them the middle nine tenths of the model's days lie.
        spreads: how far from the median, signed.
        share: of the squared score, 0 to 1.
    """

    figure: str
    value: float
    low: float
    high: float
    spreads: float
    share: float


@dataclass(frozen=True)
class AnomalyScore:
    """How unusual one day is.

    Attributes:
        day: that was scored.
        score: in spreads; 0 where nothing of the day is known.
        threshold: what it is held against.
        contributions: of every known figure, the largest first.
    """

    day: MachineDay
    score: float
    threshold: float
    contributions: tuple[Contribution, ...]

    @property
    def is_unusual(self) -> bool:
        return self.score > self.threshold

    def sentence(self) -> str:
        """One sentence for people: which figures are unusual for this model, and by how much."""
        named = [one for one in self.contributions if one.share >= _SAID]
        return f"Unusual for model {self.day.model}: " + "; ".join(map(_words, named)) + "."


class UnusualDays:
    """Scores machine-days in the order in which they are given, and learns from each.

    Args:
        memory: what was stored; None: nothing is known yet.
        severity: of its verdicts. A day that is merely unlike others is no proof of anything.
    """

    def __init__(
        self, memory: AnomalyMemory | None = None, severity: Severity = Severity.INFO
    ) -> None:
        self.memory = memory or AnomalyMemory()
        self._severity = severity

    def observe(self, day: MachineDay) -> AnomalyScore | None:
        """Score a day and learn from it; give each day once, when it is complete.

        Returns:
            None while the model is not known well enough, or where the day says nothing.
        """
        memory = self.memory.models.setdefault(day.model, ModelMemory())
        known = {name: value for name in FIGURES if (value := _value(name, day)) is not None}
        scored = _score(day, memory, known)
        for name, value in known.items():
            memory.figures.setdefault(name, RecentValues()).add(value)
        if scored is not None:
            memory.scores.add(scored.score)
        return scored

    def verdict(self, day: MachineDay) -> Verdict | None:
        """Observe a day, and say what changed for its machine: an alert raised, renewed or over."""
        scored = self.observe(day)
        if scored is None:
            return None
        if scored.is_unusual:
            self.memory.raised.add(day.device)
        elif day.device not in self.memory.raised or scored.score > CLEARS_BELOW * scored.threshold:
            return None
        else:
            self.memory.raised.discard(day.device)
        return Verdict(
            rule=RULE,
            raised=scored.is_unusual,
            at=Millis(day.day + DAY),
            severity=self._severity,
            value=round(scored.score, 2),
            threshold=round(scored.threshold, 2),
            unit="spreads",
            reason=scored.sentence()
            if scored.is_unusual
            else f"A usual day for model {day.model} again.",
        )


def _value(name: str, day: MachineDay) -> float | None:
    value = FIGURES[name].of(day)
    return float(value) if value is not None and math.isfinite(value) else None


def _score(day: MachineDay, memory: ModelMemory, known: dict[str, float]) -> AnomalyScore | None:
    away: dict[str, tuple[float, RecentValues]] = {}
    for name, value in known.items():
        recent = memory.figures.get(name)
        if recent is not None and len(recent) >= WARM_UP_DAYS:
            middle = recent.quantile(0.5)
            spread = max(recent.spread(middle), FIGURES[name].least_spread)
            away[name] = ((value - middle) / spread, recent)
    if not away:
        return None
    squared = math.fsum(distance * distance for distance, _ in away.values())
    contributions = [
        Contribution(
            figure=name,
            value=known[name],
            low=recent.quantile(0.05),
            high=recent.quantile(0.95),
            spreads=distance,
            share=distance * distance / squared if squared else 0.0,
        )
        for name, (distance, recent) in away.items()
    ]
    contributions.sort(key=lambda one: (-one.share, one.figure))
    threshold = LEAST_SCORE
    if len(memory.scores) >= WARM_UP_DAYS:
        middle = memory.scores.quantile(0.5)
        reach = REACH * (memory.scores.quantile(HIGH) - middle)
        threshold = max(threshold, middle + reach)
    return AnomalyScore(day, math.sqrt(squared), threshold, tuple(contributions))


def _words(one: Contribution) -> str:
    figure = FIGURES[one.figure]
    side = "above" if one.spreads > 0 else "below"
    return (
        f"{figure.words} {_amount(one.value, figure.unit)}, usually {_number(one.low)} to "
        f"{_amount(one.high, figure.unit)} ({abs(one.spreads):.1f} spreads {side} the middle)"
    )


def _amount(value: float, unit: str) -> str:
    return f"{_number(value)} {unit}".rstrip()


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"
