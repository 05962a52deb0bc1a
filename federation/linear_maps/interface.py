"""The interface of a private linear map: what each side can do, and in which direction it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from federation.proto.session_pb2 import Answer, HintBlock, MapOffer, MapSeed, Query, Sums

# Vectors of one query: the gradients and hessians of 32 nodes, a level of a tree of depth 6.
MOST_VECTORS = 64


class Direction(StrEnum):
    """Who learns D·v. Both sides must be set to the same one."""

    TO_OWNER = "to-owner"  # the feature party; the label party sees uniformly random residues
    TO_LABEL_PARTY = "to-label-party"  # what boosting needs; bin codes can be rebuilt from it


class FeatureSide(Protocol):
    """The feature party's side: holds D."""

    def offer(self) -> MapOffer:
        """Open the map: sizes, a commitment to D and a nonce."""

    def accept(self, seed: MapSeed) -> Iterator[HintBlock]:
        """Take the label party's nonce; yields the hint in blocks (none for some schemes)."""

    def answer(self, query: Query) -> Answer:
        """D times the encrypted vector, masked (to the owner) and flooded or re-randomised."""

    def answer_many(self, query: Query, features: Sequence[int] | None = None) -> Answer:
        """D times every encrypted vector of a query, flooded or re-randomised.

        Only in the direction to the label party.

        Args:
            query: 1 to `MOST_VECTORS` vectors.
            features: whose rows of D are answered, in this order; None: all of them.
        """

    def reveal(self, sums: Sums) -> npt.NDArray[np.int64]:
        """Take the mask off: D·v plus the label party's noise, one integer a row of D.

        Only in the direction to the owner.
        """


class LabelSide(Protocol):
    """The label party's side: holds the vectors v."""

    def accept(self, offer: MapOffer) -> MapSeed:
        """Check the offer and answer it."""

    def take_hint(self, block: HintBlock) -> bool:
        """Store one block of the hint; True when it was the last (or none is needed)."""

    @property
    def ready(self) -> bool:
        """Whether queries may be made."""

    def query(self, vector: npt.NDArray[np.int64]) -> Query:
        """Encrypt one vector of integers, one a borrower, under a fresh secret."""

    def query_many(self, vectors: npt.NDArray[np.int64]) -> Query:
        """Encrypt vectors (k, n), each under its own fresh secret; takes k query ids.

        Only in the direction to the label party; k is 1 to `MOST_VECTORS`.
        """

    def decode(self, answer: Answer, noise: npt.NDArray[np.int64] | None = None) -> Sums:
        """Decrypt the masked sums and add label noise; only in the direction to the owner."""

    def open(self, answer: Answer) -> npt.NDArray[np.int64]:
        """Decrypt D·v; only in the direction to the label party."""

    def open_many(
        self, answer: Answer, rows: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.int64]:
        """Decrypt the sums (k, len(rows)) of every vector; only to the label party.

        Args:
            answer: to a query of k vectors.
            rows: the rows of D that were answered, in the answer's order; None: all of them.
        """
