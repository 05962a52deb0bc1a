"""Shared secrets: enough shares rebuild one, fewer say nothing of it, wrong ones are found."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.aggregation.shamir import PRIME, combine, is_share, split


@settings(max_examples=40, deadline=None)
@given(
    secret=st.binary(min_size=32, max_size=32),
    sizes=st.integers(1, 12).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
    data=st.data(),
)
def test_any_threshold_of_shares_rebuilds(
    secret: bytes, sizes: tuple[int, int], data: st.DataObject
) -> None:
    """Whichever holders answer, if they are enough, the secret is the same."""
    threshold, holders = sizes
    shares = split(secret, threshold, holders)
    assert all(map(is_share, shares))
    chosen = data.draw(st.permutations(range(1, holders + 1)))[:threshold]
    rebuilt, wrong = combine({each: shares[each - 1] for each in chosen}, threshold, secret.__eq__)
    assert (rebuilt, wrong) == (secret, [])


def test_fewer_shares_fit_every_secret() -> None:
    """Two of three needed shares lie on a parabola through any secret whatever."""
    one, two = (int.from_bytes(share, "big") for share in split(bytes(32), 3, 5)[:2])
    other = secrets.randbelow(2**256)
    # The parabola through (0, other), (1, one), (2, two), at 3, by Newton's differences.
    three = (other - 3 * one + 3 * two) % PRIME
    shares = {place + 1: each.to_bytes(33, "big") for place, each in enumerate((one, two, three))}
    wanted = other.to_bytes(32, "big")
    assert combine(shares, 3, wanted.__eq__) == (wanted, [])


def test_known_shares() -> None:
    """A line through a known secret, worked out by hand: 7 + 5x at 1 and 4."""
    secret = (7).to_bytes(32, "big")
    shares = {1: (12).to_bytes(33, "big"), 4: (27).to_bytes(33, "big")}
    assert combine(shares, 2, secret.__eq__) == (secret, [])


def test_wrong_shares_are_left_out_and_named() -> None:
    """Two wrong ones of six, three needed."""
    secret = secrets.token_bytes(32)
    shares = dict(enumerate(split(secret, 3, 6), start=1))
    shares[1], shares[5] = bytes(33), shares[4]
    assert combine(shares, 3, secret.__eq__) == (secret, [1, 5])


def test_too_many_wrong_shares_give_nothing() -> None:
    """Nothing fits, and nothing is made up."""
    secret = secrets.token_bytes(32)
    shares = dict(enumerate(split(secret, 3, 3), start=1))
    shares[2] = bytes(33)
    assert combine(shares, 3, secret.__eq__) == (None, [])


@pytest.mark.parametrize("wrong", [b"", bytes(32), bytes(34), b"\xff" * 33])
def test_the_form_of_a_share(wrong: bytes) -> None:
    """33 bytes below the prime."""
    assert not is_share(wrong)
    assert is_share((PRIME - 1).to_bytes(33, "big"))


def test_the_prime_is_one() -> None:
    """2^256 + 297 passes Miller and Rabin's test to 40 random bases."""
    exponent, twos = PRIME - 1, 0
    while exponent % 2 == 0:
        exponent, twos = exponent // 2, twos + 1
    for _ in range(40):
        power = pow(secrets.randbelow(PRIME - 3) + 2, exponent, PRIME)
        chain = [pow(power, 2**each, PRIME) for each in range(twos)]
        assert power == 1 or PRIME - 1 in chain


@pytest.mark.parametrize(("length", "threshold", "holders"), [(31, 2, 3), (32, 0, 3), (32, 4, 3)])
def test_misuse_is_told(length: int, threshold: int, holders: int) -> None:
    """Only 32 bytes are shared, by a threshold that can be met."""
    with pytest.raises(ValueError, match="32 bytes are shared"):
        split(bytes(length), threshold, holders)
