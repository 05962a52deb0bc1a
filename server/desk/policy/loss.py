"""Loss given default: what of an exposure is lost, after collateral, insurance and guarantees.

Collateral covers the exposure in the order of the policy file, each by its value less its haircut;
what is covered loses the collateral's own LGD, the rest the unsecured one (Basel Framework
CRE32.10-12):

    LGD = (Σ covered · LGD of the collateral + uncovered · LGD unsecured) / exposure

The same sum over floors is the least that LGD may be (CRE32.17: 25 % unsecured, 0 % financial
collateral, 10 % receivables and real estate, 15 % other physical). Then insurance and guarantees:
each takes its share of the loss, times how far the policy counts on it, and the policy says what
part of a loss stays with the bank at least.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from server.desk.policy.facts import Facts
from server.desk.policy.rounding import ONE, ZERO


@dataclass(frozen=True)
class CollateralType:
    """What a kind of collateral is worth.

    Attributes:
        haircut: taken off its value.
        loss_given_default: of what it covers.
        floor: the least that LGD may be there.
    """

    name: str
    haircut: Decimal
    loss_given_default: Decimal
    floor: Decimal


@dataclass(frozen=True)
class Pledge:
    """A product's collateral: its kind, and the fact that holds its value."""

    type: CollateralType
    value: str


@dataclass(frozen=True)
class Protection:
    """Credit insurance or a guarantee.

    Attributes:
        name: 'insurance' or 'guarantee'.
        share: the fact with the share of a loss that it bears.
        counted_on: how much of that the policy counts on, such as 0.9.
        risk_weight: of the protector, for the part that it bears.
    """

    name: str
    share: str
    counted_on: Decimal
    risk_weight: Decimal


@dataclass(frozen=True)
class Protected:
    """How far a loan is protected: the share borne by others, and the risk weight of that part."""

    share: Decimal
    weighted: Decimal  # Σ of shares × the protectors' risk weights


@dataclass(frozen=True)
class LossSettings:
    """A product's loss given default.

    Attributes:
        unsecured: LGD where nothing covers.
        floor: the least that it may be there.
        pledges: in the order in which they cover.
        protections: in the order in which they bear losses.
        least_own_share: of a loss that stays with the bank, whatever the protections.
    """

    unsecured: Decimal
    floor: Decimal
    pledges: tuple[Pledge, ...]
    protections: tuple[Protection, ...]
    least_own_share: Decimal

    def after_collateral(self, exposure: Decimal, facts: Facts) -> Decimal:
        """LGD of an exposure above 0, before protection."""
        left, loss, floor = exposure, ZERO, ZERO
        for pledge in self.pledges:
            kind = pledge.type
            covered = min(left, facts.whole(pledge.value) * (ONE - kind.haircut))
            loss += covered * kind.loss_given_default
            floor += covered * kind.floor
            left -= covered
        loss += left * self.unsecured
        floor += left * self.floor
        return max(loss, floor) / exposure

    def protected(self, facts: Facts) -> Protected:
        """What others bear of a loss."""
        own, weighted = ONE, ZERO
        for protection in self.protections:
            borne = own * facts.decimal(protection.share) * protection.counted_on
            weighted += borne * protection.risk_weight
            own -= borne
        share = ONE - own
        most = ONE - self.least_own_share
        if share > most:
            return Protected(most, weighted * most / share)
        return Protected(share, weighted)
