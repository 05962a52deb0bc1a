"""Pairwise masks: they cancel in the sum, hide each vector, and nothing else passes as a key."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from federation.errors import InputError, ProtocolError
from federation.masking import (
    FRACTION_BITS,
    SCORE_RANGE,
    WIDE_FRACTION_BITS,
    PairwiseMasks,
    from_fixed_point,
    from_wide_fixed_point,
    to_fixed_point,
    to_wide_fixed_point,
)

NAMES = ["platform", "receivables", "iot", "lessor", "payments"]


def agreed(count: int, session: str = "session-1") -> list[PairwiseMasks]:
    """This many feature parties with keys agreed."""
    parties = [PairwiseMasks(name) for name in NAMES[:count]]
    keys = {name: party.public_key for name, party in zip(NAMES, parties, strict=False)}
    for party in parties:
        party.agree(session, keys)
    return parties


def uniformity(words: npt.NDArray[np.unsignedinteger]) -> float:
    """p-value of a chi-square test that the words' bytes are uniform."""
    counts = np.bincount(np.frombuffer(words.tobytes(), np.uint8), minlength=256)
    return float(stats.chisquare(counts).pvalue)


def masks_of(party: PairwiseMasks, bits: int, count: int) -> npt.NDArray[np.unsignedinteger]:
    """A mask of 32- or 64-bit words."""
    draw = party.short_mask if bits == 32 else party.mask
    return draw(count, f"exact/fit/{bits}")


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_masks_cancel_in_the_sum_and_only_there(count: int, bits: int) -> None:
    """All masks add up to zero modulo 2^32 or 2^64; leaving any one party out does not."""
    masks = np.stack([masks_of(party, bits, 500) for party in agreed(count)])
    assert masks.dtype == np.dtype(f"u{bits // 8}")
    assert not np.sum(masks, axis=0, dtype=masks.dtype).any()
    for left_out in range(count):
        rest = np.delete(masks, left_out, axis=0)
        assert uniformity(np.sum(rest, axis=0, dtype=masks.dtype)) > 1e-6


@pytest.mark.parametrize("bits", [32, 64])
def test_a_single_feature_party_has_no_mask(bits: int) -> None:
    """There is nobody to hide among: the mask is zero."""
    alone = agreed(1)[0]
    assert alone.parties == 1
    assert not masks_of(alone, bits, 20).any()


def test_the_sum_of_masked_vectors_is_the_sum_of_the_vectors() -> None:
    """Through fixed point, to its last bit, in both widths and at the ends of the range."""
    generator = np.random.default_rng(1)
    vectors = [np.rint(generator.normal(size=300) * 2.0**20) / 2.0**20 for _ in range(3)]
    for vector in vectors:
        vector[:2] = [682.0, -682.0]  # a third of ±2^11 each
    exact = np.sum(vectors, axis=0)
    parties = agreed(3)
    short = [
        to_fixed_point(vector, party.parties) + party.short_mask(300, "exact/test/0")
        for vector, party in zip(vectors, parties, strict=True)
    ]
    wide = [
        to_wide_fixed_point(vector) + party.mask(300, "exact/test/1")
        for vector, party in zip(vectors, parties, strict=True)
    ]
    summed = from_fixed_point(np.sum(short, axis=0, dtype=np.uint32))
    np.testing.assert_array_equal(summed, exact)
    summed = from_wide_fixed_point(np.sum(wide, axis=0, dtype=np.uint64))
    np.testing.assert_array_equal(summed, exact)


def test_one_masked_vector_is_uniform_where_the_bare_one_is_not() -> None:
    """Chi-square on bytes of one party's message."""
    scores = to_fixed_point(np.random.default_rng(2).normal(size=20_000))
    assert uniformity(scores) < 1e-12
    assert uniformity(scores + agreed(2)[0].short_mask(20_000, "exact/fit/1")) > 1e-6
    wide = to_wide_fixed_point(np.random.default_rng(2).normal(size=20_000))
    assert uniformity(wide) < 1e-12
    assert uniformity(wide + agreed(2)[0].mask(20_000, "exact/fit/1")) > 1e-6


def test_purposes_sessions_and_fresh_keys_give_other_masks() -> None:
    """No mask serves twice: another round, part, training or session, and another draw of keys."""
    party = agreed(2)[0]
    purposes = ["a/fit/1", "a/fit/2", "a/test/1", "b/fit/1", "a/fit/11"]
    masks = {party.mask(64, purpose).tobytes() for purpose in purposes}
    masks.add(agreed(2)[0].mask(64, "a/fit/1").tobytes())
    assert len(masks) == len(purposes) + 1
    assert party.mask(64, "a/fit/1").tobytes() in masks

    first, second = PairwiseMasks("a"), PairwiseMasks("b")
    by_session = []
    for session in ("session-1", "session-2"):
        first.agree(session, {"b": second.public_key})
        by_session.append(first.mask(64, "a/fit/1").tobytes())
    assert by_session[0] != by_session[1]


def test_a_shorter_mask_begins_the_longer_one() -> None:
    """The stream depends on the purpose only, which is why a purpose is used once."""
    party = agreed(3)[1]
    np.testing.assert_array_equal(party.mask(10, "x"), party.mask(100, "x")[:10])


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    """An X25519 key has 32 bytes."""
    with pytest.raises(ProtocolError, match="the mask key of iot is not an X25519 key"):
        PairwiseMasks("platform").agree("session-1", {"iot": b"\x09" * length})


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_a_key_of_low_order_is_refused(point: bytes) -> None:
    """With such a key everybody would know the shared secret."""
    with pytest.raises(ProtocolError, match="the mask key of iot is not an X25519 key"):
        PairwiseMasks("platform").agree("session-1", {"iot": point})


@settings(max_examples=60)
@given(st.lists(st.floats(-2047, 2047), min_size=1, max_size=20))
def test_fixed_point_is_within_half_a_unit(values: list[float]) -> None:
    """There and back, negative numbers too."""
    array = np.array(values)
    error = np.abs(from_fixed_point(to_fixed_point(array)) - array)
    assert error.max() <= 2.0 ** -(FRACTION_BITS + 1)


@settings(max_examples=60)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_wide_fixed_point_is_within_half_a_unit(values: list[float]) -> None:
    """There and back, with four more bits and far more range."""
    array = np.array(values)
    error = np.abs(from_wide_fixed_point(to_wide_fixed_point(array)) - array)
    assert error.max() <= 2.0 ** -(WIDE_FRACTION_BITS + 1)


@pytest.mark.parametrize("parties", [1, 2, 7])
def test_scores_beyond_a_party_s_share_of_the_range_are_refused(parties: int) -> None:
    """Else the sum could wrap round to another score, unseen."""
    share = (SCORE_RANGE - 1) / parties
    largest = np.array([share, -share])
    total = np.zeros(2, dtype=np.uint32)
    for _ in range(parties):
        total += to_fixed_point(largest, parties)
    np.testing.assert_allclose(from_fixed_point(total), parties * largest, atol=parties * 1e-6)
    for number in (share + 0.01, -share - 0.01, np.nan, np.inf):
        with pytest.raises(InputError, match="scores must be finite and within"):
            to_fixed_point(np.array([0.0, number]), parties)


@pytest.mark.parametrize("number", [2.0**36 + 1, np.nan, -np.inf])
def test_wide_numbers_beyond_the_range_are_refused(number: float) -> None:
    """Slope and curvature of a loss never come near it."""
    with pytest.raises(InputError, match="within ±2\\^36"):
        to_wide_fixed_point(np.array([number]))
