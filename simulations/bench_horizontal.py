"""Test AUC of several banks' networks on the UCI data: without privacy, with it, and skewed.

Everything runs through the real protocol: keys, masks, ciphertexts, ledgers (`banks_in_process`).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from federation.errors import InputError
from simulations.banks_in_process import run_uci

SEEDS = (0, 1, 2, 3, 4)
BANKS = 4
_SKEWED: dict[str, Any] = {"proximal_mu": 0.1, "batch_size": 32, "minimum_rows": 20}
# What each row of the table trains: its settings, and how the rows are divided.
ROWS: Mapping[str, tuple[dict[str, Any], str]] = {
    "mlp": ({}, "iid"),
    "epsilon-3": ({"record_epsilon": 3.0}, "iid"),
    "epsilon-1": ({"record_epsilon": 1.0}, "iid"),
    # FedProx; some banks have 20 borrowers of each class, so batches and banks may be small.
    "dirichlet": (_SKEWED, "dirichlet:0.3"),
    "dirichlet-by-class": (_SKEWED, "dirichlet-by-class:0.3"),
    "gru": ({"architecture": "gru"}, "iid"),
    "lstm": ({"architecture": "lstm"}, "iid"),
}


def bench_horizontal(
    row: str,
    seeds: Sequence[int] = SEEDS,
    on_words: Callable[[str], None] = lambda words: None,
) -> dict[str, Any]:
    """One row of the table, over seeds of network and division.

    Args:
        row: its name in `ROWS`.
        seeds: one training each.
        on_words: told of each training, since the whole takes a while.

    Raises:
        InputError: there is no such row.
    """
    if row not in ROWS:
        raise InputError(f"there is no horizontal benchmark '{row}'; choose {', '.join(ROWS)}")
    settings, partition = ROWS[row]
    results = []
    for seed in seeds:
        result = run_uci(settings | {"seed": seed}, banks=BANKS, partition=partition, seed=seed)
        results.append(result)
        on_words(f"{row}, seed {seed}: test AUC {result.auc:.4f}")
    aucs = [result.auc for result in results]
    return {
        "row": row,
        "banks": BANKS,
        "partition": partition,
        "settings": settings,
        "seeds": list(seeds),
        "auc": statistics.mean(aucs),
        "auc_lowest": min(aucs),
        "auc_highest": max(aucs),
        "ks": statistics.mean(result.ks for result in results),
        "log_loss": statistics.mean(result.log_loss for result in results),
        "rounds": [result.rounds for result in results],
        "bytes_up": statistics.mean(result.bytes_up for result in results),
        "seconds": statistics.median(result.seconds for result in results),
        "excluded": [dict(result.excluded) for result in results if result.excluded],
    }
