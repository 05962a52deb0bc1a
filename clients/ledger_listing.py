"""The privacy ledger for a person, or for a program."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from clients.vault import Vault
from federation.privacy.events import Unit
from federation.privacy.history import PrivacyHistory
from federation.privacy.ledger import Expenditure, expenditure_of
from federation.record_chain import Entry


def ledger_listing(vault: Vault, as_json: bool) -> Iterator[str]:
    """The lines to print: every entry, then ε of the whole history per unit and data set.

    ε is given at the smallest δ that any entry of that history names.

    Raises:
        InputError: the ledger was changed by hand, or is a later version's.
    """
    entries = vault.ledger()
    if not entries and not as_json:
        yield "The ledger is empty: nothing private was ever released."
    spent = [expenditure_of(entry, str(vault.ledger_path)) for entry in entries]
    for entry, one in zip(entries, spent, strict=True):
        if as_json:
            yield json.dumps(dict(entry.body), ensure_ascii=False)
        else:
            yield (
                f"{entry.body['time']}  {one.run}  per {one.unit}: {one.event.words(1)}: {one.what}"
            )
    for (unit, dataset), (history, delta) in _histories(entries, spent).items():
        if as_json:
            yield json.dumps(_total(unit, dataset, history, delta), ensure_ascii=False)
        else:
            yield f"All of {dataset}: {history.sentence(delta)}."


def _histories(
    entries: list[Entry], spent: list[Expenditure]
) -> dict[tuple[Unit, str], tuple[PrivacyHistory, float]]:
    histories: dict[tuple[Unit, str], tuple[PrivacyHistory, float]] = {}
    for entry, one in zip(entries, spent, strict=True):
        key, delta = (one.unit, str(entry.body["dataset"])), float(entry.body["delta"])
        history, smallest = histories.get(key, (PrivacyHistory(one.unit), delta))
        histories[key] = (history.after(one.event), min(smallest, delta))
    return histories


def _total(unit: Unit, dataset: str, history: PrivacyHistory, delta: float) -> dict[str, Any]:
    epsilon = history.epsilon(delta)
    return {
        "kind": "privacy-total",
        "unit": unit.value,
        "dataset": dataset,
        "events": len(history.events),
        "delta": delta,
        "epsilon": None if math.isinf(epsilon) else epsilon,
    }
