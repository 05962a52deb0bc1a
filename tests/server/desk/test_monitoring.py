"""What the monitor counts, and what Prometheus reads from its port."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from federation.errors import InputError
from federation.scoring import default_probability, scores_of
from server.desk.answers import Absence, BatchAnswer, Gathered, LoadedModel, ScoreAnswer
from server.desk.monitoring.drift import DriftSettings
from server.desk.monitoring.exposition import registry_of
from server.desk.monitoring.model_watch import ModelWatch
from server.desk.monitoring.monitor import Monitor
from server.desk.monitoring.series import MOST_SERIES, Counts, Histogram
from server.desk.monitoring.serving import MetricsServer
from tests.server.desk.models import LABEL_PARTY, HandMade, served_model

DIGEST = "d" * 64


@pytest.fixture(scope="module")
def made() -> HandMade:
    """A model of a bank and two feature parties."""
    return served_model(("platform", "lessor"))


class NoContributors:
    """Feature parties that nobody asks here."""

    async def gather(self, borrowers: object, seconds: float) -> Gathered:
        """Not asked."""
        raise NotImplementedError

    async def reasons(self, *_: object) -> dict[str, None]:
        """Not asked."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to close."""


def loaded(made: HandMade) -> LoadedModel:
    """The model as a registry would hand it over."""
    return LoadedModel("first", "production", made.served, DIGEST, NoContributors())


def answers(made: HandMade, variant: int = 0) -> list[tuple[ScoreAnswer, int]]:
    """Every borrower's answer and own points, by the offline path."""
    chosen = made.served.variants[variant]
    absent = {
        party: Absence.SILENT for party in made.served.main.parties if party not in chosen.parties
    }
    own, points = made.own_points(chosen), made.points(chosen)
    log_odds = chosen.calibration.log_odds(points)
    scores, probabilities = 500 - points.clip(-500, 500), default_probability(log_odds)
    return [
        (
            ScoreAnswer("first", DIGEST, "champion", chosen, int(p), int(s), float(q), absent),
            int(o),
        )
        for o, p, s, q in zip(own, points, scores, probabilities, strict=True)
    ]


def test_a_monitor_sees_the_development_sample_as_stable(made: HandMade) -> None:
    """The very borrowers that the development sample was made of give an index of about 0."""
    monitor = Monitor(clock=lambda: 0.0)
    monitor.on_models([loaded(made)])
    for answer, own in answers(made):
        monitor.on_scored(answer, own)
    readings = {
        (one.of, one.window): one.reading for one in monitor.watches[DIGEST].readings(0.0, 0.01)
    }
    assert {of for of, _ in readings} == {"score", LABEL_PARTY, "partners"}
    assert {window for _, window in readings} == {"1000", "10000", "day"}
    for reading in readings.values():
        assert reading.scores == 400
        assert reading.index == pytest.approx(0, abs=1e-9)


def test_a_shift_at_a_partner_shows_there_and_not_at_the_bank(made: HandMade) -> None:
    """Partners' points moved by one doubling of the odds."""
    monitor = Monitor(clock=lambda: 0.0)
    monitor.on_models([loaded(made)])
    for answer, own in answers(made):
        moved = ScoreAnswer(
            *(answer.model, answer.digest, answer.role, answer.variant),
            answer.points + 20,
            answer.score - 20,
            answer.probability,
        )
        monitor.on_scored(moved, own)
    index = {
        one.of: one.reading.index
        for one in monitor.watches[DIGEST].readings(0.0, 0.01)
        if one.window == "1000"
    }
    assert index["partners"] > 0.25
    assert index["score"] > 0.25
    assert index[LABEL_PARTY] == pytest.approx(0, abs=1e-9)


def test_fallback_answers_count_as_degraded_and_not_against_the_development_sample(
    made: HandMade,
) -> None:
    """A variant's points are on another scale than the model's."""
    monitor = Monitor(clock=lambda: 0.0)
    monitor.on_models([loaded(made)])
    alone = len(made.served.variants) - 1
    for answer, own in answers(made, alone):
        monitor.on_scored(answer, own)
    for answer, own in answers(made)[:100]:
        monitor.on_scored(answer, own)
    scored = {
        reading.of: reading.reading.scores
        for reading in monitor.watches[DIGEST].readings(0.0, 0.01)
        if reading.window == "1000"
    }
    assert scored["score"] == 100
    shares = monitor.absent_shares(1_000)
    assert shares[("platform", "silent")].share == pytest.approx(400 / 500)
    assert dict(monitor.absent.items())[("lessor", "silent")] == 400
    assert dict(monitor.scores.items())[("first", "champion", made.served.alone.name, "yes")] == 400


def test_a_batch_counts_as_its_single_scores_would(made: HandMade) -> None:
    """Every counter and window, over two variants in one batch."""
    main, fallback = made.served.main, made.served.variants[1]
    unknown = next(iter(set(main.parties) - set(fallback.parties)))
    rows = np.arange(400) % 3 == 0
    own = np.where(rows, made.own_points(fallback), made.own_points(main)).astype(np.int32)
    points = np.where(rows, made.points(fallback), made.points(main))
    log_odds = np.where(
        rows, fallback.calibration.log_odds(points), main.calibration.log_odds(points)
    )
    scores, probabilities = scores_of(log_odds), default_probability(log_odds)
    single, batched = (Monitor(clock=lambda: 0.0) for _ in range(2))
    for monitor in (single, batched):
        monitor.on_models([loaded(made)])
    for place in range(400):
        variant = fallback if rows[place] else main
        absent = {unknown: Absence.NOT_KNOWN_THERE} if rows[place] else {}
        single.on_scored(
            ScoreAnswer(
                *("first", DIGEST, "champion", variant, int(points[place]), int(scores[place])),
                float(probabilities[place]),
                absent,
            ),
            int(own[place]),
        )
    batched.on_batch(
        BatchAnswer(
            *("first", DIGEST, (main, fallback), rows.astype(np.uint8)),
            points,
            scores,
            probabilities,
        ),
        own,
    )
    assert page(single) == page(batched)


def page(monitor: Monitor) -> str:
    """The desk's own metrics as text."""
    from prometheus_client.exposition import generate_latest

    text = generate_latest(registry_of(monitor)).decode()
    return "\n".join(sorted(line for line in text.splitlines() if "veilscore" in line))


def test_drift_is_logged_once_and_cleared_once(
    made: HandMade, caplog: pytest.LogCaptureFixture
) -> None:
    """Raised after the checks it takes, shown in the metrics, cleared when scores come back."""
    monitor = Monitor(
        drift=DriftSettings(least_scores=100, checks=2, window=1_000), clock=lambda: 0.0
    )
    monitor.on_models([loaded(made)])
    normal = answers(made)
    risky = sorted(normal, key=lambda pair: pair[0].score)[:100]
    with caplog.at_level(logging.INFO, "veilscore.desk"):
        for pairs in (normal, risky * 20, normal * 3):
            for answer, own in pairs:
                monitor.on_scored(answer, own)
            for _ in range(5):
                monitor.check_drift()
            if pairs is not normal and len(pairs) == 2_000:
                assert 'drift_alarm{model="first",of="score"} 1.0' in page(monitor)
    about_scores = [one.getMessage() for one in caplog.records if "'score'" in one.getMessage()]
    assert [re.findall("raised|cleared", text) for text in about_scores] == [
        ["raised"],
        ["cleared"],
    ]
    assert 'drift_alarm{model="first",of="score"} 0.0' in page(monitor)
    assert 'drift_alarms_raised_total{model="first",of="score"} 1.0' in page(monitor)


def test_checking_goes_on_until_it_is_cancelled(made: HandMade) -> None:
    """The background task of the desk."""
    monitor = Monitor(drift=DriftSettings(least_scores=1, checks=1, check_seconds=0.001))
    monitor.on_models([loaded(made)])
    worst = min(answers(made), key=lambda pair: pair[0].score)
    for _ in range(500):
        monitor.on_scored(*worst)

    async def watched() -> None:
        task = asyncio.create_task(monitor.keep_checking())
        while not monitor.drift_events.items():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(watched(), 10))


def test_labels_hold_callers_of_the_access_file_alone() -> None:
    """Whatever name a call comes with, and however many methods, statuses and parties."""
    monitor = Monitor(callers=["lending"])
    monitor.on_call("Score", "lending", "OK", 0.004)
    monitor.on_call("Score", "b0001 of the borrowers", "UNAUTHENTICATED", 0.001)
    monitor.on_callers(["other-system"])
    monitor.on_call("Score", "lending", "OK", 0.004)
    assert dict(monitor.calls.items()) == {
        ("Score", "lending", "OK"): 1,
        ("Score", "other", "UNAUTHENTICATED"): 1,
        ("Score", "other", "OK"): 1,
    }
    for number in range(3 * MOST_SERIES):
        monitor.on_call(f"m{number}", "", "OK", 0.1)
        monitor.on_asked(f"p{number}", "answered", 0.1)
        monitor.on_breaker(f"p{number}", "open")
        monitor.on_decided(f"product{number}", "approve")
    assert len(monitor.calls.items()) <= MOST_SERIES + 1
    assert len(page(monitor).splitlines()) < 80 * MOST_SERIES
    assert dict(monitor.asked.items())[("other", "other")] == 2 * MOST_SERIES


def test_decisions_give_approval_rates() -> None:
    """By product, over the last thousand."""
    monitor = Monitor()
    for decision in ["decline"] * 500 + ["approve"] * 600 + ["refer"] * 300 + ["odd"] * 100:
        monitor.on_decided("working-capital", decision)
    assert monitor.approvals()["working-capital"].share == pytest.approx(600 / 1_000)
    assert 'approval_rate{product="working-capital"} 0.6' in page(monitor)


def test_models_that_stay_keep_their_windows(made: HandMade) -> None:
    """A reload with the same digest forgets nothing; a model that is gone is not shown."""
    monitor = Monitor()
    monitor.on_models([loaded(made)])
    monitor.on_scored(*answers(made)[0])
    kept = monitor.watches[DIGEST]
    monitor.on_models([loaded(made)])
    assert monitor.watches[DIGEST] is kept
    assert f'model_info{{digest="{DIGEST}",model="first",stage="production"' in page(monitor)
    monitor.on_models([])
    assert "model_info{" not in page(monitor)


@pytest.fixture
def server(made: HandMade) -> Iterator[tuple[Monitor, MetricsServer]]:
    """A monitor on a free port."""
    monitor = Monitor(callers=["lending"])
    monitor.on_models([loaded(made)])
    running = MetricsServer(registry_of(monitor), "127.0.0.1:0")
    yield monitor, running
    running.close()


def get(address: str, path: str = "/metrics") -> str:
    """A page over HTTP."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as reply:
        return reply.read().decode()


def test_prometheus_can_read_every_metric(
    server: tuple[Monitor, MetricsServer], made: HandMade
) -> None:
    """Over HTTP, by Prometheus's own parser, while scores come in."""
    monitor, running = server
    for answer, own in answers(made)[:50]:
        monitor.on_scored(answer, own)
    monitor.on_call("Score", "lending", "OK", 0.0021)
    monitor.on_asked("platform", "answered", 0.003)
    monitor.on_breaker("platform", "half_open")
    monitor.on_decided("working-capital", "approve")
    monitor.watch_queue("audit", lambda: 3)
    families = {one.name: one for one in text_string_to_metric_families(get(running.address))}
    names = {name.removeprefix("veilscore_desk_") for name in families}
    assert names >= {
        *("calls", "call_seconds", "scores", "score", "absent", "absent_share", "asked"),
        *(
            "asked_seconds",
            "breaker_state",
            "decisions",
            "approval_rate",
            "model_info",
            "variant_auc",
        ),
        *("stability_index", "stability_critical", "stability_scores", "drift_alarm"),
        *("queue_depth", "process_cpu_seconds"),
    }
    samples = {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in families.values()
        for one in family.samples
    }
    seconds = "veilscore_desk_call_seconds"
    assert samples[(f"{seconds}_bucket", (("le", "0.002"), ("method", "Score")))] == 0
    assert samples[(f"{seconds}_bucket", (("le", "0.003"), ("method", "Score")))] == 1
    assert samples[(f"{seconds}_count", (("method", "Score"),))] == 1
    state = "veilscore_desk_breaker_state"
    assert samples[(state, (("party", "platform"), ("state", "half open")))] == 1
    assert samples[(state, (("party", "platform"), ("state", "open")))] == 0
    assert samples[("veilscore_desk_queue_depth", (("queue", "audit"),))] == 3
    assert samples[("veilscore_desk_score_count", (("model", "first"), ("role", "champion")))] == 50


def test_other_paths_and_silent_scrapers_do_no_harm(
    server: tuple[Monitor, MetricsServer],
) -> None:
    """404 elsewhere; more silent connections than there is room for don't keep the port."""
    _, running = server
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(running.address, "/")
    host, _, port = running.address.rpartition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(7)]
    assert "veilscore_desk_model_info" in get(running.address)
    for connection in silent:
        connection.close()


def test_a_taken_port_is_said_so(server: tuple[Monitor, MetricsServer]) -> None:
    """In one sentence, as for an address that is none."""
    _, running = server
    for listen in (running.address, "here", "127.0.0.1:99999", "127.0.0.1"):
        with pytest.raises(InputError, match="metrics can't be served"):
            MetricsServer(registry_of(Monitor()), listen)


def test_a_long_development_sample_is_left_out(made: HandMade) -> None:
    """More classes than a window can tell apart."""
    from dataclasses import replace

    from federation.scoring import Development

    long = Development(tuple(map(float, range(300))), (1.0, *[0.0] * 300))
    served = replace(made.served, development={**made.served.development, "score": long})
    watch = ModelWatch("first", "production", DIGEST, served)
    answer, own = answers(made)[0]
    watch.scored(answer, own, 0.0)
    assert {one.of for one in watch.readings(0.0, 0.01)} == {LABEL_PARTY, "partners"}


@given(st.lists(st.floats(0, 10), max_size=50))
def test_histograms_count_every_value_once(values: list[float]) -> None:
    """Cumulative buckets as Prometheus defines them: at or below the upper end."""
    histogram = Histogram((0.5, 1.0, 2.0))
    for value in values:
        histogram.observe(value)
    assert histogram.cumulative() == [
        (end, sum(value <= float(end) for value in values)) for end in ("0.5", "1.0", "2.0")
    ] + [("+Inf", len(values))]
    many = Histogram((0.5, 1.0, 2.0))
    many.observe_many(np.array(values, dtype=np.float64))  # type: ignore[arg-type]
    assert many.cumulative() == histogram.cumulative()


def test_counts_go_on_in_one_series_when_there_are_too_many() -> None:
    """None is lost."""
    counts = Counts()
    for number in range(2 * MOST_SERIES):
        counts.add((str(number), "x"), 2)
    assert sum(many for _, many in counts.items()) == 4 * MOST_SERIES
    assert dict(counts.items())[("other", "other")] == 2 * MOST_SERIES
