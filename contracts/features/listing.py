"""Features of an index as lines of text, for a person or another program."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from eth_utils.address import is_address, to_checksum_address

from contracts.features import cut_of
from contracts.features.computing import SupplierFeatures, features_of
from contracts.features.errors import FeatureError
from contracts.features.reading import read_facts
from contracts.units import Address


def suppliers_of(index: Path, as_of: date, token: str | None = None) -> SupplierFeatures:
    """Compute all features of all suppliers of an index in SQLite.

    Raises:
        FeatureError: it is not there, is no index, or does not reach the date.
    """
    if not index.is_file():
        raise FeatureError(f"{index}: there is no such file; name an index in SQLite")
    if token is not None and not is_address(token):
        raise FeatureError("--token is no address; write 0x and 40 hex digits")
    only = None if token is None else Address(to_checksum_address(token))
    engine = sa.create_engine(
        f"sqlite:///file:{quote(str(index.absolute()))}?mode=ro&uri=true",
        poolclass=sa.pool.NullPool,
    )
    try:
        with engine.connect() as connection:
            return features_of(read_facts(connection, cut_of(as_of), token=only))
    except sa.exc.DBAPIError:
        raise FeatureError(
            f"{index}: cannot be read as an index; name the SQLite file that the indexer writes"
        ) from None
    finally:
        engine.dispose()


def csv_lines(found: SupplierFeatures) -> Iterator[str]:
    """A heading and a line a supplier; what is missing is empty."""
    yield ",".join(("account", *found.columns))
    columns = [column.tolist() for column in found.columns.values()]
    for account, *row in zip(found.suppliers, *columns, strict=True):
        yield ",".join((account, *("" if math.isnan(cell) else f"{cell:.12g}" for cell in row)))


def json_lines(found: SupplierFeatures) -> Iterator[str]:
    """A JSON object a supplier; what is missing is null."""
    columns = [column.tolist() for column in found.columns.values()]
    for account, *row in zip(found.suppliers, *columns, strict=True):
        cells = (None if math.isnan(cell) else cell for cell in row)
        yield json.dumps({"account": account, **dict(zip(found.columns, cells, strict=True))})
