"""From a federation file and a bank's own manifest to the plan that all banks must share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from clients.federation_file import FederationConfig, Topology
from clients.manifest import PartyManifest
from clients.settings_file import suggest
from federation.errors import InputError

if TYPE_CHECKING:
    from federation.horizontal.plan import HorizontalPlan
    from federation.neural.settings import NeuralSettings

PRIVACY_KEYS = (
    "record_epsilon",
    "client_epsilon",
    "delta",
    "max_grad_norm",
    "epsilon_budget",
    "client_epsilon_budget",
)
BUDGETS = {"epsilon_budget": "record_epsilon", "client_epsilon_budget": "client_epsilon"}
KIND = "neural"
DELTA = 1e-5  # where a file has an ε and no δ


def neural_settings(
    config: FederationConfig, overrides: Mapping[str, Any] | None = None
) -> NeuralSettings:
    """The training's settings: the file's [model] and [privacy], then what the caller overrides.

    Raises:
        InputError: a key is unknown or a value out of range; names the file.
    """
    from federation.neural.settings import NeuralSettings

    values: dict[str, Any] = dict(config.model)
    kind = values.pop("kind", KIND)
    if kind != KIND:
        raise InputError(
            f"{config.path}: model.kind is '{kind}'; several banks train a model of kind \"{KIND}\""
        )
    _refuse_unknown(config, values)
    for key in ("record_epsilon", "max_grad_norm"):
        if key in config.privacy:
            values[key] = config.privacy[key]
    if "delta" in config.privacy:
        values["record_delta"] = config.privacy["delta"]
    asked = dict(overrides or {})
    _refuse_less_privacy(config, asked)
    values |= {key: value for key, value in asked.items() if key != "client_epsilon"}
    for key, value in values.items():
        if isinstance(value, tuple):  # a list of numbers in the file
            values[key] = tuple(int(item) if float(item).is_integer() else item for item in value)
    try:
        return NeuralSettings.from_json(values)
    except InputError as error:
        raise InputError(f"{config.path}: {error}") from error


def _refuse_unknown(config: FederationConfig, model: Mapping[str, Any]) -> None:
    """Every key is known, and stands in the table that protects it from being overridden.

    Raises:
        InputError: names the file and the key, and says what would be right.
    """
    from federation.neural.settings import IN_FILES, NeuralSettings

    if "label_epsilon" in config.privacy:
        raise InputError(
            f"{config.path}: privacy.label_epsilon protects labels in a vertical federation; "
            "several banks protect whole records: write record_epsilon"
        )
    for key in config.privacy:
        if key not in PRIVACY_KEYS:
            raise InputError(
                f"{config.path}: [privacy] has an unknown key '{key}'; {suggest(key, PRIVACY_KEYS)}"
            )
    known = [field.name for field in fields(NeuralSettings) if field.name not in IN_FILES]
    for key in model:
        if key in (*IN_FILES, *PRIVACY_KEYS):
            raise InputError(
                f"{config.path}: [model] has '{key}', which belongs under [privacy]: "
                f"{IN_FILES.get(key, f'privacy.{key}')}"
            )
        if key not in known:
            raise InputError(
                f"{config.path}: model.{key} is not a setting of the neural model; "
                f"{suggest(key, known)}"
            )


def _refuse_less_privacy(config: FederationConfig, asked: Mapping[str, Any]) -> None:
    """A bank that set an ε is not talked out of it by whoever starts the run."""
    for key in ("record_epsilon", "client_epsilon"):
        declared = config.privacy.get(key)
        if declared is None or key not in asked:
            continue
        epsilon = asked[key]
        if epsilon is None or (isinstance(epsilon, int | float) and epsilon > float(str(declared))):
            raise InputError(
                f"{config.path}: privacy.{key} is {declared}, and this run asks for "
                f"{'none' if epsilon is None else epsilon}; ask for as much privacy or more, or "
                "change the file"
            )
    delta = asked.get("record_delta")
    declared = config.privacy.get(
        "delta", DELTA if {"record_epsilon", "client_epsilon"} & set(config.privacy) else None
    )
    if declared is not None and isinstance(delta, int | float) and delta > float(str(declared)):
        raise InputError(
            f"{config.path}: privacy.delta is {declared}, and this run asks for {delta}; ask for "
            "as much privacy or more, or change the file"
        )


def horizontal_plan(
    config: FederationConfig, manifest: PartyManifest, overrides: Mapping[str, Any] | None = None
) -> HorizontalPlan:
    """The plan as this bank's own files give it; the banks compare digests.

    Raises:
        InputError: the files do not serve for a horizontal training; names file and key.
    """
    from clients.bank.horizontal_table import input_schema
    from federation.horizontal.plan import HorizontalPlan

    config.require(Topology.HORIZONTAL)
    if config.aggregation is None:
        raise ValueError("a horizontal federation has aggregation settings")
    settings = neural_settings(config, overrides)
    client_epsilon = dict(overrides or {}).get(
        "client_epsilon", config.privacy.get("client_epsilon")
    )
    private = settings.record_epsilon is not None or client_epsilon is not None
    schema = input_schema(manifest, private=private)
    if settings.sequential and not schema.sequences:
        raise InputError(
            f"{manifest.path}: declares no monthly sequences, which model.architecture = "
            f'"{settings.architecture}" reads; declare groups with sequence = true under '
            '[features], or take "mlp"'
        )
    try:
        plan = HorizontalPlan(
            banks=tuple(sorted(party.name for party in config.parties)),
            schema=schema,
            settings=settings,
            scheme=str(config.aggregation.scheme),
            minimum_banks=config.aggregation.minimum_clients,
            dropouts=config.aggregation.dropouts,
            client_epsilon=client_epsilon,
            client_delta=settings.record_delta,
        )
    except InputError as error:
        raise InputError(f"{config.path}: {error}") from error
    _refuse_beyond_budget(config, plan)
    return plan


def _refuse_beyond_budget(config: FederationConfig, plan: HorizontalPlan) -> None:
    """Refuse what no history could make room for; the ledger of each bank is asked later.

    Raises:
        InputError: says the budget and what the run would spend.
    """
    asked = {
        "record_epsilon": plan.settings.record_epsilon,
        "client_epsilon": plan.client_epsilon,
    }
    for budget_key, key in BUDGETS.items():
        budget, epsilon = number(config, budget_key), asked[key]
        if budget is None:
            continue
        if epsilon is None:
            raise InputError(
                f"{config.path}: privacy.{budget_key} is {budget:g}, but this run has no {key}, so "
                f"no budget can be kept; set {key}, or have the budget's owner take it out"
            )
        if epsilon > budget:
            raise InputError(
                f"{config.path}: privacy.{budget_key} is {budget:g}, and this run's {key} is "
                f"{epsilon:g}; ask for {budget:g} at most, or have the budget's owner raise it"
            )


def number(config: FederationConfig, key: str) -> float | None:
    """A positive number of [privacy], or None.

    Raises:
        InputError: it is something else.
    """
    value = config.privacy.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise InputError(f"{config.path}: privacy.{key} is {value!r}; a positive number is right")
    return float(value)
