"""The alerts of a desk's folder: [alerts] of desk.toml, and the database of [registry]."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.desk.alerts.rules import read_rules
from server.desk.alerts.store import AlertStore
from server.desk.registry.database import Database
from server.desk.registry.settings import (
    SETTINGS_FILE,
    database_address,
    read_settings_file,
    table,
)


@contextmanager
def open_store(folder: Path) -> Iterator[AlertStore]:
    """The store of a desk's folder; its connections are closed afterwards.

    Raises:
        InputError: desk.toml is missing or not right, or the database is not usable.
    """
    path = folder / SETTINGS_FILE
    content = read_settings_file(path)
    rules = read_rules(table(content, "alerts", path), f"{path}: [alerts]")
    where = f"{path}: [registry]"
    database = Database(database_address(table(content, "registry", path), where, folder))
    try:
        yield AlertStore(database, rules)
    finally:
        database.close()
