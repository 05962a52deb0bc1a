"""DP-SGD: local training in which no single record of a bank can be recognised.

Abadi et al., 'Deep Learning with Differential Privacy' (CCS 2016), algorithm 1, by Opacus: every
record is in a step with the same chance, independently of all others (Poisson sampling); each
record's gradient is clipped to a norm C; Gaussian noise of standard deviation σ·C is added to their
sum, which is divided by the mean number of records in a step, never by the actual one. Clipping
goes without single gradients in a flat model ('ghost' clipping: Li et al., ICLR 2022) and with them
in a recurrent one.

What leaves the records is the noisy sum of each step and nothing else: no loss, no count, no order.
Which records are drawn, and the noise, come from the operating system (see `noise`).
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import torch
from opacus.grad_sample import (
    GradSampleModule,
    GradSampleModuleFastGradientClipping,
    register_grad_sampler,
    register_norm_sampler,
)
from opacus.grad_sample.embedding import compute_embedding_grad_sample
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import nn

from federation.errors import InputError
from federation.neural.local_training import (
    Labels,
    LocalUpdate,
    difference,
    local_optimiser,
    pull_back,
)
from federation.neural.models import CategoryEmbedding, SequenceEncoder
from federation.neural.noise import NoiseSource, SystemNoise
from federation.neural.scaling import Inputs
from federation.neural.settings import NeuralSettings, check_trainable
from federation.neural.weights import flatten, tensors

# Gradients a record need memory for so many records, whatever a step draws.
_MOST_RECORDS_AT_ONCE = 2048


def sampling_rate(settings: NeuralSettings, rows: int) -> float:
    """The chance of each of a bank's records to be in a step."""
    if settings.sampling_rate is not None:
        return float(settings.sampling_rate)
    return min(1.0, settings.batch_size / rows)


def steps_a_round(settings: NeuralSettings, rows: int) -> int:
    """Steps of a round, planned before it: `local_epochs` passes on the average."""
    return max(1, round(settings.local_epochs / sampling_rate(settings, rows)))


def train_privately(
    model: nn.Module,
    inputs: Inputs,
    labels: Labels,
    settings: NeuralSettings,
    noise_multiplier: float,
    steps: int,
    noise: NoiseSource | None = None,
) -> LocalUpdate:
    """Train a copy of the model for one round, with exactly `steps` noisy steps.

    Args:
        model: a network with the round's weights, which stay as they are; a recurrent one must
            have been built for private settings.
        inputs: the training rows.
        labels: theirs, 0 or 1.
        settings: of the training; `max_grad_norm` is C.
        noise_multiplier: σ, above 0, as the accountant calibrated it for `sampling_rate` and all
            steps of all rounds.
        steps: how many; a step that draws no record adds noise like any other.
        noise: None takes the operating system's; anything else is for tests.

    Raises:
        InputError: see `check_trainable`; or the weights grew beyond all numbers.
        ValueError: σ or the number of steps isn't positive.
    """
    if not noise_multiplier > 0 or steps < 1:
        raise ValueError("DP-SGD needs a positive noise multiplier and at least one step")
    if not settings.private:
        raise InputError("privacy.record_epsilon is not set, and private training was asked for")
    check_trainable(labels, settings)
    rate = sampling_rate(settings, len(labels))
    source = noise or SystemNoise()
    before = flatten(model)
    engine = _Engine(
        copy.deepcopy(model).train(), settings, noise_multiplier, rate * len(labels), source
    )
    columns = tensors(inputs)
    target = torch.from_numpy(np.asarray(labels, dtype=np.float32))
    with warnings.catch_warnings():
        # Inputs need no gradients; Opacus' hooks are told those of the outputs all the same.
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        for _ in range(steps):
            rows = torch.from_numpy(np.flatnonzero(source.uniform(len(labels)) <= rate))
            engine.step(tuple(part[rows] for part in columns), target[rows])
    return LocalUpdate(difference(engine.network, before), None, steps)


def _embedding_norms(
    layer: Any, activations: list[torch.Tensor], gradients: torch.Tensor
) -> dict[nn.Parameter, torch.Tensor]:
    """Norms (n,) of each borrower's gradient of the rows: it has one code, so it is its row's.

    Opacus' own for embeddings allows for many codes and sorts them all: a third of the run time.
    """
    return {layer.weight: gradients.flatten(1).norm(2, dim=1)}


register_norm_sampler(CategoryEmbedding)(_embedding_norms)
register_grad_sampler(CategoryEmbedding)(compute_embedding_grad_sample)


class _Noisy:
    """In front of one of Opacus' optimisers: its noise comes from our source.

    `noise_multiplier`, `max_grad_norm`, `params` and each parameter's `summed_grad` (the sum of
    clipped gradients) are Opacus'.
    """

    source: NoiseSource

    def add_noise(self) -> None:
        """Put the sum of clipped gradients and the noise into every parameter's `grad`."""
        optimiser: Any = self
        deviation = optimiser.noise_multiplier * optimiser.max_grad_norm
        for parameter in optimiser.params:
            drawn = deviation * self.source.normal(parameter.numel())
            noisy = parameter.summed_grad.double().reshape(-1) + torch.from_numpy(drawn)
            parameter.grad = noisy.to(parameter.dtype).view_as(parameter)


class _GhostOptimiser(_Noisy, DPOptimizerFastGradientClipping):  # type: ignore[misc]
    """For gradients that come clipped and summed."""


class _HookOptimiser(_Noisy, DPOptimizer):  # type: ignore[misc]
    """For gradients a record."""


class _Engine:
    """Opacus' parts around one network, and FedProx' pull after the noise."""

    def __init__(
        self,
        network: nn.Module,
        settings: NeuralSettings,
        noise_multiplier: float,
        mean_records: float,
        source: NoiseSource,
    ) -> None:
        self.network = network
        self._proximal_mu = settings.proximal_mu
        self._parameters = list(network.parameters())
        self._anchors = [parameter.detach().clone() for parameter in self._parameters]
        recurrent = any(isinstance(part, SequenceEncoder) for part in network.modules())
        inner = local_optimiser(network, settings)
        kept: dict[str, Any] = {
            "noise_multiplier": noise_multiplier,
            "max_grad_norm": settings.max_grad_norm,
            "expected_batch_size": mean_records,
            "loss_reduction": "mean",
        }
        criterion = nn.BCEWithLogitsLoss()
        self._module: nn.Module
        self._optimiser: Any
        self._criterion: Any
        if recurrent:
            self._module = GradSampleModule(network, loss_reduction="mean")
            self._optimiser = _HookOptimiser(inner, **kept)
            self._criterion = criterion
        else:
            wrapped = GradSampleModuleFastGradientClipping(
                network,
                loss_reduction="mean",
                max_grad_norm=settings.max_grad_norm,
                use_ghost_clipping=True,
            )
            self._module = wrapped
            self._optimiser = _GhostOptimiser(inner, **kept)
            self._criterion = DPLossFastGradientClipping(
                wrapped, self._optimiser, criterion, loss_reduction="mean"
            )
        self._optimiser.source = source
        self._optimiser.attach_step_hook(self._after_noise)

    def step(self, columns: tuple[torch.Tensor, ...], target: torch.Tensor) -> None:
        """One noisy step on the drawn records, which may be none."""
        pieces = torch.split(torch.arange(len(target)), _MOST_RECORDS_AT_ONCE)
        for index, piece in enumerate(pieces):
            self._optimiser.zero_grad()
            if len(piece):
                part = (column[piece] for column in columns)
                self._criterion(self._module(*part), target[piece]).backward()
            else:
                self._no_gradients()
            # All but the last piece are only clipped and added up.
            self._optimiser.signal_skip_step(index < len(pieces) - 1)
            self._optimiser.step()

    def _no_gradients(self) -> None:
        """What a backward pass over no records would leave."""
        for parameter in self._parameters:
            parameter.grad = torch.zeros_like(parameter)
            parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))  # type: ignore[attr-defined]

    def _after_noise(self, _: Any) -> None:
        pull_back(self._parameters, self._anchors, self._proximal_mu)
