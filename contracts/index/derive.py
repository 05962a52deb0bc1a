"""From events to invoices, leaves, movements, loans and orders: a pure state machine.

It knows no database. The indexer feeds it a chunk at a time, a reorganisation replays the events of
the trees it touched, and `as_of` views replay them all; the same code, so the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from contracts.index.book import Book
from contracts.index.decoding import Event
from contracts.index.derive_loans import HANDLERS as OF_LOANS
from contracts.index.derive_orders import HANDLERS as OF_ORDERS
from contracts.index.derive_receivables import HANDLERS as OF_RECEIVABLES
from contracts.index.movements import Movement

_HANDLERS = {
    **{("registry", name): handler for name, handler in OF_RECEIVABLES.items()},
    **{("pool", name): handler for name, handler in OF_LOANS.items()},
    **{("orders", name): handler for name, handler in OF_ORDERS.items()},
}


def advance(book: Book, event: Event) -> list[Movement]:
    """Apply one event to the book and return the facts that it tells.

    Events come in the chain's order, each once.

    Raises:
        EventOutOfPlace: what it is about is not in the book, or not in that state.
        AmountTooLarge: it holds an amount above 2**63 - 1.
    """
    handler = _HANDLERS.get((event.contract, event.name))
    return [] if handler is None else handler(book, event)


def advance_all(book: Book, events: Iterable[Event]) -> list[Movement]:
    """Apply events one after the other; raises what `advance` does."""
    return [fact for event in events for fact in advance(book, event)]
