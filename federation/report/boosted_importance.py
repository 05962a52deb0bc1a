"""The features of a boosted model by importance, for the label party, on a page of their own.

A tree's leaf depends on several features at once, so there is no shape function a feature.
"""

from __future__ import annotations

from federation.boosting.importance import MEASURE, feature_importances, split_importances
from federation.boosting.model_part import BoostedPart
from federation.errors import InputError
from federation.report.figures import FeatureImportance, PartyImportance
from federation.report.performance import importance_section
from federation.report.shapes import part_page


def render_boosted(part: BoostedPart) -> str:
    """One HTML document: own features by name, each partner's splits together.

    Raises:
        InputError: the part is a partner's, which holds no trees.
    """
    if not part.trees:
        raise InputError(
            f"the part of {part.party} in training '{part.training}' holds its splits and no "
            "trees: how much they move scores is known to the label party only"
        )
    of_splits = split_importances(part)
    own = tuple(
        FeatureImportance(name, importance)
        for name, importance in feature_importances(part, of_splits[part.party])
    )
    parties = [PartyImportance(part.party, own)] if own else []
    for partner in part.partners:
        words = f"all {part.split_counts[partner]} splits of {partner}"
        together = FeatureImportance(words, float(of_splits[partner].sum()))
        parties.append(PartyImportance(partner, (together,)))
    section = importance_section(parties, MEASURE, ())
    return part_page(part.party, part.training, part.session, section)
