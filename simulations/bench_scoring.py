"""`veilscore bench scoring`: the scoring desk under open-loop load, every part a real process.

A federation in a temporary folder is trained, then served as in a deployment: a desk, two partners'
answer sides, and a load generator, each a process of its own, over mutual TLS on this machine.
Every score that comes back is compared with the one computed offline; they must be equal to the
last bit. Nothing is left when it ends.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from simulations.bench_scoring_batches import stream_batches
from simulations.bench_scoring_comparison import Comparison
from simulations.bench_scoring_desk import RunningDesk, running_desk, running_partners
from simulations.bench_scoring_federation import PARTNERS, Trained, train, write_federation
from simulations.bench_scoring_local import pooled_model
from simulations.bench_scoring_offline import Offline, offline_scores
from simulations.bench_scoring_processes import Service, ended_in_order
from simulations.bench_scoring_soak import soak
from simulations.open_loop import Arrivals, Load
from simulations.open_loop_process import apart, open_loop_apart
from simulations.open_loop_recording import Recording

RATES = {"local": 500.0, "federated": 200.0}  # requests a second
SINGLE = Load(rate=20, seconds=5, arrivals=Arrivals.CONSTANT, channels=1, warm=100)
REQUESTS = 5_000  # different ones, in turn
BATCH_MESSAGE = 8_192
BATCH_SCORES = 250_000
BATCH_SECONDS = 180.0
RECOVERY_SECONDS = 60.0
SEED = 20261122

Say = Callable[[str], None]


class Mode(StrEnum):
    """What answers."""

    LOCAL = "local"  # the bank alone, which holds all features
    FEDERATED = "federated"  # the bank and two partners
    ENCRYPTED = "encrypted"  # features that the desk never sees


@dataclass(frozen=True)
class Setting:
    """What is measured, and how long.

    Attributes:
        seconds: of each load.
        soak: seconds of a load at half the rate, for memory and errors; 0: none.
        borrowers: of the bank; None: all 30,000.
        rate: requests a second; None: the mode's.
        batch_scores: scores in the batch stream.
    """

    seconds: float = 20.0
    soak: float = 0.0
    borrowers: int | None = None
    rate: float | None = None
    batch_scores: int = BATCH_SCORES


@dataclass
class Bench:
    """A running desk under measurement.

    Attributes:
        desk: it.
        offline: what it must answer.
        setting: how long.
        rate: requests a second.
        comparison: of all answers so far.
    """

    desk: RunningDesk
    offline: Offline
    setting: Setting
    rate: float
    comparison: Comparison

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """The borrowers that are asked about one by one, in turn; by their places."""
        count = len(self.offline.borrowers)
        return np.random.default_rng(SEED).permutation(count)[:REQUESTS]

    def load(self, load: Load) -> tuple[Recording, dict[str, Any]]:
        """Send a load; returns what came of it and its figures with the desk's processor time."""
        order = self.order
        before = self.desk.service.cpu_seconds()
        recording = open_loop_apart(self.desk.target, load, self.offline.requests(order))
        used = self.desk.service.cpu_seconds() - before
        answered = recording.answered
        self.comparison.add(
            self.offline,
            order[np.arange(len(answered)) % len(order)][answered],
            recording.variants,
            recording.variant[answered],
            recording.score[answered],
            recording.probability[answered],
            recording.degraded[answered],
        )
        calls = len(answered) + load.warm * load.channels
        return recording, recording.figures() | {"desk_cpu_ms": round(used / calls * 1e3, 3)}

    def usual_load(self) -> Load:
        """At the mode's rate."""
        return Load(rate=self.rate, seconds=self.setting.seconds, seed=SEED)

    def batches(self) -> dict[str, Any]:
        """Stream batches; scores a second."""
        count = len(self.offline.borrowers)
        total = max(self.setting.batch_scores, count)
        order = np.random.default_rng(SEED).permutation(count)[np.arange(total) % count]
        parts = [order[at : at + BATCH_MESSAGE] for at in range(0, total, BATCH_MESSAGE)]
        messages = [self.offline.batch(number, part) for number, part in enumerate(parts)]
        # The first stream also makes both sides ready; the second is measured.
        apart(stream_batches, (self.desk.target, messages[:2]), BATCH_SECONDS)
        recording = apart(stream_batches, (self.desk.target, messages), BATCH_SECONDS)
        if recording.error:
            raise InputError(f"bench scoring: the batch stream broke: {recording.error}")
        self.comparison.add(
            self.offline,
            order,
            recording.variants,
            recording.variant,
            recording.scores,
            recording.probabilities,
            np.full(total, recording.degraded > 0),
        )
        return {
            "batch_per_second": round(total / recording.seconds),
            "batch_scores": total,
            "batch_message": BATCH_MESSAGE,
            "batch_message_p50_ms": round(float(np.median(recording.latency)) * 1e3, 1),
            "batch_degraded": recording.degraded,
        }

    def figures(self) -> dict[str, Any]:
        """What every mode measures: a single call, the load, the batch stream, a soak if asked."""
        _, single = self.load(SINGLE)
        _, loaded = self.load(self.usual_load())
        shown = {"single_ms": single["p50_ms"], **loaded, **self.batches()}
        if self.setting.soak:
            half = replace(self.usual_load(), rate=self.rate / 2, seconds=self.setting.soak)
            shown["soak"] = soak(self.desk.service, lambda: self.load(half)[1])
        return shown


def bench_scoring(mode: Mode, setting: Setting, say: Say = lambda _: None) -> dict[str, Any]:
    """Measure one mode; returns the figures.

    Args:
        mode: what answers.
        setting: how long, and of how many borrowers.
        say: told what happens now.

    Raises:
        InputError: a process ended, or a setting is out of bounds.
    """
    if mode is Mode.ENCRYPTED:
        from simulations.bench_encrypted import bench_encrypted

        return {"mode": str(mode), **bench_encrypted()}
    rate = RATES[mode] if setting.rate is None else setting.rate
    Load(rate=rate, seconds=max(setting.seconds, setting.soak)).check()
    with ended_in_order(), tempfile.TemporaryDirectory(prefix="veilscore-bench-") as name:
        folder = Path(name)
        say("training the federation that is served")
        trained = train(write_federation(folder / "federation", setting.borrowers))
        measure = _local if mode is Mode.LOCAL else _federated
        return {
            "mode": str(mode),
            "rate_asked": rate,
            **measure(folder, trained, setting, rate, say),
        }


def _local(
    folder: Path, trained: Trained, setting: Setting, rate: float, say: Say
) -> dict[str, Any]:
    pooled, offline = pooled_model(trained)
    with running_desk(pooled, {}, folder) as desk:
        bench = Bench(desk, offline, setting, rate, Comparison())
        say(f"{rate:g} requests a second to a desk without partners")
        shown = bench.figures()
        return _with_common(shown, bench)


def _federated(
    folder: Path, trained: Trained, setting: Setting, rate: float, say: Say
) -> dict[str, Any]:
    offline = offline_scores(trained)
    with ExitStack() as stack:
        partners = stack.enter_context(running_partners(trained, folder))
        addresses = {name: partner.address for name, partner in partners.items()}
        desk = stack.enter_context(running_desk(trained, addresses, folder))
        bench = Bench(desk, offline, setting, rate, Comparison())
        say(f"{rate:g} requests a second to a desk with two partners")
        shown = bench.figures()
        say("one partner is silent")
        shown["black_hole"] = _black_hole(bench, partners[PARTNERS[0]])
        shown["recovered_seconds"] = _recovered(bench)
        say("one partner is killed under load")
        shown["killed"] = _killed(bench, partners[PARTNERS[1]])
        return _with_common(shown, bench)


def _black_hole(bench: Bench, partner: Service) -> dict[str, Any]:
    """One partner holds its connections and says nothing, from before the load to its end."""
    with _silent(partner):
        # No warm calls: the first requests meet a partner that was well a moment ago.
        _, figures = bench.load(replace(bench.usual_load(), warm=0))
    return figures


@contextmanager
def _silent(partner: Service) -> Iterator[None]:
    partner.stop_answering()
    try:
        yield
    finally:
        partner.answer_again()


def _recovered(bench: Bench) -> float:
    """Seconds until the desk asks all partners again."""
    offline = bench.offline
    place = int(np.flatnonzero(offline.expected_variants() == offline.served.main.name)[0])
    features = offline.features(place)
    begin = time.monotonic()
    with bench.desk.client() as client:
        while client.score(offline.borrowers[place], features).degraded:
            if time.monotonic() - begin > RECOVERY_SECONDS:
                raise InputError(
                    f"bench scoring: the desk did not ask a partner that answers again within "
                    f"{RECOVERY_SECONDS:g} s"
                )
            time.sleep(0.1)
    return round(time.monotonic() - begin, 1)


def _killed(bench: Bench, partner: Service) -> dict[str, Any]:
    """One partner's process dies by force while requests are under way."""
    load = bench.usual_load()
    timer = threading.Timer(load.seconds / 2, partner.kill)
    timer.start()
    try:
        recording, figures = bench.load(replace(load, warm=0))
    finally:
        timer.cancel()
        timer.join()
    return figures | {"lost": int((~recording.answered).sum())}


def _with_common(shown: dict[str, Any], bench: Bench) -> dict[str, Any]:
    model = bench.offline.served
    return shown | {
        **bench.comparison.figures(),
        "borrowers": len(bench.offline.borrowers),
        "features_asked": len(model.features),
        "partners": len(model.pins),
        "desk_resident_mb": round(bench.desk.service.resident_mb(), 1),
    }
