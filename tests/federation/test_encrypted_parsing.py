"""Encrypted scoring's ring and words: exact products, and any bytes are read or refused."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.encrypted_scoring import ApplicantKey, PublicKey, Terms, answer
from federation.encrypted_scoring.parameters import (
    CIPHERTEXT_BYTES,
    DEGREE,
    ELEMENT_BYTES,
    MODULUS,
    PRIMES,
    RING_DIGEST,
    SEED_BYTES,
)
from federation.encrypted_scoring.ring import (
    balanced,
    evaluate,
    fractions,
    from_words,
    interpolate,
    reduced,
    to_words,
)
from federation.encrypted_scoring.sampling import errors, uniform_element
from federation.errors import InputError, ProtocolError
from tests.federation.encrypted_models import inputs_of, key_pair, logistic


def negacyclic(one: list[int], other: list[int], places: list[int]) -> list[int]:
    """Some coefficients of a product modulo X^N + 1, in Python's integers."""
    return [
        sum(
            one[i] * other[place - i] if i <= place else -one[i] * other[DEGREE + place - i]
            for i in range(DEGREE)
        )
        for place in places
    ]


@pytest.mark.parametrize("extreme", [False, True])
def test_products_are_exact(extreme: bool) -> None:
    """Against integers of any size; also with the largest values all of one sign."""
    rng = np.random.default_rng(4)
    if extreme:
        residues = np.stack([np.full(DEGREE, prime // 2) for prime in PRIMES])
        small = np.full(DEGREE, -128)
    else:
        residues = np.stack([rng.integers(0, prime, DEGREE) for prime in PRIMES])
        small = rng.integers(-128, 128, DEGREE)
    product = reduced(interpolate(evaluate(balanced(residues)) * evaluate(small.astype(float))))
    places = [0, 1, 2047, 2048, 4095]
    for index, prime in enumerate(PRIMES):
        expected = negacyclic(residues[index].tolist(), small.tolist(), places)
        assert product[index][places].tolist() == [value % prime for value in expected]


def test_a_product_that_is_not_exact_is_refused() -> None:
    """Rounding is checked, not trusted."""
    values = evaluate(np.full(DEGREE, 2.0**30)) * evaluate(np.full(DEGREE, 2.0**30 + 1))
    with pytest.raises(ArithmeticError, match="not near an integer"):
        interpolate(values * 1.0000001)


@given(st.lists(st.integers(-(MODULUS // 2), MODULUS // 2), min_size=1, max_size=20))
@settings(deadline=None)
def test_fractions_are_those_of_the_integers(values: list[int]) -> None:
    """x/q to 2^-49, by residues alone."""
    residues = np.array([[value % prime for value in values] for prime in PRIMES], dtype=np.int64)
    found = fractions(residues)
    for value, fraction in zip(values, found, strict=True):
        difference = abs(value / MODULUS - fraction)
        assert min(difference, 1 - difference) < 2**-49


def test_the_parameters_are_within_the_table_and_seals_own_check() -> None:
    """At most 109 bits at degree 4,096; SEAL accepts the primes at 128 bits of security."""
    seal = pytest.importorskip("tenseal.sealapi")
    assert MODULUS.bit_length() <= 109
    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    parameters.set_poly_modulus_degree(DEGREE)
    parameters.set_coeff_modulus([seal.Modulus(prime) for prime in PRIMES])
    context = seal.SEALContext(parameters, False, seal.SEC_LEVEL_TYPE.TC128)
    assert context.parameters_set(), context.parameters_error_message()
    longer = [*PRIMES, 134_037_505]
    parameters.set_coeff_modulus([seal.Modulus(prime) for prime in longer])
    assert not seal.SEALContext(parameters, False, seal.SEC_LEVEL_TYPE.TC128).parameters_set()


def test_seal_finds_the_same_products() -> None:
    """SEAL's number-theoretic transform, which shares no code with the FFT here, is the judge.

    It multiplies two plaintext polynomials modulo one of the primes, one of them encrypted.
    """
    seal = pytest.importorskip("tenseal.sealapi")
    rng = np.random.default_rng(9)
    element = np.stack([rng.integers(0, prime, DEGREE) for prime in PRIMES])
    secret = rng.integers(-1, 2, DEGREE)
    ours = reduced(interpolate(evaluate(balanced(element)) * evaluate(secret.astype(np.float64))))
    # BFV with one prime as modulus and a plain product: SEAL's ring product of two polynomials.
    for index, prime in enumerate(PRIMES[:1]):
        parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.BFV)
        parameters.set_poly_modulus_degree(DEGREE)
        parameters.set_coeff_modulus(seal.CoeffModulus.Create(DEGREE, [54, 54]))
        parameters.set_plain_modulus(prime)
        context = seal.SEALContext(parameters, False, seal.SEC_LEVEL_TYPE.TC128)
        if not context.parameters_set():
            pytest.skip("this SEAL takes no such plain modulus")
        keys = seal.KeyGenerator(context)
        encryptor = seal.Encryptor(context, keys.secret_key())
        decryptor = seal.Decryptor(context, keys.secret_key())
        evaluator = seal.Evaluator(context)
        one = seal.Plaintext(_hexadecimal(element[index] % prime))
        other = seal.Plaintext(_hexadecimal(secret % prime))
        ciphertext, opened = seal.Ciphertext(), seal.Plaintext()
        encryptor.encrypt_symmetric(one, ciphertext)
        evaluator.multiply_plain_inplace(ciphertext, other)
        decryptor.decrypt(ciphertext, opened)
        assert [opened[place] for place in range(DEGREE)] == ours[index].tolist()


def _hexadecimal(coefficients: np.ndarray) -> str:
    """SEAL's text form of a polynomial."""
    terms = [
        f"{int(value):X}" + (f"x^{place}" if place else "")
        for place, value in reversed(list(enumerate(coefficients)))
        if value
    ]
    return " + ".join(terms)


def test_seeds_expand_as_ever() -> None:
    """A known answer: clients and desks of other versions must expand the same."""
    element = uniform_element(b"test", b"seed")
    assert element.shape == (len(PRIMES), DEGREE)
    digest = hashlib.sha256(to_words(element)).hexdigest()
    assert digest == "88a345af3ae0e6017a5d78ac00f78919bbf897ba1cc63e7be8fed851dfe8b711"
    assert RING_DIGEST == "076f8a2618bd53b4000b9738320d2c1d049e3a22ad3d9e57859a994e97badd05"
    again = uniform_element(b"other", b"seed")
    assert np.mean(again == element) < 0.01


def test_errors_are_centred_binomial() -> None:
    """Mean, variance and bound."""
    drawn = errors(200_000)
    assert np.abs(drawn).max() <= 21
    assert drawn.mean() == pytest.approx(0, abs=0.05)
    assert drawn.var() == pytest.approx(10.5, rel=0.03)


@given(st.just(b"\0") | st.binary(max_size=64), st.integers(0, 2**32), st.integers(24, 32))
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_words_or_refused(data: bytes, seed: int, bits: int) -> None:
    """The sentence names the field and no word; long inputs come from a seed."""
    if data.startswith(b"\0"):
        words = np.random.default_rng(seed).integers(0, 2**bits, ELEMENT_BYTES // 4)
        data = words.astype("<u4").tobytes()
    words = np.frombuffer(data[: len(data) // 4 * 4], dtype="<u4")
    right = len(data) == ELEMENT_BYTES and (words.reshape(4, DEGREE) < np.array([PRIMES]).T).all()
    if right:
        assert to_words(from_words(data, DEGREE, "public_key")) == data
        return
    with pytest.raises(ProtocolError, match=r"^public_key: "):
        from_words(data, DEGREE, "public_key")


@given(st.lists(st.binary(max_size=80), max_size=3), st.integers(-1, 2**33))
@settings(deadline=None)
def test_any_request_is_answered_or_refused(ciphertexts: list[bytes], borrowers: int) -> None:
    """Wrong counts, lengths and words: a sentence that names the field."""
    _, public = key_pair()
    with pytest.raises(ProtocolError, match=r"^(borrowers|ciphertexts|ciphertext)(\[\d+\])?: "):
        answer(logistic(), public, ciphertexts, borrowers)


@pytest.mark.parametrize(
    ("change", "borrowers", "sentence"),
    [
        (lambda c: [c[0][:-1]], 1, "^ciphertext: 65567 bytes where a ciphertext has 65568"),
        (lambda c: [c[0] + bytes(4)], 1, "^ciphertext: 65572 bytes"),
        (lambda c: c + c, 1, "^ciphertexts: 2 where 25 inputs of 1 borrowers take 1"),
        (lambda c: [], 1, "^ciphertexts: 0 where"),
        (lambda c: c, 0, "^borrowers: 0 in a request where 1 to 4096 are right"),
        (lambda c: c, 4097, "^borrowers: 4097 in a request"),
        (lambda c: c, 4096, "^ciphertexts: 1 where 25 inputs of 4096 borrowers take 25"),
        (
            lambda c: [c[0][:SEED_BYTES] + b"\xff" * ELEMENT_BYTES],
            1,
            "^ciphertext: word 0 of prime 0 is not below the prime 133963777",
        ),
        (
            lambda c: [c[0][:-4] + PRIMES[3].to_bytes(4, "little")],
            1,
            "^ciphertext: word 4095 of prime 3 is not below",
        ),
    ],
)
def test_requests_that_are_refused(change: object, borrowers: int, sentence: str) -> None:
    """Each names its field."""
    model = logistic()
    key, public = key_pair()
    ciphertexts = key.encrypt(inputs_of(model, 1), model.budget.scale_bits)
    assert len(ciphertexts[0]) == CIPHERTEXT_BYTES
    with pytest.raises(ProtocolError, match=sentence):
        answer(model, public, change(ciphertexts), borrowers)  # type: ignore[operator]


def test_any_well_formed_ciphertext_is_answered() -> None:
    """Whatever the words are, as long as they are residues: the desk computes and does not fail."""
    model = logistic()
    _, public = key_pair()
    for words in (
        np.zeros((4, DEGREE), dtype=np.int64),
        np.array(PRIMES)[:, None] - np.ones((4, DEGREE), dtype=np.int64),
    ):
        for borrowers, count in ((1, 1), (4096, 25)):
            ciphertexts = [bytes(SEED_BYTES) + to_words(words)] * count
            reply = answer(model, public, ciphertexts, borrowers)
            assert len(reply) == ELEMENT_BYTES + 16 * borrowers


@pytest.mark.parametrize("change", [-1, 1, ELEMENT_BYTES])
def test_replies_that_are_refused(change: int) -> None:
    """Another length, words beyond, or damaged."""
    model = logistic()
    key, public = key_pair()
    scale_bits = model.budget.scale_bits
    reply = answer(model, public, key.encrypt(inputs_of(model, 300), scale_bits), 300)
    wrong = reply[:change] if change < 0 else reply + bytes(change)
    with pytest.raises(ProtocolError, match="the reply has"):
        key.decrypt(wrong, 300, scale_bits)
    with pytest.raises(ProtocolError, match="the reply's element: word 0 of prime 0"):
        key.decrypt(b"\xff" * len(reply), 300, scale_bits)
    flipped = bytes([reply[0] ^ 1]) + reply[1:]
    with pytest.raises(ProtocolError, match="does not decrypt|not below"):
        key.decrypt(flipped, 300, scale_bits)


@given(st.binary(max_size=100))
@settings(deadline=None)
def test_any_secret_is_taken_or_refused(data: bytes) -> None:
    """A kept key that is damaged is never used."""
    with pytest.raises(InputError, match="a secret key is 4,096 coefficients"):
        ApplicantKey(data)
    with pytest.raises(InputError, match="a secret key is 4,096 coefficients"):
        ApplicantKey(b"\x02" * DEGREE)
    with pytest.raises(InputError, match="a secret key is 4,096 coefficients"):
        ApplicantKey(b"\x80" * DEGREE)


def test_secrets_show_nowhere() -> None:
    """Neither in a repr nor as an attribute that a log would print."""
    key, public = key_pair()
    assert "array" not in repr(key)
    assert isinstance(public, PublicKey)


@given(st.text(max_size=60), st.text(max_size=60))
@settings(deadline=None)
def test_any_terms_are_read_or_refused(parameters: str, encoding: str) -> None:
    """Texts that are no terms."""
    with pytest.raises(ProtocolError, match=r"^(parameters_json|encoding_json): "):
        Terms.read("m", "d", parameters, encoding)
