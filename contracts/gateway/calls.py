"""One call of a contract as data: whom, what, and what to name it in sentences."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from contracts.units import Address


@dataclass(frozen=True)
class Call:
    """A call to make, or to sign and send.

    Attributes:
        to: the contract; None makes a new one of `data` (code and arguments).
        data: ABI-coded function and arguments.
        name: for people, such as 'ReceivableRegistry.pay'.
    """

    to: Address | None
    data: bytes
    name: str

    def digest(self, chain_id: int, sender: Address) -> str:
        """SHA-256 in hex over chain, sender, contract and data: equal for equal effects."""
        head = f"{chain_id}:{sender.lower()}:{(self.to or '').lower()}:".encode()
        return hashlib.sha256(head + self.data).hexdigest()
