"""Points, calibration and served models."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from federation.additive.model_part import ModelPart
from federation.binning import Binning
from federation.errors import InputError
from federation.identifiers import IdentifierRule
from federation.identity import PartyKey
from federation.schema import FeatureKind, FeatureSpec
from federation.scoring import (
    Calibration,
    Development,
    ServedModel,
    ServedVariant,
    default_probability,
    scores_of,
    to_points,
)
from federation.scoring.calibration import fit_calibration
from federation.scoring.points import LOG_ODDS_A_POINT, MOST_POINTS

finite = st.floats(-3000, 3000)


@given(st.lists(finite, max_size=20))
def test_points_are_the_nearest_whole_ones(values: list[float]) -> None:
    """Within half a point of the log-odds."""
    log_odds = np.array(values)
    points = to_points(log_odds)
    assert points.dtype == np.int32
    assert (np.abs(points * LOG_ODDS_A_POINT - log_odds) <= LOG_ODDS_A_POINT * 0.5000001).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e9, (MOST_POINTS + 1) / 20])
def test_what_is_no_score_makes_no_points(bad: float) -> None:
    """NaN and numbers beyond the range."""
    with pytest.raises(InputError, match="finite and within"):
        to_points(np.array([0.0, bad]))


def test_twenty_points_double_the_odds() -> None:
    """500 is even odds; the scale ends at 0 and 1,000."""
    log_odds = np.array([0.0, np.log(2), -np.log(2), 50.0, -50.0])
    assert scores_of(log_odds).tolist() == [500, 480, 520, 0, 1000]
    assert default_probability(np.array([0.0, np.log(3), -800.0])).tolist() == pytest.approx(
        [0.5, 0.75, 0.0]
    )


@given(st.lists(finite, min_size=1, max_size=20))
def test_probabilities_are_those_of_the_log_odds(values: list[float]) -> None:
    """Against scipy, at both ends too."""
    np.testing.assert_allclose(
        default_probability(np.array(values)), expit(values), rtol=1e-12, atol=1e-300
    )


def test_calibration_is_the_logistic_fit_on_one_column() -> None:
    """Against scikit-learn without a penalty; too confident scores get a slope below 1."""
    generator = np.random.default_rng(1)
    true = generator.normal(-1.5, 1.0, 4000)
    labels = (generator.random(4000) < expit(true)).astype(np.float64)
    points = to_points(2.0 * true + 0.7).astype(np.int64)
    found = fit_calibration(points, labels)
    assert found is not None
    reference = LogisticRegression(C=np.inf).fit((points * LOG_ODDS_A_POINT)[:, None], labels)
    assert found.slope == pytest.approx(reference.coef_[0, 0], abs=2e-3)
    assert found.intercept == pytest.approx(reference.intercept_[0], abs=2e-3)
    assert found.slope == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("points", "labels"),
    [
        ([1] * 100, [1, 0] * 50),
        (list(range(100)), [0] * 100),
        (list(range(100)), [1] * 19 + [0] * 81),
        (list(range(100)), [1] * 50 + [0] * 50),
    ],
    ids=["one score", "no default", "too few defaults", "ranks the wrong way"],
)
def test_what_tells_nothing_calibrates_nothing(points: list[int], labels: list[int]) -> None:
    """The scores stay as they are."""
    assert fit_calibration(np.array(points), np.array(labels, dtype=np.float64)) is None


def small_model() -> ServedModel:
    """A model with one partner."""
    spec = FeatureSpec("age", FeatureKind.NUMERIC, "years", (-1.0,), 0.0, 120.0)
    binning = Binning("age", FeatureKind.NUMERIC, (30.0, 50.0), (), 0, 1, 1, 3)

    def part(name: str) -> ModelPart:
        return ModelPart(
            "bank", "s1", name, -1.0, (binning,), (None,), ((0.5, 0.0, -0.5),), ((0.2, 0.5, 0.3),)
        )

    return ServedModel(
        run="r",
        session="s1",
        training="exact",
        label_party="bank",
        identifier_rule=IdentifierRule.STRIP,
        pins={"platform": PartyKey(bytes(32)).public},
        features=(spec,),
        variants=(
            ServedVariant("exact", ("platform",), part("exact"), Calibration(0.1, 0.9), 0.77, 9),
            ServedVariant("exact~bank", (), part("exact~bank"), Calibration(), None, 0),
        ),
        development={"score": Development((480.0, 520.0), (0.2, 0.5, 0.3))},
        trained_at="2026-01-01T00:00:00+00:00",
        label_privacy="none",
    )


def test_a_served_model_survives_its_file() -> None:
    """Every field, and so the digest."""
    model = small_model()
    read = ServedModel.from_json(json.loads(model.to_json()), "here")
    assert read == model
    assert read.digest == model.digest
    assert read.best_with(frozenset({"platform"})).name == "exact"
    assert read.best_with(frozenset()) is read.alone


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    found = [at] if at else []
    if isinstance(value, dict | list):
        for key, one in inside:
            found += paths(one, (*at, key)) if isinstance(one, dict | list) else [(*at, key)]
    return found


DOCUMENT = json.loads(small_model().to_json())
anything = st.sampled_from([None, 7, -1.5, "x", [], {}, [[1]], {"a": 1}, True, 1e308])


@given(st.sampled_from(paths(DOCUMENT)), anything)
def test_a_damaged_model_is_refused_in_one_sentence_or_is_a_model(
    path: tuple[Any, ...], value: object
) -> None:
    """Whatever stands in whatever place."""
    document = json.loads(json.dumps(DOCUMENT))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with contextlib.suppress(InputError):
        assert ServedModel.from_json(document, "desk.json").alone.parties == ()
