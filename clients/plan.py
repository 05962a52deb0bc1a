"""From a federation file to the session plan that the label party proposes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clients.federation_file import FederationConfig
from federation.errors import InputError
from federation.vertical import SessionPlan, SplitPlan
from federation.vertical.trainings import (
    ADDITIVE,
    BLIND,
    BOOSTED,
    Training,
    settings_known,
    training_from_json,
    training_kind,
)

PRIVACY_KEYS = ("label_epsilon", "delta", "epsilon_budget")
# Under label noise a stronger ridge than the exact default pays (docs/benchmarks.md).
NOISY_RIDGE = 30.0


def training_settings(
    config: FederationConfig, overrides: Mapping[str, Any] | None = None
) -> Training:
    """One training's settings: the file's [model] and [privacy], then what the caller overrides.

    Where the caller asks for another kind of model than the file, only those settings of the file's
    [model] count that this kind has too; not the bins, where it is a boosted one: its partners
    disclose them.

    Raises:
        InputError: a key is unknown or a value out of range; names the file.
    """
    for key in config.privacy:
        if key not in PRIVACY_KEYS:
            raise InputError(
                f"{config.path}: [privacy] has the key '{key}'; these are known: "
                f"{', '.join(PRIVACY_KEYS)}"
            )
    values: dict[str, Any] = dict(config.model)
    if "label_epsilon" in config.privacy:
        values["label_epsilon"] = config.privacy["label_epsilon"]
    if "delta" in config.privacy:
        values["label_delta"] = config.privacy["delta"]
    asked = dict(overrides or {})
    _refuse_less_noise(config, asked)
    try:
        kind = training_kind(values | asked)
        if kind != training_kind(values):
            known = settings_known(kind) - {"name"} - ({"bins"} if kind == BOOSTED else set())
            values = {name: value for name, value in values.items() if name in known}
        values |= asked
        if values.get("label_epsilon") is not None and kind in (ADDITIVE, BLIND):
            values.setdefault("ridge", NOISY_RIDGE)
            if kind == ADDITIVE:
                values.setdefault("name", "label-noise")
        return training_from_json(values)
    except InputError as error:
        raise InputError(f"{config.path}: {error}") from error


def _refuse_less_noise(config: FederationConfig, asked: Mapping[str, Any]) -> None:
    """A label party that set a label_epsilon is not talked out of it by whoever starts the run."""
    declared = config.privacy.get("label_epsilon")
    if declared is None or "label_epsilon" not in asked:
        return
    epsilon = asked["label_epsilon"]
    if epsilon is None or (isinstance(epsilon, int | float) and epsilon > float(str(declared))):
        raise InputError(
            f"{config.path}: privacy.label_epsilon is {declared}, and this run asks for "
            f"{'exact sums' if epsilon is None else epsilon}; ask for as much noise or more, or "
            "change the file"
        )


def session_plan(
    config: FederationConfig, session: str, trainings: Sequence[Mapping[str, Any]] = ()
) -> SessionPlan:
    """The plan of one session; `trainings` are overrides, one a training (none: the file's own)."""
    return SessionPlan(
        session=session,
        label_party=config.label_party.name,
        feature_parties=tuple(party.name for party in config.feature_parties),
        alignment=config.alignment,
        trainings=tuple(training_settings(config, overrides) for overrides in trainings or ({},)),
        split=SplitPlan(
            test_share=config.split.test_share,
            validation_share=config.split.validation_share,
            seed=config.split.seed,
        ),
        fallbacks=config.fallbacks,
    )


def epsilon_budget(config: FederationConfig) -> float | None:
    """The hard stop over the history of the labels, if the file sets one."""
    value = config.privacy.get("epsilon_budget")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(
            f"{config.path}: privacy.epsilon_budget is {value!r}; a positive number is right"
        )
    return float(value)
