"""Joins outcomes with the scores that were told, from the desk's audit record, and measures them.

The record has scores, no probabilities: a score is the calibrated log-odds of default in points, so
the probability follows from it to half a point, 1.7% of the odds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from federation.errors import InputError
from federation.record_chain import Entry
from federation.scoring.points import (
    LOG_ODDS_A_POINT,
    SCORE_AT_EVEN_ODDS,
    default_probability,
)
from server.desk.monitoring.outcome_rows import Outcome, read_outcomes
from server.desk.monitoring.outcome_summary import SUMMARY_NAME, OutcomeSummary, save_summary
from server.desk.monitoring.outcomes import ScoredOutcome, measured


@dataclass(frozen=True)
class _Told:
    """A score of the audit record."""

    model: str
    score: int
    day: date


def import_outcomes(
    file: Path, rows: Iterable[Entry], hash_of: Callable[[str], str], desk: Path
) -> OutcomeSummary:
    """Measure a file's outcomes and leave the summary where the desk's metrics find it.

    Args:
        file: the CSV file.
        rows: of the audit record, verified.
        hash_of: from a borrower's id to the keyed hash that the rows have.
        desk: the desk's folder.

    Raises:
        InputError: the file is wrong, or no outcome belongs to any score.
    """
    outcomes = list(read_outcomes(file))
    if not outcomes:
        raise InputError(f"{file}: there are no outcomes in it")
    scored, unknown = joined(outcomes, rows, hash_of)
    if not scored:
        raise InputError(
            f"{file}: none of its {len(outcomes)} outcomes belongs to a score of the audit record"
        )
    summary = OutcomeSummary(tuple(measured(scored)), len(scored), unknown)
    save_summary(desk / SUMMARY_NAME, summary)
    return summary


def joined(
    outcomes: Iterable[Outcome], rows: Iterable[Entry], hash_of: Callable[[str], str]
) -> tuple[list[ScoredOutcome], int]:
    """Outcomes with their scores, and how many had none; the record is read once, as a stream."""
    scored: list[ScoredOutcome] = []
    by_request: dict[str, Outcome] = {}
    by_borrower: dict[str, dict[Outcome, _Told | None]] = {}
    for outcome in outcomes:
        if outcome.score is not None and outcome.scored_on is not None:
            told = _Told(outcome.model, outcome.score, outcome.scored_on)
            scored.append(_scored(outcome, told))
        elif outcome.borrower:
            by_borrower.setdefault(hash_of(outcome.borrower), {})[outcome] = None
        else:
            by_request[outcome.request_id] = outcome
    if by_request or by_borrower:
        for row in rows:
            found = _told(row.body)
            if found is None:
                continue
            asked = by_request.pop(str(row.body.get("request", "")), None)
            if asked is not None:
                scored.append(_scored(asked, found))
            of_borrower = by_borrower.get(str(row.body.get("borrower", "")), {})
            for outcome in of_borrower:
                if outcome.scored_on is not None and found.day <= outcome.scored_on:
                    of_borrower[outcome] = found  # a later row than the one before
    unknown = len(by_request)
    for waiting in by_borrower.values():
        for outcome, last in waiting.items():
            if last is None:
                unknown += 1
            else:
                scored.append(_scored(outcome, last))
    return scored, unknown


def probability_of(score: int) -> float:
    """The default probability that a score stands for."""
    log_odds = np.array([(SCORE_AT_EVEN_ODDS - score) * LOG_ODDS_A_POINT])
    return float(default_probability(log_odds)[0])


def _scored(outcome: Outcome, told: _Told) -> ScoredOutcome:
    month = told.day.isoformat()[:7]
    probability = probability_of(told.score)
    return ScoredOutcome(told.model, month, told.score, probability, outcome.defaulted)


def _told(body: Mapping[str, Any]) -> _Told | None:
    """The score of an audit row; None for a row of a batch, a refusal or another call."""
    score, time_ms = body.get("score"), body.get("time_ms")
    if type(score) is not int or type(time_ms) is not int or body.get("status") != "OK":
        return None
    day = datetime.fromtimestamp(time_ms / 1000, UTC).date()
    return _Told(str(body.get("model", "")), score, day)
