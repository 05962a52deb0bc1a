"""`veilscore bench label-noise`: what label noise costs on the UCI data."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from clients.plan import NOISY_RIDGE
from federation.additive.label_party import LabelPartyFit
from federation.additive.settings import AdditiveSettings
from federation.errors import InputError
from federation.metrics import auc
from federation.vertical import FeatureSessionResult, LabelSessionResult, SessionPlan
from simulations.bench_population import FEATURE_PARTY, LABEL_PARTY
from simulations.bench_session import SessionRun, run_session


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
        told = run_session(SessionRun(Path(scratch), "uci", "memory"), plan, _summarise)
    bank = told[LABEL_PARTY]
    areas = np.array(bank["auc"])
    return {
        "data": "uci",
        "epsilon": epsilon,
        "delta": trainings[0].label_delta,
        "unit_of_privacy": "one borrower's label, each draw alone",
        "draws": draws,
        "sigma_labels": bank["sigma_labels"],
        "auc_mean": float(areas.mean()),
        "auc_sd": float(areas.std()),
        "auc_min": float(areas.min()),
        "rounds": bank["rounds"],
    }


def _summarise(folder: Path, result: LabelSessionResult | FeatureSessionResult) -> dict[str, Any]:
    if isinstance(result, FeatureSessionResult):
        return {}
    fit = result.trainings[0].fit
    if not isinstance(fit, LabelPartyFit) or fit.noise is None:
        raise TypeError("the benchmark trains the additive model under label noise")
    return {
        "auc": [float(auc(result.test_labels, t.test_scores)) for t in result.trainings],
        "sigma_labels": fit.noise.residual_sigma,
        "rounds": len(fit.rounds),
    }
