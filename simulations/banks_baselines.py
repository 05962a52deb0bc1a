"""What several banks' network is compared with: each bank alone, and all rows in one place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from clients.bank.horizontal_table import load_bank_rows
from clients.federation_file import FederationConfig
from federation.errors import InputError
from federation.horizontal.plan import HorizontalPlan
from federation.horizontal.rows import TEST, TRAINING
from federation.neural.settings import NeuralSettings
from federation.schema import FeatureColumn
from simulations.horizontal_plain import plain_horizontal

Vector = npt.NDArray[np.float64]
ALONE, POOLED = "alone", "pooled"


def banks_baselines(
    config: FederationConfig, plan: HorizontalPlan, banks: tuple[str, ...]
) -> dict[str, Vector]:
    """Test probabilities of the same network without privacy, bank after bank.

    Args:
        config: the federation of banks.
        plan: of the training that they are compared with.
        banks: those that took part.

    Returns:
        'alone': each bank's own network on its own borrowers; 'pooled': one on all rows together.
    """
    chosen = NeuralSettings.from_json(
        {"architecture": plan.settings.architecture, "seed": plan.settings.seed}
    )
    now = datetime.now(UTC)
    rows = [
        load_bank_rows(config.manifest_of(bank), config.split, now=now).without_validation()
        for bank in banks
    ]
    fit, test = [one.part(TRAINING) for one in rows], [one.part(TEST) for one in rows]

    def pooled(parts: list[Any]) -> Any:
        columns = {
            name: FeatureColumn(
                column.spec,
                np.concatenate([part[0][name].values for part in parts]),
                np.concatenate([part[0][name].present for part in parts]),
            )
            for name, column in parts[0][0].items()
        }
        return columns, np.concatenate([part[1] for part in parts])

    together = plain_horizontal([pooled(fit)], plan.schema, chosen, pooled(test))
    alone = []
    for own_fit, own_test in zip(fit, test, strict=True):
        try:
            alone.append(plain_horizontal([own_fit], plan.schema, chosen, own_test).test_scores)
        except InputError:  # too few rows for a model of its own
            rate = float(own_fit[1].mean()) if len(own_fit[1]) else 0.0
            alone.append(np.full(len(own_test[1]), rate))
    return {ALONE: np.concatenate(alone), POOLED: together.test_scores}
