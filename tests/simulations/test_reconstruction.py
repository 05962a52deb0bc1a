"""The attack on a boosted training's transcript: it finds bin codes, and says how surely."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from federation.boosting.feature_bins import FeatureBins
from federation.boosting.settings import BoostedSettings
from federation.boosting.transcript import Transcript, TranscriptRecorder
from federation.errors import InputError
from federation.session.machine import Progress
from simulations.leakage import confusion, entropy_bits, entropy_resolved, leakage
from simulations.reconstruction import rebuild
from simulations.uci import BANK_COLUMNS, fixed_split, load_uci
from tests.simulations.grown_transcript import Codes, grown_transcript, quantile_codes

PARTNER_COLUMNS = ("PAY_0", "BILL_AMT1", "PAY_AMT1")


def uci_transcript(borrowers: int, trees: int, share: float = 1.0) -> tuple[Transcript, Codes]:
    """Trees over the UCI data's training borrowers, and the partner's codes."""
    data = load_uci()
    train = fixed_split(data.label)[0][:borrowers]

    def codes(names: tuple[str, ...]) -> Codes:
        return np.stack(
            [quantile_codes(data.columns[name][train].astype(np.float64), 16) for name in names]
        )

    partner = codes(PARTNER_COLUMNS)
    settings = BoostedSettings(trees=trees, depth=4, column_sample=share)
    labels = data.label[train].astype(np.float64)
    made = grown_transcript(codes(BANK_COLUMNS), partner, labels, settings, PARTNER_COLUMNS)
    return made, partner


def drawn_transcript(
    queries: int, borrowers: int = 300, bins: int = 4, noise: float = 0.0
) -> tuple[Transcript, Codes]:
    """Random vectors against random codes: nothing but the sums says anything."""
    rng = np.random.default_rng(1)
    codes = rng.choice(bins, size=borrowers, p=np.r_[0.4, np.full(bins - 1, 0.6 / (bins - 1))])
    recorder = TranscriptRecorder(borrowers, (FeatureBins(bins, bins),))
    vectors = rng.integers(-31, 32, size=(queries, borrowers))
    sums = vectors @ (codes[:, None] == np.arange(bins))
    recorder.queried(vectors, [0], sums + np.rint(rng.normal(0, noise, sums.shape)).astype(int))
    return recorder.transcript(), codes.astype(np.uint8)


def test_pay_0_of_the_uci_data_is_rebuilt_after_twenty_trees() -> None:
    transcript, codes = uci_transcript(24_000, 20)
    found = leakage(transcript, {0: codes[0]}, [0]).features[0]
    assert found.found is not None
    assert found.resolved is not None
    assert found.found > 0.95
    assert found.resolved > 0.9
    assert found.fullest == pytest.approx(0.49, abs=0.01)


@pytest.mark.slow
def test_every_code_of_a_few_borrowers_is_rebuilt() -> None:
    transcript, codes = uci_transcript(1_500, 60)
    result = leakage(transcript, dict(enumerate(codes)))
    assert result.found == 1.0
    assert result.resolved == 1.0
    assert result.estimated_found > 0.999


@pytest.mark.slow
def test_fewer_trees_and_sampled_columns_give_less_away() -> None:
    transcript, codes = uci_transcript(4_000, 40, share=0.34)
    truth = dict(enumerate(codes))
    shares = [leakage(transcript.up_to(trees), truth).found for trees in (2, 10, 40)]
    assert shares == sorted(shares)
    assert shares[2] - shares[0] > 0.2


@pytest.mark.slow
def test_its_certainty_is_what_it_finds() -> None:
    """A label party without the truth is not told wrong."""
    transcript, codes = uci_transcript(6_000, 5)
    result = leakage(transcript, dict(enumerate(codes)))
    for feature in result.features:
        assert feature.found == pytest.approx(feature.estimated_found, abs=0.05)
        assert feature.resolved == pytest.approx(feature.estimated_resolved, abs=0.08)
        assert feature.found > feature.fullest


def test_sums_alone_suffice_where_there_are_enough() -> None:
    transcript, codes = drawn_transcript(queries=120)
    assert np.array_equal(rebuild(transcript).features[0].codes, codes)


@pytest.mark.slow
def test_noise_in_the_sums_protects_and_is_not_taken_for_knowledge() -> None:
    transcript, codes = drawn_transcript(queries=120, noise=600.0)
    blurred = rebuild(transcript, noise=600.0).features[0]
    assert (blurred.codes == codes).mean() < 0.7
    assert blurred.certainty.mean() < 0.7


def test_without_any_answer_nothing_is_known() -> None:
    transcript, codes = drawn_transcript(queries=0)
    silent = rebuild(transcript).features[0]
    assert np.allclose(silent.certainty, 0.25)
    assert leakage(transcript, {0: codes}).resolved == pytest.approx(0.0, abs=1e-6)
    assert leakage(transcript).estimated_resolved == pytest.approx(0.0, abs=1e-6)


def test_split_bits_are_kept_to() -> None:
    transcript, codes = drawn_transcript(queries=5)
    recorder = TranscriptRecorder(transcript.borrowers, transcript.features)
    recorder.split(0, [0, 1], codes <= 1)
    bits = recorder.transcript().splits
    rebuilt = rebuild(replace(transcript, splits=bits)).features[0]
    assert np.array_equal(rebuilt.codes <= 1, codes <= 1)
    assert (rebuilt.codes != codes).any()
    recorder.split(0, [0, 2], codes % 2 == 0)
    both = rebuild(replace(transcript, splits=recorder.transcript().splits)).features[0]
    assert np.array_equal(both.codes, codes)
    assert both.certainty.min() == 1.0


def test_contradicting_bits_are_refused() -> None:
    transcript, codes = drawn_transcript(queries=1)
    recorder = TranscriptRecorder(transcript.borrowers, transcript.features)
    recorder.split(0, [0], codes == 0)
    recorder.split(0, [0], codes != 0)
    with pytest.raises(InputError, match="contradict one another"):
        rebuild(replace(transcript, splits=recorder.transcript().splits))


def test_repeated_queries_are_no_obstacle() -> None:
    """Equations that say the same twice can't be solved as they stand."""
    transcript, codes = drawn_transcript(queries=120)
    twice = replace(transcript, asked=transcript.asked * 2)
    assert np.array_equal(rebuild(twice).features[0].codes, codes)


def test_too_many_queries_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    transcript, codes = drawn_transcript(queries=240)
    monkeypatch.setattr("simulations.reconstruction._MOST_WORK", 300 * 120.0**2)
    thinned = rebuild(transcript).features[0]
    assert thinned.queries == 120
    assert np.array_equal(thinned.codes, codes)


def test_progress_is_told_over_all_features() -> None:
    steps: list[Progress] = []
    transcript, _ = uci_transcript(1_000, 2)
    rebuild(transcript, [0, 2], progress=steps.append)
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert steps[-1].detail.startswith("PAY_AMT1: ")


@pytest.mark.parametrize("feature", [-1, 1])
def test_a_feature_that_is_not_there_is_refused(feature: int) -> None:
    with pytest.raises(InputError, match=f"feature {feature} is not in the transcript; 0 to 0"):
        rebuild(drawn_transcript(queries=1)[0], [feature])


def test_figures_of_nothing_are_refused() -> None:
    transcript, codes = drawn_transcript(queries=1)
    with pytest.raises(InputError, match="at least one of each"):
        leakage(transcript, features=[])
    with pytest.raises(InputError, match="one for each of 300 borrowers"):
        leakage(transcript, {0: codes[:5]})


def test_entropy_of_known_counts() -> None:
    assert entropy_bits(np.array([10**9, 10**9, 0])) == pytest.approx(1.0, abs=1e-6)
    assert entropy_bits(np.array([5, 0])) == 0.0
    rng = np.random.default_rng(2)
    few = [rng.multinomial(60, np.full(16, 1 / 16)) for _ in range(400)]
    plain = np.mean([-(c[c > 0] / 60 * np.log2(c[c > 0] / 60)).sum() for c in few])
    corrected = np.mean([entropy_bits(c) for c in few])
    assert abs(corrected - 4.0) < abs(plain - 4.0) / 4


def test_share_of_entropy_resolved() -> None:
    rng = np.random.default_rng(3)
    true = rng.integers(4, size=20_000)
    assert entropy_resolved(confusion(true, true, 4)) == 1.0
    assert entropy_resolved(confusion(true, rng.integers(4, size=20_000), 4)) < 0.001
    assert entropy_resolved(confusion(true, true // 2, 4)) == pytest.approx(0.5, abs=0.01)
    alike = np.zeros(20, dtype=int)
    assert entropy_resolved(confusion(alike, alike, 4)) == 0.0
