"""A private PostgreSQL server for tests: a free port, a folder of its own, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

PASSWORD = "k3y:in/the@url"
QUOTED_PASSWORD = "k3y%3Ain%2Fthe%40url"


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, or None where PostgreSQL is not installed."""
    found = [Path(name).parent for name in (shutil.which("initdb"), shutil.which("pg_ctl")) if name]
    folders = [*found, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    usable = [f for f in folders if (f / "initdb").exists() and (f / "pg_ctl").exists()]
    if not usable or (os.geteuid() == 0 and _owner() is None):
        return None
    return usable[0]


def _owner() -> str | None:
    """Who runs the server: it refuses root."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else None


@dataclass(frozen=True)
class PostgresServer:
    """A server whose superuser 'tester' logs in with a password."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """The URL that a party would set."""
        return f"postgresql://tester:{QUOTED_PASSWORD}@127.0.0.1:{self.port}/postgres"

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of the tests' own, each statement by itself."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="tester",
            password=PASSWORD,
            dbname="postgres",
            autocommit=True,
        )

    def execute(self, statement: str) -> list[Any]:
        """Run a statement; returns its rows."""
        with self.connect() as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def write(self, name: str, table: pa.Table) -> None:
        """Store a table under the nearest types that PostgreSQL has."""
        names = [sql.Identifier(column) for column in table.column_names]
        types = [sql.SQL(_type_of(field.type)) for field in table.schema]
        pairs = [sql.SQL(" ").join(pair) for pair in zip(names, types, strict=True)]
        target = sql.Identifier(name)
        with self.connect() as connection:
            connection.execute(sql.SQL("drop table if exists {}").format(target))
            connection.execute(
                sql.SQL("create table {} ({})").format(target, sql.SQL(", ").join(pairs))
            )
            copy = sql.SQL("copy {} from stdin").format(target)
            with connection.cursor() as cursor, cursor.copy(copy) as stream:
                for row in table.to_pylist():
                    stream.write_row(list(row.values()))

    def control(self, *arguments: str) -> None:
        """Run pg_ctl and wait for it."""
        folder = binaries()
        if folder is None:
            raise RuntimeError("PostgreSQL is not installed")
        _run([str(folder / "pg_ctl"), "-D", str(self.folder / "data"), "-w", *arguments])

    def start(self) -> None:
        """Start the server."""
        options = (
            f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off "
            "-c max_connections=20 -c shared_buffers=16MB -c timezone=Asia/Tokyo"
        )
        self.control("-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        """Stop it as if it had crashed."""
        self.control("-m", "immediate", "stop")


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server, and leave nothing of it."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _owner())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        server = PostgresServer(folder, port)
        (folder / "password").write_text(PASSWORD + "\n")
        initdb = str((binaries() or Path()) / "initdb")
        _run(
            [
                *(initdb, "-D", str(folder / "data"), "-U", "tester", "--no-sync", "-E", "UTF8"),
                *("--locale=C", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}"),
            ]
        )
        server.start()
        try:
            yield server
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                server.stop()
    finally:
        shutil.rmtree(folder)


def _run(command: list[str]) -> None:
    environment: Mapping[str, str] = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    user = _owner() if os.geteuid() == 0 else None
    # No pipes: the server would keep them open.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd="/",
            env=environment,
            timeout=60,
            check=False,
        )
        output.seek(0)
        if done.returncode:
            raise RuntimeError(output.read().decode())


def _type_of(kind: pa.DataType) -> str:
    for test, name in (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_integer, "bigint"),
        (pa.types.is_floating, "double precision"),
        (pa.types.is_decimal, "numeric"),
        (pa.types.is_date, "date"),
        (pa.types.is_timestamp, "timestamptz"),
    ):
        if test(kind):
            return name
    return "text"
