"""The numbers of a split training at either side; no message is made here.

Between two exchanges every party makes several local passes over its rows against what it last
heard, as in FedBCD (Liu et al., 'FedBCD: A Communication-Efficient Collaborative Learning Framework
for Distributed Features', IEEE TSP 2022). The label party fits its encoder and head to fixed
embeddings. A feature party moves its embeddings e along the stale gradient g, held near where they
were: it minimises g·(e − e₀) + |e − e₀|²/(2·reach), that is, fits e to e₀ − reach·g.

Labels that randomised response has flipped with probability q are fitted by the forward correction
(Patrini et al., 'Making Deep Neural Networks Robust to Label Noise', CVPR 2017, theorem 2):
log-loss of q + (1 − 2q)·σ(s), whose minimiser is the one of true labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from federation.neural.schema import InputSchema
from federation.split.embeddings import Matrix
from federation.split.encoder import (
    CHUNK,
    PartyEncoder,
    PartyInputs,
    chunks,
    first_weights,
    load_weights,
    weights_of,
)
from federation.split.settings import SplitSettings

Weights = Mapping[str, Matrix]
Vector = npt.NDArray[np.float64]


def corrected_loss(log_odds: Tensor, labels: Tensor, flips: float) -> Tensor:
    """Log-loss of each borrower (n,) against labels that were flipped with this probability."""
    if flips == 0.0:
        return nn.functional.binary_cross_entropy_with_logits(log_odds, labels, reduction="none")
    # In logarithms: q is far below a float's grain where ε is large.
    flipped = torch.full_like(log_odds, math.log(flips))
    kept = math.log1p(-2.0 * flips)
    of_default = torch.logaddexp(flipped, kept + nn.functional.logsigmoid(log_odds))
    of_none = torch.logaddexp(flipped, kept + nn.functional.logsigmoid(-log_odds))
    return -(labels * of_default + (1.0 - labels) * of_none)


class LabelNetwork(nn.Module):
    """The label party's network: its own encoder, added to the partners', and the head."""

    def __init__(self, schema: InputSchema | None, settings: SplitSettings) -> None:
        """Without columns of its own (`schema` None) the label party has the head alone."""
        super().__init__()
        self.encoder = None if schema is None else PartyEncoder(schema, settings)
        self.linear = nn.Linear(settings.embedding, 1)
        self.curved = nn.Sequential(
            nn.ReLU(),
            nn.Linear(settings.embedding, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, 1),
        )

    def forward(self, embeddings: Tensor, inputs: PartyInputs | None) -> Tensor:
        """Log-odds (n,) of the partners' summed embeddings and the own columns."""
        total = embeddings
        if self.encoder is not None and inputs is not None:
            total = embeddings + self.encoder(inputs)
        log_odds: Tensor = self.linear(total) + self.curved(total)
        return log_odds.squeeze(1)


class LocalTraining:
    """What both sides share: Adam, batches in the party's own row order, a decaying step size.

    Args:
        network: the party's.
        settings: of the training.
        order: rows in the order of the party's own table, so that a training can be repeated
            whatever random order the session's alignment drew.
        generator: of first weights and batches.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: SplitSettings,
        order: npt.NDArray[np.int64],
        generator: np.random.Generator,
    ) -> None:
        self.network, self.settings, self.order = network, settings, order
        self.generator = generator
        first_weights(network, generator)
        self.optimiser = self._fresh_optimiser()

    def _fresh_optimiser(self) -> torch.optim.Adam:
        return torch.optim.Adam(
            self.network.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    @property
    def weights(self) -> Weights:
        """A copy of the network's."""
        return weights_of(self.network)

    def restore(self, weights: Weights) -> None:
        """Go on from earlier weights."""
        load_weights(self.network, weights)
        self.optimiser = self._fresh_optimiser()

    def batches(self, rows: npt.NDArray[np.bool_], exchange: int, passes: int) -> Iterator[Tensor]:
        """Batches of the rows, with the exchange's step size set."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * self.settings.decay ** (exchange - 1)
        own_order = self.order[rows[self.order]]
        for _ in range(passes):
            yield from chunks(self.generator.permutation(own_order), self.settings.batch_size)

    def step(self, loss: Tensor) -> None:
        """One step of Adam."""
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()


class LabelSide(LocalTraining):
    """The label party's numbers.

    Args:
        labels: of the borrowers of the fit (n,), flipped already where they are protected.
        flips: the probability with which they were; 0 for true labels.
        base_rate: the share of defaults that they speak for.
        inputs: the own columns of the fit; None without any.
    """

    def __init__(
        self,
        network: LabelNetwork,
        settings: SplitSettings,
        order: npt.NDArray[np.int64],
        generator: np.random.Generator,
        labels: Vector,
        flips: float,
        base_rate: float,
        inputs: PartyInputs | None,
    ) -> None:
        super().__init__(network, settings, order, generator)
        self.labels = torch.from_numpy(labels.astype(np.float32))
        self.flips, self.inputs = flips, inputs
        with torch.no_grad():
            network.linear.bias.fill_(math.log(base_rate / (1 - base_rate)))

    def fit(self, embeddings: Matrix, rows: npt.NDArray[np.bool_], exchange: int) -> float:
        """Local passes against fixed embeddings (n, k); returns the mean loss over the last one."""
        fixed = torch.from_numpy(embeddings)
        losses: list[float] = []
        last = math.ceil(rows.sum() / self.settings.batch_size)
        for batch in self.batches(rows, exchange, self.settings.own_passes):
            loss = self._losses(fixed[batch], batch).mean()
            self.step(loss)
            losses.append(float(loss.detach()))
        return float(np.mean(losses[-last:]))

    def gradients(self, embeddings: Matrix, rows: npt.NDArray[np.bool_]) -> Matrix:
        """Of each borrower's loss by its summed embedding (n, k); zeros outside `rows`."""
        gradients = np.zeros_like(embeddings)
        for chunk in chunks(self.order[rows[self.order]], CHUNK):
            at = torch.from_numpy(embeddings[chunk.numpy()]).requires_grad_(True)
            (gradient,) = torch.autograd.grad(self._losses(at, chunk).sum(), at)
            gradients[chunk.numpy()] = gradient.numpy()
        return gradients

    def log_odds(self, embeddings: Matrix) -> Vector:
        """Of the borrowers of the fit (n,)."""
        return log_odds_of(self.network, embeddings, self.inputs, self.order)

    def _losses(self, embeddings: Tensor, rows: Tensor) -> Tensor:
        inputs = None if self.inputs is None else self.inputs.rows(rows)
        return corrected_loss(self.network(embeddings, inputs), self.labels[rows], self.flips)


class FeatureSide(LocalTraining):
    """A feature party's numbers.

    Args:
        inputs: its columns of the fit.
    """

    def __init__(
        self,
        network: PartyEncoder,
        settings: SplitSettings,
        order: npt.NDArray[np.int64],
        generator: np.random.Generator,
        inputs: PartyInputs,
    ) -> None:
        super().__init__(network, settings, order, generator)
        self.encoder, self.inputs = network, inputs

    def embeddings(self) -> Matrix:
        """Of the borrowers of the fit (n, k)."""
        return embeddings_of(self.encoder, self.inputs, self.order)

    def follow(self, gradients: Matrix, exchange: int) -> None:
        """Local passes along gradients (n, k) at the present embeddings; zero rows do not train."""
        targets = torch.from_numpy(self.embeddings() - self.settings.reach * gradients)
        rows = np.abs(gradients).max(axis=1) > 0
        for batch in self.batches(rows, exchange, self.settings.local_passes):
            made = self.encoder(self.inputs.rows(batch))
            self.step(((made - targets[batch]) ** 2).sum(dim=1).mean() / 2)


def embeddings_of(
    network: PartyEncoder, inputs: PartyInputs, order: npt.NDArray[np.int64] | None = None
) -> Matrix:
    """An encoder's embeddings (n, k), rows evaluated in this order."""
    if not len(inputs):
        return np.zeros((0, network.size), dtype=np.float32)
    order = np.arange(len(inputs)) if order is None else order
    made: list[Matrix] = []
    with torch.no_grad():
        for chunk in chunks(order, CHUNK):
            made.append(network(inputs.rows(chunk)).numpy())
    values = np.empty((len(order), network.size), dtype=np.float32)
    values[order] = np.concatenate(made)
    return values


def log_odds_of(
    network: nn.Module,
    embeddings: Matrix,
    inputs: PartyInputs | None,
    order: npt.NDArray[np.int64] | None = None,
) -> Vector:
    """The label party's log-odds (n,), rows evaluated in this order."""
    values = np.empty(len(embeddings))
    if not len(embeddings):
        return values
    order = np.arange(len(embeddings)) if order is None else order
    with torch.no_grad():
        for chunk in chunks(order, CHUNK):
            own = None if inputs is None else inputs.rows(chunk)
            values[chunk.numpy()] = network(torch.from_numpy(embeddings)[chunk], own).numpy()
    return values
