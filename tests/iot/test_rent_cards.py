"""Rate cards: the file is read as it says, and every mistake is refused by its place and key."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.rent import card_file
from iot.rent.card_file import parse_rate_cards, read_rate_cards
from iot.rent.errors import RateCardInvalid, RentRefused
from iot.units import RateCardId
from tests.iot.leased_machine import card, moment

TIERS = """
tiers = [
  { from_hours = "0", to_hours = "80", multiplier = "1.0" },
  { from_hours = "80", to_hours = "160", multiplier = "0.9" },
  { from_hours = "160", to_hours = "240", multiplier = "0.8" },
  { from_hours = "240", multiplier = "0.7" },
]"""
FILE = (
    """
[[card]]
id = "digger"
version = 1
since = 2026-01-01T00:00:00Z
currency = "EUR"
fixed = "250"
hourly = "38.50"
floor = "400"
cap = "7500"
provisional = { most_hours_a_day = "8", hours_without_history = "4" }
"""
    + TIERS
)
DIGGER = RateCardId("digger")


def changed(old: str, new: str) -> str:
    assert old in FILE
    return FILE.replace(old, new, 1)


def test_a_file_is_read_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "cards.toml"
    path.write_text(FILE)
    cards = read_rate_cards(path)
    assert cards.versions == {DIGGER: (card(),)}
    assert cards.version(DIGGER, 1).minor_digits == 2


def test_the_example_in_the_docstring_is_a_valid_file() -> None:
    text = str(card_file.__doc__)
    cards = parse_rate_cards(text[text.index("[[card]]") :], "example")
    assert list(cards.versions) == ["excavator"]


def test_the_version_in_force_follows_the_date() -> None:
    second = changed("version = 1", "version = 2").replace("2026-01-01", "2026-07-01")
    cards = parse_rate_cards(second + FILE, "cards.toml")
    assert cards.at(DIGGER, moment(2026, 6, 30)).version == 1
    assert cards.at(DIGGER, moment(2026, 7, 1)).version == 2
    with pytest.raises(RentRefused, match="no version in force"):
        cards.at(DIGGER, moment(2025, 12, 31))
    with pytest.raises(RentRefused, match="no version 3"):
        cards.version(DIGGER, 3)
    with pytest.raises(RentRefused, match="'crane' is not listed"):
        cards.at(RateCardId("crane"), moment(2026, 7, 1))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('from_hours = "80"', 'from_hours = "81"', r"tiers\[2\].from_hours: 81 leaves a gap"),
        ('from_hours = "80"', 'from_hours = "79"', r"tiers\[2\].from_hours: 79 overlaps"),
        ('from_hours = "0"', 'from_hours = "1"', r"tiers\[1\].from_hours: 1 leaves a gap"),
        ('to_hours = "80", ', "", r"tiers\[2\].from_hours: 80 overlaps .* nowhere"),
        ('{ from_hours = "240", ', '{ from_hours = "240", to_hours = "300", ', "from 300 have no"),
        ('to_hours = "160"', 'to_hours = "80"', r"tiers\[2\].to_hours: 80 must be above"),
        ('"0.8"', '"0"', r"tiers\[3\].multiplier: 0 must be above 0"),
        ('"0.8"', '"-0.8"', r"tiers\[3\], multiplier: '-0.8' is no plain decimal"),
        ('"0.8"', '"0.95"', r"tiers\[3\].multiplier: 0.95 is above the 0.9"),
        ('"7500"', '"399.99"', "cap: 399.99 is below the floor 400"),
        ('"EUR"', '"EURO"', "currency: 'EURO' is not known"),
        ('"EUR"', "978", "currency: must be text in quotes"),
        ('"38.50"', "38.50", "hourly: must be a decimal in quotes.*float"),
        ('"38.50"', "nan", "hourly: must be a decimal in quotes"),
        ('"38.50"', '"NaN"', "hourly: 'NaN' is no plain decimal"),
        ('"38.50"', '"1e3"', "hourly: '1e3' is no plain decimal"),
        ('"38.50"', '"٣٨"', "hourly: '٣٨' is no plain decimal"),
        ('"38.50"', '"0"', "hourly: must be above 0"),
        ('"250"', "250", "fixed: must be a decimal in quotes"),
        ('"250"', '"250.001"', "fixed: 250.001 has more decimals than EUR"),
        ('"EUR"', '"JPY"\nfree_days = true', "free_days: must be a whole number"),
        ('fixed = "250"', "", "fixed: is missing"),
        ("version = 1", "version = 0", "version: counts from 1"),
        ("2026-01-01T00:00:00Z", "2026-01-01", "since: must be a moment with its offset"),
        ('id = "digger"', 'id = "a b"', "id: must be 1 to 64 letters"),
        ('cap = "7500"', 'kap = "7500"', "'kap': is not known"),
        ('"8"', '"25"', "provisional.most_hours_a_day: must be 0 to 24"),
        ("tiers = [", "tiers = [1,", "tiers: must be a list of tables"),
        (TIERS, "\ntiers = []", "tiers: is empty"),
        ("[[card]]", "[[card]", "is no TOML"),
        ("[[card]]", "[card]", "card: must be a list of tables"),
    ],
)
def test_a_mistake_is_refused_by_file_and_key(old: str, new: str, words: str) -> None:
    with pytest.raises(RateCardInvalid, match=words) as refusal:
        parse_rate_cards(changed(old, new), "cards.toml")
    assert str(refusal.value).startswith("cards.toml")


def test_a_version_stands_once_and_since_rises_with_it() -> None:
    with pytest.raises(RateCardInvalid, match=r"card\[2\], version: .* has a version 1 already"):
        parse_rate_cards(FILE + FILE, "cards.toml")
    with pytest.raises(RateCardInvalid, match="version 2, since: must be later"):
        parse_rate_cards(FILE + changed("version = 1", "version = 2"), "cards.toml")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RateCardInvalid, match="can't be read"):
        read_rate_cards(tmp_path / "missing.toml")
    (tmp_path / "latin").write_bytes(b"\xe9")
    with pytest.raises(RateCardInvalid, match="no UTF-8"):
        read_rate_cards(tmp_path / "latin")
    (tmp_path / "large").write_bytes(b"#" * 1_000_001)
    with pytest.raises(RateCardInvalid, match="is larger"):
        read_rate_cards(tmp_path / "large")
    with pytest.raises(RateCardInvalid, match=r"holds no \[\[card\]\]|is missing"):
        parse_rate_cards("", "cards.toml")


def test_a_number_that_is_none_is_refused_in_code_too() -> None:
    for text in ("NaN", "Infinity"):
        with pytest.raises(RateCardInvalid, match="hourly: .* is no number"):
            card(hourly=text)


def test_the_digest_is_of_the_terms() -> None:
    assert card(hourly="38.5").digest == card(hourly="38.50").digest
    assert card(hourly="38.51").digest != card().digest
    assert card().hourly == Decimal("38.50")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_no_text_crashes_the_reader(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(FILE)))
    end = data.draw(st.integers(at, min(len(FILE), at + 30)))
    text = FILE[:at] + data.draw(st.text(max_size=12)) + FILE[end:]
    said = "cards.toml"
    try:
        parse_rate_cards(text, "cards.toml")
    except RateCardInvalid as refusal:
        said = str(refusal)
    assert said.startswith("cards.toml")
