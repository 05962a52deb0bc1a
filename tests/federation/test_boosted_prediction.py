"""Predictions with boosted models in process: bits of the right borrowers, and only what is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from federation.alignment import AlignmentMode, InProcessGroup
from federation.boosting.model_part import BoostedPart
from federation.boosting.order import perturbed, record_event
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.boosting.trees import Node, Tree
from federation.errors import InputError, ProtocolError
from federation.privacy.events import RECORD, Exact, RandomisedResponse
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import Envelope
from federation.session.in_process import run_in_process
from federation.session.machine import Machine
from federation.vertical.prediction import (
    PredictionPlan,
    feature_party_prediction,
    label_party_prediction,
)
from tests.federation.test_vertical_session import Table, population, run, tampered

PARTNERS = ("platform", "iot")
SETTINGS = BoostedSettings(trees=4, depth=3, bins=6, disclosure=Disclosure.ORDER, min_borrowers=20)


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    """A bank and two partners; each knows nine in ten of the bank's borrowers."""
    return population(600, PARTNERS, known=0.9)


@pytest.fixture(scope="module")
def parts(tables: dict[str, Table]) -> dict[str, BoostedPart]:
    """A model in which every party has splits."""
    mode = AlignmentMode.LABEL_LEFT
    results = run(tables, [SETTINGS], alignment=mode)  # type: ignore[list-item]
    found = {party: results[party].parts["boosted"] for party in PARTNERS}
    found["bank"] = results["bank"].trainings[0].part
    assert all(part.splits for part in found.values())
    return found


def machines_for(
    tables: Mapping[str, Table],
    parts: Mapping[str, BoostedPart],
    spent: list[Expenditure],
    asked: tuple[str, ...] = PARTNERS,
    mode: AlignmentMode = AlignmentMode.LABEL_LEFT,
) -> dict[str, Machine[Any]]:
    """One machine a party."""
    plan = PredictionPlan("p1", "s1", "boosted", "bank", asked, mode)
    bank = label_party_prediction(tables["bank"], plan, parts["bank"], InProcessGroup())
    machines: dict[str, Machine[Any]] = {"bank": Machine("bank", "p1", bank)}
    for party in asked:
        role = feature_party_prediction(
            tables[party], party, "bank", "p1", parts[party], InProcessGroup(), "test"
        )
        machines[party] = Machine(party, "p1", role, on_release=spent.append)
    return machines


@pytest.mark.parametrize("mode", list(AlignmentMode))
def test_the_scores_are_those_of_all_tables_in_one_place(
    tables: dict[str, Table], parts: dict[str, BoostedPart], mode: AlignmentMode
) -> None:
    """Whatever the partners' file orders; borrowers that a partner lacks are 'absent' there."""
    spent: list[Expenditure] = []
    prediction = run_in_process(machines_for(tables, parts, spent, mode=mode))["bank"]
    names = [tables["bank"].identifiers[row] for row in prediction.rows.tolist()]
    known = [set(tables[party].identifiers) for party in PARTNERS]
    everybody = set(tables["bank"].identifiers)
    expected = everybody if mode is AlignmentMode.LABEL_LEFT else everybody & known[0] & known[1]
    assert set(names) == expected
    bits = {party: part.bits(tables[party].of(names)) for party, part in parts.items()}
    together = parts["bank"].intercept + parts["bank"].forest().scores(bits)
    np.testing.assert_allclose(prediction.log_odds, together, rtol=0, atol=1e-12)
    assert np.ptp(together) > 0.5
    assert [(one.event, one.unit) for one in spent] == [(Exact(), RECORD)] * 2
    assert {one.what.partition(" borrowers")[0] for one in spent} == {
        f"split bits of the model 'boosted' for {len(names):,}"
    }


def test_a_partner_that_perturbed_its_codes_goes_on_with_it(
    tables: dict[str, Table], parts: dict[str, BoostedPart]
) -> None:
    """The others' bits stay true; ε counts once a feature in use."""
    noisy = parts | {"iot": replace(parts["iot"], order_epsilon=1.5)}
    spent: list[Expenditure] = []
    prediction = run_in_process(machines_for(tables, noisy, spent))["bank"]
    exact = run_in_process(machines_for(tables, parts, []))["bank"]
    assert 0.05 < float(np.mean(prediction.log_odds != exact.log_odds)) < 0.95
    used = {split.feature for split in parts["iot"].splits}
    assert {one.event for one in spent} == {Exact(), RandomisedResponse(1.5 * len(used))}


def test_perturbed_codes_keep_their_promise() -> None:
    """Every code stays with e^ε/(e^ε + B - 1), and else each other one is as likely."""
    codes = np.full(60_000, 2, dtype=np.uint8)
    for bins, epsilon in ((2, 0.5), (6, 1.0)):
        codes[:] = 1
        counts = np.bincount(perturbed(codes, bins, epsilon), minlength=bins) / codes.size
        weight = np.exp(epsilon) + bins - 1
        expected = np.full(bins, 1 / weight)
        expected[1] = np.exp(epsilon) / weight
        assert np.abs(counts - expected).max() < 5 * np.sqrt(0.25 / codes.size)
        assert np.log(counts.max() / counts.min()) == pytest.approx(epsilon, abs=0.1)
    assert record_event(0.5, 7) == RandomisedResponse(3.5)
    assert record_event(None, 7) == Exact()


def test_a_model_that_needs_another_party_is_refused(
    tables: dict[str, Table], parts: dict[str, BoostedPart]
) -> None:
    """Before anybody is asked anything."""
    with pytest.raises(InputError, match="asks for splits of iot, but only platform would be ask"):
        run_in_process(machines_for(tables, parts, [], asked=("platform",)))


def test_a_partners_part_does_not_serve_at_the_label_party(
    tables: dict[str, Table], parts: dict[str, BoostedPart]
) -> None:
    """It has no trees."""
    swapped = parts | {"bank": parts["platform"]}
    with pytest.raises(InputError, match="has no trees: it is a partner's"):
        run_in_process(machines_for(tables, swapped, []))


def test_a_table_without_a_feature_of_the_model_is_refused(
    tables: dict[str, Table], parts: dict[str, BoostedPart]
) -> None:
    """By the feature's name, at its owner."""
    poorer = tables | {"iot": replace(tables["iot"], features=tables["iot"].features[:0])}
    with pytest.raises(InputError, match="the model part of iot needs the feature '"):
        run_in_process(machines_for(poorer, parts, []))


def _fewer(envelope: Envelope) -> None:
    envelope.split_bits.bits = envelope.split_bits.bits[:-1]


def _another_part(envelope: Envelope) -> None:
    envelope.split_bits.part = "fit"


def _more_splits(envelope: Envelope) -> None:
    row = len(envelope.split_bits.bits) // envelope.split_bits.splits
    envelope.split_bits.splits += 1
    envelope.split_bits.bits += bytes(row)


@pytest.mark.parametrize("change", [_fewer, _another_part, _more_splits])
def test_bits_of_another_shape_are_refused(
    tables: dict[str, Table], parts: dict[str, BoostedPart], change: Any
) -> None:
    """The partner is named, and what would be right."""

    def tamper(recipient: str, envelope: Envelope) -> Envelope:
        if envelope.WhichOneof("body") == "split_bits" and envelope.sender == "iot":
            change(envelope)
        return envelope

    with pytest.raises(ProtocolError, match="iot sent bits of .* for 'predict' in .* are right"):
        tampered(machines_for(tables, parts, []), tamper)


def test_a_partner_without_a_split_in_the_model_sends_none(
    tables: dict[str, Table], parts: dict[str, BoostedPart]
) -> None:
    """Early stopping may leave nothing of a partner in the model."""
    counts = dict(parts["bank"].split_counts) | {"iot": 0}
    stump = Tree((Node(0.0, 2.0, "bank", 0, 1, 2), Node(0.5, 1.0), Node(-0.5, 1.0)))
    fewer = parts | {
        "bank": replace(parts["bank"], trees=(stump,), split_counts=counts),
        "iot": replace(parts["iot"], splits=()),
    }
    spent: list[Expenditure] = []
    prediction = run_in_process(machines_for(tables, fewer, spent))["bank"]
    assert [one.what.rpartition(" ")[2] for one in spent] == ["bank"]
    found = np.unique(prediction.log_odds - parts["bank"].intercept)
    np.testing.assert_allclose(found, [-0.5, 0.5])
