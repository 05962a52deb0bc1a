"""Model parts of the neural trainings as safetensors bytes: weights, and all else as JSON metadata.

No pickle is read or written. The metadata is one canonical JSON text, so that the same part has the
same bytes and digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.record_chain import canonical_json

if TYPE_CHECKING:
    from federation.split.encoder import Preparation

FORMAT = "veilscore split model part 1"
METADATA = "veilscore"
SUFFIX = ".safetensors"
Weights = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class NetworkPart:
    """What one party holds of a split model, or of a blind one its encoder.

    Attributes:
        kind: "split-label", "split-feature" or "blind-encoder".
        party: its name.
        session: the session that trained it; parts of one session make one model.
        training: the training within the session.
        settings: of the training, as plain values.
        preparation: how columns become tensors, as plain values; None without columns.
        weights: by name.
    """

    kind: str
    party: str
    session: str
    training: str
    settings: Mapping[str, Any]
    preparation: Mapping[str, Any] | None
    weights: Weights

    def to_bytes(self) -> bytes:
        """A safetensors file."""
        from safetensors.numpy import save

        content = {
            "format": FORMAT,
            "kind": self.kind,
            "party": self.party,
            "session": self.session,
            "training": self.training,
            "settings": dict(self.settings),
            "preparation": None if self.preparation is None else dict(self.preparation),
        }
        tensors = {name: np.ascontiguousarray(value) for name, value in self.weights.items()}
        data: bytes = save(tensors, metadata={METADATA: canonical_json(content)})
        return data

    @property
    def digest(self) -> str:
        """SHA-256 of the file, for lineage: says nothing about the weights."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> NetworkPart:
        """Parse and check a stored part.

        Raises:
            InputError: names `where` and what is wrong.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            weights = load(data)
            length = int.from_bytes(data[:8], "little")
            header = json.loads(data[8 : 8 + length])
            content = json.loads(header["__metadata__"][METADATA])
            if content["format"] != FORMAT:
                raise KeyError("format")
            part = cls(
                kind=str(content["kind"]),
                party=str(content["party"]),
                session=str(content["session"]),
                training=str(content["training"]),
                settings=dict(content["settings"]),
                preparation=content["preparation"],
                weights=weights,
            )
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{where}: not a part of a neural model; its format must be '{FORMAT}'"
            ) from error
        for name, value in weights.items():
            if value.dtype != np.float32 or not np.isfinite(value).all():
                raise InputError(
                    f"{where}: the weights '{name}' are damaged; finite float32 numbers are right"
                )
        return part


def preparation_json(preparation: Preparation | None) -> dict[str, Any] | None:
    """A preparation as plain values."""
    if preparation is None:
        return None
    return {"schema": preparation.schema.to_json(), "scaling": preparation.scaling.to_json()}


def preparation_of(part: NetworkPart) -> Preparation | None:
    """The preparation of a stored part.

    Raises:
        InputError: it is damaged.
    """
    from federation.neural.scaling import Scaling
    from federation.neural.schema import InputSchema
    from federation.split.encoder import Preparation

    if part.preparation is None:
        return None
    try:
        schema = InputSchema.from_json(part.preparation["schema"])
        return Preparation(schema, Scaling.from_json(part.preparation["scaling"], schema))
    except KeyError as error:
        raise InputError(f"the model part of {part.party} lacks its inputs") from error
