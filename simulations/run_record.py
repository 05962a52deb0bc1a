"""What a run leaves for machines and readers: metrics.json, and the figures of the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from clients.federation_file import FederationConfig
from federation.boosting.results import Given
from federation.boosting.settings import Disclosure
from federation.metrics import Comparison, MetricEstimates, compare_models
from federation.record_chain import Entry
from federation.vertical.boosted_words import BoostedWords
from federation.vertical.borrowers import bin_floor
from federation.vertical.plain_words import (
    PartyWords,
    TrainingWords,
    coordinator_words,
    feature_party_words,
    label_party_words,
)
from federation.vertical.trainings import BOOSTED
from simulations.giveaways import Giveaway, giveaway_of
from simulations.run_leakage import RunLeak

Vector = npt.NDArray[np.float64]
BOOTSTRAP_SEED = 7
RESAMPLES = 1000
ALONE = "label_party_alone"
POOLED = "pooled"

COORDINATOR = "the coordinator"


@dataclass(frozen=True)
class RunFigures:
    """Everything known of a run once it has ended.

    Attributes:
        run, created: id and time (UTC).
        config: the federation.
        simulated: whether the data is simulated; `data_note` says where it comes from.
        summaries: each party's own summary.
        comparisons: test metrics with intervals, by model: trainings, 'label_party_alone', 'pooled'
            and the baselines.
        probabilities: their test probabilities.
        labels: of the test borrowers.
        fit_probabilities: of the borrowers of the fit, by training.
        baselines: names of pooled baselines, in order.
        disclosures: each party's disclosure log.
        bytes_sent: by party, as the relay counted.
        seconds: by stage.
        transport: in words.
        fingerprints: of every party's pinned key.
        leaks: what short attacks on boosted trainings' transcripts rebuilt.
        total_seconds: of the whole run, with its report.
    """

    run: str
    created: datetime
    config: FederationConfig
    simulated: bool
    data_note: str
    summaries: Mapping[str, Mapping[str, Any]]
    comparisons: Mapping[str, Comparison]
    probabilities: Mapping[str, Vector]
    labels: npt.NDArray[np.uint8]
    fit_probabilities: Mapping[str, Vector]
    baselines: tuple[str, ...]
    disclosures: Mapping[str, tuple[Entry, ...]]
    bytes_sent: Mapping[str, int]
    seconds: Mapping[str, float]
    transport: str
    fingerprints: Mapping[str, str]
    leaks: tuple[RunLeak, ...] = ()
    total_seconds: float = 0.0

    @property
    def label_party(self) -> str:
        """Its name."""
        return self.config.label_party.name

    @property
    def trainings(self) -> list[Mapping[str, Any]]:
        """The label party's record of each training."""
        return list(self.summaries[self.label_party]["trainings"])

    @property
    def main_training(self) -> str:
        """The training that 'federated' stands for: the first exact one, else the first."""
        exact = [t["name"] for t in self.trainings if t["label_noise"] is None]
        return str(exact[0] if exact else self.trainings[0]["name"])

    @property
    def main_kind(self) -> str:
        """That training's kind."""
        return str(next(t["kind"] for t in self.trainings if t["name"] == self.main_training))


def probabilities(log_odds: Vector) -> Vector:
    """σ of log-odds."""
    result: Vector = 1 / (1 + np.exp(-log_odds))
    return result


def read_scores(
    run_folder: Path, label_party: str, name: str = "test-scores.parquet"
) -> dict[str, npt.NDArray[Any]]:
    """The label party's own scores (log-odds) of its test borrowers, with rows and labels."""
    table = pq.read_table(run_folder / label_party / name)
    return {name: table.column(name).to_numpy() for name in table.column_names}


def compare(labels: npt.NDArray[np.uint8], models: Mapping[str, Vector]) -> dict[str, Comparison]:
    """Metrics with paired bootstrap intervals; the label party alone is the reference."""
    return compare_models(labels, models, ALONE, RESAMPLES, seed=BOOTSTRAP_SEED)


def sent_by_kind(entries: Sequence[Entry]) -> list[tuple[str, str, int, int]]:
    """(kind, recipient, messages, bytes) of one party's log, in order of first appearance."""
    messages: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        key = (str(entry.body["kind"]), str(entry.body["to"]))
        messages[key] += 1
        sizes[key] += int(entry.body["bytes"])
    return [(kind, to, messages[kind, to], sizes[kind, to]) for kind, to in messages]


def noise_words(training: Mapping[str, Any]) -> str | None:
    """The ε of a training's label noise with unit and scope, or None for exact sums."""
    noise = training["label_noise"]
    if noise is None:
        return None
    return (
        f"ε = {noise['epsilon']:g} at δ = {noise['delta']:g} per one borrower's label, this "
        "training alone"
    )


def words_by_party(figures: RunFigures) -> dict[str, PartyWords]:
    """What each side learned, in plain words."""
    bank = figures.summaries[figures.label_party]
    partners = [party.name for party in figures.config.feature_parties]
    trainings = [
        TrainingWords(
            t["name"],
            len(t["rounds"]),
            noise_words(t),
            t["kind"],
            int(t["settings"].get("embedding", 0)),
            {tuple(name.partition("~")[2].split("+")): n for name, n in t["fallbacks"].items()},
            _boosted_words(figures, t) if t["kind"] == BOOSTED else None,
        )
        for t in figures.trainings
    ]
    aligned = int(bank["aligned"])
    floor = bin_floor(int(bank["counts"]["training"]) + int(bank["counts"]["validation"]))
    shared = [int(bank["shared"][partner]) for partner in partners]
    words = {figures.label_party: label_party_words(partners, shared, aligned, trainings)}
    for partner in partners:
        words[partner] = feature_party_words(
            partner,
            figures.label_party,
            [other for other in partners if other != partner],
            int(figures.summaries[partner]["known"]),
            floor,
            trainings,
        )
    return words | {COORDINATOR: coordinator_words(figures.fingerprints)}


def _boosted_words(figures: RunFigures, training: Mapping[str, Any]) -> BoostedWords:
    bank, settings = figures.summaries[figures.label_party], training["settings"]
    counts = bank["counts"]
    return BoostedWords(
        Disclosure(settings["disclosure"]),
        int(settings["bins"]),
        int(counts["training"]) + int(counts["validation"]),
        int(counts["test"]),
        {partner: _given(counted) for partner, counted in training.get("given", {}).items()},
        len(figures.config.feature_parties),
        settings.get("order_epsilon"),
        {leak.partner: leak.share for leak in figures.leaks if leak.training == training["name"]},
    )


def _given(counted: Mapping[str, Any]) -> Given:
    return Given(**{one.name: int(counted.get(one.name, 0)) for one in fields(Given)})


def giveaways(figures: RunFigures) -> dict[str, Giveaway]:
    """What each training gave away, in short phrases, by training."""
    partners = [party.name for party in figures.config.feature_parties]
    return {
        str(t["name"]): giveaway_of(t, figures.label_party, partners, figures.leaks)
        for t in figures.trainings
    }


def _metrics(estimates: MetricEstimates) -> dict[str, Any]:
    values = {name: value["value"] for name, value in asdict(estimates).items()}
    intervals = {name: [v["low"], v["high"]] for name, v in asdict(estimates).items()}
    return values | {"intervals_95": intervals}


def metrics_json(figures: RunFigures) -> str:
    """The run's record for machines."""
    by_name = {name: _metrics(c.metrics) for name, c in figures.comparisons.items()}
    names = [t["name"] for t in figures.trainings]
    test: dict[str, Any] = {"federated": by_name[figures.main_training]}
    for training in figures.trainings:
        if training["name"] != figures.main_training:
            key = f"federated_{str(training['name']).replace('-', '_')}"
            test[key] = by_name[training["name"]] | {"label_noise": training["label_noise"]}
    for name, metrics in by_name.items():
        if name in (ALONE, POOLED):
            test[name] = metrics
    test["baselines"] = {name: by_name[name] for name in figures.baselines}
    bank = figures.summaries[figures.label_party]
    record = {
        "run": figures.run,
        "created": figures.created.isoformat(timespec="seconds"),
        "data": {"note": figures.data_note, "simulated": figures.simulated},
        "transport": figures.transport,
        "fingerprints": dict(figures.fingerprints),
        "processes": {name: s["process"] for name, s in figures.summaries.items()},
        "borrowers": {"aligned": bank["aligned"]} | dict(bank["counts"]),
        "map": bank["scheme"],
        "test": test,
        "trainings": {t["name"]: dict(t) for t in figures.trainings},
        "rounds": {
            name: len(t["rounds"]) for name, t in zip(names, figures.trainings, strict=True)
        },
        "privacy": bank["ledger"],
        "disclosures": {
            party: [
                {"kind": kind, "to": to, "messages": messages, "bytes": size}
                for kind, to, messages, size in sent_by_kind(entries)
            ]
            for party, entries in figures.disclosures.items()
        },
        "learned": {
            party: {
                "learned": list(words.learned),
                "could_reconstruct": list(words.could_reconstruct),
                "never_saw": list(words.never_saw),
            }
            for party, words in words_by_party(figures).items()
        },
        "leakage": [leak.to_json() for leak in figures.leaks],
        "bytes": dict(figures.bytes_sent) | {"total": sum(figures.bytes_sent.values())},
        "seconds": {stage: round(value, 3) for stage, value in figures.seconds.items()}
        | {"total": round(figures.total_seconds, 3)},
        "notes": {name: s["notes"] for name, s in figures.summaries.items()},
    }
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
