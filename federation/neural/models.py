"""The networks: a flat MLP, and a recurrent encoder of the months fused with the static columns.

Gated recurrent unit: Cho et al. 2014; long short-term memory: Hochreiter & Schmidhuber 1997. Under
record-level privacy the recurrent layers are Opacus', whose gradients exist a record; both kinds
have the same parameters under the same names, so weights pass from one to the other. No batch
normalisation: it would mix records. Activations are bounded (tanh), which keeps gradients short, so
that clipping them distorts less (Papernot et al., 'Tempered Sigmoid Activations for Deep Learning
with Differential Privacy', AAAI 2021).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from federation.errors import InputError
from federation.neural.scaling import channel_width, static_width
from federation.neural.schema import InputSchema
from federation.neural.settings import NeuralSettings


class CategoryEmbedding(nn.Embedding):
    """A row of numbers for each code, one code a borrower (n,) to (n, embedding_size)."""


class StaticEncoder(nn.Module):
    """Numbers side by side with the embeddings of the categories.

    Args:
        categories: number of codes of each categorical input (its categories and code 0).
        embedding_size: numbers an embedding has.
    """

    def __init__(self, categories: tuple[int, ...], embedding_size: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(
            CategoryEmbedding(codes, embedding_size) for codes in categories
        )

    def forward(self, numeric: Tensor, categories: Tensor) -> Tensor:
        """(n, k) float32 and (n, c) int64 to (n, k + c·embedding_size)."""
        embedded = [layer(categories[:, index]) for index, layer in enumerate(self.embeddings)]
        return torch.cat([numeric, *embedded], dim=1)


class SequenceEncoder(nn.Module):
    """A recurrent network's state after the last month.

    Args:
        channels: numbers a month.
        hidden: size of the state.
        kind: "gru" or "lstm".
        private: whether gradients of single records are needed (Opacus' layers).
    """

    def __init__(self, channels: int, hidden: int, kind: str, private: bool = False) -> None:
        super().__init__()
        self.recurrent = _recurrent_layer(channels, hidden, kind, private)

    def forward(self, sequences: Tensor) -> Tensor:
        """(n, months, channels) float32, the oldest month first, to (n, hidden)."""
        states: Tensor = self.recurrent(sequences)[0]
        return states[:, -1]


class DefaultNetwork(nn.Module):
    """Log-odds of default from a borrower's columns.

    `sequence` is None in a flat model: the months are then read side by side.
    """

    def __init__(self, settings: NeuralSettings, schema: InputSchema) -> None:
        super().__init__()
        self.static = StaticEncoder(
            tuple(len(choice.categories) + 1 for choice in schema.categorical),
            settings.embedding_size,
        )
        width = static_width(schema) + len(schema.categorical) * settings.embedding_size
        self.sequence: SequenceEncoder | None = None
        if settings.sequential:
            self.sequence = SequenceEncoder(
                channel_width(schema),
                settings.sequence_hidden,
                settings.architecture,
                settings.private,
            )
            width += settings.sequence_hidden
        else:
            width += schema.months * channel_width(schema)
        layers: list[nn.Module] = []
        for size in settings.hidden:
            layers += [nn.Linear(width, size), nn.Tanh()]
            width = size
        self.head = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, numeric: Tensor, categories: Tensor, sequences: Tensor) -> Tensor:
        """Log-odds (n,) of the three tensors of `Inputs`."""
        history = sequences.flatten(1) if self.sequence is None else self.sequence(sequences)
        joined = torch.cat([self.static(numeric, categories), history], dim=1)
        log_odds: Tensor = self.head(joined)
        return log_odds.squeeze(1)


def build(settings: NeuralSettings, schema: InputSchema) -> DefaultNetwork:
    """The network with its first weights, the same at every bank and on every machine.

    Raises:
        InputError: a sequence model over a schema without sequences.
    """
    if settings.sequential and not schema.sequences:
        raise InputError(
            f"model.architecture is '{settings.architecture}', which reads monthly sequences, and "
            'the agreed schema has none; use "mlp", or declare sequences'
        )
    network = DefaultNetwork(settings, schema)
    initialise(network, settings.seed)
    with torch.no_grad():
        list(network.head.parameters())[-2].zero_()  # the first model says even odds to everybody
    return network


def initialise(module: nn.Module, seed: int) -> None:
    """First weights from the seed alone, drawn by NumPy in the order of the parameters' names.

    Matrices are drawn uniformly with the variance 1/(3·inputs), embeddings with standard deviation
    0.1, biases are 0. torch's own generator is not touched.
    """
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            shape = tuple(parameter.shape)
            if parameter.ndim < 2:
                values = np.zeros(shape)
            elif "embeddings" in name:
                values = generator.normal(0.0, 0.1, shape)
            else:
                bound = 1.0 / math.sqrt(shape[1])
                values = generator.uniform(-bound, bound, shape)
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def _recurrent_layer(channels: int, hidden: int, kind: str, private: bool) -> nn.Module:
    if kind not in ("gru", "lstm"):
        raise ValueError(f"a recurrent layer is 'gru' or 'lstm', not {kind!r}")
    if private:
        from opacus.layers import DPGRU, DPLSTM

        private_layer: nn.Module = (DPGRU if kind == "gru" else DPLSTM)(
            channels, hidden, batch_first=True
        )
        return private_layer
    plain = nn.GRU if kind == "gru" else nn.LSTM
    return plain(channels, hidden, batch_first=True)
