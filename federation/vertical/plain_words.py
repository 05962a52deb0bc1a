"""In plain words: what each side of a vertical session learned, could work out, and never saw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from federation.boosting.settings import Disclosure
from federation.vertical import boosted_words
from federation.vertical.boosted_words import BoostedWords
from federation.vertical.trainings import ADDITIVE, BLIND, SPLIT

DIRECTION = (
    "Every private linear map ran to the owner of the bins: a partner learned the residual sums "
    "over its own bins, the label party learned nothing from them."
)
ADDITIVE_DIRECTION = (
    "Additive trainings ran the private linear map to the owner of the bins: a partner learned the "
    "residual sums over its own bins, the label party learned nothing from them."
)
SPLIT_DIRECTION = (
    "A split training has no private linear map: partners sent embeddings of every borrower, the "
    "label party sent the loss's gradient by them back."
)


@dataclass(frozen=True)
class TrainingWords:
    """What of a training the sentences need.

    Attributes:
        name: the training's name.
        rounds: exchanges with the partners.
        label_noise: None, or the ε of the label noise with its δ, in words.
        kind: "additive", "blind", "split" or "boosted".
        embedding: numbers that an encoder makes of a borrower; 0 without one.
        fallbacks: the feature parties of each fallback, and its exchanges with them.
        boosted: what a boosted training's sentences need; None of another kind.
    """

    name: str
    rounds: int
    label_noise: str | None
    kind: str = ADDITIVE
    embedding: int = 0
    fallbacks: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    boosted: BoostedWords | None = None

    @property
    def sums_to_owner(self) -> bool:
        """Whether it ran through bins whose residual sums went to their owner."""
        return self.kind in (ADDITIVE, BLIND)

    def rounds_with(self, partner: str) -> int:
        """Exchanges with one partner, those of fallbacks included."""
        return self.rounds + sum(n for parties, n in self.fallbacks.items() if partner in parties)


@dataclass(frozen=True)
class PartyWords:
    """The sentences about one party."""

    learned: tuple[str, ...]
    could_reconstruct: tuple[str, ...]
    never_saw: tuple[str, ...]


def direction(kinds: set[str], boosted: Collection[Disclosure] = ()) -> str:
    """Which way the trainings of these kinds sent what; of boosted ones, what they disclosed."""
    parts = []
    if kinds & {ADDITIVE, BLIND}:
        parts.append(ADDITIVE_DIRECTION if boosted else DIRECTION)
    parts += [boosted_words.DIRECTIONS[one] for one in Disclosure if one in boosted]
    return " ".join(parts + [SPLIT_DIRECTION] * (SPLIT in kinds))


def coordinator_words(fingerprints: Mapping[str, str]) -> PartyWords:
    """What the coordinator learned: it carries messages, and is told how the session goes.

    Args:
        fingerprints: of every party's pinned key.
    """
    keys = ", ".join(f"{party} {fingerprint}" for party, fingerprint in fingerprints.items())
    return PartyWords(
        (
            "Which parties took part, and when each sent how many bytes to whom.",
            "What the parties tell it for people to watch and for the run's record: stages, how "
            "many borrowers and bins there are, training loss and validation AUC by round, test "
            "metrics.",
        ),
        (
            "From sizes, how many ids and bins each party has, closely.",
            "It could drop or delay messages, which ends the session, and change none unseen.",
        ),
        (
            "What the parties said to each other: every message was sealed from party to party "
            f"under keys that they have pinned and that the coordinator never held ({keys}).",
        ),
    )


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
    known = ", ".join(
        f"{count:,} are known to {partner}" for partner, count in zip(partners, shared, strict=True)
    )
    learned = [
        f"Which of its borrowers the partners know: {known}.",
        f"How many ids each partner has. {aligned:,} borrowers are aligned.",
    ]
    rebuild = []
    over_bins = [training for training in trainings if training.sums_to_owner]
    if over_bins:
        numbers = sum(training.rounds + 1 for training in over_bins)
        if len(partners) == 1:
            scores = f"the partial score of {partners[0]}"
            hidden = "under weights and bins that it does not know"
        else:
            scores = f"the sum of the partial scores of {', '.join(partners)}"
            hidden = "and no single partner's share of it"
        learned[1] = (
            f"How many ids and how many bins each partner has. {aligned:,} borrowers are aligned."
        )
        learned += [
            f"For every aligned borrower {numbers} numbers in all ({scores}, one a round and one "
            f"at the end), {hidden}.",
            "The slope and curvature of the loss along each step, two numbers a round.",
        ]
        learned += [words for training in over_bins for words in _fallback_words(training)]
        rebuild += [
            "Where a partner has few features, which borrowers fall into the same combination of "
            "its bins (not what the bins are).",
            "Borrowers whom a partner describes alike have alike partial scores: with "
            f"{numbers} numbers a borrower it can group borrowers, and guess at strong features.",
            "A dishonest label party could send a crafted vector to see who resembles one "
            "borrower; the number of rounds caps how often. Dishonest parties are outside the "
            "threat model.",
        ]
    for training in trainings:
        if training.kind != SPLIT:
            continue
        whose = f"the embedding of {partners[0]}"
        if len(partners) > 1:
            whose = f"the sum of the embeddings of {', '.join(partners)}, and no single one of them"
        learned.append(
            f"Training '{training.name}': {training.embedding} numbers of every borrower that "
            f"trains at each of {training.rounds} exchanges, and of every test borrower at the end "
            f"({whose})."
        )
        rebuild.append(
            f"From the embeddings of training '{training.name}', whatever of a partner's columns "
            f"an encoder puts into {training.embedding} numbers: above all what says most about "
            "default. Whoever knows some borrowers' columns from elsewhere can learn to read the "
            "others'. No ε bounds this."
        )
    unseen = "A partner's row, value, bin border or weight"
    for training in trainings:
        if training.boosted is None:
            continue
        unseen = "A partner's value, bin border or weight"
        for partner in partners:
            learned += boosted_words.label_party_learned(
                training.name, training.rounds, training.boosted, partner
            )
            rebuild += boosted_words.label_party_rebuilds(training.name, training.boosted, partner)
    return PartyWords(
        learned=tuple(learned),
        could_reconstruct=tuple(rebuild),
        never_saw=(f"{unseen}, or the name of a feature without a public label.",),
    )


def _fallback_words(training: TrainingWords) -> list[str]:
    """What fits without some of the partners told the label party."""
    found = []
    for parties, rounds in training.fallbacks.items():
        whose = f"the partial score of {parties[0]} alone, which no other partner's hides"
        if len(parties) > 1:
            whose = f"the sum of the partial scores of {', '.join(parties)}, and no single one"
        found.append(
            f"Training '{training.name}', its fallback for when only {', '.join(parties)} "
            f"{'answers' if len(parties) == 1 else 'answer'}: for every aligned borrower "
            f"{rounds + 1} numbers ({whose})."
        )
    return found


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
        f"How many ids {label_party} has"
        + (
            ", and the share of defaults (as a mean prediction)."
            if any(training.sums_to_owner for training in trainings)
            else "."
        ),
    ]
    learned += [_partner_learned(training, party, bins_floor) for training in trainings]
    rebuild = []
    if any(training.sums_to_owner for training in trainings):
        rebuild += [
            "The default rate of each of its own bins, closely where sums are exact; a bin holds "
            f"{bins_floor:,} borrowers or more.",
            "From exact sums, single labels a little better than chance even where its features "
            "say nothing of them (as many sums as a twentieth of the borrowers at most; "
            "docs/security.md has what they give away). Label noise bounds this.",
            "A dishonest partner could shape its bins to narrow labels down; the floor slows this "
            "and does not stop it. Dishonest parties are outside the threat model.",
        ]
    rebuild += [_rebuilt_from_gradients(t, label_party) for t in trainings if t.kind == SPLIT]
    boosted = [(t.name, t.boosted) for t in trainings if t.boosted is not None]
    rebuild += [boosted_words.partner_rebuilds(name, words) for name, words in boosted]
    unseen = [f"A label, a row, a feature, a weight or a score of {label_party}."]
    if any(training.kind == SPLIT and training.label_noise is None for training in trainings):
        unseen = [f"A row, a feature or a weight of {label_party}."]
    if other_partners:
        unseen.append(f"Anything of {', '.join(other_partners)} but whom all have in common.")
    unseen += [boosted_words.partner_never_saw(*one, label_party) for one in boosted]
    return PartyWords(tuple(learned), tuple(rebuild), tuple(unseen))


def _partner_learned(training: TrainingWords, party: str, bins_floor: int) -> str:
    if training.boosted is not None:
        return boosted_words.partner_learned(
            training.name, training.boosted, party, training.label_noise
        )
    if training.kind == SPLIT:
        return (
            f"Training '{training.name}': for every borrower that trains, the gradient of its loss "
            f"({training.embedding} numbers) at each exchange but the last of {training.rounds}, "
            + (
                "computed from its true label. No ε bounds this."
                if training.label_noise is None
                else "computed from a label that was flipped at random once, before the first "
                f"exchange: {training.label_noise}."
            )
        )
    over = "each of its own bins"
    if training.kind == BLIND:
        over = "each bin of the columns that its own encoder made"
    rounds = training.rounds_with(party)
    if training.label_noise is None:
        return (
            f"Training '{training.name}': for {over} (each of {bins_floor:,} borrowers or more) "
            f"the exact sum of residuals in {rounds} rounds: how defaults spread over its "
            "own features. No ε bounds this."
        )
    return (
        f"Training '{training.name}': the same sums with noise drawn once for all "
        f"{rounds} rounds: {training.label_noise}."
    )


def _rebuilt_from_gradients(training: TrainingWords, label_party: str) -> str:
    if training.label_noise is None:
        return (
            f"From the gradients of training '{training.name}', the label of nearly every borrower "
            "that trains: those of defaulters point one way, those of the others the opposite way. "
            f"Beside it the model's score of each of them, which says something of {label_party}'s "
            "own columns."
        )
    return (
        f"From the gradients of training '{training.name}', the flipped label of nearly every "
        "borrower that trains, and no more of the true one than ε allows; and the model's score of "
        f"each of them, which says something of {label_party}'s own columns."
    )
