"""What a desk tells a client before it scores: parameters, encoding, and no weight."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.encrypted_scoring.encoding import Encoding
from federation.encrypted_scoring.model import EncryptedModel
from federation.encrypted_scoring.parameters import MODULUS, RING
from federation.errors import InputError, ProtocolError
from federation.record_chain import canonical_json
from federation.scoring.points import LOG_ODDS_A_POINT, default_probability, scores_of

MOST_CHARACTERS = 1 << 20


def parameters_json(model: EncryptedModel) -> str:
    """The ring, which is everybody's, and the model's scale and flooding.

    The scale tells the power of two that the model's largest score lies under.
    """
    budget = model.budget
    return canonical_json(
        {
            "ring": RING,
            "scale_bits": budget.scale_bits,
            "flood_bits": budget.flood_bits,
            "capacity_bits": round(budget.capacity_bits, 2),
        }
    )


def encoding_json(model: EncryptedModel) -> str:
    """Features, means and scales or borders; no weight."""
    return canonical_json(model.encoding.to_json())


@dataclass(frozen=True)
class Score:
    """What a client makes of a decrypted sum.

    Attributes:
        points: of default risk, whole; ln 2 / 20 of the log-odds each.
        score: 500 is even odds, more is safer, 0 to 1,000.
        probability: of default.
    """

    points: int
    score: int
    probability: float


@dataclass(frozen=True)
class Scores:
    """The same of many borrowers, (n,) each."""

    points: npt.NDArray[np.int64]
    scores: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float64]

    def __len__(self) -> int:
        """How many borrowers."""
        return len(self.points)

    def __getitem__(self, index: int) -> Score:
        """One borrower's."""
        return Score(
            int(self.points[index]), int(self.scores[index]), float(self.probabilities[index])
        )


@dataclass(frozen=True)
class Terms:
    """Checked terms of one model.

    Attributes:
        model: its name at the desk; `model_digest`, which model exactly.
        encoding: of features.
        scale_bits: Δ = 2^scale_bits is one step of the sum.
        digest: of all of it; a change shows.
    """

    model: str
    model_digest: str
    encoding: Encoding
    scale_bits: int
    digest: str

    @classmethod
    def read(cls, model: str, model_digest: str, parameters: str, encoding: str) -> Terms:
        """Parse a desk's message.

        Raises:
            ProtocolError: names the field and what is wrong.
        """
        content = _json(parameters, "parameters_json")
        if content.get("ring") != RING:
            raise ProtocolError(
                "parameters_json: the desk uses other parameters of encryption than this client"
            )
        scale_bits = content.get("scale_bits")
        # 64 bits are the fewest that flooding leaves room in; a sum needs at least two values.
        if type(scale_bits) is not int or not 64 < scale_bits < MODULUS.bit_length() - 1:
            raise ProtocolError("parameters_json: scale_bits is not one that this client knows")
        try:
            parsed = Encoding.from_json(_json(encoding, "encoding_json"), "encoding_json")
        except InputError as error:
            raise ProtocolError(str(error)) from error
        whole = canonical_json([model, model_digest, parameters, encoding])
        digest = hashlib.sha256(whole.encode()).hexdigest()
        return cls(model, model_digest, parsed, scale_bits, digest)

    def scores(self, sums: npt.NDArray[np.int64]) -> Scores:
        """Scores of decrypted sums (n,), rounded to whole points."""
        points = np.rint(sums / self.encoding.steps_a_point).astype(np.int64)
        log_odds = points.astype(np.float64) * LOG_ODDS_A_POINT
        return Scores(points, scores_of(log_odds), default_probability(log_odds))


def _json(text: str, field: str) -> dict[str, Any]:
    if len(text) > MOST_CHARACTERS:
        raise ProtocolError(f"{field}: longer than {MOST_CHARACTERS:,} characters")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{field}: not JSON") from error
    if not isinstance(content, dict):
        raise ProtocolError(f"{field}: not a JSON object")
    return content
