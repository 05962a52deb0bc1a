"""Claims that come back to an account that has held them, or to their debtor."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.fraud.alerts import FraudAlert, FraudKind, Severity
from contracts.fraud.facts import Fact
from contracts.fraud.settings import FraudSettings
from contracts.index.movements import MovementKind
from contracts.units import UnixSeconds

_ENDS = (MovementKind.SETTLED, MovementKind.CANCELLED)


class RoundTrips:
    """Who gave each claim away: it must not come back to them, nor to its debtor.

    Money moved for nothing, or a debtor that buys its own debt to have it financed. Parts of a
    split claim and merged ones remember who gave away what they come from. What a pool gives back
    after a loan is no movement between holders and does not count.
    """

    kinds = frozenset({MovementKind.TRANSFERRED, MovementKind.SPLIT, MovementKind.MERGED, *_ENDS})

    def __init__(self, settings: FraudSettings) -> None:
        self._settings = settings
        self._givers: dict[int, set[str]] = {}
        self._parent = 0  # of the last split; its givers are kept until the next one

    def observe(self, fact: Fact) -> Iterator[FraudAlert]:
        """Alerts that a fact gives rise to."""
        leaf, source = fact.leaf, fact.extra
        if leaf is None:
            return
        if fact.kind in _ENDS:
            self._givers.pop(leaf, None)
        elif fact.kind is MovementKind.TRANSFERRED:
            yield from self._given(fact, leaf)
        elif source is None:
            return
        elif fact.kind is MovementKind.SPLIT:
            if source != self._parent:
                self._givers.pop(self._parent, None)
                self._parent = source
            self._inherit(leaf, self._givers.get(source))
            yield from self._given(fact, leaf)
        else:  # merged into `source`
            self._inherit(source, self._givers.pop(leaf, None))

    def _inherit(self, leaf: int, givers: set[str] | None) -> None:
        if givers:
            self._givers.setdefault(leaf, set()).update(givers)

    def _given(self, fact: Fact, leaf: int) -> Iterator[FraudAlert]:
        """`leaf` goes to `counterparty`, or stays with it."""
        if fact.actor is None or fact.counterparty is None:
            return
        group = self._settings.group
        giver, taker = group(fact.actor), group(fact.counterparty)
        if giver == taker:  # the part that it keeps, or between accounts of one firm
            return
        givers = self._givers.setdefault(leaf, set())
        has_had_it = taker in givers
        givers.add(giver)
        is_debtor = fact.debtor is not None and taker == group(fact.debtor)
        if not is_debtor and not has_had_it:
            return
        who = (
            "went to its own debtor" if is_debtor else "came back to a firm that had given it away"
        )
        yield FraudAlert(
            FraudKind.ROUND_TRIP,
            "to its debtor" if is_debtor else "to a former holder",
            Severity.WARNING,
            UnixSeconds(fact.at),
            fact.counterparty,
            fact.subject,
            f"Receivable {leaf} went {who}.",
            (fact.actor,),
        )
