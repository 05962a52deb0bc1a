"""Scoring with a network that several banks trained: each bank has all of it, so nothing leaves."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from clients.manifest import PartyManifest
from clients.sources import load_table
from clients.vault import write_private
from federation.errors import InputError
from federation.neural.weights import NeuralModel

SCORES = "scores.csv"


def load_network(path: Path) -> NeuralModel:
    """Read the network that a run left at a bank.

    Raises:
        InputError: there is none, or the file is damaged.
    """
    try:
        return NeuralModel.from_bytes(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no network; train first") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def score_table(manifest: PartyManifest, model: Path, output: Path) -> int:
    """Score the borrowers of a bank's table, and write `scores.csv` (id, log-odds, probability).

    Args:
        manifest: the bank's own; its outcome column need not be there.
        model: the network's file.
        output: the bank's folder for what the scoring leaves.

    Returns:
        How many borrowers were scored.

    Raises:
        InputError: the network or the table do not serve; nothing is written.
    """
    network = load_network(model)
    table = load_table(replace(manifest, label=None), now=datetime.now(UTC))
    try:
        chances = network.probabilities({column.spec.name: column for column in table.features})
    except InputError as error:
        raise InputError(f"{manifest.path}: {error}") from error
    bounded = np.clip(chances, 1e-12, 1 - 1e-12)
    scores = pa.table(
        {
            "id": pa.array(table.identifiers),
            "log_odds": np.round(np.log(bounded / (1 - bounded)), 6),
            "probability_of_default": np.round(chances, 6),
        }
    )
    buffer = io.BytesIO()
    pa_csv.write_csv(scores, buffer)
    write_private(output / SCORES, buffer.getvalue())
    return table.row_count
