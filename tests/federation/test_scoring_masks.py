"""Masks of answers cancel exactly where all parties answer the same question, and nowhere else."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.identity import PartyKey
from federation.scoring.masks import BLOCK_BYTES, AnswerMasks, borrower_blocks
from federation.scoring.tags import agreed_key

NAMES = ("core", "lessor", "platform", "telecom")
KEYS = {name: PartyKey(bytes([number]) * 32) for number, name in enumerate(NAMES, start=1)}
PINS = {name: key.public for name, key in KEYS.items()}
MASKS = {name: AnswerMasks(name, key, PINS, "session") for name, key in KEYS.items()}
NONCE = bytes(range(16))
IDS = [f"firm {number}" for number in range(50)]
BLOCKS = borrower_blocks("session", IDS)
SETS = [some for size in range(2, 5) for some in combinations(NAMES, size)]


@settings(max_examples=60)
@given(
    st.sampled_from(SETS),
    st.text(max_size=20),
    st.binary(min_size=16, max_size=16),
    st.lists(st.text(max_size=12), min_size=1, max_size=30),
)
def test_masks_cancel_among_the_named_parties(
    parties: tuple[str, ...], variant: str, nonce: bytes, identifiers: list[str]
) -> None:
    """Exactly, whatever the variant, nonce and borrowers."""
    blocks = borrower_blocks("session", identifiers)
    masks = [MASKS[one].mask(parties, variant, nonce, blocks) for one in parties]
    assert not np.add.reduce(masks, dtype=np.uint32).any()


@pytest.mark.parametrize("parties", SETS)
def test_masks_of_some_of_the_parties_do_not_cancel(parties: tuple[str, ...]) -> None:
    """A sum without one of the named parties stays masked at every borrower."""
    for silent in parties:
        rest = [
            MASKS[one].mask(parties, "exact", NONCE, BLOCKS) for one in parties if one != silent
        ]
        assert np.add.reduce(rest, dtype=np.uint32).all()


def test_a_party_alone_adds_nothing() -> None:
    """There is nobody to hide among."""
    assert not MASKS["core"].mask(["core"], "exact", NONCE, BLOCKS).any()


@pytest.mark.parametrize(
    ("variant", "nonce", "parties"),
    [
        ("exact", bytes(16), ("core", "lessor")),
        ("other", NONCE, ("core", "lessor")),
        ("exact", NONCE, ("core", "lessor", "platform")),
    ],
)
def test_another_question_has_other_masks(
    variant: str, nonce: bytes, parties: tuple[str, ...]
) -> None:
    """Two parties that were asked differently leave every borrower masked."""
    one = MASKS["core"].mask(("core", "lessor"), "exact", NONCE, BLOCKS)
    other = MASKS["lessor"].mask(parties, variant, nonce, BLOCKS)
    assert (one + other).all()


def test_letters_shared_out_differently_have_other_masks() -> None:
    """Variant and names can't run into each other."""
    keys = {name: PartyKey(bytes([9, number] * 16)) for number, name in enumerate(("a", "ab"))}
    pins = {name: key.public for name, key in keys.items()}
    masks = AnswerMasks("a", keys["a"], pins, "s")
    one = masks.mask(("a", "ab"), "x", NONCE, BLOCKS)
    other = masks.mask(("a", "ab"), "xa", NONCE, BLOCKS)
    assert (one != other).all()


def test_another_session_has_other_masks() -> None:
    """Models of the same parties keep apart."""
    other = AnswerMasks("lessor", KEYS["lessor"], PINS, "another session")
    mixed = MASKS["core"].mask(("core", "lessor"), "exact", NONCE, BLOCKS)
    assert (mixed + other.mask(("core", "lessor"), "exact", NONCE, BLOCKS)).all()
    assert borrower_blocks("a", ["b"]) != borrower_blocks("ab", [""])


def test_who_asks_about_different_borrowers_reads_nothing() -> None:
    """Asked about one borrower here and another there, the sum of masks is not zero anywhere."""
    parties = ("core", "lessor")
    here = MASKS["core"].mask(parties, "exact", NONCE, BLOCKS)
    there = MASKS["lessor"].mask(parties, "exact", NONCE, borrower_blocks("session", IDS[1:]))
    assert (here[:-1] + there).all()


def test_a_borrowers_mask_does_not_depend_on_its_place() -> None:
    """Both parties may hold their rows in any order; the request's order is the answer's."""
    parties = ("core", "lessor")
    forwards = MASKS["core"].mask(parties, "exact", NONCE, BLOCKS)
    backwards = MASKS["core"].mask(parties, "exact", NONCE, borrower_blocks("session", IDS[::-1]))
    assert (forwards == backwards[::-1]).all()
    assert np.unique(forwards).size == len(IDS)


def test_masks_look_uniform() -> None:
    """Every bit is set half of the time: 20,000 masks, within five standard deviations."""
    blocks = borrower_blocks("session", map(str, range(20_000)))
    mask = MASKS["core"].mask(("core", "lessor"), "exact", NONCE, blocks)
    set_bits = [int(((mask >> np.uint32(bit)) & 1).sum()) for bit in range(32)]
    assert all(abs(count - 10_000) < 5 * (20_000 / 4) ** 0.5 for count in set_bits)


def test_the_stream_is_the_one_documented() -> None:
    """AES-256 at the borrower's block, four bytes of it; the lower name adds."""
    purpose = b"veilscore scoring mask 1"
    pair = agreed_key(KEYS["lessor"], PINS["core"], purpose, b"session", b"core", b"lessor")
    parts = (b"exact", b"core", b"lessor")
    context = b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    of_variant = hashlib.blake2b(context, key=pair, digest_size=32).digest()
    of_nonce = len(NONCE).to_bytes(4, "little") + NONCE
    key = hashlib.blake2b(of_nonce, key=of_variant, digest_size=32).digest()
    cipher = Cipher(AES(key), ECB()).encryptor()
    stream = cipher.update(BLOCKS)
    words = [
        int.from_bytes(stream[at : at + 4], "little") for at in range(0, len(stream), BLOCK_BYTES)
    ]
    added = MASKS["core"].mask(("core", "lessor"), "exact", NONCE, BLOCKS)
    subtracted = MASKS["lessor"].mask(("core", "lessor"), "exact", NONCE, BLOCKS)
    assert added.tolist() == words
    assert subtracted.tolist() == [-word % 2**32 for word in words]


@pytest.mark.parametrize("parties", [("lessor", "platform"), ("core", "nobody")])
def test_a_stranger_has_no_masks(parties: tuple[str, ...]) -> None:
    """This party must be among them, and share a key with all of the others."""
    with pytest.raises(ValueError, match="has no masks with"):
        MASKS["core"].mask(parties, "exact", NONCE, BLOCKS)


def test_another_key_of_a_peer_masks_otherwise() -> None:
    """A party that pins a wrong key makes sums of no use, and learns nothing."""
    wrong = PINS | {"lessor": PartyKey(bytes([77]) * 32).public}
    masks = AnswerMasks("core", KEYS["core"], wrong, "session")
    mixed = masks.mask(("core", "lessor"), "exact", NONCE, BLOCKS)
    assert (mixed + MASKS["lessor"].mask(("core", "lessor"), "exact", NONCE, BLOCKS)).all()
