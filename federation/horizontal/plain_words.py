"""In plain words: what each side of a horizontal run learned, could work out, and never saw."""

from __future__ import annotations

from collections.abc import Sequence

from federation.horizontal.plan import HorizontalPlan
from federation.vertical.plain_words import PartyWords


def bank_words(plan: HorizontalPlan, banks: int, rounds: int) -> PartyWords:
    """What every bank learned of the others.

    Args:
        plan: what the banks agreed on.
        banks: how many took part to the end.
        rounds: of training.
    """
    learned = [
        f"The sum over {banks} banks of their training rows, and after each of {rounds} rounds the "
        "mean of their updates: the model's course from its first weights to its last.",
    ]
    could = [
        f"With {banks} banks, its own update taken off a sum leaves the sum of the other "
        f"{banks - 1}; {banks - 1} banks together know the last one's."
    ]
    never = ["Another bank's rows, labels or single update."]
    if not plan.is_private:
        learned.append(
            "Sums over all banks, without noise: counts, means and spreads of the features "
            "(for scaling), losses, and the test borrowers by score and outcome."
        )
        could.append(
            "Exact sums and a network's weights can remember single borrowers: no differential "
            "privacy limits what is learned of them here."
        )
    else:
        never.append("Scaling sums, losses or test counts: under privacy none leave a bank.")
    if plan.calibration_noise is not None:
        learned.append(
            "How many training borrowers of all banks together have which score and outcome, with "
            "noise of every bank: it brings the model's scores to scale, and is part of the ε."
        )
    could += _guarantees(plan)
    return PartyWords(tuple(learned), tuple(could), tuple(never))


def coordinator_words(plan: HorizontalPlan, excluded: Sequence[str]) -> PartyWords:
    """What the coordinator learned."""
    learned = [
        "Which banks took part, when and for how long, the sizes of their messages, the number of "
        "the model's parameters (from sizes), and digests of plan and models."
    ]
    if excluded:
        learned.append(f"Why {', '.join(excluded)} did not take part to the end.")
    return PartyWords(
        tuple(learned),
        (
            "Nothing of sums or models: it holds no key. Together with a bank it could open every "
            "sum, though no single update while it follows the protocol: masks hide those from all "
            "key holders.",
        ),
        (
            "A row, an update, a sum or a model. Nor can it put keys of its own in a bank's place: "
            "every bank signs its key of the run with the long-term one that the others have "
            "pinned.",
        ),
    )


def _guarantees(plan: HorizontalPlan) -> list[str]:
    settings = plan.settings
    words = []
    if settings.record_epsilon is not None:
        words.append(
            f"Of any one borrower's record at a bank: bounded by ε = {settings.record_epsilon:g} "
            f"at δ = {settings.record_delta:g} for this run (DP-SGD at each bank, noise of its "
            "own); the bank's ledger has the history over all runs."
        )
    if plan.client_epsilon is not None:
        words.append(
            f"Of a bank's whole data set: bounded by ε = {plan.client_epsilon:g} at δ = "
            f"{plan.client_delta:g} for this run, by the noise that the banks share out among "
            "them; for a bank that reads alone, not for banks that pool what they know."
        )
    return words
