"""What the checks look at: a fact of the index, with what its invoice says."""

from __future__ import annotations

from typing import NamedTuple

from contracts.index.movements import MovementKind
from contracts.index.snapshot import TokenWords


class Fact(NamedTuple):  # made by the million, and made faster than a frozen dataclass
    """A row of `movements`, with data of the invoice that its claim descends from.

    Attributes:
        block_number, log_index, leg: where it stands; facts are shown in this order.
        at: seconds since 1970 UTC.
        kind: what happened (`contracts.index.movements` says who is actor and counterparty).
        leaf: the claim; None for orders.
        amount, extra: minor units of `token`, or what `contracts.index.movements` says.
        first_supplier, token, shipped_at, fingerprint, document_hash: of the invoice; None, 0 or
            empty where they are not known. Hashes are 0x and 64 hex digits.
        words: symbol and decimals of the token, where they are known.
    """

    block_number: int
    log_index: int
    leg: int
    at: int
    kind: MovementKind
    leaf: int | None = None
    debtor: str | None = None
    supplier: str | None = None
    actor: str | None = None
    counterparty: str | None = None
    bank: str | None = None
    amount: int | None = None
    extra: int | None = None
    first_supplier: str | None = None
    token: str = ""
    shipped_at: int = 0
    fingerprint: str = ""
    document_hash: str = ""
    words: TokenWords | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """Its place on the chain."""
        return self.block_number, self.log_index, self.leg

    @property
    def subject(self) -> str:
        """The claim, as alerts name it."""
        return f"receivable {self.leaf}"
