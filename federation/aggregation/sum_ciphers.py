"""Ciphers whose ciphertexts add up: BFV and CKKS behind one interface, both exact modulo 2^k.

- BFV (Brakerski 2012; Fan & Vercauteren 2012): a value a coefficient. Additions act coefficient by
  coefficient, so that the batching transform, which is there for products, is left out and the
  plain modulus may be a power of two.
- CKKS (Cheon, Kim, Kim & Song 2017): a value a slot, half as many slots as coefficients. It is
  approximate; here the scale is such that a sum is off by less than 1/4, and rounding makes it
  exact. Only rounded sums are ever shown.

k follows from the number of clients: what the noise of so many ciphertexts leaves of the modulus.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from federation.errors import InputError, ProtocolError

Words = npt.NDArray[np.uint64]
SCHEMES = ("bfv", "ckks")
MAXIMUM_CLIENTS = 1_000


class SumCipher(Protocol):
    """A cipher with which encrypted vectors of integers modulo a power of two add up."""

    @property
    def scheme(self) -> str:
        """'bfv' or 'ckks'."""

    @property
    def modulus(self) -> int:
        """Of the values: a power of two."""

    @property
    def clients(self) -> int:
        """The largest number of ciphertexts in a sum, a correction aside."""

    @property
    def slots(self) -> int:
        """Values a chunk."""

    def new_key(self) -> bytes:
        """A fresh secret key."""

    def check_key(self, secret: bytes) -> None:
        """Raise ValueError unless the bytes are a key of this cipher."""

    def ciphertext_bytes(self, count: int) -> int:
        """Bytes of a ciphertext of `count` values."""

    def encrypt(self, secret: bytes, values: Words) -> bytes:
        """Encrypt (count,) values below the modulus."""

    def check(self, ciphertext: bytes, count: int) -> str | None:
        """What is wrong with the form of a ciphertext of `count` values; None when nothing is."""

    def add(self, ciphertexts: Iterable[bytes], correction: Words) -> bytes:
        """The sum of ciphertexts that passed `check`, plus a plain vector (count,); needs no key.

        Raises:
            ValueError: more ciphertexts than the cipher's clients.
        """

    def decrypt(self, secret: bytes, ciphertext: bytes, count: int) -> Words:
        """The values (count,) of a ciphertext that passed `check`.

        Raises:
            ProtocolError: it is too noisy to be a sum of the cipher's clients.
        """


@functools.lru_cache(maxsize=4)
def sum_cipher(scheme: str, clients: int) -> SumCipher:
    """The cipher with which so many clients' vectors add up.

    Raises:
        InputError: the scheme is unknown, or the clients are too many.
    """
    if scheme not in SCHEMES:
        raise InputError(f"'{scheme}' is no scheme of encryption: 'bfv' and 'ckks' are")
    if not 1 <= clients <= MAXIMUM_CLIENTS:
        raise InputError(
            f"{clients} clients can't be in one encrypted sum; at most {MAXIMUM_CLIENTS} can "
            "(split them into groups)"
        )
    return BfvSumCipher(clients) if scheme == "bfv" else CkksSumCipher(clients)


class _Ciphertexts:
    """What both ciphers' ciphertexts share: words below a prime, added word by word."""

    def __init__(self, ring: Any, slots: int) -> None:
        self.ring = ring
        self.slots = slots
        # Ring keys are cached by their bytes: a client uses one in a run, over and over.
        self.key = functools.lru_cache(maxsize=1)(ring.key)

    def chunks(self, count: int) -> int:
        return -(-count // self.slots)

    def size(self, count: int) -> int:
        from federation.aggregation.seal_ring import DEGREE

        return self.chunks(count) * 2 * DEGREE * 8

    def words(self, ciphertext: bytes) -> Words:
        from federation.aggregation.seal_ring import DEGREE

        return np.frombuffer(ciphertext, dtype="<u8").reshape(-1, 2, DEGREE)

    def rows(self, values: Words) -> Words:
        """Values padded with zeros to whole chunks (chunks, slots)."""
        padded = np.zeros(self.chunks(values.size) * self.slots, dtype=np.uint64)
        padded[: values.size] = values
        return padded.reshape(-1, self.slots)

    def check(self, ciphertext: bytes, count: int) -> str | None:
        if len(ciphertext) != self.size(count):
            return (
                f"a ciphertext of {len(ciphertext)} bytes where {count} values take "
                f"{self.chunks(count)} chunks of {self.size(1)} bytes"
            )
        if ciphertext and np.frombuffer(ciphertext, dtype="<u8").max() >= self.ring.prime:
            return "a ciphertext with a coefficient beyond the modulus of the run's parameters"
        return None

    def add(self, ciphertexts: Iterable[bytes], clients: int) -> Words:
        prime = np.uint64(self.ring.prime)
        room = (2**64 - 1) // self.ring.prime  # so many words below the prime fit 64 bits
        total: Words | None = None
        number = pending = 0
        for ciphertext in ciphertexts:
            number += 1
            words = self.words(ciphertext)
            if total is None:
                total = words.astype(np.uint64)
            else:
                total += words
            pending += 1
            if pending == room - 1:
                total %= prime
                pending = 1
        if total is None or number > clients:
            raise ValueError(f"{number} ciphertexts in a sum of 1 to {clients}")
        total %= prime
        return total

    def add_plain(self, total: Words, plain: Words) -> bytes:
        """Words (chunks, 4096) added to the first polynomial of each chunk of a reduced total."""
        first = total[:, 0, :]
        first += plain
        first %= np.uint64(self.ring.prime)
        return total.astype("<u8", copy=False).tobytes()


class _RingSumCipher:
    """What the two ciphers have alike."""

    def __init__(self, clients: int, bits: int, ciphertexts: _Ciphertexts) -> None:
        self.clients = clients
        self.modulus = 1 << bits
        self.slots = ciphertexts.slots
        self._bits = bits
        self._ciphertexts = ciphertexts

    def new_key(self) -> bytes:
        """See `SumCipher`."""
        return bytes(self._ciphertexts.ring.new_key())

    def check_key(self, secret: bytes) -> None:
        """See `SumCipher`."""
        self._ciphertexts.key(secret)

    def ciphertext_bytes(self, count: int) -> int:
        """See `SumCipher`."""
        return self._ciphertexts.size(count)

    def check(self, ciphertext: bytes, count: int) -> str | None:
        """See `SumCipher`."""
        return self._ciphertexts.check(ciphertext, count)


class BfvSumCipher(_RingSumCipher):
    """BFV with a value a coefficient, modulo 2^k."""

    scheme = "bfv"

    def __init__(self, clients: int) -> None:
        """The largest k with which so many clients' noise can't reach a value."""
        from federation.aggregation.seal_ring import DEGREE, NOISE_BOUND, PRIME_BITS, SealRing

        # Decryption is exact while the noise is below q/2t. Each ciphertext adds ±21 and half a
        # unit of rounding, the correction one unit, decryption's own rounding at most one more.
        noise = (clients + 1) * (NOISE_BOUND + 1) + 2
        # SEAL's primes of b bits lie just below 2^b.
        bits = math.floor(PRIME_BITS - 1.01 - math.log2(noise))
        super().__init__(clients, bits, _Ciphertexts(SealRing(1 << bits), DEGREE))

    def encrypt(self, secret: bytes, values: Words) -> bytes:
        """See `SumCipher`."""
        _below(values, self.modulus)
        rows = self._ciphertexts.rows(values)
        plaintexts = self._ciphertexts.ring.plaintexts(rows)
        words: Words = self._ciphertexts.key(secret).encrypt(plaintexts, len(rows))
        return words.tobytes()

    def add(self, ciphertexts: Iterable[bytes], correction: Words) -> bytes:
        """See `SumCipher`."""
        _below(correction, self.modulus)
        total = self._ciphertexts.add(ciphertexts, self.clients)
        rows = self._ciphertexts.rows(correction)
        # A plain value m is embedded as q·m/t, rounded; the fraction's product has 53 bits at
        # most that matter, so that a double is within one unit of it.
        quotient, rest = divmod(self._ciphertexts.ring.prime, self.modulus)
        embedded = rows * np.uint64(quotient)
        embedded += np.rint(rows * (rest / self.modulus)).astype(np.uint64)
        return self._ciphertexts.add_plain(total, embedded)

    def decrypt(self, secret: bytes, ciphertext: bytes, count: int) -> Words:
        """See `SumCipher`."""
        ring = self._ciphertexts.ring
        plaintexts = self._ciphertexts.key(secret).decrypt(self._ciphertexts.words(ciphertext))
        values = np.empty((self._ciphertexts.chunks(count), self.slots), dtype=np.uint64)
        for row, words in zip(values, ring.words_of(plaintexts), strict=True):
            row[:] = words
        return values.reshape(-1)[:count]


class CkksSumCipher(_RingSumCipher):
    """CKKS with a value a slot, modulo 2^k, made exact by rounding."""

    scheme = "ckks"

    def __init__(self, clients: int) -> None:
        """The largest k with which a sum of so many is off by less than 1/4."""
        import tenseal.sealapi as seal

        from federation.aggregation.seal_ring import DEGREE, NOISE_DEVIATION, PRIME_BITS, SealRing

        terms = clients + 1  # the correction is one more
        # A slot is a sum of `DEGREE` noise coefficients times roots of unity; its real part has
        # half their variance. Encoding rounds every coefficient once more. Eight deviations
        # (1e-15 a slot) stay below 1/4.
        deviation = math.sqrt(terms * DEGREE / 2 * (NOISE_DEVIATION**2 + 1 / 12))
        scale = 2.0 ** math.ceil(math.log2(8 * deviation / 0.25))
        # Values are carried as signed ones, so ±terms·2^(k-1)·scale must stay within ±q/2.
        bits = math.floor(PRIME_BITS - 0.01 - math.log2(terms * scale))
        super().__init__(clients, bits, _Ciphertexts(SealRing(None, scale), DEGREE // 2))
        self._encoder = seal.CKKSEncoder(self._ciphertexts.ring.context)

    def encrypt(self, secret: bytes, values: Words) -> bytes:
        """See `SumCipher`."""
        _below(values, self.modulus)
        encoded = self._encoded(values)
        words: Words = self._ciphertexts.key(secret).encrypt(
            encoded, self._ciphertexts.chunks(values.size)
        )
        return words.tobytes()

    def add(self, ciphertexts: Iterable[bytes], correction: Words) -> bytes:
        """See `SumCipher`."""
        _below(correction, self.modulus)
        total = self._ciphertexts.add(ciphertexts, self.clients)
        encoded = self._ciphertexts.ring.words_of(self._encoded(correction))
        return self._ciphertexts.add_plain(total, np.stack(list(encoded)))

    def decrypt(self, secret: bytes, ciphertext: bytes, count: int) -> Words:
        """See `SumCipher`."""
        plaintexts = self._ciphertexts.key(secret).decrypt(self._ciphertexts.words(ciphertext))
        slots = np.empty((self._ciphertexts.chunks(count), self.slots))
        for row, plaintext in zip(slots, plaintexts, strict=True):
            row[:] = self._encoder.decode_double(plaintext)
        rounded = np.rint(slots)
        if not (np.abs(slots - rounded) < 0.25).all():
            raise ProtocolError(
                "a sum is too noisy to be rounded: a client's ciphertext was not made by the "
                "protocol"
            )
        values = rounded.astype(np.int64).view(np.uint64) & np.uint64(self.modulus - 1)
        return values.reshape(-1)[:count]

    def _encoded(self, values: Words) -> Iterable[Any]:
        """CKKS plaintexts of the values as signed integers of k bits, chunk by chunk."""
        import tenseal.sealapi as seal

        unused = np.int64(64 - self._bits)
        signed = (self._ciphertexts.rows(values) << np.uint64(unused)).view(np.int64) >> unused
        for row in signed.astype(np.float64).tolist():
            plaintext = seal.Plaintext()
            self._encoder.encode(row, self._ciphertexts.ring.scale, plaintext)
            yield plaintext


def _below(values: Words, modulus: int) -> None:
    if values.dtype != np.uint64 or values.ndim != 1 or values.size == 0:
        raise ValueError("values must be a vector of at least one uint64")
    if values.max() >= modulus:
        raise ValueError(f"values must be below the modulus {modulus}")
