"""A boosted model's part: at the label party trees and its own splits, at a partner its splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.binning import Binning
from federation.boosting.trees import Forest, Node, Tree
from federation.errors import InputError
from federation.record_chain import canonical_json
from federation.schema import FeatureColumn

FORMAT = "veilscore boosted model part 1"
SALT_BYTES = 16
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """One split of one party: which bins of which of its features go left."""

    feature: int
    left: tuple[int, ...]


@dataclass(frozen=True)
class BoostedPart:
    """What one party holds of a boosted model, as it keeps it on disk (canonical JSON).

    Attributes:
        party: its name.
        session: the session that trained it; parts of one session make one model.
        training: the training within the session.
        binnings: how each feature is binned.
        labels: each feature's public label, or None.
        splits: its own, in the order in which their bits are sent.
        intercept: log-odds that every borrower starts from; 0 at a partner.
        trees: at the label party; none at a partner.
        split_counts: how many splits each other party has; at the label party.
        salt: random, at a partner: the label party knows the splits' places, so that without it a
            guess of the bins could be checked against the digest.
        owner_grown: every party has trees of its own features, and scores are sums of the parts'.
        order_epsilon: ε of each bin code's perturbation, at a partner that sent perturbed codes;
            what it says of further borrowers is perturbed alike.
    """

    party: str
    session: str
    training: str
    binnings: tuple[Binning, ...]
    labels: tuple[str | None, ...]
    splits: tuple[Split, ...]
    intercept: float = 0.0
    trees: tuple[Tree, ...] = ()
    split_counts: Mapping[str, int] = field(default_factory=dict)
    owner_grown: bool = False
    salt: str = ""
    order_epsilon: float | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Splits of every party, this one first."""
        return {self.party: len(self.splits)} | dict(self.split_counts)

    @property
    def partners(self) -> tuple[str, ...]:
        """The parties whose bits the trees ask for, but for this one."""
        return tuple(party for party in self.counts if party != self.party)

    def forest(self) -> Forest:
        """The trees, ready for many borrowers."""
        return Forest(self.trees, self.counts)

    def bits(self, columns: Sequence[FeatureColumn]) -> Bits:
        """One row a split of its own, one column a borrower; True goes left.

        Raises:
            InputError: a feature of a split is not among the columns.
        """
        count = len(columns[0].present) if columns else 0
        return split_bits(self.splits, self.codes(columns), [b.bins for b in self.binnings], count)

    def codes(self, columns: Sequence[FeatureColumn]) -> dict[int, npt.NDArray[np.uint16]]:
        """Bins (n,) of each feature that a split asks about, by the feature's place.

        Raises:
            InputError: a feature of a split is not among the columns.
        """
        by_name = {column.spec.name: column for column in columns}
        codes: dict[int, npt.NDArray[np.uint16]] = {}
        for split in self.splits:
            if split.feature in codes:
                continue
            binning = self.binnings[split.feature]
            column = by_name.get(binning.feature)
            if column is None:
                raise InputError(
                    f"the model part of {self.party} needs the feature '{binning.feature}', which "
                    f"its table does not have; it has: {', '.join(sorted(by_name))}"
                )
            codes[split.feature] = binning.assign(column)
        return codes

    def partial_scores(self, columns: Sequence[FeatureColumn]) -> npt.NDArray[np.float64]:
        """What the own trees of a part grown at its owner add to the log-odds (n,).

        Raises:
            ValueError: the trees ask other parties' splits too.
        """
        if not self.owner_grown:
            raise ValueError(f"the trees of '{self.training}' ask splits of several parties")
        return self.intercept + self.forest().scores({self.party: self.bits(columns)})

    def to_json(self) -> str:
        """Canonical JSON."""
        return canonical_json({"format": FORMAT} | asdict(self))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, for lineage: says nothing about splits or leaves."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str) -> BoostedPart:
        """Parse and check a stored part.

        Raises:
            InputError: names `where` and what is wrong.
        """
        if not isinstance(content, Mapping) or content.get("format") != FORMAT:
            raise InputError(f"{where}: not a boosted model part; its format must be '{FORMAT}'")
        try:
            counts = content["split_counts"] or {}
            epsilon = content["order_epsilon"]
            part = cls(
                party=str(content["party"]),
                session=str(content["session"]),
                training=str(content["training"]),
                binnings=tuple(Binning.from_json(values) for values in content["binnings"]),
                labels=tuple(content["labels"]),
                splits=tuple(
                    Split(_whole(one["feature"]), tuple(map(_whole, one["left"])))
                    for one in content["splits"]
                ),
                intercept=float(content["intercept"]),
                trees=tuple(
                    Tree(tuple(_node(node) for node in tree["nodes"])) for tree in content["trees"]
                ),
                owner_grown=bool(content["owner_grown"]),
                salt=str(content["salt"]),
                split_counts={str(party): _whole(count) for party, count in counts.items()},
                order_epsilon=None if epsilon is None else float(epsilon),
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(f"{where}: the model part is damaged ({error!r})") from error
        part._check(where)
        return part

    def _check(self, where: str) -> None:
        if len(self.binnings) != len(self.labels) or not np.isfinite(self.intercept):
            raise InputError(
                f"{where}: the model part is damaged (binnings and labels must be one a feature, "
                "the intercept a finite number)"
            )
        if not all(label is None or isinstance(label, str) for label in self.labels):
            raise InputError(f"{where}: the model part is damaged (a label must be a text or null)")
        if self.party in self.split_counts or any(n < 0 for n in self.split_counts.values()):
            raise InputError(
                f"{where}: the model part is damaged (split_counts must be from 0 up, and of other "
                f"parties than {self.party})"
            )
        if self.order_epsilon is not None and not 0 < self.order_epsilon < np.inf:
            raise InputError(
                f"{where}: the model part is damaged (order_epsilon is {self.order_epsilon})"
            )
        for binning in self.binnings:
            binning.check(where)
            ascending = all(low < high for low, high in pairwise(binning.edges))
            if not ascending or not np.isfinite(binning.edges).all():
                raise InputError(
                    f"{where}: feature '{binning.feature}' has edges that are not finite and "
                    "ascending"
                )
        for place, split in enumerate(self.splits):
            if not 0 <= split.feature < len(self.binnings):
                raise InputError(f"{where}: split {place} is of feature {split.feature}, unknown")
            check_left(split.left, self.binnings[split.feature].bins, f"{where}: split {place}")
        for place, tree in enumerate(self.trees):
            tree.check(self.counts, f"{where}: tree {place}")


def split_bits(
    splits: Sequence[Split],
    codes: Mapping[int, npt.NDArray[np.unsignedinteger]],
    bins: Sequence[int],
    count: int,
) -> Bits:
    """Bits of splits (splits, borrowers) from the codes of their features, each (borrowers,)."""
    bits = np.zeros((len(splits), count), dtype=np.bool_)
    for place, split in enumerate(splits):
        goes_left = np.zeros(bins[split.feature], dtype=np.bool_)
        goes_left[list(split.left)] = True
        np.take(goes_left, codes[split.feature], out=bits[place])
    return bits


def check_left(left: Sequence[int], bins: int, what: str) -> None:
    """Refuse a set of bins that is not ascending, in range, and some but not all.

    Raises:
        InputError: names `what`.
    """
    ascending = all(a < b for a, b in pairwise(left))
    if not left or not ascending or left[0] < 0 or left[-1] >= bins or len(left) == bins:
        raise InputError(
            f"{what} sends bins {list(left)[:20]} of {bins} left; some but not all, ascending, is "
            "right"
        )


def _node(values: Mapping[str, Any]) -> Node:
    return Node(
        value=float(values["value"]),
        cover=float(values["cover"]),
        party=str(values["party"]),
        split=_whole(values["split"]),
        left=_whole(values["left"]),
        right=_whole(values["right"]),
    )


def _whole(value: object) -> int:
    """A whole number as it stands: 1.5 is no place in a list."""
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return int(value)
