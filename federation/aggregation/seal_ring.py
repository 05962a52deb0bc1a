"""SEAL's rings as TenSEAL binds them: keys, and ciphertexts as plain arrays of words.

Sums need neither rotations nor products, so no relinearisation or Galois key is ever made, and
no prime is spent on switching keys: the ciphertext modulus is one 60-bit prime at degree 4,096,
where 109 bits are allowed for 128-bit security (homomorphicencryption.org, Security Standard 2018,
table 1; 75 bits give 192-bit security). Encryption is symmetric, for every client holds the key:
its noise is smaller than under a public key, so that more of the modulus carries values.

A ciphertext travels as its two polynomials' coefficients, 64-bit words below the prime, and
nothing else. SEAL's own streams are compressed and describe their own shapes; none of that is taken
from outside here: every stream that SEAL reads was written by this module around checked words.
(A seed could stand for the second polynomial and halve an upload. Expanding it would take the
server 0.2 ms a chunk and client, ten times all else that it does.)

The bindings read and write named files only; anonymous files in memory stand in for them.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tenseal.sealapi as seal

Words = npt.NDArray[np.uint64]
DEGREE = 4096
PRIME_BITS = 60
# A fresh symmetric encryption adds one draw of SEAL's centred binomial distribution: ±21.
NOISE_BOUND = 21
NOISE_DEVIATION = 3.24

# SEAL's stream header: magic, header size, version (two bytes), compression, reserved, size.
_HEADER = struct.Struct("<HBBBBHQ")
_MAGIC = 0xA15E
_WORD = 8


class _MemoryFile:
    """A file that is only in memory, with a path for bindings that want one."""

    def __enter__(self) -> _MemoryFile:
        self._descriptor = os.memfd_create("seal", os.MFD_CLOEXEC)
        self.path = f"/proc/self/fd/{self._descriptor}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def write(self, *parts: bytes | memoryview) -> None:
        """Make these the whole content."""
        os.ftruncate(self._descriptor, 0)
        os.pwritev(self._descriptor, parts, 0)

    def read(self) -> bytes:
        """The whole content."""
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)


class SealRing:
    """One set of SEAL parameters.

    Args:
        plain_modulus: BFV's; None makes the ring CKKS's.
        scale: of CKKS's encoding (1 for BFV).
    """

    def __init__(self, plain_modulus: int | None, scale: float = 1.0) -> None:
        """Build SEAL's tables (some milliseconds); no key is made."""
        scheme = seal.SCHEME_TYPE.CKKS if plain_modulus is None else seal.SCHEME_TYPE.BFV
        parameters = seal.EncryptionParameters(scheme)
        parameters.set_poly_modulus_degree(DEGREE)
        parameters.set_coeff_modulus(seal.CoeffModulus.Create(DEGREE, [PRIME_BITS]))
        if plain_modulus is not None:
            parameters.set_plain_modulus(plain_modulus)
        # SEAL itself refuses parameters below 128 bits of security here.
        self.context: Any = seal.SEALContext(parameters, False, seal.SEC_LEVEL_TYPE.TC128)
        if not self.context.parameters_set():
            raise ValueError(f"SEAL refuses: {self.context.parameters_error_message()}")
        self.prime = int(parameters.coeff_modulus()[0].value())
        self.scale = scale
        with _MemoryFile() as file:
            seal.Plaintext().save(file.path)
            self._version = file.read()[3:5]
        identity = struct.pack("<4Q", *self.context.first_parms_id())
        ntt_form = plain_modulus is None
        # SEAL 4, Ciphertext::save_members: parameters, form, sizes, scale, correction factor.
        self._ciphertext_head = (
            identity + struct.pack("<?QQQdQ", ntt_form, 2, DEGREE, 1, scale, 1)
        ) + self._array_head(2 * DEGREE)
        # A plaintext in NTT form, as CKKS's are and as secret keys are, names its parameters.
        self._ntt_identity = identity

    def new_key(self) -> bytes:
        """A fresh secret key from the operating system's randomness: 8 · 4,096 bytes."""
        with _MemoryFile() as file:
            seal.KeyGenerator(self.context).secret_key().save(file.path)
            stream = self._expanded(file.read(), self._plaintext_size(DEGREE))
        return stream[-_WORD * DEGREE :]

    def key(self, secret: bytes) -> SealKey:
        """A secret key made ready for use.

        Raises:
            ValueError: the bytes are no key of this ring.
        """
        words = np.frombuffer(secret, dtype="<u8") if len(secret) == _WORD * DEGREE else None
        if words is None or words.max() >= self.prime:
            raise ValueError("these bytes are no secret key of this ring")
        loaded = seal.SecretKey()
        with _MemoryFile() as file:
            file.write(*self._plaintext_stream(secret, self._ntt_identity, 1.0))
            loaded.load(self.context, file.path)
        return SealKey(self, loaded)

    def plaintexts(self, coefficients: Words) -> Iterator[Any]:
        """BFV plaintexts of (chunks, 4,096) coefficients, each below the plain modulus."""
        with _MemoryFile() as file:
            for row in np.ascontiguousarray(coefficients, dtype="<u8"):
                file.write(*self._plaintext_stream(row.tobytes(), bytes(32), 1.0))
                plaintext = seal.Plaintext()
                plaintext.load(self.context, file.path)
                yield plaintext

    def words_of(self, plaintexts: Iterable[Any]) -> Iterator[Words]:
        """Each plaintext's words (4,096,): BFV's coefficients, or CKKS's in NTT form."""
        with _MemoryFile() as file:
            for plaintext in plaintexts:
                plaintext.save(file.path)
                held = plaintext.coeff_count()  # BFV's decryption cuts trailing zeros off
                stream = self._expanded(file.read(), self._plaintext_size(held))
                words = np.zeros(DEGREE, dtype=np.uint64)
                words[:held] = np.frombuffer(stream, dtype="<u8", offset=len(stream) - _WORD * held)
                yield words

    def _plaintext_size(self, words: int) -> int:
        return 32 + 8 + 8 + _HEADER.size + 8 + _WORD * words

    def _plaintext_stream(self, words: bytes, identity: bytes, scale: float) -> tuple[bytes, ...]:
        count = len(words) // _WORD
        head = self._header(self._plaintext_size(count))
        return head + identity + struct.pack("<Qd", count, scale) + self._array_head(count), words

    def _array_head(self, words: int) -> bytes:
        return self._header(8 + _WORD * words) + struct.pack("<Q", words)

    def _header(self, size: int) -> bytes:
        return _HEADER.pack(_MAGIC, _HEADER.size, *self._version, 0, 0, _HEADER.size + size)

    def _expanded(self, stream: bytes, size: int) -> bytes:
        """The content of a stream that SEAL itself wrote in this process."""
        compression, body = stream[5], memoryview(stream)[_HEADER.size :]
        if compression == 2:
            content = bytes(pa.decompress(body, size, codec="zstd", asbytes=True))
        else:
            content = zlib.decompress(body) if compression == 1 else bytes(body)
        if len(content) != size:
            raise RuntimeError(
                f"this SEAL's streams hold {len(content)} bytes where {size} are known of"
            )
        return content


class SealKey:
    """A secret key at work. Its repr shows nothing of it."""

    def __init__(self, ring: SealRing, secret: Any) -> None:
        """Made by `SealRing.key`."""
        self._ring = ring
        self._encryptor = seal.Encryptor(ring.context, secret)
        self._decryptor = seal.Decryptor(ring.context, secret)

    def encrypt(self, plaintexts: Iterable[Any], chunks: int) -> Words:
        """Fresh encryptions (chunks, 2, 4,096)."""
        ring, head = self._ring, self._ring._ciphertext_head
        words = np.empty((chunks, 2, DEGREE), dtype="<u8")
        size = len(head) + words[0].nbytes
        ciphertext = seal.Ciphertext()
        with _MemoryFile() as file:
            for row, plaintext in zip(words, plaintexts, strict=True):
                self._encryptor.encrypt_symmetric(plaintext, ciphertext)
                ciphertext.save(file.path)
                stream = ring._expanded(file.read(), size)
                if not stream.startswith(head):
                    raise RuntimeError("this SEAL writes ciphertexts in a layout not known here")
                row[:] = np.frombuffer(stream, dtype="<u8", offset=len(head)).reshape(2, DEGREE)
        return words

    def decrypt(self, words: Words) -> Iterator[Any]:
        """The plaintexts of (chunks, 2, 4,096) words, each below the prime."""
        ring = self._ring
        head = ring._header(len(ring._ciphertext_head) + _WORD * 2 * DEGREE)
        with _MemoryFile() as file:
            for row in np.ascontiguousarray(words, dtype="<u8"):
                ciphertext, plaintext = seal.Ciphertext(), seal.Plaintext()
                file.write(head, ring._ciphertext_head, row.tobytes())
                ciphertext.load(ring.context, file.path)
                self._decryptor.decrypt(ciphertext, plaintext)
                yield plaintext
