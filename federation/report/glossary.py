"""The words of a report, each in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from federation.report.markup import Html, element

TERMS = (
    ("Additive model", "Log-odds of default as a sum of one curve per feature; each curve's "
     "weights are held by the party that owns the feature."),
    ("Alignment", "Private set intersection: the parties find the borrowers they share without "
     "showing each other the rest."),
    ("AUC", "The chance that a borrower who defaulted has a higher score than one who did not; "
     "0.5 is a coin toss, 1 a perfect ranking. Gini = 2 · AUC − 1."),
    ("Bootstrap interval", "The middle 95% of a metric over 1,000-odd redraws of the test "
     "borrowers: how much of it may be luck of the draw."),
    ("Bin entropy", "How much there is to know of who is in which bin of a feature, in bits. The "
     "share of it that was rebuilt is 0% for who knows only how full each bin is, 100% for who "
     "knows everybody's."),
    ("Boosting", "Trees grown one after the other, each on what those before it left to explain. A "
     "tree asks about features of all parties; who answers what to whom is its disclosure: owner, "
     "bins or order."),
    ("Brier score", "Mean squared distance between predicted probability and outcome; 0 is "
     "perfect."),
    ("Calibration", "Whether, of borrowers given a 20% probability, about 20% default."),
    ("Coordinator", "Routes messages between the parties; it holds no key, no row and no "
     "model."),
    ("Feature party", "A partner that brings features and no labels, such as a platform."),
    ("KS", "Kolmogorov-Smirnov distance: the widest gap between the cumulative score "
     "distributions of those who defaulted and those who did not."),
    ("Label party", "The bank: it holds the default labels and features of its own."),
    ("Lift", "A group's default rate divided by the average default rate."),
    ("Log-loss", "Mean negative log-likelihood of the outcomes, in nats; smaller is better."),
    ("Model part", "What one party holds of the trained model; nobody holds all of it."),
    ("Privacy ledger", "Append-only record of all privacy spent on a party's data, over all "
     "runs."),
    ("Private linear map", "A joint computation of a matrix of one party times a vector of "
     "another, of which one of the two learns the result and nothing else."),
    ("Residual sum", "Outcome minus predicted probability, added up over the borrowers in one "
     "bin of one feature."),
    ("Split bit", "Whether a borrower goes left at a split of a tree: whether its bin is among "
     "those that do."),
    ("Stability index", "Population stability index: how far the score's distribution moved from "
     "training to test; below 0.10 is customarily read as stable, above 0.25 as shifted."),
    ("ε and δ", "Differential privacy: with or without one unit of privacy, no outcome becomes "
     "more likely than by a factor e^ε, except with probability δ. Smaller is stronger."),
    ("Unit of privacy", "Whose presence or data an ε protects, such as one borrower's label. An "
     "ε without it says nothing."),
)  # fmt: skip


_SHARED = (
    "AUC", "Bootstrap interval", "Brier score", "Calibration", "KS", "Lift", "Log-loss",
    "Privacy ledger", "ε and δ", "Unit of privacy",
)  # fmt: skip
_OF_BANKS = (
    ("Alone", "A network of the same kind that a bank trained on its own borrowers only, without "
     "privacy, for comparison."),
    ("Client-level privacy", "Differential privacy whose unit is one bank's whole data set: the "
     "banks share out noise that is in every opened sum."),
    ("Coordinator", "Orders the steps and adds ciphertexts; it holds no key, no row and no model."),
    ("DP-SGD", "Training whose every step clips each borrower's gradient and adds Gaussian noise; "
     "its unit of privacy is one borrower's record."),
    ("Dropout", "A bank that falls silent in a step. The sum is still opened while enough of the "
     "others answer."),
    ("Encrypted sum", "Ciphertexts (BFV or CKKS) that the coordinator adds without being able to "
     "open them; the banks open the total."),
    ("Mask", "Random numbers that hide a bank's vector even from those who hold the key; in the "
     "sum they cancel or are taken off."),
    ("Noise multiplier", "Standard deviation of DP-SGD's noise, over the norm to which gradients "
     "are clipped."),
    ("Pooled", "The same network trained on all banks' rows in one place, which this federation "
     "exists to avoid; for comparison."),
    ("Round", "Every bank trains locally from the same weights, and the mean of the updates moves "
     "them."),
    ("Update", "A bank's weights after local training minus those before."),
)  # fmt: skip
BANKS_TERMS = tuple(
    sorted(
        (*_OF_BANKS, *((term, meaning) for term, meaning in TERMS if term in _SHARED)),
        key=lambda pair: (pair[0][0] == "ε", pair[0].lower()),
    )
)


def glossary_section(terms: Sequence[tuple[str, str]] = TERMS) -> Html:
    """All terms, in the order given."""
    entries = (
        element("div", element("dt", term), element("dd", meaning)) for term, meaning in terms
    )
    return element(
        "section",
        element("h2", "Glossary"),
        element("dl", *entries, class_="glossary"),
        id="glossary",
    )
