"""Test AUC against ε of four banks on the UCI data, drawn as a picture."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from clients.bank.horizontal_table import load_bank_rows
from clients.federation_file import read_federation
from clients.horizontal_plan import horizontal_plan
from federation.horizontal.rows import TEST
from federation.metrics import auc
from federation.report.figures import ModelRole
from federation.report.privacy_plot import PrivacyCurve, PrivacyPoint, PrivacyReference
from simulations.banks_baselines import ALONE, POOLED, banks_baselines
from simulations.banks_in_process import run_uci
from simulations.privacy_curve import curve_json, measure, write_picture
from simulations.uci_banks import write_banks

BANKS = 4
DELTA = 1e-5


def bench_privacy_curve(
    picture: Path, seeds: Sequence[int], on_words: Callable[[str], None] = lambda words: None
) -> dict[str, Any]:
    """Measure, draw, and return the figures.

    Args:
        picture: a .png or .svg file.
        seeds: of the trainings of every ε.
        on_words: told of each ε that is finished.

    Raises:
        InputError: the picture can't be written.
    """

    def train(epsilon: float | None, seed: int) -> float:
        overrides: dict[str, Any] = {"seed": seed}
        if epsilon is not None:
            overrides |= {"record_epsilon": epsilon, "record_delta": DELTA}
        return run_uci(overrides, banks=BANKS).auc

    def told(point: PrivacyPoint) -> None:
        shown = "no privacy" if point.epsilon is None else f"ε = {point.epsilon:g}"
        on_words(f"{shown}: mean test AUC {point.mean:.4f} of {len(point.aucs)} trainings")

    points = measure(train, seeds=tuple(seeds), on_point=told)
    pooled, alone = _references()
    curve = PrivacyCurve(
        points=points,
        delta=DELTA,
        unit="one borrower's record",
        history="all rounds of one training",
        references=(
            PrivacyReference("Same network, pooled plaintext", ModelRole.POOLED, pooled),
            PrivacyReference("Each bank alone, no privacy", ModelRole.BANKS_ALONE, alone),
        ),
        data="UCI credit card clients (real); their division among four banks is simulated.",
    )
    write_picture(curve, picture)
    content: dict[str, Any] = json.loads(curve_json(curve))
    return content


def _references() -> tuple[float, float]:
    """Test AUC without privacy: of one network on all rows, and of each bank's own."""
    with tempfile.TemporaryDirectory(prefix="veilscore-banks-") as folder:
        config = read_federation(write_banks(folder, banks=BANKS))
        names = tuple(party.name for party in config.parties)
        plan = horizontal_plan(config, config.manifest_of(names[0]))
        scores = banks_baselines(config, plan, names)
        now = datetime.now(UTC)
        parts = [
            load_bank_rows(config.manifest_of(name), config.split, now=now).part(TEST)[1]
            for name in names
        ]
    labels = np.concatenate(parts)
    return auc(labels, scores[POOLED]), auc(labels, scores[ALONE])
