"""Label noise: its σ, its sensitivity, and that a partner sees labels through it alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.additive import feature_party, label_party
from federation.additive.block import Block
from federation.additive.label_noise import LabelNoise
from federation.additive.label_party import LabelPartyFit
from federation.additive.label_training import LabelPartyTraining, _clip_total, _noisy_sums
from federation.additive.settings import AdditiveSettings
from federation.additive.terms import INTERCEPT, Term, second_difference_penalty
from federation.errors import InputError
from federation.linear_maps import Direction, OneHotMatrix, feature_side, label_side
from federation.masking import PairwiseMasks
from federation.privacy.events import Exact, GaussianRelease
from federation.privacy.ledger import Expenditure
from federation.privacy.zcdp import epsilon_of, gaussian_rho, rho_for
from federation.proto.session_pb2 import Query, Sums
from federation.quantisation import RESIDUAL_SCALE
from federation.session.in_process import run_in_process
from federation.session.machine import Machine, Sent
from federation.session.wire import decode

Integers = npt.NDArray[np.int64]
BORROWERS = 260
SETTINGS = AdditiveSettings(label_epsilon=3.0, ridge=20.0, noisy_rounds=3)


def block(bins: tuple[int, ...], seed: int, intercept: bool = False) -> Block:
    """A block over the borrowers with random bins."""
    generator = np.random.default_rng(seed)
    terms = [Term(str(i), b, second_difference_penalty(b, b)) for i, b in enumerate(bins)]
    codes = [generator.integers(0, b, BORROWERS) for b in bins]
    if intercept:
        terms, codes = [INTERCEPT, *terms], [np.zeros(BORROWERS, np.int64), *codes]
    return Block(terms, np.array(codes, dtype=np.uint16))


OWN = block((4, 3), 1, intercept=True)
PARTNER = block((5, 3), 2)
FEATURES = 4


def some_labels() -> npt.NDArray[np.float64]:
    """Labels that depend on a bin of each side."""
    odds = 0.8 * (OWN.codes[1] == 0) + 1.2 * (PARTNER.codes[0] > 2) - 1.4
    draws = np.random.default_rng(3).random(BORROWERS)
    labels: npt.NDArray[np.float64] = (draws < 1 / (1 + np.exp(-odds))).astype(np.float64)
    return labels


class View:
    """Everything a partner gets to see of a training, and what the label party sent in secret."""

    def __init__(self) -> None:
        self.public: list[Any] = []
        self.revealed: list[Integers] = []
        self.vectors: list[Integers] = []


def train(
    labels: npt.NDArray[np.float64], settings: AdditiveSettings = SETTINGS
) -> tuple[LabelPartyFit, npt.NDArray[np.float64], View]:
    """One training of the two real roles over a real map."""
    view = View()
    matrix, omitted = PARTNER.one_hot()
    noise = LabelNoise.for_settings(settings, FEATURES)
    bound = noise.bound if noise else 0
    both = (Direction.TO_OWNER, RESIDUAL_SCALE, bound, b"test")
    owner = feature_side("elgamal", matrix, *both)
    label = label_side("elgamal", BORROWERS, *both)
    assert list(owner.accept(label.accept(owner.offer()))) == []
    reveal, query = owner.reveal, label.query

    def spied_reveal(sums: Sums) -> Integers:
        view.revealed.append(reveal(sums))
        return view.revealed[-1]

    def spied_query(vector: Integers) -> Query:
        view.vectors.append(vector)
        return query(vector)

    owner.reveal, label.query = spied_reveal, spied_query  # type: ignore[method-assign]
    rows = {"partner": matrix.rows}
    machines: dict[str, Machine[Any]] = {
        "bank": Machine(
            "bank",
            "s",
            label_party.train(
                labels,
                np.arange(BORROWERS) % 5 == 0,
                OWN,
                {"partner": label},
                rows,
                settings,
                FEATURES,
                "run",
            ),
        ),
        "partner": Machine(
            "partner",
            "s",
            feature_party.train(PARTNER, omitted, owner, PairwiseMasks("partner"), "bank", "t"),
        ),
    }
    receive = machines["partner"].receive

    def spied_receive(frame: bytes, *sender: str) -> Iterator[tuple[str, bytes]]:
        envelope = decode(frame)
        kind = envelope.WhichOneof("body")
        if kind != "query":
            body = getattr(envelope, kind)
            if kind == "sums":
                body.values = b""  # masked; what they reveal is compared instead
            view.public.append(body)
        return receive(frame)

    machines["partner"].receive = spied_receive  # type: ignore[method-assign]
    results = run_in_process(machines)
    return results["bank"], results["partner"].weights, view


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("features", [1, 24, 300])
def test_sigma_is_the_smallest_that_meets_the_epsilon(epsilon: float, features: int) -> None:
    """σ = ⌈Δ₂/√(2ρ)⌉ with Δ₂ = 127·√(features + 1), and one less would be over."""
    settings = AdditiveSettings(label_epsilon=epsilon)
    noise = LabelNoise.for_settings(settings, features)
    assert noise is not None
    sensitivity = 127 * math.sqrt(features + 1)
    assert noise.sigma == math.ceil(sensitivity / math.sqrt(2 * rho_for(epsilon, 1e-5)))
    assert noise.rho == pytest.approx((127**2) * (features + 1) / (2 * noise.sigma**2))
    assert epsilon_of(noise.rho, 1e-5) <= epsilon
    assert epsilon_of(gaussian_rho(sensitivity, noise.sigma - 1), 1e-5) > epsilon
    assert noise.residual_sigma == noise.sigma / 127
    assert LabelNoise.for_settings(replace(settings, label_epsilon=None), features) is None


def test_draws_have_the_variance_and_never_pass_the_bound() -> None:
    """What the map has room for is what can come."""
    noise = LabelNoise(sigma=300, rho=0.1)
    drawn = noise.draw(4000)
    assert np.abs(drawn).max() <= noise.bound
    assert drawn.std() == pytest.approx(300, rel=0.07)
    assert noise.bound < 12 * 300


@pytest.mark.parametrize("flipped", range(0, BORROWERS, 13))
def test_one_label_moves_one_cell_per_feature_and_the_total_by_one_unit(flipped: int) -> None:
    """All sums of all parties together: an L2 sensitivity of exactly 127·√(features + 1)."""
    labels = some_labels()
    other = labels.copy()
    other[flipped] = 1 - other[flipped]
    scores = np.random.default_rng(4).normal(size=BORROWERS)
    sums = []
    for y in (labels, other):
        noise = LabelNoise.for_settings(SETTINGS, FEATURES)
        training = LabelPartyTraining(y, np.zeros(BORROWERS, bool), OWN, SETTINGS, noise)
        vector, scale = training.residual_vector(scores)
        assert scale == RESIDUAL_SCALE
        both = [OWN.sums(vector.astype(float)), PARTNER.sums(vector.astype(float))]
        sums.append(np.concatenate(both))
    change = sums[1] - sums[0]
    sign = other[flipped] - labels[flipped]
    moved = np.flatnonzero(change)
    expected = {0, *(OWN.offsets[1:3] + OWN.codes[1:, flipped])}
    expected |= set(OWN.size + PARTNER.offsets[:2] + PARTNER.codes[:, flipped])
    assert set(moved) == expected
    assert set(change[moved]) == {sign * RESIDUAL_SCALE}
    assert np.linalg.norm(change) == pytest.approx(RESIDUAL_SCALE * math.sqrt(FEATURES + 1))


def test_the_noise_is_drawn_once_and_the_same_in_every_round() -> None:
    """Revealed sums less the true ones: one vector, round after round; the total's likewise."""
    _, _, view = train(some_labels())
    matrix, _ = PARTNER.one_hot()
    assert len(view.vectors) == SETTINGS.noisy_rounds
    noises, totals = set(), set()
    sums = [body for body in view.public if isinstance(body, Sums)]
    for vector, revealed, body in zip(view.vectors, view.revealed, sums, strict=True):
        true = matrix.multiply(vector.view(np.uint64)).view(np.int64)
        noises.add(tuple(revealed - true))
        totals.add(body.total - int(vector.sum()))
    assert len(noises) == len(totals) == 1
    assert any(noises.pop())
    assert len({tuple(vector) for vector in view.vectors}) == SETTINGS.noisy_rounds


def sent_rows(matrix: OneHotMatrix, borrower: int) -> list[int]:
    """The rows of D that hold a borrower."""
    firsts = np.concatenate([[0], np.cumsum(matrix.bins)[:-1]])
    return [
        int(first + codes[borrower])
        for first, codes, bins in zip(firsts, matrix.codes, matrix.bins, strict=True)
        if codes[borrower] < bins
    ]


@pytest.mark.parametrize("flipped", [0, 5, 77, 130, 259])
def test_all_rounds_are_post_processing_of_one_noisy_release(
    flipped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels that differ in one borrower, and noise that makes up for it exactly: the partner's
    whole view, both parts of the model, every public number are the same to the last bit."""
    matrix, _ = PARTNER.one_hot()
    generator = np.random.default_rng(flipped)
    drawn = {OWN.size: generator.integers(-900, 900, OWN.size)}
    drawn[matrix.rows] = generator.integers(-900, 900, matrix.rows)
    assert OWN.size != matrix.rows
    labels = some_labels()
    shift = RESIDUAL_SCALE * (1 if labels[flipped] == 0 else -1)
    views = []
    for flip in (False, True):
        if flip:
            labels[flipped] = 1 - labels[flipped]
            drawn[OWN.size][OWN.offsets[:-1] + OWN.codes[:, flipped]] -= shift
            drawn[matrix.rows][sent_rows(matrix, flipped)] -= shift
        monkeypatch.setattr(LabelNoise, "draw", lambda self, cells: drawn[cells].copy())
        fit, weights, view = train(labels.copy())
        views.append((fit.weights.tobytes(), weights.tobytes(), view))
    (own, theirs, first), (own_again, theirs_again, second) = views
    assert first.public == second.public
    np.testing.assert_array_equal(first.revealed, second.revealed)
    assert own == own_again
    assert theirs == theirs_again
    assert not np.array_equal(first.vectors, second.vectors)


@given(st.integers(0, 10**6), st.integers(-(10**6), 10**6), st.integers(-500, 500))
def test_a_noisy_sum_does_not_tell_sum_and_noise_apart(count: int, noise: int, more: int) -> None:
    """Not even in its last bit: what adds up to the same is the same number."""
    one = _noisy_sums(np.array([float(count)]), np.array([noise]))
    other = _noisy_sums(np.array([float(count + more)]), np.array([noise - RESIDUAL_SCALE * more]))
    assert one.tobytes() == other.tobytes()


@given(st.integers(20, 5000), st.integers(-(10**6), 10**6), st.data())
def test_the_clipped_total_depends_on_the_noisy_total_only(
    borrowers: int, noise: int, data: st.DataObject
) -> None:
    """Any number of defaults with the noise that makes the same total gives the same result."""
    counts = data.draw(st.lists(st.integers(0, borrowers), min_size=2, max_size=2))
    results = []
    for defaults in counts:
        own = noise - RESIDUAL_SCALE * (defaults - counts[0])
        labels = (np.arange(borrowers) < defaults).astype(np.float64)
        results.append(RESIDUAL_SCALE * defaults + _clip_total(own, labels))
    assert results[0] == results[1]
    assert 0.001 * borrowers * 127 <= results[0] <= 0.999 * borrowers * 127


def test_validation_borrowers_train_and_no_measured_loss_is_told() -> None:
    """Under noise there is no validation fold; progress, which leaves the party, names no loss."""
    words: list[str] = []
    noise = LabelNoise.for_settings(SETTINGS, FEATURES)
    validation = np.arange(BORROWERS) % 3 == 0
    training = LabelPartyTraining(some_labels(), validation, OWN, SETTINGS, noise)
    assert not training.validation.any()
    assert np.all(training.fold_weights == 1)
    fit, _, view = train(some_labels())
    assert all(math.isnan(figures.validation_auc) for figures in fit.rounds)
    assert [body.reason for body in view.public if hasattr(body, "reason")] == [
        "3 rounds were fixed beforehand"
    ] * 3
    role = label_party.train(some_labels(), validation, OWN, {}, {}, SETTINGS, FEATURES, "run")
    machine = Machine("bank", "s", role, on_progress=lambda note: words.append(note.detail))
    list(machine.start())
    assert words == ["round 1", "round 2", "round 3"]


def test_class_weights_and_label_noise_exclude_each_other() -> None:
    """Class weights come from the labels."""
    with pytest.raises(InputError, match="class weights depend on the labels"):
        AdditiveSettings(label_epsilon=1.0, class_weight="balanced")


@pytest.mark.parametrize("epsilon", [None, 3.0])
def test_the_release_is_entered_first_and_a_refusal_sends_nothing(epsilon: float | None) -> None:
    """ρ of the mechanism, or infinite for exact sums; a budget without room ends it there."""
    settings = replace(SETTINGS, label_epsilon=epsilon)
    noise = LabelNoise.for_settings(settings, FEATURES)
    side = label_side("elgamal", BORROWERS, Direction.TO_OWNER, 127, 10**6, b"")
    matrix, _ = PARTNER.one_hot()
    owner = feature_side("elgamal", matrix, Direction.TO_OWNER, 127, 10**6, b"")
    side.accept(owner.offer())
    sent: list[Sent] = []
    asked: list[Expenditure] = []

    def refuse(spent: Expenditure) -> None:
        asked.append(spent)
        raise InputError("no room")

    validation = np.zeros(BORROWERS, dtype=bool)
    role = label_party.train(
        some_labels(),
        validation,
        OWN,
        {"partner": side},
        {"partner": matrix.rows},
        settings,
        FEATURES,
        "run 7",
    )
    machine = Machine("bank", "s", role, on_sent=sent.append, on_release=refuse)
    with pytest.raises(InputError, match="no room"):
        list(machine.start())
    assert sent == []
    assert asked[0].event == (GaussianRelease(noise.rho) if noise else Exact())
    assert asked[0].run == "run 7"
    assert "to partner" in asked[0].what
