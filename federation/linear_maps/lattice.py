"""The fast private linear map: secret-key GLWE with sample extraction and a preprocessed hint.

Sources: TFHE's GLWE encryption and sample extraction (Chillotti, Gama, Georgieva, Izabachène,
J. Cryptology 2020); many secrets under one public randomness (Peikert, Vaikuntanathan, Waters,
CRYPTO 2008); the preprocessed hint of SimplePIR (Henzinger et al., USENIX Security 2023).
N columns of random ternary entries beside D blind the hint, so that its secrecy does not rest on
what the other side knows or guesses of D: every row is an encryption under a secret of its own.
docs/security.md derives the parameters and says what each side sees.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from federation.errors import ProtocolError
from federation.linear_maps.interface import Direction
from federation.linear_maps.one_hot import OneHotMatrix
from federation.linear_maps.parameters import (
    ERROR_BITS,
    HINT_ERROR_BITS,
    LatticeParameters,
    check_row_weights,
    choose_parameters,
)
from federation.linear_maps.randomness import ternary, tuniform, uniform_residues
from federation.linear_maps.ring import RING_DEGREE, PublicMatrix
from federation.linear_maps.vectors import check_vector
from federation.proto.session_pb2 import Answer, HintBlock, MapOffer, MapSeed, Query, Sums
from federation.session.wire import pack_array, unpack_array

SCHEME = "lattice"
NONCE_BYTES = 32
MAX_ROWS = 1 << 20
HINT_BLOCK_ROWS = 256  # 4 MiB a message


def public_seed(context: bytes, offer: MapOffer, seed: MapSeed) -> bytes:
    """H(session ‖ sizes ‖ commitment ‖ both nonces): nobody chooses the public randomness."""
    for name, part in (("offer", offer.nonce), ("seed", seed.nonce)):
        if len(part) != NONCE_BYTES:
            raise ProtocolError(
                f"the map {name}'s nonce has {len(part)} bytes, {NONCE_BYTES} needed"
            )
    hasher = hashlib.sha256(b"veilscore private linear map seed 1")
    sizes = offer.rows_sent.to_bytes(8, "little") + offer.columns.to_bytes(8, "little")
    for part in (context, sizes, offer.commitment, offer.nonce, seed.nonce):
        hasher.update(len(part).to_bytes(8, "little") + part)
    return hasher.digest()


def _agreement(context: bytes, direction: Direction, value_bound: int, noise_bound: int) -> bytes:
    """What both sides must have set alike, bound into the seed: else nothing decodes."""
    return f"{direction}\0{value_bound}\0{noise_bound}\0".encode() + context


def _scaled(values: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.uint64]:
    return values.astype(np.int64).view(np.uint64) << np.uint64(bits)


class LatticeFeatureSide:
    """Holds D; sends one hint for it, ever, and answers queries.

    Args:
        matrix: D, whose rows all meet the floors of `parameters`.
        direction: who learns D·v.
        value_bound: largest |v| that both parties agreed on.
        noise_bound: largest label noise the label party may add to a sum.
        context: bytes that bind the map to its session and pair of parties.
    """

    def __init__(
        self,
        matrix: OneHotMatrix,
        direction: Direction,
        value_bound: int,
        noise_bound: int,
        context: bytes,
    ) -> None:
        """Check D against the floors and commit to it."""
        self.parameters = choose_parameters(matrix.columns, value_bound, noise_bound)
        check_row_weights(matrix.weights, matrix.columns)
        self._matrix = matrix
        self._value_bound = value_bound
        self._noise_bound = noise_bound
        self._direction = direction
        self._context = _agreement(context, direction, value_bound, noise_bound)
        self._salt = os.urandom(32)
        self._offer = MapOffer(
            scheme=SCHEME,
            rows_sent=matrix.rows,
            columns=matrix.columns,
            features=matrix.features,
            commitment=matrix.digest(self._salt),
            nonce=os.urandom(NONCE_BYTES),
        )
        self._seeded = False
        # R, one secret a row; it lives as long as the hint
        self._blinding = ternary(matrix.rows * RING_DEGREE).reshape(matrix.rows, RING_DEGREE)
        self._answered: set[int] = set()
        self._masks: dict[int, npt.NDArray[np.uint64]] = {}

    def offer(self) -> MapOffer:
        """Sizes, commitment and nonce."""
        return self._offer

    def accept(self, seed: MapSeed) -> Iterator[HintBlock]:
        """H = (R | D)·A + E in blocks of rows.

        A second hint under the same seed is refused: averaging takes the error E away.
        """
        if self._seeded:
            raise ProtocolError("a second hint for the same bins is never sent; open a new map")
        public = PublicMatrix(public_seed(self._context, self._offer, seed), self._matrix.columns)
        self._seeded = True
        return self._hint_blocks(public)

    def _hint_blocks(self, public: PublicMatrix) -> Iterator[HintBlock]:
        first, held = 0, np.zeros((0, RING_DEGREE), dtype=np.uint64)
        at = 0
        for feature, bins in enumerate(self._matrix.bins):
            rows = public.left_multiplied(self._matrix, feature)
            rows += public.left_blinded(self._blinding[at : at + bins])
            at += bins
            error = tuniform(rows.shape, HINT_ERROR_BITS).view(np.uint64)
            held = np.concatenate([held, rows + error])
            last = feature == self._matrix.features - 1
            while len(held) >= HINT_BLOCK_ROWS or (last and len(held)):
                block, held = held[:HINT_BLOCK_ROWS], held[HINT_BLOCK_ROWS:]
                yield HintBlock(first_row=first, rows=len(block), values=pack_array(block, "<u8"))
                first += len(block)

    def answer(self, query: Query) -> Answer:
        """r = (R | D)·b + f (+ Δ·μ to the owner); an id is answered once."""
        if not self._seeded:
            raise ProtocolError("a query came before the map was seeded")
        if query.query_id in self._answered:
            raise ProtocolError(
                f"query {query.query_id} was repeated; every query needs a fresh id"
            )
        length = RING_DEGREE + self._matrix.columns
        received = unpack_array(query.ciphertext, "<u8", (length,), f"query {query.query_id}")
        blinded, ciphertext = np.split(received.astype(np.uint64), [RING_DEGREE])
        self._answered.add(query.query_id)
        rows, parameters = self._matrix.rows, self.parameters
        flood = uniform_residues(rows, parameters.flood_bits + 1)
        flood -= np.uint64(1 << parameters.flood_bits)
        reply = self._matrix.multiply(ciphertext) + flood
        reply += self._blinding.astype(np.int64).view(np.uint64) @ blinded
        if self._direction is Direction.TO_OWNER:
            mask = uniform_residues(rows, parameters.residue_bits)
            self._masks[query.query_id] = mask
            reply += mask << np.uint64(parameters.delta_bits)
        return Answer(query_id=query.query_id, ciphertext=pack_array(reply, "<u8"))

    def reveal(self, sums: Sums) -> npt.NDArray[np.int64]:
        """Subtract the masks and lift to signed integers."""
        mask = self._masks.pop(sums.query_id, None)
        if mask is None:
            raise ProtocolError(f"sums came for query {sums.query_id}, which has no open mask")
        what = f"the sums of query {sums.query_id}"
        masked = unpack_array(sums.values, "<u8", (self._matrix.rows,), what).astype(np.uint64)
        # a row's own bound, far below the one of the widest row: garbage does not pass as sums
        bounds = self._matrix.weights * self._value_bound + self._noise_bound
        return lift(masked - mask, self.parameters, bounds)


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


class LatticeLabelSide:
    """Holds the vectors; keeps the hint and one fresh secret a query.

    Args: as for `LatticeFeatureSide`; `columns` is n.
    """

    def __init__(
        self,
        columns: int,
        direction: Direction,
        value_bound: int,
        noise_bound: int,
        context: bytes,
    ) -> None:
        """Choose the parameters from the public numbers."""
        self.parameters = choose_parameters(columns, value_bound, noise_bound)
        self._direction = direction
        self._value_bound = value_bound
        self._noise_bound = noise_bound
        self._context = _agreement(context, direction, value_bound, noise_bound)
        self._public: PublicMatrix | None = None
        self._hint = np.zeros((0, RING_DEGREE), dtype=np.uint64)
        self._hint_rows = 0
        self._secrets: dict[int, npt.NDArray[np.int8]] = {}
        self._queries = 0

    @property
    def ready(self) -> bool:
        """Whether the whole hint is here."""
        return self._public is not None and self._hint_rows == len(self._hint)

    def accept(self, offer: MapOffer) -> MapSeed:
        """Check the sizes and contribute a nonce."""
        if self._public is not None:
            raise ProtocolError("a second map offer came; bins that changed need a new session")
        if offer.scheme != SCHEME or offer.columns != self.parameters.columns:
            raise ProtocolError(
                f"a map of scheme '{offer.scheme}' over {offer.columns} borrowers was offered; "
                f"'{SCHEME}' over {self.parameters.columns} is right"
            )
        if not 0 < offer.rows_sent <= MAX_ROWS or len(offer.commitment) != 32:
            raise ProtocolError(
                f"a map of {offer.rows_sent} rows with a {len(offer.commitment)}-byte commitment "
                f"was offered; 1 to {MAX_ROWS} rows and 32 bytes are right"
            )
        seed = MapSeed(nonce=os.urandom(NONCE_BYTES))
        self._public = PublicMatrix(
            public_seed(self._context, offer, seed), self.parameters.columns
        )
        self._hint = np.empty((offer.rows_sent, RING_DEGREE), dtype=np.uint64)
        return seed

    def take_hint(self, block: HintBlock) -> bool:
        """Store one block; blocks come in order."""
        beyond = self._hint_rows + block.rows > len(self._hint)
        if block.first_row != self._hint_rows or not block.rows or beyond:
            raise ProtocolError(
                f"hint rows {block.first_row} to {block.first_row + block.rows} came where row "
                f"{self._hint_rows} of {len(self._hint)} is next"
            )
        values = unpack_array(block.values, "<u8", (block.rows, RING_DEGREE), "a hint block")
        self._hint[block.first_row : block.first_row + block.rows] = values
        self._hint_rows += block.rows
        return self.ready

    def query(self, vector: npt.NDArray[np.int64]) -> Query:
        """b = A·s + e + Δ·(0 | v), zeros for the blinding columns, under a secret used once."""
        if self._public is None or not self.ready:
            raise ProtocolError("a query needs the whole hint first")
        check_vector(vector, self.parameters.columns, self._value_bound, "a vector")
        secret = ternary(RING_DEGREE)
        ciphertext = self._public.times_secret(secret)
        ciphertext += tuniform(ciphertext.shape, ERROR_BITS).view(np.uint64)
        ciphertext[RING_DEGREE:] += _scaled(vector, self.parameters.delta_bits)
        query_id = self._queries
        self._queries += 1
        self._secrets[query_id] = secret
        return Query(query_id=query_id, ciphertext=pack_array(ciphertext, "<u8"))

    def decode(self, answer: Answer, noise: npt.NDArray[np.int64] | None = None) -> Sums:
        """The masked sums, uniform to this side, with label noise added if given."""
        if self._direction is not Direction.TO_OWNER:
            raise ProtocolError("this map's direction is to the label party; use open()")
        if noise is not None:
            check_vector(noise, len(self._hint), self._noise_bound, "label noise")
        masked = self._decrypt(answer)
        if noise is not None:
            masked += noise.view(np.uint64)
        masked &= np.uint64((1 << self.parameters.residue_bits) - 1)
        return Sums(query_id=answer.query_id, values=pack_array(masked, "<u8"))

    def open(self, answer: Answer) -> npt.NDArray[np.int64]:
        """D·v itself."""
        if self._direction is not Direction.TO_LABEL_PARTY:
            raise ProtocolError("this map's direction is to the owner; its sums are masked")
        return lift(self._decrypt(answer), self.parameters, self.parameters.sum_bound)

    def _decrypt(self, answer: Answer) -> npt.NDArray[np.uint64]:
        secret = self._secrets.pop(answer.query_id, None)
        if secret is None:
            raise ProtocolError(f"an answer came to query {answer.query_id}, which is not open")
        what = f"the answer to query {answer.query_id}"
        reply = unpack_array(answer.ciphertext, "<u8", (len(self._hint),), what)
        phase = reply - self._hint @ secret.astype(np.int64).view(np.uint64)
        delta_bits, half = self.parameters.delta_bits, 1 << (self.parameters.delta_bits - 1)
        phase += np.uint64(half)
        error = (phase & np.uint64((1 << delta_bits) - 1)).view(np.int64) - half
        allowed = (1 << self.parameters.flood_bits) + self.parameters.error_bound
        if error.size and (int(error.max()) > allowed or int(error.min()) < -allowed):
            raise ProtocolError(
                f"{what} does not decrypt: the hint, the direction or the bounds on values and "
                "noise differ between the two sides"
            )
        residues: npt.NDArray[np.uint64] = phase >> np.uint64(delta_bits)
        return residues
