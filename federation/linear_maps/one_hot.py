"""One-hot bins as a matrix: one row a (feature, bin), one column a borrower, held as codes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from federation.linear_maps.joined_codes import JoinedCodes
from federation.linear_maps.many_sums import ManySums
from federation.linear_maps.words import PackedWords


@dataclass(frozen=True, eq=False)
class OneHotMatrix:
    """D (rows × columns, entries 0 and 1): every column has at most one 1 among a feature's rows.

    Attributes:
        codes: (features, columns), each the bin of that borrower in that feature. Codes
            0..bins[k]-1 are rows of D; the code bins[k] stands for the bin that is not sent.
        bins: rows of D that belong to each feature; they follow one another.

    The codes are copied into memory that nobody can write to, since a map commits to them, and are
    left out of repr(), since they are a party's private data.
    """

    codes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] = field(repr=False)
    bins: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check codes against bins and freeze a copy of them."""
        if self.codes.ndim != 2 or self.codes.shape[0] != len(self.bins):
            raise ValueError(f"codes of shape {self.codes.shape} for {len(self.bins)} features")
        if self.codes.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
            raise TypeError(f"codes must be uint8 or uint16, not {self.codes.dtype}")
        for feature, (codes, bins) in enumerate(zip(self.codes, self.bins, strict=True)):
            if codes.size and int(codes.max()) > bins:
                raise ValueError(f"feature {feature} has code {codes.max()}, its last is {bins}")
        # an array over bytes can't be made writable again, unlike one that owns its memory
        frozen = np.frombuffer(self.codes.tobytes(), dtype=self.codes.dtype)
        object.__setattr__(self, "codes", frozen.reshape(self.codes.shape))

    @property
    def features(self) -> int:
        """How many features the rows belong to."""
        return len(self.bins)

    @property
    def rows(self) -> int:
        """m, the number of rows of D."""
        return sum(self.bins)

    @property
    def columns(self) -> int:
        """n, the number of borrowers."""
        return int(self.codes.shape[1])

    @cached_property
    def weights(self) -> npt.NDArray[np.int64]:
        """Borrowers in each row (m,)."""
        counts = [
            np.bincount(codes, minlength=bins + 1)[:bins]
            for codes, bins in zip(self.codes, self.bins, strict=True)
        ]
        return np.concatenate(counts).astype(np.int64) if counts else np.zeros(0, np.int64)

    def rows_of(self, features: Sequence[int]) -> npt.NDArray[np.int64]:
        """Which rows belong to these features, feature after feature."""
        starts = np.concatenate([[0], np.cumsum(self.bins, dtype=np.int64)])
        spans = [np.arange(starts[feature], starts[feature + 1]) for feature in features]
        return np.concatenate([np.zeros(0, dtype=np.int64), *spans])

    def members(self) -> list[npt.NDArray[np.int64]]:
        """The borrowers of every row, in order; rows of one feature are disjoint."""
        lists: list[npt.NDArray[np.int64]] = []
        for codes, bins in zip(self.codes, self.bins, strict=True):
            order = np.argsort(codes, kind="stable")
            ends = np.cumsum(np.bincount(codes, minlength=bins + 1))
            lists += np.split(order, ends)[:bins]
        return lists

    @cached_property
    def _joined(self) -> JoinedCodes:
        return JoinedCodes(self.codes, [bins + 1 for bins in self.bins])

    def multiply(self, vector: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """D·v modulo 2^64, v (n,) or (n, k) of uint64."""
        if vector.dtype != np.uint64 or vector.shape[0] != self.columns:
            raise ValueError(f"a vector of {self.columns} uint64 is needed, not {vector.shape}")
        columns = vector.reshape(self.columns, -1)
        sums = [self._joined.sums_of_words(column) for column in columns.T]
        product = np.stack(sums, axis=1)[self._sent]
        return product.reshape(self.rows, *vector.shape[1:])

    @cached_property
    def _many(self) -> ManySums:
        return ManySums(self.codes, self.bins)

    def multiply_many(
        self, words: PackedWords, features: Sequence[int] | None = None, cores: int = 1
    ) -> npt.NDArray[np.uint64]:
        """D's rows of these features (None: all) times words (k, n), as (k, rows), modulo 2^64."""
        if words.shape[1:] != (self.columns,):
            raise ValueError(f"vectors of {self.columns} words are needed, not {words.shape}")
        chosen = range(self.features) if features is None else features
        return self._many.sums(words, chosen, cores)

    @cached_property
    def _sent(self) -> npt.NDArray[np.int64]:
        """The rows of D among all bins, each feature's last one not sent."""
        sent = [np.arange(bins + 1) < bins for bins in self.bins]
        return np.flatnonzero(np.concatenate([np.zeros(0, np.bool_), *sent]))

    def digest(self, salt: bytes) -> bytes:
        """SHA-256 over salt, shape and codes: with a secret random salt, a hiding commitment."""
        hasher = hashlib.sha256(b"veilscore one-hot matrix 1")
        hasher.update(len(salt).to_bytes(4, "little") + salt)
        for extent in (self.features, self.columns, *self.bins):
            hasher.update(extent.to_bytes(8, "little"))
        for row in self.codes:
            hasher.update(row.astype("<u2").tobytes())
        return hasher.digest()
