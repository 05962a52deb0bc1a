"""Settings of one boosted training, and what its partners must accept before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from federation.additive.settings import IN_FILES, NAME, RESERVED
from federation.errors import InputError
from federation.linear_maps.parameters import MOST_ANSWERS_TO_LABEL_PARTY

# With missing, absent and other bins a code still fits in a byte.
MOST_TREES, MOST_DEPTH, MOST_BINS = 1000, 8, 250


# Below, nothing would be left of labels or codes but noise, and its correction overflows.
EPSILON_RANGE = (0.001, 100)
EPSILONS = "a number from 0.001 to 100"


class Disclosure(StrEnum):
    """What a boosted training discloses, from the least on."""

    OWNER = "owner"  # trees grown at their owner: sums go to it, the label party sees leaves
    BINS = (
        "bins"  # sums and split bits go to the label party, which can rebuild bin codes from them
    )
    ORDER = "order"  # bin codes go to the label party as they are, or locally perturbed


@dataclass(frozen=True)
class BoostedSettings:
    """Hyper-parameters of one training.

    Attributes:
        name: the training's name within its session.
        disclosure: how trees are grown, and so what becomes known of partners' features.
        trees: most trees; with early stopping, fewer.
        depth: levels of splits in a tree.
        bins: most bins a feature may have.
        rate: shrinkage of every tree's leaves.
        l2: λ, ridge on leaf values.
        min_child_weight: least sum of hessians in a child.
        min_borrowers: fewest training borrowers in a child; None: 1,000 or 4 % of them, whichever
            is more, but never over a tenth; 0.5 % where trees are grown at their owners.
        min_split_gain: least gain of a split.
        class_weight: "none", or "balanced" (both classes weigh the same in all).
        early_stopping: trees without a better validation log-loss after which no more are grown,
            and those since are dropped; 0: all trees are grown and kept.
        column_sample: share of each partner's features that take part in a tree; 0 stands for 40 %
            where sums go to the label party, which slows their reconstruction somewhat, and else
            for all.
        row_sample: share of the borrowers drawn for a tree, by minimal variance sampling.
        seed: of rounding, sampling of rows and columns; a training repeats under it.
        label_epsilon: ε of label privacy, by randomised response once before a training whose trees
            are grown at their owners; None for exact sums.
        label_delta: 0 is what randomised response has; here for the record.
        order_epsilon: ε of each bin code's local perturbation where codes are sent; None sends
            them as they are.
    """

    name: str = "boosted"
    disclosure: Disclosure = Disclosure.BINS
    trees: int = 30
    depth: int = 4
    bins: int = 16
    rate: float = 0.2
    l2: float = 1.0
    min_child_weight: float = 1.0
    min_borrowers: int | None = None
    min_split_gain: float = 0.0
    class_weight: str = "none"
    early_stopping: int = 0
    column_sample: float = 0.0
    row_sample: float = 1.0
    seed: int = 42
    label_epsilon: float | None = None
    label_delta: float = 1e-5
    order_epsilon: float | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be trained with, naming the field."""
        if self.disclosure not in list(Disclosure):
            raise InputError(
                f"model.disclosure is {self.disclosure!r}; one of {', '.join(Disclosure)} is right"
            )
        object.__setattr__(self, "disclosure", Disclosure(self.disclosure))
        if self.column_sample == 0:
            share = 0.4 if self.disclosure is Disclosure.BINS else 1.0
            object.__setattr__(self, "column_sample", share)
        for name, (holds, right) in self._checks().items():
            if not holds:
                where = IN_FILES.get(name, f"model.{name}")
                raise InputError(f"{where} is {getattr(self, name)!r}; {right} is right")
        self._check_life()
        self._check_epsilons()

    def _checks(self) -> dict[str, tuple[bool, str]]:
        named = isinstance(self.name, str) and NAME.fullmatch(self.name) is not None
        positive = "a positive number"
        share = "a number above 0, at most 1"
        return {
            "name": (
                named and self.name not in RESERVED,
                "up to 64 letters, digits, '-', '_' and '.', a letter or digit first, and none of "
                f"{', '.join(RESERVED)}",
            ),
            "trees": _whole(self.trees, 1, MOST_TREES),
            "depth": _whole(self.depth, 1, MOST_DEPTH),
            "bins": _whole(self.bins, 2, MOST_BINS),
            "rate": (_number(self.rate) and 0 < self.rate <= 1, share),
            "l2": (_number(self.l2) and self.l2 > 0, positive),
            "min_child_weight": (
                _number(self.min_child_weight) and self.min_child_weight >= 0,
                "a number from 0 up",
            ),
            "min_borrowers": (
                self.min_borrowers is None or _whole(self.min_borrowers, 1, 10**9)[0],
                "a whole number from 1 up",
            ),
            "min_split_gain": (
                _number(self.min_split_gain) and self.min_split_gain >= 0,
                "a number from 0 up",
            ),
            "class_weight": (self.class_weight in ("none", "balanced"), '"none" or "balanced"'),
            "early_stopping": _whole(self.early_stopping, 0, MOST_TREES),
            "column_sample": (_number(self.column_sample) and 0 < self.column_sample <= 1, share),
            "row_sample": (_number(self.row_sample) and 0 < self.row_sample <= 1, share),
            "seed": _whole(self.seed, 0, 2**32 - 1),
            "label_epsilon": (_epsilon(self.label_epsilon), EPSILONS),
            "label_delta": (
                _number(self.label_delta) and 0 < self.label_delta < 0.1,
                "a number above 0 and below 0.1",
            ),
            "order_epsilon": (_epsilon(self.order_epsilon), EPSILONS),
        }

    def _check_epsilons(self) -> None:
        if self.disclosure is Disclosure.OWNER:
            self._check_owner_grown()
        if self.label_epsilon is not None and self.disclosure is not Disclosure.OWNER:
            raise InputError(
                f"privacy.label_epsilon is {self.label_epsilon:g} beside model.disclosure = "
                f"'{self.disclosure}', where no label information leaves the label party in "
                "training; leave label_epsilon out, or use disclosure = 'owner'"
            )
        if self.label_epsilon is not None and self.class_weight != "none":
            raise InputError(
                "model.class_weight is 'balanced' together with a label_epsilon: class weights "
                "depend on the labels, so randomised response would not cover them; use 'none'"
            )
        if self.order_epsilon is not None and self.disclosure is not Disclosure.ORDER:
            raise InputError(
                f"model.order_epsilon is {self.order_epsilon:g} beside model.disclosure = "
                f"'{self.disclosure}'; it perturbs bin codes that are sent, with disclosure = "
                "'order'"
            )

    def _check_life(self) -> None:
        """Before hours of training, not after: a map ends with the most answers it may give."""
        vectors = self.trees * 2**self.depth
        if self.disclosure is Disclosure.BINS and vectors > MOST_ANSWERS_TO_LABEL_PARTY:
            raise InputError(
                f"model.trees is {self.trees} at model.depth {self.depth}: up to {vectors:,} sums "
                "of each bin would be asked for, where one map gives "
                f"{MOST_ANSWERS_TO_LABEL_PARTY:,}; use fewer trees, or less depth"
            )

    def _check_owner_grown(self) -> None:
        if self.label_epsilon is None:
            raise InputError(
                "model.disclosure is 'owner' without a privacy.label_epsilon: from the exact sums "
                "over the nodes of a few trees single labels could be solved for; set "
                "label_epsilon (4 keeps nearly all of the accuracy), or use disclosure = 'bins'"
            )
        if self.early_stopping:
            raise InputError(
                f"model.early_stopping is {self.early_stopping} beside model.disclosure = 'owner', "
                "where stopping would tell of true labels; use 0"
            )

    def node_floor(self, borrowers: int) -> int:
        """Fewest of so many training borrowers that a child may have."""
        if self.min_borrowers is not None:
            return self.min_borrowers
        if self.disclosure is Disclosure.OWNER:  # nothing there that larger nodes would slow
            return max(1, borrowers // 200)
        return max(1, min(max(1000, math.ceil(0.04 * borrowers)), borrowers // 10))

    def to_json(self) -> dict[str, Any]:
        """Plain values for the session plan."""
        return {"kind": "boosted"} | asdict(self) | {"disclosure": str(self.disclosure)}

    @classmethod
    def known(cls) -> set[str]:
        """Names of the settings."""
        return {field.name for field in fields(cls)} | {"kind"}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BoostedSettings:
        """Back from plain values; unknown names are refused."""
        for name in values:
            if name not in cls.known():
                raise InputError(
                    f"model.{name} is not a setting of a boosted model; these are: "
                    f"{', '.join(sorted(cls.known()))}"
                )
        return cls(**{name: value for name, value in values.items() if name != "kind"})


def _number(value: object) -> bool:
    """Settings come from files and from other parties: their types are not to be relied on."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object, least: int, most: int) -> tuple[bool, str]:
    inside = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    return inside, f"a whole number from {least} to {most}"


def _epsilon(value: object) -> bool:
    least, most = EPSILON_RANGE
    if value is None:
        return True
    return _number(value) and isinstance(value, int | float) and least <= value <= most
