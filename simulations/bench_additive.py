"""`veilscore bench additive`: a whole session of the additive model, measured against plaintext.

Figures after alignment only, as a training that is repeated on the same alignment would see them.
"""

from __future__ import annotations

import secrets
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from federation.additive.model_part import ModelPart
from federation.additive.schedule import Round
from federation.additive.settings import AdditiveSettings
from federation.errors import InputError
from federation.linear_maps import full_width_bytes, message_bytes
from federation.linear_maps.lattice import SCHEME as LATTICE
from federation.linear_maps.parameters import choose_parameters
from federation.metrics import auc, ks
from federation.quantisation import RESIDUAL_SCALE
from federation.vertical import (
    FeatureSessionResult,
    LabelSessionResult,
    SessionPlan,
    SplitPlan,
)
from simulations.bench_plaintext import plaintext_figures
from simulations.bench_population import FEATURE_PARTY, LABEL_PARTY, write_population
from simulations.bench_session import SessionRun, run_session
from simulations.slow_link import Link

TRAINING = "exact"
TEST_ROWS = "test-rows.npy"
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Setting:
    """What a run of the benchmark is put to.

    Attributes:
        link: the network between each party and the relay; None: this machine's own.
        again: a second session on the same tables: what was kept of the first is not made again.
        flames: a folder for one flame graph a party and session ('stream' only; needs py-spy).
    """

    link: Link | None = None
    again: bool = False
    flames: Path | None = None


ALIGNMENT_KINDS = ("blinded_ids", "reblinded_ids", "aligned_rows")


def summarise(folder: Path, result: LabelSessionResult | FeatureSessionResult) -> dict[str, Any]:
    """What a party tells of its result."""
    if isinstance(result, FeatureSessionResult):
        part = result.parts[TRAINING]
        return {"max_bins": next(iter(result.max_bins.values())), "pairs": _pairs(part)}
    training = result.trainings[0]
    last = training.fit.rounds[-1]
    if not isinstance(last, Round):
        raise TypeError("the benchmark trains the additive model")
    np.save(folder / TEST_ROWS, result.test_rows)
    return {
        "rounds": len(training.fit.rounds),
        "auc_alone": float(auc(result.test_labels, result.alone_test_scores)),
        "auc": float(auc(result.test_labels, training.test_scores)),
        "ks": float(ks(result.test_labels, training.test_scores)),
        "strengths": [last.smoothness, last.ridge],
        "scheme": result.scheme,
        "borrowers": result.counts["training"] + result.counts["validation"],
        "features": dict(result.features),
        "pairs": _pairs(training.part),
    }


def _pairs(part: object) -> int:
    if not isinstance(part, ModelPart):
        raise TypeError("the benchmark trains the additive model")
    return len(part.pairs)


def bench(
    rows: int,
    label_features: int,
    party_features: int,
    bins: int,
    transport: str,
    data: str,
    setting: Setting = Setting(),
    pairs: int = 0,
) -> dict[str, Any]:
    """Run one session and the plaintext comparison; returns the figures.

    Args:
        rows: borrowers in all, a fifth of them for the test.
        label_features, party_features: features at each side.
        bins: most bins a feature.
        transport: 'memory' or 'stream'.
        data: 'simulated', or 'uci' (its own sizes).
        setting: the link, a second session, flame graphs.
        pairs: most pairs of features a party; what is compared with has none.

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
    with tempfile.TemporaryDirectory(prefix="veilscore-bench-") as scratch:
        folder = Path(scratch)
        if data == "uci":
            from simulations.uci import write_parties

            write_parties(folder)
        else:
            write_population(folder, rows, label_features, party_features)
        run = SessionRun(folder, data, transport, setting.link, setting.flames)
        summaries = run_session(run, _plan(bins, pairs), summarise)
        bank = summaries[LABEL_PARTY]
        again = None
        if setting.again:
            next_run = replace(run, flame_suffix="-again")
            again = run_session(next_run, _plan(bins, pairs), summarise)
        partner_bins = int(summaries[FEATURE_PARTY]["max_bins"])
        plain = plaintext_figures(
            folder, data, np.load(folder / TEST_ROWS), (bins, partner_bins), bank["strengths"]
        )
    figures = {
        "rows": rows if data == "simulated" else 30000,
        "label_features": label_features if data == "simulated" else 5,
        "party_features": party_features if data == "simulated" else 30,
        "bins": bins,
        "pairs": {party: one["pairs"] for party, one in summaries.items()},
        "transport": transport,
        "data": data,
        "map": bank["scheme"],
        **_session_figures(summaries),
        "auc": bank["auc"],
        "auc_alone": bank["auc_alone"],
        "ks": bank["ks"],
        **plain,
    }
    training = figures["training_seconds"]
    figures["training_over_same_model"] = round(training / plain["same_model_seconds"], 3)
    if setting.link is not None:
        figures["link"] = {"megabits": setting.link.megabits, "delay_ms": 1e3 * setting.link.delay}
    if again is not None:
        figures["again"] = _session_figures(again)
    return figures


def _plan(bins: int, pairs: int) -> SessionPlan:
    return SessionPlan(
        f"bench-{secrets.token_hex(4)}",
        LABEL_PARTY,
        (FEATURE_PARTY,),
        trainings=(AdditiveSettings(name=TRAINING, bins=bins, pairs=pairs),),
        split=SplitPlan(TEST_SHARE, 0.2, 42),
    )


def _session_figures(summaries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Seconds as the label party sees them, and what both parties took and sent."""
    bank = summaries[LABEL_PARTY]
    stages = bank["seconds"]
    training = stages[f"training '{TRAINING}'"]
    return {
        "seconds": round(stages["set-up"] + training, 4),
        "setup_seconds": stages["set-up"],
        "training_seconds": training,
        "alignment_seconds": stages["alignment"],
        "parties": {
            party: {"cpu_seconds": one["cpu_seconds"], "seconds": one["seconds"]}
            for party, one in summaries.items()
        },
        "rounds": bank["rounds"],
        "bytes": sum(_bytes(one, alignment=False) for one in summaries.values()),
        "bytes_full_width": sum(_full_width(summaries).values()),
        "alignment_bytes": sum(_bytes(one, alignment=True) for one in summaries.values()),
        "peak_rss_mb": round(max(float(one["peak_rss_mb"]) for one in summaries.values()), 1),
    }


def _bytes(one: Mapping[str, Any], *, alignment: bool) -> int:
    """What a party sent for the alignment, or after it."""
    return sum(size for kind, size in one["sent"].items() if (kind in ALIGNMENT_KINDS) == alignment)


def _full_width(summaries: Mapping[str, dict[str, Any]]) -> Counter[str]:
    """Bytes by kind, after alignment, as they were at 8 bytes a word and a score."""
    bank = summaries[LABEL_PARTY]
    wide: dict[str, int] = {}
    sent: dict[str, int] = {}
    if bank["scheme"] == LATTICE:
        borrowers = int(bank["borrowers"])
        wide = full_width_bytes(1, borrowers)
        sent = message_bytes(choose_parameters(borrowers, RESIDUAL_SCALE), 1)
    full: Counter[str] = Counter()
    for one in summaries.values():
        for kind, size in one["sent"].items():
            if kind not in ALIGNMENT_KINDS:
                full[kind] += size * wide.get(kind, 1) // sent.get(kind, 1)
    return full
