"""What the banks of a horizontal run agree on: each has it from its own files.

The coordinator learns the digest alone, compares the banks' digests, and leaves out who differs.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from federation.errors import InputError
from federation.horizontal.count_noise import CountNoise
from federation.horizontal.messages import PROTOCOL_VERSION
from federation.neural.schema import InputSchema
from federation.neural.settings import NeuralSettings
from federation.record_chain import canonical_json

SCHEMES = ("bfv", "ckks")
EVALUATION_BINS = 256
LARGEST_EPSILON = 100


@dataclass(frozen=True)
class HorizontalPlan:
    """The agreement.

    Attributes:
        banks: names of all of them, sorted.
        schema: the model's inputs.
        settings: of the model and its training.
        scheme: 'bfv' or 'ckks', the homomorphic encryption of the sums.
        minimum_banks: fewer contributions are never summed.
        dropouts: how many banks may fall silent in a step without costing it.
        client_epsilon, client_delta: of client-level differential privacy over the whole run;
            None for none. It needs `settings.update_norm_bound`.
    """

    banks: tuple[str, ...]
    schema: InputSchema
    settings: NeuralSettings
    scheme: str = "bfv"
    minimum_banks: int = 3
    dropouts: int = 1
    client_epsilon: float | None = None
    client_delta: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse what nobody could follow."""
        if len(self.banks) < 2 or list(self.banks) != sorted(set(self.banks)):
            raise InputError(
                f"a horizontal run needs two banks or more, each with a name of its own; "
                f"these were given: {', '.join(self.banks) or 'none'}"
            )
        if self.scheme not in SCHEMES:
            raise InputError(f"aggregation.scheme is '{self.scheme}'; 'bfv' or 'ckks' is right")
        if not 2 <= self.minimum_banks <= len(self.banks):
            raise InputError(
                f"aggregation.minimum_clients is {self.minimum_banks}; a whole number from 2 to "
                f"the {len(self.banks)} banks is right: the sum of one is no secret"
            )
        if not 0 <= self.dropouts <= len(self.banks) - self.minimum_banks:
            raise InputError(
                f"aggregation.dropouts is {self.dropouts}; with {len(self.banks)} banks of which "
                f"{self.minimum_banks} must contribute, 0 to "
                f"{len(self.banks) - self.minimum_banks} is right"
            )
        if not _is_epsilon(self.client_epsilon):
            raise InputError(
                f"privacy.client_epsilon is {self.client_epsilon!r}; a number above 0, at most "
                f"{LARGEST_EPSILON} is right"
            )

    @property
    def is_private(self) -> bool:
        """Whether any differential privacy holds: then nothing unprotected leaves a bank."""
        return self.settings.record_epsilon is not None or self.client_epsilon is not None

    @property
    def stops_early(self) -> bool:
        """Whether validation losses are summed and end the training when they no longer fall."""
        return self.settings.patience > 0 and not self.is_private

    @property
    def calibration_noise(self) -> CountNoise | None:
        """The noise of the histogram that calibrates the model; None where none is summed.

        Where whole banks are protected, a histogram would need noise for that too.
        """
        settings = self.settings
        if settings.record_epsilon is None or self.client_epsilon is not None:
            return None
        return CountNoise.for_share(settings.record_epsilon, settings.record_delta)

    @property
    def digest(self) -> str:
        """SHA-256 over all of it, in hexadecimal."""
        content = {
            "version": PROTOCOL_VERSION,
            "banks": list(self.banks),
            "schema": self.schema.to_json(),
            "settings": self.settings.to_json(),
            "scheme": self.scheme,
            "minimum_banks": self.minimum_banks,
            "dropouts": self.dropouts,
            "client_epsilon": self.client_epsilon,
            "client_delta": self.client_delta,
        }
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _is_epsilon(value: object) -> bool:
    """None, or a number in range: it comes from files and from the coordinator."""
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 < value <= LARGEST_EPSILON


def differences(schema: InputSchema, others: InputSchema, most: int = 3) -> str:
    """In words, how a bank's inputs differ from other banks'; '' where they don't.

    Args:
        schema: the bank's.
        others: the other banks'.
        most: at most so many are named, and the rest counted.
    """
    own, common = _declared(schema), _declared(others)
    words = [f"lacks '{name}'" for name in common if name not in own]
    words += [f"has '{name}', which the others lack" for name in own if name not in common]
    for name in own.keys() & common.keys():
        for what in sorted(own[name].keys() | common[name].keys()):
            mine, theirs = own[name].get(what), common[name].get(what)
            if mine != theirs:
                words.append(f"'{name}' has {what} {_shown(mine)}, not {_shown(theirs)}")
    words.sort()
    more = len(words) - most
    return "; ".join(words[:most]) + (f"; and {more} more" if more > 0 else "")


def _declared(schema: InputSchema) -> dict[str, dict[str, object]]:
    """What banks declare, by input."""
    declared: dict[str, dict[str, object]] = {}
    for column in schema.numeric:
        declared[column.name] = {
            "unit": column.unit,
            "minimum": column.minimum,
            "maximum": column.maximum,
        }
    for choice in schema.categorical:
        declared[choice.name] = {"categories": choice.categories}
    for channel in schema.sequences:
        declared[f"{channel.name} (sequence)"] = {"columns": channel.columns}
    return declared


def _shown(value: object) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, tuple):
        return ", ".join(map(str, value[:6])) + (", …" if len(value) > 6 else "")
    return f"'{value}'" if isinstance(value, str) else f"{value:g}"
