"""The benchmark of the scoring desk: every part a real process, and what it must notice."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation.errors import InputError
from federation.proto import scoring_pb2 as pb
from simulations import bench_scoring
from simulations import bench_scoring_desk as desk_processes
from simulations import bench_scoring_processes as processes
from simulations.bench_scoring import Bench, Setting, _killed, _silent
from simulations.bench_scoring_batches import stream_batches
from simulations.bench_scoring_comparison import Comparison
from simulations.bench_scoring_desk import running_desk, running_partners
from simulations.bench_scoring_federation import PARTNERS, Trained
from simulations.bench_scoring_offline import Offline, offline_scores
from simulations.bench_scoring_processes import Service, ended_in_order, service
from simulations.bench_scoring_soak import MemoryWatch, soak
from simulations.open_loop import open_loop
from tests.examples.served_desk import ServedDesk

READY = re.compile(r"answers on (127\.0\.0\.1:\d+)")
SHORT = Setting(seconds=0.75, batch_scores=1000)
RATE = 80.0
GENEROUS_MS = 500  # a deadline that a busy machine keeps, too


@pytest.fixture(scope="module")
def offline(made_trained: Trained) -> Offline:
    """What its desk must answer."""
    return offline_scores(made_trained)


@pytest.fixture
def plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """`service` runs Python with the arguments, not veilscore."""
    monkeypatch.setattr(processes, "COMMAND", (sys.executable, "-c"))


def answering(then: str) -> list[str]:
    return [f"import time; print('x answers on 127.0.0.1:9', flush=True); {then}"]


@pytest.mark.usefixtures("plain_python")
def test_a_service_ends_with_its_block(tmp_path: Path) -> None:
    """In good order, by the signal that asks for it."""
    with ExitStack() as stack:
        one = stack.enter_context(service("x", answering("time.sleep(60)"), tmp_path, READY))
        assert one.address == "127.0.0.1:9"
        assert one.alive()
        assert one.resident_mb() > 1
        assert one.cpu_seconds() >= 0
    assert one.process.returncode == -signal.SIGTERM


@pytest.mark.usefixtures("plain_python")
def test_a_service_that_stands_still_is_ended_too(tmp_path: Path) -> None:
    """A stopped process takes no signal but the one that ends it."""
    with service("x", answering("time.sleep(60)"), tmp_path, READY) as one:
        one.stop_answering()
    assert not one.alive()


@pytest.mark.usefixtures("plain_python")
def test_a_service_that_does_not_start_says_why(tmp_path: Path) -> None:
    """Its last words stand in the sentence."""
    with (
        pytest.raises(InputError, match="process of x ended; its last words: no table here"),
        service("x", ["raise SystemExit('no table here')"], tmp_path, READY),
    ):
        pass


@pytest.mark.usefixtures("plain_python")
def test_being_asked_to_end_unwinds(tmp_path: Path) -> None:
    """SIGTERM leaves no process behind."""
    with (
        pytest.raises(SystemExit),
        ended_in_order(),
        service("x", answering("time.sleep(60)"), tmp_path, READY) as one,
    ):
        signal.raise_signal(signal.SIGTERM)
    assert not one.alive()


@pytest.mark.usefixtures("plain_python")
def test_growing_memory_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that takes a megabyte at a time and keeps it."""
    monkeypatch.setattr("simulations.bench_scoring_soak.FIRST_SECONDS", 0.01)
    grows = "kept = []\nfor _ in range(500): kept.append(b'x' * 2**20); time.sleep(0.005)"
    with service("x", [answering("")[0] + "\n" + grows], tmp_path, READY) as one:
        least = one.resident_mb() + 60

        def load() -> dict[str, int]:
            while one.resident_mb() < least:
                time.sleep(0.01)
            return {"answered": 1}

        figures = soak(one, load)
    assert figures["answered"] == 1
    assert figures["memory_growth_mb"] > 10


def test_samples_stay_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the soak is."""
    monkeypatch.setattr("simulations.bench_scoring_soak.FIRST_SECONDS", 0.0001)
    monkeypatch.setattr("simulations.bench_scoring_soak.SAMPLES", 8)

    class Steady:
        alive = staticmethod(lambda: True)
        resident_mb = staticmethod(lambda: 5.0)

    watch = MemoryWatch(Steady())  # type: ignore[arg-type]
    watch.start()
    time.sleep(0.1)
    assert 1 <= len(watch.stop()) <= 8


def test_offline_scores_are_those_of_the_parts(offline: Offline) -> None:
    """A borrower whom a partner does not know is scored without that partner."""
    expected = offline.expected_variants()
    for party in PARTNERS:
        assert not offline.known[party].all()
        alone = offline.known[party]
        for other in PARTNERS:
            alone = alone & (offline.known[other] if other == party else ~offline.known[other])
        assert set(expected[alone]) <= {f"exact~{party}"}
    both = offline.known[PARTNERS[0]] & offline.known[PARTNERS[1]]
    assert set(expected[both]) == {"exact"}


def test_requests_hold_every_feature_once(offline: Offline) -> None:
    """Unary and batch requests say the same of the same borrower."""
    places = np.array([3, 1])
    single = pb.ScoreRequest.FromString(offline.requests(places)[0])
    batch = pb.ScoreBatchRequest.FromString(offline.batch(7, places))
    assert (batch.sequence, batch.borrowers[0]) == (7, single.borrower)
    assert set(single.features) == {column.feature for column in batch.columns}
    for column in batch.columns:
        value = single.features[column.feature]
        kind = value.WhichOneof("kind")
        packed = column.numbers if kind == "number" else column.categories
        assert packed[0] == getattr(value, kind)
        assert offline.features(3)[column.feature] == packed[0]


def test_a_score_that_is_one_off_is_noticed(offline: Offline) -> None:
    """And so is a probability's last bit, and a variant that should not have answered."""
    places = np.flatnonzero(offline.expected_variants() == "exact")[:10]
    scores = offline.scores["exact"][places].copy()
    probabilities = offline.probabilities["exact"][places].copy()
    none, first = np.zeros(10, dtype=np.bool_), np.zeros(10, dtype=np.int64)
    right = Comparison()
    right.add(offline, places, ["exact"], first, scores, probabilities, none)
    assert right == Comparison(compared=10)
    scores[0] += 1
    probabilities[1] = np.nextafter(probabilities[1], 1)
    wrong = Comparison()
    wrong.add(offline, places, ["exact"], first, scores, probabilities, none)
    wrong.add(offline, places, ["exact~bank"], first, scores, probabilities, none)
    wrong.add(offline, places, ["exact~other"], first, scores, probabilities, ~none)
    assert wrong.compared == 30
    assert wrong.other_variant == 10
    assert wrong.different >= 2 + 10


@pytest.fixture(scope="module")
def federated(
    made_trained: Trained, offline: Offline, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Bench, dict[str, Service]]]:
    """A desk and two partners, each a process."""
    folder = tmp_path_factory.mktemp("running")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(desk_processes, "DEADLINE_MS", GENEROUS_MS)
        partners = stack.enter_context(running_partners(made_trained, folder))
        addresses = {name: partner.address for name, partner in partners.items()}
        desk = stack.enter_context(running_desk(made_trained, addresses, folder))
        yield Bench(desk, offline, SHORT, RATE, Comparison()), dict(partners)


@pytest.fixture
def generator_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The load comes from this process, which starts at once; the desk and partners are others."""
    monkeypatch.setattr(bench_scoring, "open_loop_apart", open_loop)


def test_online_equals_offline_under_load_and_in_batches(
    federated: tuple[Bench, dict[str, Service]],
) -> None:
    """Every score, to the last bit, over real mutual TLS."""
    bench, _ = federated
    bench.comparison = Comparison()
    _, figures = bench.load(replace(bench.usual_load(), warm=5, channels=2))
    assert (figures["answered"], figures["errors"], figures["degraded"]) == (60, {}, 0)
    batches = bench.batches()
    assert (batches["batch_scores"], batches["batch_degraded"]) == (1000, 0)
    assert bench.comparison == Comparison(compared=1060)


@pytest.mark.usefixtures("generator_here")
def test_a_silent_partner_loses_no_request(federated: tuple[Bench, dict[str, Service]]) -> None:
    """All are answered, by a variant without it, and say so."""
    bench, partners = federated
    bench.comparison = Comparison()
    with _silent(partners["platform"]):
        recording, figures = bench.load(replace(bench.usual_load(), warm=0, channels=2))
    assert figures["answered"] == figures["degraded"] == 60
    assert set(recording.variants) <= {"exact~receivables", "exact~bank"}
    assert bench.comparison == Comparison(compared=60)


@pytest.mark.usefixtures("generator_here")
def test_a_killed_partner_loses_no_request(federated: tuple[Bench, dict[str, Service]]) -> None:
    """Its process dies by force in the middle of the load."""
    bench, partners = federated
    bench.comparison = Comparison()
    figures = _killed(bench, partners["receivables"])
    assert (figures["lost"], figures["answered"]) == (0, 60)
    assert figures["degraded"] > 0
    assert bench.comparison == Comparison(compared=60)
    assert not partners["receivables"].alive()
    assert threading.active_count() < 20


def test_a_desk_without_partners_answers_alike(served: ServedDesk) -> None:
    """The pooled model, all features in every request."""
    offline = served.offline
    assert len(offline.served.features) == 23
    order = np.arange(100)
    recording = stream_batches(served.desk.target, [offline.batch(0, order)])
    with served.desk.client() as client:
        score = client.score(offline.borrowers[5], offline.features(5))
    assert recording.error == ""
    assert recording.scores.tolist() == offline.scores["exact"][order].tolist()
    assert (score.score, score.degraded) == (int(offline.scores["exact"][5]), False)
    assert score.probability_of_default == offline.probabilities["exact"][5]
