"""What a horizontal run leaves for machines and readers: its figures, and metrics.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from clients.federation_file import FederationConfig
from federation.horizontal.plan import HorizontalPlan
from federation.metrics import Comparison, Estimate
from federation.record_chain import Entry
from simulations.banks_baselines import ALONE
from simulations.run_record import BOOTSTRAP_SEED, RESAMPLES
from simulations.within_banks import WithinBanks

FEDERATED = "federated"
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BanksFigures:
    """Everything known of a horizontal run once it has ended.

    Attributes:
        run, created: id and time (UTC).
        config: the federation.
        plan: of the first bank that finished; all of them have the same.
        summaries: each bank's own.
        excluded: banks that were left out, and why.
        comparisons: test metrics with intervals: 'federated', and with baselines 'alone' (each
            bank's own network on its own borrowers) and 'pooled'.
        labels, probabilities: of all banks' test borrowers, bank after bank.
        disclosures: each bank's disclosure log.
        bytes_up, bytes_down: by bank, as the coordinator counted; `messages` in all.
        seconds: by stage; total_seconds of everything.
    """

    run: str
    created: datetime
    config: FederationConfig
    plan: HorizontalPlan
    summaries: Mapping[str, Mapping[str, Any]]
    excluded: Mapping[str, str]
    comparisons: Mapping[str, Comparison]
    labels: npt.NDArray[np.uint8]
    probabilities: Mapping[str, Vector]
    disclosures: Mapping[str, tuple[Entry, ...]]
    bytes_up: Mapping[str, int]
    bytes_down: Mapping[str, int]
    messages: int
    seconds: Mapping[str, float]
    total_seconds: float = 0.0

    @cached_property
    def within(self) -> WithinBanks:
        """All models on each bank's own test borrowers, which lie bank after bank."""
        return WithinBanks.of(
            self.labels,
            self.probabilities,
            ALONE if ALONE in self.probabilities else FEDERATED,
            [int(summary["test_rows"]) for summary in self.summaries.values()],
            RESAMPLES,
            seed=BOOTSTRAP_SEED,
        )

    @property
    def first(self) -> Mapping[str, Any]:
        """The summary of one bank: rounds, curve and digest are the same at all."""
        return next(iter(self.summaries.values()))


def banks_json(figures: BanksFigures) -> str:
    """The run's record for machines."""
    settings = figures.plan.settings
    record = {
        "run": figures.run,
        "created": figures.created.isoformat(timespec="seconds"),
        "topology": "horizontal",
        "data": {"note": figures.config.note, "simulated": figures.config.simulated},
        "banks": {
            bank: {
                key: summary[key]
                for key in ("training_rows", "test_rows", "process", "seconds", "peak_rss_mb")
            }
            for bank, summary in figures.summaries.items()
        },
        "excluded": dict(figures.excluded),
        "test": {
            name: {
                "auc": comparison.metrics.auc.value,
                "ks": comparison.metrics.ks.value,
                "log_loss": comparison.metrics.log_loss.value,
                "auc_interval_95": [comparison.metrics.auc.low, comparison.metrics.auc.high],
                "auc_within_banks": _value(figures.within.auc(name)),
            }
            for name, comparison in figures.comparisons.items()
        },
        "released_evaluation": figures.first["evaluation"] or None,
        "settings": settings.to_json(),
        "aggregation": {
            "scheme": figures.plan.scheme,
            "minimum_clients": figures.plan.minimum_banks,
            "dropouts": figures.plan.dropouts,
        },
        "rounds": figures.first["rounds"],
        "curve": figures.first["curve"],
        "parameters": figures.first["parameters"],
        "model_digest": figures.first["model_digest"],
        "privacy": {
            bank: summary["ledger"] | {"noise_multiplier": summary["noise_multiplier"]}
            for bank, summary in figures.summaries.items()
        },
        "bytes": {"up": dict(figures.bytes_up), "down": dict(figures.bytes_down)},
        "messages": figures.messages,
        "seconds": {stage: round(value, 3) for stage, value in figures.seconds.items()}
        | {"total": round(figures.total_seconds, 3)},
        "notes": {bank: list(summary["notes"]) for bank, summary in figures.summaries.items()},
    }
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value
