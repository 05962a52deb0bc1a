"""The open-loop load generator: times, bounds, and that a stalled desk can't hide its stall."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InputError
from federation.proto.scoring_pb2 import ScoreRequest, Value
from simulations.open_loop import (
    MOST_A_SECOND,
    Arrivals,
    Load,
    Target,
    check_loopback,
    open_loop,
)
from simulations.open_loop_process import apart, open_loop_apart
from simulations.open_loop_recording import percentiles
from tests.examples.desk_certificates import Certificates, make_certificates
from tests.examples.plain_desk import PlainDesk, plain_desk

LIGHT = Load(rate=400, seconds=0.25, channels=2, call_seconds=10.0, warm=2)
AGES = (0, 20, 40)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of a desk and a caller."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def running(certificates: Certificates) -> Iterator[tuple[PlainDesk, Target]]:
    """A desk and the way to it."""
    with plain_desk(certificates) as (desk, address):
        yield desk, target_of(address, certificates)


def target_of(address: str, certificates: Certificates) -> Target:
    caller = certificates.certificate("caller"), certificates.key("caller")
    return Target(address, certificates.ca.read_bytes(), *(path.read_bytes() for path in caller))


def requests() -> list[bytes]:
    asked = [ScoreRequest(borrower="firm", features={"age": Value(number=age)}) for age in AGES]
    return [request.SerializeToString() for request in asked]


def test_every_request_is_recorded_in_its_place(running: tuple[PlainDesk, Target]) -> None:
    """The i-th answer is the i-th request's, and all are there."""
    desk, target = running
    recording = open_loop(target, LIGHT, requests())
    assert recording.score.tolist() == [500 + AGES[i % 3] for i in range(100)]
    assert recording.variants == ("exact",)
    assert np.isfinite(recording.latency).all()
    assert (recording.latency >= recording.lag).all()
    figures = recording.figures()
    assert (figures["requests"], figures["answered"], figures["errors"]) == (100, 100, {})
    assert figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert len(desk.asked) == 100 + LIGHT.warm * LIGHT.channels


def test_a_stalled_desk_cannot_hide_its_stall(running: tuple[PlainDesk, Target]) -> None:
    """Requests due during a stall of 0.4 s count from when they were due."""
    desk, target = running
    load = replace(LIGHT, rate=100, seconds=0.6, arrivals=Arrivals.CONSTANT, warm=0)
    desk.stall_at, desk.stall_seconds = 10, 0.4
    recording = open_loop(target, load, requests())
    # About 40 requests were due in the stall; a closed loop would have seen a few slow ones.
    assert (recording.latency > 0.1).sum() >= 20
    assert recording.answered.all()


def test_errors_are_counted_by_their_status(running: tuple[PlainDesk, Target]) -> None:
    """Failed calls are neither hidden nor taken for answers."""
    desk, target = running
    desk.fail[:] = [grpc.StatusCode.UNAVAILABLE] * 3 + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
    recording = open_loop(target, replace(LIGHT, warm=0), requests())
    assert recording.errors() == {"RESOURCE_EXHAUSTED": 2, "UNAVAILABLE": 3}
    assert recording.figures()["answered"] == 95
    assert np.isnan(recording.probability[~recording.answered]).all()


def test_a_call_ends_at_its_deadline(running: tuple[PlainDesk, Target]) -> None:
    """A desk that never answers ends no later than the calls' own deadline."""
    desk, target = running
    desk.stall_at, desk.stall_seconds = 1, 60.0
    load = replace(LIGHT, rate=20, seconds=0.2, call_seconds=0.1, warm=0)
    recording = open_loop(target, load, requests())
    assert recording.errors() == {"DEADLINE_EXCEEDED": 4}


def test_the_generator_runs_in_a_process_of_its_own(running: tuple[PlainDesk, Target]) -> None:
    """The recording comes back whole."""
    _, target = running
    recording = open_loop_apart(target, LIGHT, requests())
    assert recording.answered.all()
    assert apart(os.getpid, (), 20.0) != os.getpid()


def test_a_process_that_fails_says_so() -> None:
    """Its own error is raised here; a process that dies or hangs is one too."""
    with pytest.raises(InputError, match="loopback addresses only"):
        apart(check_loopback, ("10.0.0.1:80",), 20.0)
    with pytest.raises(InputError, match="process died"):
        apart(os._exit, (3,), 20.0)
    with pytest.raises(InputError, match="did not come to its end"):
        apart(time.sleep, (60,), 0.2)


@pytest.mark.parametrize(
    "address",
    ["desk.bank.example:7443", "10.0.0.1:80", "0.0.0.0:80", "127.0.0.1", "127.0.0.1:0", "[::]:1"],
)
def test_only_this_machine_is_loaded(address: str) -> None:
    """Names and other addresses are refused."""
    with pytest.raises(InputError, match="loopback addresses only"):
        check_loopback(address)


@pytest.mark.parametrize("address", ["127.0.0.1:7443", "127.0.0.2:1", "[::1]:65535"])
def test_this_machine_is_accepted(address: str) -> None:
    """In both address families."""
    check_loopback(address)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0.0},
        {"rate": MOST_A_SECOND * 2},
        {"rate": float("nan")},
        {"seconds": float("nan")},
        {"seconds": 1e9},
        {"channels": 0},
        {"call_seconds": 60.0},
        {"warm": -1},
    ],
)
def test_a_load_without_an_end_is_refused(wrong: dict[str, float]) -> None:
    """Every bound holds."""
    with pytest.raises(InputError, match="load: "):
        replace(LIGHT, **wrong).check()


@given(
    rate=st.floats(1, 500),
    seconds=st.floats(0.01, 20),
    arrivals=st.sampled_from(Arrivals),
    seed=st.integers(0, 2**32),
)
def test_requests_are_due_in_order_and_within_the_time(
    rate: float, seconds: float, arrivals: Arrivals, seed: int
) -> None:
    """As many as the rate says; the same seed, the same times."""
    load = Load(rate, seconds, arrivals, seed=seed)
    due = load.due()
    assert len(due) == max(1, round(rate * seconds))
    assert (np.diff(due) >= 0).all()
    assert due[0] >= 0
    assert due[-1] <= seconds + 1 / rate
    assert (due == load.due()).all()


def test_percentiles_were_really_measured() -> None:
    """No percentile lies between two measurements, and the worst is shown."""
    latency = np.array([0.001] * 99 + [1.0])
    figures = percentiles(latency)
    assert (figures["p50_ms"], figures["p90_ms"]) == (1.0, 1.0)
    assert figures["p999_ms"] == figures["max_ms"] == 1000.0
