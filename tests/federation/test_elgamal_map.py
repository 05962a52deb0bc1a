"""The elgamal map: group operations, logarithms, and what it refuses."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import InputError, ProtocolError
from federation.linear_maps import Direction, OneHotMatrix, elgamal
from federation.linear_maps.elgamal import (
    BABY_STEPS,
    GROUP_ORDER,
    IDENTITY,
    ElGamalFeatureSide,
    ElGamalLabelSide,
    base_multiple,
    discrete_logarithm,
    multiple,
)
from federation.proto.session_pb2 import Answer, HintBlock, MapSeed, Query

VECTORS = json.loads((Path(__file__).parent / "vectors" / "linear_maps.json").read_text())
COLUMNS = 30


def matrix() -> OneHotMatrix:
    """One feature, two rows of ten borrowers each."""
    return OneHotMatrix((np.arange(COLUMNS, dtype=np.uint8) % 3).reshape(1, -1), (2,))


def connected(direction: Direction) -> tuple[ElGamalFeatureSide, ElGamalLabelSide]:
    """Both sides, ready for queries of |v| ≤ 127."""
    feature = ElGamalFeatureSide(matrix(), direction, 127, 0, b"")
    label = ElGamalLabelSide(COLUMNS, direction, 127, 0, b"")
    assert list(feature.accept(label.accept(feature.offer()))) == []
    return feature, label


def test_multiples_are_those_of_the_standard() -> None:
    """0 to 3 times the generator encode as in RFC 9496."""
    for scalar, encoded in enumerate(VECTORS["ristretto255_multiples"]):
        assert base_multiple(scalar).hex() == encoded
        assert base_multiple(scalar + GROUP_ORDER).hex() == encoded


@given(st.integers(-(2**255), 2**255), st.integers(-(2**255), 2**255))
@settings(max_examples=30, deadline=None)
def test_group_operations_follow_the_scalars(left: int, right: int) -> None:
    """Sums, differences and products of points are those of their scalars."""
    one, other = base_multiple(left), base_multiple(right)
    assert elgamal.add(one, other) == base_multiple(left + right)
    assert elgamal.subtract(one, other) == base_multiple(left - right)
    assert multiple(left, other) == base_multiple(left * right)
    assert elgamal.subtract(one, one) == IDENTITY


@pytest.mark.parametrize("bound", [0, 1, BABY_STEPS // 2, BABY_STEPS, 100_000])
def test_every_logarithm_within_the_bound_is_found(bound: int) -> None:
    """Ends, zero, borders of the giant steps and random values; outside the bound none."""
    borders = {
        step * BABY_STEPS // 2 + offset for step in range(-3, 4) for offset in (-1, 0, 1)
    } | {-bound, bound, 0}
    for value in sorted(value for value in borders if abs(value) <= bound):
        assert discrete_logarithm(base_multiple(value), bound) == value
    for value in (bound + 1, -bound - 1, secrets.randbelow(2**250) + 2**30):
        with pytest.raises(ProtocolError, match=f"over the agreed bound of {bound}"):
            discrete_logarithm(base_multiple(value), bound)


def test_a_logarithm_takes_as_many_steps_for_every_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of group operations depends on the bound only, not on the sum that is found."""
    counts = []
    operations = [0]
    add, subtract = elgamal.add, elgamal.subtract

    def counting_add(left: bytes, right: bytes) -> bytes:
        operations[0] += 1
        return add(left, right)

    def counting_subtract(left: bytes, right: bytes) -> bytes:
        operations[0] += 1
        return subtract(left, right)

    discrete_logarithm(IDENTITY, 1)  # the table is there
    monkeypatch.setattr(elgamal, "add", counting_add)
    monkeypatch.setattr(elgamal, "subtract", counting_subtract)
    for value in (0, 1, -70_000, 99_999):
        operations[0] = 0
        assert discrete_logarithm(base_multiple(value), 100_000) == value
        counts.append(operations[0])
    assert len(set(counts)) == 1


@pytest.mark.parametrize("direction", list(Direction))
def test_what_is_not_a_point_is_refused(direction: Direction) -> None:
    """Invalid encodings in a query, an answer or a key are named, never computed with."""
    feature, label = connected(direction)
    query = label.query(np.zeros(COLUMNS, dtype=np.int64))
    bad = b"\xff" * 32
    with pytest.raises(ProtocolError, match="query 0: element 59 is not a point of ristretto255"):
        feature.answer(Query(query_id=0, ciphertext=query.ciphertext[:-32] + bad))
    answer = feature.answer(query)
    take = label.open if direction is Direction.TO_LABEL_PARTY else label.decode
    with pytest.raises(ProtocolError, match="the answer to query 0: element 0 is not a point"):
        take(Answer(query_id=0, ciphertext=bad + answer.ciphertext[32:]))
    fresh = ElGamalFeatureSide(matrix(), direction, 127, 0, b"")
    for key in (bad, b"", bytes(31), bytes(33)):
        with pytest.raises(ProtocolError, match="the map's public key"):
            fresh.accept(MapSeed(public_key=key))
    with pytest.raises(ProtocolError, match="public key is the identity"):
        fresh.accept(MapSeed(public_key=IDENTITY))


def test_sums_too_large_for_logarithms_are_refused() -> None:
    """Both sides refuse, with the numbers and what serves instead."""
    with pytest.raises(InputError, match=r"sums up to 67,108,890 are too large .* 67,108,864"):
        ElGamalLabelSide(COLUMNS, Direction.TO_OWNER, 2**26 // 30 + 1, 0, b"")
    with pytest.raises(InputError, match="the lattice map serves"):
        ElGamalFeatureSide(matrix(), Direction.TO_OWNER, 127, 2**26, b"")


def test_a_hint_is_refused() -> None:
    """This scheme has none, so a block is another protocol's."""
    _, label = connected(Direction.TO_OWNER)
    with pytest.raises(ProtocolError, match="hint row 3 came"):
        label.take_hint(HintBlock(first_row=3))


def test_equal_values_encrypt_differently() -> None:
    """Every element of a query is fresh, so that nothing repeats within or between queries."""
    _, label = connected(Direction.TO_OWNER)
    data = b"".join(label.query(np.ones(COLUMNS, dtype=np.int64)).ciphertext for _ in range(2))
    points = [data[at : at + 32] for at in range(0, len(data), 32)]
    assert len(set(points)) == 2 * 2 * COLUMNS
