"""Tables of all kinds, in batches of columns: files, databases, receivables, telemetry."""

from __future__ import annotations

from datetime import datetime

from clients.source_settings import (
    DatabaseSource,
    FileSource,
    ReceivablesSource,
    Source,
    SourceKind,
    TelemetrySource,
)
from clients.tables.csv_table import CsvTable
from clients.tables.parquet_table import ParquetTable
from clients.tables.table import Columns, Table, read_columns, require
from federation.errors import InputError

__all__ = ["Columns", "Table", "open_table", "read_columns", "require"]


def open_table(source: Source, now: datetime | None = None) -> Table:
    """Return the table that a manifest describes; nothing is read yet.

    Args:
        source: what the manifest says.
        now: the run's time, with a time zone; features as of "today" need it.

    Raises:
        InputError: a database is asked for, and what reads it is not installed.
    """
    if isinstance(source, FileSource):
        return CsvTable(source) if source.kind is SourceKind.CSV else ParquetTable(source)
    # SQLAlchemy takes a while to load, and few parties need it.
    if isinstance(source, ReceivablesSource):
        try:
            from clients.receivables.table import ReceivablesTable
        except ModuleNotFoundError as error:
            raise InputError(
                f"{source.where} names an index of receivables, and the package '{error.name}' is "
                "not installed; install veilscore with the extra 'chain': "
                "pip install 'veilscore[chain]'"
            ) from None
        return ReceivablesTable(source, now)
    if isinstance(source, TelemetrySource):
        try:
            from clients.iot.table import TelemetryTable
        except ModuleNotFoundError as error:
            raise InputError(
                f"{source.where} names an archive of telemetry, and the package '{error.name}' is "
                "not installed; install veilscore with the extra 'iot': "
                "pip install 'veilscore[iot]'"
            ) from None
        return TelemetryTable(source, now)
    return _database_table(source)


def _database_table(source: DatabaseSource) -> Table:
    try:
        from clients.tables.database_table import DatabaseTable
    except ModuleNotFoundError:
        raise InputError(
            f"{source.where} names a database, and SQLAlchemy is not installed; install "
            "veilscore with the extra 'sql': pip install 'veilscore[sql]'"
        ) from None
    return DatabaseTable(source)
