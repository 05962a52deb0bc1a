"""Rows of callers: what they must be, and that one row scores as the columns do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.cell_values import MISSING_TEXTS
from clients.cell_values import category_text as training_text
from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.scoring import to_points
from federation.scoring.row_rules import category_text
from federation.scoring.rows import FieldErrors, GivenColumn, RowRules, RowScorer
from tests.server.desk.models import OWN_FEATURES, served_model

MADE = served_model()
PART = MADE.served.main.part
RULES = RowRules(OWN_FEATURES)
SCORER = RowScorer(PART, OWN_FEATURES)
GOOD: dict[str, float | str | None] = {
    "age": 40.0,
    "income": 2000.0,
    "balance": -3.5,
    "employment": "employed",
    "region": "north",
}
EDGES = sorted({edge for binning in PART.binnings for edge in binning.edges})

numbers = st.one_of(
    st.none(), st.sampled_from(EDGES), st.floats(-1e6, 1e6), st.floats(allow_nan=False, width=16)
).map(lambda value: value if value is None or np.isfinite(value) else 1.0)
rows = st.fixed_dictionaries(
    {
        "age": st.one_of(
            st.none(),
            st.just(-1.0),
            st.floats(18, 100),
            st.sampled_from([edge for edge in EDGES if 18 <= edge <= 100]),
        ),
        "income": numbers.map(lambda value: value if value is None else abs(value)),
        "balance": numbers,
        "employment": st.sampled_from(
            [None, "employed", " employed ", "public service", "unknown", "", "nan"]
        ),
        "region": st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["north", "south"])),
    }
)


def column(spec: FeatureSpec, values: list[float | str | None]) -> FeatureColumn:
    """The column that training would make of these values."""
    present = np.ones(len(values), dtype=np.bool_)
    if spec.kind is FeatureKind.NUMERIC:
        codes = [code for code in spec.missing_codes if isinstance(code, float)]
        floats = [np.nan if value is None or value in codes else value for value in values]
        return FeatureColumn(spec, np.array(floats, dtype=np.float64), present)
    codes_text = {training_text(str(code)) for code in spec.missing_codes} | MISSING_TEXTS
    texts = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        text = None if value is None else training_text(str(value))
        texts[place] = None if text in codes_text else text
    return FeatureColumn(spec, texts, present)


@settings(max_examples=150, deadline=None)
@given(st.lists(rows, min_size=1, max_size=12))
def test_one_row_scores_as_columns_do(many: list[dict[str, float | str | None]]) -> None:
    """Row by row, by columns and offline: the same integers."""
    offline = [column(spec, [row[spec.name] for row in many]) for spec in OWN_FEATURES]
    expected = to_points(PART.partial_scores(offline)).tolist()
    assert [SCORER.points(RULES.row(row)) for row in many] == expected
    given_columns = []
    for spec in OWN_FEATURES:
        values = [row[spec.name] for row in many]
        gaps = np.array([value is None for value in values])
        filled = (
            np.array([0.0 if value is None else value for value in values], dtype=np.float64)
            if spec.kind is FeatureKind.NUMERIC
            else ["" if value is None else str(value) for value in values]
        )
        given_columns.append(GivenColumn(spec.name, filled, gaps))
    assert SCORER.batch(RULES.columns(given_columns[::-1], len(many))).tolist() == expected


def test_training_borrowers_score_as_offline() -> None:
    """Every borrower of the table, every variant."""
    for variant in MADE.served.variants:
        scorer = RowScorer(variant.part, OWN_FEATURES)
        online = [scorer.points(RULES.row(MADE.row(row))) for row in range(len(MADE.borrowers))]
        assert online == MADE.own_points(variant).tolist()


@given(st.one_of(st.text(max_size=12), st.from_regex(r"\s*[+-]?[0-9]+\.0*\s*", fullmatch=True)))
def test_a_category_means_what_it_meant_in_training(text: str) -> None:
    """The same text, or missing where training takes it as missing."""
    meant = training_text(text)
    assert category_text(text) == (None if meant in MISSING_TEXTS else meant)


@pytest.mark.parametrize(
    ("changed", "field", "sentence"),
    [
        ({"age": float("nan")}, "age", "finite"),
        ({"balance": float("inf")}, "balance", "finite"),
        ({"balance": float("-inf")}, "balance", "finite"),
        ({"balance": 10**400}, "balance", "finite"),
        ({"age": 17.999}, "age", "18 to 100"),
        ({"age": 100.001}, "age", "18 to 100"),
        ({"income": -0.01}, "income", "at least 0"),
        ({"age": "old"}, "age", "must be a number"),
        ({"age": True}, "age", "must be a number"),
        ({"employment": 3.0}, "employment", "text"),
        ({"employment": "pirate"}, "employment", "declared categories"),
        ({"secret": 1.0}, "secret", "no feature"),
    ],
)
def test_a_wrong_value_is_refused(changed: dict[str, object], field: str, sentence: str) -> None:
    """With its field, what would be right, and never the value."""
    with pytest.raises(FieldErrors) as caught:
        RULES.row(GOOD | changed)  # type: ignore[arg-type]
    assert [name for name, _ in caught.value.fields] == [field]
    assert sentence in caught.value.fields[0][1]
    for value in changed.values():
        assert str(value) not in caught.value.fields[0][1]


def test_all_wrong_fields_are_named_at_once() -> None:
    """Also those that are lacking."""
    row = GOOD | {"age": 3.0, "employment": "pirate", "x": 1.0}
    del row["region"]
    with pytest.raises(FieldErrors) as caught:
        RULES.row(row)
    assert {name for name, _ in caught.value.fields} == {"age", "employment", "x", "region"}


def test_many_wrong_fields_are_counted() -> None:
    """A request of a thousand unknown features does not make a sentence of a thousand."""
    with pytest.raises(FieldErrors) as caught:
        RULES.row(GOOD | {f"x{number}": 1.0 for number in range(1000)})
    assert len(caught.value.fields) == 21
    assert caught.value.fields[-1] == ("", "980 more fields are wrong")


def test_missing_codes_are_missing() -> None:
    """As a number or a text, as at training."""
    for changed in ({"age": -1.0}, {"age": -1}, {"employment": "unknown"}):
        name = next(iter(changed))
        missing = RULES.row(GOOD | {name: None})
        assert RULES.row(GOOD | changed) == missing


def test_an_unseen_category_without_a_vocabulary_is_other() -> None:
    """It is not refused."""
    region = PART.binnings[4]
    assert region.feature == "region"
    row, unseen = RULES.row(GOOD), RULES.row(GOOD | {"region": "never seen"})
    seen = region.categories.index("north")
    weights = PART.weights[4]
    difference = SCORER.log_odds(unseen) - SCORER.log_odds(row)
    assert difference == pytest.approx(weights[region.other] - weights[seen])


def test_wrong_columns_are_refused_with_their_place() -> None:
    """Length, kind, values, doubles and unknown ones."""
    good = [
        GivenColumn("age", np.array([20.0, 30.0, 40.0])),
        GivenColumn("income", np.array([1.0, 2.0, 3.0])),
        GivenColumn("balance", np.array([1.0, np.nan, 3.0]), np.array([False, True, False])),
        GivenColumn("employment", ["employed"] * 3),
        GivenColumn("region", ["a", "b", "c"]),
    ]
    assert len(RULES.columns(good, 3)) == 5
    cases = {
        "is lacking": good[1:],
        "twice": [*good, good[0]],
        "no feature": [*good, GivenColumn("x", np.zeros(3))],
        "borrower 2": [GivenColumn("age", np.array([20.0, 200.0, 40.0])), *good[1:]],
        "finite": [GivenColumn("age", np.array([20.0, np.nan, 40.0])), *good[1:]],
        "each of the 3": [GivenColumn("age", np.array([20.0])), *good[1:]],
        "not texts": [GivenColumn("age", ["a", "b", "c"]), *good[1:]],
        "not numbers": [*good[:4], GivenColumn("region", np.zeros(3))],
        "declared categories": [
            *good[:3],
            GivenColumn("employment", ["employed", "x", "y"]),
            good[4],
        ],
    }
    for sentence, columns in cases.items():
        with pytest.raises(FieldErrors, match=sentence):
            RULES.columns(columns, 3)


def test_reasons_are_points_lost_to_the_mean() -> None:
    """Heaviest first, positive, and they add up with what speaks for the borrower."""
    row = RULES.row(GOOD)
    reasons = SCORER.reasons(row, 20)
    assert reasons == sorted(reasons, key=lambda one: (-one[1], one[0]))
    assert all(points > 0 for _, points in reasons)
    shapes = {shape.feature: shape for shape in PART.shape_functions()}
    spec = OWN_FEATURES[0]
    binning = next(one for one in PART.binnings if one.feature == "age")
    code = int(binning.assign(column(spec, [GOOD["age"]]))[0])
    shape = shapes["age"]
    mean = float(np.dot(shape.shares, shape.log_odds))
    lost = round((shape.log_odds[code] - mean) / (np.log(2) / 20))
    assert dict(reasons).get("age", 0) == max(lost, 0)


def test_a_part_of_other_features_is_refused() -> None:
    """A model of another schema."""
    with pytest.raises(InputError, match="needs the categorical feature 'region'"):
        RowScorer(PART, OWN_FEATURES[:4])
