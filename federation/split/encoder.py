"""A party's bottom network: its own columns to a short vector; all parties' vectors are added up.

Recurrent over the monthly sequences, fused with all its columns side by side (those of the months
too); split learning: Vepakomma, Gupta, Swedish, Raskar 2018. A borrower whom the party does not
know ('label-left' alignment) gets one learned vector.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from federation.neural.models import SequenceEncoder, StaticEncoder
from federation.neural.scaling import Scaling, channel_width, static_width
from federation.neural.schema import CategoricalInput, InputSchema, NumericInput, SequenceInput
from federation.schema import FeatureColumn, FeatureKind
from federation.split.embeddings import BOUND
from federation.split.settings import Sequences, SplitSettings

CATEGORY_NUMBERS = 4  # numbers a category is embedded in
MOST_CATEGORIES = 50
FEWEST_ROWS = 10  # of a category that counts as one of its own
CHUNK = 4096  # rows evaluated at once


@dataclass(frozen=True)
class PartyInputs:
    """A party's columns as tensors, a row a borrower.

    Attributes:
        numeric: (n, k) float32.
        categories: (n, c) int64.
        sequences: (n, months, channels) float32.
        present: (n, 1) float32; 0 where the party does not know the borrower.
    """

    numeric: Tensor
    categories: Tensor
    sequences: Tensor
    present: Tensor

    def __len__(self) -> int:
        """Number of borrowers."""
        return len(self.present)

    def rows(self, index: Tensor) -> PartyInputs:
        """Some borrowers."""
        return PartyInputs(
            self.numeric[index], self.categories[index], self.sequences[index], self.present[index]
        )


@dataclass(frozen=True)
class Preparation:
    """How a party makes tensors of its columns; fitted on its own rows, it never leaves the party.

    Attributes:
        schema: its inputs.
        scaling: of them.
    """

    schema: InputSchema
    scaling: Scaling

    @classmethod
    def of(
        cls, columns: Sequence[FeatureColumn], sequences: Sequences, rows: npt.NDArray[np.int64]
    ) -> Preparation:
        """Fit on those of the rows that the party knows.

        Args:
            columns: the party's features.
            sequences: its monthly sequences; their columns are among the features.
            rows: which rows are looked at, in an order that is always the same: sums of floats
                depend on it.
        """
        known = rows[columns[0].present[rows]]
        own = {column.spec.name: _taken(column, known) for column in columns}
        schema = InputSchema(
            tuple(
                _numeric(column)
                for column in own.values()
                if column.spec.kind is FeatureKind.NUMERIC
            ),
            tuple(
                CategoricalInput(name, _frequent(c))
                for name, c in own.items()
                if c.spec.kind is FeatureKind.CATEGORICAL
            ),
            tuple(SequenceInput(name, columns_) for name, columns_ in sequences),
        )
        return cls(schema, Scaling.from_sums(schema, Scaling.statistics(own, schema)))

    def inputs(self, columns: Sequence[FeatureColumn]) -> PartyInputs:
        """Tensors of the columns, which must hold those of the schema."""
        by_name: Mapping[str, FeatureColumn] = {column.spec.name: column for column in columns}
        encoded = self.scaling.encode(by_name)
        present = columns[0].present.astype(np.float32)[:, None]
        return PartyInputs(
            torch.from_numpy(np.ascontiguousarray(encoded.numeric)),
            torch.from_numpy(np.ascontiguousarray(encoded.categories)),
            torch.from_numpy(np.ascontiguousarray(encoded.sequences)),
            torch.from_numpy(present),
        )


class PartyEncoder(nn.Module):
    """The bottom network of one party.

    Args:
        schema: the party's inputs.
        settings: of the training.
    """

    def __init__(self, schema: InputSchema, settings: SplitSettings) -> None:
        super().__init__()
        codes = tuple(len(choice.categories) + 1 for choice in schema.categorical)
        self.static = StaticEncoder(codes, CATEGORY_NUMBERS)
        width = static_width(schema) + CATEGORY_NUMBERS * len(codes)
        self.sequence: SequenceEncoder | None = None
        joined = settings.hidden
        if schema.sequences:
            channels = channel_width(schema)
            width += schema.months * channels
            self.sequence = SequenceEncoder(channels, settings.sequence_hidden, settings.recurrent)
            joined += settings.sequence_hidden
        self.side_by_side = nn.Sequential(nn.Linear(width, settings.hidden), nn.ReLU())
        self.join = nn.Linear(joined, settings.embedding)
        self.absent = nn.Parameter(torch.zeros(settings.embedding))
        self.size = settings.embedding

    def forward(self, inputs: PartyInputs) -> Tensor:
        """Embeddings (n, embedding), within ±BOUND."""
        flat = self.static(inputs.numeric, inputs.categories)
        if self.sequence is None:
            made = self.side_by_side(flat)
        else:
            flat = torch.cat([flat, inputs.sequences.flatten(1)], dim=1)
            made = torch.cat([self.side_by_side(flat), self.sequence(inputs.sequences)], dim=1)
        known = inputs.present * self.join(made) + (1 - inputs.present) * self.absent
        bounded: Tensor = BOUND * torch.tanh(known / BOUND)
        return bounded


def first_weights(module: nn.Module, generator: np.random.Generator) -> None:
    """Matrices uniform with variance 1/(3·inputs), vectors 0; torch's own generator is not used."""
    with torch.no_grad():
        for _, parameter in sorted(module.named_parameters()):
            values = np.zeros(tuple(parameter.shape))
            if parameter.ndim == 2:
                bound = 1.0 / math.sqrt(parameter.shape[1])
                values = generator.uniform(-bound, bound, values.shape)
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def generator_for(seed: int, party: str) -> np.random.Generator:
    """A party's own stream of the training's seed: two parties don't start alike."""
    return np.random.default_rng([seed, crc32(party.encode())])


def chunks(rows: npt.NDArray[np.int64], size: int) -> Iterator[Tensor]:
    """The rows, so many at once."""
    for first in range(0, len(rows), size):
        yield torch.from_numpy(rows[first : first + size])


def weights_of(module: nn.Module) -> dict[str, npt.NDArray[np.float32]]:
    """A copy of all weights."""
    return {name: value.detach().numpy().copy() for name, value in module.state_dict().items()}


def load_weights(module: nn.Module, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Set all weights."""
    module.load_state_dict(
        {name: torch.from_numpy(value.copy()) for name, value in weights.items()}
    )


def _taken(column: FeatureColumn, rows: npt.NDArray[np.int64]) -> FeatureColumn:
    return FeatureColumn(column.spec, column.values[rows], column.present[rows])


def _numeric(column: FeatureColumn) -> NumericInput:
    """With its own range where the manifest gives none: the preparation stays with its party."""
    spec, known = column.spec, column.values[~np.isnan(column.values)]
    low = float(known.min()) if spec.minimum is None and known.size else spec.minimum
    high = float(known.max()) if spec.maximum is None and known.size else spec.maximum
    return NumericInput(spec.name, spec.unit, low, high)


def _frequent(column: FeatureColumn) -> tuple[str, ...]:
    """A category that is too rare counts as 'other'; where all are, the most frequent stays."""
    counts = Counter(value for value in column.values if value is not None)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_CATEGORIES]
    kept = tuple(name for name, count in ordered if count >= FEWEST_ROWS)
    return kept or tuple(name for name, _ in ordered[:1]) or ("(none)",)
