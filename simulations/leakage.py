"""How much of a partner's bin codes a boosted training gave away: the attack in figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.boosting.transcript import Transcript
from federation.errors import InputError
from federation.session.machine import Progress
from simulations.reconstruction import ROUNDS, RebuiltFeature, rebuild

Codes = npt.NDArray[np.integer]


@dataclass(frozen=True)
class FeatureLeakage:
    """What of one feature was rebuilt; shares are 0 to 1.

    Attributes:
        name: of the feature.
        bins: how many it has.
        queries: vectors that it was answered to, as far as the attack used them.
        splits: splits on it, each one bit a borrower.
        estimated_found: share of codes found, as the attack estimates it without the truth.
        estimated_resolved: the same of the bins' entropy.
        found: share of codes found; None where the truth is not known.
        resolved: 1 − H(code | rebuilt) / H(code); None where the truth is not known.
        fullest: share of the fullest bin: who knows the bins' shares only guesses that much right.
        entropy_bits: H(code); None where the truth is not known.
    """

    name: str
    bins: int
    queries: int
    splits: int
    estimated_found: float
    estimated_resolved: float
    found: float | None
    resolved: float | None
    fullest: float | None
    entropy_bits: float | None


@dataclass(frozen=True)
class Leakage:
    """What was rebuilt of one partner's features.

    Attributes:
        borrowers, trees: of the training.
        features: one by one.
        estimated_found, estimated_resolved: over all features, as the attack estimates them.
        found, resolved, fullest: over all features; None where the truth is not known.
    """

    borrowers: int
    trees: int
    features: tuple[FeatureLeakage, ...]
    estimated_found: float
    estimated_resolved: float
    found: float | None
    resolved: float | None
    fullest: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def leakage(
    transcript: Transcript,
    truth: Mapping[int, Codes] | None = None,
    features: Sequence[int] | None = None,
    *,
    rounds: int = ROUNDS,
    noise: float = 0.0,
    progress: Callable[[Progress], None] = lambda step: None,
) -> Leakage:
    """Attack a transcript and say how much it gave away.

    Args:
        transcript: what the label party holds.
        truth: the features' true codes (borrowers,), in a simulation; a label party has none.
        features: places of the features to attack; None for all.
        rounds, noise, progress: as in `rebuild`.

    Raises:
        InputError: a feature is not there, its truth does not fit, or there is nothing to attack.
    """
    wanted = list(range(len(transcript.features)) if features is None else features)
    if not wanted or not transcript.borrowers:
        raise InputError(
            f"the transcript has {transcript.borrowers} borrowers and {len(wanted)} features to "
            "rebuild; at least one of each is right"
        )
    for feature, true in (truth or {}).items():
        if true.shape != (transcript.borrowers,):
            raise InputError(
                f"feature {feature} has true codes of shape {true.shape}; one for each of "
                f"{transcript.borrowers} borrowers is right"
            )
    done = rebuild(transcript, wanted, rounds=rounds, noise=noise, progress=progress)
    each, left, whole = [], 0.0, 0.0
    for one in done.features:
        codes = None if truth is None else truth.get(one.feature)
        each.append(_of_feature(transcript, one, codes))
        left, whole = left + one.left_bits, whole + one.prior_bits
    known = [f for f in each if f.found is not None]
    all_known = len(known) == len(each)
    bits = sum(f.entropy_bits or 0.0 for f in known)
    resolved = sum((f.resolved or 0.0) * (f.entropy_bits or 0.0) for f in known)
    return Leakage(
        transcript.borrowers,
        transcript.trees,
        tuple(each),
        float(np.mean([f.estimated_found for f in each])),
        _share_resolved(left, whole),
        float(np.mean([f.found for f in known])) if all_known else None,
        _share_resolved(bits - resolved, bits) if all_known else None,
        float(np.mean([f.fullest for f in known])) if all_known else None,
    )


def _of_feature(transcript: Transcript, one: RebuiltFeature, codes: Codes | None) -> FeatureLeakage:
    found = resolved = fullest = bits = None
    if codes is not None:
        table = confusion(codes, one.codes, transcript.features[one.feature].bins)
        found = float(np.trace(table) / table.sum())
        fullest = float(table.sum(axis=1).max() / table.sum())
        bits = entropy_bits(table.sum(axis=1))
        resolved = entropy_resolved(table)
    return FeatureLeakage(
        transcript.names[one.feature],
        transcript.features[one.feature].bins,
        one.queries,
        sum(split.feature == one.feature for split in transcript.splits),
        float(one.certainty.mean()),
        _share_resolved(one.left_bits, one.prior_bits),
        found,
        resolved,
        fullest,
        bits,
    )


def confusion(true: Codes, rebuilt: Codes, bins: int) -> npt.NDArray[np.int64]:
    """How many borrowers of each true bin (rows) were put in each bin (columns): (bins, bins)."""
    joint = true.astype(np.int64) * bins + rebuilt.astype(np.int64)
    return np.bincount(joint, minlength=bins * bins).reshape(bins, bins)


def entropy_bits(counts: npt.NDArray[np.int64]) -> float:
    """Entropy of a distribution from counts, in bits, with Miller's correction (Miller 1955).

    The plain estimate is too low by about (cells - 1) / 2n nats; only cells that occurred count.
    """
    seen = counts[counts > 0]
    total = int(seen.sum())
    shares = seen / total
    return float(-(shares * np.log2(shares)).sum() + (len(seen) - 1) / (2 * total * np.log(2)))


def entropy_resolved(table: npt.NDArray[np.int64]) -> float:
    """1 − H(code | rebuilt) / H(code) of a confusion table: 0 nothing learned, 1 everything."""
    left = entropy_bits(table.ravel()) - entropy_bits(table.sum(axis=0))
    return _share_resolved(left, entropy_bits(table.sum(axis=1)))


def _share_resolved(left: float, whole: float) -> float:
    """A feature without entropy was known before: nothing of it was resolved."""
    return float(np.clip(1 - left / whole, 0.0, 1.0)) if whole > 0 else 0.0
