"""The same invoice or document twice: in this registry, or in another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from contracts.fraud.alerts import FraudAlert, FraudKind, Severity
from contracts.fraud.facts import Fact
from contracts.index.movements import MovementKind
from contracts.index.phrases import money
from contracts.units import UnixSeconds

_NO_DOCUMENT = "0x" + 64 * "0"


@dataclass(frozen=True, slots=True)
class _Use:
    """A confirmation of a fingerprint."""

    at: int
    leaf: int | None
    debtor: str
    supplier: str
    amount: int
    token: str
    fingerprint: str


class Duplicates:
    """Fingerprints and documents seen so far.

    A registry refuses a fingerprint that is in use; what it can't see are other registries (of
    another consortium, or the same contract on another chain) and invoices that were cancelled and
    confirmed anew with other terms.

    Args:
        elsewhere: another registry's name, to the fingerprints in use there (lower case). It may
            grow; `learned` must then be told.
    """

    kinds = frozenset({MovementKind.CONFIRMED})

    def __init__(self, elsewhere: Mapping[str, Collection[str]]) -> None:
        self._elsewhere = elsewhere
        self._by_fingerprint: dict[str, _Use] = {}
        self._by_document: dict[str, _Use] = {}

    def observe(self, fact: Fact) -> Iterator[FraudAlert]:
        """Alerts that a fact gives rise to."""
        fingerprint = fact.fingerprint.lower()
        use = _Use(
            fact.at,
            fact.leaf,
            str(fact.debtor),
            str(fact.supplier),
            fact.amount or 0,
            fact.token,
            fingerprint,
        )
        for name, known in self._elsewhere.items():
            if fingerprint in known:
                yield _elsewhere(use, name)
        before = self._by_fingerprint.get(fingerprint)
        if before is not None:
            yield _again(use, before, fact)
        if fact.document_hash != _NO_DOCUMENT:  # else no document was given
            document = self._by_document.setdefault(fact.document_hash, use)
            if document.fingerprint != fingerprint:
                yield _alert(
                    use,
                    FraudKind.SAME_DOCUMENT,
                    "",
                    Severity.CRITICAL,
                    f"Receivable {use.leaf} rests on the very document of receivable "
                    f"{document.leaf}, under another invoice number.",
                    f"receivable {document.leaf}",
                )
        self._by_fingerprint[fingerprint] = use

    def learned(self, name: str, fingerprints: Collection[str]) -> Iterator[FraudAlert]:
        """Alerts on invoices seen before, of which these fingerprints now stand elsewhere too."""
        for fingerprint in sorted(fingerprints):
            use = self._by_fingerprint.get(fingerprint)
            if use is not None:
                yield _elsewhere(use, name)


def _elsewhere(use: _Use, name: str) -> FraudAlert:
    return _alert(
        use,
        FraudKind.FINGERPRINT_ELSEWHERE,
        f"in {name}",
        Severity.CRITICAL,
        f"Receivable {use.leaf} has the fingerprint of an invoice in {name}: the same invoice may "
        "be financed there too.",
    )


def _again(use: _Use, before: _Use, fact: Fact) -> FraudAlert:
    changes = []
    if (before.amount, before.token) != (use.amount, use.token):
        then = money(before.amount, fact.words if before.token == use.token else None)
        changes.append(f"amount ({then} then, {money(use.amount, fact.words)} now)")
    changes += ["debtor"] if before.debtor != use.debtor else []
    changes += ["supplier"] if before.supplier != use.supplier else []
    how = f"with another {' and '.join(changes)}" if changes else "with the same parties and amount"
    return _alert(
        use,
        FraudKind.FINGERPRINT_ELSEWHERE,
        "cancelled before",
        Severity.WARNING if changes else Severity.INFO,
        f"Receivable {use.leaf} is the invoice of receivable {before.leaf}, which was cancelled, "
        f"{how}.",
        f"receivable {before.leaf}",
    )


def _alert(
    use: _Use, kind: FraudKind, rule: str, severity: Severity, sentence: str, *related: str
) -> FraudAlert:
    return FraudAlert(
        kind,
        rule,
        severity,
        UnixSeconds(use.at),
        use.supplier,
        f"receivable {use.leaf}",
        sentence,
        (use.debtor, *related),
    )
