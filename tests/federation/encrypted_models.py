"""Models, keys and requests for the tests of encrypted scoring."""

from __future__ import annotations

import os
from functools import cache

import numpy as np
import numpy.typing as npt

from federation.additive.model_part import ModelPart
from federation.binning import Binning
from federation.encrypted_scoring import (
    ApplicantKey,
    EncryptedModel,
    PublicKey,
    from_logistic,
)
from federation.encrypted_scoring.parameters import MODULUS, PRIMES
from federation.schema import FeatureKind

Integers = npt.NDArray[np.int64]


def logistic(features: int = 25, seed: int = 3, spread: float = 0.5) -> EncryptedModel:
    """A logistic regression on standardised features."""
    rng = np.random.default_rng(seed)
    return from_logistic(
        [f"x{number}" for number in range(features)],
        rng.normal(0, 3, features).tolist(),
        rng.uniform(0.5, 4, features).tolist(),
        rng.normal(0, spread, features).tolist(),
        -1.7,
    )


def part(features: int = 6, bins: int = 10, seed: int = 5) -> ModelPart:
    """A label party's part with numeric features and one categorical one."""
    rng = np.random.default_rng(seed)
    binnings = [
        Binning(
            f"n{number}", FeatureKind.NUMERIC, tuple(map(float, range(1, bins - 1))), (),
            0, bins - 1, 0, bins,
        )
        for number in range(features - 1)
    ]  # fmt: skip
    names = ("north", "south", "west")
    binnings.append(Binning("region", FeatureKind.CATEGORICAL, (), names, 3, 4, 0, 5))
    return ModelPart(
        "bank",
        "session",
        "exact",
        -1.2,
        tuple(binnings),
        (None,) * features,
        tuple(tuple(rng.normal(0, 0.5, one.bins).tolist()) for one in binnings),
        tuple((1 / one.bins,) * one.bins for one in binnings),
    )


@cache
def key_pair() -> tuple[ApplicantKey, PublicKey]:
    """One key for all tests that need any: making one more tests nothing more."""
    return new_key_pair()


def new_key_pair() -> tuple[ApplicantKey, PublicKey]:
    """A fresh key and its public half."""
    seed = os.urandom(64)
    key, public_key = ApplicantKey.generate(seed)
    return key, PublicKey.read(seed, public_key)


def inputs_of(model: EncryptedModel, borrowers: int, seed: int = 11) -> Integers:
    """Encoded inputs (n, d) of random borrowers of a logistic regression."""
    rng = np.random.default_rng(seed)
    table = {one.feature: rng.normal(0, 5, borrowers) for one in model.encoding.inputs}
    return model.encoding.encode(table)


def integers_of(residues: Integers) -> list[int]:
    """Centred integers modulo q of residues (primes, n), by the Chinese remainder theorem."""
    cofactors = [MODULUS // prime * pow(MODULUS // prime, -1, prime) for prime in PRIMES]
    integers = []
    for column in residues.T.tolist():
        value = sum(c * r for c, r in zip(cofactors, column, strict=True)) % MODULUS
        integers.append(value - MODULUS if value > MODULUS // 2 else value)
    return integers
