"""Empty databases for the registry and the alerts, and signed models to put into them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy as sa

from clients.vault.served_models import signed_document
from federation.identity import PartyKey
from federation.schema import FeatureKind, FeatureSpec
from server.desk.registry.database import Database
from server.desk.registry.settings import DatabaseAddress
from tests.clients.postgres_server import PostgresServer
from tests.server.desk.models import HandMade, served_model

SIGNER = PartyKey(bytes([1] * 32))
STRANGER = PartyKey(bytes([2] * 32))
ONE_FEATURE = (FeatureSpec("age", FeatureKind.NUMERIC, "years"),)


def sqlite_address(folder: Path) -> DatabaseAddress:
    """A file that is not there yet."""
    return DatabaseAddress("sqlite:///registry.db", "'url'", folder)


def postgres_address(server: PostgresServer, folder: Path) -> DatabaseAddress:
    """The database of a running server, emptied."""
    server.execute("drop schema public cascade; create schema public")
    return DatabaseAddress(server.url, "the environment variable 'DESK'", folder)


@cache
def made(number: int) -> HandMade:
    """A small model of the label party and one feature party; each number another one."""
    return served_model(
        seed=number, own_features=ONE_FEATURE, party_features=1, session=f"session-{number}"
    )


@cache
def document(number: int, key: PartyKey = SIGNER) -> bytes:
    """It, signed."""
    return signed_document(made(number).served, key)


def by_hand(address: DatabaseAddress, statement: str, **values: object) -> None:
    """Change a database as somebody with its password could, past veilscore."""
    database = Database(address)
    try:
        with database.writing() as connection:
            connection.execute(sa.text(statement), values)
    finally:
        database.close()
