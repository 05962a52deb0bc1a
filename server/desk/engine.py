"""The scoring engine: one query in, one answer out, in time, whatever the partners do.

The label party's points come from the query's own features, the feature parties' from
`answers.Contributors`; sums, calibration and scores are those of `federation.scoring`, so that an
answer here is the answer of the offline path to the last bit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from federation.errors import InputError, VeilscoreError
from federation.identifiers import IdentifierRule
from federation.scoring.rows import FieldErrors, GivenColumn, Row
from server.desk.answers import (
    Absence,
    BatchAnswer,
    Gathered,
    GivenReason,
    LoadedModel,
    ModelSource,
    Route,
    ScoreAnswer,
    ScoreQuery,
)
from server.desk.prepared import PreparedModel, PreparedModels, routing_id
from server.desk.shadows import Shadows

LOG = logging.getLogger("veilscore.desk")
MOST_BORROWERS = 16_384
MOST_REASONS = 20
ROWS_AT_ONCE = 4_096  # scored between two looks at other calls
SHADOW_SECONDS = 1.0


class UnknownModel(InputError):
    """No model goes by the name that was asked for, or none is in production."""


class OutOfTime(VeilscoreError):
    """The deadline was over before there was anything to answer."""


@dataclass(frozen=True)
class BatchQuery:
    """Many borrowers to score, in columns.

    Attributes:
        borrowers: ids as the bank writes them (n,), at most MOST_BORROWERS.
        columns: the label party's features, each (n,).
        model: a registry's name, or empty for the champion.
    """

    borrowers: Sequence[str]
    columns: Sequence[GivenColumn]
    model: str = ""


@dataclass(frozen=True)
class Explanation:
    """A score and what weighed against the borrower.

    Attributes:
        answer: the score.
        borrower: the normalised id.
        label_party: the name of the desk's own party.
        reasons: over all parties, the heaviest first.
        without_reasons: parties whose points count but that give no reasons.
        identifier_rule: by which the id was normalised.
    """

    answer: ScoreAnswer
    borrower: str
    label_party: str
    reasons: tuple[GivenReason, ...]
    without_reasons: tuple[str, ...]
    identifier_rule: IdentifierRule


def _nothing(*_: object) -> None:
    return None


class ScoringEngine:
    """Scores queries with the models of a source.

    Args:
        models: where models come from.
        limit: seconds that an answer about one borrower may take, whatever its caller allows.
        batch_limit: the same for a batch.
        on_scored: told each answer and the label party's own points in it; must not wait.
        on_shadow: the same for the answers of shadow models, whose role is 'shadow'.
        on_batch: told each batch's answer and the own points in it.
        on_failed: told in a word what failed: 'contributors', 'shadow', 'shadow dropped'.
    """

    def __init__(
        self,
        models: ModelSource,
        *,
        limit: float = 0.05,
        batch_limit: float = 5.0,
        on_scored: Callable[[ScoreAnswer, int], None] = _nothing,
        on_shadow: Callable[[ScoreAnswer, int], None] = _nothing,
        on_batch: Callable[[BatchAnswer, npt.NDArray[np.int32]], None] = _nothing,
        on_failed: Callable[[str], None] = _nothing,
    ) -> None:
        """Nothing is loaded yet."""
        self._models = models
        self._limit = limit
        self._batch_limit = batch_limit
        self._on_scored = on_scored
        self._on_shadow = on_shadow
        self._on_batch = on_batch
        self._on_failed = on_failed
        self._prepared = PreparedModels()
        self._shadows = Shadows(on_failed)

    def model(self, asked: str) -> LoadedModel:
        """The model of this name, or the champion, whoever is asked about.

        Raises:
            UnknownModel: there is none.
        """
        try:
            return self._models.champion(asked)
        except InputError as error:
            raise UnknownModel(str(error)) from error

    def prepare(self, loaded: LoadedModel) -> None:
        """Make a model ready before its first caller comes.

        Raises:
            InputError: a part of it does not fit its features.
        """
        self._prepared.of(loaded)

    def check(self) -> LoadedModel:
        """Make the champion ready now, so that the first caller does not wait for it.

        Raises:
            InputError: there is none, or a part of it does not fit its features.
        """
        return self._prepared.of(self.model("")).loaded

    async def score(self, query: ScoreQuery, seconds: float | None) -> ScoreAnswer:
        """Score one borrower.

        Args:
            query: who, and the label party's own features.
            seconds: left until the caller's deadline; None sets none.

        Raises:
            UnknownModel: no model goes by the name asked for.
            FieldErrors: fields of the query are wrong.
            OutOfTime: the deadline is over.
        """
        answer, _ = await self.scored(query, seconds)
        return answer

    async def scored(self, query: ScoreQuery, seconds: float | None) -> tuple[ScoreAnswer, str]:
        """As `score`, with the borrower's normalised id."""
        answer, _, _, borrower = await self._answer(query, seconds, 1.0)
        return answer, borrower

    async def explain(self, query: ScoreQuery, seconds: float | None, most: int) -> Explanation:
        """Score one borrower and say what weighed against it, over all parties.

        Args:
            query, seconds: as in `score`, and so is what is raised.
            most: reasons to give, at most MOST_REASONS.
        """
        end = _end(seconds, self._limit)
        # Partners are asked twice: for points, then for reasons with what time is left.
        answer, row, prepared, borrower = await self._answer(query, seconds, 0.6)
        most = min(most, MOST_REASONS)
        served = prepared.loaded.served
        label_party = served.label_party
        scorer = prepared.scorers[answer.variant.name]
        reasons = [
            GivenReason(label_party, label, lost) for label, lost in scorer.reasons(row, most)
        ]
        without: list[str] = []
        if answer.variant.parties:
            given = await self._partners_reasons(
                prepared, borrower, answer, most, end - time.monotonic()
            )
            for party in answer.variant.parties:
                said = given.get(party)
                if said is None:
                    without.append(party)
                else:
                    reasons += said[:most]
        reasons.sort(key=lambda one: (-one.points, one.party, one.label))
        return Explanation(
            answer,
            borrower,
            label_party,
            tuple(reasons[:most]),
            tuple(without),
            served.identifier_rule,
        )

    async def score_batch(self, query: BatchQuery, seconds: float | None) -> BatchAnswer:
        """Score many borrowers under the champion, or the model asked for; raises as `score`."""
        end = _end(seconds, self._batch_limit)
        prepared = self._prepared.of(self.model(query.model))
        count = len(query.borrowers)
        if not 1 <= count <= MOST_BORROWERS:
            raise FieldErrors([("borrowers", f"must be 1 to {MOST_BORROWERS:,}")])
        borrowers, columns = prepared.checked_batch(query.borrowers, query.columns)
        served = prepared.loaded.served
        if prepared.has_partners:
            gathered = await self._gather(prepared, borrowers, end - time.monotonic())
        else:
            gathered = _alone(prepared, count)
        own = np.empty(count, dtype=np.int32)
        points = np.empty(count, dtype=np.int64)
        scores = np.empty(count, dtype=np.int32)
        probabilities = np.empty(count, dtype=np.float64)
        for first in range(0, count, ROWS_AT_ONCE):
            if first:
                await asyncio.sleep(0)
            rows = slice(first, first + ROWS_AT_ONCE)
            part = [replace(c, values=c.values[rows], present=c.present[rows]) for c in columns]
            prepared.score_rows(
                part,
                gathered.variants,
                gathered.variant[rows],
                gathered.points[rows],
                (own[rows], points[rows], scores[rows], probabilities[rows]),
            )
        answer = BatchAnswer(
            prepared.loaded.name,
            prepared.loaded.digest,
            gathered.variants,
            gathered.variant,
            points,
            scores,
            probabilities,
            {party: why for party, why in gathered.failed.items() if party in served.pins},
        )
        self._on_batch(answer, own)
        return answer

    async def close(self) -> None:
        """End what still runs in the background."""
        await self._shadows.close()

    async def _answer(
        self, query: ScoreQuery, seconds: float | None, share: float
    ) -> tuple[ScoreAnswer, Row, PreparedModel, str]:
        end = _end(seconds, self._limit)
        route = self._route(routing_id(query.borrower), query.model)
        prepared = self._prepared.of(route.model)
        row, borrower = prepared.checked(query)
        left = (end - time.monotonic()) * share
        answer, own = await self._one(prepared, route.role, borrower, row, left)
        self._on_scored(answer, own)
        for shadow in route.shadows:
            self._shadows.start(partial(self._score_in_shadow, shadow, query))
        return answer, row, prepared, borrower

    def _route(self, borrower: str, asked: str) -> Route:
        try:
            return self._models.route(borrower, asked)
        except InputError as error:
            raise UnknownModel(str(error)) from error

    async def _one(
        self, prepared: PreparedModel, role: str, borrower: str, row: Row, seconds: float
    ) -> tuple[ScoreAnswer, int]:
        """The answer about one borrower, and the label party's own points in it."""
        loaded = prepared.loaded
        variant, partners, absent = loaded.served.alone, 0, _NONE_ABSENT
        if prepared.has_partners:
            gathered = await self._gather(prepared, [borrower], seconds)
            variant = gathered.variants[int(gathered.variant[0])]
            partners = int(gathered.points[0])
            absent = _absent(gathered, loaded.served.main.parties, variant.parties)
        own = prepared.scorers[variant.name].points(row)
        points = own + partners
        score, probability = prepared.outcome(variant, points)
        answer = ScoreAnswer(
            loaded.name, loaded.digest, role, variant, points, score, probability, absent
        )
        return answer, own

    async def _gather(
        self, prepared: PreparedModel, borrowers: Sequence[str], seconds: float
    ) -> Gathered:
        """Ask the feature parties; whatever happens there, the label party alone can answer."""
        seconds -= min(0.01, seconds / 4)  # for what comes after: sums, the audit row, the way back
        try:
            # The contributors keep the time themselves; this is for when they fail to.
            async with asyncio.timeout(seconds + 0.002):
                return await prepared.loaded.contributors.gather(borrowers, seconds)
        except Exception as error:
            self._on_failed("contributors")
            LOG.error("asking the partners failed (%s)", type(error).__name__)
            parties = prepared.loaded.served.main.parties
            return replace(
                _alone(prepared, len(borrowers)), failed=dict.fromkeys(parties, Absence.SILENT)
            )

    async def _partners_reasons(
        self,
        prepared: PreparedModel,
        borrower: str,
        answer: ScoreAnswer,
        most: int,
        seconds: float,
    ) -> Mapping[str, list[GivenReason] | None]:
        seconds -= min(0.005, seconds / 4)
        if seconds <= 0:
            return {}
        try:
            async with asyncio.timeout(seconds):
                return await prepared.loaded.contributors.reasons(
                    borrower, answer.variant, most, seconds
                )
        except Exception as error:
            self._on_failed("contributors")
            LOG.error("asking the partners for reasons failed (%s)", type(error).__name__)
            return {}

    async def _score_in_shadow(self, shadow: LoadedModel, query: ScoreQuery) -> None:
        prepared = self._prepared.of(shadow)
        row, borrower = prepared.checked(query)
        self._on_shadow(*await self._one(prepared, "shadow", borrower, row, SHADOW_SECONDS))


_NONE_ABSENT: Mapping[str, Absence] = {}


def _end(seconds: float | None, limit: float) -> float:
    """When the answer must be there, on the monotonic clock."""
    if seconds is None:
        return time.monotonic() + limit
    if seconds <= 0:
        raise OutOfTime("the deadline was over before the query was read")
    return time.monotonic() + min(seconds, limit)


def _alone(prepared: PreparedModel, count: int) -> Gathered:
    """The answer of nobody but the label party."""
    return Gathered(
        (prepared.loaded.served.alone,),
        np.zeros(count, dtype=np.uint8),
        np.zeros(count, dtype=np.int64),
    )


def _absent(
    gathered: Gathered, parties: Sequence[str], answered: Sequence[str]
) -> Mapping[str, Absence]:
    """Why feature parties' points are not in the first borrower's score."""
    if len(answered) == len(parties):
        return _NONE_ABSENT
    absent: dict[str, Absence] = {}
    for party in parties:
        if party in answered:
            continue
        unknown = gathered.unknown.get(party)
        if party in gathered.failed:
            absent[party] = gathered.failed[party]
        elif unknown is not None and bool(unknown[0]):
            absent[party] = Absence.NOT_KNOWN_THERE
    return absent
