"""In plain words: what each side of a vertical session learned, could work out, and never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DIRECTION = (
    "Every private linear map ran to the owner of the bins: a partner learned the residual sums "
    "over its own bins, the label party learned nothing from them."
)


@dataclass(frozen=True)
class TrainingWords:
    """What of a training the sentences need.

    Attributes:
        name: the training's name.
        rounds: exchanges with the partners.
        label_noise: None, or the ε of the label noise with its δ, in words.
    """

    name: str
    rounds: int
    label_noise: str | None


@dataclass(frozen=True)
class PartyWords:
    """The sentences about one party."""

    learned: tuple[str, ...]
    could_reconstruct: tuple[str, ...]
    never_saw: tuple[str, ...]


def label_party_words(
    partners: Sequence[str], shared: Sequence[int], aligned: int, trainings: Sequence[TrainingWords]
) -> PartyWords:
    """What the label party learned.

    Args:
        partners: names of the feature parties.
        shared: how many of its borrowers each of them knows.
        aligned: aligned borrowers.
        trainings: what was trained.
    """
    numbers = sum(training.rounds + 1 for training in trainings)
    known = ", ".join(
        f"{count:,} are known to {partner}" for partner, count in zip(partners, shared, strict=True)
    )
    if len(partners) == 1:
        scores = f"the partial score of {partners[0]}"
        hidden = "under weights and bins that it does not know"
    else:
        scores = f"the sum of the partial scores of {', '.join(partners)}"
        hidden = "and no single partner's share of it"
    return PartyWords(
        learned=(
            f"Which of its borrowers the partners know: {known}.",
            f"How many ids and how many bins each partner has. {aligned:,} borrowers are aligned.",
            f"For every aligned borrower {numbers} numbers in all ({scores}, one a round and one "
            f"at the end), {hidden}.",
            "The slope and curvature of the loss along each step, two numbers a round.",
        ),
        could_reconstruct=(
            "Where a partner has few features, which borrowers fall into the same combination of "
            "its bins (not what the bins are).",
            "Borrowers whom a partner describes alike have alike partial scores: with "
            f"{numbers} numbers a borrower it can group borrowers, and guess at strong features.",
            "A dishonest label party could send a crafted vector to see who resembles one "
            "borrower; the number of rounds caps how often. Dishonest parties are outside the "
            "threat model.",
        ),
        never_saw=(
            "A partner's row, value, bin border or weight, or the name of a feature without a "
            "public label.",
        ),
    )


def feature_party_words(
    party: str,
    label_party: str,
    other_partners: Sequence[str],
    known: int,
    bins_floor: int,
    trainings: Sequence[TrainingWords],
) -> PartyWords:
    """What a feature party learned.

    Args:
        party: its name.
        label_party: the label party's name.
        other_partners: the other feature parties.
        known: how many aligned borrowers it knows.
        bins_floor: fewest borrowers in any of its bins.
        trainings: what was trained.
    """
    learned = [
        f"Which {known:,} of its own borrowers take part, and which of them are test borrowers.",
        f"How many ids {label_party} has, and the share of defaults (as a mean prediction).",
    ]
    for training in trainings:
        if training.label_noise is None:
            learned.append(
                f"Training '{training.name}': for each of its own bins (each of {bins_floor:,} "
                f"borrowers or more) the exact sum of residuals in {training.rounds} rounds: how "
                "defaults spread over its own features. No ε bounds this."
            )
        else:
            learned.append(
                f"Training '{training.name}': the same sums with noise drawn once for all "
                f"{training.rounds} rounds: {training.label_noise}."
            )
    rebuild = [
        "The default rate of each of its own bins, closely where sums are exact; a bin holds "
        f"{bins_floor:,} borrowers or more.",
        "From exact sums, single labels a little better than chance even where its features say "
        "nothing of them (as many sums as a twentieth of the borrowers at most; docs/security.md "
        "has what they give away). Label noise bounds this.",
        "A dishonest partner could shape its bins to narrow labels down; the floor slows this and "
        "does not stop it. Dishonest parties are outside the threat model.",
    ]
    unseen = [f"A label, a row, a feature, a weight or a score of {label_party}."]
    if other_partners:
        unseen.append(f"Anything of {', '.join(other_partners)} but whom all have in common.")
    return PartyWords(tuple(learned), tuple(rebuild), tuple(unseen))
