"""Settings of one neural training, which all banks of a run agree on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError

ARCHITECTURES = ("mlp", "gru", "lstm")
LOCAL_OPTIMISERS = ("sgd", "adam")
SERVER_OPTIMISERS = ("fedavg", "fedadam", "fedyogi")

# Where a federation file has what isn't in its [model].
IN_FILES = {
    "record_epsilon": "privacy.record_epsilon",
    "record_delta": "privacy.delta",
    "max_grad_norm": "privacy.max_grad_norm",
}


@dataclass(frozen=True)
class NeuralSettings:
    """Hyper-parameters of one training of a model by several banks.

    Attributes:
        architecture: "mlp" (flat), or "gru" or "lstm" over the monthly sequences, fused with the
            static columns.
        hidden: sizes of the hidden layers of the head (of the whole MLP).
        sequence_hidden: size of the recurrent state ("gru", "lstm").
        embedding_size: numbers a category is embedded in.
        rounds: most rounds.
        local_epochs: passes over a bank's training rows a round; may be a fraction.
        batch_size: rows a local step.
        sampling_rate: under record-level privacy, the chance of each of a bank's records to be in
            a step; None takes `batch_size` divided by the bank's records.
        local_optimiser: "sgd" (with `momentum`) or "adam".
        learning_rate: its step size.
        momentum: of "sgd".
        weight_decay: strength of the ridge on the weights in local training.
        proximal_mu: strength of FedProx' pull towards the round's first weights; 0 is FedAvg.
        server_optimiser: "fedavg", "fedadam" or "fedyogi".
        server_learning_rate: its step size; 1 with "fedavg" takes the banks' mean as it is.
        server_momentum: β1 of "fedadam" and "fedyogi", momentum of "fedavg".
        server_second_momentum: β2 of "fedadam" and "fedyogi".
        server_adaptivity: τ of "fedadam" and "fedyogi".
        average_last: share of the rounds, the last ones, whose weights are averaged in the final
            model where nothing stopped early; 0 takes the last round's. It costs no privacy: all
            rounds' weights are seen.
        seed: draws the first weights and the order of batches.
        record_epsilon: ε of record-level privacy for the whole training; None trains without.
        record_delta: its δ.
        max_grad_norm: norm to which a record's gradient is clipped under record-level privacy.
        validation_share: share of a bank's training rows kept for early stopping (not under
            record-level privacy, where all train and nothing stops early).
        patience: rounds without a better validation loss after which training ends; 0 never does.
        update_norm_bound: L2 norm to which a bank's update of a round is clipped.
        minimum_rows: fewest training rows that a bank must have.

    Raises:
        InputError: a value isn't one to train with; the sentence names the field.
    """

    architecture: str = "mlp"
    hidden: tuple[int, ...] = (32,)
    sequence_hidden: int = 32
    embedding_size: int = 4
    rounds: int = 40
    local_epochs: float = 0.25
    batch_size: int = 128
    sampling_rate: float | None = None
    local_optimiser: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    proximal_mu: float = 0.0
    server_optimiser: str = "fedavg"
    server_learning_rate: float = 0.5
    server_momentum: float = 0.8
    server_second_momentum: float = 0.99
    server_adaptivity: float = 1e-3
    average_last: float = 0.25
    seed: int = 0
    record_epsilon: float | None = None
    record_delta: float = 1e-5
    max_grad_norm: float = 1.0
    validation_share: float = 0.2
    patience: int = 20
    update_norm_bound: float = 10.0
    minimum_rows: int = 50

    def __post_init__(self) -> None:
        """Refuse what can't be trained with, naming the field."""
        for name, (is_right, what_is_right) in _RULES.items():
            if not is_right(getattr(self, name)):
                raise InputError(
                    f"{IN_FILES.get(name, f'model.{name}')} is {getattr(self, name)!r}; "
                    f"{what_is_right} is right"
                )

    @property
    def private(self) -> bool:
        """Whether records are protected by DP-SGD."""
        return self.record_epsilon is not None

    @property
    def sequential(self) -> bool:
        """Whether the architecture reads the months one after the other."""
        return self.architecture != "mlp"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"hidden": list(self.hidden)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> NeuralSettings:
        """Back from plain values; what they leave out takes the defaults of their kind of training.

        The defaults are the class's own, except where `recommended` has others for the
        architecture and for record-level privacy.

        Raises:
            InputError: an unknown name, or a value that isn't one to train with.
        """
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise InputError(
                    f"model.{name} is not a setting of the neural model; these are: "
                    f"{', '.join(sorted(known))}"
                )
        content = recommended(
            values.get("architecture"),
            values.get("server_optimiser"),
            private=values.get("record_epsilon") is not None,
        ) | dict(values)
        if isinstance(content.get("hidden"), list):
            content["hidden"] = tuple(content["hidden"])
        for name in _FRACTIONS:
            if _is_whole(content.get(name), -(2**53), 2**53):
                content[name] = float(content[name])  # 1 and 1.0 are one setting, one digest
        return cls(**content)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def recommended(
    architecture: Any, server_optimiser: Any = "fedavg", *, private: bool
) -> dict[str, Any]:
    """Defaults that differ from the class's own for this kind of training.

    All were chosen on a validation cut of the UCI training rows divided among four banks.
    """
    if private:
        return dict(_PRIVATE)
    return dict(_SEQUENTIAL if str(architecture) in ("gru", "lstm") else {}) | dict(
        _SERVER.get(str(server_optimiser), {})
    )


_SEQUENTIAL: dict[str, Any] = {
    "rounds": 20,
    "local_epochs": 0.5,
    "local_optimiser": "adam",
    "learning_rate": 0.003,
    "server_learning_rate": 1.0,
    "server_momentum": 0.5,
    "patience": 6,
}
_SERVER: dict[str, dict[str, Any]] = {
    "fedadam": {"server_learning_rate": 0.1, "server_momentum": 0.9, "server_adaptivity": 0.01},
    "fedyogi": {"server_learning_rate": 0.05, "server_momentum": 0.8, "server_adaptivity": 0.01},
}
_PRIVATE: dict[str, Any] = {
    "hidden": (32,),
    "rounds": 10,
    "local_epochs": 2.5,
    "sampling_rate": 0.25,
    "local_optimiser": "sgd",
    "learning_rate": 1.0,
    "momentum": 0.9,
    "server_learning_rate": 1.0,
    "server_momentum": 0.0,
    "average_last": 0.5,
}


def check_trainable(labels: npt.NDArray[Any], settings: NeuralSettings) -> None:
    """Refuse training rows that can't be trained on.

    Args:
        labels: of the training rows, 1 for default, 0 for repaid.
        settings: of the training.

    Raises:
        InputError: fewer rows than `minimum_rows`, one class only, a label that is neither 0 nor 1,
            a batch larger than the data, or a δ of record-level privacy larger than 1/rows.
    """
    rows = len(labels)
    if rows < settings.minimum_rows:
        raise InputError(
            f"{rows} training rows; a bank needs at least {settings.minimum_rows} "
            "(model.minimum_rows)"
        )
    if not np.isin(labels, (0, 1)).all():
        raise InputError("a label of a training row is neither 0 nor 1")
    defaults = int(np.sum(labels))
    if defaults in (0, rows):
        raise InputError(
            f"{defaults} of {rows} training rows defaulted; both classes must be present"
        )
    relative = settings.private and settings.sampling_rate is not None
    if not relative and settings.batch_size > rows:
        raise InputError(
            f"model.batch_size is {settings.batch_size} and there are {rows} training rows; a "
            "batch can't be larger than the data"
        )
    if settings.private and settings.record_delta > 1 / rows:
        raise InputError(
            f"privacy.delta is {settings.record_delta:g}; with {rows} records it must be at most "
            f"1/{rows} = {1 / rows:.2g}, or one record could be given away whole"
        )


def _is_number(value: object) -> bool:
    """Settings come from files and from other parties: their types are not to be relied on."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


_Rule = tuple[Callable[[Any], bool], str]


def _one_of(choices: tuple[str, ...]) -> _Rule:
    return lambda value: value in choices, " or ".join(f'"{choice}"' for choice in choices)


def _whole(least: int, most: int) -> _Rule:
    return lambda value: _is_whole(value, least, most), f"a whole number from {least} to {most}"


def _positive(most: float) -> _Rule:
    return (
        lambda value: _is_number(value) and 0 < value <= most,
        f"a number above 0, at most {most:g}",
    )


def _not_negative(most: float) -> _Rule:
    return (
        lambda value: _is_number(value) and 0 <= value <= most,
        f"a number from 0 to {most:g}",
    )


def _below(bound: float) -> _Rule:
    return (
        lambda value: _is_number(value) and 0 <= value < bound,
        f"a number from 0 up, below {bound:g}",
    )


_RULES: dict[str, _Rule] = {
    "architecture": _one_of(ARCHITECTURES),
    "hidden": (
        lambda value: (
            isinstance(value, tuple)
            and len(value) <= 8
            and all(_is_whole(size, 1, 4096) for size in value)
        ),
        "a list of up to 8 layer sizes from 1 to 4096",
    ),
    "sequence_hidden": _whole(1, 1024),
    "embedding_size": _whole(1, 256),
    "rounds": _whole(1, 10_000),
    "local_epochs": _positive(100),
    "batch_size": _whole(1, 1_000_000),
    "sampling_rate": (
        lambda value: value is None or (_is_number(value) and 0 < value <= 1),
        "a number above 0, at most 1",
    ),
    "local_optimiser": _one_of(LOCAL_OPTIMISERS),
    "learning_rate": _positive(100),
    "momentum": _below(1),
    "weight_decay": _not_negative(10),
    "proximal_mu": _not_negative(1000),
    "server_optimiser": _one_of(SERVER_OPTIMISERS),
    "server_learning_rate": _positive(100),
    "server_momentum": _below(1),
    "server_second_momentum": _below(1),
    "server_adaptivity": _positive(1),
    "average_last": _not_negative(1),
    "seed": _whole(0, 2**63 - 1),
    "record_epsilon": (
        lambda value: value is None or (_is_number(value) and 0 < value <= 100),
        "a number above 0, at most 100",
    ),
    "record_delta": (
        lambda value: _is_number(value) and 0 < value < 0.1,
        "a number above 0 and below 0.1",
    ),
    "max_grad_norm": _positive(1000),
    "validation_share": _not_negative(0.5),
    "patience": _whole(0, 10_000),
    "update_norm_bound": _positive(1e6),
    "minimum_rows": _whole(10, 1_000_000),
}
_FRACTIONS = tuple(
    field.name for field in fields(NeuralSettings) if field.type in ("float", "float | None")
)
