"""Fits with only some of the partners, and the variants that a label party serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from federation.additive.label_noise import LabelNoise
from federation.additive.settings import AdditiveSettings
from federation.errors import ProtocolError
from federation.masking import from_fixed_point
from federation.privacy.events import Exact, GaussianRelease
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import Envelope
from federation.scoring import default_probability, to_points
from federation.session.wire import unpack_array
from federation.split.settings import SplitSettings
from federation.vertical import SessionPlan
from federation.vertical.fallbacks import Fallbacks, fallback_sets, fits_of
from federation.vertical.plan import check_fallbacks
from tests.federation.test_vertical_session import (
    EXACT,
    PARTNERS,
    Table,
    assert_same_model,
    dense,
    machines_for,
    penalty_matrix,
    plain_fit,
    population,
    run,
    tampered,
)

NOISY = AdditiveSettings(
    name="noisy", bins=4, label_epsilon=2.0, ridge=30.0, noisy_rounds=3, label_delta=1e-5
)


COARSE = AdditiveSettings(bins=3)


@dataclass(frozen=True)
class Session:
    """What went in, what came out, and what was entered as released."""

    tables: dict[str, Table]
    results: dict[str, Any]
    spent: list[Expenditure]


@pytest.fixture(scope="module")
def two_partners() -> Session:
    """A session that several tests look at."""
    tables = population(6000, PARTNERS[:2])
    spent: list[Expenditure] = []
    return Session(tables, run(tables, on_release=spent.append), spent)


def test_a_fallback_is_the_plain_fit_over_its_parties(two_partners: Session) -> None:
    """The bank and one of two partners, at the strengths that the main training chose."""
    tables, results = two_partners.tables, two_partners.results
    bank = results["bank"]
    trained = bank.trainings[0]
    ids, label = tables["bank"].identifiers, tables["bank"].label
    assert label is not None
    test = [ids[row] for row in bank.test_rows]
    fit = sorted(set(ids) - set(test))
    place = {identifier: row for row, identifier in enumerate(ids)}
    labels = label[[place[identifier] for identifier in fit]].astype(np.float64)
    last = trained.fit.rounds[-1]
    for partner in PARTNERS[:2]:
        variant = next(v for v in trained.variants if v.parties == (partner,))
        theirs = results[partner].parts[variant.name]
        parts = {"bank": variant.part, partner: theirs}

        def matrix(identifiers: list[str], parts: Any = parts) -> Any:
            blocks = [dense(part, tables[party].of(identifiers)) for party, part in parts.items()]
            return np.concatenate([np.ones((len(identifiers), 1)), *blocks], axis=1)

        penalty = penalty_matrix(list(parts.values()), last.smoothness, last.ridge)
        plain = matrix(test) @ plain_fit(matrix(fit), labels, penalty)
        federated = sum(part.partial_scores(tables[p].of(test)) for p, part in parts.items())
        assert_same_model(results, plain, federated)


def test_the_variants_of_a_model_stand_in_order_and_are_measured(two_partners: Session) -> None:
    """All partners, each alone, the bank alone; AUC in points is AUC in log-odds, nearly."""
    tables, results = two_partners.tables, two_partners.results
    bank = results["bank"]
    trained = bank.trainings[0]
    a, b = sorted(PARTNERS[:2])
    assert [v.parties for v in trained.variants] == [(a, b), (a,), (b,), ()]
    assert [v.name for v in trained.variants] == [
        "exact",
        f"exact~{a}",
        f"exact~{b}",
        "exact~bank",
    ]
    assert trained.fallbacks.keys() == {f"exact~{a}", f"exact~{b}"}
    test = [tables["bank"].identifiers[row] for row in bank.test_rows]
    for variant in trained.variants:
        points = to_points(variant.part.partial_scores(tables["bank"].of(test))).astype(np.int64)
        for party in variant.parties:
            part = results[party].parts[variant.name]
            points += to_points(part.partial_scores(tables[party].of(test)))
        assert variant.auc == pytest.approx(roc_auc_score(bank.test_labels, points), abs=5e-4)
        assert variant.test_borrowers == len(test)
        probability = default_probability(variant.calibration.log_odds(points))
        assert probability.mean() == pytest.approx(bank.test_labels.mean(), abs=0.04)
    main, *fallbacks, alone = (v.auc for v in trained.variants)
    assert main > max(fallbacks) > min(fallbacks) > alone
    for histogram in trained.development.values():
        assert sum(histogram.shares) == pytest.approx(1)
        assert min(histogram.shares) > 0
    assert trained.development.keys() == {"score", "bank", "partners"}


def test_label_noise_is_drawn_once_for_the_training_and_its_fallbacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One release in the ledger; the noise of own bins and of each partner is drawn once."""
    drawn: list[int] = []
    draw = LabelNoise.draw

    def counted(self: LabelNoise, cells: int) -> Any:
        drawn.append(cells)
        return draw(self, cells)

    monkeypatch.setattr(LabelNoise, "draw", counted)
    spent: list[Expenditure] = []
    results = run(population(400, PARTNERS[:2]), [NOISY], on_release=spent.append)
    assert [type(one.event) for one in spent] == [GaussianRelease]
    assert len(drawn) == 3
    trained = results["bank"].trainings[0]
    assert len(trained.variants) == 4
    assert set(trained.fallbacks.values()) == {NOISY.noisy_rounds}


def test_every_fit_with_exact_sums_is_entered(two_partners: Session) -> None:
    """The training and both fallbacks, by name."""
    spent = two_partners.spent
    assert [type(one.event) for one in spent] == [Exact] * 3
    assert "'exact~platform'" in spent[1].what
    assert "to platform" in spent[1].what


def test_partial_scores_of_two_of_three_stay_masked() -> None:
    """What each sends in their common fallback is not its score; the sum is."""
    seen: dict[str, Any] = {}

    def watch(recipient: str, envelope: Envelope) -> Envelope:
        body = envelope.partial_scores
        if recipient == "bank" and body.part == "test" and body.values:
            seen.setdefault(envelope.sender, []).append(bytes(body.values))
        return envelope

    tables = population(400, PARTNERS)
    results = tampered(machines_for(tables, [COARSE], fallbacks=Fallbacks.MASKED), watch)
    trained = results["bank"].trainings[0]
    assert all(len(v.parties) != 1 for v in trained.variants)
    test = [tables["bank"].identifiers[row] for row in results["bank"].test_rows]
    pair = ("iot", "platform")
    name = "exact~iot+platform"
    order = [f.name for f in machines_plan(tables).fits]
    totals = []
    for party in pair:
        own = [n for n in order if n == "exact" or party in n]
        words = unpack_array(seen[party][own.index(name)], "<u4", (len(test),), "scores")
        score = results[party].parts[name].partial_scores(tables[party].of(test))
        assert np.abs(from_fixed_point(words) - score).mean() > 100
        totals.append((words, score))
    together = from_fixed_point(totals[0][0] + totals[1][0])
    np.testing.assert_allclose(together, totals[0][1] + totals[1][1], atol=1e-5)


def machines_plan(tables: dict[str, Table]) -> SessionPlan:
    """The plan of that session."""
    partners = tuple(name for name in tables if name != "bank")
    return SessionPlan("s1", "bank", partners, trainings=(EXACT,), fallbacks=Fallbacks.MASKED)


def test_a_bank_with_one_partner_falls_back_on_itself() -> None:
    """No further exchange."""
    results = run(population(400, PARTNERS[:1]), [COARSE])
    trained = results["bank"].trainings[0]
    assert [v.parties for v in trained.variants] == [("platform",), ()]
    assert not trained.fallbacks
    assert trained.development.keys() == {"score", "bank", "platform"}


names = st.lists(st.text("abcd", min_size=1, max_size=3), min_size=1, max_size=6, unique=True)


@given(names, st.sampled_from(Fallbacks))
def test_sets_are_proper_and_as_large_as_agreed(parties: list[str], kind: Fallbacks) -> None:
    """Never all parties, never none, never one where sums must hide partners; all lack-ones."""
    sets = fallback_sets(tuple(parties), kind)
    least = {Fallbacks.EVERY: 1, Fallbacks.MASKED: 2, Fallbacks.ALONE: len(parties)}[kind]
    assert len(set(sets)) == len(sets)
    for some in sets:
        assert least <= len(some) < len(parties)
        assert list(some) == sorted(some)
        assert set(some) < set(parties)
    if kind is Fallbacks.EVERY and len(parties) > 1:
        lacking_one = {tuple(sorted(set(parties) - {p})) for p in parties}
        assert lacking_one <= set(sets)
        assert {(p,) for p in parties} <= set(sets)


def test_a_split_training_has_no_fallback() -> None:
    """Its network takes the sum of all embeddings."""
    assert len(fits_of(SplitSettings(), ("a", "b"), Fallbacks.EVERY)) == 1


def test_a_plan_with_other_fallbacks_than_agreed_is_refused() -> None:
    """A partner that agreed to stay hidden in sums is not asked for its own scores."""
    check_fallbacks(Fallbacks.MASKED, Fallbacks.MASKED)
    check_fallbacks(Fallbacks.EVERY, None)
    with pytest.raises(ProtocolError, match=r"fallbacks = 'every', but this party agreed to 'mas"):
        check_fallbacks(Fallbacks.EVERY, Fallbacks.MASKED)


@pytest.mark.parametrize("kind", Fallbacks)
def test_a_plan_tells_its_fallbacks(kind: Fallbacks) -> None:
    """Both sides make the same fits."""
    plan = SessionPlan("s1", "bank", ("a", "b", "c"), trainings=(EXACT,), fallbacks=kind)
    read, _ = SessionPlan.from_json(plan.to_json(0), "s1", "b")
    assert [(f.name, f.parties) for f in read.fits] == [(f.name, f.parties) for f in plan.fits]
