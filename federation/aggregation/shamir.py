"""Secrets of 32 bytes shared so that any `threshold` of the holders rebuild them, fewer learn none.

Shamir, 'How to share a secret' (CACM 1979), over the integers modulo the smallest prime above
2^256. Coefficients come from the operating system. Python's integers take a time that depends on
their values; nobody but the share's owner can watch it here.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping

PRIME = 2**256 + 297
SECRET_BYTES = 32
SHARE_BYTES = 33
# Subsets tried when shares do not fit together.
PATIENCE = 2_000


def split(secret: bytes, threshold: int, holders: int) -> list[bytes]:
    """One share for each of the holders 1, 2, ... in this order, 33 bytes each."""
    if len(secret) != SECRET_BYTES or not 1 <= threshold <= holders:
        raise ValueError(f"32 bytes are shared, by 1 to {holders} of {holders} holders")
    coefficients = [secrets.randbelow(PRIME) for _ in range(threshold - 1)]
    constant = int.from_bytes(secret, "big")
    shares = []
    for point in range(1, holders + 1):
        value = 0
        for coefficient in reversed(coefficients):
            value = (value + coefficient) * point % PRIME
        shares.append(((value + constant) % PRIME).to_bytes(SHARE_BYTES, "big"))
    return shares


def is_share(data: bytes) -> bool:
    """Whether bytes have the form of a share."""
    return len(data) == SHARE_BYTES and int.from_bytes(data, "big") < PRIME


def combine(
    shares: Mapping[int, bytes], threshold: int, is_right: Callable[[bytes], bool]
) -> tuple[bytes | None, list[int]]:
    """Rebuild a secret from the holders' shares, some of which may be wrong.

    Args:
        shares: by holder, from 1; each of the form `is_share`.
        threshold: as it was split.
        is_right: tells the secret from anything else.

    Returns:
        The secret (None when no `threshold` shares fit together), and the holders whose shares do
        not fit it.
    """
    points = {holder: int.from_bytes(share, "big") for holder, share in shares.items()}
    for chosen in itertools.islice(itertools.combinations(sorted(points), threshold), PATIENCE):
        subset = {holder: points[holder] for holder in chosen}
        value = _interpolate(subset, 0)
        if value < 2**256 and is_right(secret := value.to_bytes(SECRET_BYTES, "big")):
            others = points.keys() - subset.keys()
            wrong = [each for each in others if _interpolate(subset, each) != points[each]]
            return secret, sorted(wrong)
    return None, []


def _interpolate(points: Mapping[int, int], at: int) -> int:
    """The value at `at` of the polynomial through these points (Lagrange)."""
    total = 0
    for here, value in points.items():
        numerator = denominator = 1
        for other in points:
            if other != here:
                numerator = numerator * (at - other) % PRIME
                denominator = denominator * (here - other) % PRIME
        total += value * numerator * pow(denominator, -1, PRIME)
    return total % PRIME
