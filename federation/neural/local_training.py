"""What a bank does with the round's weights on its own rows, and what comes of it.

FedAvg (McMahan et al., AISTATS 2017) and FedProx (Li et al., MLSys 2020, equation 2), whose
objective adds μ/2·‖w − w⁰‖² with w⁰ the weights at the round's start.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from federation.errors import InputError
from federation.neural.scaling import Inputs
from federation.neural.settings import NeuralSettings, check_trainable
from federation.neural.weights import Vector, flatten, tensors

Labels = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class LocalUpdate:
    """What local training added to the weights.

    Attributes:
        delta: (p,) float32, the weights after minus before.
        loss: mean log-loss of the batches, in nats; None under record-level privacy, since nothing
            but the noisy steps may leave the records.
        steps: optimiser steps taken.
    """

    delta: Vector
    loss: float | None
    steps: int


def train_locally(
    model: nn.Module,
    inputs: Inputs,
    labels: Labels,
    settings: NeuralSettings,
    generator: np.random.Generator,
) -> LocalUpdate:
    """Train a copy of the model on a bank's rows for one round.

    Args:
        model: a network with the round's weights, which stay as they are.
        inputs: the training rows.
        labels: theirs, 0 or 1.
        settings: of the training.
        generator: draws the order of the rows.

    Raises:
        InputError: see `check_trainable`; or the weights grew beyond all numbers.
    """
    check_trainable(labels, settings)
    before = flatten(model)
    local = copy.deepcopy(model).train()
    optimiser = local_optimiser(local, settings)
    parameters = list(local.parameters())
    anchors = [parameter.detach().clone() for parameter in parameters]
    columns = tensors(inputs)
    target = torch.from_numpy(np.asarray(labels, dtype=np.float32))
    criterion = nn.BCEWithLogitsLoss()
    total = 0.0
    batches = _batches(len(labels), settings, generator)
    for batch in batches:
        rows = torch.from_numpy(batch)
        optimiser.zero_grad()
        loss = criterion(local(*(part[rows] for part in columns)), target[rows])
        loss.backward()
        pull_back(parameters, anchors, settings.proximal_mu)
        optimiser.step()
        total += float(loss.detach())
    return LocalUpdate(difference(local, before), total / len(batches), len(batches))


def local_optimiser(module: nn.Module, settings: NeuralSettings) -> torch.optim.Optimizer:
    """A fresh optimiser of local steps: it remembers nothing of earlier rounds."""
    if settings.local_optimiser == "adam":
        return torch.optim.AdamW(
            module.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
    return torch.optim.SGD(
        module.parameters(),
        settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )


def pull_back(
    parameters: list[nn.Parameter], anchors: list[torch.Tensor], proximal_mu: float
) -> None:
    """Add the gradient of FedProx' term, μ·(w − w⁰); it depends on no record."""
    if proximal_mu == 0:
        return
    with torch.no_grad():
        for parameter, anchor in zip(parameters, anchors, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(parameter - anchor, alpha=proximal_mu)


def difference(after: nn.Module, before: Vector) -> Vector:
    """What training added to the weights (p,).

    Raises:
        InputError: the weights grew beyond all numbers.
    """
    delta = flatten(after) - before
    if not np.isfinite(delta).all():
        raise InputError(
            "local training diverged: the weights are no finite numbers any more; a smaller "
            "model.learning_rate is right"
        )
    return delta


def clip_norm(delta: Vector, bound: float) -> Vector:
    """The update, shortened to the L2 norm `bound` where it is longer."""
    norm = float(np.linalg.norm(delta.astype(np.float64)))
    return delta if norm <= bound else (delta * (bound / norm)).astype(np.float32)


def _batches(
    rows: int, settings: NeuralSettings, generator: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Row positions of a round's batches: passes in fresh orders, cut after the last epoch's share.

    A pass is cut into equal batches of about `batch_size`, so that none is tiny.
    """
    cuts = max(1, round(rows / settings.batch_size))
    steps = max(1, round(settings.local_epochs * cuts))
    batches: list[npt.NDArray[np.int64]] = []
    while len(batches) < steps:
        batches += np.array_split(generator.permutation(rows), cuts)
    return batches[:steps]
