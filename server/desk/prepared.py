"""A loaded model made ready: checks, a scorer a variant, outcomes worked out once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from federation.errors import InputError
from federation.identifiers import IdentifierRule, normalise, normalise_one
from federation.schema import FeatureColumn
from federation.scoring import ServedVariant, default_probability, scores_of
from federation.scoring.rows import FieldErrors, GivenColumn, Row, RowRules, RowScorer
from server.desk.answers import LoadedModel, ScoreQuery

MOST_MODELS = 16  # champion, challengers and shadows of some reloads
MOST_OUTCOMES = 20_000
MOST_ID = 200  # signs
# What exports write where there is no id ('nan', '#n/a') is no longer than this.
_SHORT = 4

Outputs = tuple[
    npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float64]
]


class PreparedModel:
    """A loaded model with all that scoring needs at hand.

    Attributes:
        loaded: the model.
        rules: check its features.
        scorers: the label party's part of each variant, by the variant's name.
        has_partners: whether any feature party must be asked.

    Raises:
        InputError: a part does not fit the model's features.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        """Prepare every variant, so that a fallback is no slower than the model itself."""
        served = loaded.served
        self.loaded = loaded
        self.rules = RowRules(served.features)
        self.scorers = {v.name: RowScorer(v.part, served.features) for v in served.variants}
        self.has_partners = bool(served.main.parties)
        self._outcomes: dict[str, dict[int, tuple[int, float]]] = {v: {} for v in self.scorers}

    def checked(self, query: ScoreQuery) -> tuple[Row, str]:
        """A query's row and normalised borrower id.

        Raises:
            FieldErrors: says what is wrong with each field, the borrower among them.
        """
        wrong: tuple[tuple[str, str], ...] = ()
        borrower, row = "", []
        try:
            borrower = normalised_id(query.borrower, self.loaded.served.identifier_rule)
        except InputError:
            wrong = (("borrower", _NO_ID),)
        try:
            row = self.rules.row(query.features)
        except FieldErrors as error:
            wrong += tuple((f'features["{name}"]' if name else "", s) for name, s in error.fields)
        if wrong:
            raise FieldErrors(wrong)
        return row, borrower

    def checked_batch(
        self, identifiers: Sequence[str], given: Sequence[GivenColumn]
    ) -> tuple[list[str], tuple[FeatureColumn, ...]]:
        """A batch's normalised borrower ids and its columns.

        Raises:
            FieldErrors: says what is wrong with each column, and where an id is first lacking.
        """
        rule = self.loaded.served.identifier_rule
        wrong: list[tuple[str, str]] = []
        borrowers: list[str] = []
        columns: tuple[FeatureColumn, ...] = ()
        try:
            for identifier in identifiers:
                borrowers.append(normalised_id(identifier, rule))
        except InputError:
            wrong.append((f"borrowers[{len(borrowers)}]", _NO_ID))
        try:
            columns = self.rules.columns(given, len(identifiers))
        except FieldErrors as error:
            wrong += [(f'columns["{name}"]' if name else "", s) for name, s in error.fields]
        if wrong:
            raise FieldErrors(wrong)
        return borrowers, columns

    def outcome(self, variant: ServedVariant, points: int) -> tuple[int, float]:
        """Score and calibrated default probability of all parts' points.

        The functions of the offline path work it out, once for each number of points: numpy takes
        longer for one number than all the rest of a score.
        """
        known = self._outcomes[variant.name]
        found = known.get(points)
        if found is None:
            log_odds = variant.calibration.log_odds(np.array([points]))
            found = int(scores_of(log_odds)[0]), float(default_probability(log_odds)[0])
            if len(known) >= MOST_OUTCOMES:
                known.clear()
            known[points] = found
        return found

    def score_rows(
        self,
        columns: Sequence[FeatureColumn],
        variants: Sequence[ServedVariant],
        variant: npt.NDArray[np.uint8],
        partners: npt.NDArray[np.int64],
        outputs: Outputs,
    ) -> None:
        """Score checked columns, each row (n,) with its own variant.

        Args:
            columns: the model's features.
            variants, variant, partners: as in `Gathered`.
            outputs: own points, all points, scores and probabilities, written in place.
        """
        own, points, scores, probabilities = outputs
        for place in np.unique(variant).tolist():
            rows = np.flatnonzero(variant == place)
            chosen = variants[place]
            part = columns
            if len(rows) < len(variant):
                part = [FeatureColumn(c.spec, c.values[rows], c.present[rows]) for c in columns]
            own[rows] = self.scorers[chosen.name].batch(part)
            points[rows] = own[rows].astype(np.int64) + partners[rows]
            log_odds = chosen.calibration.log_odds(points[rows])
            scores[rows] = scores_of(log_odds)
            probabilities[rows] = default_probability(log_odds)


class PreparedModels:
    """Models made ready when they are first asked for; the oldest is forgotten."""

    def __init__(self) -> None:
        """None yet."""
        self._models: dict[tuple[str, str], PreparedModel] = {}

    def of(self, loaded: LoadedModel) -> PreparedModel:
        """The model, ready; of the same contributors as `loaded`."""
        key = (loaded.name, loaded.digest)
        found = self._models.get(key)
        # After a reload the same model may stand on other connections.
        if (
            found is None
            or found.loaded.served is not loaded.served
            or found.loaded.contributors is not loaded.contributors
        ):
            found = PreparedModel(loaded)
            while len(self._models) >= MOST_MODELS:
                del self._models[next(iter(self._models))]
            self._models[key] = found
        return found


def routing_id(identifier: str) -> str:
    """An id in the form by which traffic is shared out, before a model with its rule is chosen."""
    return normalise_one(identifier[:MOST_ID], IdentifierRule.CASEFOLD)


def normalised_id(identifier: str, rule: IdentifierRule) -> str:
    """An id in the form in which parties compare it.

    Raises:
        InputError: there is none, or it is longer than ids are.
    """
    if len(identifier) > MOST_ID:
        raise InputError(_NO_ID)
    text = normalise_one(identifier, rule)
    if len(text) <= _SHORT or not text.strip():
        normalise([identifier], rule)
    return text


_NO_ID = f"must be a borrower's id of 1 to {MOST_ID} signs"
