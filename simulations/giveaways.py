"""What each training of a run gave away, in the short phrases of the report and of the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from federation.boosting.settings import Disclosure
from federation.vertical.trainings import BOOSTED, SPLIT
from simulations.run_leakage import RunLeak

AS_SENT = "sent as they are"


@dataclass(frozen=True)
class Giveaway:
    """One training's phrases.

    Attributes:
        sentence: the gist.
        of_features: what the label party learned of the partners' features.
        of_labels: what the partners learned of the labels.
        numbers: answers, sums, bits.
        rebuilt: (partner, share of bin entropy, how that was found out).
        not_rebuilt: why there is no share.
    """

    sentence: str
    of_features: str
    of_labels: str
    numbers: tuple[str, ...]
    rebuilt: tuple[tuple[str, float, str], ...] = ()
    not_rebuilt: str = ""


def giveaway_of(
    training: Mapping[str, Any],
    label_party: str,
    partners: list[str],
    leaks: tuple[RunLeak, ...],
) -> Giveaway:
    """The phrases of one training.

    Args:
        training: its record.
        label_party, partners: names.
        leaks: of the run's transcripts.
    """
    if training["kind"] == BOOSTED:
        return _boosted(training, label_party, partners, leaks)
    rounds, noisy = len(training["rounds"]), training["label_noise"] is not None
    whose = _possessive(partners)
    if training["kind"] == SPLIT:
        numbers = int(training["settings"].get("embedding", 0))
        return Giveaway(
            "Networks on both sides: embeddings one way, gradients the other.",
            f"{numbers} numbers of every borrower, made of {whose} columns",
            "labels, flipped at random once"
            if noisy
            else "gradients, from which nearly every label can be read",
            (f"{numbers} numbers a borrower", f"{rounds} exchanges"),
            not_rebuilt="no bins; embeddings are not attacked here",
        )
    return Giveaway(
        f"Both keep their rows: {label_party} gets partial scores, {_and(partners)} "
        f"{'noisy sums' if noisy else 'sums'} over many borrowers.",
        "a partial score a borrower and round, under weights it does not know",
        "noisy residual sums of its own bins" if noisy else "residual sums of its own bins, exact",
        (f"{rounds + 1} partial scores a borrower", f"{rounds} rounds of sums"),
        not_rebuilt=f"no sums over bins went to {label_party}",
    )


def _boosted(
    training: Mapping[str, Any],
    label_party: str,
    partners: list[str],
    leaks: tuple[RunLeak, ...],
) -> Giveaway:
    settings = training["settings"]
    disclosure = Disclosure(settings["disclosure"])
    given = list(training.get("given", {}).values())
    total = {
        name: sum(int(one.get(name, 0)) for one in given)
        for name in ("answers", "sums", "splits", "split_bits", "codes", "outputs", "sums_learned")
    }
    if disclosure is Disclosure.OWNER:
        return Giveaway(
            "Each party's trees grow at that party: no bin of a borrower leaves it.",
            "one output a borrower and tree, not what the tree asks"
            + (" (the sum over partners)" if len(partners) > 1 else ""),
            "sums over its own bins, of labels flipped at random once",
            (f"{total['outputs']:,} outputs", f"{total['sums_learned']:,} sums to partners"),
            not_rebuilt=f"no sums over bins went to {label_party}",
        )
    if disclosure is Disclosure.BINS:
        mine = [leak for leak in leaks if leak.training == training["name"]]
        return Giveaway(
            f"Treat the bin of every borrower in every feature of {_and(partners)} as known to "
            f"{label_party}.",
            "bin codes, through exact sums and split bits",
            f"which {total['splits']:,} splits on its features were chosen; nobody's label",
            (
                f"{total['answers']:,} answers",
                f"{total['sums']:,} exact sums",
                f"{total['split_bits']:,} split bits",
            ),
            tuple((leak.partner, leak.share, leak.how) for leak in mine),
            "" if mine else "not measured: no transcript was kept",
        )
    perturbed = settings.get("order_epsilon") is not None
    return Giveaway(
        f"{_and(partners)} hand{'s' if len(partners) == 1 else ''} {label_party} "
        + (
            "a perturbed bin of every borrower in every feature."
            if perturbed
            else "the bin of every borrower in every feature."
        ),
        "bin codes, each perturbed on its own" if perturbed else "bin codes, as they are",
        "which splits of its features the model has; nobody's label",
        (f"{total['codes']:,} bin codes",),
        () if perturbed else tuple((partner, 1.0, AS_SENT) for partner in partners),
        "perturbed before they were sent; local ε below" if perturbed else "",
    )


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _possessive(names: list[str]) -> str:
    return f"{names[0]}'s" if len(names) == 1 else "the partners'"
