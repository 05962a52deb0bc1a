"""In plain words: what a boosted training gave away, to the label party and to a partner.

Three kinds of it differ much: sums and split bits at the label party, from which bin codes can be
rebuilt; bin codes sent as they are, or perturbed; trees grown at their owners. Counts are exact:
they come from the training's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.boosting.results import Given
from federation.boosting.settings import Disclosure

DIRECTIONS = {
    Disclosure.BINS: (
        "Boosted trainings with disclosure 'bins' ran it to the label party, which learned exact "
        "sums over the partners' bins and who goes left at a split: bin codes can be rebuilt from "
        "them."
    ),
    Disclosure.ORDER: (
        "Boosted trainings with disclosure 'order' had no private linear map: the partners sent "
        "their bin codes to the label party."
    ),
    Disclosure.OWNER: (
        "Boosted trainings with disclosure 'owner' grew each tree at the party that owns its "
        "features: sums, from labels flipped at random once, went to that party, and the tree's "
        "output of every borrower to the label party."
    ),
}
NO_EPSILON = "No ε bounds this."


@dataclass(frozen=True)
class BoostedWords:
    """What of a boosted training the sentences need.

    Attributes:
        disclosure: how trees were grown.
        bins: most bins a feature may have, special ones not counted.
        borrowers: of the fit, those that train and those that validate.
        test_borrowers: beside them.
        given: what each partner gave away, as the label party counted.
        partners: how many there are.
        order_epsilon: ε of each code's perturbation; None where codes are as they are.
        rebuilt: by partner, the share of its bins' entropy that an attack on this very
            training's transcript rebuilt; a partner is missing where none ran.
    """

    disclosure: Disclosure
    bins: int
    borrowers: int
    test_borrowers: int
    given: Mapping[str, Given] = field(default_factory=dict)
    partners: int = 1
    order_epsilon: float | None = None
    rebuilt: Mapping[str, float] = field(default_factory=dict)

    def of(self, partner: str) -> Given:
        """What a partner gave; zeros where nothing was counted."""
        return self.given.get(partner, Given(0, 0, 0, 0))


def label_party_learned(name: str, trees: int, words: BoostedWords, partner: str) -> list[str]:
    """What the label party was told of one partner's features."""
    given, training = words.of(partner), f"Training '{name}' ({trees} trees)"
    if words.disclosure is Disclosure.OWNER:
        whose = f"the output of {partner}'s trees"
        if words.partners > 1:
            whose = f"{partner}'s share in the sum of all partners' trees, which alone is seen,"
        return [
            f"{training}: {whose} in {given.outputs:,} numbers, one a tree and borrower of the "
            "fit, and one for every test borrower at the end; no feature, bin or threshold."
        ]
    if words.disclosure is Disclosure.BINS:
        return [
            f"{training}: {given.sums:,} exact sums over {partner}'s bins, the answers to "
            f"{given.answers:,} vectors of its own making (gradients and hessians of the borrowers "
            "in a node, zero elsewhere).",
            f"Training '{name}': for {given.splits:,} splits on {partner}'s features, who of the "
            f"{words.borrowers:,} borrowers of the fit goes left: {given.split_bits:,} bits. Of "
            f"those in the model, the same of {words.test_borrowers:,} test borrowers. How many "
            f"bins each of {partner}'s features has, and which of them is the fullest.",
        ]
    borrowers = words.borrowers + words.test_borrowers
    count = given.codes // max(borrowers, 1)
    sent = (
        f"{training}: {given.codes:,} bin codes: the bin (of {words.bins} at most, beside other, "
        f"missing and absent) of every aligned borrower in {count} features of {partner}"
    )
    if words.order_epsilon is None:
        return [f"{sent}, as it is. {NO_EPSILON}"]
    return [
        f"{sent}, each perturbed on its own before it was sent: ε = {words.order_epsilon:g} at "
        f"δ = 0 per one bin code, which comes to ε = {words.order_epsilon * count:g} at δ = 0 per "
        f"one borrower's record ({count} codes), this training alone."
    ]


def label_party_rebuilds(name: str, words: BoostedWords, partner: str) -> list[str]:
    """What the label party could work out of one partner's features."""
    if words.disclosure is Disclosure.OWNER:
        if words.partners > 1:
            return []
        return [
            f"From the outputs in training '{name}', which borrowers each tree of {partner} puts "
            "into the same leaf: they are alike in what that tree asks for. Not in what that is, "
            "nor how. Over many trees, how alike any two borrowers are. No ε bounds this."
        ]
    if words.disclosure is Disclosure.BINS:
        share = words.rebuilt.get(partner)
        found = ""
        if share is not None:
            found = (
                f" An attack on this very training's transcript rebuilt {share:.0%} of what there "
                "is to know of them (their entropy); a longer one may rebuild more."
            )
        return [
            f"From the sums and bits of training '{name}', {partner}'s bin codes: treat which bin "
            f"each borrower of the fit is in as disclosed, in every feature.{found} {NO_EPSILON} "
            "Not what a bin stands for: the feature's name, unit and borders stay where they are."
        ]
    if words.order_epsilon is None:
        return [f"Nothing is left to work out of {partner}'s bins: training '{name}' has them."]
    return [
        f"From the perturbed codes of training '{name}', any one borrower's bin no surer than its "
        f"ε allows; over many borrowers, how {partner}'s bins go with default and with one another."
    ]


def partner_learned(name: str, words: BoostedWords, party: str, label_noise: str | None) -> str:
    """What a partner was told of the labels."""
    given, training = words.of(party), f"Training '{name}'"
    if words.disclosure is Disclosure.OWNER:
        return (
            f"{training}: {given.sums_learned:,} sums of gradients and hessians over its own bins, "
            "within the nodes of the trees that grew here: how defaults spread over its own "
            "features. All of them were computed from labels flipped at random once, before the "
            f"first tree: {label_noise or 'no ε is recorded'}."
        )
    if words.disclosure is Disclosure.BINS:
        return (
            f"{training}: which {given.splits:,} splits of its own features were chosen, for which "
            "tree and level, and how many vectors were asked for there. That is label information: "
            f"what sets defaulters apart is chosen. {NO_EPSILON}"
        )
    return (
        f"{training}: which of its own thresholds the model uses, and no more. That is label "
        f"information: what sets defaulters apart is chosen. {NO_EPSILON}"
    )


def partner_rebuilds(name: str, words: BoostedWords) -> str:
    """What a partner could work out of the labels."""
    if words.disclosure is Disclosure.OWNER:
        return (
            f"From the sums of training '{name}', the share of flipped labels in each of its bins "
            "and nodes, and from these the share of defaults about as closely as many borrowers "
            "allow; of one borrower's label no more than ε allows, however many trees there are."
        )
    return (
        f"From the splits of training '{name}', which of its features and values set defaulters "
        "apart, the first trees' most of all; not how much, nor which side is the riskier one."
    )


def partner_never_saw(name: str, words: BoostedWords, label_party: str) -> str:
    """What stayed hidden from a partner in a boosted training."""
    if words.disclosure is Disclosure.OWNER:
        return f"A true label or a score in training '{name}', or a split of {label_party}."
    return f"Who is in a node of training '{name}', a gradient, or a split of {label_party}."
