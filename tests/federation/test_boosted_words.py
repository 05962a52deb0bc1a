"""What is said of a boosted training: the counts as they are, and for each disclosure its own."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from federation.boosting.results import Given
from federation.boosting.settings import Disclosure
from federation.vertical.boosted_words import BoostedWords
from federation.vertical.plain_words import (
    PartyWords,
    TrainingWords,
    direction,
    feature_party_words,
    label_party_words,
)

BINS = BoostedWords(
    Disclosure.BINS,
    bins=16,
    borrowers=4_480,
    test_borrowers=1_120,
    given={"platform": Given(346, 45_498, 121, 542_080)},
    rebuilt={"platform": 0.6612},
)
ORDER = replace(
    BINS,
    disclosure=Disclosure.ORDER,
    given={"platform": Given(0, 0, 0, 0, codes=5_600 * 7)},
    rebuilt={},
)
OWNER = replace(
    BINS,
    disclosure=Disclosure.OWNER,
    given={"platform": Given(0, 0, 0, 0, outputs=107_520, sums_learned=9_876)},
    rebuilt={},
)
FLIPS = "ε = 4 at δ = 0 per one borrower's label, this training alone"


def bank(words: BoostedWords, partners: tuple[str, ...] = ("platform",)) -> PartyWords:
    """The bank's sentences after one boosted training of 30 trees."""
    training = TrainingWords("trees", 30, None, "boosted", boosted=words)
    return label_party_words(partners, [5_600] * len(partners), 5_600, [training])


def platform(words: BoostedWords, noise: str | None = None) -> PartyWords:
    """The platform's."""
    training = TrainingWords("trees", 30, noise, "boosted", boosted=words)
    return feature_party_words("platform", "bank", [], 5_600, 64, [training])


def text(sentences: tuple[str, ...]) -> str:
    """All of them."""
    return " ".join(sentences)


def test_bins_are_said_to_be_disclosed_with_exact_counts() -> None:
    """Sums, vectors, splits, bits, and the share that an attack rebuilt."""
    words = bank(BINS)
    learned = text(words.learned)
    for count in ("45,498 exact sums", "346 vectors", "121 splits", "542,080 bits", "1,120 test"):
        assert count in learned, count
    could = text(words.could_reconstruct)
    assert "in every feature" in could
    assert "rebuilt 66%" in could
    assert "No ε bounds this" in could
    assert "row" not in text(words.never_saw)


def test_nothing_is_said_of_an_attack_that_did_not_run() -> None:
    """Without a transcript there is no share."""
    could = text(bank(replace(BINS, rebuilt={})).could_reconstruct)
    assert "attack" not in could
    assert "treat which bin" in could


def test_nothing_of_additive_trainings_is_said_where_there_are_none() -> None:
    """No partial scores, no residual sums."""
    everything = text((*bank(BINS).learned, *bank(BINS).could_reconstruct))
    assert "partial score" not in everything
    told = text((*platform(BINS).learned, *platform(BINS).could_reconstruct))
    assert "residual" not in told
    assert "share of defaults" not in told


def test_a_partner_learns_its_chosen_splits_and_never_who_is_in_a_node() -> None:
    """Label information, with no ε."""
    words = platform(BINS)
    assert "121 splits of its own features" in text(words.learned)
    assert "label information" in text(words.learned)
    assert "nor which side is the riskier one" in text(words.could_reconstruct)
    assert "Who is in a node" in text(words.never_saw)


def test_codes_as_they_are_leave_nothing_to_work_out() -> None:
    """Their number, of so many features, without an ε."""
    learned = text(bank(ORDER).learned)
    assert "39,200 bin codes" in learned
    assert "7 features of platform" in learned
    assert "No ε bounds this" in learned
    assert "Nothing is left" in text(bank(ORDER).could_reconstruct)


def test_perturbed_codes_cost_epsilon_a_code_and_their_sum_a_record() -> None:
    """Every ε with its unit and scope."""
    learned = text(bank(replace(ORDER, order_epsilon=1.5)).learned)
    assert "ε = 1.5 at δ = 0 per one bin code" in learned
    assert "ε = 10.5 at δ = 0 per one borrower's record (7 codes), this training alone" in learned
    assert len(re.findall("ε = ", learned)) == 2


def test_trees_at_their_owner_tell_sums_of_flipped_labels_and_outputs() -> None:
    """Both sides' counts, the ε of the flips, and no bins at the bank."""
    assert "107,520 numbers" in text(bank(OWNER).learned)
    assert "same leaf" in text(bank(OWNER).could_reconstruct)
    words = platform(OWNER, FLIPS)
    assert "9,876 sums" in text(words.learned)
    assert FLIPS in text(words.learned)
    assert "no more than ε allows" in text(words.could_reconstruct)


def test_of_several_partners_only_the_sum_of_outputs_is_seen() -> None:
    """So no partner's leaves can be told apart."""
    given = {name: Given(0, 0, 0, 0, outputs=10) for name in ("a", "b")}
    words = bank(replace(OWNER, given=given, partners=2), ("a", "b"))
    assert "b's share in the sum of all partners' trees" in text(words.learned)
    assert "same leaf" not in text(words.could_reconstruct)


@pytest.mark.parametrize("disclosure", list(Disclosure))
def test_the_direction_names_every_disclosure_of_the_run(disclosure: Disclosure) -> None:
    """Beside additive trainings no sentence claims to hold for every map."""
    words = direction({"additive", "boosted"}, {disclosure})
    assert f"disclosure '{disclosure}'" in words
    assert "Every private linear map" not in words
    assert words.startswith("Additive trainings")
    assert "Additive" not in direction({"boosted"}, {disclosure})
