"""Numbers out of events, within what the derived tables hold."""

from __future__ import annotations

from contracts.index.decoding import Event
from contracts.index.errors import AmountTooLarge, EventOutOfPlace
from contracts.index.schema import LARGEST

FIRST_ORDER = 1 << 128
"""Ids of purchase orders are above it, those of receivables below (IOrderFinancing)."""


def place(event: Event) -> str:
    """Which event, for a sentence."""
    return f"{event.name} (block {event.block_number}, log {event.log_index})"


def amount(event: Event, argument: str) -> int:
    """An amount, time or id that a derived table holds.

    Raises:
        AmountTooLarge: it is above 2**63 - 1.
    """
    return within(event, argument, event.number(argument))


def within(event: Event, argument: str, value: int) -> int:
    """`value`, where a derived table can hold it.

    Raises:
        AmountTooLarge: it is above 2**63 - 1.
    """
    if value > LARGEST:
        raise AmountTooLarge(
            f"{place(event)}: '{argument}' is {value}, and the index holds at most {LARGEST}; "
            "use a deposit token with fewer decimals"
        )
    return value


def out_of_place(event: Event, why: str) -> EventOutOfPlace:
    """The error of an event that does not fit to those before it."""
    return EventOutOfPlace(
        f"{place(event)}: {why}; index from the first block of the deployment, and check that its "
        "file names contracts that belong together"
    )
