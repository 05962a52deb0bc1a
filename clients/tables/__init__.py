"""Tables of all kinds, read in batches into compact columns: CSV, Parquet, databases."""

from __future__ import annotations

from clients.source_settings import DatabaseSource, Source, SourceKind
from clients.tables.csv_table import CsvTable
from clients.tables.parquet_table import ParquetTable
from clients.tables.table import Columns, Table, read_columns, require
from federation.errors import InputError

__all__ = ["Columns", "Table", "open_table", "read_columns", "require"]


def open_table(source: Source) -> Table:
    """Return the table that a manifest describes; nothing is read yet.

    Raises:
        InputError: a database is asked for, and what reads it is not installed.
    """
    if isinstance(source, DatabaseSource):
        # SQLAlchemy takes a while to load, and few parties need it.
        try:
            from clients.tables.database_table import DatabaseTable
        except ModuleNotFoundError:
            raise InputError(
                f"{source.where} names a database, and SQLAlchemy is not installed; install "
                "veilscore with the extra 'sql': pip install 'veilscore[sql]'"
            ) from None
        return DatabaseTable(source)
    return CsvTable(source) if source.kind is SourceKind.CSV else ParquetTable(source)
