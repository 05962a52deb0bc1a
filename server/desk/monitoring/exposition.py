"""The desk's metrics as Prometheus reads them; see `monitor` for what they disclose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from server.desk.monitoring.drift import DriftEvent
from server.desk.monitoring.model_watch import WINDOWS
from server.desk.monitoring.monitor import BREAKER_STATES, Monitor
from server.desk.monitoring.outcome_summary import SUMMARY_NAME, SummaryFile
from server.desk.monitoring.series import Counts, Histograms

_PREFIX = "veilscore_desk_"


class MonitorCollector(Collector):
    """Turns a monitor's counts into metric families at each scrape.

    Args:
        monitor: what counts.
        desk: the desk's folder, where `veilscore desk outcomes` leaves its summary; it is read
            again when it changes.
    """

    def __init__(self, monitor: Monitor, desk: Path | None = None) -> None:
        """Nothing is read before the first scrape."""
        self._monitor = monitor
        self._outcomes = SummaryFile(desk / SUMMARY_NAME) if desk is not None else None

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: names are checked as they are collected."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._calls()
        yield from self._scores()
        yield from self._partners()
        yield from self._decisions()
        yield from self._models()
        yield from self._stability()
        if self._outcomes is not None:
            yield from self._observed(self._outcomes)
        yield _counter(
            "failures", "What failed unseen by callers.", ["what"], self._monitor.failures
        )
        queues = _gauge("queue_depth", "Entries that wait in a queue.", ["queue"])
        for name, depth in self._monitor.queues.copy().items():
            queues.add_metric([name], depth())
        yield queues

    def _calls(self) -> Iterator[Metric]:
        yield _counter(
            "calls", "Calls answered.", ["method", "caller", "status"], self._monitor.calls
        )
        yield _histogram(
            "call_seconds", "Time to answer a call.", ["method"], self._monitor.call_seconds
        )

    def _scores(self) -> Iterator[Metric]:
        monitor = self._monitor
        yield _counter(
            "scores", "Scores made.", ["model", "role", "variant", "degraded"], monitor.scores
        )
        yield _histogram(
            "score",
            "Scores: 500 is even odds, more is safer.",
            ["model", "role"],
            monitor.score_values,
        )
        yield _counter(
            "absent",
            "Scores made without a feature party's points.",
            ["party", "reason"],
            monitor.absent,
        )
        shares = _gauge(
            "absent_share",
            "Share of the last scores made without a feature party's points.",
            ["party", "reason", "window"],
        )
        for length in WINDOWS:
            for (party, reason), rate in monitor.absent_shares(length).items():
                shares.add_metric([party, reason, str(length)], rate.share)
        yield shares

    def _partners(self) -> Iterator[Metric]:
        monitor = self._monitor
        yield _counter("asked", "Requests to a partner.", ["party", "outcome"], monitor.asked)
        yield _histogram(
            "asked_seconds", "Time that a partner took.", ["party"], monitor.asked_seconds
        )
        states = _gauge(
            "breaker_state", "1 for the state of a partner's breaker.", ["party", "state"]
        )
        for party, now in monitor.breakers.copy().items():
            for state in BREAKER_STATES:
                states.add_metric([party, state], float(state == now))
        yield states

    def _decisions(self) -> Iterator[Metric]:
        yield _counter(
            "decisions", "Lending decisions.", ["product", "decision"], self._monitor.decisions
        )
        rates = _gauge("approval_rate", "Share approved of the last 1,000 decisions.", ["product"])
        for product, rate in self._monitor.approvals().items():
            rates.add_metric([product], rate.share)
        yield rates

    def _models(self) -> Iterator[Metric]:
        models = InfoMetricFamily(_PREFIX + "model", "Models that answer.")
        auc = _gauge("variant_auc", "AUC on the test borrowers.", ["model", "variant"])
        for watch in self._monitor.watches.values():
            models.add_metric(
                [],
                {
                    "model": watch.name,
                    "stage": watch.stage,
                    "digest": watch.digest,
                    "training": watch.served.training,
                    "trained_at": watch.served.trained_at,
                },
            )
            for variant in watch.served.variants:
                if variant.auc is not None:
                    auc.add_metric([watch.name, variant.name], variant.auc)
        yield models
        yield auc

    def _stability(self) -> Iterator[Metric]:
        monitor = self._monitor
        labels = ["model", "of", "window"]
        index = _gauge("stability_index", "Against the development sample, in nats.", labels)
        critical = _gauge(
            "stability_critical", "What the index exceeds by chance alone, rarely.", labels
        )
        scores = _gauge("stability_scores", "Scores in the window.", labels)
        alarm = _gauge("drift_alarm", "1 while the drift alarm is raised.", ["model", "of"])
        now = monitor.clock()
        for watch in monitor.watches.values():
            for one in watch.readings(now, monitor.drift.significance):
                values = [watch.name, one.of, one.window]
                index.add_metric(values, one.reading.index)
                critical.add_metric(values, one.reading.critical)
                scores.add_metric(values, one.reading.scores)
            for of, state in watch.alarms.copy().items():
                alarm.add_metric([watch.name, of], float(state.raised))
        yield from (index, critical, scores, alarm)
        events = CounterMetricFamily(
            _PREFIX + "drift_alarms_raised", "Drift alarms raised.", labels=["model", "of"]
        )
        for (model, of, event), many in monitor.drift_events.items():
            if event == DriftEvent.RAISED:
                events.add_metric([model, of], many)
        yield events

    def _observed(self, file: SummaryFile) -> Iterator[Metric]:
        summary = file.read()
        if summary is None:
            return
        rates = _gauge("bad_rate", "Observed default rate.", ["digest", "from", "to"])
        many = _gauge("outcomes", "Outcomes known.", ["digest"])
        auc = _gauge("observed_auc", "AUC on observed outcomes.", ["digest"])
        ratio = _gauge("observed_to_predicted", "Defaults observed for each predicted.", ["digest"])
        for one in summary.models:
            many.add_metric([one.model], one.outcomes)
            for band in one.bands:
                ends = [f"{band.lowest:.0f}", f"{band.highest:.0f}"]
                rates.add_metric([one.model, *ends], band.observed)
            if one.auc is not None:
                auc.add_metric([one.model], one.auc.value)
            if one.ratio is not None:
                ratio.add_metric([one.model], one.ratio.value)
        yield from (rates, many, auc, ratio)


def registry_of(monitor: Monitor, desk: Path | None = None) -> CollectorRegistry:
    """A registry of its own: the monitor's metrics, observed outcomes, the process's own."""
    registry = CollectorRegistry()
    registry.register(MonitorCollector(monitor, desk))
    ProcessCollector(registry=registry)
    return registry


def _counter(name: str, words: str, labels: Sequence[str], counts: Counts) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, words, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _gauge(name: str, words: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, words, labels=labels)


def _histogram(name: str, words: str, labels: Sequence[str], values: Histograms) -> Metric:
    family = HistogramMetricFamily(_PREFIX + name, words, labels=labels)
    for of, histogram in values.items():
        family.add_metric(of, histogram.cumulative(), histogram.total)
    return family
