"""The reviewed TOML file of rate cards. Amounts are strings, so that no float rounds a price.

[[card]]
id = "excavator"
version = 1
since = 2026-01-01T00:00:00Z
currency = "EUR"
fixed = "250.00"
hourly = "38.50"
floor = "400.00"
cap = "7500.00"             # may be left out, like free_days and subtract_idle
free_days = 0
subtract_idle = true
provisional = { most_hours_a_day = "8", hours_without_history = "4" }
tiers = [
  { from_hours = "0", to_hours = "80", multiplier = "1.0" },
  { from_hours = "80", multiplier = "0.9" },
]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

from iot.rent.cards import ProvisionalRule, RateCard, RateCards, Tier
from iot.rent.errors import RateCardInvalid
from iot.units import Millis, RateCardId

MOST_BYTES: Final = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
# Few enough digits that every price is exact in the arithmetic of `pricing`.
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
_CARD_KEYS = frozenset(RateCard.__dataclass_fields__)


def read_rate_cards(path: Path) -> RateCards:
    """Read the file.

    Raises:
        RateCardInvalid: names the file, the card and the key, and says what would be right.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RateCardInvalid(f"{path}: can't be read ({error.strerror}).") from None
    if len(content) > MOST_BYTES:
        raise RateCardInvalid(f"{path}: is larger than {MOST_BYTES} bytes; rate cards are short.")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise RateCardInvalid(f"{path}: is no UTF-8 text.") from None
    return parse_rate_cards(text, str(path))


def parse_rate_cards(text: str, place: str) -> RateCards:
    """Read a file's text; `place` is what errors call the file.

    Raises:
        RateCardInvalid: as in `read_rate_cards`.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise RateCardInvalid(f"{place}: is no TOML ({error}).") from None
    cards = _Table(document, place, frozenset({"card"})).tables("card")
    if not cards:
        raise RateCardInvalid(f"{place}: holds no [[card]]; a price list needs one.")
    found: dict[RateCardId, dict[int, RateCard]] = {}
    for number, content in enumerate(cards, 1):
        card = _card(_Table(content, f"{place}, card[{number}]", _CARD_KEYS))
        versions = found.setdefault(card.id, {})
        if card.version in versions:
            raise RateCardInvalid(
                f"{place}, card[{number}], version: card '{card.id}' has a version "
                f"{card.version} already."
            )
        versions[card.version] = card
    try:
        return RateCards(
            {name: tuple(v[number] for number in sorted(v)) for name, v in found.items()}
        )
    except RateCardInvalid as error:
        raise RateCardInvalid(f"{place}: {error}") from None


def _card(table: _Table) -> RateCard:
    tiers = tuple(
        Tier(
            band.decimal("from_hours"), band.decimal_or_none("to_hours"), band.decimal("multiplier")
        )
        for band in (
            _Table(content, f"{table.place}, tiers[{number}]", _TIER_KEYS)
            for number, content in enumerate(table.tables("tiers"), 1)
        )
    )
    rule = _Table(table.table("provisional"), f"{table.place}, provisional", _RULE_KEYS)
    fields: dict[str, Any] = {
        "id": RateCardId(table.name("id")),
        "version": table.whole("version"),
        "since": table.moment("since"),
        "currency": table.text("currency"),
        "fixed": table.decimal("fixed"),
        "hourly": table.decimal("hourly"),
        "floor": table.decimal("floor"),
        "cap": table.decimal_or_none("cap"),
        "tiers": tiers,
        "provisional": ProvisionalRule(
            rule.decimal("most_hours_a_day"), rule.decimal("hours_without_history")
        ),
        "free_days": table.whole("free_days", default=0),
        "subtract_idle": table.truth("subtract_idle", default=True),
    }
    try:
        return RateCard(**fields)
    except RateCardInvalid as error:
        raise RateCardInvalid(f"{table.place}: {error}") from None


_TIER_KEYS = frozenset({"from_hours", "to_hours", "multiplier"})
_RULE_KEYS = frozenset({"most_hours_a_day", "hours_without_history"})


class _Table:
    """One TOML table whose every key is known."""

    def __init__(self, content: Mapping[str, Any], place: str, known: frozenset[str]) -> None:
        self._content, self.place = content, place
        for key in content:
            if key not in known:
                raise RateCardInvalid(
                    f"{place}, {key!r}: is not known; the keys are {', '.join(sorted(known))}."
                )

    def decimal(self, key: str) -> Decimal:
        value = self._get(key)
        if not isinstance(value, str):
            self._refuse(key, f'must be a decimal in quotes, such as "38.50", not {_kind(value)}')
        if not _DECIMAL.fullmatch(value):
            self._refuse(
                key,
                f"{value[:40]!r} is no plain decimal: write up to 12 digits and 6 decimals, "
                "without sign or exponent",
            )
        return Decimal(value)

    def decimal_or_none(self, key: str) -> Decimal | None:
        return self.decimal(key) if key in self._content else None

    def whole(self, key: str, default: int | None = None) -> int:
        value = self._get(key, default)
        if type(value) is not int or not 0 <= value <= 1_000_000:
            self._refuse(key, "must be a whole number from 0 up")
        return int(value)

    def truth(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            self._refuse(key, "must be true or false")
        return bool(value)

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            self._refuse(key, f"must be text in quotes, not {_kind(value)}")
        return str(value)

    def name(self, key: str) -> str:
        value = self.text(key)
        if not _NAME.fullmatch(value):
            self._refuse(key, "must be 1 to 64 letters, digits, '.', '_' and '-'")
        return value

    def moment(self, key: str) -> Millis:
        value = self._get(key)
        if not isinstance(value, datetime) or value.tzinfo is None:
            self._refuse(key, "must be a moment with its offset, such as 2026-01-01T00:00:00Z")
        return Millis(int(value.timestamp() * 1_000))

    def table(self, key: str) -> Mapping[str, Any]:
        value = self._get(key)
        if not isinstance(value, dict):
            self._refuse(key, "must be a table")
        return dict(value)

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        value = self._get(key)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self._refuse(key, "must be a list of tables")
        return list(value)

    def _get(self, key: str, default: object = None) -> Any:
        value = self._content.get(key, default)
        if value is None:
            self._refuse(key, "is missing")
        return value

    def _refuse(self, key: str, why: str) -> NoReturn:
        raise RateCardInvalid(f"{self.place}, {key}: {why}.")


def _kind(value: object) -> str:
    return f"the {type(value).__name__} {value!r}"[:60]
