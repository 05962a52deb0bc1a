"""The kinds of training that a vertical session can hold, and what they share.

Additive and blind trainings run through bins and private linear maps whose sums go to the owner; a
boosted one has bins and maps of its own, a split one neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from federation.additive.settings import AdditiveSettings
from federation.boosting.settings import BoostedSettings
from federation.errors import InputError
from federation.privacy.events import Event, Exact, GaussianRelease, RandomisedResponse
from federation.privacy.zcdp import rho_for
from federation.split.settings import BlindSettings, SplitSettings

Training = AdditiveSettings | SplitSettings | BlindSettings | BoostedSettings
OverBins = AdditiveSettings | BlindSettings
ADDITIVE, SPLIT, BLIND, BOOSTED = "additive", "split", "blind", "boosted"
KINDS = (ADDITIVE, SPLIT, BLIND, BOOSTED)


def training_kind(values: Mapping[str, Any]) -> str:
    """The kind that a training's plain values name; 'additive' where they name none.

    Raises:
        InputError: there is no such kind.
    """
    kind = values.get("kind", ADDITIVE)
    if kind not in KINDS:
        raise InputError(f"model.kind is {kind!r}; {' or '.join(KINDS)} is right")
    return str(kind)


def settings_known(kind: str) -> set[str]:
    """Names of the settings of a kind."""
    if kind == SPLIT:
        return SplitSettings.known()
    if kind == BLIND:
        return BlindSettings.known()
    if kind == BOOSTED:
        return BoostedSettings.known()
    return set(AdditiveSettings.__dataclass_fields__)


def training_from_json(values: Mapping[str, Any]) -> Training:
    """A training's settings from plain values.

    Raises:
        InputError: an unknown kind or name, or a value out of its range.
    """
    kind = training_kind(values)
    if kind == SPLIT:
        return SplitSettings.from_json(values)
    if kind == BLIND:
        return BlindSettings.from_json(values)
    if kind == BOOSTED:
        return BoostedSettings.from_json(values)
    return AdditiveSettings.from_json({k: v for k, v in values.items() if k != "kind"})


def bin_settings(training: OverBins) -> AdditiveSettings:
    """Settings of a training's model over bins."""
    return training.additive if isinstance(training, BlindSettings) else training


def map_settings(training: Training) -> AdditiveSettings | None:
    """Settings of a training's additive model over bins; None where it has none."""
    return bin_settings(training) if isinstance(training, OverBins) else None


def bin_key(training: OverBins) -> str:
    """Trainings of one key share bins and private linear maps.

    Every blind training has an encoder, and so bins, of its own.
    """
    own = f"\0{training.name}" if isinstance(training, BlindSettings) else ""
    return f"{bin_settings(training).bins}{own}"


def map_key(training: Training) -> str | None:
    """The key of an additive training over bins; None of another kind."""
    return bin_key(training) if isinstance(training, OverBins) else None


def partner_features(training: Training, declared: int) -> int:
    """Most features of a partner with bins in a training, if it declared so many."""
    if isinstance(training, BlindSettings):
        encoder = training.encoder
        return encoder.embedding + (declared if encoder.declared_features else 0)
    return declared


def total_features(training: Training, features: Mapping[str, int], label_party: str) -> int:
    """Features of all parties with bins in a training: its label noise is calibrated to them.

    Each pair that a party may add counts as one more.
    """
    settings = map_settings(training)
    pairs = settings.pairs * len(features) if settings else 0
    return (
        pairs
        + features[label_party]
        + sum(
            partner_features(training, declared)
            for party, declared in features.items()
            if party != label_party
        )
    )


def planned_event(training: Training) -> Event:
    """What a training will cost in the ledger of the labels."""
    if training.label_epsilon is None:
        return Exact()
    if isinstance(training, SplitSettings | BoostedSettings):
        return RandomisedResponse(training.label_epsilon)
    return GaussianRelease(rho_for(training.label_epsilon, training.label_delta))
