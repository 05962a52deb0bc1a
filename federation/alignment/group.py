"""The group of the alignment: hash an id to it, multiply points by a key, in one or many processes.

An id is hashed to ristretto255 (RFC 9496, element derivation) as SHA-512(domain || id); the domain
separates sessions and uses, as RFC 9497 asks of hashed inputs. A ristretto255 encoding s stands for
the Edwards point with y = (1 - s²)/(1 + s²), whose Montgomery coordinate is (1 + y)/(1 - y) = s^-2.
Keys multiply by X25519 (RFC 7748), which works on that coordinate alone. Two facts make this exact:

- X25519 keys are multiples of the cofactor 8, so whatever small-order point separates two
  representatives of one ristretto255 element vanishes, and every product lies in the prime-order
  subgroup. In particular s² gives the same product as s^-2 (they differ by the point of order 2,
  u -> 1/u), which saves an inversion.
- Every hash is a point of the curve itself, never of its twist. (Taking a digest as a coordinate,
  as some implementations do, puts half of the ids on the twist, which shows on the blinded point
  and so discloses a bit of every id.)

The products are u coordinates, 32 bytes each, so a point and its negative are one. Against plain
ristretto255 multiplication this keeps group, assumption (decisional Diffie-Hellman in the
prime-order subgroup) and size, and costs two thirds of the time: OpenSSL's X25519 is assembly.
A hostile point of the twist is harmless: the twist's order is 4 times a prime near 2^253.
"""

from __future__ import annotations

import ctypes
import hashlib
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from federation.errors import InputError, ProtocolError
from federation.libsodium import sodium

POINT_BYTES = 32
DIGEST_BYTES = 64
FIELD_PRIME = 2**255 - 19
# Below this many ids, starting processes costs more than it saves.
MULTI_PROCESS_IDS = 50_000
# Points a worker process takes at once: some 15 ms of work.
CHUNK_IDS = 512

# Item access gives a function object of our own, so that rbcl's argument types stay as they are.
_from_hash = sodium["crypto_core_ristretto255_from_hash"]
_from_hash.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
_from_hash.restype = ctypes.c_int


def hash_to_group(identifier: str, domain: bytes) -> bytes:
    """The ristretto255 encoding (32 bytes) of SHA-512(domain || id in UTF-8); RFC 9496, 4.3.4."""
    return _hash_all([identifier], domain)


def _hash_all(ids: Sequence[str], domain: bytes) -> bytes:
    """The ristretto255 encodings of many ids, one after the other."""
    sha512 = hashlib.sha512
    try:
        joined = b"".join([sha512(domain + identifier.encode()).digest() for identifier in ids])
    except UnicodeEncodeError as error:
        raise InputError(
            f"the id {error.object!r} can't be written as UTF-8; ids must be valid Unicode text"
        ) from error
    digests = ctypes.create_string_buffer(joined, len(joined))
    points = ctypes.create_string_buffer(POINT_BYTES * len(ids))
    # Plain addresses: building a ctypes object for each id would cost as much as the hashing.
    source, target = ctypes.addressof(digests), ctypes.addressof(points)
    for index in range(len(ids)):
        _from_hash(target + POINT_BYTES * index, source + DIGEST_BYTES * index)
    return points.raw


def _montgomery(encodings: bytes) -> bytes:
    """Ristretto255 encodings s to u coordinates s² (see the module's docstring)."""
    squares = []
    for start in range(0, len(encodings), POINT_BYTES):
        value = int.from_bytes(encodings[start : start + POINT_BYTES], "little")
        squares.append((value * value % FIELD_PRIME).to_bytes(POINT_BYTES, "little"))
    return b"".join(squares)


def refuse_non_canonical(points: bytes, what: str) -> None:
    """Refuse coordinates that are not reduced modulo 2^255 - 19: a second encoding of a point.

    Raises:
        ProtocolError: naming the first such point of `what`, or a length that is not whole points.
    """
    if len(points) % POINT_BYTES:
        raise ProtocolError(
            f"{what} holds {len(points)} bytes, which is no whole number of points of "
            f"{POINT_BYTES} bytes"
        )
    words = np.frombuffer(points, dtype="<u8").reshape(-1, POINT_BYTES // 8)
    top = words[:, 3]
    too_large = (top > 0x7FFFFFFFFFFFFFFF) | (
        (top == 0x7FFFFFFFFFFFFFFF)
        & (words[:, 2] == 0xFFFFFFFFFFFFFFFF)
        & (words[:, 1] == 0xFFFFFFFFFFFFFFFF)
        & (words[:, 0] >= 0xFFFFFFFFFFFFFFED)
    )
    if too_large.any():
        raise ProtocolError(
            f"point {int(np.argmax(too_large))} of {what} is invalid: its coordinate is not "
            "below 2^255 - 19"
        )


class GroupWorkers(Protocol):
    """Multiplies by one secret key. Make a new one for every alignment, and close it after."""

    def hash_and_blind(self, ids: Sequence[str], domain: bytes) -> bytes:
        """key·H(domain || id) for each id, in order; 32 bytes each."""
        ...

    def blind(self, points: bytes) -> bytes:
        """key·P for each packed point P, in order; 32 bytes each.

        Raises:
            ProtocolError: a point is not 32 bytes, not canonical, or of small order (identity).
        """
        ...

    def close(self) -> None:
        """Let go of the key and of every process."""
        ...


class InProcessGroup:
    """`GroupWorkers` in this process; the key is fresh from the operating system."""

    def __init__(self, key: X25519PrivateKey | None = None) -> None:
        """Draw a key, or take the one given (worker processes and known-answer tests)."""
        self._key: X25519PrivateKey | None = X25519PrivateKey.generate() if key is None else key

    def __repr__(self) -> str:
        """Never the key."""
        return f"{type(self).__name__}(key hidden)"

    def __enter__(self) -> Self:
        """Itself; leaving the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def hash_and_blind(self, ids: Sequence[str], domain: bytes) -> bytes:
        """See `GroupWorkers`."""
        return self._multiply(_montgomery(_hash_all(ids, domain)))

    def blind(self, points: bytes) -> bytes:
        """See `GroupWorkers`."""
        refuse_non_canonical(points, "a block of points")
        return self._multiply(points)

    def close(self) -> None:
        """Forget the key; nothing can be multiplied any more."""
        self._key = None

    def _multiply(self, points: bytes) -> bytes:
        if self._key is None:
            raise RuntimeError("this group is closed; every alignment needs a new one")
        multiply, load = self._key.exchange, X25519PublicKey.from_public_bytes
        try:
            return b"".join(
                [
                    multiply(load(points[start : start + POINT_BYTES]))
                    for start in range(0, len(points), POINT_BYTES)
                ]
            )
        except ValueError as error:
            raise ProtocolError(
                "a block of points holds one of small order (such as the identity); "
                "no hashed id has such a point"
            ) from error


# The key of a worker process, set once by its initializer.
_worker: InProcessGroup | None = None


def _start_worker(key: bytes) -> None:
    global _worker
    _worker = InProcessGroup(X25519PrivateKey.from_private_bytes(key))


def _worker_group() -> InProcessGroup:
    if _worker is None:
        raise RuntimeError("a worker process was given work before its key")
    return _worker


def _worker_hash_and_blind(ids: Sequence[str], domain: bytes) -> bytes:
    return _worker_group().hash_and_blind(ids, domain)


def _worker_blind(points: bytes) -> bytes:
    return _worker_group().blind(points)


class MultiProcessGroup:
    """`GroupWorkers` over a pool of processes, for a party with cores of its own to spare.

    The processes are started afresh (never forked, which is unsafe beside gRPC threads). The key
    reaches them over the pipe that starts them: it is on no command line and in no environment.
    """

    def __init__(self, processes: int, key: X25519PrivateKey | None = None) -> None:
        """Start a pool of so many processes with one fresh key (or the key given)."""
        secret = X25519PrivateKey.generate() if key is None else key
        self._processes = processes
        self._pool = ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(secret.private_bytes_raw(),),
        )

    def __repr__(self) -> str:
        """Never the key."""
        return f"{type(self).__name__}(processes={self._processes}, key hidden)"

    def __enter__(self) -> Self:
        """Itself; leaving the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def hash_and_blind(self, ids: Sequence[str], domain: bytes) -> bytes:
        """See `GroupWorkers`."""
        chunks = [ids[start : start + CHUNK_IDS] for start in range(0, len(ids), CHUNK_IDS)]
        return b"".join(self._pool.map(_worker_hash_and_blind, chunks, [domain] * len(chunks)))

    def blind(self, points: bytes) -> bytes:
        """See `GroupWorkers`."""
        refuse_non_canonical(points, "a block of points")
        step = CHUNK_IDS * POINT_BYTES
        chunks = [points[start : start + step] for start in range(0, len(points), step)]
        return b"".join(self._pool.map(_worker_blind, chunks))

    def close(self) -> None:
        """End the processes and wait for them; the key dies with them."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def open_group(ids: int, cores: int = 1) -> InProcessGroup | MultiProcessGroup:
    """The right `GroupWorkers` for a list of so many ids on so many cores of this party's own.

    One core, or a short list, is served in this process. Parties that share a machine work at the
    same time, so each should count only its own share of the cores.
    """
    if cores > 1 and ids >= MULTI_PROCESS_IDS:
        return MultiProcessGroup(cores)
    return InProcessGroup()
