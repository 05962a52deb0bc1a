"""A bank's privacy ledger as the report of a horizontal run shows it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from clients.bank.results import record_name
from clients.vault import Vault
from federation.horizontal.plan import HorizontalPlan
from federation.privacy import CLIENT, Event, PrivacyHistory, Unit
from federation.privacy.events import merged
from federation.privacy.ledger import Expenditure, expenditure_of
from federation.record_chain import Entry
from federation.report.banks_figures import BankLedger, BankLedgerLine
from federation.report.figures import PrivacySpend
from simulations.banks_record import BanksFigures


def ledger_of(figures: BanksFigures, bank: str) -> BankLedger:
    """A bank's ledger about its records, over all runs; a run's equal events are one line.

    Raises:
        InputError: the ledger was changed by hand.
    """
    vault = Vault(figures.config.party(bank).manifest.parent / "vault")
    dataset = record_name(figures.config.manifest_of(bank))
    spent = [
        (entry, expenditure_of(entry, str(vault.ledger_path)))
        for entry in vault.ledger()
        if entry.body.get("dataset") == dataset
    ]
    groups: dict[tuple[str, Unit, Event], list[tuple[Entry, Expenditure]]] = {}
    for pair in spent:
        groups.setdefault((pair[1].run, pair[1].unit, pair[1].event), []).append(pair)
    lines = []
    for (_, unit, _), group in groups.items():
        history = _history(spent, unit, group[-1][0].index)
        lines.append(_line(group, history, _delta(figures.plan, unit)))
    units = dict.fromkeys(one.unit for _, one in spent)
    totals = []
    for unit in units:
        sentence = _history(spent, unit, spent[-1][0].index).sentence(_delta(figures.plan, unit))
        totals.append(re.sub(r"e-0+", "e-", sentence))  # δ as everywhere in the report
    return BankLedger(bank, tuple(lines), tuple(totals))


def _delta(plan: HorizontalPlan, unit: Unit) -> float:
    return plan.client_delta if unit is CLIENT else plan.settings.record_delta


def _history(spent: Sequence[tuple[Entry, Expenditure]], unit: Unit, last: int) -> PrivacyHistory:
    """Everything of one unit up to the entry of this index."""
    events = (one.event for entry, one in spent if one.unit is unit and entry.index <= last)
    return PrivacyHistory(unit, tuple(events))


def _line(
    group: Sequence[tuple[Entry, Expenditure]], history: PrivacyHistory, delta: float
) -> BankLedgerLine:
    """One line for entries of one run, unit and event."""
    entries, spent = [entry for entry, _ in group], [one for _, one in group]
    what = "”, … “".join(dict.fromkeys((spent[0].what, spent[-1].what)))
    made_of = ", ".join(
        event.words(times) for event, times in merged(one.event for one in spent).items()
    )
    epsilon = history.epsilon(delta)
    last = entries[-1].index + 1
    scope = f"all entries of this unit up to line {last}"
    return BankLedgerLine(
        first=entries[0].index + 1,
        last=last,
        entries=len(entries),
        since=datetime.fromisoformat(str(entries[0].body["time"])).astimezone(UTC),
        run=spent[0].run,
        entry=f"{made_of}, entered as “{what}”",
        unit=history.unit.value,
        privacy=None
        if math.isinf(epsilon)
        else PrivacySpend(epsilon, delta, history.unit.value, scope),
    )
