"""What each feature of a supplier means: name, unit, definition, and where it comes from.

Terms used in all definitions:

- *The cut* is midnight UTC at the beginning of the date asked for. Only facts strictly before it
  count.
- *A supplier* is one account, or all accounts of one firm together. Moves between accounts of one
  firm are no facts.
- *A claim* is a leaf of the registry. Its *owner* is whoever held it last before the cut; while a
  pool holds it as a loan's security, its owner is the supplier that borrowed on it.
- *Incoming* is what came to a supplier from somebody else: invoices confirmed for it, and claims
  passed on to it by split or transfer.
- *Days* are calendar days in UTC. A payment on the due date is 0 days late; a claim that was due
  yesterday and is open is 1 day late.
- *Missing* (NaN) is a ratio whose base is empty, such as the on-time share of a supplier none of
  whose claims has fallen due. Amounts and counts of nothing are 0.

Amounts are whole minor units on chain. As features they are floats, exact up to 2**53.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.features.errors import FeatureError


@dataclass(frozen=True)
class FeatureDefinition:
    """One feature.

    Attributes:
        name: the column's name.
        unit: of its values; '1' is a share or index.
        definition: what it is.
        source: the index's tables and kinds of movements that it is computed from.
        minimum, maximum: the range of its values, None where there is no limit.
    """

    name: str
    unit: str
    definition: str
    source: str
    minimum: float | None = 0.0
    maximum: float | None = None


_OPEN = "invoices, leaves; paid, credited, transferred"
_DUE = "invoices, leaves; paid, credited, transferred"
_IN = "invoices, leaves; split, transferred"

DEFINITIONS: tuple[FeatureDefinition, ...] = (
    FeatureDefinition(
        "outstanding",
        "minor units",
        "What is left to be paid on its open claims (face less payments and credits), those that "
        "secure its loans among them.",
        _OPEN,
    ),
    FeatureDefinition(
        "advance_share",
        "1",
        "Principal of its open loans over `outstanding`; missing where nothing is outstanding.",
        f"{_OPEN}; financed, repaid, loan_settled, repurchased, written_off",
    ),
    FeatureDefinition(
        "past_due_days_mean",
        "days",
        "Mean days late, weighted by amount, over what fell due on its claims before the cut: of "
        "a payment the days from due date to payment (0 if earlier), of an open rest those to "
        "the cut.",
        _DUE,
    ),
    FeatureDefinition(
        "past_due_days_max", "days", "The most days late of any payment or open rest.", _DUE
    ),
    FeatureDefinition(
        "past_due_days_trend",
        "days",
        "`past_due_days_mean` of what fell due in the 90 days before the cut, less that of what "
        "fell due in the 275 days before those; missing where either period has nothing.",
        _DUE,
        minimum=None,
    ),
    FeatureDefinition(
        "on_time_share",
        "1",
        "Share, by amount, of what fell due on its claims before the cut that was paid by the end "
        "of the due date.",
        _DUE,
        maximum=1.0,
    ),
    FeatureDefinition(
        "dilution_rate",
        "1",
        "Credit notes, credits of settled disputes and cancelled faces on its claims, over its "
        "incoming face since ever.",
        f"{_IN}; credited, cancelled",
    ),
    FeatureDefinition(
        "dispute_rate",
        "1",
        "Share of the invoices that it ever had a claim on of which the debtor disputed a claim "
        "of its.",
        f"{_IN}; disputed",
        maximum=1.0,
    ),
    FeatureDefinition(
        "debtor_concentration",
        "1",
        "Herfindahl-Hirschman index of its incoming face of the 365 days before the cut: the sum "
        "of squared shares of debtors; 1 is one debtor.",
        _IN,
        maximum=1.0,
    ),
    FeatureDefinition(
        "debtor_quality",
        "1",
        "On-time share of its debtors, on all their claims whoever holds them, weighted by its "
        "incoming face of each; debtors of whom nothing has fallen due are left out.",
        f"{_IN}; paid, credited",
        maximum=1.0,
    ),
    FeatureDefinition(
        "tenor_mean",
        "days",
        "Mean time from confirmation to due date of the invoices behind its incoming claims.",
        _IN,
    ),
    FeatureDefinition("tenor_weighted", "days", "`tenor_mean`, weighted by incoming face.", _IN),
    FeatureDefinition(
        "turnover_90",
        "minor units",
        "Face of the invoices confirmed for it in the 90 days before the cut.",
        "invoices",
    ),
    FeatureDefinition(
        "turnover_365",
        "minor units",
        "Face of the invoices confirmed for it in the 365 days before the cut.",
        "invoices",
    ),
    FeatureDefinition(
        "received_365",
        "minor units",
        "Face of the claims that others passed on to it, by split or transfer, in the 365 days "
        "before the cut.",
        "leaves; split, transferred",
    ),
    FeatureDefinition(
        "financings_365",
        "loans a year",
        "Loans that it took on its claims in the 365 days before the cut.",
        "financed",
    ),
    FeatureDefinition(
        "ageing_not_due",
        "1",
        "Share of `outstanding` that was not due before the cut.",
        _OPEN,
        maximum=1.0,
    ),
    FeatureDefinition(
        "ageing_1_30", "1", "Share of `outstanding` that is 1 to 30 days late.", _OPEN, maximum=1.0
    ),
    FeatureDefinition(
        "ageing_31_60",
        "1",
        "Share of `outstanding` that is 31 to 60 days late.",
        _OPEN,
        maximum=1.0,
    ),
    FeatureDefinition(
        "ageing_61_90",
        "1",
        "Share of `outstanding` that is 61 to 90 days late.",
        _OPEN,
        maximum=1.0,
    ),
    FeatureDefinition(
        "ageing_over_90",
        "1",
        "Share of `outstanding` that is more than 90 days late.",
        _OPEN,
        maximum=1.0,
    ),
    FeatureDefinition(
        "tier",
        "steps",
        "Fewest steps from a core debtor (one that owes and to whom no claim ever came) along "
        "confirmed invoices, splits and transfers; 1 is a core debtor's own supplier. Missing "
        "where no way leads from one.",
        _IN,
        minimum=1.0,
    ),
    FeatureDefinition(
        "debtors", "debtors", "Distinct debtors of its incoming claims since ever.", _IN
    ),
    FeatureDefinition(
        "reciprocity",
        "1",
        "Share of its counterparties (debtors of its incoming claims, and those to whom claims on "
        "itself came) with claims both ways.",
        _IN,
        maximum=1.0,
    ),
    FeatureDefinition(
        "days_since_first",
        "days",
        "Days from its first incoming claim to the cut; missing where it had none.",
        _IN,
    ),
)

NAMES: tuple[str, ...] = tuple(definition.name for definition in DEFINITIONS)


def definition_of(name: str) -> FeatureDefinition:
    """Return a feature's definition.

    Raises:
        FeatureError: there is no such feature.
    """
    for definition in DEFINITIONS:
        if definition.name == name:
            return definition
    raise FeatureError(f"'{name}' is no feature of suppliers; choose from {', '.join(NAMES)}")


def markdown_table(definitions: Iterable[FeatureDefinition] = DEFINITIONS) -> str:
    """Return the definitions as a table in Markdown, one feature a row."""
    lines = ["| feature | unit | definition | from |", "| --- | --- | --- | --- |"]
    for each in definitions:
        lines.append(f"| `{each.name}` | {each.unit} | {each.definition} | {each.source} |")
    return "\n".join(lines) + "\n"
