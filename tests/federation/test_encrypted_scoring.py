"""Encrypted scoring: equal to the score in the clear, in every packing, at every extreme."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.encrypted_scoring import (
    Encoding,
    EncryptedModel,
    NumericInput,
    Terms,
    answer,
    borrowers_a_request,
    encoding_json,
    from_logistic,
    from_part,
    noise_budget,
    parameters_json,
)
from federation.encrypted_scoring.budget import DISTANCE_BITS
from federation.encrypted_scoring.encoding import STEPS_A_DEVIATION, STEPS_A_POINT
from federation.encrypted_scoring.evaluation import read_request, weighted_sum
from federation.encrypted_scoring.parameters import (
    CIPHERTEXT_BYTES,
    DEGREE,
    ERROR_BOUND,
    MODULUS,
    MOST_CIPHERTEXTS,
    MOST_INPUTS,
    MOST_WEIGHT,
    RANDOMISER_BOUND,
    ciphertexts_for,
)
from federation.encrypted_scoring.ring import reduced
from federation.encrypted_scoring.sampling import flood
from federation.errors import InputError, NoRoomError, ProtocolError
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.scoring.points import LOG_ODDS_A_POINT, Calibration, scores_of
from tests.federation.encrypted_models import (
    Integers,
    inputs_of,
    integers_of,
    key_pair,
    logistic,
    part,
)


def encrypted_sums(model: EncryptedModel, values: Integers) -> Integers:
    """Through encryption, the desk, and decryption."""
    key, public = key_pair()
    scale_bits = model.budget.scale_bits
    ciphertexts = key.encrypt(values, scale_bits)
    assert {len(one) for one in ciphertexts} == {CIPHERTEXT_BYTES}
    reply = answer(model, public, ciphertexts, len(values))
    return key.decrypt(reply, len(values), scale_bits)


def raw_model(weights: list[int], intercept: int = 0) -> EncryptedModel:
    """A logistic regression of given whole-number weights."""
    inputs = tuple(NumericInput(f"x{number}", 0.0, 1.0) for number in range(len(weights)))
    model = EncryptedModel(
        Encoding(inputs, STEPS_A_POINT * STEPS_A_DEVIATION), tuple(weights), intercept
    )
    model.check("a test's model")
    return model


@pytest.mark.parametrize("borrowers", [1, 2, 3, 163, 164, 1000, 2048, 2049, 4096])
def test_all_packings_give_the_score_in_the_clear(borrowers: int) -> None:
    """From one borrower in one ciphertext to one input a ciphertext: exactly equal."""
    model = logistic()
    values = inputs_of(model, borrowers)
    assert np.array_equal(encrypted_sums(model, values), model.sums(values))


def test_both_ends_of_the_packings_agree_borrower_by_borrower() -> None:
    """The dot packing of each borrower gives what the batched one gives of all."""
    model = logistic()
    values = inputs_of(model, 4096)
    together = encrypted_sums(model, values)
    for row in (0, 1, 4095):
        assert encrypted_sums(model, values[row : row + 1]) == together[row]


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_weights_and_inputs(data: st.DataObject) -> None:
    """Property: any model that is accepted, any inputs in range, any number of borrowers."""
    weight = st.integers(-600, 600) | st.sampled_from([0, 6_000, -6_000])
    weights = data.draw(st.lists(weight, min_size=1, max_size=40))
    model = raw_model(weights, data.draw(st.integers(-(2**24), 2**24)))
    borrowers = data.draw(st.integers(1, 60) | st.sampled_from([1365, 1366, 4000]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    extreme = data.draw(st.booleans())
    shape = (borrowers, len(weights))
    values = (
        rng.choice(np.array([-2048, 2048]), shape) if extreme else rng.integers(-2048, 2049, shape)
    )
    assert np.array_equal(encrypted_sums(model, values), model.sums(values))


def test_the_largest_models_that_are_accepted() -> None:
    """1,024 inputs, the largest weights and inputs all of one sign, many ciphertexts."""
    share = (2**29 // 2048 - 1) // MOST_INPUTS
    for sign in (1, -1):
        model = raw_model([sign * share] * MOST_INPUTS)
        for borrowers in (1, borrowers_a_request(MOST_INPUTS)):
            values = np.full((borrowers, MOST_INPUTS), 2048)
            assert np.array_equal(encrypted_sums(model, values), model.sums(values))
    model = raw_model([MOST_WEIGHT] + [0] * 30)
    values = np.full((5, 31), -2048)
    assert np.array_equal(encrypted_sums(model, values), model.sums(values))


@given(st.integers(1, MOST_INPUTS))
@settings(deadline=None)
def test_a_request_of_the_most_borrowers_stays_within_its_size(inputs: int) -> None:
    """At most 60 ciphertexts, and one borrower more would not do where more inputs were left."""
    most = borrowers_a_request(inputs)
    assert 1 <= most <= DEGREE
    assert ciphertexts_for(inputs, most) <= MOST_CIPHERTEXTS
    assert most == DEGREE or ciphertexts_for(inputs, most + 1) > MOST_CIPHERTEXTS


@given(st.integers(0, 2**24), st.integers(0, 2**32))
@settings(deadline=None)
def test_the_budget_holds_whatever_is_drawn(absolute_weights: int, largest_sum: int) -> None:
    """Bounds, not deviations: noise within a quarter step, no wrap, 40 bits of flooding."""
    try:
        budget = noise_budget(absolute_weights, largest_sum)
    except NoRoomError:
        # Refused only where it truly does not fit: one bit of scale more would wrap.
        assert absolute_weights > 2**18 or largest_sum > 2**28
        return
    fresh = ERROR_BOUND * absolute_weights
    zero = DEGREE * RANDOMISER_BOUND * ERROR_BOUND + DEGREE * ERROR_BOUND
    assert budget.noise == fresh + zero
    delta = 2**budget.scale_bits
    flood = 2**budget.flood_bits
    assert budget.noise + flood // 2 < delta // 2
    assert (2 * largest_sum + 1) * delta <= MODULUS
    assert (2 * largest_sum + 1) * 2 * delta > MODULUS
    assert flood >= 2**DISTANCE_BITS * DEGREE * budget.noise * 0.999
    assert 2.0**budget.capacity_bits == pytest.approx(MODULUS / flood)
    assert budget.capacity_bits <= 33


def test_noise_stays_far_within_its_bound_and_is_drowned() -> None:
    """Measured on replies without a flood: the noise is what the budget says, and no more."""
    model = logistic()
    key, public = key_pair()
    values = inputs_of(model, 4096)
    ciphertexts = key.encrypt(values, model.budget.scale_bits)
    first, second = read_request(ciphertexts, 4096, 25)
    own, element = weighted_sum(model, first, second, 4096)
    zero_first, zero_second = public.encrypted_zero(4096)
    opened = own + zero_first + key._times_secret(reduced(element + zero_second))
    scale = 1 << model.budget.scale_bits
    phases = zip(integers_of(reduced(opened)), model.sums(values).tolist(), strict=True)
    exact = [phase - total * scale for phase, total in phases]
    largest = max(map(abs, exact))
    assert 0 < largest <= model.budget.noise
    deviation = math.sqrt(sum(one * one for one in exact) / len(exact))
    of_zero = math.sqrt(DEGREE) * RANDOMISER_BOUND / math.sqrt(3)
    of_request = math.sqrt(sum(weight * weight for weight in model.weights))
    assert deviation == pytest.approx(3.24 * math.hypot(of_zero, of_request), rel=0.2)
    assert largest * DEGREE < 2.0 ** (model.budget.flood_bits - DISTANCE_BITS)


def test_a_flood_fills_its_range_evenly() -> None:
    """Mean, spread and ends of the flood, rebuilt from its residues."""
    bits = 81
    drawn = np.array([value / 2**bits for value in integers_of(flood(20_000, bits))])
    assert drawn.min() >= -0.5
    assert drawn.max() < 0.5
    assert drawn.mean() == pytest.approx(0, abs=0.02)
    assert drawn.std() == pytest.approx(1 / math.sqrt(12), rel=0.03)


def test_a_part_scores_as_offline_within_a_point() -> None:
    """Bins, missing values and unseen categories; the grid's error is what the model says."""
    bank = part()
    calibration = Calibration(0.13, 0.92)
    model = from_part(bank, calibration)
    rng = np.random.default_rng(1)
    count = 400
    table: dict[str, list[float | str | None]] = {
        f"n{number}": [
            None if rng.random() < 0.1 else float(v) for v in rng.integers(-2, 12, count)
        ]
        for number in range(5)
    }
    regions = np.array(["north", "moon", None], dtype=object)
    table["region"] = rng.choice(regions, count).tolist()
    values = model.encoding.encode(table)
    assert (values.sum(axis=1) == 6).all()
    sums = encrypted_sums(model, values[: borrowers_a_request(values.shape[1])])
    scores = terms_of(model).scores(sums)
    everyone = np.ones(count, dtype=np.bool_)
    columns = [
        FeatureColumn(
            FeatureSpec(f"n{number}", FeatureKind.NUMERIC),
            np.array(table[f"n{number}"], dtype=np.float64),
            everyone,
        )
        for number in range(5)
    ]
    region = FeatureSpec("region", FeatureKind.CATEGORICAL)
    columns.append(FeatureColumn(region, np.array(table["region"], dtype=object), everyone))
    log_odds = calibration.intercept + calibration.slope * bank.partial_scores(columns)
    exact = log_odds / LOG_ODDS_A_POINT
    assert np.abs(model.sums(values) / STEPS_A_POINT - exact).max() <= model.grid_error_points
    assert model.grid_error_points < 0.5
    assert np.abs(scores.scores - scores_of(log_odds)[: len(sums)]).max() <= 1
    assert np.array_equal(
        scores.points, np.rint(model.sums(values[: len(sums)]) / STEPS_A_POINT).astype(np.int64)
    )


def test_a_logistic_regression_scores_as_offline_within_its_grid() -> None:
    """The difference to the real-valued regression is bounded as the model says."""
    rng = np.random.default_rng(8)
    means, scales, weights = rng.normal(0, 2, 25), rng.uniform(0.5, 2, 25), rng.normal(0, 0.4, 25)
    names = [f"x{number}" for number in range(25)]
    model = from_logistic(names, means.tolist(), scales.tolist(), weights.tolist(), -2.0)
    features = rng.normal(means, scales, (500, 25))
    sums = model.sums(model.encoding.encode(dict(zip(names, features.T, strict=True))))
    exact = (-2.0 + (features - means) / scales @ weights) / LOG_ODDS_A_POINT
    error = np.abs(sums / (STEPS_A_POINT * STEPS_A_DEVIATION) - exact)
    assert error.max() <= model.grid_error_points
    assert error.max() < 0.6


def terms_of(model: EncryptedModel) -> Terms:
    """As a client reads them."""
    return Terms.read("m", model.digest, parameters_json(model), encoding_json(model))


def test_terms_hold_no_weight_and_come_back() -> None:
    """What a client is told does not depend on the weights, but for the power of two."""
    one, other = logistic(seed=3), logistic(seed=3)
    changed = EncryptedModel(one.encoding, tuple(-w for w in one.weights), one.intercept)
    assert encoding_json(one) == encoding_json(changed)
    assert parameters_json(one) == parameters_json(changed)
    assert terms_of(one).encoding == one.encoding
    assert terms_of(one).scale_bits == one.budget.scale_bits
    # The same weights have another digest under another salt: no guess can be tested on it.
    assert one.weights == other.weights
    assert one.digest != other.digest
    assert str(one.weights[0]) not in repr(one).replace(repr(one.encoding), "")


@pytest.mark.parametrize(
    ("parameters", "encoding", "sentence"),
    [
        ("[]", None, "parameters_json: not a JSON object"),
        ("{", None, "parameters_json: not JSON"),
        ("{}", None, "parameters_json: the desk uses other parameters"),
        ('"scale_bits":64', None, "parameters_json: scale_bits is not one"),
        ('"scale_bits":107', None, "parameters_json: scale_bits is not one"),
        ('"scale_bits":true', None, "parameters_json: scale_bits is not one"),
        (None, "{}", "encoding_json: not an encoding"),
        (None, "[" * 100_000, "encoding_json: not JSON"),
        (None, " " * (1 << 21), "encoding_json: longer than 1,048,576 characters"),
    ],
)
def test_terms_that_a_client_refuses(
    parameters: str | None, encoding: str | None, sentence: str
) -> None:
    """Other parameters, absurd scales, no JSON: named, never computed with."""
    model = logistic()
    given_parameters = parameters_json(model)
    if parameters and parameters.startswith('"'):
        right = f'"scale_bits":{model.budget.scale_bits}'
        parameters = given_parameters.replace(right, parameters)
    with pytest.raises(ProtocolError, match=sentence):
        Terms.read(
            "m",
            model.digest,
            given_parameters if parameters is None else parameters,
            encoding_json(model) if encoding is None else encoding,
        )


def test_a_model_on_disk_comes_back() -> None:
    """Canonical JSON there and back, for both kinds."""
    for model in (logistic(), from_part(part())):
        again = EncryptedModel.from_json(model.to_json(), "model.json")
        assert again == model
        assert again.digest == model.digest


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": "x"}, "its format must be"),
        ({"weights": [1.5] * 25}, "whole numbers"),
        ({"weights": [True] * 25}, "whole numbers"),
        ({"weights": "none"}, "whole numbers"),
        ({"weights": [1] * 24}, "24 weights for 25 inputs"),
        ({"weights": [40_000] * 25}, "a weight is beyond ±511 points"),
        ({"weights": [32_000] * 25}, "bits of flooding where 40 are needed"),
        ({"intercept": 2**70}, "bits of flooding where 40 are needed"),
        ({"intercept": None}, "whole numbers"),
        ({"salt": "short"}, "the salt must be"),
        ({"encoding": None}, "not an encoding"),
    ],
)
def test_a_damaged_model_is_refused(change: dict[str, object], sentence: str) -> None:
    """One sentence that names the file."""
    content = json.loads(logistic().to_json()) | change
    with pytest.raises(InputError, match=f"^model.json: .*{sentence}|{sentence}"):
        EncryptedModel.from_json(content, "model.json")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps_a_point": 1}, "steps a point are not known"),
        ({"steps_a_point": True}, "steps a point are not known"),
        ({"inputs": []}, "needs features, each once"),
        ({"inputs": [{}]}, "the encoding is damaged"),
        ({"inputs": 3}, "the encoding is damaged"),
        ({"inputs": [{"numeric": 3}]}, "the encoding is damaged"),
    ],
)
def test_a_damaged_encoding_is_refused(change: dict[str, object], sentence: str) -> None:
    """Also where it is part of a model."""
    content = logistic().encoding.to_json() | change
    with pytest.raises(InputError, match=f"^terms: .*{sentence}"):
        Encoding.from_json(content, "terms")


@pytest.mark.parametrize(("mean", "scale"), [(math.nan, 1), (0, 0), (0, -1), (math.inf, 1)])
def test_scales_that_can_not_be(mean: float, scale: float) -> None:
    """Refused where a model is made."""
    with pytest.raises(InputError, match="'a' needs a finite mean and a scale above 0"):
        from_logistic(["a"], [mean], [scale], [1.0], 0.0)


def test_weights_that_can_not_be() -> None:
    """Not finite, of another number, or too many bins."""
    with pytest.raises(InputError, match="must be finite"):
        from_logistic(["a"], [0.0], [1.0], [math.nan], 0.0)
    with pytest.raises(InputError, match="one mean, scale and weight a feature"):
        from_logistic(["a"], [0.0], [1.0], [1.0, 2.0], 0.0)
    with pytest.raises(InputError, match="1,805 inputs; at most 1,024 fit"):
        from_part(part(features=10, bins=200))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"x0": [1.0]}, "the feature 'x1' is needed and not given"),
        ({"x0": [1.0], "x1": [1.0, 2.0]}, r"one value a borrower; there are \[1, 2\]"),
        ({"x0": [None], "x1": [1.0]}, "feature 'x0' is missing somewhere"),
        ({"x0": [math.inf], "x1": [1.0]}, "feature 'x0' must be finite"),
        ({"x0": ["secret"], "x1": [1.0]}, "feature 'x0' must be numbers, or None"),
        ({"x0": [[1.0]], "x1": [1.0]}, "feature 'x0' must be one value a borrower"),
    ],
)
def test_features_that_can_not_be_encoded(table: dict[str, list[object]], sentence: str) -> None:
    """The sentence names the feature and never its value."""
    with pytest.raises(InputError, match=sentence) as caught:
        logistic(2).encoding.encode(table)
    assert "secret" not in str(caught.value)


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_any_number_is_encoded_in_range(value: float) -> None:
    """Clipped at ±8 scales."""
    encoded = logistic(1).encoding.encode({"x0": [value]})
    assert np.abs(encoded).max() <= 2048
