"""Both sum ciphers through one suite."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.aggregation import SCHEMES, SumCipher, sum_cipher
from federation.errors import InputError, ProtocolError

Words = npt.NDArray[np.uint64]
CLIENTS = 10
DEGREE = 4096

ciphers = pytest.mark.parametrize("cipher", [sum_cipher(s, CLIENTS) for s in SCHEMES], ids=SCHEMES)


def vector(cipher: SumCipher, count: int, seed: int) -> Words:
    """Values over the whole range."""
    return np.random.default_rng(seed).integers(0, cipher.modulus, count, dtype=np.uint64)


def reduced(cipher: SumCipher, total: Words) -> Words:
    """Sums that wrapped around 2^64, modulo the cipher's power of two."""
    return total & np.uint64(cipher.modulus - 1)


def opened_or_noisy(
    cipher: SumCipher, secret: bytes, ciphertext: bytes, count: int
) -> Words | None:
    """What a key makes of a ciphertext; None where it is refused as noise."""
    try:
        return cipher.decrypt(secret, ciphertext, count)
    except ProtocolError:
        return None


@ciphers
def test_the_modulus_is_a_power_of_two_that_a_double_holds(cipher: SumCipher) -> None:
    """Masks rely on the power of two; two updates of 20 bits or more fit a slot."""
    assert cipher.modulus & (cipher.modulus - 1) == 0
    assert 2**40 <= cipher.modulus <= 2**53


@ciphers
@settings(max_examples=12, deadline=None)
@given(count=st.integers(1, 9_000), clients=st.integers(1, CLIENTS), seed=st.integers(0, 2**32))
def test_sums_are_exact(cipher: SumCipher, count: int, clients: int, seed: int) -> None:
    """Ciphertexts plus a plain correction decrypt to the sum modulo the modulus."""
    secret = cipher.new_key()
    vectors = [vector(cipher, count, seed + client) for client in range(clients)]
    correction = vector(cipher, count, seed + clients)
    ciphertexts = [cipher.encrypt(secret, each) for each in vectors]
    total = cipher.add(ciphertexts, correction)
    assert cipher.check(total, count) is None
    expected = correction + np.sum(vectors, axis=0, dtype=np.uint64)
    np.testing.assert_array_equal(cipher.decrypt(secret, total, count), reduced(cipher, expected))


@ciphers
@pytest.mark.parametrize("edge", ["zeros", "largest", "half", "alternating", "one"])
def test_extreme_vectors_are_exact(cipher: SumCipher, edge: str) -> None:
    """Everybody at the same edge, correction too, is the hardest case for the noise's room."""
    count = 2 * DEGREE
    values = {
        "zeros": np.zeros(count),
        "largest": np.full(count, cipher.modulus - 1),
        "half": np.full(count, cipher.modulus // 2),
        "alternating": np.tile([cipher.modulus // 2, cipher.modulus // 2 - 1], DEGREE),
        "one": np.eye(1, count)[0] * (cipher.modulus // 2),
    }[edge].astype(np.uint64)
    secret = cipher.new_key()
    total = cipher.add([cipher.encrypt(secret, values) for _ in range(CLIENTS)], values)
    expected = values * np.uint64(CLIENTS + 1)
    np.testing.assert_array_equal(cipher.decrypt(secret, total, count), reduced(cipher, expected))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("clients", [2, 100, 600])
def test_a_full_roster_is_exact(scheme: str, clients: int) -> None:
    """With as many ciphertexts as the cipher is for, the noise stays below a value."""
    cipher = sum_cipher(scheme, clients)
    secret, count = cipher.new_key(), cipher.slots
    values = np.full(count, cipher.modulus // 2, dtype=np.uint64)
    total = cipher.add((cipher.encrypt(secret, values) for _ in range(clients)), values)
    expected = values * np.uint64(clients + 1)
    np.testing.assert_array_equal(cipher.decrypt(secret, total, count), reduced(cipher, expected))


@ciphers
def test_more_ciphertexts_than_clients_are_refused(cipher: SumCipher) -> None:
    """Beyond its number of clients the cipher promises nothing, so it refuses."""
    one = cipher.encrypt(cipher.new_key(), np.zeros(1, dtype=np.uint64))
    with pytest.raises(ValueError, match="11 ciphertexts in a sum of 1 to 10"):
        cipher.add([one] * (CLIENTS + 1), np.zeros(1, dtype=np.uint64))
    with pytest.raises(ValueError, match="0 ciphertexts"):
        cipher.add([], np.zeros(1, dtype=np.uint64))


@ciphers
def test_a_ciphertext_is_its_words_and_nothing_else(cipher: SumCipher) -> None:
    """Two polynomials a chunk: 16 bytes a coefficient, no key, no header."""
    for count in (1, cipher.slots, cipher.slots + 1):
        ciphertext = cipher.encrypt(cipher.new_key(), vector(cipher, count, 1))
        chunks = -(-count // cipher.slots)
        assert len(ciphertext) == cipher.ciphertext_bytes(count) == chunks * 16 * DEGREE


@ciphers
def test_equal_vectors_encrypt_to_unrelated_ciphertexts(cipher: SumCipher) -> None:
    """Encryption is randomised: no word of the second polynomials is the same."""
    secret, values = cipher.new_key(), np.zeros(cipher.slots, dtype=np.uint64)
    one, two = (
        np.frombuffer(cipher.encrypt(secret, values), dtype="<u8")[DEGREE:] for _ in range(2)
    )
    assert np.count_nonzero(one == two) == 0


@ciphers
def test_another_key_opens_nothing(cipher: SumCipher) -> None:
    """Under a wrong key the result is refused as noise, or has nothing of the vector."""
    values = vector(cipher, cipher.slots, 1)
    ciphertext = cipher.encrypt(cipher.new_key(), values)
    opened = opened_or_noisy(cipher, cipher.new_key(), ciphertext, cipher.slots)
    if cipher.scheme == "ckks":
        assert opened is None
    else:
        assert opened is not None
        assert np.count_nonzero(opened == values) <= 2


@ciphers
@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=300), place=st.integers(0, 16 * DEGREE - 1))
def test_what_has_not_the_form_of_a_ciphertext_is_told(
    cipher: SumCipher, data: bytes, place: int
) -> None:
    """Wrong lengths and words beyond the prime are found without decryption."""
    assert "chunks" in str(cipher.check(data, 1))
    good = bytes(16 * DEGREE)
    assert "2 chunks" in str(cipher.check(good, cipher.slots + 1))
    start = place // 8 * 8
    beyond = good[:start] + b"\xff" * 8 + good[start + 8 :]
    assert "beyond the modulus" in str(cipher.check(beyond, 1))
    assert cipher.check(good, 1) is None


@ciphers
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_arbitrary_words_decrypt_without_a_crash(cipher: SumCipher, seed: int) -> None:
    """A hostile total of the right form gives garbage or a refusal, nothing worse."""
    words = np.random.default_rng(seed).integers(0, 2**59, 2 * DEGREE, dtype=np.uint64)
    if seed % 3 == 0:
        words[DEGREE:] = 0  # a ciphertext without its second half
    opened = opened_or_noisy(cipher, cipher.new_key(), words.tobytes(), 5)
    assert opened is None or opened.max() < cipher.modulus


@ciphers
def test_values_must_be_below_the_modulus(cipher: SumCipher) -> None:
    """Programmer errors are told before anything is encrypted."""
    secret = cipher.new_key()
    wrong: list[npt.NDArray[np.generic]] = [
        np.array([cipher.modulus], dtype=np.uint64),
        np.zeros(0, dtype=np.uint64),
        np.zeros((2, 2), dtype=np.uint64),
        np.zeros(3, dtype=np.int64),
    ]
    for values in wrong:
        with pytest.raises(ValueError, match="values must be"):
            cipher.encrypt(secret, values)  # type: ignore[arg-type]


@ciphers
def test_only_keys_are_keys(cipher: SumCipher) -> None:
    """Keys are fresh, of one length, and below the prime."""
    secret = cipher.new_key()
    assert secret != cipher.new_key()
    cipher.check_key(secret)
    for wrong in (b"", secret[:-1], b"\xff" * len(secret)):
        with pytest.raises(ValueError, match="no secret key"):
            cipher.check_key(wrong)


@pytest.mark.parametrize(("scheme", "clients"), [("bfv", 0), ("ckks", 1_001), ("paillier", 3)])
def test_no_such_cipher(scheme: str, clients: int) -> None:
    """Unknown schemes and numbers of clients that can't be served get a sentence."""
    with pytest.raises(InputError, match="no scheme of encryption|can't be in one encrypted sum"):
        sum_cipher(scheme, clients)
