"""Short phrases of what a training gave away: of every kind, with counts from its record."""

from __future__ import annotations

from typing import Any

import pytest

from simulations.giveaways import AS_SENT, giveaway_of

COUNTS = {"answers": 346, "sums": 45_498, "splits": 121, "split_bits": 2_904_000}


def record(kind: str, noise: Any = None, given: Any = None, **settings: Any) -> dict[str, Any]:
    """A training's record with three rounds."""
    return {
        "name": "one",
        "kind": kind,
        "settings": settings,
        "rounds": [{}, {}, {}],
        "label_noise": noise,
        "given": given or {},
    }


def test_counts_of_all_partners_add_up() -> None:
    """Answers, sums and bits; without a transcript nothing was measured."""
    training = record("boosted", given={"a": COUNTS, "b": COUNTS}, disclosure="bins")
    one = giveaway_of(training, "bank", ["a", "b"], ())
    assert one.numbers == ("692 answers", "90,996 exact sums", "5,808,000 split bits")
    assert "242 splits" in one.of_labels
    assert "a and b" in one.sentence
    assert one.rebuilt == ()
    assert one.not_rebuilt.startswith("not measured")


@pytest.mark.parametrize("epsilon", [None, 2.0])
def test_codes_that_were_sent_are_known_unless_they_were_perturbed(epsilon: float | None) -> None:
    """All of them, or none for sure."""
    given = {"shop": {"codes": 720_000}}
    training = record("boosted", given=given, disclosure="order", order_epsilon=epsilon)
    one = giveaway_of(training, "bank", ["shop"], ())
    assert one.numbers == ("720,000 bin codes",)
    assert one.rebuilt == (() if epsilon else (("shop", 1.0, AS_SENT),))
    assert ("perturbed" in one.of_features) is (epsilon is not None)


def test_trees_at_their_owners_give_outputs_and_sums() -> None:
    """No bins reach the bank; of several partners it sees sums of outputs."""
    given = {"a": {"outputs": 96_000, "sums_learned": 5_000}, "b": {"outputs": 96_000}}
    training = record("boosted", {"epsilon": 4}, given, disclosure="owner", label_epsilon=4)
    one = giveaway_of(training, "bank", ["a", "b"], ())
    assert one.numbers == ("192,000 outputs", "5,000 sums to partners")
    assert "the sum over partners" in one.of_features
    assert "flipped" in one.of_labels
    assert one.not_rebuilt == "no sums over bins went to bank"


def test_a_split_training_tells_whether_labels_were_flipped() -> None:
    """Its embeddings are not attacked."""
    exact = giveaway_of(record("split", embedding=8), "bank", ["shop"], ())
    noisy = giveaway_of(record("split", {"epsilon": 4}, embedding=8), "bank", ["shop"], ())
    assert "8 numbers of every borrower" in exact.of_features
    assert "nearly every label" in exact.of_labels
    assert "flipped" in noisy.of_labels


def test_no_phrase_holds_an_epsilon_without_its_unit() -> None:
    """The report's tables have the ε, with unit and history."""
    for training in (
        record("additive", {"epsilon": 2.0}),
        record("boosted", {"epsilon": 2.0}, disclosure="owner"),
        record("boosted", disclosure="order", order_epsilon=2.0),
    ):
        one = giveaway_of(training, "bank", ["shop"], ())
        phrases = (one.sentence, one.of_features, one.of_labels, *one.numbers, one.not_rebuilt)
        assert not any("ε =" in phrase for phrase in phrases)
