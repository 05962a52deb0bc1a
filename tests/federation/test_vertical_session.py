"""Whole vertical sessions in process, against a plain fit of the same model written here."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from federation.additive import feature_party
from federation.additive.block import Block
from federation.additive.label_noise import LabelNoise
from federation.additive.model_part import ModelPart
from federation.additive.settings import AdditiveSettings
from federation.additive.terms import Term, second_difference_penalty
from federation.alignment import ABSENT_ROW, InProcessGroup
from federation.errors import InputError, ProtocolError
from federation.linear_maps import Direction, LabelSide, feature_side, label_side
from federation.masking import PairwiseMasks
from federation.privacy.events import Exact, GaussianRelease
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import Envelope, Sums, Verdict
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.session.in_process import run_in_process
from federation.session.machine import Machine, Receive, Send
from federation.session.wire import decode, pack_array
from federation.split.settings import SplitSettings
from federation.vertical import (
    LabelSessionResult,
    SessionPlan,
    SplitPlan,
    feature_party_session,
    label_party_session,
)
from federation.vertical.plan import TEST, TRAINING, VALIDATION

Vector = npt.NDArray[np.float64]
Tamper = Callable[[str, Envelope], Envelope]
PARTNERS = ("platform", "receivables", "iot")
EXACT = AdditiveSettings(bins=8)


@dataclass(frozen=True)
class Table:
    """A party's rows in memory."""

    identifiers: tuple[str, ...]
    features: tuple[FeatureColumn, ...]
    label: npt.NDArray[np.uint8] | None = None
    split: npt.NDArray[np.uint8] | None = None

    def rows(self, positions: npt.NDArray[np.uint32]) -> list[FeatureColumn]:
        """The columns of some rows; a row that is absent has any value."""
        present = positions != ABSENT_ROW
        taken = np.where(present, positions, 0)
        return [FeatureColumn(c.spec, c.values[taken], present) for c in self.features]

    def of(self, identifiers: Sequence[str]) -> list[FeatureColumn]:
        """The columns of these borrowers."""
        place = {identifier: row for row, identifier in enumerate(self.identifiers)}
        rows = [place.get(identifier, ABSENT_ROW) for identifier in identifiers]
        return self.rows(np.array(rows, dtype=np.uint32))


def numeric(name: str, values: Vector) -> FeatureColumn:
    """A numeric column."""
    return FeatureColumn(FeatureSpec(name, FeatureKind.NUMERIC), values, np.ones(len(values), bool))


def population(
    count: int, partners: Sequence[str], known: float = 1.0, seed: int = 5
) -> dict[str, Table]:
    """A bank and partners over the same borrowers, each in a file order of its own.

    Defaults depend on every party's features, not linearly. Each partner knows this share of the
    bank's borrowers and some of its own.
    """
    generator = np.random.default_rng(seed)
    names = np.array([f"B{number:05d}" for number in range(count)])
    x = generator.normal(size=(count, 2 + 2 * len(partners)))
    sector = generator.choice(["retail", "build", "food", "rare"], count, p=[0.5, 0.3, 0.19, 0.01])
    odds = -1.2 + 0.5 * x[:, 0] - 0.4 * np.abs(x[:, 1]) + 0.5 * (sector == "build")
    for index in range(len(partners)):
        odds += 0.8 * np.tanh(2 * x[:, 2 + 2 * index]) + 0.3 * x[:, 3 + 2 * index] ** 2 - 0.3
    label = (generator.random(count) < expit(odds)).astype(np.uint8)
    sectors = FeatureColumn(
        FeatureSpec("sector", FeatureKind.CATEGORICAL), sector.astype(object), np.ones(count, bool)
    )
    features = (numeric("limit", x[:, 0]), numeric("age", x[:, 1]), sectors)
    tables = {"bank": Table(tuple(names.tolist()), features, label)}
    for index, partner in enumerate(partners):
        order = generator.permutation(count)[: round(known * count)]
        with_gaps = np.where(generator.random(count) < 0.1, np.nan, x[:, 2 + 2 * index])
        strangers = [f"{partner}{number}" for number in range(50)]
        columns = [np.append(v[order], np.zeros(50)) for v in (with_gaps, x[:, 3 + 2 * index])]
        tables[partner] = Table(
            (*names[order].tolist(), *strangers),
            (numeric("orders", columns[0]), numeric("returns", columns[1])),
        )
    return tables


def machines_for(
    tables: Mapping[str, Table],
    trainings: Sequence[AdditiveSettings] = (EXACT,),
    on_release: Callable[[Expenditure], None] = lambda spent: None,
    **plan_fields: Any,
) -> dict[str, Machine[Any]]:
    """One machine a party."""
    partners = tuple(name for name in tables if name != "bank")
    plan = SessionPlan("s1", "bank", partners, trainings=tuple(trainings), **plan_fields)
    machines: dict[str, Machine[Any]] = {
        "bank": Machine(
            "bank",
            "s1",
            label_party_session(tables["bank"], plan, InProcessGroup(), "run"),
            on_release=on_release,
        )
    }
    for name in partners:
        role = feature_party_session(tables[name], name, "bank", "s1", InProcessGroup(), "test")
        machines[name] = Machine(name, "s1", role)
    return machines


def run(
    tables: Mapping[str, Table], trainings: Sequence[AdditiveSettings] = (EXACT,), **rest: Any
) -> dict[str, Any]:
    """Every party's result of one session."""
    return run_in_process(machines_for(tables, trainings, **rest))


def tampered(machines: dict[str, Machine[Any]], tamper: Tamper) -> dict[str, Any]:
    """Run with every message passed through `tamper(recipient, envelope)` first."""
    for name, machine in machines.items():

        def receive(
            frame: bytes,
            sender: str,
            name: str = name,
            take: Callable[[bytes], Iterator[tuple[str, bytes]]] = machine.receive,
        ) -> Iterator[tuple[str, bytes]]:
            return take(tamper(name, decode(frame)).SerializeToString())

        machine.receive = receive  # type: ignore[method-assign]
    return run_in_process(machines)


def dense(part: ModelPart, columns: Sequence[FeatureColumn]) -> Vector:
    """One column of zeros and ones for every bin of a part."""
    by_name = {column.spec.name: column for column in columns}
    return np.concatenate(
        [np.eye(b.bins)[b.assign(by_name[b.feature])] for b in part.binnings], axis=1
    )


def penalty_matrix(parts: Sequence[ModelPart], smoothness: float, ridge: float) -> Vector:
    """The penalty, intercept first: squared second differences of the ordered bins, and a ridge."""
    blocks = [np.zeros((1, 1))]
    for binning in (b for part in parts for b in part.binnings):
        matrix = ridge * np.eye(binning.bins)
        ordered = binning.ordered_bins
        for low in range(ordered - 2):
            second = np.zeros(binning.bins)
            second[low : low + 3] = (1.0, -2.0, 1.0)
            matrix += smoothness * ordered**3 * np.outer(second, second)
        blocks.append(matrix)
    size = sum(len(block) for block in blocks)
    total, at = np.zeros((size, size)), 0
    for block in blocks:
        total[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return total


def plain_fit(x: Vector, labels: Vector, penalty: Vector) -> Vector:
    """Newton's method on the penalised logistic loss, everything in one place."""
    weights = np.zeros(x.shape[1])
    for _ in range(40):
        probability = expit(x @ weights)
        slope = x.T @ (labels - probability) - penalty @ weights
        bend = (x.T * (probability * (1 - probability))) @ x + penalty
        step = np.linalg.solve(bend + 1e-9 * np.eye(len(bend)), slope)
        weights += step
        if np.abs(step).max() < 1e-9:
            return weights
    raise AssertionError("the plain fit did not converge")


def plain_scores(
    tables: Mapping[str, Table],
    results: Mapping[str, Any],
    aligned: Sequence[str],
    parties: Sequence[str],
    training: int = 0,
    strengths: tuple[float, float] | None = None,
) -> tuple[Vector, Vector]:
    """Test log-odds of the plain fit over these parties' features, and the session's."""
    bank: LabelSessionResult = results["bank"]
    trained = bank.trainings[training]
    name = trained.settings.name
    parts = [trained.part if p == "bank" else results[p].parts[name] for p in parties]
    ids = tables["bank"].identifiers
    test = [ids[row] for row in bank.test_rows]
    fit = sorted(set(aligned) - set(test))
    place = {identifier: row for row, identifier in enumerate(ids)}
    label = tables["bank"].label
    assert label is not None
    labels = label[[place[identifier] for identifier in fit]].astype(np.float64)
    last = trained.fit.rounds[-1]
    penalty = penalty_matrix(parts, *(strengths or (last.smoothness, last.ridge)))

    def matrix(identifiers: Sequence[str]) -> Vector:
        blocks = [
            dense(part, tables[p].of(identifiers)) for p, part in zip(parties, parts, strict=True)
        ]
        return np.concatenate([np.ones((len(identifiers), 1)), *blocks], axis=1)

    weights = plain_fit(matrix(fit), labels, penalty)
    return matrix(test) @ weights, trained.test_scores


def assert_same_model(results: Mapping[str, Any], plain: Vector, federated: Vector) -> None:
    """AUC within 0.001, scores nearly the same."""
    labels = results["bank"].test_labels
    assert roc_auc_score(labels, federated) == pytest.approx(roc_auc_score(labels, plain), abs=1e-3)
    assert np.abs(federated - plain).mean() < 0.01
    assert roc_auc_score(labels, federated) > 0.65


@pytest.fixture(scope="module")
def one_partner() -> tuple[dict[str, Table], dict[str, Any]]:
    """A session that several tests look at."""
    tables = population(7000, PARTNERS[:1])
    return tables, run(tables)


def test_with_one_partner_it_is_the_plain_fit(
    one_partner: tuple[dict[str, Table], dict[str, Any]],
) -> None:
    """5,600 borrowers to train on, over the lattice map."""
    tables, results = one_partner
    assert results["bank"].scheme == "lattice"
    assert_same_model(
        results, *plain_scores(tables, results, tables["bank"].identifiers, list(tables))
    )


@pytest.mark.parametrize("count", [2, 3])
def test_with_more_partners_it_is_the_plain_fit_too(count: int) -> None:
    """Partial scores are masked against one another and only their sum is seen."""
    tables = population(5400, PARTNERS[:count], known=0.99)
    results = run(tables)
    shared = set.intersection(*(set(table.identifiers) for table in tables.values()))
    assert results["bank"].aligned == len(shared)
    assert_same_model(results, *plain_scores(tables, results, sorted(shared), list(tables)))


def test_under_label_left_absent_borrowers_have_a_bin() -> None:
    """Every borrower of the bank trains; whom the partner lacks is in its 'absent' bins."""
    tables = population(5600, PARTNERS[:1], known=0.7)
    results = run(tables, alignment="label-left")
    assert results["bank"].aligned == 5600
    assert results["platform"].present == results["bank"].shared["platform"] == 3920
    part = results["platform"].parts["exact"]
    for binning in part.binnings:
        assert "absent" in binning.bin_labels()[binning.absent]
    assert_same_model(
        results, *plain_scores(tables, results, tables["bank"].identifiers, list(tables))
    )


def test_few_borrowers_train_over_elgamal() -> None:
    """1,200 to train on: same model, slower map."""
    tables = population(1500, PARTNERS[:1])
    settings_ = AdditiveSettings(bins=5, max_rounds=6)
    results = run(tables, [settings_])
    assert results["bank"].scheme == "elgamal"
    assert_same_model(
        results, *plain_scores(tables, results, tables["bank"].identifiers, list(tables))
    )


def test_the_parts_together_score_as_the_session_did(
    one_partner: tuple[dict[str, Table], dict[str, Any]],
) -> None:
    """Each party's part on its own rows, added up, gives the test scores."""
    tables, results = one_partner
    bank = results["bank"]
    ids = tables["bank"].identifiers
    test = [ids[row] for row in bank.test_rows]
    total = bank.trainings[0].part.partial_scores(tables["bank"].of(test))
    total = total + results["platform"].parts["exact"].partial_scores(tables["platform"].of(test))
    np.testing.assert_allclose(total, bank.trainings[0].test_scores, atol=1e-6)
    assert bank.trainings[0].part_digests == {
        "bank": bank.trainings[0].part.digest,
        "platform": results["platform"].parts["exact"].digest,
    }


def test_what_the_bank_holds_is_its_own(
    one_partner: tuple[dict[str, Table], dict[str, Any]],
) -> None:
    """Test rows and labels are those of its table, counts add up, every party's size is known."""
    tables, results = one_partner
    bank: LabelSessionResult = results["bank"]
    label = tables["bank"].label
    assert label is not None
    np.testing.assert_array_equal(bank.test_labels, label[bank.test_rows])
    assert bank.counts["test"] == 1400
    assert bank.counts["training"] + bank.counts["validation"] == 5600
    assert bank.partner_ids == {"platform": 7050}
    assert bank.features == {"bank": 3, "platform": 2}
    assert not hasattr(results["platform"], "test_labels")
    assert results["platform"].label_party_ids == 7000
    alone, _ = plain_scores(
        tables,
        results,
        tables["bank"].identifiers,
        ["bank"],
        strengths=(EXACT.smoothness, EXACT.ridge),
    )
    np.testing.assert_allclose(bank.alone_test_scores, alone, atol=2e-3)
    # 'rare' sectors are below the floor of 64 and joined another bin
    assert all(min(share) * 5600 >= 64 for share in bank.trainings[0].part.shares)


def test_two_runs_agree_up_to_protective_randomness(
    one_partner: tuple[dict[str, Table], dict[str, Any]],
) -> None:
    """The cut is the same, so are the bins; the AUC within 0.001."""
    tables, results = one_partner
    again = run(tables)
    assert set(again["bank"].test_rows) == set(results["bank"].test_rows)
    part, other = (r["platform"].parts["exact"] for r in (results, again))
    assert part.binnings == other.binnings
    first, second = (
        roc_auc_score(r["bank"].test_labels, r["bank"].trainings[0].test_scores)
        for r in (results, again)
    )
    assert first == pytest.approx(second, abs=1e-3)


def test_trainings_of_one_session_share_alignment_and_maps() -> None:
    """Same bins, same map: three trainings, two maps, one alignment, a model each."""
    tables = population(5400, PARTNERS[:1])
    sent: list[str] = []
    machines = machines_for(
        tables,
        [
            EXACT,
            AdditiveSettings("fine", bins=16, label_epsilon=50.0),
            AdditiveSettings("again", bins=8),
        ],
    )
    machines["platform"].on_sent = lambda message: sent.append(message.kind)
    results = run_in_process(machines)
    assert sent.count("map_offer") == 2
    assert sent.count("reblinded_ids") == sent.count("blinded_ids") == 1
    bank = results["bank"]
    assert [trained.settings.name for trained in bank.trainings] == ["exact", "fine", "again"]
    assert max(b.bins for b in results["platform"].parts["fine"].binnings) > 10
    for training in (0, 2):
        assert_same_model(
            results,
            *plain_scores(
                tables, results, tables["bank"].identifiers, list(tables), training=training
            ),
        )


def test_exact_trainings_of_one_session_must_share_their_bins() -> None:
    """The sums over 31 bins minus those over 32 isolate a few borrowers: refused."""
    trainings = (AdditiveSettings("a", bins=31), AdditiveSettings("b", bins=32))
    with pytest.raises(InputError, match="same number of bins.*31 and 32"):
        SessionPlan("s", "bank", ("platform",), trainings=trainings)
    noisy = AdditiveSettings("b", bins=32, label_epsilon=1.0)
    SessionPlan("s", "bank", ("platform",), trainings=(trainings[0], noisy))


def test_label_noise_is_entered_costs_some_auc_and_rounds_are_fixed() -> None:
    """Exact and noisy in one session: two releases, one without and one with a finite ρ."""
    tables = population(6000, PARTNERS[:1])
    noisy = AdditiveSettings("noisy", bins=8, label_epsilon=4.0, noisy_rounds=3, ridge=40.0)
    releases: list[Expenditure] = []
    results = run(tables, [noisy, EXACT], on_release=releases.append)
    noise = LabelNoise.for_settings(noisy, 5)
    assert noise is not None
    assert [release.event for release in releases] == [GaussianRelease(noise.rho), Exact()]
    assert all(release.run == "run" for release in releases)
    with_noise, exact = results["bank"].trainings
    assert len(with_noise.fit.rounds) == results["platform"].fits["noisy"].rounds == 3
    labels = results["bank"].test_labels
    aucs = [roc_auc_score(labels, trained.test_scores) for trained in (with_noise, exact)]
    assert 0.6 < aucs[0] < aucs[1] + 0.01


def test_a_bank_without_features_of_its_own_can_train() -> None:
    """It holds the labels and the intercept."""
    tables = population(1500, PARTNERS[:1])
    tables["bank"] = replace(tables["bank"], features=())
    results = run(tables, [AdditiveSettings(bins=5, max_rounds=4)])
    part = results["bank"].trainings[0].part
    assert part.binnings == ()
    assert part.intercept != 0
    plain, federated = plain_scores(tables, results, tables["bank"].identifiers, ["platform"])
    assert np.abs(federated - plain).mean() < 0.01


FEW = (AdditiveSettings(bins=4, max_rounds=4),)


@pytest.fixture(scope="module")
def in_order() -> tuple[dict[str, Table], dict[str, Any]]:
    """A small session of three, its messages delivered as they were sent."""
    tables = population(600, PARTNERS[:2])
    return tables, run(tables, FEW)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_delivery_between_parties_changes_nothing(
    seed: int, in_order: tuple[dict[str, Table], dict[str, Any]]
) -> None:
    """Messages of each pair in order, pairs at random: the same model."""
    tables, results = in_order
    expected_bank = results["bank"]
    expected = expected_bank.trainings[0]
    machines = machines_for(tables, FEW)
    shuffle = random.Random(seed)
    queues: dict[tuple[str, str], deque[bytes]] = {}

    def post(sender: str, frames: Iterator[tuple[str, bytes]]) -> None:
        for recipient, frame in frames:
            queues.setdefault((sender, recipient), deque()).append(frame)

    for name in shuffle.sample(sorted(machines), len(machines)):
        post(name, machines[name].start())
    while any(queues.values()):
        pair = shuffle.choice([pair for pair, queue in queues.items() if queue])
        post(pair[1], machines[pair[1]].receive(queues[pair].popleft()))
    bank: LabelSessionResult = machines["bank"].result
    found = bank.trainings[0]
    assert [b.edges for b in found.part.binnings] == [b.edges for b in expected.part.binnings]
    by_row = dict(zip(expected_bank.test_rows.tolist(), expected.test_scores, strict=True))
    scores = np.array([by_row[row] for row in bank.test_rows.tolist()])
    assert np.abs(found.test_scores - scores).mean() < 0.01


def test_the_partners_are_told_test_rows_only() -> None:
    """Nobody but the bank learns who validates; the plan that is sent holds no split."""
    seen: list[Envelope] = []

    def note(recipient: str, envelope: Envelope) -> Envelope:
        seen.append(envelope)
        return envelope

    tampered(machines_for(population(600, PARTNERS[:1]), [AdditiveSettings(bins=4)]), note)
    parts = [np.frombuffer(e.aligned_rows.parts, "u1") for e in seen if e.HasField("aligned_rows")]
    assert set(parts[0]) == {TRAINING, TEST}
    plans = [json.loads(e.plan.plan_json) for e in seen if e.HasField("plan")]
    assert not {"split", "seed", "test_share"} & set(plans[0])


def test_a_party_that_fails_ends_the_session_with_its_error() -> None:
    """An error inside a role surfaces as it is."""

    class Broken(Table):
        def rows(self, positions: npt.NDArray[np.uint32]) -> list[FeatureColumn]:
            raise InputError("platform.csv: the file was changed while it was read")

    tables = population(600, PARTNERS[:1])
    broken = tables["platform"]
    tables["platform"] = Broken(broken.identifiers, broken.features)
    with pytest.raises(InputError, match=r"platform\.csv: the file was changed"):
        run(tables)


def test_no_shared_borrower_is_said_so() -> None:
    """With the partner's name."""
    tables = population(600, PARTNERS[:1])
    strangers = tuple(f"X{number}" for number in range(len(tables["platform"].identifiers)))
    tables["platform"] = replace(tables["platform"], identifiers=strangers)
    with pytest.raises(InputError, match="none of the 600 borrowers is known to platform"):
        run(tables)


def test_one_class_in_a_part_is_said_so() -> None:
    """Nobody defaults, or a fixed test part without defaults."""
    tables = population(600, PARTNERS[:1])
    bank = tables["bank"]
    assert bank.label is not None
    tables["bank"] = replace(bank, label=np.zeros(600, np.uint8))
    with pytest.raises(InputError, match=r"all \d+ borrowers of the training part have"):
        run(tables)
    tables["bank"] = replace(bank, split=np.where(bank.label, TRAINING, TEST).astype(np.uint8))
    with pytest.raises(InputError, match="part have the same label"):
        run(tables)


def test_labels_must_be_there_and_a_feature_must_have_two_bins() -> None:
    """One sentence each."""
    tables = population(600, PARTNERS[:1])
    constant = replace(tables["platform"], features=(numeric("orders", np.zeros(650)),))
    with pytest.raises(InputError, match="no feature of this party has two bins"):
        run(tables | {"platform": constant})
    with pytest.raises(InputError, match="the label party 'bank' has no label column"):
        run(tables | {"bank": replace(tables["bank"], label=None)})


def changed(field: str, **values: Any) -> Tamper:
    """Overwrite fields of every body of one kind on its way."""

    def tamper(recipient: str, envelope: Envelope) -> Envelope:
        if envelope.WhichOneof("body") == field:
            for name, value in values.items():
                setattr(getattr(envelope, field), name, value)
        return envelope

    return tamper


@pytest.mark.parametrize(
    ("tamper", "sentence"),
    [
        (changed("hello", protocol_version=9), "platform speaks protocol version 9"),
        (changed("hello", features=0), "declares 0 features"),
        (changed("plan", plan_json="{}"), "the session plan can't be read"),
        (changed("plan", plan_json="[" * 9), "the session plan can't be read"),
        (changed("hello", features=1), "a map of 2 features, but declared 1"),
        (changed("map_offer", columns=7), "over 7 borrowers was offered"),
        (changed("partial_scores", round=7), "round 7, part 'fit'; round 1, part 'fit' is right"),
        (changed("partial_scores", part="test"), "part 'test'; round 1, part 'fit' is right"),
        (changed("partial_scores", values=bytes(80)), "the partial scores of platform holds 80"),
        (changed("query", ciphertext=bytes(64)), "query 0 holds 64 bytes"),
        (changed("sums", query_id=5), "sums came for query 5"),
        (changed("sums", curvature=float("inf")), "sums came with curvature inf"),
        (changed("sums", curvature=0.0), "sums came with curvature 0.0"),
        (changed("sums", base_rate=1.0), "sums came with base_rate 1.0"),
        (changed("sums", base_rate=float("nan")), "sums came with base_rate nan"),
        (changed("sums", scale=0.0), "sums came with scale 0.0"),
        (changed("sums", fold_share=2.0), "sums came with fold_share 2.0"),
        (changed("sums", ridge=0.0), "sums came with ridge 0.0"),
        (changed("sums", smoothness=-1.0), "sums came with smoothness -1.0"),
        (changed("sums", noise_sigma=float("inf")), "sums came with noise_sigma inf"),
        (changed("verdict", step=5.0), "a verdict on round 1 with step 5.0"),
        (changed("verdict", step=float("nan")), "a verdict on round 1 with step nan"),
        (changed("verdict", round=2), "a verdict on round 2"),
        (changed("verdict", best_round=4), "the verdict names round 4 of 1"),
        (changed("verdict", best_round=0), "the verdict names round 0 of 1"),
        (changed("verdict", stop=False), "round 3 of training 'exact' is the last that the plan"),
    ],
)
def test_what_no_honest_party_sends_is_refused(tamper: Tamper, sentence: str) -> None:
    """Each ends the session in one sentence that says what came and what would be right."""
    tables = population(300, PARTNERS[:1])
    few = AdditiveSettings(bins=3, max_rounds=3)
    with pytest.raises(ProtocolError, match=sentence):
        tampered(machines_for(tables, [few]), tamper)


def test_a_mask_key_that_is_none_is_refused_by_the_other_partner() -> None:
    """The plan hands on what the partners sent."""
    machines = machines_for(population(300, PARTNERS[:2]), [AdditiveSettings(bins=3)])
    with pytest.raises(ProtocolError, match=r"the mask key of .* is not an X25519 key"):
        tampered(machines, changed("hello", mask_public_key=b"short"))


PLAN = json.loads(SessionPlan("s1", "bank", ("platform",)).to_json(0))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=150)
@given(st.sampled_from([*PLAN, *PLAN["trainings"][0]]), JSON)
def test_a_plan_with_anything_in_it_is_taken_or_refused(name: str, value: object) -> None:
    """Nothing but a ProtocolError, whatever stands in which field."""
    content = json.loads(json.dumps(PLAN))
    if name in content:
        content[name] = value
    else:
        content["trainings"][0][name] = value
    try:
        plan, noise_bound = SessionPlan.from_json(json.dumps(content), "s1", "platform")
    except ProtocolError:
        return
    assert plan.session == "s1"
    assert noise_bound >= 0


def test_a_plan_that_is_nested_without_end_is_refused() -> None:
    """Python's parser gives up on it with an error of its own."""
    with pytest.raises(ProtocolError, match="the session plan can't be read: nested too deeply"):
        SessionPlan.from_json("[" * 200_000, "s1", "platform")


@pytest.mark.parametrize("kind", [AdditiveSettings, SplitSettings])
def test_a_delta_at_which_a_label_could_be_given_away_is_refused(
    kind: type[AdditiveSettings] | type[SplitSettings],
) -> None:
    """Before any sum of labels leaves: δ must be below one over the borrowers of the fit."""
    tables = population(300, PARTNERS[:1])
    training = kind(label_epsilon=1.0, label_delta=0.01)
    with pytest.raises(InputError, match=r"^δ is 0\.01 for 240 labels; less than 1/240 = 0\.0042"):
        run(tables, [training])


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "", ".", "x" * 65, "a\nb"])
def test_a_training_whose_name_is_no_file_name_is_refused(name: str) -> None:
    """Every party names a file after it, and the label party proposes it."""
    content = json.loads(json.dumps(PLAN))
    content["trainings"][0]["name"] = name
    with pytest.raises(ProtocolError, match=r"is not acceptable: model\.name is"):
        SessionPlan.from_json(json.dumps(content), "s1", "platform")


def test_a_plan_survives_its_message_and_must_be_this_sessions() -> None:
    """All settings; another session, or a party that is not among the partners, is refused."""
    trainings = (
        AdditiveSettings("noisy", bins=9, label_epsilon=2.5, penalty_path=(2.0, 1.0)),
        EXACT,
    )
    plan = SessionPlan("s1", "bank", ("a", "b"), "label-left", trainings)
    assert SessionPlan.from_json(plan.to_json(77), "s1", "b") == (plan, 77)
    for session, party in (("s2", "a"), ("s1", "c")):
        with pytest.raises(ProtocolError, match="the plan is for session 's1' with a, b"):
            SessionPlan.from_json(plan.to_json(0), session, party)


@settings(max_examples=60)
@given(st.integers(20, 200), st.integers(0, 2**32), st.floats(0.1, 0.6), st.integers(0, 99))
def test_who_is_in_the_test_never_depends_on_a_label(
    count: int, seed: int, share: float, labels_seed: int
) -> None:
    """The cut that partners are told is the same under all labels; validation is stratified."""
    plan = SplitPlan(test_share=share, validation_share=0.3, seed=seed)
    cuts = []
    for offset in (0, 1):
        labels = np.random.default_rng(labels_seed + offset).integers(0, 2, count).astype(np.uint8)
        try:
            parts = plan.parts(labels, None)
        except InputError:  # so few that a part has one class
            continue
        cuts.append(tuple(parts == TEST))
        for label in (0, 1):
            inside = (labels == label) & (parts != TEST)
            validates = int((parts[inside] == VALIDATION).sum())
            assert validates == round(0.3 * int(inside.sum()))
    assert len(set(cuts)) <= 1


def certain_labels(in_test: npt.NDArray[np.bool_], defaults: int, seed: int) -> Vector:
    """What a partner that knows seed, row order and number of defaults reads from the test rows.

    The attack supposes a cut stratified by label: under that, whether the k-th default is in the
    test is known. Forward and backward over the rows, it finds every row that only one label fits:
    1, 0, or NaN where both do.
    """
    rows = len(in_test)
    generator, known = np.random.default_rng(seed), []
    for size in (rows - defaults, defaults):
        drawn = np.zeros(size + 1, bool)
        drawn[generator.permutation(np.arange(size))[: round(0.2 * size)]] = True
        known.append(drawn)
    healthy_rank = np.arange(rows - defaults + 1)
    forward = np.zeros((rows + 1, len(healthy_rank)), bool)
    forward[0, 0] = True

    def fits(row: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """For each number of healthy rows so far, whether this row may be healthy, or a default."""
        rank = row - healthy_rank
        may_default = (rank >= 0) & (rank < defaults)
        may_default &= known[1][np.clip(rank, 0, defaults)] == in_test[row]
        may_be_healthy = (known[0] == in_test[row]) & (healthy_rank < rows - defaults)
        return may_be_healthy, may_default

    for row in range(rows):
        healthy, default = fits(row)
        forward[row + 1] = forward[row] & default
        forward[row + 1, 1:] |= (forward[row] & healthy)[:-1]
    backward = np.zeros(len(healthy_rank), bool)
    backward[rows - defaults] = True
    found = np.full(rows, np.nan)
    for row in reversed(range(rows)):
        healthy, default = fits(row)
        to_healthy, to_default = healthy & np.append(backward[1:], False), default & backward
        possible = bool((forward[row] & to_healthy).any()), bool((forward[row] & to_default).any())
        if possible[0] != possible[1]:
            found[row] = float(possible[1])
        backward = to_healthy | to_default
    return found


def test_attack_test_rows_cut_by_label_under_a_known_seed_give_labels_away() -> None:
    """Stratified, the announced rows reveal a tenth of all labels for certain; as it is, none."""
    generator = np.random.default_rng(8)
    labels = (generator.random(1500) < 0.22).astype(np.uint8)
    defaults = int(labels.sum())

    stratified, cut = np.zeros(1500, bool), np.random.default_rng(42)
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        stratified[cut.permutation(rows)[: round(0.2 * len(rows))]] = True
    found = certain_labels(stratified, defaults, 42)
    certain = ~np.isnan(found)
    assert certain.mean() > 0.1
    np.testing.assert_array_equal(found[certain], labels[certain])

    in_test = SplitPlan(seed=42).parts(labels, None) == TEST
    found = certain_labels(in_test, defaults, 42)
    certain = ~np.isnan(found)
    # the attack's premise does not hold: it finds no labels at all that fit what was announced
    assert not certain.any()


def hostile_rounds(rounds: int) -> Generator[Any, Any, int]:
    """A label party that never stops, to a real feature party's role; returns rounds it got."""
    codes = np.random.default_rng(1).integers(0, 4, (2, 120)).astype(np.uint16)
    own = Block([Term(str(i), 4, second_difference_penalty(4, 4)) for i in range(2)], codes)
    matrix, omitted = own.one_hot()
    both = (Direction.TO_OWNER, 127, 0, b"")
    owner = feature_side("elgamal", matrix, *both)
    label: LabelSide = label_side("elgamal", 120, *both)
    list(owner.accept(label.accept(owner.offer())))
    role = feature_party.train(
        own, omitted, owner, PairwiseMasks("platform"), "bank", "exact", rounds
    )
    number = 0
    step: Any = role.send(None)
    while True:
        number += 1
        assert step == Receive("bank", "query")
        answer = role.send(label.query(np.ones(120, np.int64)))
        assert isinstance(answer, Send)
        assert role.send(None) == Receive("bank", "sums")
        sums = label.decode(answer.body)  # type: ignore[arg-type]
        sums.MergeFrom(
            Sums(total=120, scale=127, base_rate=0.3, curvature=1, fold_share=1, ridge=1)
        )
        scores = role.send(sums)
        assert isinstance(scores, Send)
        yield number
        assert role.send(None) == Receive("bank", "verdict")
        role.send(Verdict(round=number, best_round=number, step=1.0))
        step = role.send(None)


def test_a_feature_party_gives_no_more_rounds_than_the_plan_allows() -> None:
    """Every round is one more number about every borrower."""
    rounds = hostile_rounds(4)
    assert [next(rounds) for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(ProtocolError, match="round 4 of training 'exact' is the last"):
        next(rounds)


def test_partial_scores_leave_masked_when_there_are_two_partners() -> None:
    """A single message is uniform: only the sum of all of them means something."""
    seen: dict[str, bytes] = {}

    def note(recipient: str, envelope: Envelope) -> Envelope:
        if envelope.WhichOneof("body") == "partial_scores":
            seen.setdefault(envelope.sender, envelope.partial_scores.values)
        return envelope

    for partners in (PARTNERS[:2], PARTNERS[:1]):
        seen.clear()
        tables = population(700, partners)
        tampered(machines_for(tables, [AdditiveSettings(bins=3, max_rounds=2)]), note)
        for values in seen.values():
            words = np.frombuffer(values, "<i4")
            small = np.abs(words.astype(np.float64)) < 2.0**26
            # one word in 32 of uniform ones is as small
            assert small.mean() < 0.1 if len(partners) == 2 else small.all()
    assert pack_array(np.zeros(1, np.uint64), "<u8") == bytes(8)


def test_an_exact_training_can_be_repeated() -> None:
    """Another alignment order, other keys and masks, the same model, to the last bits of floats."""
    tables = population(5400, PARTNERS[:2])
    scores = []
    for _ in range(2):
        bank = run(tables, [EXACT])["bank"]
        in_table = np.argsort(bank.test_rows)
        scores.append(bank.trainings[0].test_scores[in_table])
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-6)
