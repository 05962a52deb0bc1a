"""The blind training's encoder: a feature party pre-trains it on its own months, without any label.

It guesses hidden months from those around them (masked prediction: Devlin et al. 2019; for tables
Yoon et al., 'VIME', NeurIPS 2020) and the next month from those before (Srivastava, Mansimov,
Salakhutdinov, ICML 2015). Then it is frozen, and its state after the last month, rounded, becomes
columns of the party, which train like any other of its columns: through bins and private linear
maps. No gradient leaves anybody, and the label party learns no embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from federation.errors import InputError
from federation.neural.models import SequenceEncoder
from federation.neural.scaling import channel_width
from federation.neural.schema import InputSchema
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.split.encoder import (
    CHUNK,
    Preparation,
    chunks,
    first_weights,
    generator_for,
    load_weights,
    weights_of,
)
from federation.split.part import NetworkPart, preparation_json, preparation_of
from federation.split.settings import EncoderSettings, Sequences

KIND = "blind-encoder"
LEVELS = 64  # embeddings lie within ±1 and are rounded to so many steps a unit
DECODER = 64  # width of the layer that guesses months; thrown away after the pre-training


class MonthEncoder(nn.Module):
    """A recurrent network over the months, with a short bounded vector after each.

    Args:
        schema: the party's sequences.
        settings: of the pre-training.
    """

    def __init__(self, schema: InputSchema, settings: EncoderSettings) -> None:
        super().__init__()
        # One number more a month: whether it is hidden.
        width = channel_width(schema) + 1
        self.sequence = SequenceEncoder(width, settings.sequence_hidden, settings.recurrent)
        self.narrow = nn.Linear(settings.sequence_hidden, settings.embedding)

    def forward(self, months: Tensor, hidden: Tensor) -> Tensor:
        """(n, months, channels) and (n, months, 1) to (n, months, embedding), within ±1."""
        visible = torch.cat([months * (1 - hidden), hidden], dim=2)
        states: Tensor = self.sequence.recurrent(visible)[0]
        return torch.tanh(self.narrow(states))


def pretrain(
    columns: Sequence[FeatureColumn],
    sequences: Sequences,
    rows: npt.NDArray[np.bool_],
    settings: EncoderSettings,
    party: str,
    session: str,
    training: str,
) -> NetworkPart:
    """The party's frozen encoder; the same for the same table and seed.

    Args:
        columns: the party's features, of its whole table.
        sequences: its monthly sequences; their columns are among the features.
        rows: which rows to train on.
        settings: of the pre-training.
        party, session, training: names.

    Raises:
        InputError: the party declares no sequence, or has no row to train on.
    """
    if not sequences:
        raise InputError(
            f"a blind training needs a monthly sequence of every feature party, and '{party}' "
            "declares none; write sequence = true to a group of columns in its manifest"
        )
    if not rows.any():
        raise InputError(f"'{party}' has no row to pre-train its encoder on")
    inside = {name for _, names in sequences for name in names}
    own = [column for column in columns if column.spec.name in inside]
    preparation = Preparation.of(own, sequences, np.flatnonzero(rows))
    months = preparation.inputs(own).sequences[torch.from_numpy(rows)]
    generator = generator_for(settings.seed, party)
    encoder = MonthEncoder(preparation.schema, settings)
    count, length, width = months.shape
    guess_all = _decoder(settings.embedding, length * width)
    guess_next = _decoder(settings.embedding, width)
    networks = nn.ModuleList([encoder, guess_all, guess_next])
    first_weights(networks, generator)
    optimiser = torch.optim.Adam(networks.parameters(), lr=settings.learning_rate)
    steps = settings.epochs * math.ceil(count / settings.batch_size)
    step = 0
    for _ in range(settings.epochs):
        for batch in chunks(generator.permutation(count), settings.batch_size):
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
            drawn = generator.random((len(batch), length, 1)) < settings.masked_share
            seen = encoder(months[batch], torch.from_numpy(drawn.astype(np.float32)))
            truth = months[batch]
            loss = ((guess_all(seen[:, -1]).view_as(truth) - truth) ** 2).mean()
            if length > 1:
                loss = loss + ((guess_next(seen[:, :-1]) - truth[:, 1:]) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
    return NetworkPart(
        kind=KIND,
        party=party,
        session=session,
        training=training,
        settings={name: getattr(settings, name) for name in settings.__dataclass_fields__},
        preparation=preparation_json(preparation),
        weights=weights_of(encoder),
    )


def embedding_columns(part: NetworkPart, columns: Sequence[FeatureColumn]) -> list[FeatureColumn]:
    """The embedding of some borrowers as columns, one a number.

    Raises:
        InputError: the part is no encoder, or a column of its sequences is missing.
    """
    preparation = preparation_of(part)
    if part.kind != KIND or preparation is None:
        raise InputError(f"the model part of {part.party} is not an encoder")
    settings = EncoderSettings(**part.settings)
    encoder = MonthEncoder(preparation.schema, settings)
    load_weights(encoder, part.weights)
    inside = {column.name for column in preparation.schema.numeric}
    months = preparation.inputs(
        [column for column in columns if column.spec.name in inside]
    ).sequences
    present = columns[0].present
    values = np.full((len(months), settings.embedding), np.nan)
    with torch.no_grad():
        for rows in chunks(np.arange(len(months)), CHUNK):
            chunk = months[rows]
            hidden = torch.zeros((*chunk.shape[:2], 1))
            values[rows.numpy()] = encoder(chunk, hidden)[:, -1].numpy()
    rounded = np.rint(values * LEVELS) / LEVELS
    rounded[~present] = np.nan
    return [
        FeatureColumn(
            FeatureSpec(f"{part.training} embedding {number}", FeatureKind.NUMERIC),
            rounded[:, number - 1],
            present,
        )
        for number in range(1, settings.embedding + 1)
    ]


def _decoder(size: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, DECODER), nn.ReLU(), nn.Linear(DECODER, width))
