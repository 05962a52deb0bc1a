"""Test AUC against ε: what differential privacy of every record costs a horizontal training.

How a federation trains is passed in, so that the same measurement serves every way of training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from federation.errors import InputError
from federation.report.privacy_plot import (
    IMAGE_FORMATS,
    PrivacyCurve,
    PrivacyPoint,
    privacy_image,
)

EPSILONS: tuple[float | None, ...] = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, None)
SEEDS = (0, 1, 2)

# Trains with this ε (None: without differential privacy) and this seed; returns the test AUC.
Train = Callable[[float | None, int], float]


def measure(
    train: Train,
    *,
    epsilons: Sequence[float | None] = EPSILONS,
    seeds: Sequence[int] = SEEDS,
    on_point: Callable[[PrivacyPoint], None] = lambda point: None,
) -> tuple[PrivacyPoint, ...]:
    """Train once an ε and seed.

    Args:
        train: one training; returns its test AUC.
        epsilons: smaller first, None (without privacy) last.
        seeds: of the trainings of every ε.
        on_point: told of each ε that is finished, since the whole takes a while.

    Raises:
        InputError: a training gave an AUC that is none.
    """
    points: list[PrivacyPoint] = []
    for epsilon in epsilons:
        aucs = tuple(float(train(epsilon, seed)) for seed in seeds)
        for seed, auc in zip(seeds, aucs, strict=True):
            if not 0 <= auc <= 1:
                shown = "no privacy" if epsilon is None else f"ε = {epsilon:g}"
                raise InputError(
                    f"the training with {shown} and seed {seed} gave an AUC of {auc:g}; it must "
                    "lie between 0 and 1"
                )
        points.append(PrivacyPoint(epsilon, aucs))
        on_point(points[-1])
    return tuple(points)


def write_picture(curve: PrivacyCurve, path: Path | str) -> Path:
    """Draw the curve into a .png or .svg file; returns its path.

    Raises:
        InputError: the file has another ending, or cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower().removeprefix(".")
    if ending not in IMAGE_FORMATS:
        raise InputError(f"{path}: a picture is written as .png or .svg")
    content = privacy_image(curve, ending)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    return path


def curve_json(curve: PrivacyCurve) -> str:
    """The curve's figures as one JSON object."""
    values: dict[str, Any] = {
        "unit": curve.unit,
        "delta": curve.delta,
        "history": curve.history,
        "data": curve.data,
        "points": [
            {
                "epsilon": point.epsilon,
                "auc_mean": point.mean,
                "auc_deviation": point.deviation,
                "aucs": list(point.aucs),
            }
            for point in curve.points
        ],
        "references": {reference.name: reference.auc for reference in curve.references},
    }
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
