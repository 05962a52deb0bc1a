"""A batch of documents, laid out for a reader or a machine."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from datetime import date

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.documents.amounts import exponent_of, money
from contracts.documents.draft import DocumentBatch, ReceivableDraft, ReviewItem


def batch_json(batch: DocumentBatch) -> Iterator[str]:
    """One JSON object a document: 'list' says which of the two it is in.

    Amounts are whole minor units, with 'exponent' the currency's decimals; hashes are hexadecimal.
    """
    for draft in batch.drafts:
        extra = {"exponent": exponent_of(draft.currency)}
        yield _object("draft", draft, extra)
    for item in batch.review:
        yield _object("review", item, {})


def _object(name: str, value: ReceivableDraft | ReviewItem, extra: Mapping[str, object]) -> str:
    content = {
        field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
    }
    return json.dumps({"list": name, **content, **extra}, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date) else value


def print_batch(batch: DocumentBatch, console: Console | None = None) -> None:
    """Two tables: the drafts, and what is for review with its reason."""
    console = console or Console()
    if batch.drafts:
        console.print(_drafts(batch))
    if batch.review:
        console.print(_review(batch))
    console.print(f"drafts: {len(batch.drafts)}, for review: {len(batch.review)}")


def _drafts(batch: DocumentBatch) -> Table:
    table = Table(title="Drafts", title_justify="left", box=SIMPLE_HEAD)
    for name in ("kind", "number", "seller, buyer", "issued", "due"):
        table.add_column(name, no_wrap=name in ("kind", "issued", "due"), overflow="fold")
    table.add_column("payable", justify="right", no_wrap=True)
    for draft in batch.drafts:
        amount = money(draft.face, exponent_of(draft.currency))
        cells = (
            draft.kind,
            draft.number,
            f"{draft.seller_name}\n{draft.buyer_name}",
            draft.issue_date.isoformat(),
            draft.due_date.isoformat() if draft.due_date else "",
            f"{amount} {draft.currency}",
        )
        # Text, since what a stranger wrote is no markup.
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _review(batch: DocumentBatch) -> Table:
    table = Table(title="For review", title_justify="left", box=SIMPLE_HEAD)
    for name in ("document", "kind", "reason"):
        table.add_column(name, no_wrap=name == "kind", overflow="fold")
    for item in batch.review:
        table.add_row(Text(item.source), Text(item.code), Text(item.reason))
    return table
