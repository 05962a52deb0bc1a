"""ScoreAttestation: what banks' scoring keys signed, checked and used once.

Methods that change something return the `Call` to submit; the others read.
"""

from __future__ import annotations

from datetime import datetime

from contracts.gateway.abi_contract import AbiContract
from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain
from contracts.gateway.solidity_values import (
    checked_address,
    checked_uint,
    moment,
    to_abi,
    unix_seconds,
)
from contracts.gateway.structs import Attestation
from contracts.gateway.typed_data import TypedData
from contracts.units import Address, Digest


class ScoreAttestation:
    """The attestations of one deployment."""

    def __init__(self, chain: Chain, address: Address) -> None:
        """At its address; nothing is asked of the chain."""
        self.contract = AbiContract(chain, "ScoreAttestation", address)
        self.address = self.contract.address

    def typed(self, attestation: Attestation) -> TypedData:
        """What the bank's scoring key signs, for this chain and this contract."""
        return TypedData(attestation, self.contract.chain.chain_id, self.address)

    def authorise(self, signer: Address, not_after: datetime) -> Call:
        """The calling bank lets a key attest for it until `not_after`."""
        until = unix_seconds(not_after, "The signer's end")
        return self.contract.call("authorise", checked_address(signer, "The signer"), until)

    def revoke_signer(self, signer: Address) -> Call:
        """The calling bank withdraws a key, for good; all that it signed is void."""
        return self.contract.call("revokeSigner", checked_address(signer, "The signer"))

    def revoke(self, nonce: int) -> Call:
        """The calling bank voids one attestation."""
        return self.contract.call("revoke", checked_uint(nonce, 64, "The nonce"))

    def signer_until(self, bank: Address, signer: Address) -> datetime | None:
        """Until when a key may attest; None where it may not."""
        seconds = int(self.contract.read("signerUntil", bank, signer))
        return moment(seconds) if seconds else None

    def is_revoked(self, bank: Address, signer: Address) -> bool:
        """Whether a key was withdrawn."""
        return bool(self.contract.read("isRevoked", bank, signer))

    def is_used(self, bank: Address, nonce: int) -> bool:
        """Whether an attestation was used or voided."""
        return bool(self.contract.read("isUsed", bank, nonce))

    def digest(self, attestation: Attestation) -> Digest:
        """The digest that the contract computes; `typed(…).digest()` is equal."""
        return Digest(bytes(self.contract.read("digest", to_abi(attestation))))
