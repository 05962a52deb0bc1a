"""A party vouches for its short-lived keys, so that who carries them can't put others in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from federation.errors import BlamedError
from federation.identity.party_key import PartyKey, PartyPublicKey


@dataclass(frozen=True)
class Voucher:
    """Signs a party's keys of one run, and checks its peers' against their pins.

    Attributes:
        party: who signs.
        key: its long-term key.
        pins: the peers' public keys that it trusts.
    """

    party: str
    key: PartyKey
    pins: Mapping[str, PartyPublicKey]

    def sign(self, purpose: str, run: str, public_key: bytes) -> bytes:
        """A signature (64 bytes) over this party's short-lived public key of a run or session."""
        return self.key.sign(purpose, _statement(run, self.party, public_key))

    def check(
        self, purpose: str, run: str, party: str, public_key: bytes, signature: bytes
    ) -> None:
        """Refuse a short-lived key that its party did not sign.

        Raises:
            BlamedError: names the party and its pinned key's fingerprint.
        """
        pin = self.pins.get(party)
        if pin is None:
            raise BlamedError(
                party,
                f"{self.party} has no pinned key of {party}; add the line that `veilscore keys` "
                "prints there to the federation file",
            )
        if not pin.verifies(signature, purpose, _statement(run, party, public_key)):
            raise BlamedError(
                party,
                f"the {purpose} of {party} was not signed with the key that {self.party} has "
                f"pinned for it ({pin.fingerprint}): who carried it put another in its place, or "
                "the pin is wrong; compare with `veilscore keys` there",
            )

    def check_all(
        self,
        purpose: str,
        run: str,
        public_keys: Mapping[str, bytes],
        signatures: Mapping[str, bytes],
    ) -> None:
        """Check every peer's key; one's own is known.

        Raises:
            BlamedError: as `check`.
        """
        for party, public_key in public_keys.items():
            if party != self.party:
                self.check(purpose, run, party, public_key, signatures.get(party, b""))


def _statement(run: str, party: str, public_key: bytes) -> bytes:
    parts = (run.encode(), party.encode(), public_key)
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)
