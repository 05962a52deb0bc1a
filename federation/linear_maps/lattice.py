"""The fast private linear map: secret-key GLWE with sample extraction and a preprocessed hint.

Sources: TFHE's GLWE encryption and sample extraction (Chillotti, Gama, Georgieva, Izabachène,
J. Cryptology 2020); many secrets under one public randomness (Peikert, Vaikuntanathan, Waters,
CRYPTO 2008); the preprocessed hint of SimplePIR (Henzinger et al., USENIX Security 2023).
N columns of random ternary entries beside D blind the hint, so that its secrecy does not rest on
what the other side knows or guesses of D: every row is an encryption under a secret of its own.
docs/security.md derives the parameters and says what each side sees. Here is what both sides
share: the public seed, which both contribute to and nobody chooses, and the lift to signed sums.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from federation.errors import ProtocolError
from federation.linear_maps.interface import Direction
from federation.linear_maps.parameters import LatticeParameters
from federation.linear_maps.words import PackedWords, dropped_bits
from federation.proto.session_pb2 import MapOffer, MapSeed

SCHEME = "lattice"
NONCE_BYTES = 32
MAX_ROWS = 1 << 20
HINT_BLOCK_ROWS = 256  # 2 to 3 MiB a message


def public_seed(agreed: bytes, offer: MapOffer, seed: MapSeed) -> bytes:
    """H(what was agreed ‖ sizes ‖ commitment ‖ both nonces)."""
    for name, part in (("offer", offer.nonce), ("seed", seed.nonce)):
        if len(part) != NONCE_BYTES:
            raise ProtocolError(
                f"the map {name}'s nonce has {len(part)} bytes, {NONCE_BYTES} needed"
            )
    hasher = hashlib.sha256(b"veilscore private linear map seed 1")
    sizes = offer.rows_sent.to_bytes(8, "little") + offer.columns.to_bytes(8, "little")
    for part in (agreed, sizes, offer.commitment, offer.nonce, seed.nonce):
        hasher.update(len(part).to_bytes(8, "little") + part)
    return hasher.digest()


def agreement(context: bytes, direction: Direction, value_bound: int, noise_bound: int) -> bytes:
    """What both sides must have set alike, bound into the seed: else nothing decodes."""
    return f"{direction}\0{value_bound}\0{noise_bound}\0".encode() + context


def hashed(agreed: bytes) -> bytes:
    """SHA-256 of what was agreed: how a kept map knows what it was made under."""
    return hashlib.sha256(agreed).digest()


def residues_of(
    phase: npt.NDArray[np.uint64], parameters: LatticeParameters, what: str
) -> npt.NDArray[np.uint64]:
    """r - H·s rounded to multiples of Δ, divided by it: residues modulo q/Δ.

    Raises:
        ProtocolError: an error is larger than flooding and noise can be; names `what`.
    """
    delta_bits, half = parameters.delta_bits, 1 << (parameters.delta_bits - 1)
    shifted = phase + np.uint64(half)
    error = (shifted & np.uint64((1 << delta_bits) - 1)).view(np.int64) - half
    allowed = (1 << parameters.flood_bits) + parameters.error_bound
    if error.size and (int(error.max()) > allowed or int(error.min()) < -allowed):
        raise ProtocolError(
            f"{what} does not decrypt: the hint, the direction or the bounds on values and "
            "noise differ between the two sides"
        )
    residues: npt.NDArray[np.uint64] = shifted >> np.uint64(delta_bits)
    return residues


def packed_residues(residues: npt.NDArray[np.uint64], parameters: LatticeParameters) -> bytes:
    """Residues modulo q/Δ in as many bytes as they need."""
    size = parameters.sum_bytes
    reduced = residues & np.uint64((1 << parameters.residue_bits) - 1)
    return PackedWords.of(reduced << np.uint64(dropped_bits(size)), size).to_bytes()


def unpacked_residues(
    data: bytes, shape: tuple[int, ...], parameters: LatticeParameters, what: str
) -> npt.NDArray[np.uint64]:
    """What `packed_residues` packed.

    Raises:
        ProtocolError: the length is not that of the shape; names `what`.
    """
    size = parameters.sum_bytes
    packed = PackedWords.from_bytes(data, shape, size, what)
    residues: npt.NDArray[np.uint64] = packed.words() >> np.uint64(dropped_bits(size))
    return residues


def lift(
    residues: npt.NDArray[np.uint64],
    parameters: LatticeParameters,
    bounds: npt.NDArray[np.int64] | int,
) -> npt.NDArray[np.int64]:
    """Residues modulo q/Δ to the signed integers nearest zero; refuses what can't be a sum."""
    shift = np.int64(parameters.delta_bits)
    lifted = (residues << np.uint64(shift)).view(np.int64) >> shift
    if np.any(np.abs(lifted) > bounds):
        raise ProtocolError(
            "a sum is over its bound: the other side's vector or noise was larger than agreed"
        )
    return lifted
