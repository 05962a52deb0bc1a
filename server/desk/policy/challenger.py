"""Champion and challenger policies: each borrower belongs to one, by a keyed hash of the id.

Both decide on every application and both decisions are kept; only one counts. The same borrower
always meets the same policy, and nobody without the key can tell which.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Self

from federation.errors import InputError
from server.desk.policy.blocked import load_key
from server.desk.policy.decision import Application, LendingDecision
from server.desk.policy.lending_policy import LendingPolicy

_PURPOSE = b"veilscore policy"
_WHOLE = 1 << 64


class Role(StrEnum):
    """Which of two policies decides."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"


@dataclass(frozen=True)
class PairedDecision:
    """What counts, and what the other policy would have said.

    Attributes:
        decision: that counts.
        role: of the policy that made it.
        other: of the other policy; None where there is none, or it is not in force.
    """

    decision: LendingDecision
    role: Role
    other: LendingDecision | None


@dataclass(frozen=True)
class PolicyPair:
    """A policy and its challenger, if it has one.

    Attributes:
        champion: decides on most.
        challenger: None: the champion decides on all.
        below: borrowers whose hash is below it are the challenger's, of 2^64.
        key: of the hash.
    """

    champion: LendingPolicy
    challenger: LendingPolicy | None = None
    below: int = 0
    key: bytes = field(default=b"", repr=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a policy file, and the challenger that it names.

        Raises:
            InputError: one of them does not serve, or they do not take the same facts.
        """
        champion = LendingPolicy.load(path)
        settings = champion.challenger
        if settings is None:
            return cls(champion)
        challenger = LendingPolicy.load(settings.file)
        if challenger.challenger is not None:
            raise InputError(f"{settings.file}: a challenger must not have a [challenger] itself")
        if challenger.currency != champion.currency:
            raise InputError(f"{settings.file}: a challenger must have its champion's currency")
        _same_facts(champion, challenger, settings.file)
        return cls(champion, challenger, int(settings.share * _WHOLE), load_key(settings.key_file))

    def role_of(self, borrower: str) -> Role:
        """Which policy decides on a borrower (normalised id)."""
        if self.challenger is None:
            return Role.CHAMPION
        digest = hashlib.blake2b(
            borrower.encode("utf-8", "surrogatepass"), key=self.key, digest_size=8, person=_PURPOSE
        ).digest()
        return Role.CHALLENGER if int.from_bytes(digest) < self.below else Role.CHAMPION

    def decide(self, application: Application, today: date) -> PairedDecision:
        """Decide by both policies.

        A challenger that is not in force on the day leaves all to the champion.

        Raises:
            FieldErrors, InputError: as `LendingPolicy.decide` of the champion.
        """
        first = self.champion.decide(application, today)
        if self.challenger is None or not self.challenger.in_force(today):
            return PairedDecision(first, Role.CHAMPION, None)
        second = self.challenger.decide(application, today)
        if self.role_of(application.borrower) is Role.CHALLENGER:
            return PairedDecision(second, Role.CHALLENGER, first)
        return PairedDecision(first, Role.CHAMPION, second)


def _same_facts(champion: LendingPolicy, challenger: LendingPolicy, file: Path) -> None:
    for name, product in champion.products.items():
        other = challenger.products.get(name)
        if other is None:
            raise InputError(
                f"{file}: a challenger must have its champion's products; '{name}' is missing"
            )
        ours = {(fact.name, fact.type, fact.unit) for fact in product.facts.values()}
        theirs = {
            (fact.name, fact.type, fact.unit) for fact in other.facts.values() if fact.required
        }
        all_theirs = {(fact.name, fact.type, fact.unit) for fact in other.facts.values()}
        needed = {
            (fact.name, fact.type, fact.unit) for fact in product.facts.values() if fact.required
        }
        if ours != all_theirs or not theirs <= needed:
            differing = sorted({name for name, _, _ in (ours ^ all_theirs) | (theirs - needed)})
            raise InputError(
                f"{file}: product '{name}' must declare the facts that its champion declares, and "
                f"require no others; these differ: {', '.join(differing)}"
            )
