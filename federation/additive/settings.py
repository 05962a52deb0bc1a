"""Settings of one additive training, and what all parties must agree on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from federation.errors import InputError

# A training's name becomes part of a file's name at every party, whoever proposed it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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
        tolerance: converged when a round lowers the mean training loss by less than this.
        class_weight: "none", or "balanced" (both classes weigh the same in all).
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
    tolerance: float = 1e-4
    class_weight: str = "none"
    label_epsilon: float | None = None
    label_delta: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse what can't be trained with, naming the field."""
        checks = {
            "name": isinstance(self.name, str) and NAME.fullmatch(self.name) is not None,
            "bins": 2 <= self.bins <= 1000,
            "smoothness": self.smoothness >= 0,
            "ridge": self.ridge > 0,
            "penalty_path": bool(self.penalty_path) and min(self.penalty_path) > 0,
            "max_rounds": 1 <= self.max_rounds <= 100,
            "noisy_rounds": 1 <= self.noisy_rounds <= 100,
            "tolerance": self.tolerance > 0,
            "class_weight": self.class_weight in ("none", "balanced"),
            "label_epsilon": self.label_epsilon is None or 0 < self.label_epsilon <= 100,
            "label_delta": 0 < self.label_delta < 0.1,
        }
        ranges = {
            "name": "up to 64 letters, digits, '-', '_' and '.', a letter or digit first",
            "bins": "a whole number from 2 to 1000",
            "smoothness": "a number from 0 up",
            "ridge": "a positive number",
            "penalty_path": "a list of positive factors",
            "max_rounds": "a whole number from 1 to 100",
            "noisy_rounds": "a whole number from 1 to 100",
            "tolerance": "a positive number",
            "class_weight": '"none" or "balanced"',
            "label_epsilon": "a number above 0, at most 100",
            "label_delta": "a number above 0 and below 0.1",
        }
        for name, holds in checks.items():
            if not holds:
                raise InputError(
                    f"{'privacy' if name.startswith('label_') else 'model'}.{name} is "
                    f"{getattr(self, name)!r}; "
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
        try:
            if "penalty_path" in content:
                content["penalty_path"] = tuple(float(f) for f in content["penalty_path"])
            return cls(**content)
        except (TypeError, ValueError) as error:
            raise InputError(f"model: {error}") from error
