"""The blind training: an encoder made without labels, its columns through private linear maps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from federation.additive.settings import AdditiveSettings
from federation.alignment import InProcessGroup
from federation.errors import InputError, ProtocolError
from federation.metrics import auc
from federation.session.in_process import run_in_process
from federation.session.machine import Machine
from federation.session.wire import decode
from federation.split.blind import embedding_columns, pretrain
from federation.split.settings import BlindSettings, EncoderSettings
from federation.vertical.prediction import (
    PredictionPlan,
    feature_party_prediction,
    label_party_prediction,
)
from federation.vertical.trainings import total_features
from tests.federation.split.parties import Session, Table, machines_for, population, run

torch.set_num_threads(1)
ENCODER = EncoderSettings(embedding=6, epochs=4, batch_size=64)
BLIND = BlindSettings(AdditiveSettings(name="blind", bins=8), ENCODER)


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    """A bank and a platform."""
    return population(900)


@pytest.fixture(scope="module")
def session(tables: dict[str, Table]) -> Session:
    """One exact blind training."""
    return run(tables, [BLIND])


def test_an_encoder_without_labels_says_something_of_default(session: Session) -> None:
    """The bank's model over the embedding's bins beats its own columns."""
    bank = session.results["bank"]
    area = auc(bank.test_labels, bank.trainings[0].test_scores)
    assert area > auc(bank.test_labels, bank.alone_test_scores) + 0.05


def test_no_message_leaves_but_those_of_the_additive_protocol(
    tables: dict[str, Table], session: Session
) -> None:
    """No embedding and no gradient; the label party's sums go where an additive training's go."""
    plain = run(tables, [AdditiveSettings(bins=8)])
    for party in ("bank", "platform"):
        assert set(session.kinds(party)) == set(plain.kinds(party))
    assert not {"embeddings", "gradients"} & set(session.kinds("platform"))


def test_the_model_is_over_embedding_columns_alone(session: Session) -> None:
    """Declared features train beside them only where the settings say so."""
    part = session.results["platform"].parts["blind"]
    assert all(binning.feature.startswith("blind embedding") for binning in part.binnings)


def test_declared_features_may_train_too(tables: dict[str, Table]) -> None:
    """With `declared_features` the map holds both."""
    both = replace(BLIND, encoder=replace(ENCODER, declared_features=True))
    part = run(tables, [both]).results["platform"].parts["blind"]
    names = {binning.feature for binning in part.binnings}
    assert "paid jan" in names
    assert any(name.startswith("blind embedding") for name in names)


def test_a_blind_training_can_be_repeated(tables: dict[str, Table], session: Session) -> None:
    """The same table and seed make the same encoder and the same model."""
    again = run(tables, [BLIND]).results["platform"]
    first = session.results["platform"]
    assert again.encoders["blind"].digest == first.encoders["blind"].digest
    for one, other_one in zip(
        again.parts["blind"].weights, first.parts["blind"].weights, strict=True
    ):
        assert np.allclose(one, other_one)
    other = replace(BLIND, encoder=replace(ENCODER, seed=1))
    changed = run(tables, [other]).results["platform"].encoders["blind"]
    assert changed.digest != first.encoders["blind"].digest


def test_the_encoder_never_sees_a_label(tables: dict[str, Table], session: Session) -> None:
    """Other labels, the same test borrowers: the encoder is the same."""
    bank = tables["bank"]
    assert bank.label is not None
    flipped = tables | {"bank": replace(bank, label=1 - bank.label)}
    encoder = run(flipped, [BLIND]).results["platform"].encoders["blind"]
    assert encoder.digest == session.results["platform"].encoders["blind"].digest


def test_embeddings_are_rounded_and_missing_where_a_borrower_is(
    tables: dict[str, Table], session: Session
) -> None:
    """Steps of 1/64 within ±1; who is absent has none."""
    encoder = session.results["platform"].encoders["blind"]
    rows = np.array([0, 1, 2**32 - 1], dtype=np.uint32)
    columns = embedding_columns(encoder, tables["platform"].rows(rows))
    values = np.array([column.values for column in columns])
    assert values.shape == (6, 3)
    assert np.isnan(values[:, 2]).all()
    assert (np.abs(values[:, :2]) <= 1).all()
    assert (values[:, :2] * 64 == np.rint(values[:, :2] * 64)).all()


def test_a_party_without_months_is_told_what_to_declare(tables: dict[str, Table]) -> None:
    """A blind training has nothing to encode without a sequence."""
    features = tables["platform"].features
    rows = np.ones(len(features[0].values), bool)
    with pytest.raises(InputError, match="write sequence = true"):
        pretrain(features, (), rows, ENCODER, "platform", "s", "blind")


def test_under_label_noise_the_embedding_counts_as_features() -> None:
    """The noise is calibrated to the encoder's columns, whatever the partner declared."""
    declared = {"bank": 2, "platform": 5}
    assert total_features(AdditiveSettings(), declared, "bank") == 7
    assert total_features(BLIND, declared, "bank") == 2 + 6
    both = replace(BLIND, encoder=replace(ENCODER, declared_features=True))
    assert total_features(both, declared, "bank") == 2 + 5 + 6


def test_more_columns_than_the_encoder_was_agreed_to_make_are_refused(
    tables: dict[str, Table],
) -> None:
    """The label party holds an offer against the embedding's size."""
    machines = machines_for(tables, [BLIND], Session())
    take = machines["bank"].receive

    def receive(frame: bytes, sender: str | None = None) -> Iterator[tuple[str, bytes]]:
        envelope = decode(frame)
        if envelope.WhichOneof("body") == "map_offer":
            envelope.map_offer.features = 7
        return take(envelope.SerializeToString())

    machines["bank"].receive = receive  # type: ignore[method-assign]
    with pytest.raises(ProtocolError, match="a map of 7 features, but declared 6"):
        run_in_process(machines)


def test_two_exact_maps_share_the_cap_on_sums(tables: dict[str, Table]) -> None:
    """A partner may learn as many exact sums in a session of two models as in one of one."""
    both = run(tables, [AdditiveSettings(bins=8), BLIND]).results["platform"]
    borrowers = 720
    sums = [
        sum(binning.bins - 1 for binning in both.parts[name].binnings)
        for name in ("exact", "blind")
    ]
    assert sum(sums) <= borrowers // 20
    assert all(sums)


def test_stored_parts_predict_as_the_training_scored(
    tables: dict[str, Table], session: Session
) -> None:
    """With its encoder, the platform's part scores borrowers as the session did."""
    bank, platform = session.results["bank"], session.results["platform"]
    plan = PredictionPlan("s2", "s1", "blind", "bank", ("platform",))
    group = InProcessGroup()
    sides: dict[str, Any] = {
        "bank": label_party_prediction(tables["bank"], plan, bank.trainings[0].part, group),
        "platform": feature_party_prediction(
            tables["platform"],
            "platform",
            "bank",
            "s2",
            platform.parts["blind"],
            group,
            "test",
            encoder=platform.encoders["blind"],
        ),
    }
    made = run_in_process({name: Machine(name, "s2", role) for name, role in sides.items()})["bank"]
    place = {row: at for at, row in enumerate(made.rows.tolist())}
    predicted = made.log_odds[[place[row] for row in bank.test_rows.tolist()]]
    assert np.allclose(predicted, bank.trainings[0].test_scores, atol=1e-5)


def test_an_additive_session_does_without_torch() -> None:
    """A party that trains the additive model never imports it."""
    code = (
        "import sys; from tests.federation import test_vertical_session as t; "
        "t.run(t.population(300, ('platform',))); import clients.party, clients.prediction; "
        "import simulations.cli; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
