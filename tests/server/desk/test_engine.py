"""The engine: answers equal to the offline path, in time, whatever the partners do."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from federation.schema import FeatureKind
from federation.scoring import default_probability, scores_of, to_points
from federation.scoring.rows import FieldErrors, GivenColumn
from server.desk.answers import Absence, ScoreQuery
from server.desk.engine import BatchQuery, OutOfTime, ScoringEngine, UnknownModel
from server.desk.single_model import NoLinks, SingleModel
from tests.server.desk.desks import Models, Partners, loaded
from tests.server.desk.models import HandMade, served_model

MADE = served_model(("platform", "lessor"))


def query(row: int, made: HandMade = MADE, **changed: Any) -> ScoreQuery:
    """A query about one of the model's borrowers, its id spelt otherwise."""
    return ScoreQuery(f" {made.borrowers[row].upper()} ", made.row(row) | changed)


def batch(made: HandMade, count: int) -> BatchQuery:
    """All features of the first borrowers, in columns."""
    columns = []
    for one in made.own:
        values = one.values[:count]
        if one.spec.kind is FeatureKind.NUMERIC:
            gaps = np.isnan(values)
            columns.append(GivenColumn(one.spec.name, np.where(gaps, 0, values), gaps))
        else:
            gaps = np.array([value is None for value in values])
            columns.append(GivenColumn(one.spec.name, [str(value) for value in values], gaps))
    return BatchQuery([one.upper() for one in made.borrowers[:count]], columns)


def offline(made: HandMade, variant: Any) -> tuple[list[int], list[int], list[float]]:
    """Points, scores and probabilities of all borrowers under one variant."""
    points = made.points(variant)
    log_odds = variant.calibration.log_odds(points)
    return points.tolist(), scores_of(log_odds).tolist(), default_probability(log_odds).tolist()


@pytest.mark.parametrize("silent", [(), ("platform",), ("lessor",), ("platform", "lessor")])
def test_every_answer_equals_the_offline_one(silent: tuple[str, ...]) -> None:
    """One by one and as a batch, with every set of silent parties."""
    partners = Partners(MADE, silent=set(silent))
    engine = ScoringEngine(SingleModel(MADE.served, partners), limit=5)
    variant = MADE.served.best_with(frozenset(("platform", "lessor")) - set(silent))
    points, scores, probabilities = offline(MADE, variant)

    async def run() -> None:
        for row in range(0, 400, 7):
            answer = await engine.score(query(row), 5)
            assert (answer.points, answer.score) == (points[row], scores[row])
            assert answer.probability == probabilities[row]
            assert answer.variant == variant
            assert answer.degraded == bool(silent)
            assert set(answer.absent) == set(silent)
        whole = await engine.score_batch(batch(MADE, 400), 5)
        assert whole.points.tolist() == points
        assert whole.scores.tolist() == scores
        assert whole.probabilities.tolist() == probabilities
        assert set(whole.absent) == set(silent)

    asyncio.run(run())


def test_borrowers_unknown_at_a_party_get_the_variant_without_it() -> None:
    """And are not degraded; a batch mixes variants."""
    partners = Partners(MADE, unknown={"platform": {"b0001", "b0003"}, "lessor": {"b0003"}})
    engine = ScoringEngine(SingleModel(MADE.served, partners), limit=5)

    async def run() -> None:
        answer = await engine.score(query(1), 5)
        assert answer.variant.parties == ("lessor",)
        assert answer.absent == {"platform": Absence.NOT_KNOWN_THERE}
        assert not answer.degraded
        whole = await engine.score_batch(batch(MADE, 5), 5)
        used = [whole.variants[place].parties for place in whole.variant]
        both = ("lessor", "platform")
        assert used == [both, ("lessor",), both, (), both]
        for row in range(5):
            variant = MADE.served.best_with(frozenset(used[row]))
            assert whole.scores[row] == offline(MADE, variant)[1][row]

    asyncio.run(run())


def test_partners_that_hang_or_break_do_not_stop_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The label party alone answers, within the deadline; the log holds no text of the error."""
    failures: list[str] = []
    hanging = Partners(MADE, delay=30.0)
    breaking = Partners(MADE, fail=RuntimeError("borrower b0001 has 17"))

    async def run() -> None:
        for partners in (hanging, breaking):
            engine = ScoringEngine(
                SingleModel(MADE.served, partners), limit=0.2, on_failed=failures.append
            )
            started = time.monotonic()
            answer = await engine.score(query(1), 60)
            assert time.monotonic() - started < 5
            assert answer.variant == MADE.served.alone
            assert set(answer.absent.values()) == {Absence.SILENT}
            explained = await engine.explain(query(1), 60, 4)
            assert {one.party for one in explained.reasons} <= {"bank"}

    asyncio.run(run())
    assert failures
    assert "b0001" not in caplog.text


def test_a_model_without_parties_asks_nobody() -> None:
    """Contributors are left alone."""
    made = served_model(())
    partners = Partners(made, fail=RuntimeError("asked"))
    failures: list[str] = []
    engine = ScoringEngine(SingleModel(made.served, partners), on_failed=failures.append)
    answer = asyncio.run(engine.score(query(3, made), None))
    assert answer.score == offline(made, made.served.main)[1][3]
    assert not answer.absent
    assert (partners.asked, failures) == (0, [])


def test_an_expired_deadline_is_said() -> None:
    """Nothing is asked of anybody."""
    partners = Partners(MADE)
    engine = ScoringEngine(SingleModel(MADE.served, partners))
    for seconds in (0.0, -1.0):
        with pytest.raises(OutOfTime):
            asyncio.run(engine.score(query(1), seconds))
        with pytest.raises(OutOfTime):
            asyncio.run(engine.score_batch(batch(MADE, 3), seconds))
    assert partners.asked == 0


def test_explanations_merge_all_parties() -> None:
    """Heaviest first; a party that gives none is named."""

    async def run() -> None:
        engine = ScoringEngine(SingleModel(MADE.served, Partners(MADE)), limit=5)
        explained = await engine.explain(query(3), 5, 20)
        parties = {one.party for one in explained.reasons}
        assert {"platform", "lessor", "bank"} == parties
        points = [one.points for one in explained.reasons]
        assert points == sorted(points, reverse=True)
        assert explained.without_reasons == ()
        assert explained.borrower == "b0003"
        assert len((await engine.explain(query(3), 5, 2)).reasons) == 2

    asyncio.run(run())


def test_wrong_fields_are_refused_before_partners_are_asked() -> None:
    """With the borrower among them."""
    partners = Partners(MADE)
    engine = ScoringEngine(SingleModel(MADE.served, partners))
    for borrower in ("", " ", "nan", "x" * 201, "​"):
        wrong = ScoreQuery(borrower, MADE.row(0) | {"age": 300.0})
        with pytest.raises(FieldErrors) as caught:
            asyncio.run(engine.score(wrong, 1))
        assert [name for name, _ in caught.value.fields] == ["borrower", 'features["age"]']
    given = batch(MADE, 3)
    with pytest.raises(FieldErrors) as caught:
        asyncio.run(engine.score_batch(BatchQuery(["a", "b", ""], given.columns[1:]), 1))
    assert [name for name, _ in caught.value.fields] == ["borrowers[2]", 'columns["age"]']
    assert partners.asked == 0


def test_models_are_found_by_name() -> None:
    """And a batch goes to the champion."""
    other = served_model((), seed=8)
    first, second = served_model(()), other
    source = Models(
        {
            "a": loaded(first.served, NoLinks(first.served), "a"),
            "b": loaded(second.served, NoLinks(second.served), "b"),
        }
    )
    engine = ScoringEngine(source)
    answer = asyncio.run(engine.score(replace(query(3, second), model="b"), 1))
    assert (answer.model, answer.role) == ("b", "challenger")
    assert answer.score == offline(second, second.served.main)[1][3]
    assert asyncio.run(engine.score_batch(batch(first, 3), 1)).model == "a"
    with pytest.raises(UnknownModel):
        asyncio.run(engine.score(replace(query(3), model="c"), 1))


def test_shadows_are_scored_after_the_answer_and_never_told() -> None:
    """A shadow that breaks harms nobody."""
    made, other = served_model(()), served_model((), seed=8)
    breaking = replace(other.served, features=other.served.features[:2])
    shadows = (
        loaded(other.served, NoLinks(other.served), "shadow"),
        loaded(breaking, NoLinks(breaking), "broken"),
    )
    source = Models({"a": loaded(made.served, NoLinks(made.served), "a")}, shadows)
    told: list[Any] = []
    seen: list[Any] = []
    failures: list[str] = []
    engine = ScoringEngine(
        source,
        on_scored=lambda answer, own: told.append((answer, own)),
        on_shadow=lambda answer, own: seen.append((answer, own)),
        on_failed=failures.append,
    )

    async def run() -> None:
        answer = await engine.score(query(3, made), 1)
        assert not seen
        assert told == [(answer, int(made.own_points(made.served.main)[3]))]
        for _ in range(200):
            if seen and failures:
                break
            await asyncio.sleep(0.01)
        await engine.close()

    asyncio.run(run())
    assert failures == ["shadow"]
    [(answer, own)] = seen
    assert (answer.model, answer.role) == ("shadow", "shadow")
    expected = to_points(other.served.main.part.partial_scores(made.own))
    assert answer.points == own == int(expected[3])


def test_a_batch_may_be_larger_than_what_is_scored_at_once() -> None:
    """Its hook is told own points."""
    told: list[Any] = []
    made = served_model(())
    engine = ScoringEngine(
        SingleModel(made.served, NoLinks(made.served)),
        on_batch=lambda answer, own: told.append(own),
    )
    once = batch(made, 400)
    many = BatchQuery(
        [*once.borrowers] * 40,
        [
            GivenColumn(
                column.feature,
                np.tile(column.values, 40)
                if isinstance(column.values, np.ndarray)
                else [*column.values] * 40,
                None if column.missing is None else np.tile(column.missing, 40),
            )
            for column in once.columns
        ],
    )
    answer = asyncio.run(engine.score_batch(many, 10))
    assert answer.points.tolist() == made.points(made.served.main).tolist() * 40
    assert told[0].tolist() == made.own_points(made.served.main).tolist() * 40


def test_a_model_that_came_back_from_disk_scores_the_same() -> None:
    """JSON keeps every float."""
    from federation.scoring import ServedModel

    made = served_model(())
    again = ServedModel.from_json(json.loads(made.served.to_json()), "test")
    engine = ScoringEngine(SingleModel(again, NoLinks(again)))
    answer = asyncio.run(engine.score(query(9, made), 1))
    assert answer.probability == offline(made, made.served.main)[2][9]
