"""What the label party holds after boosting: recorded as it was, and kept in a file."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.boosting.feature_bins import FeatureBins
from federation.boosting.transcript import Transcript, TranscriptRecorder
from federation.boosting.transcript_file import from_arrays, from_bytes, to_arrays, to_bytes
from federation.errors import InputError

FEATURES = (FeatureBins(3, 3), FeatureBins(5, 4), FeatureBins(2, 0))


def recorded(seed: int, borrowers: int, trees: int) -> tuple[Transcript, np.ndarray]:
    """A transcript of drawn vectors, and the codes (features, borrowers) that answered them."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(f.bins, size=borrowers) for f in FEATURES])
    recorder = TranscriptRecorder(borrowers, FEATURES, ("rent", "delay, in days", "ärger"))
    for _ in range(trees):
        recorder.tree_begins()
        features = np.flatnonzero(rng.random(len(FEATURES)) < 0.6).tolist()
        vectors = rng.integers(-31, 32, size=(int(rng.integers(1, 4)), borrowers))
        sums = [[(v[codes[f] == b]).sum() for f in features for b in range(FEATURES[f].bins)]
                for v in vectors]  # fmt: skip
        recorder.queried(vectors, features, np.array(sums).reshape(len(vectors), -1))
        feature = int(rng.integers(len(FEATURES)))
        left = [b for b in range(FEATURES[feature].bins) if rng.random() < 0.5]
        recorder.split(feature, left, np.isin(codes[feature], left))
    return recorder.transcript(), codes


def same(one: Transcript, other: Transcript) -> bool:
    """Whether two transcripts say the same."""
    arrays, others = to_arrays(one), to_arrays(other)
    return all(np.array_equal(arrays[name], others[name]) for name in arrays)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(0, 6))
def test_a_file_gives_back_what_was_recorded(seed: int, borrowers: int, trees: int) -> None:
    transcript, _ = recorded(seed, borrowers, trees)
    back = from_bytes(to_bytes(transcript), "t.zip")
    assert same(transcript, back)
    assert (back.features, back.names) == (transcript.features, transcript.names)
    assert [s.left for s in back.splits] == [s.left for s in transcript.splits]
    assert (back.trees, back.queries) == (transcript.trees, transcript.queries)


def test_sums_and_allowed_bins_are_those_of_the_codes() -> None:
    transcript, codes = recorded(3, 50, 12)
    for feature, own in enumerate(FEATURES):
        one_hot = (codes[feature][:, None] == np.arange(own.bins)).astype(int)
        places = transcript.answered_to(feature)
        vectors = np.concatenate([transcript.asked[place].vectors for place in places])
        assert np.array_equal(transcript.sums_of(feature), vectors.astype(int) @ one_hot)
        allowed = transcript.allowed(feature)
        assert allowed[np.arange(50), codes[feature]].all()
        assert not allowed.all()


def test_what_was_known_after_fewer_trees() -> None:
    transcript, _ = recorded(4, 20, 6)
    early = transcript.up_to(2)
    assert (transcript.trees, early.trees) == (6, 2)
    assert len(early.splits) == 2
    assert early.queries == sum(len(b.vectors) for b in transcript.asked[:2])


def test_the_recorder_keeps_its_own_copy() -> None:
    """A training may reuse its arrays."""
    recorder = TranscriptRecorder(4, FEATURES)
    vectors, sums = np.ones((1, 4), dtype=np.int8), np.zeros((1, 3), dtype=np.int64)
    recorder.queried(vectors, [0], sums)
    vectors[:], sums[:] = 9, 9
    kept = recorder.transcript().asked[0]
    assert kept.vectors.max() == 1
    assert kept.sums.max() == 0


@pytest.mark.parametrize(
    ("vectors", "features", "cells", "words"),
    [
        (np.full((1, 4), 128), (0,), 3, "beyond ±127"),
        (np.full((1, 4), -128, dtype=np.int8), (0,), 3, "beyond ±127"),
        (np.ones((1, 5)), (0,), 3, "do not fit 4 borrowers"),
        (np.ones((1, 4)), (0,), 4, "3 bins"),
        (np.ones((1, 4)), (1, 0), 8, "ascending"),
        (np.ones((1, 4)), (0, 0), 6, "ascending"),
        (np.ones((1, 4)), (3,), 3, "not among 3"),
    ],
)
def test_queries_that_do_not_fit_are_refused(
    vectors: np.ndarray, features: tuple[int, ...], cells: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        TranscriptRecorder(4, FEATURES).queried(vectors, features, np.zeros((1, cells)))


@pytest.mark.parametrize(
    ("feature", "left", "borrowers"), [(3, [0], 4), (-1, [0], 4), (0, [3], 4), (0, [0], 5)]
)
def test_splits_that_do_not_fit_are_refused(feature: int, left: list[int], borrowers: int) -> None:
    with pytest.raises(ValueError, match=r"not among 3|does not fit"):
        TranscriptRecorder(4, FEATURES).split(feature, left, np.zeros(borrowers, dtype=bool))


CONTENT = to_bytes(recorded(7, 30, 3)[0])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(place: int, change: int) -> None:
    """Times and flags of a zip say nothing; whatever says something has a checksum."""
    damaged = bytearray(CONTENT)
    damaged[place] ^= change
    sentence = ""
    try:
        back = from_bytes(bytes(damaged), "kept/t.zip")
    except InputError as error:
        sentence = str(error)
    if sentence:
        assert sentence.startswith("kept/t.zip: ")
    else:
        assert same(back, from_bytes(CONTENT, "t.zip"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(CONTENT) - 1))
def test_a_truncated_file_is_refused(length: int) -> None:
    with pytest.raises(InputError, match=r"^t\.zip: "):
        from_bytes(CONTENT[:length], "t.zip")


def test_a_pickled_array_is_not_loaded() -> None:
    stream = io.BytesIO()
    arrays = to_arrays(recorded(1, 8, 1)[0]) | {"feature_names": np.array([{}, [], ()], object)}
    np.savez(stream, **arrays)
    with pytest.raises(InputError, match=r"^t\.npz: is not a transcript"):
        from_bytes(stream.getvalue(), "t.npz")


def test_a_file_as_numpy_writes_it_is_read() -> None:
    transcript, _ = recorded(1, 8, 2)
    stream = io.BytesIO()
    np.savez_compressed(stream, **to_arrays(transcript))
    assert same(from_bytes(stream.getvalue(), "t.npz"), transcript)
    with zipfile.ZipFile(io.BytesIO(to_bytes(transcript))) as archive:
        assert set(archive.namelist()) == {f"{name}.npy" for name in to_arrays(transcript)}


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("format", np.array(2, dtype=np.int32)),
        ("borrowers", np.array(9)),
        ("borrowers", np.array(-1)),
        ("feature_names", np.array(["one"])),
        ("feature_bins", np.array([[3, 4], [5, 4], [2, 0]], dtype=np.int32)),
        ("vectors", np.zeros((1, 8), dtype=np.int8)),
        ("vectors", np.zeros((5, 8), dtype=np.int16)),
        ("batches", np.array([[0, -1], [1, 6]], dtype=np.int32)),
        ("answered", np.zeros((2, 4), dtype=bool)),
        ("sums", np.zeros(1, dtype=np.int64)),
        ("sums", np.zeros(1000, dtype=np.int64)),
        ("splits", np.array([[0, 0], [1, 7]], dtype=np.int32)),
        ("left", np.ones((2, 9), dtype=bool)),
        ("bits", np.zeros((2, 2), dtype=np.uint8)),
        ("bits", None),
    ],
)
def test_arrays_that_disagree_are_refused(name: str, array: np.ndarray | None) -> None:
    arrays = to_arrays(recorded(1, 8, 2)[0])
    changed = {key: value for key, value in arrays.items() if key != name}
    if array is not None:
        changed[name] = array
    with pytest.raises(InputError, match=r"^kept/t\.zip: "):
        from_arrays(changed, "kept/t.zip")
