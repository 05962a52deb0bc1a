"""Rate cards: what an hour of work costs, in falling tiers, between a floor and a cap."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, NoReturn

from federation.record_chain import canonical_json
from iot.rent.errors import RateCardInvalid, RentRefused
from iot.rent.money import MINOR_DIGITS
from iot.units import Millis, RateCardId


@dataclass(frozen=True)
class Tier:
    """A band of a month's hours.

    Attributes:
        from_hours, to_hours: from `from_hours` on, up to `to_hours`; None: without end.
        multiplier: of the hourly price for the hours inside the band.
    """

    from_hours: Decimal
    to_hours: Decimal | None
    multiplier: Decimal


@dataclass(frozen=True)
class ProvisionalRule:
    """What a day without data is billed with until its data comes.

    Attributes:
        most_hours_a_day: an estimate, with what was measured of the day, is no more than this.
        hours_without_history: hours of a day where the lease has no known day yet.
    """

    most_hours_a_day: Decimal
    hours_without_history: Decimal


@dataclass(frozen=True)
class RateCard:
    """One version of a usage-based price list.

    Attributes:
        version: counts from 1; what was billed once is never edited, a new version is added.
        since: months that begin at or after this moment are priced by this version.
        currency: of ISO 4217.
        fixed, hourly, floor, cap: in whole units of the currency; cap None: no cap. The fixed part
            is due for every month that the lease touches, in full.
        tiers: from 0 hours on without gap or overlap; multipliers are positive and never rise.
        free_days: hours of the lease's first days are not charged.
        subtract_idle: hours are operating less idle hours; False for machines without an idle
            counter: all operating hours are charged.

    Raises:
        RateCardInvalid: a value breaks one of these rules; the key is named.
    """

    id: RateCardId
    version: int
    since: Millis
    currency: str
    fixed: Decimal
    hourly: Decimal
    floor: Decimal
    cap: Decimal | None
    tiers: tuple[Tier, ...]
    provisional: ProvisionalRule
    free_days: int = 0
    subtract_idle: bool = True

    def __post_init__(self) -> None:
        if self.currency not in MINOR_DIGITS:
            self._refuse("currency", f"{self.currency!r} is not known; write a code such as 'EUR'")
        for key in ("fixed", "floor", "cap"):
            self._check_amount(key, getattr(self, key))
        _check_finite(self, "hourly", self.hourly)
        if self.hourly <= 0:
            self._refuse("hourly", "must be above 0")
        if self.cap is not None and self.cap < self.floor:
            self._refuse("cap", f"{self.cap} is below the floor {self.floor}")
        if self.version < 1:
            self._refuse("version", "counts from 1")
        if self.free_days < 0:
            self._refuse("free_days", "must be 0 or more")
        self._check_tiers()
        rule = self.provisional
        for key, hours in (
            ("most_hours_a_day", rule.most_hours_a_day),
            ("hours_without_history", rule.hours_without_history),
        ):
            _check_finite(self, f"provisional.{key}", hours)
            if not 0 <= hours <= 24 or _decimals(hours) > 3:
                self._refuse(f"provisional.{key}", "must be 0 to 24 hours, in thousandths at most")

    def _check_amount(self, key: str, amount: Decimal | None) -> None:
        if amount is None:
            return
        _check_finite(self, key, amount)
        if amount < 0:
            self._refuse(key, "must be 0 or more")
        if _decimals(amount) > MINOR_DIGITS[self.currency]:
            self._refuse(key, f"{amount} has more decimals than {self.currency} has minor digits")

    def _check_tiers(self) -> None:
        if not self.tiers:
            self._refuse("tiers", "is empty; one tier from 0 hours is the least")
        reached: Decimal | None = Decimal(0)
        previous: Decimal | None = None
        for number, tier in enumerate(self.tiers, 1):
            key = f"tiers[{number}]"
            for part in (tier.from_hours, tier.to_hours, tier.multiplier):
                if part is not None:
                    _check_finite(self, key, part)
            if reached is None or tier.from_hours < reached:
                self._refuse(
                    f"{key}.from_hours",
                    f"{tier.from_hours} overlaps the tier before, which ends "
                    + ("nowhere" if reached is None else f"at {reached}"),
                )
            if tier.from_hours > reached:
                self._refuse(
                    f"{key}.from_hours",
                    f"{tier.from_hours} leaves a gap: hours from {reached} have no price",
                )
            if tier.to_hours is not None and tier.to_hours <= tier.from_hours:
                self._refuse(f"{key}.to_hours", f"{tier.to_hours} must be above its from_hours")
            if tier.multiplier <= 0:
                self._refuse(f"{key}.multiplier", f"{tier.multiplier} must be above 0")
            if previous is not None and tier.multiplier > previous:
                self._refuse(
                    f"{key}.multiplier",
                    f"{tier.multiplier} is above the {previous} of the tier before; "
                    "an hour must not cost more where more are worked",
                )
            reached, previous = tier.to_hours, tier.multiplier
        if reached is not None:
            self._refuse(
                f"tiers[{len(self.tiers)}].to_hours",
                f"leaves a gap: hours from {reached} have no price; the last tier has no to_hours",
            )

    def _refuse(self, key: str, why: str) -> NoReturn:
        raise RateCardInvalid(f"Rate card '{self.id}' version {self.version}, {key}: {why}.")

    @property
    def minor_digits(self) -> int:
        """How many decimals the currency has."""
        return MINOR_DIGITS[self.currency]

    @property
    def digest(self) -> str:
        """SHA-256 of its terms; equal prices written with other zeros give the same."""
        return hashlib.sha256(canonical_json(self._terms()).encode()).hexdigest()

    def _terms(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "version": self.version,
            "since": self.since,
            "currency": self.currency,
            "fixed": _plain(self.fixed),
            "hourly": _plain(self.hourly),
            "floor": _plain(self.floor),
            "cap": None if self.cap is None else _plain(self.cap),
            "tiers": [
                [
                    _plain(tier.from_hours),
                    None if tier.to_hours is None else _plain(tier.to_hours),
                    _plain(tier.multiplier),
                ]
                for tier in self.tiers
            ],
            "provisional": [
                _plain(self.provisional.most_hours_a_day),
                _plain(self.provisional.hours_without_history),
            ],
            "free_days": self.free_days,
            "subtract_idle": self.subtract_idle,
        }


@dataclass(frozen=True)
class RateCards:
    """Every version of every rate card.

    Attributes:
        versions: by name, in order of version; `since` rises with it.
    """

    versions: Mapping[RateCardId, tuple[RateCard, ...]]

    def __post_init__(self) -> None:
        for card, versions in self.versions.items():
            for earlier, later in pairwise(versions):
                if later.version <= earlier.version or later.since <= earlier.since:
                    raise RateCardInvalid(
                        f"Rate card '{card}' version {later.version}, since: must be later than "
                        f"that of version {earlier.version}, and the version a new one."
                    )

    def at(self, card: RateCardId, moment: Millis) -> RateCard:
        """The version in force at a moment.

        Raises:
            RentRefused: there is none.
        """
        for version in reversed(self._of(card)):
            if version.since <= moment:
                return version
        raise RentRefused(f"Rate card '{card}' has no version in force at that time; add one.")

    def version(self, card: RateCardId, number: int) -> RateCard:
        """One version by its number.

        Raises:
            RentRefused: there is none.
        """
        for version in self._of(card):
            if version.version == number:
                return version
        raise RentRefused(f"Rate card '{card}' has no version {number}.")

    def _of(self, card: RateCardId) -> tuple[RateCard, ...]:
        if card not in self.versions:
            raise RentRefused(f"Rate card '{card}' is not listed in the file of rate cards.")
        return self.versions[card]


def _check_finite(card: RateCard, key: str, value: Decimal) -> None:
    if not value.is_finite():
        raise RateCardInvalid(
            f"Rate card '{card.id}' version {card.version}, {key}: {value} is no number."
        )


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
