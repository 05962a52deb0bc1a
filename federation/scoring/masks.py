"""Masks of answers: of two or more feature parties' points the label party sees only the sum.

Every pair of feature parties shares a key, derived from their long-term sealing keys; one adds the
pair's mask, the other subtracts it, modulo 2^32 (Bonawitz et al., 'Practical Secure Aggregation',
CCS 2017, without the dropout part: where a party is silent, the label party asks the others again,
for the variant without it).

A mask is bound to everything that must be the same on both sides: session, variant, the parties
that take part, the request's nonce, and the borrower. So masks cancel only where all of them answer
the same question about the same borrower. Were the borrower left out, a label party could ask one
party about a borrower and the others about nobody, and would read the one's points off the sum.
This is also why a party that does not know a borrower can add no mask: its peers' masks then stay
on the sum, which is of no use, and the borrower is scored with the variant without that party.

The mask of a borrower is a block cipher under a key of the request, at a digest of the borrower's
id: AES-256 as a pseudorandom function of 16-byte inputs, of which 4 bytes are kept. The digest need
not be secret. A batch is one call, at gigabytes a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from federation.identity import PartyKey, PartyPublicKey
from federation.scoring.tags import agreed_key

BLOCK_BYTES = 16
_PURPOSE = b"veilscore scoring mask 1"
_MOST_VARIANTS = 10_000


def borrower_blocks(session: str, normalised_ids: Iterable[str]) -> bytes:
    """What masks are bound to of each borrower: BLOCK_BYTES each, one after another.

    The same at every party that knows the borrower; it never leaves a party.
    """
    begun = hashlib.blake2b(_prefixed(_PURPOSE, session.encode()), digest_size=BLOCK_BYTES)
    made = []
    for identifier in normalised_ids:
        one = begun.copy()
        one.update(identifier.encode("utf-8", "surrogatepass"))
        made.append(one.digest())
    return b"".join(made)


class AnswerMasks:
    """One feature party's masks of its answers in one session.

    Args:
        party: its name.
        own: its long-term key.
        pins: the other feature parties' public keys; its own may be among them.
        session: that trained the model.
    """

    def __init__(
        self, party: str, own: PartyKey, pins: Mapping[str, PartyPublicKey], session: str
    ) -> None:
        """Agree on a key with every other feature party."""
        self.party = party
        self._variant_keys: dict[tuple[tuple[str, ...], str], list[tuple[bytes, bool]]] = {}
        self._pair_keys = {
            peer: agreed_key(
                own,
                pin,
                _PURPOSE,
                session.encode(),
                *(name.encode() for name in sorted((party, peer))),
            )
            for peer, pin in pins.items()
            if peer != party
        }

    def mask(
        self, parties: Sequence[str], variant: str, nonce: bytes, borrowers: bytes
    ) -> npt.NDArray[np.uint32]:
        """This party's masks (n,) of n borrowers in one answer, to be added modulo 2^32.

        Args:
            parties: the feature parties that answer, this one among them; 0 where it is the only.
            variant: that they answer for.
            nonce: of the request.
            borrowers: of `borrower_blocks`, of the borrowers asked for.

        Raises:
            ValueError: this party is not among them, or shares no key with one of them.
        """
        total = np.zeros(len(borrowers) // BLOCK_BYTES, dtype=np.uint32)
        context = _prefixed(nonce)
        for pair_key, adds in self._keys_of(tuple(parties), variant):
            key = hashlib.blake2b(context, key=pair_key, digest_size=32).digest()
            # Each block is a borrower of its own, and nothing is encrypted here: a mode that chains
            # blocks would make a borrower's mask depend on its place in the request.
            cipher = Cipher(AES(key), ECB()).encryptor()  # nosec B305
            words = np.frombuffer(cipher.update(borrowers), dtype="<u4")[:: BLOCK_BYTES // 4]
            if adds:
                total += words
            else:
                total -= words
        return total

    def _keys_of(self, parties: tuple[str, ...], variant: str) -> list[tuple[bytes, bool]]:
        """A key with each other party that answers for the variant, and whether this one adds."""
        kept = self._variant_keys.get((parties, variant))
        if kept is not None:
            return kept
        together = sorted(parties)
        peers = [name for name in together if name != self.party]
        if self.party not in together or not self._pair_keys.keys() >= set(peers):
            raise ValueError(f"{self.party} has no masks with {', '.join(together)}")
        context = _prefixed(variant.encode(), *(name.encode() for name in together))
        made = [
            (
                hashlib.blake2b(context, key=self._pair_keys[peer], digest_size=32).digest(),
                self.party < peer,
            )
            for peer in peers
        ]
        # Callers check names first; this is for those who don't.
        if len(self._variant_keys) < _MOST_VARIANTS:
            self._variant_keys[parties, variant] = made
        return made


def _prefixed(*parts: bytes) -> bytes:
    """Each part with its length before it."""
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)
