"""The vertical neural trainings on the UCI data: split, split under label-DP, and blind."""

from __future__ import annotations

import secrets
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from federation.alignment import InProcessGroup
from federation.errors import InputError
from federation.metrics import auc
from federation.session.in_process import run_in_process
from federation.session.machine import Machine
from federation.split.settings import BlindSettings, SplitSettings
from federation.vertical import SessionPlan, feature_party_session, label_party_session
from federation.vertical.trainings import Training

LABEL_PARTY, FEATURE_PARTY = "bank", "platform"
BENCH_EPSILON = 4.0
ALIGNMENT_KINDS = ("blinded_ids", "reblinded_ids", "aligned_rows")


def bench_split(draws: int = 3, epsilon: float = BENCH_EPSILON) -> dict[str, Any]:
    """Test AUC, exchanges, bytes and seconds of the three modes, means over several seeds.

    In this process, on the fixed split; a session of its own for every mode, so that its bytes are
    its own. Under label-DP every draw flips labels anew; what the draws would give away together is
    not the point here. Test rows take no part in any setting.

    Args:
        draws: seeds a mode.
        epsilon: of the mode under label-DP.
    """
    from simulations.uci import write_parties

    if draws < 1:
        raise InputError(f"bench split: {draws} draws; at least one is needed")
    modes: dict[str, list[Training]] = {
        "split": [SplitSettings(name=f"split-{n}", seed=n) for n in range(draws)],
        "split_label_dp": [
            SplitSettings(name=f"split-dp-{n}", seed=n, label_epsilon=epsilon) for n in range(draws)
        ],
        "blind": [BlindSettings.from_json({"name": f"blind-{n}", "seed": n}) for n in range(draws)],
    }
    with tempfile.TemporaryDirectory(prefix="veilscore-bench-") as scratch:
        write_parties(scratch)
        figures = {mode: _mode(Path(scratch), trainings) for mode, trainings in modes.items()}
    return {
        "data": "uci",
        "draws": draws,
        "epsilon": epsilon,
        "unit_of_privacy": "one borrower's label, each draw alone",
        **{f"{mode}_{name}": value for mode, own in figures.items() for name, value in own.items()},
    }


def _mode(folder: Path, trainings: list[Training]) -> dict[str, Any]:
    """One session a training: an exact map shares its cap with no other, as in a run of its own."""
    areas, exchanges, sizes, seconds = [], [], [], []
    for training in trainings:
        plan = SessionPlan(
            f"bench-{secrets.token_hex(4)}", LABEL_PARTY, (FEATURE_PARTY,), trainings=(training,)
        )
        sent: Counter[str] = Counter()
        machines = {p: _machine(folder, p, plan, sent) for p in (LABEL_PARTY, FEATURE_PARTY)}
        result = run_in_process(machines)[LABEL_PARTY]
        own = result.trainings[0]
        areas.append(auc(result.test_labels, own.test_scores))
        exchanges.append(len(own.fit.rounds))
        sizes.append(sum(size for kind, size in sent.items() if kind not in ALIGNMENT_KINDS))
        seconds.append(sum(v for k, v in result.seconds.items() if "train" in k or k == "set-up"))
    return {
        "auc_mean": float(np.mean(areas)),
        "auc_sd": float(np.std(areas)),
        "auc_min": float(np.min(areas)),
        "exchanges": float(np.mean(exchanges)),
        "bytes": round(float(np.mean(sizes))),
        "seconds": float(np.mean(seconds)),
    }


def _machine(folder: Path, party: str, plan: SessionPlan, sent: Counter[str]) -> Machine[Any]:
    from clients.federation_file import read_federation
    from clients.sources import load_table

    config = read_federation(folder / "federation.toml")
    manifest = config.manifest_of(party)
    column = config.split.column if party == LABEL_PARTY else None
    table = load_table(manifest, now=datetime.now(UTC), split_column=column)
    group = InProcessGroup()
    role: Any
    if party == LABEL_PARTY:
        role = label_party_session(table, plan, group, "bench", sequences=manifest.sequences)
    else:
        role = feature_party_session(
            table, party, LABEL_PARTY, plan.session, group, "bench", sequences=manifest.sequences
        )

    def count(step: Any) -> None:
        sent[step.kind] += step.size_bytes

    return Machine(party, plan.session, role, on_sent=count)
