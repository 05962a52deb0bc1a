"""The judges of random bytes: they let random ones pass and each finds its own kind of pattern."""

from __future__ import annotations

import numpy as np
import pytest

from tests.federation.sealing.randomness_tests import p_values, suspicious

SIZE = 40_000


def test_p_values_of_random_bytes_are_spread_evenly() -> None:
    generator = np.random.default_rng(7)
    found = [p_values(generator.bytes(SIZE)) for _ in range(200)]
    for name in found[0]:
        values = np.array([one[name] for one in found])
        # 200 evenly spread values: the mean's standard deviation is 0.02
        assert 0.4 < values.mean() < 0.6, name
        assert 0.05 < np.quantile(values, 0.25) < 0.45, name


def skewed() -> bytes:
    """Some values twice as often, in random order."""
    generator = np.random.default_rng(1)
    return (
        generator.choice(256, SIZE, p=np.r_[np.full(64, 2), np.ones(192)] / 320)
        .astype(np.uint8)
        .tobytes()
    )


def alternating() -> bytes:
    """Every value as often as any other, in order."""
    return bytes(range(256)) * (SIZE // 256)


def drifting() -> bytes:
    """Neighbours that are alike, every value as often as any other."""
    values = np.sort(np.random.default_rng(2).integers(0, 256, SIZE))
    return values.astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    ("sample", "failed"),
    [
        (skewed(), "chi-square over byte values"),
        (alternating(), "serial correlation of bytes"),
        (drifting(), "serial correlation of bytes"),
        (bytes([0b01010101]) * SIZE, "runs of equal bits"),
        (bytes(SIZE), "runs of equal bits"),
    ],
)
def test_every_test_finds_its_kind_of_pattern(sample: bytes, failed: str) -> None:
    assert failed in suspicious(sample)


def test_too_few_bytes_are_not_judged() -> None:
    with pytest.raises(ValueError, match="too few"):
        p_values(bytes(100))
