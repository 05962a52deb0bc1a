"""The whole history of one unit of privacy: its ε, its words, and the budget's hard stop."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from federation.errors import InputError
from federation.privacy.accountants import RdpAccountant, accountant_named
from federation.privacy.events import Event, Exact, Unit, merged

_ROUNDING = 1 + 1e-9


def shown(epsilon: float) -> str:
    """ε with two decimals, rounded up: a bound must not shrink on its way to a reader."""
    return f"{math.ceil(epsilon * 100 - 1e-6) / 100:.2f}"


@dataclass(frozen=True)
class PrivacyHistory:
    """Everything that was ever released about one data set, for one unit of privacy.

    Attributes:
        unit: whom the guarantee protects.
        events: in order; equal ones are merged whenever ε is computed.
    """

    unit: Unit
    events: tuple[Event, ...] = ()

    def after(self, *events: Event) -> PrivacyHistory:
        """The history with more events."""
        return PrivacyHistory(self.unit, (*self.events, *events))

    def epsilon(self, delta: float, accountant: str = "best") -> float:
        """ε of the whole history at δ; infinite once anything exact was released.

        Raises:
            InputError: there is no such accountant.
            UnsupportedHistory: it has no bound for this history.
        """
        return accountant_named(accountant).epsilon(self.events, delta)

    def sentence(self, delta: float, accountant: str = "best") -> str:
        """The history's ε in words, with its unit and what it is made of."""
        if not self.events:
            return f"nothing about {self.unit} was ever released"
        parts = sorted(merged(self.events).items(), key=lambda part: isinstance(part[0], Exact))
        made_of = ", ".join(event.words(times) for event, times in parts)
        epsilon = self.epsilon(delta, accountant)
        if math.isinf(epsilon):
            return f"no ε bounds what was given away about {self.unit} by {made_of}"
        return f"ε = {shown(epsilon)} at δ = {delta:g} per {self.unit}, for {made_of}"

    def check_budget(
        self, event: Event, budget: float | None, delta: float, accountant: str = "best"
    ) -> None:
        """Refuse one more event that would take the history over the budget; see check_run."""
        check_run(self, (event,), budget, delta, accountant)


def check_run(
    history: PrivacyHistory,
    planned: Iterable[Event],
    budget: float | None,
    delta: float,
    accountant: str = "best",
) -> None:
    """Refuse a run before it starts, if all of its events together would pass the budget.

    Args:
        history: what is spent already.
        planned: every event of the run.
        budget: ε; None sets no limit.
        delta: at which the budget is meant.
        accountant: by which it is judged.

    Raises:
        InputError: says what is spent, what was asked, the budget, δ and the unit.
    """
    if budget is None:
        return
    after = history.after(*planned)
    # The quick bound first: where it fits, the tighter one is not needed.
    if accountant == "best" and RdpAccountant().epsilon(after.events, delta) <= budget * _ROUNDING:
        return
    would_be = after.epsilon(delta, accountant)
    if would_be <= budget * _ROUNDING:
        return
    spent = history.epsilon(delta, accountant)
    key = "client_epsilon_budget" if history.unit is Unit.CLIENT else "epsilon_budget"
    limit = f"privacy.{key} is {budget:g} (δ = {delta:g}, per {history.unit})"
    if math.isinf(spent):
        raise InputError(
            f"{limit}, but something exact was released before, which no ε bounds: no budget can "
            "be kept any more; see `veilscore ledger`"
        )
    asked = "exact (no ε)" if math.isinf(would_be) else f"ε = {shown(would_be)} in all"
    raise InputError(
        f"{limit}: ε = {shown(spent)} is spent, and this run would make it {asked}; ask for a "
        "smaller ε, or have the budget's owner raise it"
    )
