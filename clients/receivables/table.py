"""Features of borrowers, computed from the index of receivables, as a table like any other.

Its columns are those of the table of accounts (the borrower's id, perhaps a consent's end) and all
features of `contracts.features.definitions`. It has a row a borrower; accounts of one borrower are
one firm.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import UTC, date, datetime
from functools import cached_property

import pyarrow as pa
from eth_utils.address import is_address, to_checksum_address

from clients.receivables.accounts import Borrowers, read_borrowers
from clients.settings_file import suggest
from clients.source_settings import ReceivablesSource, SourceKind, UnknownAccounts
from clients.tables.csv_table import CsvTable
from clients.tables.database_table import DatabaseTable
from clients.tables.parquet_table import ParquetTable
from contracts.features import NAMES, FeatureError, cut_of
from contracts.features.computing import features_of
from contracts.features.reading import known_accounts, read_facts, read_head
from contracts.units import Address
from federation.errors import InputError

BATCH_ROWS = 1 << 16
_SHOWN = 3


class ReceivablesTable:
    """Rows are named as the borrower's first row in the table of accounts.

    Args:
        source: what the manifest says.
        now: the run's time, with a time zone, for features as of "today".

    Raises:
        InputError: the index's URL is not there or names no database that is known.
    """

    keeps_order = True
    decimal = "."

    def __init__(self, source: ReceivablesSource, now: datetime | None = None) -> None:
        """Nothing is read yet."""
        is_csv = source.borrowers.kind is SourceKind.CSV
        self._source = source
        self._borrowers = (CsvTable if is_csv else ParquetTable)(source.borrowers)
        self._index = DatabaseTable(source.database)
        self._as_of = source.as_of or (now or datetime.now(UTC)).astimezone(UTC).date()
        self._read = Borrowers({}, {}, {}, {})

    @property
    def place(self) -> str:
        """The manifest's receivables."""
        return self._source.place

    @property
    def as_of(self) -> date:
        """The date as of which features are computed."""
        return self._as_of

    @cached_property
    def column_names(self) -> list[str]:
        """The columns of the table of accounts, and the features."""
        own = [name for name in self._borrowers.column_names if name != self._source.account_column]
        return [*own, *NAMES]

    def hint(self, column: str) -> str:
        """Suggest a column."""
        return suggest(column, self.column_names)

    def row_name(self, position: int) -> str:
        """Name a borrower's first row in the table of accounts."""
        return self._borrowers.row_name(list(self._read.rows.values())[position])

    def batches(
        self, columns: Sequence[str], texts: frozenset[str]
    ) -> Generator[pa.RecordBatch, None, None]:
        """Compute the features asked for, and give them in batches."""
        source = self._source
        features = [name for name in columns if name in NAMES]
        known = (source.borrower_column, *features)
        further = [name for name in columns if name not in known]
        self._read = read_borrowers(self._borrowers, source, further)
        computed = self._features(features)
        borrowers = self._read
        own: dict[str, Sequence[str | None]] = {
            source.borrower_column: tuple(borrowers.rows),
            **borrowers.columns,
        }
        arrays = [
            pa.array(computed[name]) if name in computed else pa.array(own[name], pa.string())
            for name in columns
        ]
        batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)

    def _features(self, names: Sequence[str]) -> dict[str, pa.Array]:
        """Compute features of all borrowers, without those that the index does not know."""
        source = self._source
        try:
            with self._index.connection() as (connection, watch), watch.waiting():
                facts = read_facts(connection, cut_of(self._as_of), token=self._token())
                self._refuse_other_chain(read_head(connection).chain_id)
                lacking = set(self._read.accounts) - set(facts.accounts)
                if lacking:
                    lacking -= known_accounts(connection)
        except FeatureError as error:
            raise InputError(f"{source.where}: {error}") from None
        self._without_unknown(lacking)
        found = features_of(facts, firms=self._read.accounts, names=names)
        # The same order, since both follow the table of accounts.
        return {name: pa.array(found.columns[name]) for name in names}

    def _token(self) -> Address | None:
        token = self._source.token
        if token is None:
            return None
        if not is_address(token):
            raise InputError(
                f"{self._source.where} has 'token' as no address; write 0x and 40 hex digits"
            )
        return Address(to_checksum_address(token))

    def _refuse_other_chain(self, chain_id: int) -> None:
        if self._source.chain_id not in (None, chain_id):
            raise InputError(
                f"{self._source.where} has 'chain_id' as {self._source.chain_id}, and the index is "
                f"of chain {chain_id}; name the index of that chain, or correct 'chain_id'"
            )

    def _without_unknown(self, lacking: set[Address]) -> None:
        """Refuse, or leave out, borrowers of whom an account is unknown to the index."""
        if not lacking:
            return
        if self._source.unknown_accounts is UnknownAccounts.LEAVE_OUT:
            known = {
                name for account, name in self._read.accounts.items() if account not in lacking
            }
            self._read = self._read.only(known)
            return
        rows = [row for account, row in self._read.account_rows.items() if account in lacking]
        shown = ", ".join(self._borrowers.row_name(row) for row in rows[:_SHOWN])
        more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        raise InputError(
            f"{self._borrowers.place}, column '{self._source.account_column}': the index never "
            f"names the account of {shown}{more}; correct it, or write "
            f'unknown_accounts = "leave-out" in {self._source.where}'
        )
