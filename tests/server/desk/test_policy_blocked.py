"""Blocked lists: another spelling of an id takes nobody off them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.identifiers import IdentifierRule, normalise_one
from server.desk.policy.blocked import BlockedList, hash_ids, load_blocked

KEY = bytes(range(32))
SPELLINGS = ["Debtor-9", " Debtor-9 ", "debtor-9", "DEBTOR-9", "\uff24ebtor-9", "Debtor-9\u200b"]


@pytest.fixture(params=["plain", "keyed", "plain, folded"])
def blocked(request: pytest.FixtureRequest, tmp_path: Path) -> BlockedList:
    """A list with one id, as the bank writes it or as it compares it."""
    path = tmp_path / "blocked.txt"
    if request.param == "keyed":
        lines = hash_ids([normalise_one("Debtor-9", IdentifierRule.CASEFOLD)], KEY)
        path.write_text("\n".join(lines))
        return load_blocked(path, KEY)
    path.write_text("debtor-9\n" if "folded" in request.param else "Debtor-9\n")
    return load_blocked(path, None)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_any_spelling_is_blocked(blocked: BlockedList, spelling: str) -> None:
    """A debtor of a fact comes as a caller wrote it, an id as its model's rule leaves it."""
    assert spelling in blocked


@pytest.mark.parametrize("other", ["", "debtor-99", "debtor9", "ebtor-9", "\ud800"])
def test_another_id_is_not(blocked: BlockedList, other: str) -> None:
    """Spelling is all that is looked through."""
    assert other not in blocked


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and text.isprintable()))
def test_what_every_rule_leaves_of_an_id_is_blocked(text: str) -> None:
    """A model compares ids exactly, stripped, or case-folded: all of these are found."""
    entry = text.strip()
    folded = normalise_one(entry, IdentifierRule.CASEFOLD)
    plain = BlockedList(frozenset({entry.encode()}), None, "", frozenset({folded.encode()}))
    keyed = BlockedList(frozenset(map(bytes.fromhex, hash_ids([folded], KEY))), KEY, "")
    for rule in (IdentifierRule.EXACT, IdentifierRule.STRIP, IdentifierRule.CASEFOLD):
        identifier = normalise_one(entry, rule)
        assert identifier in plain
        assert identifier in keyed or not folded
