"""What the order contract's events do to purchase orders: pure functions of book and event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contracts.index.book import Book, Order, OrderStatus
from contracts.index.decoding import Event
from contracts.index.event_numbers import amount, out_of_place
from contracts.index.movements import Movement, MovementKind, movement


def _order(book: Book, event: Event) -> Order:
    order = book.orders.get(event.text("order"))
    if order is None:
        raise out_of_place(event, f"order {event.text('order')} is not known")
    book.touched_orders.add(order.id)
    return order


def _of_order(
    event: Event,
    kind: MovementKind,
    order: Order,
    amount: int,
    extra: int | None = None,
    *,
    leaf: int | None = None,
    actor: str | None = None,
    counterparty: str | None = None,
) -> list[Movement]:
    return [
        movement(
            event,
            kind,
            root=leaf,
            leaf=leaf,
            order_id=order.id,
            debtor=order.buyer,
            supplier=order.supplier,
            actor=actor,
            counterparty=counterparty,
            bank=order.bank,
            amount=amount,
            extra=extra,
        )
    ]


def _accepted(book: Book, event: Event) -> list[Movement]:
    order = Order(
        id=event.text("order"),
        supplier=event.text("supplier"),
        buyer=event.text("buyer"),
        value=amount(event, "value"),
        deliver_by=amount(event, "deliverBy"),
        fingerprint=event.text("fingerprint"),
        document_hash=event.text("documentHash"),
        accepted_at=event.at,
    )
    if order.id in book.orders:
        raise out_of_place(event, f"order {order.id} is there already")
    book.orders[order.id] = order
    book.touched_orders.add(order.id)
    return _of_order(
        event,
        MovementKind.ORDER_ACCEPTED,
        order,
        order.value,
        order.deliver_by,
        actor=order.supplier,
        counterparty=order.buyer,
    )


def _facility_opened(book: Book, event: Event) -> list[Movement]:
    order = _order(book, event)
    order.bank = event.text("bank")
    order.facility = amount(event, "facility")
    order.status = OrderStatus.OPEN
    return _of_order(
        event,
        MovementKind.FACILITY_OPENED,
        order,
        order.facility,
        amount(event, "rateBps"),
        actor=order.supplier,
        counterparty=order.bank,
    )


def _delivery_signed(book: Book, event: Event) -> list[Movement]:
    _order(book, event).delivered = amount(event, "deliveredValue")
    return []


def _drawn(book: Book, event: Event) -> list[Movement]:
    order = _order(book, event)
    drawn = amount(event, "amount")
    order.drawn += drawn
    order.owed_principal = amount(event, "principal")
    return _of_order(
        event,
        MovementKind.DRAWN,
        order,
        drawn,
        order.owed_principal,
        actor=order.supplier,
        counterparty=order.bank,
    )


def _paid_back(book: Book, event: Event) -> list[Movement]:
    order = _order(book, event)
    principal = amount(event, "principal")
    if principal > order.owed_principal:
        raise out_of_place(event, f"only {order.owed_principal} are owed on order {order.id}")
    order.owed_principal -= principal
    # Interest goes first, so principal is at 0 only when nothing is owed. An open one can be drawn
    # on again.
    if not order.owed_principal and order.status != OrderStatus.OPEN:
        order.status = OrderStatus.REPAID
    return _of_order(
        event,
        MovementKind.ORDER_PAID_BACK,
        order,
        principal,
        amount(event, "interest"),
        counterparty=order.bank,
    )


def _converted(book: Book, event: Event) -> list[Movement]:
    order = _order(book, event)
    principal, order.owed_principal = order.owed_principal, 0
    order.status = OrderStatus.CONVERTED
    order.receivable = amount(event, "receivable")
    return _of_order(
        event,
        MovementKind.ORDER_CONVERTED,
        order,
        amount(event, "retired"),
        principal,
        leaf=order.receivable,
        actor=order.supplier,
        counterparty=order.bank,
    )


def _order_ends(
    kind: MovementKind, status: OrderStatus, argument: str
) -> Callable[[Book, Event], list[Movement]]:
    """A bank's word on an order that is not paid back."""

    def handle(book: Book, event: Event) -> list[Movement]:
        order = _order(book, event)
        order.status = status
        lost = amount(event, argument)
        return _of_order(event, kind, order, lost, actor=order.bank, counterparty=order.supplier)

    return handle


def _lapsed(book: Book, event: Event) -> list[Movement]:
    _order(book, event).status = OrderStatus.LAPSED
    return []


HANDLERS: Final[dict[str, Callable[[Book, Event], list[Movement]]]] = {
    "OrderAccepted": _accepted,
    "FacilityOpened": _facility_opened,
    "DeliverySigned": _delivery_signed,
    "Drawn": _drawn,
    "OrderPaidBack": _paid_back,
    "OrderConverted": _converted,
    "OrderDefaulted": _order_ends(MovementKind.ORDER_DEFAULTED, OrderStatus.DEFAULTED, "principal"),
    "OrderLost": _order_ends(MovementKind.ORDER_LOST, OrderStatus.WRITTEN_OFF, "loss"),
    "OrderLapsed": _lapsed,
}
