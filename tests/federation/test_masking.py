"""Pairwise masks: they cancel in the sum, hide each vector, and nothing else passes as a key."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from federation.errors import ProtocolError
from federation.masking import FRACTION_BITS, PairwiseMasks, from_fixed_point, to_fixed_point

NAMES = ["platform", "receivables", "iot", "lessor", "payments"]


def agreed(count: int, session: str = "session-1") -> list[PairwiseMasks]:
    """This many feature parties with keys agreed."""
    parties = [PairwiseMasks(name) for name in NAMES[:count]]
    keys = {name: party.public_key for name, party in zip(NAMES, parties, strict=False)}
    for party in parties:
        party.agree(session, keys)
    return parties


def uniformity(words: npt.NDArray[np.uint64]) -> float:
    """p-value of a chi-square test that the words' bytes are uniform."""
    counts = np.bincount(np.frombuffer(words.astype("<u8").tobytes(), np.uint8), minlength=256)
    return float(stats.chisquare(counts).pvalue)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_masks_cancel_in_the_sum_and_only_there(count: int) -> None:
    """All masks add up to zero modulo 2^64; leaving any one party out does not."""
    masks = [party.mask(500, "exact/fit/1") for party in agreed(count)]
    assert not np.sum(masks, axis=0, dtype=np.uint64).any()
    for left_out in range(count):
        rest = [mask for index, mask in enumerate(masks) if index != left_out]
        assert uniformity(np.sum(rest, axis=0, dtype=np.uint64)) > 1e-6


def test_a_single_feature_party_has_no_mask() -> None:
    """There is nobody to hide among: the mask is zero."""
    assert not agreed(1)[0].mask(20, "exact/fit/1").any()


def test_the_sum_of_masked_vectors_is_the_sum_of_the_vectors() -> None:
    """Through fixed point, to its last bit."""
    generator = np.random.default_rng(1)
    vectors = [np.rint(generator.normal(size=300) * 2.0**24) / 2.0**24 for _ in range(3)]
    words = [
        to_fixed_point(vector) + party.mask(300, "exact/test/0")
        for vector, party in zip(vectors, agreed(3), strict=True)
    ]
    total: npt.NDArray[np.uint64] = np.array(words).sum(axis=0, dtype=np.uint64)
    np.testing.assert_allclose(from_fixed_point(total), np.sum(vectors, axis=0), atol=1e-12)


def test_one_masked_vector_is_uniform_where_the_bare_one_is_not() -> None:
    """Chi-square on bytes of one party's message."""
    scores = to_fixed_point(np.random.default_rng(2).normal(size=20_000))
    assert uniformity(scores) < 1e-12
    assert uniformity(scores + agreed(2)[0].mask(20_000, "exact/fit/1")) > 1e-6


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
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_fixed_point_is_within_half_a_unit(values: list[float]) -> None:
    """There and back, negative numbers too."""
    array = np.array(values)
    error = np.abs(from_fixed_point(to_fixed_point(array)) - array)
    assert error.max() <= 2.0 ** -(FRACTION_BITS + 1)
