"""A transcript as a file: a zip of `.npy` arrays, as `numpy.savez_compressed` writes; no pickle."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from federation.boosting.feature_bins import FeatureBins
from federation.boosting.transcript import Asked, SplitBits, Transcript, check_split
from federation.errors import InputError

Array = npt.NDArray[Any]

_FORMAT = 1
# Every array of a file: its dtype's kind and item size (0: any), and its dimensions.
_ARRAYS = {
    "format": ("i", 4, 0),
    "borrowers": ("i", 8, 0),
    "feature_names": ("U", 0, 1),
    "feature_bins": ("i", 4, 2),  # (features, 2): how many, and how many of them stand in an order
    "vectors": ("i", 1, 2),
    "batches": ("i", 4, 2),  # (batches, 2): tree, vectors
    "answered": ("b", 1, 2),  # (batches, features)
    "sums": ("i", 8, 1),  # batch after batch, query after query, bin after bin
    "splits": ("i", 4, 2),  # (splits, 2): tree, feature
    "left": ("b", 1, 2),  # (splits, most bins of a feature)
    "bits": ("u", 1, 2),  # (splits, ⌈borrowers / 8⌉), packed
}


def to_arrays(transcript: Transcript) -> dict[str, Array]:
    """The transcript as named arrays; see `_ARRAYS` for what each holds."""
    width = max((f.bins for f in transcript.features), default=0)
    answered = np.zeros((len(transcript.asked), len(transcript.features)), dtype=np.bool_)
    left = np.zeros((len(transcript.splits), width), dtype=np.bool_)
    bits = np.zeros((len(transcript.splits), -(-transcript.borrowers // 8)), dtype=np.uint8)
    for row, batch in enumerate(transcript.asked):
        answered[row, list(batch.features)] = True
    for row, split in enumerate(transcript.splits):
        left[row, list(split.left)] = True
        bits[row] = np.packbits(split.bits)
    return {
        "format": np.array(_FORMAT, dtype=np.int32),
        "borrowers": np.array(transcript.borrowers, dtype=np.int64),
        "feature_names": np.array(transcript.names, dtype=np.str_),
        "feature_bins": _table([(f.bins, f.ordered) for f in transcript.features]),
        "vectors": np.concatenate(
            [
                np.empty((0, transcript.borrowers), dtype=np.int8),
                *(b.vectors for b in transcript.asked),
            ]
        ),
        "batches": _table([(b.tree, len(b.vectors)) for b in transcript.asked]),
        "answered": answered,
        "sums": np.concatenate(
            [np.empty(0, dtype=np.int64), *(b.sums.ravel() for b in transcript.asked)]
        ),
        "splits": _table([(s.tree, s.feature) for s in transcript.splits]),
        "left": left,
        "bits": bits,
    }


def from_arrays(arrays: Mapping[str, Array], source: str) -> Transcript:
    """The transcript of these arrays; what is wrong is named, with `source` before it.

    Raises:
        InputError: an array is missing, of another kind or shape, or they disagree.
    """
    try:
        return _from_arrays(arrays)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def write_transcript(transcript: Transcript, stream: BinaryIO) -> None:
    """Write it as a zip of arrays; 100 trees of depth 4 on 24,000 borrowers make about 10 MB.

    Args:
        stream: where to; open for bytes.
    """
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in to_arrays(transcript).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_transcript(stream: BinaryIO, source: str) -> Transcript:
    """Read what `write_transcript` wrote.

    Args:
        stream: the file, open for bytes; it must seek.
        source: its path, for the error.

    Raises:
        InputError: it is no such file, or damaged.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(stream) as archive:
            for name in _ARRAYS:
                with archive.open(f"{name}.npy") as member:
                    arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
                    if member.read(1):  # reading on to the end also checks the CRC
                        raise ValueError
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        ValueError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        SyntaxError,
        MemoryError,
    ):
        raise InputError(
            f"{source}: is not a transcript of a boosted training, or is damaged; only a file "
            "that the training wrote is right"
        ) from None
    return from_arrays(arrays, source)


def to_bytes(transcript: Transcript) -> bytes:
    """The file of `write_transcript` as bytes."""
    stream = io.BytesIO()
    write_transcript(transcript, stream)
    return stream.getvalue()


def from_bytes(content: bytes, source: str) -> Transcript:
    """Read the bytes of a file; see `read_transcript`."""
    return read_transcript(io.BytesIO(content), source)


def _table(rows: Sequence[tuple[int, int]]) -> npt.NDArray[np.int32]:
    return np.array(rows, dtype=np.int32).reshape(len(rows), 2)


def _from_arrays(arrays: Mapping[str, Array]) -> Transcript:
    for name, (kind, size, dimensions) in _ARRAYS.items():
        array = arrays.get(name)
        if (
            array is None
            or array.dtype.kind != kind
            or (size and array.dtype.itemsize != size)
            or array.ndim != dimensions
        ):
            raise InputError(f"array '{name}' of the transcript is missing or of another kind")
    if int(arrays["format"]) != _FORMAT:
        raise InputError(
            f"the transcript has format {int(arrays['format'])}; this version reads {_FORMAT}"
        )
    if arrays["feature_bins"].shape != (len(arrays["feature_names"]), 2):
        raise InputError("array 'feature_bins' has another number of features than their names")
    try:
        features = tuple(
            FeatureBins(bins, ordered) for bins, ordered in arrays["feature_bins"].tolist()
        )
    except ValueError as error:
        raise InputError(f"array 'feature_bins' has {error}") from None
    names = tuple(str(name) for name in arrays["feature_names"])
    borrowers = int(arrays["borrowers"])
    asked = _batches(arrays, borrowers, features)
    return Transcript(borrowers, features, names, asked, _split_bits(arrays, borrowers, features))


def _batches(
    arrays: Mapping[str, Array], borrowers: int, features: tuple[FeatureBins, ...]
) -> tuple[Asked, ...]:
    batches, answered = arrays["batches"], arrays["answered"]
    vectors, sums = arrays["vectors"], arrays["sums"]
    if batches.shape != (len(answered), 2) or answered.shape[1] != len(features):
        raise InputError("arrays 'batches' and 'answered' do not fit one another")
    if (batches < 0).any() or vectors.shape != (int(batches[:, 1].sum()), borrowers):
        raise InputError("array 'vectors' has another shape than the batches and borrowers say")
    asked, row, cell = [], 0, 0
    for (tree, count), mask in zip(batches.tolist(), answered, strict=True):
        chosen = tuple(int(feature) for feature in np.flatnonzero(mask))
        width = sum(features[feature].bins for feature in chosen)
        block = sums[cell : cell + count * width]
        if len(block) != count * width:
            raise InputError("array 'sums' is shorter than the batches say")
        asked.append(Asked(tree, vectors[row : row + count], chosen, block.reshape(count, width)))
        row, cell = row + count, cell + count * width
    if cell != len(sums):
        raise InputError("array 'sums' is longer than the batches say")
    return tuple(asked)


def _split_bits(
    arrays: Mapping[str, Array], borrowers: int, features: tuple[FeatureBins, ...]
) -> tuple[SplitBits, ...]:
    table, left, packed = arrays["splits"], arrays["left"], arrays["bits"]
    if table.shape != (len(left), 2) or packed.shape != (len(left), -(-borrowers // 8)):
        raise InputError("arrays 'splits', 'left' and 'bits' do not fit one another")
    splits = []
    for (tree, feature), mask, row in zip(table.tolist(), left, packed, strict=True):
        bits = np.unpackbits(row, count=borrowers).astype(np.bool_)
        split = SplitBits(tree, feature, tuple(int(i) for i in np.flatnonzero(mask)), bits)
        try:
            check_split(split, borrowers, features)
        except ValueError as error:
            raise InputError(str(error)) from None
        splits.append(split)
    return tuple(splits)
