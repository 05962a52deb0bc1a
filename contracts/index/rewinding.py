"""What a reorganisation takes back: events, facts, and the rows of every tree that they touched.

Rows of a tree (an invoice and all its leaves and loans) follow from the events about that tree
alone, and so do those of an order. So they are deleted and made again from the events that stay.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from contracts.index.book import Book
from contracts.index.book_rows import batches, claims_of, write_book
from contracts.index.derive import advance_all
from contracts.index.event_rows import read_events
from contracts.index.schema import events, invoices, leaves, loans, movements, orders


def rebuild_touched(connection: Connection, last: int) -> int:
    """Delete the events above block `last` and what followed from them; returns how many."""
    leaf_ids, order_ids = claims_of(read_events(connection, events.c.block_number > last))
    tree_roots, tree_ids = _trees(connection, leaf_ids)
    for table in (movements, events):
        gone = connection.execute(table.delete().where(table.c.block_number > last)).rowcount
    for batch in batches(tree_roots):
        connection.execute(invoices.delete().where(invoices.c.root.in_(batch)))
        connection.execute(leaves.delete().where(leaves.c.root.in_(batch)))
    for batch in batches(tree_ids):
        connection.execute(loans.delete().where(loans.c.id.in_(batch)))
    for names in batches(order_ids):
        connection.execute(orders.delete().where(orders.c.id.in_(names)))
    book = Book()
    claims = [str(number) for number in tree_ids] + list(order_ids)
    kept = [
        event
        for batch in batches(claims)
        for event in read_events(
            connection,
            events.c.claim.in_(batch),
            events.c.contract.in_(("registry", "pool", "orders")),
        )
    ]
    kept.sort(key=lambda event: (event.block_number, event.log_index))
    advance_all(book, kept)  # the facts of events that stay, stay
    write_book(connection, book)
    return gone


def _trees(connection: Connection, leaf_ids: set[int]) -> tuple[set[int], set[int]]:
    """Roots of the trees of these leaves, and the ids of all leaves in them."""
    roots: set[int] = set()
    for batch in batches(leaf_ids):
        roots.update(
            connection.execute(
                sa.select(leaves.c.root).where(leaves.c.id.in_(batch)).distinct()
            ).scalars()
        )
    ids: set[int] = set()
    for batch in batches(roots):
        ids.update(
            connection.execute(sa.select(leaves.c.id).where(leaves.c.root.in_(batch))).scalars()
        )
    return roots, ids
