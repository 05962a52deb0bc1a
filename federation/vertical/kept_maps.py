"""Lattice maps that go on from one session to the next, on a kept alignment with the same bins.

A map is taken out of the store when a session goes on with it and put back when the session has
ended well: two sessions never use one at once, and one that broke off leaves none whose answered
queries were forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from federation.errors import InputError
from federation.linear_maps import (
    Direction,
    FeatureSide,
    KeptFeatureMap,
    KeptLabelMap,
    LabelSide,
    OneHotMatrix,
)
from federation.linear_maps.lattice_feature import LatticeFeatureSide
from federation.linear_maps.lattice_label import LatticeLabelSide
from federation.linear_maps.ring import RING_DEGREE
from federation.linear_maps.words import PackedWords
from federation.proto.kept_pb2 import FeatureMap, LabelMap
from federation.proto.session_pb2 import MapOffer
from federation.quantisation import RESIDUAL_SCALE
from federation.session.store import KeptStore
from federation.vertical.fallbacks import Fit
from federation.vertical.trainings import map_key, map_settings

KIND = "maps"
PLAIN_FIELDS = ("seed", "commitment", "agreed", "rows", "columns")


@dataclass(frozen=True)
class MapKeeper:
    """Keeps one party's maps of one alignment.

    Attributes:
        store: where.
        alignment: the session whose alignment the bins are over; maps are bound to it.
        noise_bound: of label noise, as the plan says.
    """

    store: KeptStore
    alignment: str
    noise_bound: int

    def feature_side(
        self, name: str, matrix: OneHotMatrix, context: bytes, queries: int
    ) -> LatticeFeatureSide | None:
        """A feature party's kept side for these very bins; None: there is none.

        One with fewer answers left than the `queries` that the plan may ask for is made anew.
        """
        data = self.store.take(KIND, self._name(name))
        kept = None if data is None else _read_feature_map(data)
        if kept is None or kept.answers_left < queries:
            return None
        try:
            return LatticeFeatureSide.resume(
                kept, matrix, Direction.TO_OWNER, RESIDUAL_SCALE, self.noise_bound, context
            )
        except InputError:  # other bins or another noise: a new map is made
            return None

    def label_side(
        self, name: str, offer: MapOffer, columns: int, context: bytes, queries: int
    ) -> LatticeLabelSide | None:
        """The label party's side of the kept map that is offered; None: it has none such."""
        data = self.store.take(KIND, self._name(name))
        read = None if data is None else _read_label_map(data)
        if read is None:
            return None
        kept, features = read
        sizes = (kept.identity, kept.rows, features)
        if sizes != (offer.kept_map, offer.rows_sent, offer.features):
            return None
        if kept.answers_left < queries:
            return None
        try:
            return LatticeLabelSide.resume(
                kept, columns, Direction.TO_OWNER, RESIDUAL_SCALE, self.noise_bound, context
            )
        except InputError:
            return None

    def keep_feature_side(self, name: str, side: FeatureSide) -> None:
        """Put a map back, or away for the first time; elgamal maps are not kept."""
        if isinstance(side, LatticeFeatureSide):
            self.store.write(KIND, self._name(name), _feature_map(side.keep()))

    def keep_label_side(self, name: str, side: LabelSide, features: int) -> None:
        """Likewise; `features` is what the feature party declared for the map."""
        if isinstance(side, LatticeLabelSide):
            self.store.write(KIND, self._name(name), _label_map(side.keep(), features))

    def _name(self, name: str) -> str:
        return f"{self.alignment}\0{name}"


def most_queries(fits: Iterable[Fit], key: str, party: str) -> int:
    """How many queries the fits of a key may ask a feature party's map for: one a round."""
    asked = [f.training for f in fits if map_key(f.training) == key and party in f.parties]
    of_key = [map_settings(training) for training in asked]
    return sum(settings.max_rounds for settings in of_key if settings is not None)


def _plain(source: KeptFeatureMap | KeptLabelMap | FeatureMap | LabelMap) -> dict[str, Any]:
    """The fields that both sides' maps have, and have alike in memory and in their messages."""
    return {name: getattr(source, name) for name in PLAIN_FIELDS}


def _feature_map(kept: KeptFeatureMap) -> bytes:
    return FeatureMap(
        **_plain(kept),
        features=kept.features,
        salt=kept.salt,
        blinding=kept.blinding.tobytes(),
        answered=kept.answered.astype("<u8").tobytes(),
    ).SerializeToString()


def _read_feature_map(data: bytes) -> KeptFeatureMap | None:
    """What `_feature_map` made; None where it is something else: a new map is made then."""
    try:
        read = FeatureMap.FromString(data)
        blinding = np.frombuffer(read.blinding, dtype=np.int8).reshape(read.rows, RING_DEGREE)
        answered = np.frombuffer(read.answered, dtype="<u8").astype(np.uint64)
    except (DecodeError, ValueError):
        return None
    return KeptFeatureMap(
        **_plain(read),
        features=read.features,
        salt=read.salt,
        blinding=blinding,
        answered=answered,
    )


def _label_map(kept: KeptLabelMap, features: int) -> bytes:
    return LabelMap(
        **_plain(kept),
        features=features,
        hint_bytes=kept.hint_bytes,
        hint=[np.ascontiguousarray(plane).tobytes() for plane in kept.hint],
        asked=kept.asked,
    ).SerializeToString()


def _read_label_map(data: bytes) -> tuple[KeptLabelMap, int] | None:
    try:
        read = LabelMap.FromString(data)
        like = PackedWords.empty((0, RING_DEGREE), read.hint_bytes).planes
        planes = tuple(
            np.frombuffer(plane, dtype=empty.dtype).reshape(read.rows, RING_DEGREE)
            for plane, empty in zip(read.hint, like, strict=True)
        )
    except (DecodeError, ValueError):
        return None
    kept = KeptLabelMap(
        **_plain(read),
        hint_bytes=read.hint_bytes,
        hint=planes,
        asked=read.asked,
    )
    return kept, read.features
