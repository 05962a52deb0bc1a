"""What every bank does with the decrypted mean update: the same arithmetic, to the bit.

Reddi et al., 'Adaptive Federated Optimization' (ICLR 2021), algorithm 2, without bias correction:
FedAdam and FedYogi; FedAvg (McMahan et al. 2017) with a step size and a momentum, which 0 turns
off. Everything is elementwise in float64 with +, −, ×, ÷ and square root, which IEEE 754 rounds the
same on every machine; there are no sums whose order could differ.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.neural.settings import NeuralSettings

Vector = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ServerState:
    """What the optimiser remembers between rounds.

    Attributes:
        applied: rounds applied so far.
        momentum, second: m and v of the paper (p,).
        averaged: how many rounds' weights are in `average`.
        average: their mean (p,).
    """

    applied: int
    momentum: Vector
    second: Vector
    averaged: int
    average: Vector

    def to_bytes(self) -> bytes:
        """As safetensors."""
        from safetensors.numpy import save

        content: bytes = save(
            {"momentum": self.momentum, "second": self.second, "average": self.average},
            {"counts": json.dumps([self.applied, self.averaged])},
        )
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> ServerState:
        """Back from `to_bytes`.

        Raises:
            InputError: not such bytes.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            vectors = load(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            applied, averaged = json.loads(header["__metadata__"]["counts"])
            parts = [vectors[name] for name in ("momentum", "second", "average")]
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise InputError("server optimiser: its saved state can't be read") from error
        if any(
            part.dtype != np.float64 or part.ndim != 1 or part.shape != parts[0].shape
            for part in parts
        ):
            raise InputError("server optimiser: its saved state is not three vectors of one length")
        return cls(int(applied), parts[0], parts[1], int(averaged), parts[2])


class ServerOptimiser:
    """The server's step of a federated optimiser, taken by every bank for itself.

    Args:
        settings: names the optimiser and its numbers.
    """

    def __init__(self, settings: NeuralSettings) -> None:
        self._settings = settings
        # Rounds from this one on (counted from 1) are in the average.
        self._first_averaged = settings.rounds - round(settings.average_last * settings.rounds) + 1

    def init(self, size: int) -> ServerState:
        """The state before the first round, of a model of `size` parameters."""
        second = np.full(size, self._settings.server_adaptivity**2)
        return ServerState(0, np.zeros(size), second, 0, np.zeros(size))

    def apply(
        self, state: ServerState, weights: npt.NDArray[Any], mean_delta: npt.NDArray[Any]
    ) -> tuple[ServerState, Weights]:
        """One round.

        Args:
            state: what the last round left.
            weights: (p,) with which the banks began the round.
            mean_delta: (p,) weighted mean of what local training added to them.

        Returns:
            The next state and the weights of the next round, float32.

        Raises:
            InputError: the mean update isn't finite, or of another length.
        """
        delta = np.asarray(mean_delta, dtype=np.float64)
        if delta.shape != state.momentum.shape or weights.shape != delta.shape:
            raise InputError(
                f"server optimiser: an update of shape {delta.shape} for weights of shape "
                f"{weights.shape}; the model has {state.momentum.shape[0]}"
            )
        if not np.isfinite(delta).all():
            raise InputError("server optimiser: the mean update is not of finite numbers")
        chosen = self._settings
        share = chosen.server_momentum
        if chosen.server_optimiser == "fedavg":
            momentum, second = share * state.momentum + delta, state.second
            step = momentum
        else:
            momentum = share * state.momentum + (1.0 - share) * delta
            square = delta * delta
            rest = 1.0 - chosen.server_second_momentum
            if chosen.server_optimiser == "fedadam":
                second = chosen.server_second_momentum * state.second + rest * square
            else:
                second = state.second - rest * square * np.sign(state.second - square)
            step = momentum / (np.sqrt(second) + chosen.server_adaptivity)
        moved = np.asarray(weights, dtype=np.float64) + chosen.server_learning_rate * step
        after = moved.astype(np.float32)
        applied = state.applied + 1
        averaged, average = state.averaged, state.average
        if applied >= self._first_averaged:
            averaged += 1
            average = average + (after.astype(np.float64) - average) / averaged
        return ServerState(applied, momentum, second, averaged, average), after

    def final(self, state: ServerState, weights: npt.NDArray[Any]) -> Weights:
        """The model to keep after the last round: the average, where rounds are averaged.

        Averages of iterates: Polyak & Juditsky 1992. A function of what was released anyway, so it
        costs no privacy.
        """
        kept = state.average if state.averaged else np.asarray(weights)
        return kept.astype(np.float32)
