"""Settings of the two vertical neural trainings, and what all parties must agree on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from federation.additive.settings import NAME, RESERVED, AdditiveSettings
from federation.errors import InputError

# Monthly sequences: a name, and its columns with the oldest month first.
Sequences = Sequence[tuple[str, tuple[str, ...]]]
RECURRENT = ("gru", "lstm")
# Where a federation file has what isn't in its [model].
IN_FILES = {"label_epsilon": "privacy.label_epsilon", "label_delta": "privacy.delta"}


def _is_number(value: object) -> bool:
    """Settings come from files and from other parties: their types are not to be relied on."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _whole(value: object, least: int, most: int) -> tuple[bool, str]:
    return _is_whole(value, least, most), f"a whole number from {least} to {most}"


def _between(value: Any, above: float, most: float) -> tuple[bool, str]:
    return (
        _is_number(value) and above < value <= most,
        f"a number above {above:g}, at most {most:g}",
    )


def _from_zero(value: Any, below: float) -> tuple[bool, str]:
    return _is_number(value) and 0 <= value < below, f"a number from 0 up, below {below:g}"


def _one_of(value: object, choices: tuple[str, ...]) -> tuple[bool, str]:
    return value in choices, " or ".join(f'"{choice}"' for choice in choices)


def _refuse(settings: object, checks: Mapping[str, tuple[bool, str]]) -> None:
    for name, (holds, right) in checks.items():
        if not holds:
            raise InputError(
                f"{IN_FILES.get(name, f'model.{name}')} is {getattr(settings, name)!r}; "
                f"{right} is right"
            )


def _refuse_unknown(values: Mapping[str, Any], known: set[str], model: str) -> None:
    for name in values:
        if name not in known:
            raise InputError(
                f"model.{name} is not a setting of the {model} model; these are: "
                f"{', '.join(sorted(known))}"
            )


@dataclass(frozen=True)
class SplitSettings:
    """Hyper-parameters of one split training.

    Attributes:
        name: the training's name within its session.
        exchanges: most exchanges (embeddings up, gradients down); under label-DP exactly so many.
        joint_exchanges: of an exact training, how many of the last ones the validation rows join.
        patience: exchanges without a better validation loss after which an exact training goes on
            to the joint ones.
        embedding: numbers a borrower that a party's encoder makes; those of all parties are added.
        hidden: width of the layers over columns that are no sequence, and of the head.
        recurrent: "gru" or "lstm", over the monthly sequences.
        sequence_hidden: size of its state.
        local_passes: a feature party's passes over its rows between two exchanges.
        own_passes: the label party's.
        reach: how far along the gradient a feature party moves its embeddings in one exchange.
        batch_size: rows a local step.
        learning_rate: of the local steps (Adam).
        decay: factor on the learning rate from one exchange to the next.
        weight_decay: strength of the ridge on the weights.
        seed: draws first weights and batches.
        label_epsilon: ε of randomised response on the training labels, for the whole training;
            None for true labels, which the gradients then give away.
        label_delta: δ at which the ledger states the history; the mechanism itself has δ = 0.
    """

    name: str = "split"
    exchanges: int = 8
    joint_exchanges: int = 2
    patience: int = 2
    embedding: int = 8
    hidden: int = 32
    recurrent: str = "gru"
    sequence_hidden: int = 32
    local_passes: int = 1
    own_passes: int = 1
    reach: float = 4.0
    batch_size: int = 256
    learning_rate: float = 0.002
    decay: float = 0.65
    weight_decay: float = 1e-3
    seed: int = 0
    label_epsilon: float | None = None
    label_delta: float = 1e-5

    kind = "split"

    def __post_init__(self) -> None:
        """Refuse what can't be trained with, naming the field."""
        named = isinstance(self.name, str) and NAME.fullmatch(self.name) is not None
        epsilon = self.label_epsilon
        checks = {
            "name": (
                named and self.name not in RESERVED,
                "up to 64 letters, digits, '-', '_' and '.', a letter or digit first, and none of "
                f"{', '.join(RESERVED)}",
            ),
            "exchanges": _whole(self.exchanges, 2, 100),
            "joint_exchanges": _whole(self.joint_exchanges, 0, 100),
            "patience": _whole(self.patience, 1, 100),
            "embedding": _whole(self.embedding, 1, 256),
            "hidden": _whole(self.hidden, 1, 1024),
            "recurrent": _one_of(self.recurrent, RECURRENT),
            "sequence_hidden": _whole(self.sequence_hidden, 1, 1024),
            "local_passes": _whole(self.local_passes, 1, 100),
            "own_passes": _whole(self.own_passes, 1, 100),
            "reach": _between(self.reach, 0, 100),
            "batch_size": _whole(self.batch_size, 1, 1_000_000),
            "learning_rate": _between(self.learning_rate, 0, 1),
            "decay": _between(self.decay, 0, 1),
            "weight_decay": _from_zero(self.weight_decay, 10),
            "seed": _whole(self.seed, 0, 2**63 - 1),
            "label_epsilon": (
                epsilon is None or _between(epsilon, 0, 100)[0],
                "a number above 0, at most 100",
            ),
            "label_delta": (
                _is_number(self.label_delta) and 0 < self.label_delta < 0.1,
                "a number above 0 and below 0.1",
            ),
        }
        _refuse(self, checks)
        if self.joint_exchanges >= self.exchanges:
            raise InputError(
                f"model.joint_exchanges is {self.joint_exchanges} of {self.exchanges} exchanges; "
                "fewer than model.exchanges are right"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values for the session plan."""
        return {"kind": self.kind} | asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SplitSettings:
        """Back from plain values ('kind' may be among them); unknown names are refused."""
        content = {name: value for name, value in values.items() if name != "kind"}
        _refuse_unknown(content, cls.known(), "split")
        if content.get("label_epsilon") is not None:
            content.setdefault("name", "split-label-noise")
        return cls(**content)

    @classmethod
    def known(cls) -> set[str]:
        """Names of its settings."""
        return {field.name for field in fields(cls)}


@dataclass(frozen=True)
class EncoderSettings:
    """How a feature party pre-trains its sequence encoder, without any label.

    Attributes:
        embedding: numbers a borrower that the encoder makes, each a column for the bins.
        recurrent: "gru" or "lstm".
        sequence_hidden: size of its state.
        epochs: passes over its own rows.
        masked_share: share of the months that are hidden from the encoder, which must guess them.
        batch_size: rows a step.
        learning_rate: largest step size (Adam, falling to 0 along half a cosine).
        seed: draws first weights, batches and masks.
        declared_features: whether the party's declared features train beside the embedding.
    """

    embedding: int = 16
    recurrent: str = "gru"
    sequence_hidden: int = 32
    epochs: int = 6
    masked_share: float = 0.3
    batch_size: int = 256
    learning_rate: float = 0.003
    seed: int = 0
    declared_features: bool = False

    def __post_init__(self) -> None:
        """Refuse what can't be trained with, naming the field."""
        _refuse(
            self,
            {
                "embedding": _whole(self.embedding, 1, 256),
                "recurrent": _one_of(self.recurrent, RECURRENT),
                "sequence_hidden": _whole(self.sequence_hidden, 1, 1024),
                "epochs": _whole(self.epochs, 1, 1000),
                "masked_share": _from_zero(self.masked_share, 1),
                "batch_size": _whole(self.batch_size, 1, 1_000_000),
                "learning_rate": _between(self.learning_rate, 0, 1),
                "seed": _whole(self.seed, 0, 2**63 - 1),
                "declared_features": (isinstance(self.declared_features, bool), "true or false"),
            },
        )


@dataclass(frozen=True)
class BlindSettings:
    """A blind training: the additive model over columns that a frozen encoder made.

    Attributes:
        additive: settings of the model and its exchanges.
        encoder: of every feature party's pre-training.
    """

    additive: AdditiveSettings = field(default_factory=lambda: AdditiveSettings(name="blind"))
    encoder: EncoderSettings = field(default_factory=EncoderSettings)

    kind = "blind"

    @property
    def name(self) -> str:
        """The training's name within its session."""
        return self.additive.name

    @property
    def label_epsilon(self) -> float | None:
        """ε of the label noise; None for exact sums."""
        return self.additive.label_epsilon

    @property
    def label_delta(self) -> float:
        """Its δ."""
        return self.additive.label_delta

    def to_json(self) -> dict[str, Any]:
        """Plain values for the session plan, in one table."""
        return {"kind": self.kind} | self.additive.to_json() | asdict(self.encoder)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BlindSettings:
        """Back from plain values ('kind' may be among them); unknown names are refused."""
        content = {name: value for name, value in values.items() if name != "kind"}
        _refuse_unknown(content, cls.known(), "blind")
        own = {field.name for field in fields(EncoderSettings)}
        noisy = content.get("label_epsilon") is not None
        content.setdefault("name", "blind-label-noise" if noisy else "blind")
        return cls(
            AdditiveSettings.from_json({k: v for k, v in content.items() if k not in own}),
            EncoderSettings(**{k: v for k, v in content.items() if k in own}),
        )

    @classmethod
    def known(cls) -> set[str]:
        """Names of its settings."""
        both = (*fields(AdditiveSettings), *fields(EncoderSettings))
        return {field.name for field in both}
