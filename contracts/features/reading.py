"""Facts before a cut, from the index: nothing on or after the cut ever leaves the database.

Only what never changes once it is written is read of a row (a leaf's face and end, not its holder
or status of today), so that an index that has gone on gives the same facts as one that stopped at
the cut.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from contracts.features.errors import FeatureError
from contracts.features.facts import (
    DAY_SECONDS,
    Amounts,
    Claims,
    Facts,
    Integers,
    Invoices,
    LoanEnds,
    Loans,
    Transfers,
)
from contracts.index.schema import SCHEMA_VERSION, blocks, cursor, invoices, leaves, movements
from contracts.units import Address, BlockNumber, UnixSeconds

OnProgress = Callable[[int], None]
BATCH_ROWS = 50_000
_LOG_BITS = 20  # of a row's place in the chain, for the log's index in its block


@dataclass(frozen=True)
class IndexHead:
    """How far an index is, and of what.

    Attributes:
        chain_id: of its chain (EIP-155).
        contracts: addresses by short name ('registry', 'pool', ...).
        block: the last block indexed; `at` its time.
    """

    chain_id: int
    contracts: dict[str, Address]
    block: BlockNumber
    at: UnixSeconds


def read_head(connection: Connection) -> IndexHead:
    """Say how far an index is.

    Raises:
        FeatureError: it is of another version, or has no block yet.
    """
    last = cursor.outerjoin(blocks, blocks.c.number == cursor.c.block_number)
    columns = (cursor.c.version, cursor.c.chain_id, cursor.c.contracts, cursor.c.block_number)
    row = connection.execute(sa.select(*columns, blocks.c.timestamp).select_from(last)).first()
    if row is not None and row[0] != SCHEMA_VERSION:
        raise FeatureError(
            f"the index has version {row[0]} of its tables, and this version of veilscore reads "
            f"{SCHEMA_VERSION}; build the index again with the same version"
        )
    if row is None or row[3] is None or row[4] is None:
        raise FeatureError(
            "the index holds no block yet; run `veilscore chain index` until it has caught up"
        )
    return IndexHead(
        int(Decimal(row[1])), json.loads(row[2]), BlockNumber(row[3]), UnixSeconds(row[4])
    )


def read_facts(
    connection: Connection,
    cut: UnixSeconds,
    *,
    token: Address | None = None,
    on_progress: OnProgress = lambda rows: None,
) -> Facts:
    """Read all facts before a cut.

    Args:
        connection: to the index, with no transaction begun, or none that has read yet; all is read
            from one snapshot.
        cut: midnight UTC.
        token: only claims in this deposit token; None: all are in one.
        on_progress: told the number of rows read so far.

    Raises:
        FeatureError: the cut is not midnight, lies beyond what is indexed, there are claims in
            several tokens and none is named, or the index contradicts itself.
        sqlalchemy.exc.SQLAlchemyError: the database fails.
    """
    if cut % DAY_SECONDS:
        raise ValueError("the cut must be midnight UTC")
    _hold_snapshot(connection)
    head = read_head(connection)
    if head.at < cut:
        raise FeatureError(
            f"the index has blocks up to {_utc(head.at)}, and features as of {_utc(cut)[:10]} need "
            "all blocks before that day; let the index catch up, or take an earlier date"
        )
    return _Reader(connection, cut, head, on_progress).facts(_only_token(connection, cut, token))


def known_accounts(connection: Connection) -> set[str]:
    """Every account that the index names as a party of a claim, at any time."""
    parties = (invoices.c.debtor, invoices.c.supplier, movements.c.supplier)
    query = sa.union(*(sa.select(column) for column in (*parties, movements.c.counterparty)))
    return {row[0] for row in connection.execute(query) if row[0] is not None}


def _hold_snapshot(connection: Connection) -> None:
    """Make all readings of this transaction see the same state of the index."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("set transaction isolation level repeatable read")
    elif not getattr(connection.connection.dbapi_connection, "in_transaction", False):
        # The driver begins one by itself only before it writes.
        connection.exec_driver_sql("begin")


def _only_token(connection: Connection, cut: int, token: Address | None) -> Address | None:
    """Return the token of all claims; None where there is no claim."""
    if token is not None:
        return token
    query = sa.select(invoices.c.token).where(invoices.c.confirmed_at < cut).distinct().limit(2)
    found = [row[0] for row in connection.execute(query)]
    if len(found) > 1:
        raise FeatureError(
            "the index has claims in several deposit tokens, whose amounts cannot be added; name "
            "the one that is meant"
        )
    return found[0] if found else None


class _Reader:
    """Reads one table after another into columns."""

    def __init__(
        self, connection: Connection, cut: UnixSeconds, head: IndexHead, on_progress: OnProgress
    ) -> None:
        self._connection = connection
        self._cut = cut
        self._contracts = sorted(head.contracts.values())
        self._codes: dict[str, int] = {}
        self._on_progress = on_progress
        self._rows = 0

    def facts(self, token: Address | None) -> Facts:
        """Read everything."""
        self._roots, invoiced = self._invoices(token)
        self._leaves, claims = self._claims(invoiced)
        return Facts(
            cut=self._cut,
            claims=claims,
            invoices=invoiced,
            transfers=self._transfers(),
            payments=self._amounts("paid"),
            credits=self._amounts("credited"),  # of a settled dispute too
            cancellations=self._amounts("cancelled"),
            disputes=self._amounts("disputed"),
            loans=self._loans(),
            loan_ends=self._loan_ends(),
            accounts=tuple(map(Address, self._codes)),
        )

    def _invoices(self, token: Address | None) -> tuple[Integers, Invoices]:
        c = invoices.c
        query = sa.select(c.root, c.debtor, c.supplier, c.face, c.due_date, c.confirmed_at)
        query = query.where(c.confirmed_at < self._cut, c.token == token).order_by(c.root)
        roots, debtor, supplier, face, due, confirmed = self._read(query, accounts=(1, 2))
        return roots, Invoices(debtor, supplier, face, due, confirmed)

    def _claims(self, invoiced: Invoices) -> tuple[Integers, Claims]:
        c = leaves.c
        ended = sa.case((c.ended_at < self._cut, 1), else_=0)
        is_root = sa.case((c.parent.is_(None), 1), else_=0)
        query = sa.select(c.id, c.root, c.face, c.created_at, ended, is_root)
        query = query.where(c.created_at < self._cut).order_by(c.id)
        columns = self._read(query)
        kept = np.isin(columns[1], self._roots)
        ids, root, face, made, has_ended, roots = (column[kept] for column in columns)
        was_made = roots == 1
        invoice = np.searchsorted(self._roots, root)
        holder = invoiced.supplier[invoice].copy()
        giver = holder.copy()
        m = movements.c
        # Of a split one row a child; of a merger one a parent, all with the new leaf as 'extra'.
        for kind, child, to in (("split", m.leaf, m.counterparty), ("merged", m.extra, m.supplier)):
            made_of = sa.select(child, m.supplier, to).where(m.kind == kind, m.at < self._cut)
            children, by, given = self._read(made_of, accounts=(1, 2))
            place, known = _places(children, ids)
            giver[place], holder[place] = by[known], given[known]
            was_made[place] = True
        if not was_made.all():
            leaf = ids[~was_made][0]
            raise FeatureError(
                f"the index contradicts itself: leaf {leaf} came of a split or merger that is not "
                "there; build it again from the chain"
            )
        return ids, Claims(invoice, face, made, giver, holder, has_ended == 0)

    def _transfers(self) -> Transfers:
        m = movements.c
        query = sa.select(m.leaf, self._order, m.at, m.supplier, m.counterparty, self._amount)
        query = query.where(m.kind == "transferred", m.at < self._cut)
        # What passes through a contract on its way into a loan stays its borrower's.
        ours = self._contracts
        query = query.where(m.supplier.not_in(ours), m.counterparty.not_in(ours))
        leaf, *rest = self._read(query, accounts=(3, 4))
        place, known = _places(leaf, self._leaves)
        return Transfers(place, *(column[known] for column in rest))

    def _amounts(self, kind: str) -> Amounts:
        m = movements.c
        query = sa.select(m.leaf, m.at, self._amount)
        leaf, at, amount = self._read(query.where(m.kind == kind, m.at < self._cut))
        place, known = _places(leaf, self._leaves)
        return Amounts(place, at[known], amount[known])

    def _loans(self) -> Loans:
        m = movements.c
        query = sa.select(m.leaf, self._order, m.at, m.supplier, self._amount)
        query = query.where(m.kind == "financed", m.at < self._cut)
        leaf, *rest = self._read(query, accounts=(3,))
        place, known = _places(leaf, self._leaves)
        return Loans(place, *(column[known] for column in rest))

    def _loan_ends(self) -> LoanEnds:
        m = movements.c
        is_end = sa.case((m.kind == "repaid", 0), else_=1)
        amount = sa.case((m.kind == "repaid", self._amount), else_=0)
        query = sa.select(m.leaf, self._order, amount, is_end)
        kinds = ("repaid", "loan_settled", "repurchased", "written_off")
        query = query.where(m.kind.in_(kinds), m.at < self._cut, m.leaf.is_not(None))
        leaf, order, principal, ended = self._read(query)
        place, known = _places(leaf, self._leaves)
        return LoanEnds(place, order[known], principal[known], ended[known] == 1)

    _order = movements.c.block_number * (1 << _LOG_BITS) + movements.c.log_index
    _amount = sa.func.coalesce(movements.c.amount, 0)

    def _read(self, query: Any, accounts: tuple[int, ...] = ()) -> list[Integers]:
        """Run a query into columns of whole numbers; those of accounts become codes."""
        width = len(query.selected_columns)
        chunks: list[list[Integers]] = [[np.empty(0, np.int64)] for _ in range(width)]
        streamed = self._connection.execution_options(stream_results=True, yield_per=BATCH_ROWS)
        codes = self._codes
        for rows in streamed.execute(query).partitions():
            for number, column in enumerate(zip(*rows, strict=True)):
                values: Any = column
                if number in accounts:
                    values = (codes.setdefault(account, len(codes)) for account in column)
                chunks[number].append(np.fromiter(values, dtype=np.int64, count=len(rows)))
            self._rows += len(rows)
            self._on_progress(self._rows)
        return [np.concatenate(parts) for parts in chunks]


def _places(wanted: Integers, ids: Integers) -> tuple[Integers, Integers]:
    """Positions of ids among sorted ones, and which of the wanted are there at all.

    Those that are not are of claims in another token.
    """
    place = np.searchsorted(ids, wanted)
    known = np.flatnonzero(place < len(ids))
    known = known[ids[place[known]] == wanted[known]]
    return place[known], known


def _utc(seconds: int) -> str:
    return str(np.datetime64(seconds, "s")).replace("T", " ") + " UTC"
