"""Scores taken apart by feature and partner: the shares sum to the score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from federation.boosting.contributions import feature_contributions, path_contributions
from federation.boosting.model_part import BoostedPart
from tests.federation.boosting.test_boosted_part import COUNT, PART, table

Bits = npt.NDArray[np.bool_]


def all_bits() -> dict[str, Bits]:
    """The bank's own, and a platform's."""
    theirs = np.random.default_rng(6).random((3, COUNT)) < 0.4
    return {"bank": PART.bits(table()), "platform": theirs}


def test_shares_of_features_and_partners_sum_to_the_score() -> None:
    """With the platform's answer and without it."""
    bits = all_bits()
    for given in (bits, {"bank": bits["bank"]}):
        found = path_contributions(PART, given)
        scores = PART.intercept + PART.forest().scores(given)
        np.testing.assert_allclose(found.scores, scores, atol=1e-12)
        assert set(found.features) == {"amount", "region"}
        assert set(found.partners) == {"platform"}
        np.testing.assert_allclose(
            found.partners["platform"], found.partner_splits["platform"].sum(axis=0)
        )
        assert found.base == pytest.approx(-1.25 + 0.1 + 0.0)
    # the second tree asks nothing but the region, whose split moves by 0.1 either way
    np.testing.assert_allclose(np.abs(found.features["region"]), 0.1)


def test_a_partner_names_its_own_splits() -> None:
    """By its own part; the label party knows their numbers only."""
    found = path_contributions(PART, all_bits())
    theirs = BoostedPart(
        party="platform",
        session="s1",
        training="boosted",
        binnings=tuple(replace(b, feature=f"their {b.feature}") for b in PART.binnings),
        labels=PART.labels,
        splits=(PART.splits[1], PART.splits[0], replace(PART.splits[1], left=(0,))),
    )
    named = feature_contributions(theirs, found.partner_splits["platform"])
    assert list(named) == ["their amount", "their region"]
    rows = found.partner_splits["platform"]
    np.testing.assert_array_equal(named["their region"], rows[0] + rows[2])
    total = named["their amount"] + named["their region"]
    np.testing.assert_allclose(total, found.partners["platform"])


def test_what_is_missing_or_of_another_model_is_refused() -> None:
    """The own bits, or shares of other splits."""
    bits = all_bits()
    with pytest.raises(ValueError, match="the bits of bank itself are needed"):
        path_contributions(PART, {"platform": bits["platform"]})
    with pytest.raises(ValueError, match="shares of 3 splits; bank has 2"):
        feature_contributions(PART, np.zeros((3, 5)))


def test_a_model_of_the_bank_alone_and_one_of_partners_only() -> None:
    """Either may have no splits at all."""
    bits = all_bits()
    alone = replace(PART, trees=PART.trees[1:], split_counts={})
    found = path_contributions(alone, {"bank": bits["bank"]})
    assert found.partners == {}
    np.testing.assert_allclose(found.scores, alone.intercept + alone.forest().scores(bits))
    tree = PART.trees[1]
    nodes = (replace(tree.nodes[0], party="platform", split=0), *tree.nodes[1:])
    theirs = replace(PART, splits=(), trees=(replace(tree, nodes=nodes),))
    given = bits | {"bank": bits["bank"][:0]}
    found = path_contributions(theirs, given)
    assert found.features == {}
    np.testing.assert_allclose(found.scores, theirs.intercept + theirs.forest().scores(given))
