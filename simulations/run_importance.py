"""How much each feature moves a run's leading model, from the parties' model parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from clients.vault import load_binned, load_part
from federation.boosting.importance import MEASURE, split_importances
from federation.boosting.model_part import BoostedPart
from federation.errors import InputError
from federation.report.figures import feature_label
from federation.report.shapes import IMPORTANCE_MEASURE
from federation.vertical.trainings import BOOSTED, SPLIT
from simulations.run_record import RunFigures

Vector = npt.NDArray[np.float64]


def importance_measure(figures: RunFigures) -> str:
    """What an importance is, in words."""
    return MEASURE if figures.main_kind == BOOSTED else IMPORTANCE_MEASURE


def importances(figures: RunFigures, run_folder: Path) -> dict[str, list[tuple[str, float]]]:
    """Importance of each feature of each party under its public label, from the parts' files."""
    found: dict[str, list[tuple[str, float]]] = {}
    if figures.main_kind == SPLIT:  # a network has no importance a feature
        return found
    name = f"model-{figures.main_training}.json"
    if figures.main_kind == BOOSTED:
        parts = {party: _boosted(run_folder / party / name) for party in figures.summaries}
        of_splits = {party: np.zeros(len(part.splits)) for party, part in parts.items()}
        for one in parts.values():  # trees lie at the label party, or each at its owner
            for party, moved in split_importances(one).items() if one.trees else ():
                of_splits[party] = of_splits[party] + moved
        return {party: _by_feature(part, of_splits[party]) for party, part in parts.items()}
    for party in figures.summaries:
        shapes = load_part(run_folder / party / name).shape_functions()
        found[party] = [
            (feature_label(shape.label, number, party), shape.importance)
            for number, shape in enumerate(shapes, start=1)
        ]
    return found


def _by_feature(part: BoostedPart, of_splits: Vector) -> list[tuple[str, float]]:
    moved = np.zeros(len(part.labels))
    np.add.at(moved, [split.feature for split in part.splits], of_splits)
    named = [feature_label(label, i, part.party) for i, label in enumerate(part.labels, start=1)]
    pairs = zip(named, moved.tolist(), strict=True)
    return sorted(((name, value) for name, value in pairs if value), key=lambda pair: -pair[1])


def _boosted(path: Path) -> BoostedPart:
    part = load_binned(path)
    if not isinstance(part, BoostedPart):
        raise InputError(f"{path}: is no part of a boosted model, as the run's record says it is")
    return part
