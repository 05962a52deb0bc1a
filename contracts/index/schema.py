"""Tables of the index, for SQLite and PostgreSQL.

`blocks`, `events` and `cursor` are what was read from the chain. The others are derived from
`events` alone, in the same transaction. Amounts are whole minor units of a deposit token, at most
2**63 - 1; times are unix seconds; addresses are text with EIP-55 checksum; hashes are 0x and 64 hex
digits. Ids of purchase orders are above 2**128, so they are decimal text.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = 1
LARGEST: Final = 2**63 - 1

metadata = sa.MetaData()

# ---- what was read from the chain

cursor = sa.Table(  # one row: how far the index is, and of what
    "cursor",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # always 1
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("chain_id", sa.BigInteger, nullable=False),
    sa.Column("start_block", sa.BigInteger, nullable=False),
    sa.Column("contracts", sa.Text, nullable=False),  # JSON object: name to address
    sa.Column("block_number", sa.BigInteger),  # the last block indexed, NULL before the first
    sa.Column("block_hash", sa.Text),
    sa.Column("rewinds", sa.BigInteger, nullable=False),  # reorganisations followed so far
)
blocks = sa.Table(
    "blocks",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("parent_hash", sa.Text, nullable=False),
    sa.Column("timestamp", sa.BigInteger, nullable=False),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("block_number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("log_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tx_hash", sa.Text, nullable=False),
    sa.Column("contract", sa.Text, nullable=False),  # a name of `deployment.CONTRACTS`
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("claim", sa.Text),  # the receivable's or order's id, decimal
    sa.Column("body", sa.Text, nullable=False),  # JSON object of all arguments, ints as decimals
    sa.Index("events_by_claim", "claim"),
    sa.Index("events_by_name", "name"),
)
tokens = sa.Table(  # what the tokens say of themselves; read from them, not from events
    "tokens",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("decimals", sa.Integer, nullable=False),
)

# ---- derived from events

invoices = sa.Table(  # one row a confirmed receivable
    "invoices",
    metadata,
    sa.Column("root", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("debtor", sa.Text, nullable=False),
    sa.Column("supplier", sa.Text, nullable=False),  # who got the first leaf
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("face", sa.BigInteger, nullable=False),
    sa.Column("due_date", sa.BigInteger, nullable=False),
    sa.Column("confirmed_at", sa.BigInteger, nullable=False),
    sa.Column("dispute_until", sa.BigInteger, nullable=False),
    sa.Column("shipped_at", sa.BigInteger, nullable=False),  # 0 where it is not known
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("document_hash", sa.Text, nullable=False),
    sa.Column("order_id", sa.Text),  # the purchase order it fulfils
    sa.Column("block_number", sa.BigInteger, nullable=False),
    sa.Column("log_index", sa.Integer, nullable=False),
    sa.Column("cancelled_at", sa.BigInteger),
    sa.Index("invoices_by_fingerprint", "fingerprint"),
)
leaves = sa.Table(  # one row a leaf that ever was
    "leaves",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("root", sa.BigInteger, nullable=False),
    sa.Column("parent", sa.BigInteger),  # of a merged leaf, the first of those that it joins
    sa.Column("depth", sa.Integer, nullable=False),
    sa.Column("face", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),  # ERC-721 owner; the last one where it has ended
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("status", sa.Text, nullable=False),  # a LeafStatus
    sa.Column("paid", sa.BigInteger, nullable=False),
    sa.Column("credited", sa.BigInteger, nullable=False),
    sa.Index("leaves_by_root", "root"),
)
movements = sa.Table(  # flat, typed facts with a time; never changed, only taken back by a reorg
    "movements",
    metadata,
    sa.Column("block_number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("log_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("leg", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),  # a MovementKind
    sa.Column("root", sa.BigInteger),
    sa.Column("leaf", sa.BigInteger),
    sa.Column("order_id", sa.Text),
    sa.Column("debtor", sa.Text),
    sa.Column("supplier", sa.Text),  # whose fact it is: the holder then, the borrower of a loan
    sa.Column("actor", sa.Text),
    sa.Column("counterparty", sa.Text),
    sa.Column("bank", sa.Text),
    sa.Column("amount", sa.BigInteger),
    sa.Column("extra", sa.BigInteger),
    sa.Index("movements_by_supplier", "supplier", "at"),
    sa.Index("movements_by_kind", "kind", "at"),
)
loans = sa.Table(  # the latest loan on each leaf; earlier ones of the same leaf are in `movements`
    "loans",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),  # the leaf's
    sa.Column("bank", sa.Text, nullable=False),
    sa.Column("supplier", sa.Text, nullable=False),
    sa.Column("debtor", sa.Text, nullable=False),
    sa.Column("principal", sa.BigInteger, nullable=False),  # at the start
    sa.Column("open_principal", sa.BigInteger, nullable=False),  # 0 once settled or written off
    sa.Column("discount", sa.BigInteger, nullable=False),
    sa.Column("due_date", sa.BigInteger, nullable=False),
    sa.Column("financed_at", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # a LoanStatus
    sa.Column("recourse", sa.Boolean, nullable=False),
)
orders = sa.Table(  # one row an accepted purchase order
    "orders",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("supplier", sa.Text, nullable=False),
    sa.Column("buyer", sa.Text, nullable=False),
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("deliver_by", sa.BigInteger, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("document_hash", sa.Text, nullable=False),
    sa.Column("accepted_at", sa.BigInteger, nullable=False),
    sa.Column("bank", sa.Text),
    sa.Column("facility", sa.BigInteger, nullable=False),
    sa.Column("delivered", sa.BigInteger, nullable=False),
    sa.Column("drawn", sa.BigInteger, nullable=False),
    sa.Column("owed_principal", sa.BigInteger, nullable=False),  # as on chain, after a loss too
    sa.Column("status", sa.Text, nullable=False),  # an OrderStatus
    sa.Column("receivable", sa.BigInteger),  # the invoice that it became
)

DERIVED: Final = (invoices, leaves, movements, loans, orders)
