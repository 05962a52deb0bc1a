"""ReceivableRegistry: what debtors owe, as leaves that are split, passed on and paid.

Methods that change something return the `Call` to submit; the others read.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.gateway.abi_contract import AbiContract
from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain
from contracts.gateway.errors import ValueRefused
from contracts.gateway.receipts import Receipt
from contracts.gateway.roles import Roles
from contracts.gateway.solidity_values import (
    checked_address,
    checked_digest,
    checked_uint,
    from_abi,
    to_abi,
)
from contracts.gateway.structs import Confirmation, DisputeSettlement, Leaf, ReceivableTerms
from contracts.gateway.typed_data import TypedData
from contracts.units import Address, Digest, ReceivableId, TokenMinor


class ReceivableRegistry:
    """The registry of one deployment."""

    def __init__(self, chain: Chain, address: Address) -> None:
        """At its address; nothing is asked of the chain."""
        self.contract = AbiContract(chain, "ReceivableRegistry", address)
        self.address = self.contract.address
        self.roles = Roles(self.contract)

    def typed(self, message: Confirmation | DisputeSettlement) -> TypedData:
        """What the debtor signs, for this chain and this registry."""
        return TypedData(message, self.contract.chain.chain_id, self.address)

    def confirm(self, confirmation: Confirmation, signature: bytes) -> Call:
        """Register an invoice by its debtor's signature; anybody may submit it."""
        return self.contract.call("confirm", to_abi(confirmation), signature)

    def confirmed(self, receipt: Receipt) -> ReceivableId:
        """The number of the receivable that a transaction registered."""
        return ReceivableId(int(self.contract.one_event(receipt, "ReceivableConfirmed")["id"]))

    def split(
        self, receivable: ReceivableId, faces: Sequence[TokenMinor], holders: Sequence[Address]
    ) -> Call:
        """Replace a leaf by parts that sum to what remains of it, for any holders."""
        if len(faces) != len(holders):
            raise ValueRefused(f"{len(faces)} parts and {len(holders)} holders; give one each.")
        amounts = [checked_uint(face, 96, f"Part {n}") for n, face in enumerate(faces, 1)]
        accounts = [checked_address(to, f"Holder {n}") for n, to in enumerate(holders, 1)]
        return self.contract.call("split", receivable, amounts, accounts)

    def children(self, receipt: Receipt) -> list[ReceivableId]:
        """The leaves that a split made."""
        return [
            ReceivableId(int(i))
            for i in self.contract.one_event(receipt, "ReceivableSplit")["children"]
        ]

    def merge(self, receivables: Sequence[ReceivableId]) -> Call:
        """Join leaves of one invoice, all held by the caller."""
        return self.contract.call("merge", list(receivables))

    def merged(self, receipt: Receipt) -> ReceivableId:
        """The leaf that a merger made."""
        return ReceivableId(int(self.contract.one_event(receipt, "ReceivableMerged")["merged"]))

    def transfer(self, receivable: ReceivableId, holder: Address, to: Address) -> Call:
        """Pass a leaf on (ERC-721)."""
        sender, taker = checked_address(holder, "The holder"), checked_address(to, "The receiver")
        return self.contract.call("safeTransferFrom", sender, taker, receivable)

    def approve(self, operator: Address, receivable: ReceivableId) -> Call:
        """Let a contract, such as the pool, take one of the caller's leaves."""
        return self.contract.call("approve", checked_address(operator, "The operator"), receivable)

    def approve_all(self, operator: Address, approved: bool = True) -> Call:
        """Let a contract, such as the pool, take the caller's leaves."""
        account = checked_address(operator, "The operator")
        return self.contract.call("setApprovalForAll", account, approved)

    def dispute(self, receivable: ReceivableId, reason: Digest) -> Call:
        """The debtor disputes within the window that it signed; `reason` is a document's digest."""
        return self.contract.call("dispute", receivable, checked_digest(reason, "The reason"))

    def withdraw_dispute(self, receivable: ReceivableId) -> Call:
        """The debtor takes a dispute back."""
        return self.contract.call("withdrawDispute", receivable)

    def settle_dispute(self, settlement: DisputeSettlement, signature: bytes) -> Call:
        """The holder gives up what the debtor signed for."""
        receivable, _, credit, deadline = to_abi(settlement)
        return self.contract.call("settleDispute", receivable, credit, deadline, signature)

    def credit(self, receivable: ReceivableId, amount: TokenMinor) -> Call:
        """The holder gives up part of a leaf (a credit note)."""
        return self.contract.call("credit", receivable, checked_uint(amount, 96, "The credit"))

    def cancel(self, receivable: ReceivableId) -> Call:
        """The holder cancels an invoice that was neither split nor paid."""
        return self.contract.call("cancel", receivable)

    def pay(self, receivable: ReceivableId, amount: TokenMinor) -> Call:
        """Pay a leaf, whole or in part; the payer has approved the registry for the token."""
        return self.contract.call("pay", receivable, checked_uint(amount, 96, "The payment"))

    def take_held_payment(self, token: Address, to: Address) -> Call:
        """Take payments that could not be delivered when they were made."""
        return self.contract.call("takeHeldPayment", token, checked_address(to, "The receiver"))

    def admit_token(self, token: Address, admitted: bool, dust_floor: TokenMinor) -> Call:
        """The operator admits a deposit token; no leaf may be smaller than `dust_floor`."""
        floor = checked_uint(dust_floor, 96, "The smallest amount")
        return self.contract.call("admitToken", checked_address(token, "Token"), admitted, floor)

    def admit_debtor(self, debtor: Address, admitted: bool = True) -> Call:
        """The operator admits a debtor, or no more."""
        return self.contract.call("admitDebtor", checked_address(debtor, "The debtor"), admitted)

    def admit_pool(self, pool: Address) -> Call:
        """The operator admits a pool, for good."""
        return self.contract.call("admitPool", checked_address(pool, "The pool"))

    def set_orders(self, orders: Address) -> Call:
        """The operator names the order contract, once."""
        return self.contract.call("setOrders", checked_address(orders, "The order contract"))

    def leaf(self, receivable: ReceivableId) -> Leaf:
        """One leaf; status NONE where there never was one."""
        return from_abi(Leaf, self.contract.read("leafOf", receivable))

    def terms(self, receivable: ReceivableId) -> ReceivableTerms:
        """What all leaves of the invoice have in common."""
        return from_abi(ReceivableTerms, self.contract.read("termsOf", receivable))

    def holder(self, receivable: ReceivableId) -> Address:
        """Who is owed.

        Raises:
            ERC721NonexistentToken: the leaf is no more, or never was.
        """
        return checked_address(self.contract.read("ownerOf", receivable), "The holder")

    def approved(self, receivable: ReceivableId) -> Address:
        """Who may take this leaf, beside those approved for all of its holder's."""
        return checked_address(self.contract.read("getApproved", receivable), "The approved")

    def is_approved_for_all(self, holder: Address, operator: Address) -> bool:
        """Whether a contract may take all leaves of a holder."""
        return bool(self.contract.read("isApprovedForAll", holder, operator))

    def is_debtor_admitted(self, debtor: Address) -> bool:
        """Whether invoices of the debtor can be registered."""
        return bool(self.contract.read("isDebtor", debtor))

    def remaining(self, receivable: ReceivableId) -> TokenMinor:
        """What is still owed on a leaf."""
        return TokenMinor(int(self.contract.read("remainingOf", receivable)))

    def outstanding(self, debtor: Address, token: Address) -> TokenMinor:
        """What a debtor owes in all."""
        return TokenMinor(int(self.contract.read("outstandingOf", debtor, token)))

    def held_for(self, token: Address, holder: Address) -> TokenMinor:
        """Payments that wait to be taken."""
        return TokenMinor(int(self.contract.read("heldFor", token, holder)))

    def revision(self, fingerprint: Digest) -> int:
        """How often the document was cancelled: the revision that a new confirmation needs."""
        return int(self.contract.read("revisionOf", fingerprint))

    def root(self, fingerprint: Digest) -> ReceivableId:
        """The receivable of a document; 0 where it is not registered."""
        return ReceivableId(int(self.contract.read("rootOf", fingerprint)))
