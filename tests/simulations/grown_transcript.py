"""Trees grown in the clear, with the transcript that a label party would hold of its partner."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.gradients import tree_gradients
from federation.boosting.settings import BoostedSettings
from federation.boosting.split_search import SplitRules, best_splits
from federation.boosting.transcript import Transcript, TranscriptRecorder

Codes = npt.NDArray[np.uint8]


def quantile_codes(values: npt.NDArray[np.float64], bins: int) -> Codes:
    """Codes of about equally full bins, ties together (n,)."""
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="lower"))
    codes = np.searchsorted(edges, values, side="left")
    return np.unique(codes, return_inverse=True)[1].astype(np.uint8)


def grown_transcript(
    bank: Codes,
    partner: Codes,
    labels: npt.NDArray[np.float64],
    settings: BoostedSettings,
    names: tuple[str, ...] | None = None,
) -> Transcript:
    """Boost over both parties' codes (features, n), all ordered, and note what the bank learns."""
    codes = np.concatenate([bank, partner])
    features = tuple(FeatureBins(int(row.max()) + 1, int(row.max()) + 1) for row in codes)
    of_partner = features[len(bank) :]
    recorder = TranscriptRecorder(len(labels), of_partner, names)
    rng = np.random.default_rng(settings.seed)
    scores = np.full(len(labels), np.log(labels.mean() / (1 - labels.mean())))
    weights, places = np.ones(len(labels)), np.arange(len(labels))
    for tree in range(settings.trees):
        share = round(settings.column_sample * len(of_partner))
        chosen = np.sort(rng.choice(len(of_partner), size=max(share, 1), replace=False))
        recorder.tree_begins()
        made = tree_gradients(labels, scores, weights, settings, tree, places)
        vectors = np.stack([made.whole_gradient, made.whole_hessian])
        units = np.array([made.gradient_unit, made.hessian_unit])
        columns = [*range(len(bank)), *(len(bank) + chosen)]
        grower = _Tree(codes, features, columns, len(bank), vectors, units, settings, recorder)
        scores += settings.rate * grower.grow()
    return recorder.transcript()


class _Tree:
    def __init__(self, codes, features, columns, own, vectors, units, settings, recorder):
        self.codes, self.columns, self.own = codes, columns, own
        self.layout = BinLayout(tuple(features[column] for column in columns))
        self.vectors, self.units = vectors, units
        self.settings, self.recorder = settings, recorder
        self.floor = settings.node_floor(codes.shape[1])

    def _sums(self, nodes):
        """Sums of every node's two vectors, noted as asked of the partner (nodes, 2, cells)."""
        asked = np.stack([self.vectors * node for node in nodes]).reshape(-1, len(nodes[0]))
        sums = [
            np.stack([np.bincount(self.codes[c], v, f.bins) for v in asked])
            for c, f in zip(self.columns, self.layout.features, strict=True)
        ]
        own = sum(column < self.own for column in self.columns)
        answered = np.concatenate(sums[own:], axis=1)
        features = [column - self.own for column in self.columns[own:]]
        self.recorder.queried(asked, features, answered)
        return np.concatenate(sums, axis=1).reshape(len(nodes), 2, -1)

    def grow(self):
        """The leaf value of every borrower (n,)."""
        nodes = [np.ones(self.codes.shape[1], dtype=bool)]
        sums = self._sums(nodes)
        values = self._values(nodes[0])
        rules = SplitRules(self.settings.l2, self.settings.min_child_weight, 0.0)
        for level in range(self.settings.depth):
            if not nodes:
                break
            scaled = sums * self.units[None, :, None]
            first = scaled[:, :, : self.layout.features[0].bins].sum(axis=2)
            shares = np.array([self.floor / node.sum() for node in nodes])
            found = best_splits(
                scaled[:, 0], scaled[:, 1], (first[:, 0], first[:, 1]),
                np.maximum(shares * first[:, 1], rules.min_child_weight), self.layout, rules,
            )  # fmt: skip
            split = [(k, c) for k, c in enumerate(found) if c is not None]
            children, small = [], []
            for k, candidate in split:
                column = self.columns[candidate.feature]
                bits = np.isin(self.codes[column], candidate.left)
                if column >= self.own:
                    self.recorder.split(column - self.own, candidate.left, bits)
                pair = [nodes[k] & bits, nodes[k] & ~bits]
                children += pair
                small.append(int(pair[1].sum() < pair[0].sum()))
                for child in pair:
                    values[child] = self._values(child)[child]
            if level + 1 < self.settings.depth and split:
                asked = self._sums([children[2 * i + s] for i, s in enumerate(small)])
                sums = np.concatenate(
                    [
                        np.stack([own, sums[k] - own][:: -1 if s else 1])
                        for (k, _), own, s in zip(split, asked, small, strict=True)
                    ]
                )
            nodes = children
        return values

    def _values(self, node):
        gradient, hessian = (self.vectors[:, node].sum(axis=1) * self.units).tolist()
        return np.full(len(node), -gradient / (hessian + self.settings.l2))
