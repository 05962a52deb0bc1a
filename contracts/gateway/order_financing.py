"""OrderFinancing: money on a purchase order, drawn on deliveries, retired by the invoice.

Methods that change something return the `Call` to submit; the others read.
"""

from __future__ import annotations

from contracts.gateway.abi_contract import AbiContract
from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain
from contracts.gateway.receipts import Receipt
from contracts.gateway.solidity_values import checked_uint, from_abi, to_abi
from contracts.gateway.structs import Attestation, Confirmation, Delivery, Order, PurchaseOrder
from contracts.gateway.typed_data import TypedData
from contracts.units import Address, OrderId, ReceivableId, TokenMinor


class OrderFinancing:
    """The order contract of one deployment."""

    def __init__(self, chain: Chain, address: Address) -> None:
        """At its address; nothing is asked of the chain."""
        self.contract = AbiContract(chain, "OrderFinancing", address)
        self.address = self.contract.address

    def typed(self, message: PurchaseOrder | Delivery) -> TypedData:
        """What the buyer signs, for this chain and this contract."""
        return TypedData(message, self.contract.chain.chain_id, self.address)

    def accept(self, order: PurchaseOrder, signature: bytes) -> Call:
        """The supplier accepts an order that the buyer signed."""
        return self.contract.call("accept", to_abi(order), signature)

    def accepted(self, receipt: Receipt) -> OrderId:
        """The number of the order that a transaction accepted."""
        return OrderId(int(self.contract.one_event(receipt, "OrderAccepted")["order"]))

    def open_facility(
        self, order: OrderId, facility: TokenMinor, attestation: Attestation, signature: bytes
    ) -> Call:
        """The supplier opens a facility on a bank's attestation."""
        amount = checked_uint(facility, 96, "The facility")
        return self.contract.call("openFacility", order, amount, to_abi(attestation), signature)

    def sign_delivery(self, delivery: Delivery, signature: bytes) -> Call:
        """Note what the buyer signed to have been delivered."""
        return self.contract.call("signDelivery", to_abi(delivery), signature)

    def draw(self, order: OrderId, amount: TokenMinor) -> Call:
        """The supplier draws on the facility."""
        return self.contract.call("draw", order, checked_uint(amount, 96, "The draw"))

    def repay(self, order: OrderId, amount: TokenMinor) -> Call:
        """Anybody pays an advance back; the caller has approved the pool for the token."""
        return self.contract.call("repay", order, checked_uint(amount, 96, "The repayment"))

    def convert(
        self,
        order: OrderId,
        confirmation: Confirmation,
        debtor_signature: bytes,
        principal: TokenMinor,
        attestation: Attestation,
        attestation_signature: bytes,
    ) -> Call:
        """Register the order's invoice, finance it, and retire the advance by the proceeds."""
        return self.contract.call(
            "convert",
            order,
            to_abi(confirmation),
            debtor_signature,
            checked_uint(principal, 96, "The advance"),
            to_abi(attestation),
            attestation_signature,
        )

    def converted(self, receipt: Receipt) -> ReceivableId:
        """The receivable that an order became."""
        event = self.contract.one_event(receipt, "OrderConverted")
        return ReceivableId(int(event["receivable"]))

    def declare_default(self, order: OrderId) -> Call:
        """The bank declares an order's advance in default."""
        return self.contract.call("declareDefault", order)

    def write_off(self, order: OrderId) -> Call:
        """The bank writes a defaulted advance off."""
        return self.contract.call("writeOff", order)

    def lapse(self, order: OrderId) -> Call:
        """End an order on which nothing is drawn."""
        return self.contract.call("lapse", order)

    def order(self, order: OrderId) -> Order:
        """An order; status NONE where there never was one."""
        return from_abi(Order, self.contract.read("orderOf", order))

    def owed(self, order: OrderId) -> tuple[TokenMinor, TokenMinor]:
        """Interest and principal owed now."""
        interest, principal = self.contract.read("owedOn", order)
        return TokenMinor(int(interest)), TokenMinor(int(principal))

    def drawable(self, order: OrderId) -> TokenMinor:
        """What can be drawn now."""
        return TokenMinor(int(self.contract.read("drawableOn", order)))

    def open_advances(self, supplier: Address, buyer: Address) -> TokenMinor:
        """Open advances on orders between the two."""
        return TokenMinor(int(self.contract.read("openAdvances", supplier, buyer)))
