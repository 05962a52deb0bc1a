"""The benchmark's federation with drawn weights instead of a training: made in a second."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from clients.manifest import read_manifest
from clients.sources import PartyTable, load_table
from clients.vault import party_key, save_model, save_served_model
from federation.additive.model_part import ModelPart
from federation.binning import Binning, fit_binning
from federation.schema import FeatureColumn
from federation.scoring import Calibration, ServedModel, ServedVariant, alone_name, variant_name
from simulations.bench_scoring_federation import (
    BANK,
    PARTNERS,
    TRAINING,
    Trained,
    write_federation,
)

SESSION = "made-session"
Fitted = list[tuple[Binning, FeatureColumn]]


def made_federation(folder: Path, borrowers: int = 400) -> Trained:
    """Write tables, keys, parts and a signed served model, as a training leaves them."""
    federation = write_federation(folder, borrowers)
    trained = Trained(federation.parent, folder / "runs" / "made", 0.0)
    rng = np.random.default_rng(1)
    fitted = {party: _fitted(trained, party) for party in (BANK, *PARTNERS)}
    sets: list[tuple[str, ...]] = [PARTNERS, *((party,) for party in PARTNERS), ()]
    variants = []
    for parties in sets:
        name = variant_name(TRAINING, parties) if parties else alone_name(TRAINING, BANK)
        name = TRAINING if parties == PARTNERS else name
        parts = {party: _drawn(party, name, fitted[party], rng) for party in (BANK, *parties)}
        for party in parties:
            save_model(trained.run / party, name, parts[party])
        variants.append(
            ServedVariant(name, tuple(parties), parts[BANK], Calibration(0.1, 0.9), 0.7, 100)
        )
    keys = {party: party_key(folder / party / "vault") for party in (BANK, *PARTNERS)}
    served = ServedModel(
        run="made",
        session=SESSION,
        training=TRAINING,
        label_party=BANK,
        identifier_rule=read_manifest(trained.manifest(BANK)).id_rule,
        pins={party: keys[party].public for party in PARTNERS},
        features=tuple(column.spec for column in _table(trained, BANK).features),
        variants=tuple(variants),
        trained_at="2026-01-01T00:00:00+00:00",
        label_privacy="None: the weights are drawn.",
    )
    save_served_model(trained.run / BANK / f"served-{TRAINING}.json", served, keys[BANK])
    return trained


def _table(trained: Trained, party: str) -> PartyTable:
    split = "split" if party == BANK else None
    manifest = read_manifest(trained.manifest(party))
    return load_table(manifest, now=datetime.now(UTC), split_column=split)


def _fitted(trained: Trained, party: str) -> Fitted:
    table = _table(trained, party)
    every = np.ones(table.row_count, dtype=np.bool_)
    return [(fit_binning(column, every, 16, 5), column) for column in table.features]


def _drawn(party: str, name: str, fitted: Fitted, rng: np.random.Generator) -> ModelPart:
    binnings = tuple(binning for binning, _ in fitted)
    codes = [
        np.bincount(binning.assign(column), minlength=binning.bins) for binning, column in fitted
    ]
    return ModelPart(
        party,
        SESSION,
        name,
        -1.0 if party == BANK else 0.0,
        binnings,
        tuple(column.spec.label for _, column in fitted),
        tuple(tuple(rng.normal(0, 0.3, size=binning.bins).tolist()) for binning in binnings),
        tuple(tuple((counts / counts.sum()).tolist()) for counts in codes),
    )
