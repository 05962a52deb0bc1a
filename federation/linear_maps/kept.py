"""A lattice map kept between sessions: what each side needs to answer or ask again, hint included.

The hint is nearly all that a map costs, and it serves every query until the bins change. Both kept
values are plain values and numpy arrays, for their owner to store; the feature party's are secret.
A map is resumed over the same bins, sizes, direction, bounds and context only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.linear_maps.parameters import MOST_ANSWERS


def map_identity(seed: bytes, commitment: bytes) -> str:
    """The same at both sides of a map, different for every map; says nothing about the bins."""
    return hashlib.sha256(b"veilscore kept map 1" + seed + commitment).hexdigest()


@dataclass(frozen=True, eq=False)
class KeptFeatureMap:
    """The feature party's side. Whoever has it and the hint can read D: keep it like a key.

    Attributes:
        seed: the public seed, 32 bytes.
        commitment: the digest of D under the salt.
        agreed: SHA-256 of direction, bounds and context.
        rows, columns, features: D's sizes.
        salt: of the commitment.
        blinding: R (rows, N) int8.
        answered: ids of all queries answered in the map's life (uint64).
    """

    seed: bytes = field(repr=False)
    commitment: bytes
    agreed: bytes
    rows: int
    columns: int
    features: int
    salt: bytes = field(repr=False)
    blinding: npt.NDArray[np.int8] = field(repr=False)
    answered: npt.NDArray[np.uint64] = field(repr=False)

    @property
    def identity(self) -> str:
        """Equal to the other side's `KeptLabelMap.identity`."""
        return map_identity(self.seed, self.commitment)

    @property
    def answers_left(self) -> int:
        """How many more queries may be answered before a new map is due."""
        return MOST_ANSWERS - len(self.answered)


@dataclass(frozen=True, eq=False)
class KeptLabelMap:
    """The label party's side; no secret of a query is in it.

    Attributes:
        seed: the public seed, 32 bytes.
        commitment: the feature party's to its bins.
        agreed: SHA-256 of direction, bounds and context.
        rows, columns: the matrix's sizes.
        hint_bytes: bytes that a word of the hint keeps.
        hint: the hint's planes (rows, N), highest bytes first (`words.PackedWords`).
        asked: how many queries were made in the map's life.
    """

    seed: bytes = field(repr=False)
    commitment: bytes
    agreed: bytes
    rows: int
    columns: int
    hint_bytes: int
    hint: tuple[npt.NDArray[np.unsignedinteger], ...] = field(repr=False)
    asked: int

    @property
    def identity(self) -> str:
        """Equal to the other side's `KeptFeatureMap.identity`."""
        return map_identity(self.seed, self.commitment)

    @property
    def answers_left(self) -> int:
        """How many more queries may be made before a new map is due."""
        return MOST_ANSWERS - self.asked


def check_kept(
    kept: KeptFeatureMap | KeptLabelMap, agreed: bytes, columns: int, hint_shapes: bool
) -> None:
    """Refuse to resume under anything else than what the map was made under.

    Args:
        kept: what was kept.
        agreed: SHA-256 of what is agreed now.
        columns: borrowers now.
        hint_shapes: whether the kept arrays have the shapes that the sizes ask.

    Raises:
        InputError: says what differs.
    """
    if kept.columns != columns:
        raise InputError(
            f"the kept map is over {kept.columns} borrowers, this session over {columns}; "
            "a new map is needed"
        )
    if kept.agreed != agreed:
        raise InputError(
            "the kept map was made under another direction, other bounds or another context; "
            "a new map is needed"
        )
    if not hint_shapes or len(kept.seed) != 32:
        raise InputError("the kept map is damaged: its arrays are not of its sizes")
