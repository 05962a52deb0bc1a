"""AuditAnchor: digests in order, so that a record's past can't be rewritten unseen."""

from __future__ import annotations

from datetime import datetime

from eth_utils.crypto import keccak

from contracts.gateway.abi_contract import AbiContract
from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain
from contracts.gateway.errors import ValueRefused
from contracts.gateway.solidity_values import checked_digest, from_abi, moment
from contracts.gateway.structs import AnchorHead
from contracts.units import Address, Digest


class AuditAnchor:
    """The anchor contract of one deployment."""

    def __init__(self, chain: Chain, address: Address) -> None:
        """At its address; nothing is asked of the chain."""
        self.contract = AbiContract(chain, "AuditAnchor", address)
        self.address = self.contract.address

    def anchor(self, stream: Digest, digest: Digest, previous: Digest) -> Call:
        """Extend the caller's stream by a digest; `previous` is its head, 32 zeros at first."""
        checked_digest(digest, "The digest")
        return self.contract.call("anchor", stream, digest, checked_digest(previous, "Previous"))

    def head(self, account: Address, stream: Digest) -> AnchorHead:
        """Where a stream ends."""
        return from_abi(AnchorHead, self.contract.read("headOf", account, stream))

    def anchored_at(self, account: Address, stream: Digest, digest: Digest) -> datetime | None:
        """When a digest was anchored, or None."""
        seconds = int(self.contract.read("anchoredAt", account, stream, digest))
        return moment(seconds) if seconds else None


def stream_of(name: str) -> Digest:
    """The stream of a name, such as 'privacy-ledger': its keccak-256.

    Raises:
        ValueRefused: the name is empty or longer than 200 characters.
    """
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise ValueRefused("A stream's name must be 1 to 200 printable characters.")
    return Digest(keccak(text=name))
