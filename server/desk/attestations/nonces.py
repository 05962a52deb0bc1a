"""Numbers of attestations, each given out once: counted on disk before one is used.

A number that was taken and not used is lost, and nothing else: the contract takes any order. A new
file starts at 256 times the time in seconds, so that a lost file brings no old number back, and
consecutive numbers share storage slots on chain, which are of 256.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from pathlib import Path

from federation.errors import InputError

A_SECOND = 256
WAIT_SECONDS = 5.0
"""That another desk may hold the file."""


class Nonces:
    """The counter of one bank on one chain, shared by all desks that open the same file.

    Args:
        path: SQLite file; made where it is missing, mode 0600. A local disk: SQLite's locks don't
            hold on network file systems.
        scope: chain, contract and bank; each counts for itself.

    Raises:
        InputError: the file can't be opened, or is no counter.
    """

    def __init__(self, path: Path, scope: str) -> None:
        """Open it."""
        self._path, self._scope = path, scope
        self._lock = threading.Lock()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(
                path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"{path}: the file of nonces can't be opened ({error})") from None
        try:
            # FULL: a commit returns when the log is on the disk, whatever fails afterwards.
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS nonces (scope TEXT PRIMARY KEY, last INTEGER NOT NULL)"
            )
            self._database.execute("SELECT scope, last FROM nonces LIMIT 1").fetchall()
            _sync_folder(path.parent)
        except (OSError, sqlite3.Error) as error:
            self._database.close()
            raise InputError(
                f"{path}: is no file of nonces ({error}); name another, and a new one is made"
            ) from None

    def take(self) -> int:
        """The next number; when it is returned, it is on the disk that it was given out.

        Raises:
            InputError: the file can't be written, or is held by another process for too long.
        """
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                (number,) = self._database.execute(
                    "INSERT INTO nonces VALUES (?, ?) "
                    "ON CONFLICT (scope) DO UPDATE SET last = last + 1 RETURNING last",
                    (self._scope, int(time.time()) * A_SECOND),
                ).fetchone()
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise InputError(
                    f"{self._path}: no nonce could be taken ({error}), and nothing is signed; see "
                    "that the disk has room and the file may be written"
                ) from None
        return int(number)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()


def _sync_folder(folder: Path) -> None:
    """A new file's name is on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
