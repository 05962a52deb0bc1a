"""Signed transactions: made of a call, read back, and what a node's answer to one means."""

from __future__ import annotations

import re
from typing import Any

from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes

from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain
from contracts.gateway.errors import (
    ChainError,
    NonceTaken,
    TransactionMoved,
    TransactionReverted,
    TransactionVanished,
)
from contracts.gateway.fees import Fee
from contracts.gateway.keystore import Signer
from contracts.gateway.receipts import Receipt
from contracts.gateway.refusal import ContractRefusal
from contracts.gateway.submissions import Attempt, Submission
from contracts.units import Address

_KNOWN = re.compile(r"already (known|imported|in (the )?(mem)?pool)|known transaction", re.I)
_USED = re.compile(r"nonce( is)? too low|old nonce", re.I)
_UNDERPRICED = re.compile(r"underpriced", re.I)
_TESTER_NONCE = re.compile(r"nonce: Expected (\d+), but got (\d+)")


def sign_attempt(
    signer: Signer,
    chain_id: int,
    nonce: int,
    to: str | None,
    data: bytes,
    *,
    gas: int,
    fee: Fee,
    cancels: bool = False,
) -> Attempt:
    """Sign one transaction (EIP-1559, no value)."""
    transaction: dict[str, Any] = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "gas": gas,
        "maxFeePerGas": fee.most,
        "maxPriorityFeePerGas": fee.tip,
        "value": 0,
        "data": data,
    }
    if to:
        transaction["to"] = to
    signed = signer.sign_transaction(transaction)
    return Attempt(
        bytes(signed.hash), bytes(signed.raw_transaction), fee.most, fee.tip, gas, cancels
    )


def node_has_it(text: str) -> bool:
    """Whether a node's refusal means that it has this transaction, or its nonce is used."""
    tester = _TESTER_NONCE.search(text)
    if tester is not None:
        return int(tester[2]) < int(tester[1])
    return any(pattern.search(text) for pattern in (_KNOWN, _USED, _UNDERPRICED))


def reorganised(before: Receipt | None, now: Receipt | None) -> ChainError | None:
    """What a reorganisation did to a transaction between two looks."""
    if before is None or (now is not None and now.block_hash == before.block_hash):
        return None
    shown = "0x" + before.tx_hash.hex()
    if now is None:
        return TransactionVanished(
            f"The chain was reorganised: {shown} was in block {before.block_number} and is in "
            "none now; it is sent again with the same reference."
        )
    return TransactionMoved(
        f"The chain was reorganised: {shown} moved from block {before.block_number} to "
        f"{now.block_number}; wait on with the same reference."
    )


def decoded(raw: bytes) -> tuple[str | None, bytes]:
    """Recipient and data of a signed transaction of our own."""
    fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    to = fields["to"]
    return (to_checksum_address(bytes(to)) if to else None), bytes(fields["data"])


def nonce_taken(submission: Submission, sender: Address) -> NonceTaken:
    """The error of a transaction whose nonce another one has."""
    return NonceTaken(
        f"Another transaction of {sender} took nonce {submission.nonce}, so "
        f"{submission.reference!r} ({submission.name}) can't be mined any more; it had no effect. "
        "Send one account's transactions through one journal, and use a new reference."
    )


def refused_when_mined(
    chain: Chain, sender: Address, submission: Submission, attempt: Attempt, receipt: Receipt
) -> TransactionReverted:
    """The error of a transaction that was mined and refused.

    With the contract's reason, where the node can still run the call on the block before.
    """
    to, data = decoded(attempt.raw)
    call = Call(None if to is None else Address(to), data, submission.name)
    reason: ContractRefusal | None = None
    try:
        chain.call(call, sender, receipt.block_number - 1)
    except ContractRefusal as error:
        reason = error
    except ChainError:  # many nodes have forgotten that block's state
        reason = None
    reverted = TransactionReverted(
        f"{submission.reference!r} ({submission.name}) was mined and refused, so that only its gas "
        f"is gone{f': {reason}' if reason else '.'} Use a new reference to try again."
    )
    reverted.__cause__ = reason
    return reverted
