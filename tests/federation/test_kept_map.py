"""Maps kept between sessions: resumed without a hint, refused over anything else, no id twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from federation.errors import InputError, ProtocolError
from federation.linear_maps import (
    Direction,
    KeptFeatureMap,
    KeptLabelMap,
    OneHotMatrix,
    lattice_feature,
    lattice_label,
)
from federation.linear_maps.lattice_feature import LatticeFeatureSide
from federation.linear_maps.lattice_label import LatticeLabelSide
from federation.linear_maps.parameters import MOST_ANSWERS
from federation.proto.session_pb2 import MapSeed, Query

COLUMNS = 4096
AGREED = (Direction.TO_OWNER, 127, 1000, b"bank, platform, 32 bins")


def matrix(seed: int = 1) -> OneHotMatrix:
    """Three features of five rows and one bin that is not sent."""
    codes = np.random.default_rng(seed).integers(0, 6, (3, COLUMNS))
    return OneHotMatrix(codes.astype(np.uint8), (5,) * 3)


def made() -> tuple[LatticeFeatureSide, LatticeLabelSide]:
    """Both sides after the hint."""
    feature, label = LatticeFeatureSide(matrix(), *AGREED), LatticeLabelSide(COLUMNS, *AGREED)
    for block in feature.accept(label.accept(feature.offer())):
        label.take_hint(block)
    return feature, label


def stored(kept: KeptFeatureMap | KeptLabelMap) -> KeptFeatureMap | KeptLabelMap:
    """As read back from arrays and plain values: nothing is shared with the live side."""
    content = {}
    for name, value in vars(kept).items():
        if isinstance(value, np.ndarray):
            content[name] = np.frombuffer(value.tobytes(), value.dtype).reshape(value.shape)
        elif isinstance(value, tuple):
            content[name] = tuple(plane.copy() for plane in value)
        else:
            assert isinstance(value, int | bytes)
            content[name] = value
    return type(kept)(**content)


def resumed(
    feature: LatticeFeatureSide, label: LatticeLabelSide
) -> tuple[LatticeFeatureSide, LatticeLabelSide]:
    """Both sides in a later session."""
    theirs, ours = stored(feature.keep()), stored(label.keep())
    assert isinstance(theirs, KeptFeatureMap)
    assert isinstance(ours, KeptLabelMap)
    assert theirs.identity == ours.identity
    return (
        LatticeFeatureSide.resume(theirs, matrix(), *AGREED),
        LatticeLabelSide.resume(ours, COLUMNS, *AGREED),
    )


def sums(feature: LatticeFeatureSide, label: LatticeLabelSide, seed: int) -> int:
    """One query to its end, checked against numpy; returns its id."""
    vector = np.random.default_rng(seed).integers(-127, 128, COLUMNS)
    query = label.query(vector)
    learned = feature.reveal(label.decode(feature.answer(query)))
    assert np.array_equal(learned, matrix().multiply(vector.view(np.uint64)).view(np.int64))
    return int(query.query_id)


def test_a_resumed_map_gives_the_same_sums_without_a_hint() -> None:
    """Over three sessions, ids all different, and the counts go on."""
    feature, label = made()
    ids = {sums(feature, label, 1), sums(feature, label, 2)}
    for session in range(2):
        feature, label = resumed(feature, label)
        assert label.ready
        ids |= {sums(feature, label, 10 + session), sums(feature, label, 20 + session)}
    assert len(ids) == 6
    assert set(feature.keep().answered.tolist()) == ids
    assert feature.keep().answers_left == label.keep().answers_left == MOST_ANSWERS - 6


def test_no_second_hint_and_no_second_offer() -> None:
    """A resumed side is past both."""
    feature, label = resumed(*made())
    with pytest.raises(ProtocolError, match="resumed, not offered again"):
        feature.offer()
    with pytest.raises(ProtocolError, match="a second hint for the same bins is never sent"):
        feature.accept(MapSeed(nonce=bytes(32)))
    fresh = LatticeFeatureSide(matrix(), *AGREED)
    with pytest.raises(ProtocolError, match="second map offer"):
        label.accept(fresh.offer())


def test_an_id_of_an_earlier_session_is_refused() -> None:
    """The same query is not answered twice in a map's life: its floods would average away."""
    feature, label = made()
    query = label.query(np.ones(COLUMNS, dtype=np.int64))
    feature.answer(query)
    feature, _ = resumed(feature, label)
    with pytest.raises(ProtocolError, match=f"query {query.query_id} was repeated"):
        feature.answer(query)


def test_a_query_of_an_earlier_session_has_no_open_secret() -> None:
    """Secrets and masks are not kept: what was under way ends with its session."""
    feature, label = made()
    answer = feature.answer(label.query(np.ones(COLUMNS, dtype=np.int64)))
    _, label = resumed(feature, label)
    with pytest.raises(ProtocolError, match="which is not open"):
        label.decode(answer)


def test_a_map_answers_a_thousand_queries_in_its_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides stop there, sessions counted together."""
    monkeypatch.setattr(lattice_feature, "MOST_ANSWERS", 3)
    monkeypatch.setattr(lattice_label, "MOST_ANSWERS", 4)
    feature, label = made()
    sums(feature, label, 1)
    feature, label = resumed(feature, label)
    sums(feature, label, 2)
    sums(feature, label, 3)
    vector = np.zeros(COLUMNS, dtype=np.int64)
    with pytest.raises(ProtocolError, match="has answered 3 queries, the most in its life"):
        feature.answer(label.query(vector))
    with pytest.raises(ProtocolError, match="was asked 4 queries, the most in its life"):
        label.query(vector)


def test_a_map_is_kept_after_its_whole_hint_only() -> None:
    """Half a hint serves nobody."""
    feature, label = LatticeFeatureSide(matrix(), *AGREED), LatticeLabelSide(COLUMNS, *AGREED)
    hint = feature.accept(label.accept(feature.offer()))
    with pytest.raises(ProtocolError, match="once its whole hint was sent"):
        feature.keep()
    with pytest.raises(ProtocolError, match="once its whole hint is here"):
        label.keep()
    for block in hint:
        label.take_hint(block)
    assert feature.keep().identity == label.keep().identity


@pytest.mark.parametrize(
    "agreed",
    [
        (Direction.TO_LABEL_PARTY, *AGREED[1:]),
        (Direction.TO_OWNER, 126, 1000, AGREED[3]),
        (Direction.TO_OWNER, 127, 999, AGREED[3]),
        (Direction.TO_OWNER, 127, 1000, b"bank, platform, 16 bins"),
    ],
    ids=["direction", "value bound", "noise bound", "context"],
)
def test_other_agreements_are_refused(agreed: tuple[Direction, int, int, bytes]) -> None:
    """By both sides."""
    feature, label = made()
    for resume in (
        lambda: LatticeFeatureSide.resume(feature.keep(), matrix(), *agreed),
        lambda: LatticeLabelSide.resume(label.keep(), COLUMNS, *agreed),
    ):
        with pytest.raises(InputError, match="another direction, other bounds or another context"):
            resume()


def test_other_bins_and_sizes_are_refused() -> None:
    """One code, one borrower, or a feature less."""
    feature, label = made()
    codes = np.array(matrix().codes)
    codes[0, 0] = (codes[0, 0] + 1) % 6
    for other in (OneHotMatrix(codes, (5,) * 3), OneHotMatrix(codes[:2], (5,) * 2)):
        with pytest.raises(InputError, match="of other bins than these"):
            LatticeFeatureSide.resume(feature.keep(), other, *AGREED)
    fewer = np.random.default_rng(1).integers(0, 6, (3, COLUMNS + 1)).astype(np.uint8)
    with pytest.raises(InputError, match="over 4096 borrowers, this session over 4097"):
        LatticeFeatureSide.resume(feature.keep(), OneHotMatrix(fewer, (5,) * 3), *AGREED)
    with pytest.raises(InputError, match="over 4096 borrowers, this session over 4097"):
        LatticeLabelSide.resume(label.keep(), COLUMNS + 1, *AGREED)


def test_damaged_arrays_are_refused() -> None:
    """Of another shape or dtype than the sizes ask."""
    feature, label = made()
    theirs, ours = feature.keep(), label.keep()
    for kept in (
        replace(theirs, blinding=theirs.blinding[1:]),
        replace(theirs, blinding=theirs.blinding.astype(np.int64)),
        replace(theirs, seed=b""),
    ):
        with pytest.raises(InputError, match="the kept map is damaged"):
            LatticeFeatureSide.resume(kept, matrix(), *AGREED)
    for kept_label in (
        replace(ours, hint=ours.hint[:0]),
        replace(ours, hint=tuple(plane[1:] for plane in ours.hint)),
        replace(ours, hint=tuple(plane.astype(np.uint64) for plane in ours.hint)),
        replace(ours, rows=ours.rows + 1),
    ):
        with pytest.raises(InputError, match="the kept map is damaged"):
            LatticeLabelSide.resume(kept_label, COLUMNS, *AGREED)


def test_maps_of_two_makings_do_not_fit() -> None:
    """Another seed, another identity, and nothing decodes."""
    (feature, _), (_, label) = made(), made()
    assert feature.keep().identity != label.keep().identity
    with pytest.raises(ProtocolError, match="does not decrypt"):
        label.decode(feature.answer(label.query(np.ones(COLUMNS, dtype=np.int64))))


def test_what_is_kept_hides_its_secrets() -> None:
    """Neither blinding, salt, seed nor ids show in repr()."""
    feature, label = made()
    sums(feature, label, 1)
    kept = feature.keep()
    for shown in (repr(kept), repr(label.keep())):
        for name in ("blinding", "salt", "seed", "answered", "hint="):
            assert name not in shown
    assert str(kept.answered[0]) not in repr(kept)


def test_threads_make_the_same_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of cores changes neither rows nor their order."""
    monkeypatch.setattr(
        lattice_feature, "tuniform", lambda shape, bits: np.zeros(shape, dtype=np.int64)
    )
    seed, hints = MapSeed(nonce=bytes(32)), []
    first = LatticeFeatureSide(matrix(), *AGREED)
    for cores in (1, 2, 5):
        feature = LatticeFeatureSide(matrix(), *AGREED, cores=cores)
        feature._offer, feature._blinding = first._offer, first._blinding
        hints.append(b"".join(block.values for block in feature.accept(seed)))
    assert len(set(hints)) == 1
    with pytest.raises(ProtocolError, match="holds 0 bytes"):
        feature.answer(Query(query_id=1))
