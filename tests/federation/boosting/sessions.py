"""Boosted sessions in process, and the same trees from the pooled bins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from federation.alignment import InProcessGroup
from federation.boosting.acceptance import Acceptance
from federation.boosting.alone import fit_alone
from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.feature_party import draw_features
from federation.boosting.label_party import BoostedFit, Borrowers
from federation.boosting.local_bins import LocalBins
from federation.boosting.model_part import BoostedPart
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.boosting.trees import Forest
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.session.in_process import run_in_process
from federation.session.machine import Machine, Sent
from federation.vertical import SessionPlan, feature_party_session, label_party_session
from federation.vertical.plan import SplitPlan
from tests.federation.test_vertical_session import Table

Vector = npt.NDArray[np.float64]
SMALL = BoostedSettings(
    trees=2, depth=2, bins=5, rate=0.4, min_borrowers=15, column_sample=1.0, name="b"
)
ORDER = replace(SMALL, disclosure=Disclosure.ORDER)


def with_category(tables: dict[str, Table]) -> dict[str, Table]:
    """The same, and a categorical feature with gaps at the first partner."""
    generator = np.random.default_rng(11)
    name = next(party for party in tables if party != "bank")
    count = len(tables[name].identifiers)
    kinds = generator.choice(["a", "b", "c", ""], count, p=[0.4, 0.3, 0.2, 0.1]).astype(object)
    kinds[kinds == ""] = None
    column = FeatureColumn(
        FeatureSpec("channel", FeatureKind.CATEGORICAL), kinds, np.ones(count, bool)
    )
    return tables | {name: replace(tables[name], features=(*tables[name].features, column))}


def machines_for(
    tables: Mapping[str, Table],
    settings: BoostedSettings = SMALL,
    acceptance: Acceptance | None = None,
    on_sent: Callable[[Sent], None] = lambda sent: None,
    **plan_fields: Any,
) -> dict[str, Machine[Any]]:
    """One machine a party."""
    partners = tuple(name for name in tables if name != "bank")
    plan = SessionPlan("s1", "bank", partners, trainings=(settings,), **plan_fields)
    role = label_party_session(tables["bank"], plan, InProcessGroup(), "run")
    machines: dict[str, Machine[Any]] = {"bank": Machine("bank", "s1", role, on_sent=on_sent)}
    for name in partners:
        theirs = feature_party_session(
            tables[name], name, "bank", "s1", InProcessGroup(), "test", acceptance=acceptance
        )
        machines[name] = Machine(name, "s1", theirs, on_sent=on_sent)
    return machines


def run(
    tables: Mapping[str, Table], settings: BoostedSettings = SMALL, **rest: Any
) -> dict[str, Any]:
    """Every party's result of one session."""
    return run_in_process(machines_for(tables, settings, **rest))


def parts_of(results: Mapping[str, Any]) -> dict[str, BoostedPart]:
    """Every party's part, the bank's first."""
    trained = results["bank"].trainings[0]
    name = trained.settings.name
    return {"bank": trained.part} | {
        party: result.parts[name] for party, result in results.items() if party != "bank"
    }


def drawing(
    settings: BoostedSettings, party: str, layout: BinLayout
) -> Callable[[int], Sequence[int]] | None:
    """A partner draws features for each tree that it answers to; the bank takes all it has."""
    if party == "bank" or settings.disclosure is Disclosure.ORDER:
        return None
    return lambda tree: draw_features(layout, settings, party, tree)


def pooled(
    tables: Mapping[str, Table], results: Mapping[str, Any], left: bool, split: SplitPlan
) -> tuple[BoostedFit, Vector]:
    """Trees of all parties' bins in one place, and the test borrowers' scores."""
    bank = results["bank"]
    settings, parts = bank.trainings[0].settings, parts_of(results)
    ids, label = tables["bank"].identifiers, tables["bank"].label
    assert label is not None
    known = [set(table.identifiers) for name, table in tables.items() if name != "bank"]
    rows = [row for row, one in enumerate(ids) if left or all(one in others for others in known)]
    cut = split.parts(label[rows], None)
    in_test = {ids[row] for row, part in zip(rows, cut, strict=True) if part == 2}
    test = [ids[row] for row in bank.test_rows]
    assert set(test) == in_test
    fit = [ids[row] for row in rows if ids[row] not in in_test]
    local = {}
    for party, part in parts.items():
        columns = {
            "fit": {c.spec.name: c for c in tables[party].of(fit)},
            "test": {c.spec.name: c for c in tables[party].of(test)},
        }
        codes = [
            np.stack([b.assign(columns[which][b.feature]) for b in part.binnings])
            for which in ("fit", "test")
        ]
        layout = BinLayout(tuple(FeatureBins(b.bins, b.ordered_bins) for b in part.binnings))
        local[party] = LocalBins(layout, codes[0], codes[1], drawing(settings, party, layout))
    fit_rows = [row for row in rows if ids[row] not in in_test]
    validation = np.array([part == 1 for part in cut if part != 2])
    borrowers = Borrowers(label[fit_rows].astype(float), validation, np.arange(len(fit)))
    plain = fit_alone(borrowers, local, settings)
    forest = Forest(plain.trees, {party: len(own) for party, own in plain.splits.items()})
    bits = {party: bins.test_bits(plain.splits[party]) for party, bins in local.items()}
    return plain, plain.intercept + forest.scores(bits)


def assert_pooled(
    tables: Mapping[str, Table], results: Mapping[str, Any], left: bool = False
) -> BoostedFit:
    """The session's trees, splits and test scores are those of the pooled bins."""
    plain, scores = pooled(tables, results, left, SplitPlan())
    parts = parts_of(results)
    assert {party: part.splits for party, part in parts.items()} == plain.splits
    for one, other in zip(parts["bank"].trees, plain.trees, strict=True):
        for node, right in zip(one.nodes, other.nodes, strict=True):
            assert replace(node, value=right.value) == right
            assert node.value == pytest.approx(right.value, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(results["bank"].trainings[0].test_scores, scores, atol=1e-9)
    used = {node.party for tree in plain.trees for node in tree.nodes} - {""}
    assert used == set(tables)
    return plain
