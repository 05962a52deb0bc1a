"""What the registry's events do to invoices and leaves: pure functions of book and event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contracts.index.book import LIVE, Book, Invoice, Leaf, LeafStatus
from contracts.index.decoding import Event
from contracts.index.event_numbers import amount, out_of_place, within
from contracts.index.movements import Movement, MovementKind, account_of, movement

_ZERO = "0x" + 40 * "0"


def live_leaf(book: Book, event: Event, identifier: int) -> Leaf:
    """A leaf on which something is owed, to be changed.

    Raises:
        EventOutOfPlace: the index knows no such leaf, or it has ended.
    """
    leaf = book.leaves.get(identifier)
    if leaf is None:
        raise out_of_place(event, f"receivable {identifier} is not known")
    if leaf.status not in LIVE:
        raise out_of_place(event, f"receivable {identifier} has ended as {leaf.status}")
    book.touched_leaves.add(identifier)
    return leaf


def _new_leaf(book: Book, event: Event, leaf: Leaf) -> None:
    if leaf.id in book.leaves:
        raise out_of_place(event, f"receivable {leaf.id} is there already")
    book.leaves[leaf.id] = leaf
    book.touched_leaves.add(leaf.id)


def _end(leaf: Leaf, event: Event, status: LeafStatus) -> None:
    leaf.status = status
    leaf.ended_at = event.at


def _told(
    book: Book,
    event: Event,
    kind: MovementKind,
    leaf: Leaf,
    *,
    actor: str | None = None,
    counterparty: str | None = None,
    amount: int,
    extra: int | None = None,
) -> list[Movement]:
    """One fact about a leaf."""
    return [
        movement(
            event,
            kind,
            root=leaf.root,
            leaf=leaf.id,
            debtor=book.invoices[leaf.root].debtor,
            supplier=account_of(book, leaf),
            actor=actor,
            counterparty=counterparty,
            amount=amount,
            extra=extra,
        )
    ]


def _confirmed(book: Book, event: Event) -> list[Movement]:
    root = amount(event, "id")
    order = event.number("order")
    invoice = Invoice(
        root=root,
        debtor=event.text("debtor"),
        supplier=event.text("supplier"),
        token=event.text("token"),
        face=amount(event, "face"),
        due_date=amount(event, "dueDate"),
        confirmed_at=event.at,
        dispute_until=amount(event, "disputeUntil"),
        shipped_at=amount(event, "shippedAt"),
        fingerprint=event.text("fingerprint"),
        document_hash=event.text("documentHash"),
        order_id=str(order) if order else None,
        block_number=event.block_number,
        log_index=event.log_index,
    )
    leaf = Leaf(root, root, None, 0, invoice.face, invoice.supplier, event.at)
    _new_leaf(book, event, leaf)
    book.invoices[root] = invoice
    book.touched_invoices.add(root)
    return _told(
        book,
        event,
        MovementKind.CONFIRMED,
        leaf,
        actor=invoice.debtor,
        counterparty=invoice.supplier,
        amount=invoice.face,
        extra=invoice.due_date,
    )


def _transferred(book: Book, event: Event) -> list[Movement]:
    giver, taker = event.text("from"), event.text("to")
    if _ZERO in (giver, taker):
        return []  # made or ended: other events say how
    leaf = live_leaf(book, event, amount(event, "tokenId"))
    facts: list[Movement] = []
    if giver not in book.pools and taker not in book.pools:
        facts = _told(
            book,
            event,
            MovementKind.TRANSFERRED,
            leaf,
            actor=giver,
            counterparty=taker,
            amount=leaf.remaining,
        )
    leaf.holder = taker
    return facts


def _split(book: Book, event: Event) -> list[Movement]:
    parent = live_leaf(book, event, amount(event, "parent"))
    splitter, debtor = account_of(book, parent), book.invoices[parent.root].debtor
    _end(parent, event, LeafStatus.SPLIT)
    children, faces, holders = (event.arguments[name] for name in ("children", "faces", "holders"))
    if not len(children) == len(faces) == len(holders):
        raise out_of_place(event, "its lists are not of one length")
    facts = []
    parts = zip(children, faces, holders, strict=True)
    for leg, (child, face, holder) in enumerate(parts):
        leaf = Leaf(
            id=within(event, "children", int(child)),
            root=parent.root,
            parent=parent.id,
            depth=parent.depth + 1,
            face=within(event, "faces", int(face)),
            holder=holder,
            created_at=event.at,
        )
        _new_leaf(book, event, leaf)
        facts.append(
            movement(
                event,
                MovementKind.SPLIT,
                leg=leg,
                root=leaf.root,
                leaf=leaf.id,
                debtor=debtor,
                supplier=splitter,
                actor=splitter,
                counterparty=holder,
                amount=leaf.face,
                extra=parent.id,
            )
        )
    return facts


def _merged(book: Book, event: Event) -> list[Movement]:
    identifier, holder = amount(event, "merged"), event.text("holder")
    parents = [live_leaf(book, event, int(parent)) for parent in event.arguments["parents"]]
    if not parents:
        raise out_of_place(event, "it joins no leaves")
    root = parents[0].root
    facts = []
    for leg, parent in enumerate(parents):
        facts.append(
            movement(
                event,
                MovementKind.MERGED,
                leg=leg,
                root=root,
                leaf=parent.id,
                debtor=book.invoices[root].debtor,
                supplier=holder,
                actor=holder,
                amount=parent.remaining,
                extra=identifier,
            )
        )
        _end(parent, event, LeafStatus.MERGED)
    depth = max(parent.depth for parent in parents)
    merged = Leaf(identifier, root, parents[0].id, depth, amount(event, "face"), holder, event.at)
    _new_leaf(book, event, merged)
    return facts


def _disputed(book: Book, event: Event) -> list[Movement]:
    leaf = live_leaf(book, event, amount(event, "id"))
    leaf.status = LeafStatus.DISPUTED
    debtor = event.text("debtor")
    return _told(book, event, MovementKind.DISPUTED, leaf, actor=debtor, amount=leaf.remaining)


def _dispute_withdrawn(book: Book, event: Event) -> list[Movement]:
    leaf = live_leaf(book, event, amount(event, "id"))
    leaf.status = LeafStatus.LIVE
    debtor = book.invoices[leaf.root].debtor
    return _told(
        book, event, MovementKind.DISPUTE_WITHDRAWN, leaf, actor=debtor, amount=leaf.remaining
    )


def _dispute_settled(book: Book, event: Event) -> list[Movement]:
    leaf = live_leaf(book, event, amount(event, "id"))
    leaf.status = LeafStatus.LIVE
    return _told(
        book,
        event,
        MovementKind.DISPUTE_SETTLED,
        leaf,
        actor=leaf.holder,
        counterparty=book.invoices[leaf.root].debtor,
        amount=amount(event, "credited"),
    )


def _credited(book: Book, event: Event) -> list[Movement]:
    leaf = live_leaf(book, event, amount(event, "id"))
    given = amount(event, "amount")
    leaf.credited += given
    _check_remaining(leaf, event)
    return _told(
        book,
        event,
        MovementKind.CREDITED,
        leaf,
        actor=leaf.holder,
        counterparty=book.invoices[leaf.root].debtor,
        amount=given,
        extra=leaf.remaining,
    )


def _cancelled(book: Book, event: Event) -> list[Movement]:
    leaf = live_leaf(book, event, amount(event, "id"))
    invoice = book.invoices[leaf.root]
    facts = _told(
        book,
        event,
        MovementKind.CANCELLED,
        leaf,
        actor=leaf.holder,
        counterparty=invoice.debtor,
        amount=leaf.remaining,
    )
    _end(leaf, event, LeafStatus.CANCELLED)
    invoice.cancelled_at = event.at
    book.touched_invoices.add(invoice.root)
    return facts


def _paid(book: Book, event: Event) -> list[Movement]:
    leaf = live_leaf(book, event, amount(event, "id"))
    given = amount(event, "amount")
    leaf.paid += given
    _check_remaining(leaf, event)
    return _told(
        book,
        event,
        MovementKind.PAID,
        leaf,
        actor=event.text("payer"),
        counterparty=event.text("holder"),
        amount=given,
        extra=leaf.remaining,
    )


def _settled(book: Book, event: Event) -> list[Movement]:
    leaf = live_leaf(book, event, amount(event, "id"))
    _end(leaf, event, LeafStatus.SETTLED)
    return _told(book, event, MovementKind.SETTLED, leaf, counterparty=leaf.holder, amount=0)


def _check_remaining(leaf: Leaf, event: Event) -> None:
    if leaf.remaining != event.number("remaining"):
        raise out_of_place(
            event, f"it says that {event.number('remaining')} remain, the index {leaf.remaining}"
        )


def _pool_admitted(book: Book, event: Event) -> list[Movement]:
    book.pools.add(event.text("pool"))
    return []


HANDLERS: Final[dict[str, Callable[[Book, Event], list[Movement]]]] = {
    "ReceivableConfirmed": _confirmed,
    "Transfer": _transferred,
    "ReceivableSplit": _split,
    "ReceivableMerged": _merged,
    "ReceivableDisputed": _disputed,
    "DisputeWithdrawn": _dispute_withdrawn,
    "DisputeSettled": _dispute_settled,
    "ReceivableCredited": _credited,
    "ReceivableCancelled": _cancelled,
    "ReceivablePaid": _paid,
    "ReceivableSettled": _settled,
    "PoolAdmitted": _pool_admitted,
}
