"""Tags of online scoring: both sides derive the same key, and nobody else's tags are alike."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.identity import PartyKey
from federation.scoring.tags import TAG_BYTES, tag_key, tags

BANK, PLATFORM, LESSOR = (PartyKey(bytes([number]) * 32) for number in (1, 2, 3))
NAMES = st.text(min_size=0, max_size=12)


@settings(max_examples=50)
@given(NAMES, NAMES, NAMES)
def test_both_sides_have_the_same_key(session: str, label_party: str, feature_party: str) -> None:
    """Each from its own secret and the other's public key."""
    asking = tag_key(BANK, PLATFORM.public, session, label_party, feature_party)
    answering = tag_key(PLATFORM, BANK.public, session, label_party, feature_party)
    assert asking == answering
    assert len(asking) == 32


@settings(max_examples=50)
@given(st.tuples(NAMES, NAMES, NAMES), st.tuples(NAMES, NAMES, NAMES))
def test_names_never_run_into_each_other(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    """Other names make another key, however their letters are shared out."""
    same = tag_key(BANK, PLATFORM.public, *one) == tag_key(BANK, PLATFORM.public, *other)
    assert same == (one == other)


def test_letters_shared_out_differently_make_another_key() -> None:
    """The very case that lengths before the names are for."""
    assert tag_key(BANK, PLATFORM.public, "s\0a", "b", "c") != tag_key(
        BANK, PLATFORM.public, "s", "a\0b", "c"
    )


def test_each_partner_has_a_key_of_its_own() -> None:
    """Two partners can't compare tags."""
    assert tag_key(BANK, PLATFORM.public, "s", "bank", "x") != tag_key(
        BANK, LESSOR.public, "s", "bank", "x"
    )


def test_the_derivation_is_the_one_documented() -> None:
    """HKDF-SHA256 over X25519, with lengths before purpose and names."""
    parts = (b"veilscore scoring tag 1", b"session", b"bank", b"platform")
    info = b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    shared = BANK.sealing.exchange(PLATFORM.sealing.public_key())
    expected = HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(shared)
    assert tag_key(BANK, PLATFORM.public, "session", "bank", "platform") == expected


@settings(max_examples=50)
@given(st.lists(st.text(max_size=20), unique=True, max_size=20))
def test_tags_are_in_order_and_differ(identifiers: list[str]) -> None:
    """One tag an id, the same whether made alone or together, and no two alike."""
    key = tag_key(BANK, PLATFORM.public, "s", "bank", "platform")
    made = tags(key, identifiers)
    each = [made[at : at + TAG_BYTES] for at in range(0, len(made), TAG_BYTES)]
    assert each == [tags(key, [one]) for one in identifiers]
    assert len(set(each)) == len(identifiers)


def test_tags_of_another_session_differ() -> None:
    """What was learned of one session's tags serves in no other."""
    keys = [tag_key(BANK, PLATFORM.public, run, "bank", "platform") for run in ("s1", "s2")]
    assert tags(keys[0], ["firm 1"]) != tags(keys[1], ["firm 1"])


@pytest.mark.parametrize("identifier", ["\ud800", "ε", "", "a" * 10_000])
def test_any_id_has_a_tag(identifier: str) -> None:
    """Also one that is no UTF-8."""
    assert len(tags(bytes(32), [identifier])) == TAG_BYTES
