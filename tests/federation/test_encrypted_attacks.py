"""Attacks on encrypted scoring: each works with its protection off and fails with it on."""

from __future__ import annotations

import os

import numpy as np
import pytest

from federation.encrypted_scoring import ApplicantKey, EncryptedModel, PublicKey, answer
from federation.encrypted_scoring.applicant_key import CIPHERTEXT_PURPOSE, KEY_PURPOSE
from federation.encrypted_scoring.evaluation import read_request, weighted_sum
from federation.encrypted_scoring.parameters import DEGREE, ELEMENT_BYTES, PRIMES, SEED_BYTES
from federation.encrypted_scoring.ring import (
    Residues,
    balanced,
    evaluate,
    from_words,
    interpolate,
    reduced,
    scaled,
    to_words,
)
from federation.encrypted_scoring.sampling import errors, randomiser, uniform_element
from federation.errors import ProtocolError
from tests.federation.encrypted_models import (
    Integers,
    inputs_of,
    integers_of,
    key_pair,
    logistic,
    new_key_pair,
)

PRIME = PRIMES[0]


def columns_of(ciphertexts: list[bytes], inputs: int, borrowers: int) -> Integers:
    """What each weight is multiplied by in a reply's second polynomial (N, d), modulo PRIME.

    The applicant knows it: it made the ciphertexts' seeds.
    """
    share = DEGREE // borrowers
    columns = np.empty((DEGREE, inputs), dtype=np.int64)
    for index in range(inputs):
        element = uniform_element(CIPHERTEXT_PURPOSE, ciphertexts[index // share][:SEED_BYTES])[0]
        shift = index % share * borrowers  # times X^-shift
        columns[:, index] = np.concatenate([element[shift:], -element[:shift]]) % PRIME
    return columns


def solved(columns: Integers, found: Integers) -> tuple[Integers, float]:
    """Weights that explain the first d coefficients, and the share of all that they explain."""
    inputs = columns.shape[1]
    rows = np.concatenate([columns[:inputs], found[:inputs, None]], axis=1).tolist()
    for place in range(inputs):
        pivot = next(index for index in range(place, inputs) if rows[index][place])
        rows[place], rows[pivot] = rows[pivot], rows[place]
        inverse = pow(rows[place][place], -1, PRIME)
        rows[place] = [value * inverse % PRIME for value in rows[place]]
        for index in range(inputs):
            if index != place and rows[index][place]:
                factor = rows[index][place]
                rows[index] = [
                    (value - factor * own) % PRIME
                    for value, own in zip(rows[index], rows[place], strict=True)
                ]
    weights = np.array([row[-1] for row in rows], dtype=np.int64)
    explained = np.zeros(DEGREE, dtype=np.int64)
    for index, weight in enumerate(weights):
        explained = (explained + columns[:, index] * weight) % PRIME
    weights = np.where(weights > PRIME // 2, weights - PRIME, weights)
    return weights, float(np.mean(explained == found))


def second_of(reply: bytes) -> Integers:
    """A reply's second polynomial modulo PRIME."""
    return from_words(reply[:ELEMENT_BYTES], DEGREE, "reply")[0]


@pytest.mark.parametrize("borrowers", [1, 40, 4096])
def test_one_reply_gives_all_weights_away_unless_it_is_randomised(borrowers: int) -> None:
    """Division of a reply by its request: every weight exactly, or nothing better than a guess."""
    model = logistic()
    key, public = key_pair()
    values = inputs_of(model, borrowers)
    ciphertexts = key.encrypt(values, model.budget.scale_bits)
    columns = columns_of(ciphertexts, 25, borrowers)

    first, second = read_request(ciphertexts, borrowers, 25)
    _, unprotected = weighted_sum(model, first, second, borrowers)
    weights, explained = solved(columns, unprotected[0])
    assert weights.tolist() == list(model.weights)
    assert explained == 1

    reply = answer(model, public, ciphertexts, borrowers)
    weights, explained = solved(columns, second_of(reply))
    assert not set(weights.tolist()) & set(model.weights)
    assert explained < 0.01  # the d that were solved for
    # Anything near: a guess within 1% of the prime is right in 2% of the cases.
    assert np.mean(np.abs(weights - model.weight_vector) < PRIME // 100) < 0.4


def test_two_replies_to_one_request_share_nothing() -> None:
    """Not even the sum of the same ciphertexts shows that it is the same."""
    model = logistic()
    key, public = key_pair()
    ciphertexts = key.encrypt(inputs_of(model, 1), model.budget.scale_bits)
    one, other = (second_of(answer(model, public, ciphertexts, 1)) for _ in range(2))
    difference = (one - other) % PRIME
    assert np.mean(difference == 0) < 0.01
    assert np.mean(difference) == pytest.approx(PRIME / 2, rel=0.05)


def test_the_noise_tells_the_weights_unless_it_is_flooded() -> None:
    """The applicant knows the errors that it drew; without a flood, regression on them does it.

    With one, the estimate is no better than chance.
    """
    model = logistic(4)
    key, public = new_key_pair()
    rng = np.random.default_rng(2)
    borrowers = 1000
    scale_bits = model.budget.scale_bits
    values = inputs_of(model, borrowers)
    # Errors as an applicant of its own software may draw them: large, still far below the flood.
    chosen = rng.integers(-(2**20), 2**20, DEGREE)
    (data,) = key.encrypt(values, scale_bits)
    own_words = from_words(data[SEED_BYTES:], DEGREE, "own")
    ciphertexts = [data[:SEED_BYTES] + to_words(reduced(own_words + chosen))]
    # Four inputs share the ciphertext, a block of 1,000 coefficients each.
    known = chosen[: 4 * borrowers].reshape(4, borrowers).T.astype(np.float64)

    def estimate(opened: Residues) -> np.ndarray:
        left = reduced(opened - scaled(model.sums(values), scale_bits))
        noise = _centred(left)
        return np.linalg.lstsq(known, noise, rcond=None)[0]

    first, second = read_request(ciphertexts, borrowers, 4)
    own, element = weighted_sum(model, first, second, borrowers)
    zero_first, zero_second = public.encrypted_zero(borrowers)
    opened = key._times_secret(reduced(element + zero_second))[:, :borrowers]
    without = reduced(own + zero_first + opened)
    assert np.abs(estimate(without) - model.weight_vector).max() < 0.5

    reply = answer(model, public, ciphertexts, borrowers)
    masked = from_words(reply[ELEMENT_BYTES:], borrowers, "reply")
    opened = key._times_secret(from_words(reply[:ELEMENT_BYTES], DEGREE, "reply"))
    flooded = estimate(reduced(masked + opened[:, :borrowers]))
    assert np.abs(flooded).min() > 2**30  # the flood's own regression, nothing of the weights'
    # Scores still come out: the errors stay far within the step.
    assert np.array_equal(key.decrypt(reply, borrowers, scale_bits), model.sums(values))


def _centred(residues: Residues) -> np.ndarray:
    """Integers modulo q as floats around 0."""
    return np.array([float(value) for value in integers_of(residues)])


def answered_under(
    model: EncryptedModel, ciphertexts: list[bytes], uniform: Residues, own: Residues
) -> Residues:
    """A reply's second polynomial under a key of which both halves are given."""
    first, second = read_request(ciphertexts, 1, model.encoding.width)
    _, element = weighted_sum(model, first, second, 1)
    products = interpolate(evaluate(balanced(np.stack([own, uniform]))) * evaluate(randomiser()))
    return reduced(element + reduced(products)[1] + errors(DEGREE))


def small_weights(columns: Integers, found: Integers, most: int) -> list[tuple[int, int]]:
    """All pairs of weights within ±most that leave only small errors at the first coefficients."""
    grid = np.arange(-most, most + 1)
    left, right = np.meshgrid(grid, grid, indexing="ij")
    fits = np.ones(left.shape, dtype=np.bool_)
    for row in range(6):
        rest = (int(found[row]) - columns[row, 0] * left - columns[row, 1] * right) % PRIME
        fits &= np.minimum(rest, PRIME - rest) <= 21
    return [(int(left[i, j]), int(right[i, j])) for i, j in np.argwhere(fits)]


def test_a_key_with_a_uniform_half_of_the_clients_choice_gives_the_weights() -> None:
    """A zero in place of the desk's half lets a search find them; the desk's own half does not."""
    model = logistic(2, spread=0.05)
    key, public = key_pair()
    assert max(map(abs, model.weights)) <= 300
    ciphertexts = key.encrypt(inputs_of(model, 1), model.budget.scale_bits)
    columns = columns_of(ciphertexts, 2, 1)
    own = from_words(public.public_key, DEGREE, "key")

    degenerate = answered_under(model, ciphertexts, np.zeros_like(own), own)
    assert small_weights(columns, degenerate[0], 300) == [model.weights]

    drawn = uniform_element(KEY_PURPOSE, public.key_seed)
    honest = answered_under(model, ciphertexts, drawn, own)
    assert small_weights(columns, honest[0], 300) == []


@pytest.mark.parametrize("kind", ["zero", "large", "multiple"])
def test_a_false_other_half_gives_no_weights(kind: str) -> None:
    """A client may register any polynomial beside the desk's: the reply's element stays uniform."""
    model = logistic()
    seed = os.urandom(64)
    key, _ = ApplicantKey.generate(seed)
    false = np.zeros((len(PRIMES), DEGREE), dtype=np.int64)
    if kind == "large":  # shows one coefficient of the randomiser in place of the score
        false = scaled(np.eye(1, DEGREE, dtype=np.int64)[0], 100)
    elif kind == "multiple":
        false = reduced(uniform_element(KEY_PURPOSE, seed) * 3)
    public = PublicKey.read(seed, to_words(false))
    ciphertexts = key.encrypt(inputs_of(model, 1), model.budget.scale_bits)
    reply = answer(model, public, ciphertexts, 1)
    weights, explained = solved(columns_of(ciphertexts, 25, 1), second_of(reply))
    assert not set(weights.tolist()) & set(model.weights)
    assert explained < 0.01


def test_a_key_does_not_open_anothers_reply() -> None:
    """What is encrypted under one key is noise under another."""
    model = logistic()
    key, public = key_pair()
    other, _ = new_key_pair()
    ciphertexts = key.encrypt(inputs_of(model, 40), model.budget.scale_bits)
    reply = answer(model, public, ciphertexts, 40)
    with pytest.raises(ProtocolError, match="does not decrypt under this key"):
        other.decrypt(reply, 40, model.budget.scale_bits)


def test_ciphertexts_show_nothing_of_the_inputs() -> None:
    """Bytes of a ciphertext's first polynomial are uniform, and two of one input differ."""
    model = logistic()
    key, _ = key_pair()
    values = inputs_of(model, 1) * 0
    one, other = (key.encrypt(values, model.budget.scale_bits)[0] for _ in range(2))
    assert one[:SEED_BYTES] != other[:SEED_BYTES]
    words = from_words(one[SEED_BYTES:], DEGREE, "own")
    for row, prime in zip(words, PRIMES, strict=True):
        counts = np.bincount(row * 16 // prime, minlength=16)
        assert ((counts - 256) ** 2 / 256).sum() < 60  # chi-square, 15 degrees of freedom
    assert np.mean(words == from_words(other[SEED_BYTES:], DEGREE, "own")) < 0.01


def test_everything_that_leaves_holds_a_fresh_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, ciphertext and encryption of zero: without its error, each would be linear algebra."""
    key, public = new_key_pair()
    secret = np.frombuffer(key.secret, dtype=np.int8).astype(np.float64)
    own = from_words(public.public_key, DEGREE, "key")
    drawn = uniform_element(KEY_PURPOSE, public.key_seed)
    (ciphertext,) = key.encrypt(np.zeros((1, 3), dtype=np.int64), 80)
    first = from_words(ciphertext[SEED_BYTES:], DEGREE, "own")
    second = uniform_element(CIPHERTEXT_PURPOSE, ciphertext[:SEED_BYTES])

    def opened(left: Residues, right: Residues) -> np.ndarray:
        return _centred(reduced(left + interpolate(evaluate(balanced(right)) * evaluate(secret))))

    monkeypatch.setattr(
        "federation.encrypted_scoring.evaluation.randomiser", lambda: np.zeros(DEGREE)
    )
    zero_first, zero_second = public.encrypted_zero(DEGREE)
    assert not zero_first.any()
    found = (opened(own, drawn), opened(first, second), _centred(zero_second))
    for noise in found:
        assert np.abs(noise).max() <= 21
        assert noise.var() == pytest.approx(10.5, rel=0.15)
    assert abs(np.corrcoef(found)[np.triu_indices(3, 1)]).max() < 0.1
    again = public.encrypted_zero(DEGREE)[1]
    assert np.mean(again == zero_second) < 0.2


def test_randomisers_fill_their_range_and_differ() -> None:
    """Uniform over 256 values, drawn anew each time."""
    one, other = randomiser(), randomiser()
    assert (one.min(), one.max()) == (-128, 127)
    assert one.std() == pytest.approx(256 / np.sqrt(12), rel=0.05)
    assert np.mean(one == other) < 0.03
