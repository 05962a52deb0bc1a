"""Settings of one additive training, and what all parties must agree on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from federation.errors import InputError

# Columns of the label party's score files beside the trainings.
RESERVED = ("row", "label", "alone")
# A training's name becomes part of a file's name at every party, whoever proposed it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# Where a federation file has what isn't in its [model].
IN_FILES = {"label_epsilon": "privacy.label_epsilon", "label_delta": "privacy.delta"}


@dataclass(frozen=True)
class AdditiveSettings:
    """Hyper-parameters of one training.

    Attributes:
        name: the training's name within its session ("exact", "label-noise").
        bins: most bins a feature may have (2 to 1,000).
        smoothness: strength of the second-difference penalty.
        ridge: strength of the ridge.
        penalty_path: factors on both strengths, tried from the first on, a round each, until the
            validation log-loss stops falling; `schedule` says how one of them is chosen.
        max_rounds: most exchanges with the partners.
        noisy_rounds: rounds of a training with label noise, fixed beforehand.
        tolerance: converged when the partners' step of a round takes less than this off the
            penalised loss a borrower; the next step of a Newton-like method would take off about
            its square.
        class_weight: "none", or "balanced" (both classes weigh the same in all).
        pairs: most pairs of its own features for which a party adds a term to its finished main
            terms; 0 for none.
        pair_bins: most rows, and columns, of a pair's grid (2 to 16).
        pair_ridge: how many times as strong a pair's penalties are as a feature's.
        label_epsilon: ε of label differential privacy for the whole training; None for exact sums.
        label_delta: its δ.
    """

    name: str = "exact"
    bins: int = 32
    smoothness: float = 0.1
    ridge: float = 10.0
    penalty_path: tuple[float, ...] = (4.0, 1.0, 0.25)
    max_rounds: int = 10
    noisy_rounds: int = 4
    tolerance: float = 1e-3
    class_weight: str = "none"
    pairs: int = 0
    pair_bins: int = 6
    pair_ridge: float = 10.0
    label_epsilon: float | None = None
    label_delta: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse what can't be trained with, naming the field."""
        checks = {
            "name": isinstance(self.name, str)
            and NAME.fullmatch(self.name) is not None
            and self.name not in RESERVED,
            "bins": _is_whole(self.bins, 2, 1000),
            "smoothness": _is_number(self.smoothness) and self.smoothness >= 0,
            "ridge": _is_number(self.ridge) and self.ridge > 0,
            "penalty_path": isinstance(self.penalty_path, tuple)
            and 0 < len(self.penalty_path) <= 100
            and all(_is_number(factor) and factor > 0 for factor in self.penalty_path),
            "max_rounds": _is_whole(self.max_rounds, 1, 100),
            "noisy_rounds": _is_whole(self.noisy_rounds, 1, 100),
            "tolerance": _is_number(self.tolerance) and self.tolerance > 0,
            "class_weight": self.class_weight in ("none", "balanced"),
            "pairs": _is_whole(self.pairs, 0, 100),
            "pair_bins": _is_whole(self.pair_bins, 2, 16),
            "pair_ridge": _is_number(self.pair_ridge) and self.pair_ridge > 0,
            "label_epsilon": self.label_epsilon is None
            or (_is_number(self.label_epsilon) and 0 < self.label_epsilon <= 100),
            "label_delta": _is_number(self.label_delta) and 0 < self.label_delta < 0.1,
        }
        ranges = {
            "name": "up to 64 letters, digits, '-', '_' and '.', a letter or digit first, and none "
            f"of {', '.join(RESERVED)}",
            "bins": "a whole number from 2 to 1000",
            "smoothness": "a number from 0 up",
            "ridge": "a positive number",
            "penalty_path": "a list of positive factors",
            "max_rounds": "a whole number from 1 to 100",
            "noisy_rounds": "a whole number from 1 to 100",
            "tolerance": "a positive number",
            "class_weight": '"none" or "balanced"',
            "pairs": "a whole number from 0 to 100",
            "pair_bins": "a whole number from 2 to 16",
            "pair_ridge": "a positive number",
            "label_epsilon": "a number above 0, at most 100",
            "label_delta": "a number above 0 and below 0.1",
        }
        for name, holds in checks.items():
            if not holds:
                raise InputError(
                    f"{IN_FILES.get(name, f'model.{name}')} is {getattr(self, name)!r}; "
                    f"{ranges[name]} is right"
                )
        if self.label_epsilon is not None and self.class_weight != "none":
            raise InputError(
                "model.class_weight is 'balanced' together with a label_epsilon: class weights "
                "depend on the labels, so the noise would not cover them; use 'none'"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values for the session plan."""
        return asdict(self) | {"penalty_path": list(self.penalty_path)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> AdditiveSettings:
        """Back from plain values; unknown names are refused."""
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise InputError(
                    f"model.{name} is not a setting of the additive model; these are: "
                    f"{', '.join(sorted(known))}"
                )
        content = dict(values)
        if isinstance(content.get("penalty_path"), list):
            content["penalty_path"] = tuple(content["penalty_path"])
        return cls(**content)


def _is_number(value: object) -> bool:
    """Settings come from files and from other parties: their types are not to be relied on."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
