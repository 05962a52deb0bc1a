"""Randomised response on labels, and what a curious partner makes of the gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from federation.masking import PairwiseMasks
from federation.privacy.events import Exact, RandomisedResponse, Unit
from federation.session.in_process import run_in_process
from federation.session.machine import Machine, Sent
from federation.session.wire import decode
from federation.split import feature_party, label_party
from federation.split.label_privacy import corrected_rate, flip_probability, randomised_response
from federation.split.networks import corrected_loss
from federation.split.settings import SplitSettings
from tests.federation.split.parties import SEQUENCES, Vector, population

ROWS = 2000
torch.set_num_threads(1)


class Played:
    """A split training of two roles over aligned rows, every message of the bank kept."""

    def __init__(self, labels: Vector, settings: SplitSettings) -> None:
        tables = population(len(labels) + 50)
        rows = np.arange(len(labels) + 50, dtype=np.uint32)
        place = {name: row for row, name in enumerate(tables["platform"].identifiers)}
        theirs = np.array([place[name] for name in tables["bank"].identifiers], dtype=np.uint32)
        fit = rows < len(labels)
        self.frames: list[bytes] = []
        self.sent: list[Sent] = []
        self.spent: list[object] = []
        bank = Machine(
            "bank",
            "s",
            label_party.train(
                labels,
                np.arange(len(labels)) % 5 == 0,
                tables["bank"].rows(rows),
                (),
                fit,
                rows,
                ("platform",),
                "bank",
                "s",
                settings,
                "run",
            ),
            on_release=self.spent.append,
        )
        masks = PairwiseMasks("platform")
        role = feature_party.train(
            tables["platform"].rows(theirs),
            SEQUENCES,
            fit,
            theirs,
            masks,
            "platform",
            "bank",
            "s",
            settings,
        )
        platform = Machine("platform", "s", role)
        take = platform.receive

        def keep(frame: bytes, sender: str | None = None):  # type: ignore[no-untyped-def]
            self.frames.append(frame)
            return take(frame, sender)

        platform.receive = keep  # type: ignore[method-assign]
        self.results = run_in_process({"bank": bank, "platform": platform})
        self.size = settings.embedding
        self.count = len(labels)

    def gradients(self) -> np.ndarray:
        """(exchanges, borrowers, embedding), as the platform received them."""
        found = [decode(frame) for frame in self.frames]
        values = [one.gradients.values for one in found if one.WhichOneof("body") == "gradients"]
        return np.array(
            [np.frombuffer(v, dtype="<f4").reshape(self.count, self.size) for v in values]
        )


def guess(gradients: np.ndarray) -> np.ndarray:
    """Labels read from gradients: which way each points along their common direction."""
    votes = np.zeros(gradients.shape[1])
    for one in gradients:
        moving = one[np.abs(one).max(axis=1) > 0]
        direction = np.linalg.svd(moving, full_matrices=False)[2][0]
        along = one @ direction
        votes += np.sign(along) * np.sign(np.median(along[along != 0]) or 1.0)
    return votes


def agreement(votes: np.ndarray, labels: Vector) -> float:
    """Share of labels read right, the better way round (which way is which is easy to find out)."""
    right = float(np.mean((votes > 0) == (labels > 0)))
    return max(right, 1 - right)


COINS = np.random.default_rng(11).integers(0, 2, ROWS).astype(np.float64)


def test_gradients_of_true_labels_give_them_away() -> None:
    """Labels that no feature says anything about are read from one exchange's gradients."""
    played = Played(COINS, SplitSettings(exchanges=3, joint_exchanges=1))
    trained = np.abs(played.gradients()[0]).max(axis=1) > 0
    votes = guess(played.gradients()[:1])
    assert agreement(votes[trained], COINS[trained]) > 0.99


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0])
def test_with_epsilon_no_number_of_exchanges_reads_more_than_it_allows(epsilon: float) -> None:
    """At even odds the best attack is right e^ε/(1 + e^ε) of the time, and this one reaches it."""
    played = Played(COINS, SplitSettings(exchanges=4, label_epsilon=epsilon))
    bound = math.exp(epsilon) / (1 + math.exp(epsilon))
    slack = 4 * math.sqrt(bound * (1 - bound) / ROWS)
    gradients = played.gradients()
    assert len(gradients) == 3
    for votes in (guess(gradients[:1]), guess(gradients)):
        assert abs(agreement(votes, COINS) - bound) < slack + 0.01


def test_what_leaves_the_bank_is_a_function_of_the_flipped_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two banks with opposite labels and the same flipped ones send the same bytes."""
    flipped = np.random.default_rng(3).integers(0, 2, 300).astype(np.float64)
    monkeypatch.setattr(label_party, "randomised_response", lambda labels, epsilon: flipped)
    settings = SplitSettings(exchanges=3, label_epsilon=1.0)
    first = Played(COINS[:300], settings)
    second = Played(1.0 - COINS[:300], settings)
    assert first.frames == second.frames
    assert len(first.frames) == 5


def test_labels_are_flipped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many exchanges a training has, randomised response runs once."""
    calls: list[int] = []

    def counted(labels: Vector, epsilon: float) -> Vector:
        calls.append(len(labels))
        return randomised_response(labels, epsilon)

    monkeypatch.setattr(label_party, "randomised_response", counted)
    Played(COINS[:300], SplitSettings(exchanges=4, label_epsilon=1.0))
    assert calls == [300]


def test_the_ledger_hears_of_it_before_any_label_is_used() -> None:
    """Randomised response with its ε, or an exact release that says what it gives away."""
    noisy = Played(COINS[:300], SplitSettings(exchanges=2, label_epsilon=1.5, joint_exchanges=0))
    exact = Played(COINS[:300], SplitSettings(exchanges=2, joint_exchanges=0))
    (first,), (second,) = noisy.spent, exact.spent
    assert (first.event, first.unit) == (RandomisedResponse(1.5), Unit.LABEL)  # type: ignore[attr-defined]
    assert second.event == Exact()  # type: ignore[attr-defined]
    assert "give the labels away" in second.what  # type: ignore[attr-defined]


def test_under_label_privacy_the_number_of_exchanges_is_fixed_and_no_figure_is_told() -> None:
    """No validation loss decides anything, and none is computed."""
    rounds = Played(COINS, SplitSettings(exchanges=5, label_epsilon=1.0)).results["bank"].rounds
    assert [one.phase for one in rounds] == ["fixed"] * 5
    assert all(math.isnan(one.validation_log_loss) for one in rounds)


@given(epsilon=st.floats(0.05, 20))
def test_flips_are_never_rarer_than_epsilon_asks(epsilon: float) -> None:
    """The odds of keeping a label against flipping it are e^ε."""
    flip = flip_probability(epsilon)
    assert math.isclose(math.log((1 - flip) / flip), epsilon, rel_tol=1e-6)


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 4.0])
def test_the_flip_rate_is_that_of_epsilon(epsilon: float) -> None:
    """Of many labels of either kind, the right share is flipped."""
    count = 40_000
    labels = np.arange(count, dtype=np.float64) % 2
    noisy = randomised_response(labels, epsilon)
    flip = flip_probability(epsilon)
    for kind in (0.0, 1.0):
        rate = float(np.mean(noisy[labels == kind] != kind))
        assert abs(rate - flip) < 5 * math.sqrt(flip * (1 - flip) / (count / 2))


def test_a_flip_happens_below_the_threshold_and_not_at_it() -> None:
    """Draws at either end of the 64-bit range flip and keep."""
    draws = (0).to_bytes(8, "little") + (2**64 - 1).to_bytes(8, "little")
    flipped = randomised_response(np.array([1.0, 1.0]), 1.0, lambda count: draws[:count])
    assert flipped.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.inf, math.nan])
def test_an_epsilon_that_is_none_is_refused(epsilon: float) -> None:
    """Zero, negative and infinite ε are programmer errors here; settings refuse them first."""
    with pytest.raises(ValueError, match="positive and finite"):
        randomised_response(np.array([1.0]), epsilon)


def test_labels_that_are_none_are_refused() -> None:
    """Only 0 and 1 can be flipped."""
    with pytest.raises(ValueError, match="0 or 1"):
        randomised_response(np.array([0.5]), 1.0)


def test_the_corrected_rate_is_unbiased_and_held_in_range() -> None:
    """It speaks for the true share of defaults; noise can't bring it to 0 or 1."""
    truth = (np.random.default_rng(2).random(50_000) < 0.2).astype(np.float64)
    assert abs(corrected_rate(randomised_response(truth, 1.0), 1.0) - 0.2) < 0.03
    assert corrected_rate(np.zeros(10), 1.0) == 0.01
    assert corrected_rate(np.ones(10), 1.0) == 0.99


@settings(max_examples=25, deadline=None)
@given(chance=st.floats(0.05, 0.95), epsilon=st.floats(0.5, 6.0))
def test_the_corrected_loss_is_smallest_at_the_true_odds(chance: float, epsilon: float) -> None:
    """Patrini et al. 2017: of flipped labels, the minimiser is the one of true labels."""
    flip = flip_probability(epsilon)
    noisy = flip + (1 - 2 * flip) * chance

    def expected(score: float) -> float:
        at = torch.tensor([score, score], dtype=torch.float64)
        losses = corrected_loss(at, torch.tensor([1.0, 0.0], dtype=torch.float64), flip)
        return float(noisy * losses[0] + (1 - noisy) * losses[1])

    found = minimize_scalar(expected, bounds=(-8, 8), method="bounded").x
    assert abs(found - math.log(chance / (1 - chance))) < 0.02


def test_without_flips_the_loss_is_the_log_loss() -> None:
    """ε = None is ordinary training."""
    scores, labels = torch.tensor([-2.0, 0.5]), torch.tensor([0.0, 1.0])
    expected = np.logaddexp(0, scores.numpy()) - labels.numpy() * scores.numpy()
    assert np.allclose(corrected_loss(scores, labels, 0.0).numpy(), expected)


@pytest.mark.parametrize("epsilon", [0.1, 4.0, 60.0])
def test_the_corrected_loss_has_finite_gradients_at_any_epsilon(epsilon: float) -> None:
    """Scores far out and flips far below a float's grain make no NaN."""
    scores = torch.tensor([-300.0, -20.0, 0.0, 20.0, 300.0], requires_grad=True)
    for label in (0.0, 1.0):
        loss = corrected_loss(scores, torch.full((5,), label), flip_probability(epsilon)).sum()
        (gradient,) = torch.autograd.grad(loss, scores)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
        assert (gradient.abs() <= 1).all()
