"""`veilscore bench additive`: a whole session of the additive model, measured against plaintext.

Over 'stream' every party is a process of its own and every message goes over the relay; over
'memory' all machines run in this process. Figures after alignment only, as a training that is
repeated on the same alignment would see them.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clients.channels.stream import StreamChannel
from federation.additive.schedule import Round
from federation.additive.settings import AdditiveSettings
from federation.alignment import open_group
from federation.errors import InputError
from federation.metrics import auc, ks
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.session.in_process import run_in_process
from federation.session.machine import Machine
from federation.vertical import (
    LabelSessionResult,
    SessionPlan,
    SplitPlan,
    feature_party_session,
    label_party_session,
)
from server.coordinator.relay import Relay
from simulations.plain_additive import Design, fit_plain, one_hot_design

LABEL_PARTY, FEATURE_PARTY = "bank", "platform"
SEED = 20261122
DEFAULT_RATE = 0.15
TEST_SHARE = 0.2


@dataclass(frozen=True)
class BenchTable:
    """A party's simulated rows, as a session wants them."""

    identifiers: tuple[str, ...]
    features: tuple[FeatureColumn, ...]
    label: npt.NDArray[np.uint8] | None
    split: npt.NDArray[np.uint8] | None

    def rows(self, positions: npt.NDArray[np.uint32]) -> list[FeatureColumn]:
        """The feature columns of some rows, all of them known."""
        present = np.ones(len(positions), dtype=np.bool_)
        return [FeatureColumn(c.spec, c.values[positions], present) for c in self.features]


def _columns(values: npt.NDArray[np.float32]) -> tuple[FeatureColumn, ...]:
    present = np.ones(values.shape[1], dtype=np.bool_)
    return tuple(
        FeatureColumn(FeatureSpec(f"x{i}", FeatureKind.NUMERIC), row.astype(np.float64), present)
        for i, row in enumerate(values)
    )


def write_population(folder: Path, rows: int, label_features: int, party_features: int) -> None:
    """Simulated borrowers: skewed features with some missing, default odds from curved effects."""
    generator = np.random.default_rng(SEED)
    count = label_features + party_features
    quality = generator.normal(size=rows).astype(np.float32)
    values = np.empty((count, rows), dtype=np.float32)
    odds = np.full(rows, np.log(DEFAULT_RATE / (1 - DEFAULT_RATE)), dtype=np.float64)
    for index in range(count):
        draw = 0.3 * quality + generator.normal(size=rows).astype(np.float32)
        effect = (0.9 if index % 5 == 0 else 0.25) / np.sqrt(1 + count / 20)
        odds += effect * np.tanh(draw + 0.5 * (index % 3 - 1)) - 0.1 * effect * draw**2
        values[index] = np.exp(draw) if index % 2 else draw
        if index % 4 == 3:
            values[index, generator.random(rows) < 0.03] = np.nan
    label = (generator.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    order = generator.permutation(rows)
    np.save(folder / f"{LABEL_PARTY}.npy", values[:label_features])
    np.save(folder / "label.npy", label)
    np.save(folder / f"{FEATURE_PARTY}.npy", values[label_features:, order])
    np.save(folder / "order.npy", order.astype(np.int64))


def load_party(folder: Path, party: str) -> BenchTable:
    """One party's rows from its own file."""
    values = np.load(folder / f"{party}.npy", allow_pickle=False)
    order = np.arange(values.shape[1])
    label = None
    if party == LABEL_PARTY:
        label = np.load(folder / "label.npy", allow_pickle=False)
    else:
        order = np.load(folder / "order.npy", allow_pickle=False)
    identifiers = tuple(f"B{number:09d}" for number in order.tolist())
    return BenchTable(identifiers, _columns(values), label, None)


def _load(folder: Path, party: str, data: str) -> Any:
    if data != "uci":
        return load_party(folder, party)
    from datetime import UTC, datetime

    from clients.federation_file import read_federation
    from clients.sources import load_table

    config = read_federation(folder / "federation.toml")
    column = config.split.column if party == LABEL_PARTY else None
    return load_table(config.manifest_of(party), now=datetime.now(UTC), split_column=column)


def party_machine(
    folder: Path, party: str, data: str, plan: SessionPlan
) -> tuple[Machine[Any], Any]:
    table = _load(folder, party, data)
    group = open_group(len(table.identifiers))
    role: Any
    if party == LABEL_PARTY:
        role = label_party_session(table, plan, group, "bench")
    else:
        role = feature_party_session(table, party, LABEL_PARTY, plan.session, group, "bench")
    sent: list[tuple[str, int]] = []
    machine: Machine[Any] = Machine(
        party, plan.session, role, on_sent=lambda s: sent.append((s.kind, s.size_bytes))
    )
    return machine, sent


ALIGNMENT_KINDS = ("blinded_ids", "reblinded_ids", "aligned_rows")


def _summary(machine: Machine[Any], sent: list[tuple[str, int]]) -> dict[str, Any]:
    after = sum(size for kind, size in sent if kind not in ALIGNMENT_KINDS)
    summary: dict[str, Any] = {
        "bytes": after,
        "alignment_bytes": sum(size for _, size in sent) - after,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    result = machine.result
    if isinstance(result, LabelSessionResult):
        training = result.trainings[0]
        last = training.fit.rounds[-1]
        if not isinstance(last, Round):
            raise TypeError("the benchmark trains the additive model")
        summary |= {
            "seconds": dict(result.seconds),
            "rounds": len(training.fit.rounds),
            "auc": float(auc(result.test_labels, training.test_scores)),
            "ks": float(ks(result.test_labels, training.test_scores)),
            "test_rows": result.test_rows.tolist(),
            "strengths": [last.smoothness, last.ridge],
            "scheme": result.scheme,
            "features": dict(result.features),
        }
    else:
        summary["max_bins"] = next(iter(result.max_bins.values()))
    return summary


def _party_process(
    folder: Path, party: str, data: str, plan: SessionPlan, address: str, ticket: bytes
) -> None:
    machine, sent = party_machine(folder, party, data, plan)
    StreamChannel(address, ticket, tell_inputs=True).run(
        machine, lambda: json.dumps(_summary(machine, sent))
    )


def _over_stream(folder: Path, data: str, plan: SessionPlan) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    parties = (LABEL_PARTY, FEATURE_PARTY)
    tickets = {party: secrets.token_bytes(32) for party in parties}
    with Relay(plan.session, tickets, join_seconds=300) as relay:
        processes = [
            context.Process(
                target=_party_process,
                args=(folder, party, data, plan, relay.address, tickets[party]),
            )
            for party in parties
        ]
        for process in processes:
            process.start()
        try:
            return {party: json.loads(text) for party, text in relay.wait().items()}
        finally:
            for process in processes:
                process.join(timeout=20)
                if process.is_alive():
                    process.terminate()


def _in_memory(folder: Path, data: str, plan: SessionPlan) -> dict[str, Any]:
    made = {
        party: party_machine(folder, party, data, plan) for party in (LABEL_PARTY, FEATURE_PARTY)
    }
    run_in_process({party: machine for party, (machine, _) in made.items()})
    return {party: _summary(machine, sent) for party, (machine, sent) in made.items()}


def bench(
    rows: int, label_features: int, party_features: int, bins: int, transport: str, data: str
) -> dict[str, Any]:
    """Run one session and the plaintext comparison; returns the figures.

    Args:
        rows: borrowers in all, a fifth of them for the test.
        label_features, party_features: features at each side.
        bins: most bins a feature.
        transport: 'memory' or 'stream'.
        data: 'simulated', or 'uci' (its own sizes).

    Raises:
        InputError: an unknown transport or data.
    """
    if transport not in ("memory", "stream") or data not in ("simulated", "uci"):
        raise InputError(
            f"bench additive: transport is '{transport}' and data '{data}'; transport may be "
            "'memory' or 'stream', data 'simulated' or 'uci'"
        )
    if data == "simulated" and (rows < 500 or min(label_features, party_features) < 1):
        raise InputError("bench additive: at least 500 rows and one feature a party are needed")
    settings = AdditiveSettings(bins=bins)
    plan = SessionPlan(
        f"bench-{secrets.token_hex(4)}",
        LABEL_PARTY,
        (FEATURE_PARTY,),
        trainings=(settings,),
        split=SplitPlan(TEST_SHARE, 0.2, 42),
    )
    with tempfile.TemporaryDirectory(prefix="veilscore-bench-") as scratch:
        folder = Path(scratch)
        if data == "uci":
            from simulations.uci import write_parties

            write_parties(folder)
        else:
            write_population(folder, rows, label_features, party_features)
        run = _over_stream if transport == "stream" else _in_memory
        summaries = run(folder, data, plan)
        bank = summaries[LABEL_PARTY]
        partner_bins = int(summaries[FEATURE_PARTY]["max_bins"])
        most = [bins] * int(bank["features"][LABEL_PARTY])
        most += [partner_bins] * int(bank["features"][FEATURE_PARTY])
        plain = _plain(folder, data, bank, most)
    stages = bank["seconds"]
    training = stages[f"training '{settings.name}'"]
    seconds = stages["set-up"] + training
    return {
        "rows": rows if data == "simulated" else 30000,
        "label_features": label_features if data == "simulated" else 5,
        "party_features": party_features if data == "simulated" else 30,
        "bins": bins,
        "transport": transport,
        "data": data,
        "map": bank["scheme"],
        "seconds": round(seconds, 4),
        "setup_seconds": round(stages["set-up"], 4),
        "training_seconds": round(training, 4),
        "alignment_seconds": round(stages["alignment"], 4),
        "rounds": bank["rounds"],
        "bytes": sum(int(s["bytes"]) for s in summaries.values()),
        "alignment_bytes": sum(int(s["alignment_bytes"]) for s in summaries.values()),
        "peak_rss_mb": round(max(float(s["peak_rss_mb"]) for s in summaries.values()), 1),
        "auc": bank["auc"],
        "ks": bank["ks"],
        **plain,
        "seconds_over_logistic": round(seconds / plain["logistic_seconds"], 3),
    }


def _plain(folder: Path, data: str, bank: dict[str, Any], bins: list[int]) -> dict[str, Any]:
    """The same model on pooled plaintext, and scikit-learn's logistic regression on its bins."""
    label, columns = _pooled(folder, data)
    fit = np.ones(len(label), dtype=np.bool_)
    fit[bank["test_rows"]] = False
    design = one_hot_design(columns, fit, bins)
    smoothness, ridge = bank["strengths"]
    started = time.perf_counter()
    model = fit_plain(design, label, fit, smoothness=smoothness, ridge=ridge)
    plain_seconds = time.perf_counter() - started
    return {
        "auc_plain": float(auc(label[~fit], model.test_scores)),
        "plain_seconds": round(plain_seconds, 4),
        "logistic_seconds": round(_logistic_seconds(design, label, fit), 4),
    }


def _pooled(folder: Path, data: str) -> tuple[npt.NDArray[np.uint8], list[FeatureColumn]]:
    if data == "uci":
        from clients.federation_file import read_federation
        from simulations.pooling import pool

        table = pool(read_federation(folder / "federation.toml"))
        return table.label, table.label_party + table.partner_columns
    bank, platform = load_party(folder, LABEL_PARTY), load_party(folder, FEATURE_PARTY)
    order = np.load(folder / "order.npy", allow_pickle=False)
    label = np.load(folder / "label.npy", allow_pickle=False)
    return label, [*bank.features, *platform.rows(np.argsort(order).astype(np.uint32))]


def _logistic_seconds(
    design: Design, label: npt.NDArray[np.uint8], fit: npt.NDArray[np.bool_]
) -> float:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    inside = design.matrix[np.flatnonzero(fit)][:, 1:]
    with threadpool_limits(1):
        started = time.perf_counter()
        LogisticRegression(max_iter=200).fit(inside, label[fit])
        return time.perf_counter() - started
