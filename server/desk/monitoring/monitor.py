"""What the desk counts while it answers.

The hooks are called on the hot path, from one thread (the event loop's). Each updates counters in
place and costs a few microseconds; a scrape reads them from another thread through
`MonitorCollector`.

What the metrics disclose to who reads them: how many scores which caller asked for and when, how
fast and how well each partner answers, how scores and decisions are distributed, and how far both
have left the development sample. They hold no borrower, no feature and no single score; but a desk
that scores one borrower between two scrapes shows that borrower's class of scores to whoever reads
both. Keep the port to the bank's own monitoring.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from server.desk.answers import Absence, BatchAnswer, LoadedModel, ScoreAnswer
from server.desk.monitoring.drift import DriftEvent, DriftSettings
from server.desk.monitoring.model_watch import WINDOWS, ModelWatch
from server.desk.monitoring.series import (
    LATENCY_BUCKETS,
    MOST_SERIES,
    OTHER,
    SCORE_BUCKETS,
    Counts,
    Histograms,
)
from server.desk.monitoring.windows import ClassWindow

log = logging.getLogger("veilscore.desk")

DECISIONS = ("approve", "decline", "refer")
BREAKER_STATES = ("closed", "half open", "open")
# Which parties were absent, and why, as one class; 0: none. The last holds rarer combinations.
_ABSENCES = 64

AbsenceSet = tuple[tuple[str, Absence], ...]


class Clock(Protocol):
    """Seconds that never go back."""

    def __call__(self) -> float:
        """Now."""
        ...


@dataclass(frozen=True)
class Rate:
    """A share over a window, and of how many."""

    share: float
    of: int


class Monitor:
    """Counts calls, scores, partners' answers and decisions.

    Args:
        callers: names in access.toml; any other caller counts as 'other'.
        drift: thresholds of the alarm.
        clock: for the windows of a day.
    """

    def __init__(
        self,
        callers: Iterable[str] = (),
        drift: DriftSettings | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Nothing counted yet."""
        self.drift = drift or DriftSettings()
        self.clock = clock
        self._callers: Collection[str] = frozenset(callers)
        self.calls = Counts()  # method, caller, status
        self.call_seconds = Histograms(LATENCY_BUCKETS)  # method
        self.scores = Counts()  # model, role, variant, degraded
        self.score_values = Histograms(SCORE_BUCKETS)  # model, role
        self.absent = Counts()  # party, reason
        self.asked = Counts()  # party, outcome
        self.asked_seconds = Histograms(LATENCY_BUCKETS)  # party
        self.decisions = Counts()  # product, decision
        self.drift_events = Counts()  # model, of, event
        self.failures = Counts()  # what
        self.breakers: dict[str, str] = {}
        self.queues: dict[str, Callable[[], int]] = {}
        self.watches: dict[str, ModelWatch] = {}
        self._absence_codes: dict[AbsenceSet, int] = {(): 0}
        self._absences = ClassWindow(_ABSENCES, WINDOWS)
        self._decided: dict[str, ClassWindow] = {}

    def on_callers(self, callers: Iterable[str]) -> None:
        """access.toml was read again: these are its callers."""
        self._callers = frozenset(callers)

    def on_models(self, models: Iterable[LoadedModel]) -> None:
        """These models answer now; those that stay keep their windows."""
        watches: dict[str, ModelWatch] = {}
        for model in models:
            known = self.watches.get(model.digest)
            if known is None:
                known = ModelWatch(model.name, model.stage, model.digest, model.served)
            known.name, known.stage = model.name, model.stage
            watches[model.digest] = known
        self.watches = watches

    def on_call(self, method: str, caller: str, status: str, seconds: float) -> None:
        """A call was answered: `status` by its gRPC name or HTTP number."""
        if caller not in self._callers:
            caller = OTHER
        self.calls.add((method, caller, status))
        self.call_seconds.observe((method,), seconds)

    def on_scored(self, answer: ScoreAnswer, own_points: int) -> None:
        """A score was made; `own_points` are the label party's."""
        now = self.clock()
        absent = answer.absent
        degraded = "yes" if absent and answer.degraded else "no"
        self.scores.add((answer.model, answer.role, answer.variant.name, degraded))
        self.score_values.observe((answer.model, answer.role), answer.score)
        if absent:
            for party, reason in absent.items():
                self.absent.add((party, reason.value))
        self._absences.push(self._absence_code(absent), now)
        watch = self.watches.get(answer.digest)
        if watch is not None:
            watch.scored(answer, own_points, now)

    def on_batch(
        self, answer: BatchAnswer, own_points: npt.NDArray[np.int32], role: str = "champion"
    ) -> None:
        """Scores of a batch were made; `own_points` (n,) are the label party's."""
        now = self.clock()
        watch = self.watches.get(answer.digest)
        everyone = frozenset(watch.served.main.parties if watch else ())
        codes = np.zeros(len(answer.scores), dtype=np.uint8)
        for place, variant in enumerate(answer.variants):
            rows = answer.variant == place
            many = int(np.count_nonzero(rows))
            if not many:
                continue
            absent = dict.fromkeys(everyone - {*variant.parties}, Absence.NOT_KNOWN_THERE)
            absent |= answer.absent
            degraded = any(reason.degrades for reason in absent.values())
            self.scores.add((answer.model, role, variant.name, "yes" if degraded else "no"), many)
            for party, reason in absent.items():
                self.absent.add((party, reason.value), many)
            codes[rows] = self._absence_code(absent)
        self.score_values.of((answer.model, role)).observe_many(answer.scores)
        self._absences.extend(codes, now)
        if watch is not None:
            watch.batch(answer, own_points, now)

    def on_asked(self, party: str, outcome: str, seconds: float) -> None:
        """A partner was asked: how it went ('answered', 'silent', ...) and how long it took."""
        self.asked.add((party, outcome))
        self.asked_seconds.observe((party,), seconds)

    def on_breaker(self, party: str, state: str) -> None:
        """A partner's circuit breaker is 'closed', 'half open' or 'open' now."""
        if party in self.breakers or len(self.breakers) < MOST_SERIES:
            self.breakers[party] = state.replace("_", " ").replace("-", " ").lower()

    def on_decided(self, product: str, decision: str) -> None:
        """The lending policy decided on a product."""
        self.decisions.add((product, decision))
        window = self._decided.get(product)
        if window is None:
            if len(self._decided) >= MOST_SERIES:
                return
            window = self._decided[product] = ClassWindow(len(DECISIONS) + 1, (1_000,))
        code = DECISIONS.index(decision) if decision in DECISIONS else len(DECISIONS)
        window.push(code, self.clock())

    def on_failed(self, what: str) -> None:
        """Something failed that the caller did not see: 'contributors', 'shadow', ..."""
        self.failures.add((what,))

    def watch_queue(self, name: str, depth: Callable[[], int]) -> None:
        """A queue whose depth is read at each scrape, from the scraping thread."""
        self.queues[name] = depth

    def check_drift(self) -> None:
        """Check every model for drift; an alarm is logged once, and once when it clears."""
        for watch in self.watches.values():
            for of, (event, reading) in watch.check(self.drift).items():
                self.drift_events.add((watch.name, of, event.value))
                log.log(
                    logging.WARNING if event is DriftEvent.RAISED else logging.INFO,
                    "drift alarm %s: '%s' of model %s has stability index %.3f over its last %d "
                    "scores (chance alone: below %.3f)",
                    *(event.value, of, watch.name, reading.index, reading.scores),
                    reading.critical,
                )

    async def keep_checking(self) -> None:
        """Check for drift again and again, until cancelled."""
        while True:
            await asyncio.sleep(self.drift.check_seconds)
            self.check_drift()

    def absent_shares(self, length: int) -> dict[tuple[str, str], Rate]:
        """By party and reason, the share of the last `length` scores without its points."""
        counts = self._absences.counts(length)
        total = sum(counts)
        shares: dict[tuple[str, str], float] = {}
        for absences, code in self._absence_codes.copy().items():
            for party, reason in absences:
                key = (party, reason.value)
                shares[key] = shares.get(key, 0.0) + counts[code] / max(total, 1)
        return {key: Rate(share, total) for key, share in shares.items()}

    def approvals(self) -> dict[str, Rate]:
        """By product, the share approved of the last 1,000 decisions."""
        rates = {}
        for product, window in self._decided.copy().items():
            counts = window.counts(1_000)
            rates[product] = Rate(counts[0] / max(sum(counts), 1), sum(counts))
        return rates

    def _absence_code(self, absent: Mapping[str, Absence]) -> int:
        if not absent:
            return 0
        absences = tuple(sorted(absent.items()))
        code = self._absence_codes.get(absences)
        if code is None:
            if len(self._absence_codes) >= _ABSENCES - 1:
                return _ABSENCES - 1
            code = self._absence_codes[absences] = len(self._absence_codes)
        return code
