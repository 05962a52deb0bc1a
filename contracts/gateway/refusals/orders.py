"""Refusals of OrderFinancing."""

from __future__ import annotations

from datetime import datetime

from contracts.gateway.refusal import ContractRefusal
from contracts.gateway.structs import OrderStatus
from contracts.units import Address, BasisPoints, OrderId, TokenMinor

__all__ = [
    "AdvanceOpen",
    "BuyerNotAdmitted",
    "ConfirmationMismatch",
    "DeliveryDatePassed",
    "DeliveryFalls",
    "DeliveryOverValue",
    "FacilityOverCap",
    "OverDrawable",
    "ShareOutOfRange",
    "TooEarly",
    "ValueTooLarge",
    "WrongStatus",
]


class AdvanceOpen(ContractRefusal, solidity="AdvanceOpen(uint256 order, uint96 principal)"):
    """An advance is open."""

    order: OrderId
    principal: TokenMinor
    sentence = "Order {order} has an open advance of {principal}; it is to be paid back first."


class BuyerNotAdmitted(ContractRefusal, solidity="BuyerNotAdmitted(address buyer)"):
    """The buyer is not admitted."""

    buyer: Address
    sentence = (
        "The buyer {buyer} is not admitted as a debtor; the operator admits debtors "
        "(`veilscore chain admit`)."
    )


class ConfirmationMismatch(ContractRefusal, solidity="ConfirmationMismatch()"):
    """The invoice is not this order's."""

    sentence = (
        "The confirmation is not of this order: its order, supplier, buyer, token and amount "
        "must be the order's."
    )


class DeliveryDatePassed(ContractRefusal, solidity="DeliveryDatePassed(uint40 deliverBy)"):
    """The delivery date is past."""

    deliver_by: datetime
    sentence = "The delivery date {deliver_by} is past; it must be in the future."


class DeliveryFalls(
    ContractRefusal,
    solidity="DeliveryFalls(uint96 delivered, uint96 deliveredValue)",
):
    """A delivery is less than before."""

    delivered: TokenMinor
    delivered_value: TokenMinor
    sentence = (
        "{delivered} was delivered before; a delivery note of {delivered_value} in all can't "
        "be less."
    )


class DeliveryOverValue(
    ContractRefusal,
    solidity="DeliveryOverValue(uint96 deliveredValue, uint96 value)",
):
    """More is delivered than was ordered."""

    delivered_value: TokenMinor
    value: TokenMinor
    sentence = "{delivered_value} delivered is more than the order's value of {value}."


class ValueTooLarge(ContractRefusal, solidity="ValueTooLarge(uint96 value, uint96 most)"):
    """An order is of more than the contract takes."""

    value: TokenMinor
    most: TokenMinor
    sentence = "An order of {value} is more than the {most} that the contract takes."


class FacilityOverCap(ContractRefusal, solidity="FacilityOverCap(uint256 facility, uint256 cap)"):
    """The facility is over what is allowed."""

    facility: TokenMinor
    cap: TokenMinor
    sentence = (
        "A facility of {facility} is more than the {cap} that attestation and bank allow on "
        "this order."
    )


class OverDrawable(ContractRefusal, solidity="OverDrawable(uint256 amount, uint256 drawable)"):
    """More is drawn than can be now."""

    amount: TokenMinor
    drawable: TokenMinor
    sentence = (
        "{amount} is more than the {drawable} that can be drawn now; more can be after "
        "further deliveries."
    )


class ShareOutOfRange(ContractRefusal, solidity="ShareOutOfRange(uint16 upfrontBps)"):
    """The upfront share is over the whole."""

    upfront_bps: BasisPoints
    sentence = "The upfront share of {upfront_bps} is over 100.00%."


class TooEarly(ContractRefusal, solidity="TooEarly(uint256 from)"):
    """It is too early."""

    from_: datetime
    sentence = "This can be done from {from_} on."


class WrongStatus(ContractRefusal, solidity="WrongStatus(uint256 order, uint8 status)"):
    """The order is not in the state for this."""

    order: OrderId
    status: OrderStatus
    sentence = "Order {order} is {status}, which does not allow this."
