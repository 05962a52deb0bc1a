"""`veilscore bench label-noise`: what label noise costs on the UCI data."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from clients.plan import NOISY_RIDGE
from federation.additive.settings import AdditiveSettings
from federation.errors import InputError
from federation.metrics import auc
from federation.session.in_process import run_in_process
from federation.vertical import SessionPlan
from simulations.bench_additive import party_machine
from simulations.bench_population import FEATURE_PARTY, LABEL_PARTY


def label_noise_draws(epsilon: float, draws: int) -> dict[str, Any]:
    """Test AUC of several trainings with label noise on one alignment of the UCI data.

    Every draw is a training of its own with this ε; what they would give away together is not the
    point here. In this process.
    """
    from simulations.uci import write_parties

    if draws < 1:
        raise InputError(f"bench label-noise: {draws} draws; at least one is needed")
    trainings = tuple(
        AdditiveSettings(name=f"draw-{number}", label_epsilon=epsilon, ridge=NOISY_RIDGE)
        for number in range(1, draws + 1)
    )
    plan = SessionPlan(
        f"bench-{secrets.token_hex(4)}", LABEL_PARTY, (FEATURE_PARTY,), trainings=trainings
    )
    with tempfile.TemporaryDirectory(prefix="veilscore-bench-") as scratch:
        write_parties(scratch)
        made = {
            p: party_machine(Path(scratch), p, "uci", plan) for p in (LABEL_PARTY, FEATURE_PARTY)
        }
        run_in_process({party: machine for party, (machine, _) in made.items()})
        result = made[LABEL_PARTY][0].result
    areas = np.array([auc(result.test_labels, t.test_scores) for t in result.trainings])
    noise = result.trainings[0].fit.noise
    return {
        "data": "uci",
        "epsilon": epsilon,
        "delta": trainings[0].label_delta,
        "unit_of_privacy": "one borrower's label, each draw alone",
        "draws": draws,
        "sigma_labels": noise.residual_sigma,
        "auc_mean": float(areas.mean()),
        "auc_sd": float(areas.std()),
        "auc_min": float(areas.min()),
        "rounds": len(result.trainings[0].fit.rounds),
    }
