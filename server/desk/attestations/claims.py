"""The claim of an `Attest` request: parsed defensively, every wrong field named at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from contracts.gateway.errors import ValueRefused
from contracts.gateway.solidity_values import ZERO_ADDRESS, checked_address
from contracts.units import Address
from federation.proto.attestations_pb2 import Claim
from federation.scoring.rows import FieldErrors
from server.desk.attestations.settings import Consumer

FIRST_ORDER = 2**128 + 1
"""Numbers of orders begin here, so that none is a receivable's."""
_NUMBER = re.compile(r"[1-9][0-9]{0,77}", re.ASCII)


@dataclass(frozen=True)
class FinancedClaim:
    """What is to be financed.

    Attributes:
        account: the supplier's on chain.
        number: of the receivable or order.
        consumer: the contract that pays.
    """

    account: Address
    number: int
    consumer: Consumer

    def words(self) -> str:
        """For the audit record: 'pool 7'."""
        return f"{self.consumer} {self.number}"


def financed_claim(claim: Claim) -> FinancedClaim:
    """A claim from the wire.

    Raises:
        FieldErrors: names each wrong field.
    """
    wrong: list[tuple[str, str]] = []
    account, number, consumer = ZERO_ADDRESS, 0, Consumer.POOL
    try:
        account = checked_address(claim.account, "claim.account")
    except ValueRefused:
        wrong.append(("claim.account", "must be an address: 0x and 40 hex digits, checksum right"))
    else:
        if account == ZERO_ADDRESS:
            wrong.append(("claim.account", "must be the supplier's, not the address of zeros"))
    if claim.consumer in list(Consumer):
        consumer = Consumer(claim.consumer)
    else:
        wrong.append(("claim.consumer", "must be 'pool' or 'orders'"))
    if _NUMBER.fullmatch(claim.claim) and int(claim.claim) < 2**256:
        number = int(claim.claim)
        if consumer is Consumer.ORDERS and number < FIRST_ORDER:
            wrong.append(("claim.claim", "must be an order's number; those are above 2^128"))
    else:
        wrong.append(("claim.claim", "must be a number from 1 to 2^256 - 1, as decimal text"))
    if wrong:
        raise FieldErrors(wrong)
    return FinancedClaim(account, number, consumer)
