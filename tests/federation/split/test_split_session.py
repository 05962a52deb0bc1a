"""Whole vertical sessions with a split training, in process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from federation.additive.settings import AdditiveSettings
from federation.alignment import AlignmentMode, InProcessGroup
from federation.errors import InputError, ProtocolError
from federation.metrics import auc
from federation.proto.session_pb2 import Envelope
from federation.session.in_process import run_in_process
from federation.session.machine import Machine
from federation.session.wire import decode
from federation.split.part import NetworkPart
from federation.split.settings import SplitSettings
from federation.vertical.prediction import (
    PredictionPlan,
    feature_party_prediction,
    label_party_prediction,
)
from tests.federation.split.parties import Session, machines_for, population, run

SHORT = SplitSettings(exchanges=6, joint_exchanges=1, batch_size=64, learning_rate=0.01, decay=0.8)
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tables() -> dict[str, Any]:
    """A bank and a platform."""
    return population(1200)


@pytest.fixture(scope="module")
def session(tables: dict[str, Any]) -> Session:
    """One exact split training."""
    return run(tables, [SHORT])


def test_a_split_network_learns_from_the_partners_months(session: Session) -> None:
    """Test borrowers are ranked much better than by the bank's own columns."""
    bank = session.results["bank"]
    area = auc(bank.test_labels, bank.trainings[0].test_scores)
    assert area > auc(bank.test_labels, bank.alone_test_scores) + 0.1


def test_it_sends_no_more_than_embeddings_and_gradients(session: Session) -> None:
    """No map, no sums; the test borrowers' embeddings go last."""
    rounds = len(session.results["bank"].trainings[0].fit.rounds)
    platform = [k for k in session.kinds("platform") if k not in ("blinded_ids", "reblinded_ids")]
    assert platform == ["hello", *["embeddings"] * (rounds + 1), "closing"]
    bank = [k for k in session.kinds("bank") if k not in ("blinded_ids", "aligned_rows")]
    assert bank == ["plan", *["verdict", "gradients"] * (rounds - 1), "verdict", "closing"]
    assert session.results["bank"].scheme == "none"


def test_validation_rows_join_the_last_exchanges(session: Session) -> None:
    """They judge while the training searches, and are not judged by once they train."""
    rounds = session.results["bank"].trainings[0].fit.rounds
    assert [one.phase for one in rounds[-2:]] == ["search", "joint"]
    assert np.isnan(rounds[-1].validation_auc)
    assert all(0 < one.validation_auc < 1 for one in rounds[:-1])


def test_a_training_can_be_repeated(tables: dict[str, Any], session: Session) -> None:
    """Whatever order the alignment draws, the same tables and seed make the same parts."""
    again = run(tables, [SHORT]).results
    for party in ("bank", "platform"):
        assert digest(again, party) == digest(session.results, party)
    other = run(tables, [replace(SHORT, seed=1)]).results
    assert digest(other, "platform") != digest(session.results, "platform")


def digest(results: dict[str, Any], party: str) -> str:
    """Of a party's weights alone: the session's random id is in the part's own digest."""
    result = results[party]
    part = result.trainings[0].part if party == "bank" else result.parts["split"]
    return replace(part, session="s").digest


def test_a_part_comes_back_from_its_file(session: Session) -> None:
    """safetensors bytes and back, the same bytes each time, no pickle."""
    for part in (
        session.results["bank"].trainings[0].part,
        session.results["platform"].parts["split"],
    ):
        data = part.to_bytes()
        again = NetworkPart.from_bytes(data, "model.safetensors")
        assert again.to_bytes() == data
        assert (again.party, again.training, again.kind) == (part.party, part.training, part.kind)


@pytest.mark.parametrize("damage", ["cut", "text", "nan"])
def test_a_damaged_part_is_refused(session: Session, damage: str) -> None:
    """By the file's name, whatever is wrong with it."""
    part = session.results["platform"].parts["split"]
    data = {"cut": part.to_bytes()[:-9], "text": b"{}"}.get(damage)
    if data is None:
        weights = {name: value * np.float32(np.nan) for name, value in part.weights.items()}
        data = replace(part, weights=weights).to_bytes()
    with pytest.raises(InputError, match="model.safetensors"):
        NetworkPart.from_bytes(data, "model.safetensors")


def test_stored_parts_predict_as_the_training_scored(
    tables: dict[str, Any], session: Session
) -> None:
    """A prediction session over the same borrowers gives the test scores again."""
    bank = session.results["bank"]
    parts = {
        "bank": NetworkPart.from_bytes(bank.trainings[0].part.to_bytes(), "b"),
        "platform": NetworkPart.from_bytes(
            session.results["platform"].parts["split"].to_bytes(), "p"
        ),
    }
    plan = PredictionPlan("s2", "s1", "split", "bank", ("platform",))
    group = InProcessGroup()
    role = feature_party_prediction(
        tables["platform"], "platform", "bank", "s2", parts["platform"], group, "test"
    )
    made = run_in_process(
        {
            "bank": Machine(
                "bank", "s2", label_party_prediction(tables["bank"], plan, parts["bank"], group)
            ),
            "platform": Machine("platform", "s2", role),
        }
    )["bank"]
    place = {row: at for at, row in enumerate(made.rows.tolist())}
    predicted = made.log_odds[[place[row] for row in bank.test_rows.tolist()]]
    assert np.allclose(predicted, bank.trainings[0].test_scores, atol=1e-4)


def test_two_partners_and_borrowers_that_some_do_not_know() -> None:
    """'label-left' with two partners: from the sum of their embeddings the bank learns."""
    tables = population(1500, ("platform", "receivables"), known=0.8)
    record = run(tables, [SHORT], alignment=AlignmentMode.LABEL_LEFT)
    bank = record.results["bank"]
    assert bank.aligned == 1500
    area = auc(bank.test_labels, bank.trainings[0].test_scores)
    assert area > auc(bank.test_labels, bank.alone_test_scores) + 0.05


def test_trainings_of_all_kinds_share_one_session(tables: dict[str, Any]) -> None:
    """An additive training keeps its map and results beside a split one."""
    additive = AdditiveSettings(bins=8)
    mixed = run(tables, [additive, replace(SHORT, label_epsilon=2.0)])
    plain = run(tables, [additive])
    first, second = (r.results["bank"].trainings[0] for r in (mixed, plain))
    assert np.allclose(
        np.sort(first.test_scores), np.sort(second.test_scores)
    )  # the aligned order differs
    noisy = mixed.results["bank"].trainings[1]
    assert noisy.fit.label_privacy()["epsilon"] == 2.0
    assert len(noisy.fit.rounds) == SHORT.exchanges
    assert len(mixed.spent) == 2


def tampered(tables: dict[str, Any], change: Any, settings: SplitSettings = SHORT) -> None:
    """Run with every message passed through `change` first."""
    machines = machines_for(tables, [settings], Session())
    for machine in machines.values():
        take = machine.receive

        def receive(
            frame: bytes, sender: str | None = None, take: Any = take
        ) -> Iterator[tuple[str, bytes]]:
            envelope = decode(frame)
            change(envelope)
            return take(envelope.SerializeToString())  # type: ignore[no-any-return]

        machine.receive = receive  # type: ignore[method-assign]
    run_in_process(machines)


@pytest.mark.parametrize(
    ("kind", "field", "value", "sentence"),
    [
        ("gradients", "values", b"\x00\x00\xc0\x7f", "not finite"),
        ("embeddings", "values", b"\xff\xff\xff\x7f", "add up to more than"),
        ("embeddings", "exchange", 9, "of exchange 9"),
        ("verdict", "best_round", 7, "that names exchange 7"),
        ("verdict", "round", 7, "a verdict on exchange 7"),
    ],
)
def test_garbage_ends_the_session(
    tables: dict[str, Any], kind: str, field: str, value: Any, sentence: str
) -> None:
    """A damaged message is refused in one sentence, by whoever takes it."""

    def change(envelope: Envelope) -> None:
        if envelope.WhichOneof("body") == kind:
            body = getattr(envelope, kind)
            new = value
            if isinstance(value, bytes):
                new = value + getattr(body, field)[len(value) :]
            setattr(body, field, new)

    with pytest.raises(ProtocolError, match=sentence):
        tampered(tables, change)


def test_more_exchanges_than_the_plan_allows_are_refused(tables: dict[str, Any]) -> None:
    """A label party that never stops would see the embeddings move on and on."""

    def change(envelope: Envelope) -> None:
        if envelope.WhichOneof("body") == "verdict":
            envelope.verdict.stop = False

    with pytest.raises(ProtocolError, match="is the last that the plan allows"):
        tampered(tables, change, replace(SHORT, label_epsilon=1.0))
